// A whole cluster in a seed: the engine and the apps of region and edge, unchanged, on simulated machines. The composition
// is that of src/local, with other adapters.

import { deriveKey, hmacSha256, sha256 } from '../adapters/node/crypto.ts';
import type { LoggedCommit } from '../adapters/sim/change-log.ts';
import { Machine, type Process } from '../adapters/sim/machine.ts';
import { Network, type NetworkFaults } from '../adapters/sim/network.ts';
import { SimDeadLetters, SimQueue, VISIBILITY_MS } from '../adapters/sim/queue.ts';
import { SimStore, type StoreFaults } from '../adapters/sim/store.ts';
import { SimTable, type TableFaults } from '../adapters/sim/table.ts';
import type { World } from '../adapters/sim/world.ts';
import { ContextTokens } from '../auth/context-tokens.ts';
import { KeyRing, newKey } from '../auth/keys.ts';
import { utf8, utf8Text } from '../core/bytes.ts';
import { ArchipelError, isArchipelError } from '../core/errors.ts';
import type { RegionEntry, RegionState, Topology } from '../core/placement/topology.ts';
import { asRegionId, type RegionId } from '../core/version/dot.ts';
import type { CommitKind, State } from '../core/version/record.ts';
import { KEYS } from '../engine/catalog.ts';
import { Observer } from '../engine/observer.ts';
import { Region } from '../engine/region.ts';
import { createEdgeApp, type Edge, type RegionClient } from '../http/edge-app.ts';
import { createRegionApp } from '../http/region-app.ts';
import type { Log } from '../ports/log.ts';
import type { Peer, PeerMethod } from '../ports/peer.ts';
import type { StoredItem, Table } from '../ports/table.ts';
import { throughDoors, type Doors, type Exchange, type HttpQuestion } from './doors.ts';
import { passAnswer, passQuestion, type Build } from './formats.ts';
import { limitsOf, SHORT_VISIBILITY_MS, type Rare } from './rare.ts';

export const PLACES: readonly { readonly id: RegionId; readonly lat: number; readonly lon: number }[] = [
  { id: asRegionId('ap-northeast-2'), lat: 37.57, lon: 126.98 },
  { id: asRegionId('eu-central-1'), lat: 50.11, lon: 8.68 },
  { id: asRegionId('us-east-1'), lat: 38.95, lon: -77.45 },
  { id: asRegionId('sa-east-1'), lat: -23.55, lon: -46.63 },
  { id: asRegionId('ap-southeast-2'), lat: -33.87, lon: 151.21 },
];

const SECRET = utf8('of the simulation');
const CONTEXT_KEY = hmacSha256(deriveKey(SECRET, 'context'));
const DIGEST_KEY = hmacSha256(deriveKey(SECRET, 'digest'));
const [DEFAULT_REPLICAS, RESTART_MS] = [3, 100];

export interface ClusterSetting {
  readonly regions: number;
  readonly network: NetworkFaults;
  readonly store: StoreFaults;
  readonly table: TableFaults;
  readonly reconcileEveryMs: number | undefined;
  readonly graceMs?: number | undefined;
  readonly horizonMs?: number | undefined;
  readonly hints?: number | undefined;
  /** The edge tells the regions which of them it hears. */
  readonly edgeObserves: boolean;
  /** Regions have the direct door that processes have; without it, as functions, they have hono's alone. */
  readonly directDoor: boolean;
  readonly rare: Rare;
}

/** What checkers look at as it happens. */
export interface ClusterWatcher {
  /** Every durable commit. */
  committed(region: SimRegion, item: StoredItem, kind: CommitKind | 'reaped'): void;
  /** A commit is in the log that a region starts with: one that was written over in the same sync is nowhere else. */
  logged(region: SimRegion, commit: LoggedCommit): void;
  /** Every whole write that a region took from another, also when it changed nothing there. */
  arrived(region: SimRegion, state: State, before: State | undefined): void;
  /** Every question of one region to another. */
  asked(region: SimRegion, method: PeerMethod, question: Uint8Array): void;
  /** Every document that a region keeps. */
  kept(region: SimRegion, name: string, bytes: Uint8Array): void;
  /** Every answer of a region to a client or the edge. */
  answered(region: SimRegion, question: HttpQuestion, answer: Exchange): void;
  /** The edge has answered, after so long. */
  edgeAnswered(ms: number): void;
}

