// Several real regions in one process: the engine as it is, on tables in memory or on LevelDB, with links (network.ts),
// disks (disks.ts) and clocks that the test moves by hand. A crash is that of a process: whatever it was doing stops there,
// its timers never fire, and what it had not made durable is gone.

import { expect } from 'vitest';
import { ManualClock, settle } from '../../src/adapters/memory/clock.ts';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { EMPTY, utf8, utf8Text } from '../../src/core/bytes.ts';
import type { ItemKey } from '../../src/core/keys/item-key.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import type { RegionState, Topology } from '../../src/core/placement/topology.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import { formatState } from '../../src/core/version/format.ts';
import { asOperationHash, type Operation } from '../../src/core/version/operations.ts';
import { distinctValues, type State, type Value } from '../../src/core/version/record.ts';
import type { Write } from '../../src/core/version/write.ts';
import type { WriteResult } from '../../src/engine/coordinate.ts';
import { Region } from '../../src/engine/region.ts';
import type { PolicySpec } from '../../src/engine/collections.ts';
import type { ChangeLog } from '../../src/ports/change-log.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { LogLevel } from '../../src/ports/log.ts';
import type { Random } from '../../src/ports/random.ts';
import type { Change, LossRow, Table } from '../../src/ports/table.ts';
import { digestHash, MemoryDisk, type Disk, type OpenDisk } from './disks.ts';
import { Network } from './network.ts';

export const AP = asRegionId('ap-northeast-2');
export const EU = asRegionId('eu-central-1');
export const US = asRegionId('us-east-1');

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

export const valueOf = (text: string, expiresMs?: number): Value => {
  const bytes = utf8(text);
  return { bytes, contentType: 'text/plain', hash: sha256(bytes).slice(0, 8), ...(expiresMs === undefined ? {} : { expiresMs }) };
};

/** An operation id of a client: a name, and the time it was minted where it carries one. */
export const operation = (name: string, mintedAtMs?: number): Operation => {
  const id = asOperationHash(Buffer.from(sha256(utf8(name))).toString('hex').slice(0, 16));
  return mintedAtMs === undefined ? { id } : { id, mintedAtMs };
};

export interface LogLine {
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** One process of one region. */
interface Life {
  readonly region: Region;
  readonly disk: OpenDisk;
  isAlive: boolean;
  readonly ready: Promise<void>;
}

const never = <T>(): Promise<T> => new Promise(() => undefined);

export class Site {
  readonly id: RegionId;
  readonly disk: Disk;
  readonly log: LogLine[] = [];
  /** What somebody has set the wall clock to, apart from the true time. */
  wallOffsetMs = 0;
  readonly #archipelago: Archipelago;
  #life: Life | undefined;
  /** Regions as their topology file lists them: read at each start. */
  topology: Topology;

  constructor(id: RegionId, disk: Disk, archipelago: Archipelago, topology: Topology) {
    this.id = id;
    this.disk = disk;
    this.#archipelago = archipelago;
    this.topology = topology;
  }

  get memory(): MemoryDisk {
    return this.disk as MemoryDisk;
  }

