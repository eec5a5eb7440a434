// The table of a simulated region: the contract of ports/table.ts on a simulated disk. Decides in one of two ways, as the
// two real adapters do:
//
//   serial      on the newest state, also one that is not durable yet (the embedded store)
//   optimistic  on what was read a moment ago; when it has changed by the time of the commit, again (DynamoDB)

import { compareBytes, equalBytes, keyText } from '../../core/bytes.ts';
import { partitionOf, type GroupId, type ItemKey, type PartitionId } from '../../core/keys/item-key.ts';
import { addSums, DigestTree, elementOf, isZeroSum, leafOf, sameSum, ZERO_SUM, type Fingerprint, type Sum } from '../../core/merkle/digest.ts';
import { encodeLossRow, lossName } from '../../core/version/loss-row.ts';
import { isCandidate } from '../../core/version/reap.ts';
import { sameDot, type ActorId } from '../../core/version/dot.ts';
import { holdsSeveral, type CommitKind, type Record, type State } from '../../core/version/record.ts';
import { STAMP_ZERO, type Stamp } from '../../core/version/stamp.ts';
import type { HashFunction } from '../../core/version/tag.ts';
import { covers, type VersionVector } from '../../core/version/version-vector.ts';
import type { Change, Decision, Digests, LossQuery, LossRow, Page, RangeQuery, ScanQuery, StoredDocument, StoredItem, Table } from '../../ports/table.ts';
import { holds, lossPage, page } from '../memory/table.ts';
import { logCells, SimChangeLog, type LogRow } from './change-log.ts';
import type { Cell } from './disk.ts';
import { SimDocuments, type DocumentWatcher } from './documents.ts';
import type { Process } from './machine.ts';
import type { SeededRandom } from './random.ts';
import type { GroupOwner, SimStore } from './store.ts';
import { cells, imageOf, lossCell } from './stored.ts';

export interface TableFaults {
  readonly decisions: 'serial' | 'optimistic';
  /** `attempt`s are used. */
  readonly attempts: boolean;
  /** Reads that take time, and how long on average. */
  readonly slowReads: number;
  readonly readMs: number;
}

interface SimRecord extends Record {
  readonly element: Sum;
}

interface SimItem extends StoredItem {
  readonly record: SimRecord;
}

interface PendingChange {
  readonly lost: readonly LossRow[];
  readonly name: string;
  /** Of a removal, what was there. */
  readonly item: SimItem;
  readonly kind: CommitKind | 'swept' | 'reaped';
  readonly before: Sum;
}

interface Pending {
  /** Undefined: removed. */
  readonly item: SimItem | undefined;
  readonly settled: Promise<void>;
}

const recordsIn = (changes: readonly unknown[]): readonly PendingChange[] => (changes as readonly (PendingChange | Pick<PendingChange, 'lost'>)[]).filter((change) => 'item' in change);

/** What each durable commit shows to checkers: the item as it stands now, or as it stood before it was `reaped`. */
type CommitWatcher = (item: StoredItem, kind: CommitKind | 'reaped') => void;
/** A whole write that arrived was dealt with durably, whatever became of it. */
type TakenWatcher = (key: ItemKey, state: State, before: State | undefined) => void;

export class SimTable implements Table, GroupOwner {
  readonly supports: { readonly digests: true; readonly attempts: boolean };
  readonly digests: Digests;
  readonly changes: SimChangeLog;
  readonly #process: Process;
  readonly #store: SimStore;
  readonly #faults: TableFaults;
  readonly #random: SeededRandom;
  readonly #keyedHash: HashFunction;
  readonly #watch: CommitWatcher;
  readonly #taken: TakenWatcher;
  /** Durable items, by partition and by name. */
  readonly #items = new Map<string, SimItem>();
  readonly #partitions = new Map<string, Map<string, SimItem>>();
  readonly #pending = new Map<string, Pending>();
  readonly #losses = new Map<string, LossRow>();
  readonly #lossesOf = new Map<string, LossRow[]>();
  readonly #documents: SimDocuments;
  readonly #largest = new Map<ActorId, Stamp>();
  readonly #trees = new Map<GroupId, DigestTree>();
  readonly #counts = new Map<string, number>();
  readonly #ledgering = new Map<string, Promise<void>>(); // of an item's newest rows: one that is told of again is as durable
  #lineMs = 0;