const NOBODY: ClusterWatcher = { committed: () => undefined, logged: () => undefined, arrived: () => undefined, asked: () => undefined, kept: () => undefined, answered: () => undefined, edgeAnswered: () => undefined };

interface Running {
  readonly process: Process;
  readonly region: Region;
  readonly table: SimTable;
  readonly hints: ReadonlyMap<RegionId, SimQueue>;
  readonly letters: ReadonlyMap<RegionId, SimDeadLetters>;
  doors: Doors | undefined; // not until it listens
  isReady: boolean;
}

interface IdentityNote {
  readonly incarnation: string;
  readonly marker: string;
  readonly clean: boolean;
  /** Kept until everything was taken back. */
  readonly isNew: boolean;
}

export class SimRegion {
  readonly id: RegionId;
  readonly machine: Machine;
  readonly #cluster: SimCluster;
  running: Running | undefined;
  build: Build;
  /** As its topology file says: read at each start. */
  #startsWith: Topology | undefined;
  readonly incarnations: string[] = []; // all that ever ran here, newest last

  constructor(id: RegionId, cluster: SimCluster) {
    this.id = id;
    this.build = cluster.build;
    this.#cluster = cluster;
    this.machine = new Machine(id, cluster.world);
  }

  get isUp(): boolean {
    return this.running?.isReady === true;
  }

  /** Its machine is no more: nothing of it ever starts again, unless it is built anew. */
  isGone = false;

  /** On an empty disk, with the document that takes it in. */
  rebuild(topology: Topology): void {
    this.isGone = false;
    this.build = this.#cluster.build;
    this.#startsWith = topology;
    this.start();
  }

  /** Starts the process; it listens and becomes ready some time later, unless it dies before. */
  start(): void {
    if (this.isGone) return;
    const process = this.machine.boot();
    const { setting, world, admin, topology } = this.#cluster;
    const random = world.random.stream(process.name);
    const store = new SimStore(process, setting.store, random.stream(`${process.name} store`));
    const watch = (item: StoredItem, kind: CommitKind | 'reaped'): void => this.#cluster.watch.committed(this, item, kind);
    const table = new SimTable(process, store, { faults: setting.table, random: random.stream(`${process.name} table`), keyedHash: DIGEST_KEY, watch, taken: (_, state, before) => this.#cluster.watch.arrived(this, state, before), kept: (name, bytes) => this.#cluster.watch.kept(this, name, bytes) });
    // What a dying sync left behind is seen here for the first time.
    for (const item of table.everything()) watch(item, item.record.kind);
    for (const commit of table.changes.everything()) if (commit.loss === undefined) this.#cluster.watch.logged(this, commit);
    this.#startsWith ??= topology;
    const others = PLACES.map(({ id }) => id).filter((id) => id !== this.id);
    const hints = new Map(others.map((peer) => [peer, new SimQueue(process, store, random.stream(`${process.name} hints ${peer}`), `hints-${peer}`, setting.rare.settings.includes('short-visibility') ? SHORT_VISIBILITY_MS : VISIBILITY_MS)]));
    const letters = new Map(others.map((peer) => [peer, new SimDeadLetters(process, store, peer)]));
    void this.#run({ process, table, hints, letters, admin }).catch((error: unknown) => {
      if (!process.isAlive) return;
      // As a process that cannot start: it ends, and its parent starts it again.
      if (!isArchipelError(error)) return world.fail(error);
      world.trace(this.id, `does not start: ${error.message}`);
      this.kill();
      world.after(RESTART_MS, () => {
        if (this.machine.process === undefined) this.start();
      });
    });
  }