  get region(): Region {
    if (this.#life === undefined) throw new Error(`${this.id} does not run.`);
    return this.#life.region;
  }

  get table(): Table {
    return this.region.parts.table;
  }

  // Living ----------------------------------------------------------------------------------------------------------------

  /** Starts a process; `start` waits until it takes writes, `boot` only until it answers. */
  async boot(): Promise<{ readonly ready: Promise<void> }> {
    const { clock, network, ids, reconcileEveryMs, times } = this.#archipelago;
    const state = { isAlive: true };
    const own: Clock = {
      wallMs: () => clock.wallMs() + this.wallOffsetMs,
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, task) => clock.after(delayMs, () => state.isAlive && task()),
    };
    const random = seededRandom(this.#archipelago.nextSeed());
    const peers = ids.filter((peer) => peer !== this.id);
    const log = { write: (level: LogLevel, event: string, fields = {}) => void this.log.push({ level, event, fields }) };
    const disk = await this.disk.open({ peers, clock: own, random, log });
    const region = new Region({
      id: this.id,
      incarnation: disk.incarnation,
      isNew: disk.isNew,
      isDrawn: disk.isDrawn,
      drawIncarnation: () => disk.drawIncarnation(),
      recovered: () => disk.recovered(),
      topology: this.topology,
      table: mortalTable(disk.table, state),
      changes: mortalLog(disk.changes, state),
      peers: this.topology.regions.filter(({ id }) => id !== this.id).map(({ id }) => network.peer(this.id, id, () => state.isAlive)),
      peer: (id) => network.peer(this.id, id, () => state.isAlive),
      hints: (peer) => disk.hints(peer),
      deadLetters: (peer) => disk.letters(peer),
      clock: own,
      random,
      log,
      hash: sha256,
      digestHash,
      reconcileEveryMs,
      ...times,
    });
    network.connect(this.id, { isAlive: () => state.isAlive, answer: (method, question) => region.door.answer(method, question) });
    const { ready } = await region.start();
    this.#life = Object.defineProperty({ region, disk, ready } as Life, 'isAlive', { get: () => state.isAlive, set: (value: boolean) => (state.isAlive = value) });
    return { ready };
  }

  async start(): Promise<void> {
    await this.#archipelago.drive((await this.boot()).ready);
  }

  /** `kill -9`. */
  async crash(): Promise<void> {
    const life = this.#life as Life;
    life.isAlive = false;
    await life.disk.kill();
  }

  /** A clean stop. */
  async stop(): Promise<void> {
    const life = this.#life as Life;
    await this.#archipelago.drive(life.region.stop());
    await life.disk.close();
    life.isAlive = false;
  }

  get isAlive(): boolean {
    return this.#life?.isAlive === true;
  }

  // As a client ------------------------------------------------------------------------------------------------------------

  key(collection: string, pk: string): ItemKey {
    const found = this.region.catalog.find(collection);
    if (found === undefined) throw new Error(`${this.id} does not know ${collection}.`);
    return this.region.catalog.key(found, utf8(pk), EMPTY);
  }

  async write(collection: string, pk: string, write: Write): Promise<WriteResult> {
    this.region.assertServing();
    this.region.catalog.require(collection);
    return this.region.coordinator.write(this.key(collection, pk), write);
  }

  put(collection: string, pk: string, text: string, more: Omit<Write, 'value'> = {}): Promise<WriteResult> {
    return this.write(collection, pk, { value: valueOf(text), ...more });
  }

  delete(collection: string, pk: string, more: Omit<Write, 'value'> = {}): Promise<WriteResult> {
    return this.write(collection, pk, more);
  }

  async state(collection: string, pk: string): Promise<State | undefined> {
    return this.region.coordinator.read(this.key(collection, pk));
  }

  /** What a reader sees: the live values, in dot order. */
  async get(collection: string, pk: string): Promise<string[]> {
    const state = await this.state(collection, pk);
    return state === undefined ? [] : distinctValues(state, this.region.time.readersMs()).map(({ value }) => utf8Text(value.bytes) ?? '');
  }

  async line(collection: string, pk: string): Promise<string> {
    const state = await this.state(collection, pk);
    return state === undefined ? 'nothing' : formatState(state);
  }

  async losses(collection: string): Promise<readonly LossRow[]> {
    return (await this.table.losses({ collection, limit: 1_000 })).items;
  }

  /** Losers in the ledger, as `value rule`. */
  async ledger(collection: string): Promise<string[]> {
    return (await this.losses(collection)).map(({ value, rule }) => `${value === undefined ? 'deleted' : utf8Text(value.bytes)} ${rule}`).sort();
  }

  /** Live RPO towards a peer. */
  rpo(peer: RegionId): Promise<{ readonly items: number; readonly exact: boolean }> {
    return lane(this, peer).unreplicated();
  }

  logged(event: string): LogLine[] {
    return this.log.filter((line) => line.event === event);
  }

  /** Every record in physical order, one line each. */
  async dump(): Promise<string> {
    const lines: string[] = [];
    for (const group of [...this.region.catalog.groups().keys()].sort()) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const { items } = await this.table.scan({ group, partition, limit: 100_000, bytesMax: 1 << 30 });
        for (const { key, record } of items) lines.push(`${key.collection} ${utf8Text(key.pk) ?? ''} ${formatState(record.state)}`);
      }
    }
    return lines.join('\n');
  }
}

export const lane = (site: Site, peer: RegionId) => {
  const found = site.region.lanes.get(peer);
  if (found === undefined) throw new Error(`${peer} is not a peer of ${site.id}.`);
  return found;
};

/** A process that is gone reads and writes nothing, whatever it was about to do. */
function mortalTable(table: Table, life: { readonly isAlive: boolean }): Table {
  return new Proxy(table, {
    get(target, name) {
      const member = Reflect.get(target, name, target) as unknown;
      if (typeof member !== 'function') return member;
      if (name === 'largestStamps' || name === 'storedState') return (...given: unknown[]) => (member as (...given: unknown[]) => unknown).apply(target, given); // told at once
      return async (...given: unknown[]) => {
        if (!life.isAlive) return never();
        const result: unknown = await (member as (...given: unknown[]) => Promise<unknown>).apply(target, given as [ItemKey, Change<unknown>]);
        return life.isAlive ? result : never();
      };
    },
  });
}

function mortalLog(changes: ChangeLog, life: { readonly isAlive: boolean }): ChangeLog {
  return {
    read: async (position, limit) => (life.isAlive ? changes.read(position, limit) : never()),
    subscribe: (listener) => changes.subscribe((entries) => life.isAlive && listener(entries)),
    trim: (position) => void (life.isAlive && changes.trim(position)),
    trimmed: () => changes.trimmed(),
  };
}

// Together ------------------------------------------------------------------------------------------------------------------

export interface ArchipelagoOptions {
  readonly regions?: readonly RegionId[];
  readonly disk?: (clock: Clock, id: RegionId) => Disk;
  readonly reconcileEveryMs?: number;
  readonly graceMs?: number;
  readonly horizonMs?: number;
  readonly states?: Readonly<Record<string, RegionState>>;
  /** The last of the regions, that the first document does not list and that nobody has started. */
  readonly later?: readonly RegionId[];
}

