// The account: what became of every write that a client was promised, or shown. Each one is, or is in the causal past of, a
// current value, a sibling, a ledger row, an explicit delete or an expiry; or it was lost with a disk that alone held it.
//
// Believes the clients' history and the copies, and the store's contexts only under last-write-wins, where nothing else can
// tell what a blind write replaced.

import type { LoggedCommit } from '../adapters/sim/change-log.ts';
import type { Disk } from '../adapters/sim/disk.ts';
import { EPOCH_MS } from '../adapters/sim/machine.ts';
import { storedItems } from '../adapters/sim/stored.ts';
import { utf8Text } from '../core/bytes.ts';
import { decodeState } from '../core/version/codec.ts';
import { compareDots, type Dot, type RegionId } from '../core/version/dot.ts';
import { operationOf } from '../core/version/operations.ts';
import { headDot, type State } from '../core/version/record.ts';
import { covers, EMPTY_VECTOR, joinVectors, type VersionVector } from '../core/version/version-vector.ts';
import type { LossRow, StoredItem } from '../ports/table.ts';
import { isItem, nameOf, partitionNameOf } from './names.ts';
import type { SimCluster, SimRegion } from './cluster.ts';
import type { ClientWrite, History } from './history.ts';

/** What some regions hold of one item. */
export interface View {
  readonly states: readonly State[];
  readonly losses: readonly LossRow[];
}

/** By the partition keys of items (names.ts). */
interface Held {
  readonly items: ReadonlyMap<string, readonly StoredItem[]>;
  readonly losses: ReadonlyMap<string, readonly LossRow[]>;
}

function byName<T extends { readonly key: StoredItem['key'] }>(all: Iterable<T>): ReadonlyMap<string, readonly T[]> {
  const found = new Map<string, T[]>();
  for (const one of all) {
    const name = partitionNameOf(one.key);
    const those = found.get(name);
    if (those === undefined) found.set(name, [one]);
    else those.push(one);
  }
  return found;
}

export class Account {
  readonly #cluster: SimCluster;
  readonly #history: History;
  readonly #conflict: ReadonlyMap<string, 'lww' | 'siblings'>;
  /** Dots under which a value was ever committed, by value. */
  readonly #dots = new Map<string, Dot[]>();
  /** When values expire, as they were stored, where that is earlier than their clients may count on. */
  readonly #expiries = new Map<string, number>();
  /**
   * Set by who steps wall clocks. A region that starts alone, an hour behind, may issue stamps until a peer contradicts: a value
   * that it takes, to live for ten seconds, has expired an hour ago everywhere else, and whoever writes there drops it unseen.
   */
  clocksWereWrong = false;
  /** The executions of each operation under `lww`: a retry is the same write, so what any of them superseded is its past. */
  readonly #executions = new Map<string, { readonly dots: Dot[]; past: VersionVector }>();

  /** What each put under `lww` had covered when it was done, by its value: what it replaced blindly nobody had read. */
  readonly #covered = new Map<string, VersionVector>();
  readonly #disksLost: { readonly region: RegionId; readonly atMs: number }[] = [];
  #still: Map<SimRegion, Held> | undefined;
  /** By region and item. */
  readonly #reaped = new Map<string, State[]>();

  constructor(cluster: SimCluster, history: History, conflict: ReadonlyMap<string, 'lww' | 'siblings'>) {
    this.#cluster = cluster;
    this.#history = history;
    this.#conflict = conflict;
  }

  /** The last state of a record that was reaped: it covered what was deleted. */
  noteReaped(region: SimRegion, item: string, state: State): void {
    const name = `${region.id} ${item}`;
    this.#reaped.set(name, [...(this.#reaped.get(name) ?? []), state]);
  }

  /** This region had reaped what covers them all. */
  hasReaped(region: SimRegion, item: string, dots: readonly Dot[]): boolean {
    const reaped = this.#reaped.get(`${region.id} ${item}`) ?? [];
    return reaped.length > 0 && dots.every((dot) => reaped.some(({ context }) => covers(context, dot)));
  }

  /** A value stands under this dot somewhere. */
  noteValue(value: string, dot: Dot, expiresMs: number | undefined): void {
    if (expiresMs !== undefined && this.clocksWereWrong) this.#expiries.set(value, Math.min(expiresMs, this.#expiries.get(value) ?? expiresMs));
    const known = this.#dots.get(value);
    if (known === undefined) this.#dots.set(value, [dot]);
    else if (!known.some((other) => compareDots(other, dot) === 0)) known.push(dot);
  }