  async #run({ process, table, hints, letters, admin }: Omit<Running, 'region' | 'doors' | 'isReady'> & { readonly admin: string }): Promise<void> {
    const { setting, world, network } = this.#cluster;
    const topology = this.#startsWith ?? this.#cluster.topology;
    const random = world.random.stream(`${process.name} region`);
    const log: Log = {
      write: (level, event, fields) => {
        if (event === 'peer.behind' || event === 'hint.failed') world.count(event);
        world.trace(this.id, `${level} ${event} ${JSON.stringify(fields ?? {})}`);
      },
    };
    const { incarnation, isNew, isDrawn } = await this.#identify(table, random);
    world.trace(this.id, `starts as ${incarnation}${isNew ? ', new' : ''}`);
    const peer = (id: RegionId): Peer => ({
      id,
      ask: (method, question, timeoutMs) => {
        this.#cluster.watch.asked(this, method, question);
        return network.call({ from: process, to: this.#cluster.region(id).machine, timeoutMs, once: method === 'forward', mayBeRecorded: method === 'inbox' || method === 'merge', handle: () => this.#askBuild(this.#cluster.region(id), method, question) });
      },
    });
    const region = new Region({
      id: this.id,
      incarnation,
      isNew,
      isDrawn,
      drawIncarnation: () => this.#draw(table, random),
      recovered: () => this.#amend(table, { isNew: false }),
      topology,
      table,
      changes: table.changes,
      peers: topology.regions.filter(({ id }) => id !== this.id).map(({ id }) => peer(id)),
      peer,
      hints: (id) => hints.get(id) as SimQueue,
      deadLetters: (id) => letters.get(id) as SimDeadLetters,
      clock: process.clock,
      random,
      log,
      hash: sha256,
      digestHash: DIGEST_KEY,
      reconcileEveryMs: setting.reconcileEveryMs,
      ...(setting.graceMs === undefined ? {} : { graceMs: setting.graceMs }), ...(setting.horizonMs === undefined ? {} : { horizonMs: setting.horizonMs }),
      limits: { ...limitsOf(setting.rare), ...(setting.hints === undefined ? {} : { hintsPerPeer: setting.hints }) },
    });
    const keys = new KeyRing(sha256, admin);
    region.onSystemChange((collection, pk, state) => {
      if (collection === KEYS) keys.learn(utf8Text(pk) ?? '', state);
    });
    const { app, direct } = createRegionApp({ region, keys, tokens: new ContextTokens([CONTEXT_KEY]), noAuth: false, defaultReplicas: DEFAULT_REPLICAS, log });
    const running: Running = { process, region, table, hints, letters, doors: undefined, isReady: false };
    this.running = running;
    const { ready } = await region.start();
    running.doors = { main: app.fetch, ...(this.#cluster.setting.directDoor ? { direct } : {}) };
    await ready;
    running.isReady = true;
    world.trace(this.id, 'is ready');
  }

  async #identify(table: Table, random: { bytes(length: number): Uint8Array }): Promise<{ readonly incarnation: string; readonly isNew: boolean; readonly isDrawn: boolean }> {
    const stored = await table.document('identity');
    const note = stored === undefined ? undefined : (JSON.parse(utf8Text(stored.bytes) ?? '') as IdentityNote);
    const { marker } = this.machine.disk;
    const isOther = note?.marker !== marker;
    const isUnclean = this.#cluster.setting.store.relaxed && note?.clean !== true;
    const isDrawn = note === undefined || isOther || isUnclean;
    const isNew = isDrawn || note.isNew;
    const incarnation = isDrawn ? this.#newIncarnation(random) : note.incarnation;
    await this.#save(table, { incarnation, marker, clean: false, isNew });
    return { incarnation, isNew, isDrawn };
  }

  #newIncarnation(random: { bytes(length: number): Uint8Array }): string {
    const incarnation = Array.from(random.bytes(5), (byte) => '0123456789abcdefghijklmnopqrstuvwxyz'[byte % 36]).join('');
    this.incarnations.push(incarnation);
    return incarnation;
  }

  async #draw(table: Table, random: { bytes(length: number): Uint8Array }): Promise<string> {
    const incarnation = this.#newIncarnation(random);
    await this.#save(table, { incarnation, marker: this.machine.disk.marker, clean: false, isNew: true });
    return incarnation;
  }

