// A cluster on the stage of a benchmark: its collection, its keys, and regions that are killed and started by hand.

import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { Cluster, gone, nodePath, program, sleep, until } from '../../scripts/lib/cluster.ts';
import { Generator } from './processes.ts';

export const COLLECTION = 'bench';
export const PATH = `/v1/c/${COLLECTION}/items/`;
export const VALUE_BYTES = 1_024;
const TYPE = { 'content-type': 'application/octet-stream' };

export class Stage {
  readonly cluster: Cluster;
  readonly generator: Generator;
  /** Regions that were started again by hand, instead of by the cluster's parent. */
  readonly #restarted = new Map<string, ChildProcess>();
  readonly reading: Readonly<Record<string, string>>;
  readonly writing: Readonly<Record<string, string>>;

  private constructor(cluster: Cluster, generator: Generator) {
    this.cluster = cluster;
    this.generator = generator;
    this.reading = { authorization: `Bearer ${cluster.key}` };
    this.writing = { ...this.reading, ...TYPE };
  }

  /** A folder that is given holds the data of an earlier stage, unless it is new. */
  static async start(regions: readonly string[], folder?: string, { isNew = folder === undefined, replicas }: { readonly isNew?: boolean; readonly replicas?: number } = {}): Promise<Stage> {
    const cluster = await Cluster.start({ regions: regions.join(','), arguments: ['--no-restart'], ...(folder === undefined ? {} : { folder }), ...(replicas === undefined ? {} : { replicas }) });
    const stage = new Stage(cluster, new Generator());
    if (isNew) await cluster.collection(COLLECTION, { conflict: 'lww' });
    return stage;
  }

  url(at: number): string {
    return this.cluster.url(this.id(at));
  }

  id(at: number): string {
    return this.cluster.regions[at] as string;
  }

  pid(at: number): number {
    return this.#restarted.get(this.id(at))?.pid ?? this.cluster.region(this.id(at)).pid;
  }

  get pids(): number[] {
    return this.cluster.regions.map((_, at) => this.pid(at));
  }

  /** Writes the keys 0 to count - 1 in one region. */
  async fill(at: number, prefix: string, count: number): Promise<void> {
    const { statuses } = await this.generator.load({ url: this.url(at), method: 'PUT', path: PATH, keys: { prefix, count, order: 'in-turn' }, headers: this.writing, valueBytes: VALUE_BYTES, connections: 64, seconds: 300, requests: count });
    const written = (statuses[201] ?? 0) + (statuses[204] ?? 0);
    if (written !== count) throw new Error(`Only ${written} of ${count} keys were written: ${JSON.stringify(statuses)}`);
  }

  /** Has everything from this region arrived at these, or all, of its peers? Counted by the region itself. */
  async owes(at: number, peer?: string): Promise<number> {
    const { peers } = (await this.cluster.ask(this.id(at), '/v1/replication')).json<{ peers: { id: string; unreplicatedItems: number }[] }>();
    return peers.filter(({ id }) => peer === undefined || id === peer).reduce((sum, each) => sum + each.unreplicatedItems, 0);
  }

  quiet(timeoutMs = 60_000): Promise<number> {
    const isQuiet = async (): Promise<boolean> => (await Promise.all(this.cluster.regions.map((_, at) => this.owes(at)))).every((owed) => owed === 0);
    return until('everything is replicated', () => isQuiet().catch(() => false), timeoutMs, 5);
  }

  async stopRegion(at: number, signal: NodeJS.Signals): Promise<void> {
    const pid = this.pid(at);
    this.#restarted.delete(this.id(at));
    process.kill(pid, signal);
    await gone(pid);
  }

  startRegion(at: number): void {
    const id = this.id(at);
    const { url, data } = this.cluster.region(id);
    const peers = this.cluster.file.regions.filter((region) => region.id !== id).flatMap((region) => ['--peer', `${region.id}=${region.url}`]);
    const files = ['--topology', join(this.cluster.folder, 'topology.json'), '--secret-file', join(this.cluster.folder, 'secret'), '--admin-key-file', join(this.cluster.folder, 'admin.key')];
    const args = ['region', '--id', id, '--listen', new URL(url).host, '--data', data, '--reconcile-every', 'off', ...files, ...peers];
    this.#restarted.set(id, spawn(nodePath, [program(), ...args], { stdio: ['ignore', 'ignore', 'inherit'] }));
  }

  /** Stops the processes and leaves the data. */
  async stop(): Promise<void> {
    await this.generator.end();
    for (const child of this.#restarted.values()) {
      if (child.pid === undefined || child.exitCode !== null) continue;
      child.kill('SIGTERM');
      await gone(child.pid);
    }
    this.#restarted.clear();
    await this.cluster.stop();
  }

  async end(): Promise<void> {
    await this.stop();
    await this.cluster.end();
  }
}

export { sleep };