  /** A process died before it could tell of this commit, which was durable; the record may be a later one. */
  noteLogged({ key, image }: LoggedCommit): void {
    const state = decodeState(image);
    for (const { dot, value } of state.values) this.noteValue(utf8Text(value.bytes) ?? '', dot, value.expiresMs);
    const head = headDot(state);
    if (head !== undefined && state.values.length <= 1) this.noteExecution(nameOf(key), head, state);
  }

  noteExecution(item: string, head: Dot, { context, operations }: State): void {
    const id = operationOf(operations, head);
    if (id === undefined) return;
    const known = this.#executions.get(`${item} ${id}`);
    if (known === undefined) this.#executions.set(`${item} ${id}`, { dots: [head], past: context });
    else {
      known.past = joinVectors(known.past, context);
      // mark if (!known.dots.some((dot) => compareDots(dot, head) === 0)): one operation done in two regions
      if (!known.dots.some((dot) => compareDots(dot, head) === 0)) known.dots.push(head);
    }
  }

  /** A region that keeps one write of the item has taken this one. */
  noteReplacing({ values, context }: State): void {
    for (const { value } of values) this.#covered.set(utf8Text(value.bytes) ?? '', context);
  }

  /** What whoever read this value had seen, as far as it is known. */
  pastOf(item: string, value: string): VersionVector | undefined {
    const write = this.#history.writer(value);
    const dots = this.#dots.get(value) ?? [];
    const execution = [...this.#executions].find(([name, each]) => name.startsWith(`${item} `) && each.dots.some((dot) => dots.some((mine) => compareDots(mine, dot) === 0)));
    return write === undefined || execution === undefined ? undefined : this.#wholePast(item, [execution[1].past]);
  }

  /** What these contexts cover, and what the other executions of what they cover had superseded, and so on. */
  #wholePast(item: string, contexts: readonly VersionVector[]): VersionVector {
    const executions = [...this.#executions].flatMap(([name, execution]) => (name.startsWith(`${item} `) && execution.dots.length > 1 ? [execution] : []));
    let past = contexts.reduce(joinVectors, EMPTY_VECTOR);
    for (let left = executions; ; ) {
      const reached = left.filter(({ dots }) => dots.some((dot) => covers(past, dot)));
      if (reached.length === 0) return past;
      past = reached.reduce((sum, execution) => joinVectors(sum, execution.past), past);
      left = left.filter((execution) => !reached.includes(execution));
    }
  }

  /** What a disk lost with its region: values that no other region accounts for are excused from now on. */
  lost(region: SimRegion, key?: StoredItem['key']): string[] {
    const others = this.#cluster.regions.filter((other) => other !== region);
    const isConcerned = (write: ClientWrite): boolean => key === undefined || isItem(key, write);
    const left = region.machine.disk;
    const lost: string[] = [];
    if (key === undefined) this.#disksLost.push({ region: region.id, atMs: this.#cluster.world.nowMs });
    // One record alone: its region writes on, and what it writes covers nothing of what the forgotten one had replaced.
    for (const write of key === undefined ? [] : this.#history.writes.filter(isConcerned)) if (!this.#stands(write, this.view(others, write))) this.#history.excused.add(write.value);
    // What was written over by a write that is lost now, and was nowhere else, is lost with it: until nothing changes.
    for (let found = this.#unaccounted(others, left).filter(isConcerned); found.length > 0; found = this.#unaccounted(others, left).filter(isConcerned)) {
      for (const { value } of found) this.#history.excused.add(value);
      lost.push(...found.map(({ value }) => value));
    }
    return lost;
  }

  /** Writes whose answer is still under way count too: it may yet arrive. */
  #unaccounted(regions: readonly SimRegion[], left: Disk): ClientWrite[] {
    const stored = storedItems(left);
    return this.#history.writes.filter((write) => {
      if (write.outcome === 'refused' || this.#history.excused.has(write.value)) return false;
      const view = this.view(regions, write);
      const own = stored.filter(({ key }) => isItem(key, write)).map(({ record }) => record.state);
      return this.#isLostWithout(write, write.kind === 'put' ? view : { ...view, states: [...view.states, ...own] });
    });
  }

