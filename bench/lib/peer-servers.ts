// The stores that others have built, started on this machine in temporary folders: one node, and three. Where a server's
// binary is not found it is left out, and the output says so.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { freePorts, gone, sleep, until } from '../../scripts/lib/cluster.ts';
import { NATS_STORE, speaker, type ProtocolName, type Speaker } from './protocols.ts';
import { Wire } from './wire.ts';

export interface PeerKind {
  readonly name: string;
  readonly binary: string;
  readonly protocol: Exclude<ProtocolName, 'http'>;
  /** When a write is acknowledged, and what the nodes are to each other. */
  readonly promise: string;
  readonly versionArguments: readonly string[];
  readonly nodes: 1 | 3;
  /** Of the node at `at`: what it is started with. */
  arguments(node: NodePlace): readonly string[];
  /** After all nodes answer. */
  prepare?(nodes: readonly NodePlace[]): Promise<void>;
}

export interface NodePlace {
  readonly at: number;
  readonly folder: string;
  /** Of clients. */
  readonly ports: readonly number[];
  /** Among themselves. */
  readonly between: readonly number[];
}

const url = (port: number | undefined): string => `http://127.0.0.1:${port}`;

const etcd = (nodes: 1 | 3): PeerKind => ({
  name: nodes === 1 ? 'etcd' : 'etcd x 3',
  binary: 'etcd',
  protocol: 'etcd',
  promise: nodes === 1 ? 'synced; linearizable reads; JSON gateway' : 'synced by two of three, one leader; JSON gateway',
  versionArguments: ['--version'],
  nodes,
  arguments: ({ at, folder, ports, between }) => ['--name', `n${at}`, '--data-dir', folder, '--listen-client-urls', url(ports[at]), '--advertise-client-urls', url(ports[at]), '--listen-peer-urls', url(between[at]), '--initial-advertise-peer-urls', url(between[at]), '--initial-cluster', between.map((port, each) => `n${each}=${url(port)}`).join(','), '--log-level', 'error', '--quota-backend-bytes', '8000000000'],
});

const nats = (nodes: 1 | 3, interval: '2m' | 'always'): PeerKind => ({
  name: `NATS KV${nodes === 1 ? '' : ' R3'}, ${interval === 'always' ? 'sync always' : 'default'}`,
  binary: 'nats-server',
  protocol: 'nats',
  promise: `${interval === 'always' ? 'synced' : 'synced every two minutes'}${nodes === 1 ? '' : ', by two of three, one leader'}`,
  versionArguments: ['--version'],
  nodes,
  arguments: ({ at, folder, ports, between }) => {
    const cluster = nodes === 1 ? '' : `cluster { name: bench, listen: "127.0.0.1:${between[at]}", routes: [${between.map((port) => `"nats://127.0.0.1:${port}"`).join(', ')}] }\n`;
    const file = join(folder, 'server.conf');
    writeFileSync(file, `server_name: n${at}\nlisten: "127.0.0.1:${ports[at]}"\njetstream { store_dir: "${folder}", sync_interval: ${interval} }\n${cluster}`);
    return ['-c', file];
  },
  prepare: ([first]) => makeNatsStore(first as NodePlace, nodes),
});

const redis = (fsync: 'always' | 'everysec'): PeerKind => ({
  name: `Redis, ${fsync}`,
  binary: 'redis-server',
  protocol: 'redis',
  promise: fsync === 'always' ? 'synced' : 'synced every second',
  versionArguments: ['--version'],
  nodes: 1,
  arguments: ({ at, folder, ports }) => ['--port', String(ports[at]), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'yes', '--appendfsync', fsync],
});

const redisReplicated: PeerKind = { ...redis('everysec'), name: 'Redis 1 + 2, everysec', promise: 'synced every second; one primary, two replicas behind', nodes: 3, arguments: (place) => [...redis('everysec').arguments(place), ...(place.at === 0 ? [] : ['--replicaof', '127.0.0.1', String(place.ports[0])])] };

const keydb = (nodes: 1 | 3): PeerKind => ({
  ...redis('always'),
  name: nodes === 1 ? 'KeyDB, always' : 'KeyDB x 3, everysec',
  binary: 'keydb-server',
  promise: nodes === 1 ? 'synced' : 'synced every second; every node takes writes',
  nodes,
  arguments: (place) => [...redis(nodes === 1 ? 'always' : 'everysec').arguments(place), ...(nodes === 1 ? [] : ['--active-replica', 'yes', '--multi-master', 'yes', ...place.ports.filter((_, at) => at !== place.at).flatMap((port) => ['--replicaof', '127.0.0.1', String(port)])])],
});

