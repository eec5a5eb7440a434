// npm run bench -- --peers: stores of others beside the product, in the same rounds on the same machine, with the same load:
// GETs and PUTs of 1 KB over 64 connections, one node and three. What each promises stands beside its figures: they differ.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoadResult } from './lib/jobs.ts';
import { median } from './lib/numbers.ts';
import { findBinary, PEERS, PeerServer, versionOf, type PeerKind } from './lib/peer-servers.ts';
import { Generator, withCpu } from './lib/processes.ts';
import type { ProtocolName } from './lib/protocols.ts';
import { PATH, Stage, VALUE_BYTES } from './lib/stage.ts';

const CONNECTIONS = 64;

export interface PeersAsked {
  readonly quick: boolean;
  readonly json: string | undefined;
  readonly peersFolder: string | undefined;
}

/** A store that is under load. */
interface Contender {
  readonly name: string;
  readonly version: string;
  readonly promise: string;
  readonly pids: readonly number[];
  fill(job: Size): Promise<LoadResult>;
  put(job: Size): Promise<LoadResult>;
  get(job: Size): Promise<LoadResult>;
}

interface Size {
  readonly seconds: number;
  readonly keys: number;
  readonly rounds: number;
}

type Costed = Awaited<ReturnType<typeof withCpu>>;