  async #amend(table: Table, change: Partial<IdentityNote>): Promise<void> {
    const stored = await table.document('identity');
    if (stored !== undefined) await this.#save(table, { ...(JSON.parse(utf8Text(stored.bytes) ?? '') as IdentityNote), ...change });
  }

  async #save(table: Table, note: IdentityNote): Promise<void> {
    const before = await table.document('identity');
    await table.putDocument('identity', utf8(JSON.stringify(note)), before?.revision);
  }

  kill(): void {
    this.#cluster.world.trace(this.id, 'killed');
    this.machine.kill();
    this.running = undefined;
  }

  /** SIGTERM: finishes what was begun, then ends. */
  async stop(): Promise<void> {
    const { running } = this;
    if (running === undefined) return this.kill();
    this.#cluster.world.trace(this.id, 'stops');
    running.doors = undefined;
    running.isReady = false;
    await running.region.stop();
    await this.#amend(running.table, { clean: true });
    if (this.machine.process === running.process) this.kill();
  }

  /** A peer of another release may read what it does not know, and sends what is not known here. */
  async #askBuild(peer: SimRegion, method: PeerMethod, question: Uint8Array): Promise<Uint8Array> {
    const asked = passQuestion(method, question, this.build, peer.build);
    const answer = passAnswer(method, await peer.answerPeer(method, asked.message), peer.build, this.build);
    if (asked.isTooNew || answer.isTooNew) this.#cluster.world.count('a later format met an old reader');
    return answer.message;
  }

  async answerPeer(method: Parameters<Peer['ask']>[0], question: Uint8Array): Promise<Uint8Array> {
    if (this.running?.doors === undefined) throw new ArchipelError('peer-unreachable', `${this.id} does not listen yet.`);
    return this.running.region.door.answer(method, question);
  }

  answerObserver(observer: string, question: Uint8Array): Promise<Uint8Array> {
    if (this.running?.doors === undefined) return Promise.reject(new ArchipelError('peer-unreachable', `${this.id} does not listen yet.`));
    return Promise.resolve(this.running.region.health.observe(observer, question));
  }

  async answerHttp(question: HttpQuestion): Promise<Exchange> {
    if (this.running?.doors === undefined) throw new ArchipelError('peer-unreachable', `${this.id} does not listen yet.`, { unsent: true });
    this.#cluster.noteTimeOf(this.running.region);
    const answer = await throughDoors(this.running.doors, question);
    if (this.running !== undefined) this.#cluster.noteTimeOf(this.running.region);
    this.#cluster.watch.answered(this, question, answer);
    return answer;
  }
}

export class SimCluster {
  readonly world: World;
  readonly setting: ClusterSetting;
  readonly network: Network;
  /** As its one writer has it; each region starts with the first that lists it, and learns. */
  topology: Topology;
  readonly admin: string;
  readonly #regions: SimRegion[];
  readonly edge: Machine;
  #edgeDoors: Doors | undefined;
  watch: ClusterWatcher = NOBODY;
  /** By a clock that nobody could tell was wrong: a region that starts alone, ahead, holds expired what is still alive elsewhere. */
  latestTrustedMs = 0;
  build: Build = 'this'; // of regions that are added from now on
  /** Collections whose policy was changed in the run. */
  readonly wasChanged = new Set<string>();

  constructor(world: World, setting: ClusterSetting) {
    this.world = world;
    this.setting = setting;
    this.network = new Network(world.random.stream('network'), setting.network);
    const places = PLACES.slice(0, setting.regions - (this.joins ? 1 : 0));
    const [first] = places as unknown as readonly [(typeof PLACES)[number]];
    this.topology = { format: 1, term: 1, epoch: 1, control: first.id, regions: places.map(({ id }) => this.entry(id, 'active')) };
    this.admin = newKey(world.random.stream('admin key'), sha256, 'admin').key;
    this.#regions = places.map(({ id }) => new SimRegion(id, this));
    this.edge = new Machine('edge', world);
  }