/** Real time, for disks that are real. */
const DRIVE_MS_MAX = 8_000;
const STEP_MS = 10;
const ADVANCE_MS = 50;

export class Archipelago {
  readonly clock = new ManualClock();
  readonly network = new Network(this.clock);
  readonly ids: readonly RegionId[];
  readonly sites: readonly Site[];
  readonly reconcileEveryMs: number | undefined;
  readonly times: Pick<ArchipelagoOptions, 'graceMs' | 'horizonMs'>;
  readonly #later: readonly RegionId[];
  #seed = 0;

  constructor({ regions = [AP, EU, US], disk = (clock) => new MemoryDisk(clock), reconcileEveryMs, graceMs, horizonMs, states = {}, later = [] }: ArchipelagoOptions = {}) {
    this.times = { ...(graceMs === undefined ? {} : { graceMs }), ...(horizonMs === undefined ? {} : { horizonMs }) };
    this.ids = regions;
    this.#later = later;
    this.reconcileEveryMs = reconcileEveryMs;
    this.sites = regions.map((id) => new Site(id, disk(this.clock, id), this, this.topology(states)));
  }

  /** `states`: of the others than active ones; one that is not to be listed has none. */
  topology(states: Readonly<Record<string, RegionState | undefined>> = {}, number: Partial<Pick<Topology, 'term' | 'epoch'>> = {}): Topology {
    return {
      format: 1,
      term: 1,
      epoch: 1,
      ...number,
      control: this.ids[0] as RegionId,
      regions: this.ids.flatMap((id) => {
        const state = Object.hasOwn(states, id) ? states[id] : this.#later.includes(id) ? undefined : 'active';
        return state === undefined ? [] : [{ id, lat: 0, lon: 0, weight: 1, state }];
      }),
    };
  }

  nextSeed(): number {
    return ++this.#seed;
  }

  at(id: RegionId): Site {
    return this.sites.find((site) => site.id === id) as Site;
  }

  async start(): Promise<this> {
    const booted = await Promise.all(this.sites.filter(({ id }) => !this.#later.includes(id)).map((site) => site.boot()));
    await this.drive(Promise.all(booted.map(({ ready }) => ready)));
    return this;
  }

  async collection(name: string, spec: Partial<PolicySpec> = {}): Promise<void> {
    const [first] = this.sites as readonly [Site];
    const { collection } = await this.drive(first.region.collections.create(name, { conflict: 'lww', regions: 'all', replicas: 3, ...spec }));
    expect(collection.policy.active).toBe(true);
    await this.advance(100);
  }

  /** Lets time pass. Real disks get real time in between, or every wait of the engine would be over before a sync is. */
  async advance(ms: number): Promise<void> {
    if (this.#isInMemory) return this.clock.advance(ms);
    for (let left = ms; left > 0; left -= ADVANCE_MS) await this.#step(Math.min(left, ADVANCE_MS));
  }

  async #step(ms: number): Promise<void> {
    await settle(this.#isInMemory ? 5 : 150);
    await this.clock.advance(ms);
  }

  get #isInMemory(): boolean {
    return this.sites.every((site) => site.disk instanceof MemoryDisk);
  }

  /** Lets what is under way arrive: hints are tried again, breakers close. */
  converge(): Promise<void> {
    return this.advance(5_000);
  }

  /** Lets time pass in small steps until the promise settles; a disk that is real takes the time that it takes. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = promise.finally(() => (isSettled = true));
    settled.catch(() => undefined);
    const startedMs = performance.now();
    while (!isSettled && performance.now() - startedMs < DRIVE_MS_MAX) {
      await this.#step(STEP_MS);
    }
    if (!isSettled) throw new Error('What the test waits for does not come to an end.');
    return settled;
  }

  /** Lets time pass in small steps until the condition holds. */
  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const startedMs = performance.now();
    while (performance.now() - startedMs < DRIVE_MS_MAX) {
      if (await condition()) return;
      await this.#step(STEP_MS);
    }
    throw new Error(`Never: ${what}`);
  }

  /** The regions hold the same, byte by byte. */
  async expectEqual(...ids: readonly RegionId[]): Promise<void> {
    const sites = (ids.length === 0 ? this.ids : ids).map((id) => this.at(id));
    const [first, ...others] = await Promise.all(sites.map((site) => site.dump()));
    for (const other of others) expect(other).toBe(first);
  }

  async end(): Promise<void> {
    for (const site of this.sites) if (site.isAlive) await site.crash();
    for (const site of this.sites) site.disk.remove();
  }
}

/** Three regions (or those named) with the collections `demo` (`lww`) and `carts` (`siblings`). */
export async function archipelago(options: ArchipelagoOptions = {}): Promise<Archipelago> {
  const made = await new Archipelago(options).start();
  await made.collection('demo');
  await made.collection('carts', { conflict: 'siblings' });
  return made;
}