export async function peers({ quick, json, peersFolder }: PeersAsked): Promise<void> {
  const size: Size = quick ? { seconds: 0.5, keys: 2_000, rounds: 2 } : { seconds: 1.5, keys: 20_000, rounds: 5 };
  const found = new Map<string, string>();
  for (const binary of [...new Set(PEERS.map((kind) => kind.binary)), 'couchdb']) {
    const path = findBinary(binary, peersFolder);
    if (path === undefined) console.log(`${binary}: not installed (PATH${peersFolder === undefined ? '' : ', --peers-folder'}), so not measured.`);
    else if (binary === 'couchdb') console.log('couchdb: found, but this benchmark does not start it.');
    else found.set(binary, path);
  }
  const written: unknown[] = [];
  for (const nodes of [1, 3] as const) written.push(...(await together(nodes, PEERS.filter((kind) => kind.nodes === nodes && found.has(kind.binary)), found, size)));
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(written, undefined, 1)}\n`);
}

async function together(nodes: 1 | 3, kinds: readonly PeerKind[], found: ReadonlyMap<string, string>, size: Size): Promise<unknown[]> {
  const folder = mkdtempSync(join(tmpdir(), 'archipel-peers-'));
  const generator = new Generator();
  const stage = await Stage.start(nodes === 1 ? ['eu-central-1'] : ['ap-northeast-2', 'eu-central-1', 'us-east-1']);
  const servers: PeerServer[] = [];
  try {
    for (const kind of kinds) servers.push(await PeerServer.start(kind, found.get(kind.binary) as string, folder));
    const contenders = [ours(stage, nodes), ...servers.map((server) => theirs(server, generator, found.get(server.kind.binary) as string))];
    for (const each of contenders) await each.fill(size);
    const taken = new Map<Contender, { put: Costed; get: Costed }[]>(contenders.map((each) => [each, []]));
    for (let round = -1; round < size.rounds; round++) {
      for (const each of contenders) {
        const put = await withCpu(each.pids, () => each.put(size));
        const get = await withCpu(each.pids, () => each.get(size));
        if (round >= 0) taken.get(each)?.push({ put, get });
      }
    }
    return printed(nodes, taken);
  } finally {
    await generator.end();
    for (const server of servers) await server.end();
    await stage.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Every key is there before one is asked for. */
const filling = (keys: number) => ({ keys: { prefix: 'k', count: keys, order: 'in-turn' }, requests: keys, seconds: 60 }) as const;

function ours(stage: Stage, nodes: 1 | 3): Contender {
  const job = ({ keys, seconds }: Size) => ({ url: stage.url(0), path: PATH, keys: { prefix: 'k', count: keys, order: 'zipfian' }, connections: CONNECTIONS, seconds }) as const;
  return {
    name: nodes === 1 ? 'Archipel' : 'Archipel, three regions',
    version: 'this',
    promise: nodes === 1 ? 'synced; HTTP' : 'synced in all three before the round ends; every region takes writes; HTTP',
    pids: stage.pids,
    fill: ({ keys, ...size }) => untilQuiet(stage, () => stage.generator.load({ ...job({ keys, ...size }), ...filling(keys), method: 'PUT', headers: stage.writing, valueBytes: VALUE_BYTES })),
    put: (size) => untilQuiet(stage, () => stage.generator.load({ ...job(size), method: 'PUT', headers: stage.writing, valueBytes: VALUE_BYTES })),
    get: (size) => stage.generator.load({ ...job(size), method: 'GET', headers: stage.reading }),
  };
}

/** A write counts when all copies are synced. */
async function untilQuiet(stage: Stage, load: () => Promise<LoadResult>): Promise<LoadResult> {
  const fromMs = performance.now();
  const result = await load();
  await stage.quiet();
  return { ...result, perSecond: (result.done * 1_000) / (performance.now() - fromMs) };
}

function theirs(server: PeerServer, generator: Generator, binary: string): Contender {
  const { kind, url, pids } = server;
  const job = ({ keys, seconds }: Size) => ({ url, protocol: kind.protocol as ProtocolName, path: '', headers: {}, keys: { prefix: 'k', count: keys, order: 'zipfian' }, connections: CONNECTIONS, seconds }) as const;
  return {
    name: kind.name,
    version: versionOf(kind, binary),
    promise: kind.promise,
    pids,
    fill: ({ keys, ...size }) => generator.load({ ...job({ keys, ...size }), ...filling(keys), method: 'PUT', valueBytes: VALUE_BYTES }),
    put: (size) => generator.load({ ...job(size), method: 'PUT', valueBytes: VALUE_BYTES }),
    get: (size) => generator.load({ ...job(size), method: 'GET' }),
  };
}

function printed(nodes: 1 | 3, taken: ReadonlyMap<Contender, readonly { readonly put: Costed; readonly get: Costed }[]>): unknown[] {
  const all = [...taken];
  const [, own = []] = all[0] ?? [];
  const cell = (text: string, width: number): string => text.padStart(width);
  console.log(`\n${(nodes === 1 ? 'one node' : 'three nodes').padEnd(26)} ${['PUT/s', 'ours over it', 'p50 / p99 / p99.9 ms', 'us each', 'GET/s', 'ours over it', 'us each'].map((head, at) => cell(head, at === 2 ? 22 : 13)).join('')}  promise`);
  return all.map(([{ name, version, promise }, rounds]) => {
    const of = (take: (round: { readonly put: Costed; readonly get: Costed }) => number): number => median(rounds.map(take));
    const over = (take: (round: { readonly put: Costed; readonly get: Costed }) => number): number => median(rounds.map((round, at) => take(own[at] as typeof round) / take(round)));
    const row = { name, version, nodes, promise, putPerSecond: Math.round(of(({ put }) => put.perSecond)), oursOverPut: over(({ put }) => put.perSecond), p50Ms: of(({ put }) => put.p50Ms), p99Ms: of(({ put }) => put.p99Ms), p999Ms: of(({ put }) => put.p999Ms), putMicros: of(({ put }) => put.serverMicros), getPerSecond: Math.round(of(({ get }) => get.perSecond)), oursOverGet: over(({ get }) => get.perSecond), getMicros: of(({ get }) => get.serverMicros) };
    console.log(`${`${name} ${version}`.padEnd(26)} ${cell(row.putPerSecond.toLocaleString('en'), 13)}${cell(row.oursOverPut.toFixed(2), 13)}${cell(`${row.p50Ms.toFixed(1)} / ${row.p99Ms.toFixed(0)} / ${row.p999Ms.toFixed(0)}`, 22)}${cell(row.putMicros.toFixed(0), 13)}${cell(row.getPerSecond.toLocaleString('en'), 13)}${cell(row.oursOverGet.toFixed(2), 13)}${cell(row.getMicros.toFixed(0), 13)}  ${promise}`);
    return row;
  });
}