  /** One region is added in the run. */
  get joins(): boolean {
    return this.setting.rare.settings.includes('topology') && this.setting.regions > 2;
  }

  /** Those that are not gone. */
  get regions(): readonly SimRegion[] {
    return this.#regions.filter(({ isGone }) => !isGone);
  }

  entry(id: RegionId, state: RegionState): RegionEntry {
    const place = PLACES.find((each) => each.id === id) as (typeof PLACES)[number];
    return { ...place, url: `http://${id}.sim`, weight: 1, state };
  }

  /** The machine of the region that joins; it is started with a document that lists it. */
  add(): SimRegion | undefined {
    const place = this.joins ? PLACES[this.setting.regions - 1] : undefined;
    if (place === undefined) return undefined;
    const region = new SimRegion(place.id, this);
    this.#regions.push(region);
    return region;
  }

  region(id: RegionId): SimRegion {
    const found = this.#regions.find((region) => region.id === id);
    if (found === undefined) throw new TypeError(`There is no region ${id} in this simulation.`);
    return found;
  }

  noteTimeOf({ time }: Region): void {
    if (time.status() === 'safe') this.latestTrustedMs = Math.max(this.latestTrustedMs, time.readersMs());
  }

  start(): void {
    for (const region of this.regions) region.start();
    this.startEdge();
  }

  startEdge(): void {
    const process = this.edge.boot();
    const client = (id: RegionId): RegionClient => ({
      send: ({ method, target, headers, body, timeoutMs }) =>
        this.network.call({ from: process, to: this.region(id).machine, timeoutMs, once: true, handle: () => this.region(id).answerHttp({ method, target, headers: Object.fromEntries(headers), ...(body === undefined ? {} : { body }) }) }),
    });
    const log: Log = { write: (level, event, fields) => this.world.trace('edge', `${level} ${event} ${JSON.stringify(fields ?? {})}`) };
    const clients = new Map(this.topology.regions.map(({ id }) => [id, client(id)]));
    const { app, edge } = createEdgeApp({ topology: this.topology, clients, clock: process.clock, random: this.world.random.stream(process.name), log, hash: sha256 });
    if (this.setting.edgeObserves) this.#observe(process, edge, log);
    this.#edgeDoors = { main: app.fetch };
  }

  #observe(process: Process, edge: Edge, log: Log): void {
    const id = `edge-${this.edge.boots}`;
    const ask = (region: RegionId, question: Uint8Array, timeoutMs: number): Promise<Uint8Array> =>
      this.network.call({ from: process, to: this.region(region).machine, timeoutMs, once: true, handle: () => this.region(region).answerObserver(id, question) });
    new Observer({ id, clock: process.clock, log, regions: () => edge.observed, version: () => edge.version, learnt: (region, document) => edge.learnt(region, document), ask, judged: (region, isDown) => edge.judged(region, isDown) }).start();
  }

  /** A client asks a region, or the edge. Rejects when no answer comes in time; `details.unsent` when nothing arrived. */
  ask(from: Process, to: RegionId | 'edge', question: HttpQuestion, timeoutMs: number): Promise<Exchange> {
    const signed = { ...question, headers: { authorization: `Bearer ${this.admin}`, ...question.headers } };
    const edge = this.#edgeDoors as Doors;
    const timed = async (): Promise<Exchange> => {
      const startMs = this.world.nowMs;
      const answer = await throughDoors(edge, signed);
      this.watch.edgeAnswered(this.world.nowMs - startMs);
      return answer;
    };
    return to === 'edge'
      ? this.network.call({ from, to: this.edge, timeoutMs, once: true, handle: timed })
      : this.network.call({ from, to: this.region(to).machine, timeoutMs, once: true, handle: () => this.region(to).answerHttp(signed) });
  }
}