  constructor(process: Process, store: SimStore, setting: { readonly faults: TableFaults; readonly random: SeededRandom; readonly keyedHash: HashFunction; readonly watch?: CommitWatcher; readonly taken?: TakenWatcher; readonly kept?: DocumentWatcher }) {
    this.#process = process;
    this.#store = store;
    this.#faults = setting.faults;
    this.#random = setting.random;
    this.#keyedHash = setting.keyedHash;
    this.#watch = setting.watch ?? ((): void => undefined);
    this.#taken = setting.taken ?? ((): void => undefined);
    this.#documents = new SimDocuments(store, setting.kept);
    this.supports = { digests: true, attempts: setting.faults.attempts };
    this.changes = new SimChangeLog(process, setting.random, (name) => this.#items.get(name)?.record.state);
    this.#load();
    this.digests = this.#digestPort();
    store.own(this);
  }

  #load(): void {
    const rows: [number, LogRow][] = [];
    let trimmed = 0;
    for (const [name, value] of this.#process.machine.disk.entries()) {
      const rest = name.slice(2);
      if (name === logCells.trimmed) trimmed = value as number;
      else if (name.startsWith('r ')) this.#put(rest, value as SimItem, ZERO_SUM);
      else if (name.startsWith('x ')) this.#note(value as LossRow);
      else if (name.startsWith('d ')) this.#documents.load(rest, value as StoredDocument);
      else if (name.startsWith('l ')) rows.push([Number(rest), value as LogRow]);
      else if (name.startsWith('m ')) this.#largest.set(rest as ActorId, value as Stamp);
    }
    this.changes.load(rows, trimmed);
  }