  #isLostWithout(write: ClientWrite, view: View): boolean {
    // That it has expired accounts for a value, but not for what it had replaced: an older value that is still under way comes
    // back when nobody knows any more that it was written over. Who has dropped both knows.
    if (write.kind === 'put') return (this.#dots.has(write.value) || write.effect === 'superseded') && !this.#isKept(write, view, 'at-a-loss') && !this.#isKnown(write, view);
    // A delete leaves nothing to look for but what it deleted: nobody has dropped that, and whoever holds it, or is sent it, keeps it.
    return write.superseded.some((value) => !view.states.some((state) => this.#hasDropped(state, value)));
  }

  #isKnown({ value, superseded }: ClientWrite, { states }: View): boolean {
    return states.some((state) => [value, ...superseded].every((each) => this.#hasDropped(state, each)));
  }

  #hasDropped({ values, context }: State, value: string): boolean {
    return !values.some((each) => utf8Text(each.value.bytes) === value) && (this.#dots.get(value) ?? []).some((dot) => covers(context, dot));
  }

  // Accounting -----------------------------------------------------------------------------------------------------------------

  /** Every value that a client was promised, or shown. */
  promised(): ClientWrite[] {
    const shown = new Set(this.#history.reads.flatMap(({ values }) => values));
    return this.#history.writes.filter((write) => write.kind === 'put' && (write.outcome === 'acknowledged' || shown.has(write.value)) && !this.#history.excused.has(write.value) && !this.#wasRowLost(write));
  }

  /** A put that is superseded at once is a row of the ledger and nothing else; until its client is told, nobody else knows of it. */
  #wasRowLost({ effect, servedBy, startedMs, endedMs }: ClientWrite): boolean {
    return effect === 'superseded' && this.#disksLost.some(({ region, atMs }) => region === servedBy && startedMs <= atMs && atMs <= endedMs);
  }

  /** What was promised and is with nobody else, nor in anybody's past. Rows say which dots they are of: a put that is superseded at once stands nowhere. */
  unaccountedWithout(region: SimRegion): ClientWrite[] {
    for (const { value, dot } of region.running?.table.everyLoss() ?? []) if (value !== undefined) this.noteValue(utf8Text(value.bytes) ?? '', dot, value.expiresMs);
    const others = this.#cluster.regions.filter((other) => other !== region);
    return this.promised().filter((write) => !this.isAccounted(write, this.view(others, write)));
  }

  /** `placed`: a value that was left behind when the topology changed does not count. That something was deleted it still tells. */
  view(regions: readonly SimRegion[], write: ClientWrite, { placed = false }: { readonly placed?: boolean } = {}): View {
    const reaped = regions.flatMap(({ id }) => this.#reaped.get(`${id} ${write.collection}/${write.pk}`) ?? []).map((state): State => {
      const head = headDot(state);
      return { ...state, values: [], ...(head === undefined ? {} : { deleted: head }) };
    });
    const name = `${write.collection}/${write.pk}`;
    const states: State[] = [];
    for (const region of regions) {
      for (const { key, record } of this.#held(region).items.get(name) ?? []) {
        if (!placed || record.state.values.length === 0 || region.running?.region.catalog.holdersOf(key)?.includes(region.id) === true) states.push(record.state);
      }
    }
    const losses = regions.flatMap((region) => this.#held(region).losses.get(name) ?? []);
    return { states: [...states, ...reaped], losses };
  }

  /** Nothing is committed in the meantime: what each region holds is gone through once. */
  still<R>(look: () => R): R {
    this.#still = new Map();
    try {
      return look();
    } finally {
      this.#still = undefined;
    }
  }

  #held(region: SimRegion): Held {
    const known = this.#still?.get(region);
    if (known !== undefined) return known;
    const held: Held = { items: byName(region.running?.table.everything() ?? []), losses: byName(region.running?.table.everyLoss() ?? []) };
    this.#still?.set(region, held);
    return held;
  }

  isAccounted(write: ClientWrite, view: View): boolean {
    const expiresMs = this.#expiries.get(write.value) ?? write.expiresMs;
    const { world, latestTrustedMs } = this.#cluster;
    return (expiresMs !== undefined && expiresMs <= Math.max(EPOCH_MS + world.nowMs, latestTrustedMs)) || this.#isKept(write, view, 'at-the-end');
  }

  #stands({ value }: ClientWrite, { states, losses }: View): boolean {
    const isIt = (other: { readonly bytes: Uint8Array } | undefined): boolean => other !== undefined && utf8Text(other.bytes) === value;
    return states.some(({ values }) => values.some((each) => isIt(each.value))) || losses.some((row) => isIt(row.value));
  }

  /** It stands, or is in the ledger, or in the past of what does. */
  #isKept(write: ClientWrite, view: View, when: 'at-a-loss' | 'at-the-end'): boolean {
    const { value, collection } = write;
    if (this.#stands(write, view)) return true;
    if (this.#isWrittenOver(write, view, when)) return true;
    if (this.#conflict.get(collection) === 'siblings') return false;
    // A tombstone from when the collection kept siblings is nobody's write: what it covers was deleted by somebody who had read it.
    const wasChanged = this.#cluster.wasChanged.has(collection);
    const writes = wasChanged ? view.states.filter((state) => headDot(state) !== undefined) : view.states;
    // But what a put had replaced under `lww` went with that put, when somebody had read it and deleted it where siblings were still kept.
    const replacing = wasChanged ? this.#history.writes.filter((other) => other.collection === collection && other.pk === write.pk && other.outcome !== 'refused' && this.#isWrittenOver(other, view, when)) : [];
    const past = this.#wholePast(`${collection}/${write.pk}`, [...writes.map(({ context }) => context), ...view.losses.flatMap((row) => this.pastOfRow(row)), ...replacing.flatMap((other) => this.#covered.get(other.value) ?? [])]);
    return (this.#dots.get(value) ?? []).some((dot) => covers(past, dot));
  }

  /** What a put had covered under `lww` it had replaced, whatever it was lost to: a row of siblings that became one, or of a late value, knows no context. */
  pastOfRow({ context, value }: LossRow): readonly VersionVector[] {
    const covered = value === undefined ? undefined : this.#covered.get(utf8Text(value.bytes) ?? '');
    return covered === undefined ? [context] : [context, covered];
  }

  /**
   * Has a write that had read this one replaced it, or, where nobody knows, may one have? One that was lost with a disk
   * counts when it was read in time: whoever had read it had seen what it replaced. A delete that was taken for lost, because
   * nobody had it at that moment, may have been on its way; but it accounts for nothing that goes with the same disk. One whose
   * client waits for an answer has been done where a region has dropped what it deletes.
   */
  #isWrittenOver({ value, collection, pk }: ClientWrite, view: View, when: 'at-a-loss' | 'at-the-end', seen = new Set<string>()): boolean {
    if (seen.has(value)) return false;
    seen.add(value);
    return this.#history.writes.some((other) => {
      if (other.collection !== collection || other.pk !== pk || !other.superseded.includes(value)) return false;
      if (other.outcome === 'refused' || other.effect === 'superseded') return false;
      if (other.outcome === 'unknown' && !this.#mayBeDone(other, value, view)) return false;
      const mayStillCome = other.kind === 'delete' && when === 'at-the-end';
      return mayStillCome || !this.#history.excused.has(other.value) || this.#isWrittenOver(other, view, when, seen);
    });
  }

  #mayBeDone({ kind, value, isOver }: ClientWrite, replaced: string, { states }: View): boolean {
    return kind === 'put' ? this.#dots.has(value) : isOver || states.some((state) => this.#hasDropped(state, replaced));
  }

  /** By a write that had read it; one that is under way counts where one of these has dropped the value. */
  isWrittenOver(value: string, states: readonly State[] = []): boolean {
    const write = this.#history.writer(value);
    return write !== undefined && this.#isWrittenOver(write, { states, losses: [] }, 'at-the-end');
  }

  /**
   * A write that was done twice, and stands although it was written over. Operations are remembered for eight later writes of the
   * item: a retry that comes after those, anywhere, is a new write. And the region that knew may have lost its disk before it wrote
   * again what the retry had beaten: then its row says so.
   */
  isLateRetry(value: string, { states, losses }: View): boolean {
    const dots = this.dotsOf(value);
    if (dots.length < 2) return false;
    const isBeaten = ({ winner, context }: LossRow): boolean => dots.some((dot) => winner !== undefined && compareDots(dot, winner) === 0) && dots.some((dot) => covers(context, dot));
    return states.some(({ operations }) => dots.some((dot) => operationOf(operations, dot) === undefined)) || (this.#disksLost.length > 0 && losses.some(isBeaten));
  }

  dotsOf(value: string): readonly Dot[] {
    return this.#dots.get(value) ?? [];
  }
}