export const PEERS: readonly PeerKind[] = [etcd(1), nats(1, 'always'), nats(1, '2m'), redis('always'), redis('everysec'), keydb(1), etcd(3), nats(3, 'always'), nats(3, '2m'), redisReplicated, keydb(3)];

export function findBinary(name: string, folder: string | undefined): string | undefined {
  return [...(folder === undefined ? [] : [folder]), ...(process.env['PATH'] ?? '').split(delimiter)].map((each) => join(each, name)).find((path) => existsSync(path));
}

export const versionOf = (kind: PeerKind, binary: string): string => /v?=?\s?(\d+\.\d+\.\d+)/.exec(execFileSync(binary, kind.versionArguments, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))?.[1] ?? '?';

export class PeerServer {
  readonly kind: PeerKind;
  readonly #processes: readonly ChildProcess[];
  readonly #ports: readonly number[];

  private constructor(kind: PeerKind, processes: readonly ChildProcess[], ports: readonly number[]) {
    this.kind = kind;
    this.#processes = processes;
    this.#ports = ports;
  }

  static async start(kind: PeerKind, binary: string, folder: string): Promise<PeerServer> {
    const first = await freePorts(2 * kind.nodes);
    const ports = Array.from({ length: kind.nodes }, (_, at) => first + at);
    const between = ports.map((port) => port + kind.nodes);
    const places = ports.map((_, at): NodePlace => ({ at, folder: join(folder, kind.name.replaceAll(/\W+/g, '-'), String(at)), ports, between }));
    const processes = places.map((place) => {
      mkdirSync(place.folder, { recursive: true });
      return spawn(binary, kind.arguments(place), { stdio: 'ignore', cwd: place.folder });
    });
    const server = new PeerServer(kind, processes, ports);
    try {
      for (const at of ports.keys()) await server.#answers(at);
      await kind.prepare?.(places);
    } catch (error) {
      await server.end();
      throw error;
    }
    return server;
  }

  get url(): string {
    return url(this.#ports[0]);
  }

  get pids(): number[] {
    return this.#processes.map(({ pid }) => pid as number);
  }

  /** A key is put: with a quorum, where one is needed. */
  #answers(at: number): Promise<number> {
    if (this.kind.protocol === 'nats') return until('a port is listened on', () => reachable(url(this.#ports[at])), 30_000, 50);
    return until(`${this.kind.name} answers`, () => asked(url(this.#ports[at]), this.kind.protocol, (speak) => speak.get('none')).then((status) => status === 200 || status === 404), 30_000, 100);
  }

  async end(): Promise<void> {
    for (const child of this.#processes) child.kill('SIGKILL');
    for (const pid of this.pids) await gone(pid);
  }
}

async function asked(at: string, protocol: Exclude<ProtocolName, 'http'>, request: (speak: Speaker) => Uint8Array): Promise<number | undefined> {
  const speak = speaker(protocol);
  const wire = new Wire(at, speak);
  const answer = await Promise.race([wire.ask(request(speak)), sleep(2_000).then(() => undefined)]);
  wire.close();
  return answer?.status;
}

const reachable = (at: string): Promise<boolean> => asked(at, 'nats', (speak) => (speak.ask as NonNullable<Speaker['ask']>)('$JS.API.INFO', '')).then((status) => status === 200);

/** As a client of NATS makes such a store: a stream with one message for each subject. */
async function makeNatsStore({ ports }: NodePlace, nodes: number): Promise<void> {
  const wanted = { name: `KV_${NATS_STORE}`, subjects: [`$KV.${NATS_STORE}.>`], max_msgs_per_subject: 1, discard: 'new', allow_direct: true, allow_rollup_hdrs: true, deny_delete: true, storage: 'file', num_replicas: nodes };
  await until('the store of NATS is there', () => asked(url(ports[0]), 'nats', (speak) => (speak.ask as NonNullable<Speaker['ask']>)(`$JS.API.STREAM.CREATE.KV_${NATS_STORE}`, JSON.stringify(wanted))).then((status) => status === 200), 30_000, 500);
}