  /** One durable item takes the place of what added `before` to the digest. */
  #put(name: string, item: SimItem, before: Sum): void {
    const { group, collection, encoded } = item.key;
    const partition = partitionOf(encoded);
    this.#items.set(name, item);
    const home = `${group} ${partition}`;
    let held = this.#partitions.get(home);
    if (held === undefined) this.#partitions.set(home, (held = new Map<string, SimItem>()));
    held.set(name, item);
    this.#tree(group).add(partition, leafOf(encoded), addSums(before, item.record.element));
    this.#counts.set(collection, (this.#counts.get(collection) ?? 0) + (isZeroSum(item.record.element) ? 0 : 1) - (isZeroSum(before) ? 0 : 1));
  }

  #take(name: string, { key, record }: SimItem, partition = partitionOf(key.encoded)): void {
    this.#items.delete(name);
    this.#partitions.get(`${key.group} ${partition}`)?.delete(name);
    this.#tree(key.group).add(partition, leafOf(key.encoded), record.element);
    if (!isZeroSum(record.element)) this.#counts.set(key.collection, (this.#counts.get(key.collection) ?? 0) - 1);
  }

  #tree(group: GroupId): DigestTree {
    let tree = this.#trees.get(group);
    if (tree === undefined) this.#trees.set(group, (tree = new DigestTree()));
    return tree;
  }

  largestStamps(): VersionVector {
    return this.#largest;
  }

  // Reading and deciding ------------------------------------------------------------------------------------------------------

  async #mayBeSlow(): Promise<void> {
    this.#process.assertCapacity(this.#random);
    if (this.#random.chance(this.#faults.slowReads)) await this.#process.wait(this.#random.around(this.#faults.readMs));
  }

  async get(key: ItemKey): Promise<Record | undefined> {
    await this.#mayBeSlow();
    return this.#items.get(keyText(key.encoded))?.record;
  }

  everything(): Iterable<StoredItem> { // durable; costs no virtual time
    return this.#items.values();
  }

  /** Durable too: a row whose sync the process did not live to see accounts for nothing. */
  *everyLoss(): Iterable<LossRow> {
    for (const row of this.#losses.values()) if (this.#isOnDisk(row)) yield row;
  }

  #isOnDisk({ id }: LossRow): boolean {
    return this.#process.machine.disk.get(cells.loss(id)) !== undefined;
  }

  async update<R>(key: ItemKey, change: Change<R>): Promise<R> {
    const name = keyText(key.encoded);
    await this.#mayBeSlow();
    for (;;) {
      const seen = this.#newest(name);
      const decision = this.#decide(seen?.record, change);
      if (this.#faults.decisions === 'optimistic') {
        await this.#process.wait(this.#random.around(this.#faults.readMs));
        // mark if (this.#newest(name) !== seen): optimistic commit lost the race
        if (this.#newest(name) !== seen && this.#process.world.count('conditional write lost the race')) continue;
      }
      const result = await this.#carryOut(key, name, seen, decision);
      if (change.attempt !== undefined && result !== 'late') this.#taken(key, change.attempt.commit.state, seen?.record.state);
      return result;
    }
  }

  #newest(name: string): SimItem | undefined {
    return this.#pending.has(name) ? this.#pending.get(name)?.item : this.#items.get(name);
  }

  #decide<R>(current: Record | undefined, { decide, attempt }: Change<R>): Decision<R> {
    if (this.#faults.attempts && attempt !== undefined && attempt.isStillGood?.() !== false && holds(attempt.guard, current, attempt.commit.state)) return { ...attempt, losses: [] };
    // mark if (this.#faults.attempts && attempt !== undefined): condition failed and merged
    return decide(current);
  }

  async #carryOut<R>(key: ItemKey, name: string, seen: SimItem | undefined, { result, commit, remove, losses = [] }: Decision<R>): Promise<R> {
    const pending = this.#pending.get(name);
    const fresh = this.#fresh(name, losses);
    if (remove === true && seen !== undefined) {
      await this.#write({ name, item: seen, kind: 'reaped', before: seen.record.element, lost: [] }, true);
      return result;
    }
    if (commit === undefined && fresh.length === 0) {
      await (losses.length === 0 ? pending?.settled : Promise.all([this.#ledgering.get(name), pending?.settled]));
      return result;
    }
    const settled = commit === undefined ? this.#store.write(fresh.map(lossCell), { change: { lost: fresh } }) : this.#commit(key, name, seen, commit, fresh);
    this.#ledger(name, fresh, settled);
    await settled;
    if (commit === undefined) await pending?.settled;
    return result;
  }

  #commit(key: ItemKey, name: string, seen: SimItem | undefined, { state, kind }: { readonly state: State; readonly kind: CommitKind }, lost: readonly LossRow[]): Promise<void> {
    const element = elementOf(key.encoded, state, this.#lineMs, this.#keyedHash);
    const item: SimItem = { key, record: { state, kind, revision: (seen?.record.revision ?? 0) + 1, element } };
    return this.#write({ name, item, kind, before: seen?.record.element ?? ZERO_SUM, lost });
  }

  #write(change: PendingChange, frees = false): Promise<void> {
    const item = change.kind === 'reaped' ? undefined : change.item;
    const settled = this.#store.write([...change.lost.map(lossCell), { name: cells.record(change.name), value: item }], { change, frees });
    this.#pending.set(change.name, { item, settled });
    return settled;
  }

  // GroupOwner ----------------------------------------------------------------------------------------------------------------

  seal(changes: readonly unknown[]): readonly Cell[] {
    const made = recordsIn(changes);
    const larger = new Map<ActorId, Stamp>();
    for (const { item } of made) {
      for (const [actor, stamp] of item.record.state.context) if (stamp > (larger.get(actor) ?? this.#largest.get(actor) ?? STAMP_ZERO)) larger.set(actor, stamp);
    }
    const logged = made.filter(({ kind }) => kind !== 'swept' && kind !== 'reaped').map(({ item, kind }) => ({ key: item.key, kind: kind as CommitKind, image: imageOf(item.record.state) }));
    const rows = (changes as readonly Pick<PendingChange, 'lost'>[]).flatMap(({ lost }) => lost.filter(({ isSent }) => isSent === true).map((row) => ({ key: row.key, kind: 'local' as const, name: lossName(row.id), loss: row.id, image: encodeLossRow(row) })));
    return [...this.changes.seal([...logged, ...rows]), ...[...larger].map(([actor, stamp]): Cell => ({ name: cells.largest(actor), value: stamp }))];
  }

  durable(changes: readonly unknown[]): void {
    for (const { name, item, before, kind } of recordsIn(changes)) {
      if (kind === 'reaped') this.#take(name, item);
      else this.#put(name, item, before);
      for (const [actor, stamp] of item.record.state.context) if (stamp > (this.#largest.get(actor) ?? STAMP_ZERO)) this.#largest.set(actor, stamp);
      if (this.#pending.get(name)?.item === (kind === 'reaped' ? undefined : item)) this.#pending.delete(name);
      if (kind !== 'swept') this.#watch(item, kind);
    }
    this.changes.durable();
  }

  /** Whoever opens the disk finds what was put; what was taken, nobody would miss. */
  outlived(changes: readonly unknown[]): void {
    for (const { item, kind } of recordsIn(changes)) if (kind === 'reaped') this.#watch(item, kind);
  }

  failed(): void {
    this.#pending.clear();
    this.changes.failed();
  }

  // Loss ledger -----------------------------------------------------------------------------------------------------------------

  #fresh(name: string, losses: readonly LossRow[]): LossRow[] {
    const known = this.#lossesOf.get(name) ?? [];
    return losses.filter((loss) => !known.some((row) => row.id === loss.id || (!sameDot(row.dot, loss.dot) && covers(row.context, loss.dot))));
  }

  #note(row: LossRow): void {
    this.#losses.set(row.id, row);
    // Its dot was issued, perhaps here, and may stand nowhere else.
    if (row.dot.stamp > (this.#largest.get(row.dot.actor) ?? STAMP_ZERO)) this.#largest.set(row.dot.actor, row.dot.stamp);
    const name = keyText(row.key.encoded);
    this.#lossesOf.set(name, [...(this.#lossesOf.get(name) ?? []), row]);
  }

  #ledger(name: string, fresh: readonly LossRow[], settled: Promise<void>): void {
    if (fresh.length === 0) return;
    this.#ledgering.set(name, settled);
    for (const row of fresh) this.#note(row);
    const over = (): void => void (this.#ledgering.get(name) === settled && this.#ledgering.delete(name));
    settled.then(over, () => (over(), fresh.filter((row) => !this.#isOnDisk(row)).forEach((row) => this.#forget(row))));
  }

  #forget(row: LossRow): void {
    const name = keyText(row.key.encoded);
    this.#losses.delete(row.id);
    this.#lossesOf.set(name, (this.#lossesOf.get(name) ?? []).filter((other) => other !== row));
  }

  async losses(query: LossQuery): Promise<Page<LossRow>> {
    return lossPage([...this.#losses.values()], query);
  }

  async lossesOf({ encoded }: ItemKey): Promise<readonly LossRow[]> {
    return [...(this.#lossesOf.get(keyText(encoded)) ?? [])].sort((a, b) => (a.dot.stamp < b.dot.stamp ? -1 : 1));
  }

  async loss(id: string): Promise<LossRow | undefined> {
    return this.#losses.get(id);
  }

  // Lists -----------------------------------------------------------------------------------------------------------------------

  #sorted(group: GroupId, partition: PartitionId): SimItem[] {
    const held = this.#partitions.get(`${group} ${partition}`);
    return held === undefined || held.size === 0 ? [] : [...held.values()].sort((a, b) => compareBytes(a.key.encoded, b.key.encoded));
  }

  async range(query: RangeQuery): Promise<Page<StoredItem>> {
    await this.#mayBeSlow();
    const isIn = (sk: Uint8Array): boolean => {
      const low = query.from === undefined ? 1 : compareBytes(sk, query.from.sk);
      const high = query.to === undefined ? -1 : compareBytes(sk, query.to.sk);
      return (low > 0 || (low === 0 && query.from?.inclusive === true)) && (high < 0 || (high === 0 && query.to?.inclusive === true));
    };
    const items = [...this.#items.values()]
      .filter(({ key }) => equalBytes(key.encoded.subarray(0, query.prefix.length), query.prefix) && isIn(key.sk))
      .sort((a, b) => compareBytes(a.key.encoded, b.key.encoded));
    return page(query.descending ? items.reverse() : items, query.limit, query.bytesMax);
  }

  async scan({ group, partition, after, before, limit, bytesMax }: ScanQuery): Promise<Page<StoredItem>> {
    const items = this.#sorted(group, partition).filter(({ key }) => (after === undefined || compareBytes(key.encoded, after) > 0) && (before === undefined || compareBytes(key.encoded, before) < 0));
    return page(items, limit, bytesMax);
  }

  async tombstones({ group, partition, after, limit, bytesMax }: ScanQuery): Promise<Page<StoredItem>> {
    return page(this.#sorted(group, partition).filter(({ key, record }) => isCandidate(record.state) && (after === undefined || compareBytes(key.encoded, after) > 0)), limit, bytesMax);
  }

  async siblings(collection: string, limit: number, after?: Uint8Array): Promise<Page<ItemKey>> {
    const keys = [...this.#items.values()]
      .filter(({ key, record }) => key.collection === collection && holdsSeveral(record.state) && (after === undefined || compareBytes(key.encoded, after) > 0))
      .map(({ key }) => key)
      .sort((a, b) => compareBytes(a.encoded, b.encoded));
    const items = keys.slice(0, limit);
    const last = items.at(-1);
    return keys.length > limit && last !== undefined ? { items, cursor: last.encoded } : { items };
  }

  // Documents -------------------------------------------------------------------------------------------------------------------

  async document(name: string): Promise<StoredDocument | undefined> {
    return this.#documents.get(name);
  }

  putDocument(name: string, bytes: Uint8Array, expected: number | undefined): Promise<boolean> {
    return this.#documents.put(name, bytes, expected);
  }

  // Digests ---------------------------------------------------------------------------------------------------------------------

  #digestPort(): Digests {
    const line = (): number => this.#lineMs;
    return {
      get lineMs() {
        return line();
      },
      sweep: (toMs) => this.#sweep(toMs),
      root: (group, partitions) => this.#tree(group).root(partitions),
      partition: (group, partition) => this.#tree(group).partition(partition),
      branches: (group, partition) => this.#tree(group).branches(partition),
      leaves: (group, partition, branch) => this.#tree(group).leavesOf(partition, branch),
      leafWords: (group, partition) => this.#tree(group).words(partition),
      fingerprints: async (group, partition, leaf) =>
        this.#sorted(group, partition)
          .filter(({ key, record }) => leafOf(key.encoded) === leaf && !isZeroSum(record.element))
          .map(({ key, record }): Fingerprint => ({ key: key.encoded, sum: record.element })),
      items: (collection) => this.#counts.get(collection) ?? 0,
    };
  }

  async #sweep(toMs: number): Promise<number> {
    const lineMs = (this.#lineMs = Math.max(this.#lineMs, toMs));
    const due: Promise<void>[] = [];
    for (const name of new Set([...this.#items.keys(), ...this.#pending.keys()])) {
      const item = this.#newest(name);
      if (item === undefined || !item.record.state.values.some(({ value }) => value.expiresMs !== undefined && value.expiresMs <= lineMs)) continue;
      const element = elementOf(item.key.encoded, item.record.state, lineMs, this.#keyedHash);
      const pending = this.#pending.get(name);
      if (sameSum(element, item.record.element)) {
        if (pending !== undefined) due.push(pending.settled); // another sweep is at it
        continue;
      }
      // mark: expired value leaves the digest
      due.push(this.#write({ name, item: { key: item.key, record: { ...item.record, element } }, kind: 'swept', before: item.record.element, lost: [] }, true));
    }
    await Promise.all(due);
    return lineMs;
  }
}
