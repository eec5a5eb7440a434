// A real cluster for scripts: `npm start`'s own program on free ports and a temporary folder, driven from outside only,
// with a proxy on every link between regions where a script asks for it.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Deployed } from './deployed.ts';
import { ask, until } from './http.ts';
import { Proxy, type ProxyOptions } from '../../src/drill/link-proxy.ts';

export { ask, sleep, until, type Answer, type Ask } from './http.ts';

/** The first of `count` ports in a row that are free now. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const first = 11_000 + Math.floor(Math.random() * 20_000); // below the ports that outgoing connections take
    const free = await Promise.all(Array.from({ length: count }, (_, at) => isFree(first + at)));
    if (free.every(Boolean)) return first;
  }
  throw new Error('no free ports');
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** Until the process has ended and given back its locks. */
export const gone = (pid: number): Promise<number> =>
  until(`process ${pid} ends`, () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const PROGRAM_VARIABLE = 'ARCHIPEL_PROGRAM';
/** The archipel that is started: this one, or another build to set beside it. */
export const program = (): string => process.env[PROGRAM_VARIABLE] ?? join(root, 'bin/archipel.js');
export const nodePath = process.execPath;

export interface ClusterFile {
  readonly edge: { readonly url: string; readonly pid: number };
  readonly regions: readonly { readonly id: string; readonly url: string; readonly pid: number; readonly data: string }[];
  readonly adminKey?: string;
}

export interface ClusterSetting {
  readonly regions?: string;
  readonly replicas?: number;
  readonly reconcile?: string;
  readonly proxies?: boolean;
  readonly arguments?: readonly string[];
  readonly folder?: string;
  readonly quiet?: boolean;
}

export class Cluster extends Deployed {
  readonly folder: string;
  readonly port: number;
  readonly proxies: ReadonlyMap<string, Proxy>;
  readonly startedMs: number;
  #process: ChildProcess;
  /** How links behave when they are not cut. */
  #healed: Partial<ProxyOptions> = {};
  readonly log: string[] = [];

  private constructor(folder: string, port: number, proxies: Map<string, Proxy>, started: ChildProcess, startedMs: number) {
    super();
    this.folder = folder;
    this.port = port;
    this.proxies = proxies;
    this.#process = started;
    this.startedMs = startedMs;
  }

  static async start(setting: ClusterSetting = {}): Promise<Cluster> {
    const folder = setting.folder ?? mkdtempSync(join(tmpdir(), 'archipel-'));
    const ids = (setting.regions ?? 'ap-northeast-2,eu-central-1,us-east-1').split(',');
    const port = await freePorts(ids.length + 1);
    const proxies = new Map<string, Proxy>();
    if (setting.proxies === true) {
      for (const [at, to] of ids.entries()) for (const from of ids) if (from !== to) proxies.set(`${from}>${to}`, await Proxy.start(port + 1 + at));
    }
    const links = [...proxies].flatMap(([link, proxy]) => ['--link', `${link}=${proxy.url}`]);
    const args = ['up', '--data', folder, '--port', String(port), '--regions', ids.join(','), '--reconcile-every', setting.reconcile ?? 'off', '--json', ...links, ...(setting.replicas === undefined ? [] : ['--replicas', String(setting.replicas)]), ...(setting.arguments ?? [])];
    const startedMs = performance.now();
    const started = spawn(nodePath, [program(), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const cluster = new Cluster(folder, port, proxies, started, startedMs);
    started.stderr.on('data', (chunk: Buffer) => {
      cluster.log.push(chunk.toString());
      if (setting.quiet !== true && process.env['ARCHIPEL_LOG'] !== undefined) process.stderr.write(chunk);
    });
    await new Promise<void>((resolve, reject) => {
      started.stdout.once('data', () => resolve());
      started.once('exit', () => reject(new Error(`the cluster did not start:\n${cluster.log.join('')}`)));
    });
    return cluster;
  }

  get file(): ClusterFile {
    return JSON.parse(readFileSync(join(this.folder, 'cluster.json'), 'utf8')) as ClusterFile;
  }

  get regions(): readonly string[] {
    return this.file.regions.map(({ id }) => id);
  }

  url(id: string): string {
    const { edge, regions } = this.file;
    return id === 'edge' ? edge.url : (regions.find((region) => region.id === id) as { url: string }).url;
  }

  region(id: string): ClusterFile['regions'][number] {
    return this.file.regions.find((region) => region.id === id) as ClusterFile['regions'][number];
  }

  get key(): string {
    return readFileSync(join(this.folder, 'admin.key'), 'utf8').trim();
  }

  /** How every link behaves from now on, but while it is cut. */
  linksWhole(options: Partial<ProxyOptions>): void {
    this.#healed = options;
    this.links(options);
  }

  /** Sets the behaviour of every link, or of those named `from>to`. */
  links(options: Partial<ProxyOptions>, ...names: readonly string[]): void {
    for (const [name, proxy] of this.proxies) if (names.length === 0 || names.includes(name)) proxy.set(options);
  }

  async cut(): Promise<void> {
    this.links({ cut: true });
  }

  async heal(): Promise<void> {
    this.links(this.#healed);
  }

  async unreplicated(id: string): Promise<number> {
    const { peers } = (await this.ask(id, '/v1/replication')).json<{ peers: { unreplicatedItems: number }[] }>();
    return peers.reduce((sum, peer) => sum + peer.unreplicatedItems, 0);
  }

  /** Every region has sent everything to everybody. */
  async quiet(timeoutMs = 30_000): Promise<number> {
    return until(
      'live RPO 0 everywhere',
      async () => {
        for (const id of this.regions) if ((await this.unreplicated(id)) > 0) return false;
        return true;
      },
      timeoutMs,
    );
  }

  async reconcile(id: string, body: Record<string, unknown> = {}, timeoutMs = 300_000): Promise<{ state: string; error?: string; pairs: Record<string, unknown>[] }> {
    const begun = await this.ask(id, '/v1/reconcile', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    const { id: run } = begun.json<{ id: string }>();
    let last: { state: string; error?: string; pairs: Record<string, unknown>[] } | undefined;
    await until(
      'reconciliation ends',
      async () => {
        last = (await this.ask(id, `/v1/reconcile/${run}`)).json();
        return last?.state !== 'running';
      },
      timeoutMs,
      50,
    );
    return last as NonNullable<typeof last>;
  }

  kill(id: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    const { pid } = id === 'edge' ? this.file.edge : this.region(id);
    if (pid > 0) process.kill(pid, signal);
  }

  ready(id: string, timeoutMs = 60_000): Promise<number> {
    return until(`${id} is ready`, () => ask(this.url(id), '/readyz', { timeoutMs: 1_000 }).then(({ status }) => status === 200, () => false), timeoutMs);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
      this.#process.kill('SIGTERM');
      await ended;
    }
    for (const proxy of this.proxies.values()) await proxy.close();
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
