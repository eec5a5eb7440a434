// Regions in one process, for tests of the interface: the real app, engine and merge on tables in memory, a clock moved by
// hand, randomness from a seed, and links between regions that a test cuts. Requests go in by `fetch`, with the raw target
// beside them, as an adapter would give it: no sockets, and nothing normalises what a test sends.
//
// Every answer is held against the OpenAPI document on its way out, so each test checks the document too.

import { expect } from 'vitest';
import { MemoryDeadLetters, MemoryQueue } from '../../src/adapters/memory/queue.ts';
import { ManualClock, settle } from '../../src/adapters/memory/clock.ts';
import { MemoryTable } from '../../src/adapters/memory/table.ts';
import { deriveKey, hmacSha256, sha256 } from '../../src/adapters/node/crypto.ts';
import { ContextTokens } from '../../src/auth/context-tokens.ts';
import { KeyRing, newKey } from '../../src/auth/keys.ts';
import { utf8, utf8Text } from '../../src/core/bytes.ts';
import { ArchipelError } from '../../src/core/errors.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import type { Topology } from '../../src/core/placement/topology.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import { formatState } from '../../src/core/version/format.ts';
import { KEYS } from '../../src/engine/catalog.ts';
import { Region } from '../../src/engine/region.ts';
import type { DirectDoor } from '../../src/http/direct.ts';
import type { DocsFiles } from '../../src/http/docs-page.ts';
import type { Route, App } from '../../src/http/router.ts';
import { createRegionApp } from '../../src/http/region-app.ts';
import { SILENT, type Log } from '../../src/ports/log.ts';
import type { Peer } from '../../src/ports/peer.ts';
import type { Random } from '../../src/ports/random.ts';
import { undocumented, type OpenApi } from './document.ts';

export const AP = asRegionId('ap-northeast-2');
export const EU = asRegionId('eu-central-1');
export const US = asRegionId('us-east-1');

export const SECRET = utf8('the secret of a test');
const key = (purpose: string): ReturnType<typeof hmacSha256> => hmacSha256(deriveKey(SECRET, purpose));

/** Mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % 256;
  };
  return { bytes: (length) => Uint8Array.from({ length }, next) };
}

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | object;
  /** Default: the admin key. `null`: none. */
  readonly key?: string | null;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** @throws when the body is not JSON */
  readonly json: <T = Record<string, unknown>>() => T;
  readonly field: (name: string) => string | undefined;
  /** Of a problem: the end of its type. */
  readonly code: string | undefined;
}

export class TestRegion {
  readonly id: RegionId;
  readonly region: Region;
  readonly app: App;
  readonly routes: readonly Route[];
  readonly direct: DirectDoor;
  readonly table: MemoryTable;
  readonly keys: KeyRing;
  readonly clock: ManualClock;
  readonly adminKey: string;
  document: OpenApi | undefined;

  constructor(parts: Pick<TestRegion, 'id' | 'region' | 'app' | 'routes' | 'direct' | 'table' | 'keys' | 'clock' | 'adminKey'>) {
    this.id = parts.id;
    this.region = parts.region;
    this.app = parts.app;
    this.routes = parts.routes;
    this.direct = parts.direct;
    this.table = parts.table;
    this.keys = parts.keys;
    this.clock = parts.clock;
    this.adminKey = parts.adminKey;
  }

  /** The answer as it is: nothing is checked. */
  async send(method: string, target: string, { headers = {}, body, key: bearer }: Ask = {}): Promise<Answer> {
    const fields = new Headers(headers);
    if (bearer !== null && !fields.has('authorization')) fields.set('authorization', `Bearer ${bearer ?? this.adminKey}`);
    const bytes = body === undefined ? undefined : body instanceof Uint8Array ? body : utf8(typeof body === 'string' ? body : JSON.stringify(body));
    if (typeof body === 'object' && !(body instanceof Uint8Array) && !fields.has('content-type')) fields.set('content-type', 'application/json');
    // What Node's server hands over has the length that the client declared.
    if (bytes !== undefined && !fields.has('content-length')) fields.set('content-length', String(bytes.length));
    const request = new Request('http://region/', { method, headers: fields, ...(bytes === undefined ? {} : { body: bytes.slice() }) });
    return toAnswer(await this.app.fetch(request, { rawTarget: target }));
  }

  /** Sends a request; fails the test when the answer is not as the OpenAPI document says, or lacks what every answer has. */
  async ask(method: string, target: string, more: Ask = {}): Promise<Answer> {
    const answer = await this.send(method, target, more);
    this.document ??= (await this.send('GET', '/openapi.json')).json<OpenApi>();
    expect(undocumented(this.document, method, target, answer)).toEqual([]);
    if (target.startsWith('/v1/')) expectDataFields(answer);
    return answer;
  }

  readonly get = (target: string, headers: Record<string, string> = {}): Promise<Answer> => this.ask('GET', target, { headers });
  readonly put = (target: string, body: Ask['body'] = '', headers: Record<string, string> = {}): Promise<Answer> => this.ask('PUT', target, { body, headers });
  readonly delete = (target: string, headers: Record<string, string> = {}): Promise<Answer> => this.ask('DELETE', target, { headers });
  readonly patch = (target: string, body: NonNullable<Ask['body']>, headers: Record<string, string> = {}): Promise<Answer> => this.ask('PATCH', target, { body, headers: { 'content-type': 'application/merge-patch+json', ...headers } });
  readonly post = (target: string, body?: Ask['body'], headers: Record<string, string> = {}): Promise<Answer> => this.ask('POST', target, { ...(body === undefined ? {} : { body }), headers });

  async collection(name: string, policy: object = {}): Promise<void> {
    const { status, text } = await this.put(`/v1/c/${name}`, policy);
    if (status !== 201) throw new Error(`${name}: ${status} ${text}`);
  }

  /** A bearer key with this scope. */
  async key(scopes: readonly string[], more: object = {}): Promise<string> {
    return (await this.post('/v1/keys', { scopes, ...more })).json<{ key: string }>().key;
  }

  /** Everything that is stored, one line each: what a refused request must leave as it was. */
  async stored(): Promise<string> {
    const lines: string[] = [];
    for (const group of this.region.catalog.groups().keys()) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const { items } = await this.table.scan({ group, partition, limit: Number.MAX_SAFE_INTEGER, bytesMax: Number.MAX_SAFE_INTEGER });
        for (const { key: { collection, pk, sk }, record } of items) lines.push(`${collection} ${Buffer.from(pk).toString('hex')} ${Buffer.from(sk).toString('hex')} ${record.revision} ${formatState(record.state)}`);
      }
    }
    return lines.sort().join('\n');
  }
}

async function toAnswer(response: Response): Promise<Answer> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const text = utf8Text(bytes) ?? '';
  const isProblem = response.headers.get('content-type') === 'application/problem+json' && text !== '';
  const type = isProblem ? (JSON.parse(text) as { type: string }).type : undefined;
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    text,
    json: <T>() => JSON.parse(text) as T,
    field: (name) => response.headers.get(name) ?? undefined,
    code: type?.slice(type.lastIndexOf('/') + 1),
  };
}

/** API.md, principle 3. */
export function expectDataFields({ headers }: Answer): void {
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('vary')).toBe('Accept, Authorization, Prefer');
  expect(headers.get('served-by')).toMatch(/^[a-z][a-z0-9-]*(; origin=[a-z][a-z0-9-]*; age-ms=[0-9]+)?$/);
}

export class TestCluster {
  readonly clock: ManualClock;
  readonly regions: readonly TestRegion[];
  readonly #cuts: Set<string>;

  constructor(clock: ManualClock, regions: readonly TestRegion[], cuts: Set<string>) {
    this.clock = clock;
    this.regions = regions;
    this.#cuts = cuts;
  }

  at(id: RegionId): TestRegion {
    return this.regions.find((region) => region.id === id) as TestRegion;
  }

  /** No message passes between the two, either way. */
  cut(a: RegionId, b: RegionId): void {
    this.#cuts.add(`${a} ${b}`).add(`${b} ${a}`);
  }

  heal(): void {
    this.#cuts.clear();
  }

  /** Lets what is under way arrive. */
  async converge(ms = 3_000): Promise<void> {
    await this.clock.advance(ms);
    await settle();
  }
}

export interface ClusterOptions {
  readonly regions?: readonly RegionId[];
  readonly replicas?: number;
  readonly noAuth?: boolean;
  readonly docs?: DocsFiles;
  readonly log?: Log;
}

const PLACES: Readonly<Record<string, readonly [number, number]>> = { [AP]: [37.5, 127], [EU]: [50.1, 8.7], [US]: [38.9, -77] };

export async function startCluster({ regions = [EU], replicas = 3, noAuth = false, docs, log = SILENT }: ClusterOptions = {}): Promise<TestCluster> {
  const clock = new ManualClock();
  const cuts = new Set<string>();
  const doors = new Map<RegionId, Region>();
  const [control] = regions as readonly [RegionId];
  const topology: Topology = {
    format: 1,
    term: 1,
    epoch: 1,
    control,
    regions: regions.map((id) => ({ id, url: `http://${id}.test`, lat: PLACES[id]?.[0] ?? 0, lon: PLACES[id]?.[1] ?? 0, weight: 1, state: 'active' })),
  };
  const admin = newKey(seededRandom(99), sha256, 'admin');
  const made = regions.map((id, at): TestRegion => {
    const table = new MemoryTable(key('digest'));
    const random = seededRandom(at + 1);
    const hints = new Map(regions.map((peer) => [peer, new MemoryQueue(clock)]));
    const letters = new Map(regions.map((peer) => [peer, new MemoryDeadLetters()]));
    const region = new Region({
      id,
      incarnation: 'k1',
      isNew: false,
      drawIncarnation: async () => 'k2',
      topology,
      table,
      changes: table.changes,
      peers: regions.filter((peer) => peer !== id).map((peer) => wire(id, peer, doors, cuts)),
      hints: (peer) => hints.get(peer) as MemoryQueue,
      deadLetters: (peer) => letters.get(peer) as MemoryDeadLetters,
      clock,
      random,
      log,
      hash: sha256,
      digestHash: key('digest'),
      reconcileEveryMs: undefined,
    });
    doors.set(id, region);
    const keys = new KeyRing(sha256, admin.key);
    region.onSystemChange((collection, pk, state) => {
      if (collection === KEYS) keys.learn(utf8Text(pk) ?? '', state);
    });
    const { app, routes, direct } = createRegionApp({ region, keys, tokens: new ContextTokens([key('context')]), noAuth, defaultReplicas: replicas, log, ...(docs === undefined ? {} : { docs }) });
    return new TestRegion({ id, region, app, routes, direct, table, keys, clock, adminKey: admin.key });
  });
  const started = await Promise.all(made.map(({ region }) => region.start()));
  await Promise.all(started.map(({ ready }) => ready));
  return new TestCluster(clock, made, cuts);
}

function wire(from: RegionId, to: RegionId, doors: ReadonlyMap<RegionId, Region>, cuts: ReadonlySet<string>): Peer {
  return {
    id: to,
    ask: async (method, question) => {
      const isCut = (): boolean => cuts.has(`${from} ${to}`);
      if (isCut()) throw new ArchipelError('peer-unreachable', `${to} cannot be reached.`);
      const answer = await (doors.get(to) as Region).door.answer(method, question);
      if (isCut()) throw new ArchipelError('peer-unreachable', `The answer of ${to} is lost.`);
      return answer;
    },
  };
}

/** One region with the collection `demo` (`lww`) and `carts` (`siblings`). */
export async function startRegion(options: Omit<ClusterOptions, 'regions'> = {}): Promise<TestRegion> {
  const { regions } = await startCluster(options);
  const [region] = regions as readonly [TestRegion];
  await region.collection('demo');
  await region.collection('carts', { conflict: 'siblings' });
  return region;
}

/** Three regions with the same two collections. */
export async function startThree(options: Omit<ClusterOptions, 'regions'> = {}): Promise<TestCluster> {
  const cluster = await startCluster({ ...options, regions: [AP, EU, US] });
  await cluster.at(EU).collection('demo');
  await cluster.at(EU).collection('carts', { conflict: 'siblings' });
  await cluster.converge();
  return cluster;
}
