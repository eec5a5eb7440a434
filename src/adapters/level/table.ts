// The durable table of one region on LevelDB.
//
// A decision is made on the newest state of its item: the *pending* one of a write that waits for its sync, else the
// durable one. Readers see durable states only. A decision that commits nothing is answered when the state it looked at
// is durable, so that no 412 or `duplicate` tells of a write that a crash takes back.

import { afterPrefix, compareBytes, concatBytes } from '../../core/bytes.ts';
import { decodeKey, partitionPrefix, type ItemKey } from '../../core/keys/item-key.ts';
import { addSums, elementOf, isZeroSum, LEAVES, sameSum, type Fingerprint, type Sum } from '../../core/merkle/digest.ts';
import { invariant } from '../../core/errors.ts';
import type { ActorId } from '../../core/version/dot.ts';
import { decodeState, encodeState } from '../../core/version/codec.ts';
import type { CommitKind, Record } from '../../core/version/record.ts';
import type { Stamp } from '../../core/version/stamp.ts';
import type { HashFunction } from '../../core/version/tag.ts';
import type { VersionVector } from '../../core/version/version-vector.ts';
import type { Change, Digests, LossQuery, LossRow, Page, RangeQuery, ScanQuery, StoredDocument, StoredItem, Table } from '../../ports/table.ts';
import type { GroupId, PartitionId } from '../../core/keys/item-key.ts';
import { Documents } from './documents.ts';
import { LevelDigests } from './digests.ts';
import { decidedWithoutBytes, KeptRecords } from './kept-records.ts';
import { LevelLosses } from './losses.ts';
import { indexRows } from './indexes.ts';
import { decodeRecord, encodeRecord, nameOf, RECORD_PREFIX_BYTES, recordRow, rows, stateBytesOf, type LoggedChange, type StoredRecord } from './layout.ts';
import { LevelChangeLog } from './change-log.ts';
import type { GroupOwner, Operation } from './group.ts';
import type { LevelStore } from './store.ts';

interface Pending {
  /** Undefined: removed. */
  readonly record: StoredRecord | undefined;
  readonly settled: Promise<void>;
}

/** Some of their dots were issued here and are in no record (a late operation's): a clock that resumed below them could issue them again. */
export interface PendingLosses {
  readonly lost: readonly LossRow[];
}

/** What one update contributes to its group. */
export type GroupChange = PendingChange | PendingLosses;

type RecordChange = LoggedChange & { readonly kind: CommitKind | 'swept' };

export interface PendingChange extends PendingLosses {
  readonly key: ItemKey;
  readonly name: string;
  readonly change: RecordChange;
  /** Of a removal, what was there. */
  readonly record: StoredRecord;
  readonly image: Uint8Array;
  readonly isRemoval?: true;
}

/** GroupWrite's. */
type Meanwhile = (() => () => void) | undefined;

const NONE_LOST: readonly LossRow[] = [];
const NO_IMAGE = new Uint8Array(0);

export class LevelTable implements Table, GroupOwner {
  readonly supports = { digests: true, attempts: false } as const;
  readonly digests: Digests;
  readonly changes: LevelChangeLog;
  readonly #store: LevelStore;
  readonly #keyedHash: HashFunction;
  readonly #pending = new Map<string, Pending>();
  readonly #kept = new KeptRecords();
  readonly #digests = new LevelDigests();
  readonly #documents: Documents;
  readonly #losses: LevelLosses;
  readonly #largest = new Map<ActorId, Stamp>();
  #lineMs = 0;

  private constructor(store: LevelStore, keyedHash: HashFunction) {
    this.#store = store;
    this.#keyedHash = keyedHash;
    this.#documents = new Documents(store);
    this.#losses = new LevelLosses(store);
    this.changes = new LevelChangeLog(store, { digests: this.#digests, losses: this.#losses, largest: this.#largest });
    this.digests = this.#digestPort();
  }

  static async open(store: LevelStore, keyedHash: HashFunction): Promise<LevelTable> {
    const table = new LevelTable(store, keyedHash);
    await table.#documents.load();
    await table.changes.load();
    store.own(table);
    store.onReopened(async () => {
      table.#kept.clear(); // before anything else is awaited: what failed may stand in the database now
      await table.#documents.load();
      table.changes.recover();
    });
    return table;
  }

  /** The largest stamp of each actor that this table has ever held: the clock resumes above it, and peers ask for it. */
  largestStamps(): VersionVector {
    return this.#largest;
  }

  async get(key: ItemKey): Promise<Record | undefined> {
    const opening = this.#store.ready();
    if (opening !== undefined) await opening;
    return this.#read(key.encoded);
  }

  /** Decoded all the same: what cannot be read here must not become a dead letter elsewhere. */
  storedState(key: ItemKey): Uint8Array | undefined {
    this.#store.assertOpen();
    const bytes = this.#store.getSync(recordRow(key.encoded));
    if (bytes === undefined) return undefined;
    const state = stateBytesOf(bytes);
    decodeState(state);
    return state;
  }

  #read(encoded: Uint8Array, name = nameOf(encoded)): StoredRecord | undefined {
    const kept = this.#kept.whole(name);
    if (kept !== undefined) return kept;
    const bytes = this.#store.getSync(recordRow(encoded));
    if (bytes === undefined) return undefined;
    const record = decodeRecord(bytes);
    this.#kept.wasRead(name, record, bytes.length);
    return record;
  }

  async update<R>(key: ItemKey, change: Change<R>): Promise<R> {
    const opening = this.#store.ready();
    if (opening !== undefined) await opening;
    const { result, done } = this.#decide(key, change);
    await done;
    return result;
  }

  /** In one turn, so that nobody else decides on the item meanwhile; `done` is when the result may be told. */
  #decide<R>(key: ItemKey, change: Change<R>): { readonly result: R; readonly done: Promise<unknown> | undefined } {
    const name = nameOf(key.encoded);
    const pending = this.#pending.get(name);
    const lean = change.canDoWithoutBytes === true && pending === undefined ? this.#kept.lean(name) : undefined;
    const early = lean === undefined ? undefined : decidedWithoutBytes(change, lean);
    const current = early !== undefined ? lean : pending === undefined ? this.#read(key.encoded, name) : pending.record;
    const { result, commit, remove, losses = [] } = early ?? change.decide(current);
    const fresh = losses.length === 0 ? NONE_LOST : this.#losses.fresh(key, losses);
    if (remove === true && current !== undefined) return { result, done: this.#remove(key, name, current) };
    if (commit === undefined && fresh.length === 0) return { result, done: losses.length === 0 ? pending?.settled : Promise.all([this.#losses.settled(key), pending?.settled]) };
    const ledger = fresh.length === 0 ? undefined : this.#losses.operations(key, fresh);
    const operations = ledger?.operations ?? [];
    const { meanwhile } = change;
    const settled =
      commit === undefined
        ? this.#store.write({ operations, change: { lost: fresh } })
        : this.#commit(key, name, current, { state: commit.state, kind: commit.kind, revision: (current?.revision ?? 0) + 1 }, { operations, lost: fresh, meanwhile: meanwhile && (() => meanwhile(result)) });
    ledger?.track(settled);
    return { result, done: commit === undefined ? Promise.all([settled, pending?.settled]) : settled };
  }

  #commit(key: ItemKey, name: string, current: StoredRecord | undefined, next: Record, { operations, lost, meanwhile }: { readonly operations: Operation[]; readonly lost: readonly LossRow[]; readonly meanwhile: Meanwhile }): Promise<void> {
    const element = elementOf(key.encoded, next.state, this.#lineMs, this.#keyedHash);
    const { state, revision, kind } = next;
    const { row, image } = encodeRecord({ state, revision, kind, element });
    const record: StoredRecord = { state, revision, kind, element };
    operations.push({ type: 'put', key: rows.record(key.encoded), value: row });
    const indexed = indexRows(key, current?.state, state, this.#lineMs);
    if (indexed.length > 0) operations.push(...indexed);
    const change = changeOf(key.encoded, kind, current?.element, element);
    return this.#write({ key, name, change, record, image, lost }, operations, { meanwhile });
  }

  /** In the log like a sweep: nobody is told, and a replay brings the digest up to date. */
  #remove(key: ItemKey, name: string, current: StoredRecord): Promise<void> {
    const operations: Operation[] = [{ type: 'del', key: rows.record(key.encoded) }];
    operations.push(...indexRows(key, current.state, undefined, this.#lineMs));
    const change = changeOf(key.encoded, 'swept', current.element, { high: 0, low: 0 });
    return this.#write({ key, name, change, record: current, image: NO_IMAGE, isRemoval: true, lost: NONE_LOST }, operations, { frees: true });
  }

  #write(change: PendingChange, operations: readonly Operation[], { frees = false, meanwhile }: { readonly frees?: boolean; readonly meanwhile?: Meanwhile }): Promise<void> {
    const settled = this.#store.write({ operations, change, meanwhile }, frees);
    this.#pending.set(change.name, { record: change.isRemoval === true ? undefined : change.record, settled });
    return settled;
  }

  // GroupOwner ----------------------------------------------------------------------------------------------------------

  seal(changes: readonly unknown[]): readonly Operation[] {
    return this.changes.seal(changes as readonly GroupChange[]);
  }

  durable(changes: readonly unknown[]): void {
    for (const each of changes as readonly GroupChange[]) {
      if (!('record' in each)) continue;
      this.#digests.apply(each.change, each.key.collection);
      const isRemoval = each.isRemoval === true;
      const pending = this.#pending.get(each.name);
      if (pending !== undefined && pending.record === (isRemoval ? undefined : each.record)) this.#pending.delete(each.name);
      if (isRemoval) this.#kept.delete(each.name);
      else this.#kept.wasWritten(each.name, each.record, each.image);
    }
    this.changes.durable(changes as readonly GroupChange[], this.#store.monotonicMs());
  }

  failed(): void {
    this.#pending.clear();
    this.changes.failed();
  }

  // Reading -------------------------------------------------------------------------------------------------------------

  async range(query: RangeQuery): Promise<Page<StoredItem>> {
    const low = query.from === undefined ? query.prefix : concatBytes(query.prefix, query.from.sk);
    const high = query.to === undefined ? afterPrefix(query.prefix) : concatBytes(query.prefix, query.to.sk);
    invariant(high !== undefined, 'no key begins with 0xff only');
    return this.#page(
      {
        [query.from?.inclusive === false ? 'gt' : 'gte']: rows.record(low),
        [query.to?.inclusive === true ? 'lte' : 'lt']: rows.record(high),
        reverse: query.descending,
      },
      query.limit,
      query.bytesMax,
    );
  }

  async scan(query: ScanQuery): Promise<Page<StoredItem>> {
    const prefix = partitionPrefix(query.group, query.partition);
    const end = query.before ?? afterPrefix(prefix);
    const high = end === undefined ? afterPrefix(rows.all('r')) : rows.record(end);
    const bounds = query.after === undefined ? { gte: rows.record(prefix) } : { gt: rows.record(query.after) };
    return this.#page({ ...bounds, lt: high as Uint8Array, reverse: false }, query.limit, query.bytesMax);
  }

  async #page(bounds: { reverse: boolean; gt?: Uint8Array; gte?: Uint8Array; lt?: Uint8Array; lte?: Uint8Array }, limit: number, bytesMax: number): Promise<Page<StoredItem>> {
    await this.#store.scannable();
    const items: StoredItem[] = [];
    let bytes = 0;
    // One more than asked tells whether there is more.
    for await (const [row, value] of this.#store.database.iterator({ ...bounds, limit: limit + 1 })) {
      const last = items.at(-1);
      if (last !== undefined && (items.length === limit || bytes >= bytesMax)) return { items, cursor: last.key.encoded };
      const key = decodeKey(row.subarray(RECORD_PREFIX_BYTES));
      invariant(key !== undefined, 'every record lies under a physical key');
      items.push({ key, record: decodeRecord(value) });
      bytes += value.length;
    }
    return { items };
  }

  async tombstones({ group, partition, after, limit, bytesMax }: ScanQuery): Promise<Page<StoredItem>> {
    await this.#store.scannable();
    const prefix = partitionPrefix(group, partition);
    const bounds = after === undefined ? { gte: rows.tombstone(prefix) } : { gt: rows.tombstone(after) };
    const end = afterPrefix(prefix);
    const below = end === undefined ? (afterPrefix(rows.all('t')) as Uint8Array) : rows.tombstone(end);
    const items: StoredItem[] = [];
    let bytes = 0;
    let seen = 0;
    for await (const row of this.#store.database.keys({ ...bounds, lt: below, limit })) {
      seen++;
      const key = decodeKey(row.subarray(1));
      const record = key === undefined ? undefined : this.#read(key.encoded);
      if (key === undefined || record === undefined) continue; // gone since
      items.push({ key, record });
      bytes += encodeState(record.state).length;
      if (bytes >= bytesMax) return { items, cursor: key.encoded };
    }
    const last = items.at(-1);
    return seen < limit || last === undefined ? { items } : { items, cursor: last.key.encoded };
  }

  async siblings(collection: string, limit: number, after?: Uint8Array): Promise<Page<ItemKey>> {
    await this.#store.scannable();
    const prefix = rows.sibling(collection, new Uint8Array(0));
    const bounds = after === undefined ? { gte: prefix } : { gt: concatBytes(prefix, after) };
    const items: ItemKey[] = [];
    for await (const row of this.#store.database.keys({ ...bounds, lt: afterPrefix(prefix) as Uint8Array, limit: limit + 1 })) {
      const last = items.at(-1);
      if (items.length === limit && last !== undefined) return { items, cursor: last.encoded };
      const key = decodeKey(row.subarray(prefix.length));
      if (key !== undefined) items.push(key);
    }
    return { items };
  }

  losses(query: LossQuery): Promise<Page<LossRow>> {
    return this.#losses.list(query);
  }

  lossesOf(key: ItemKey): Promise<readonly LossRow[]> {
    return this.#losses.ofItem(key);
  }

  loss(id: string): Promise<LossRow | undefined> {
    return this.#losses.find(id);
  }

  async document(name: string): Promise<StoredDocument | undefined> {
    return this.#documents.get(name);
  }

  putDocument(name: string, bytes: Uint8Array, expected: number | undefined): Promise<boolean> {
    return this.#documents.put(name, bytes, expected);
  }

  // Digests -------------------------------------------------------------------------------------------------------------

  #digestPort(): Digests {
    const line = (): number => this.#lineMs;
    return {
      get lineMs() {
        return line();
      },
      sweep: (toMs) => this.#sweep(toMs),
      root: (group, partitions) => this.#digests.tree(group).root(partitions),
      partition: (group, partition) => this.#digests.tree(group).partition(partition),
      branches: (group, partition) => this.#digests.tree(group).branches(partition),
      leaves: (group, partition, branch) => this.#digests.tree(group).leavesOf(partition, branch),
      leafWords: (group, partition) => this.#digests.tree(group).words(partition),
      fingerprints: (group, partition, leaf) => this.#fingerprints(group, partition, leaf),
      items: (collection) => this.#digests.items(collection),
    };
  }

  /** Moves the line first, so that commits from now on judge by it, then takes out what was counted before. */
  async #sweep(toMs: number): Promise<number> {
    await this.#store.ready();
    const lineMs = (this.#lineMs = Math.max(this.#lineMs, toMs));
    // What was judged by the line from before and is under way still has no row to be found by.
    await Promise.allSettled([...this.#pending.values()].map(({ settled }) => settled));
    await this.#store.scannable();
    const due: Promise<void>[] = [];
    for await (const row of this.#store.database.keys({ gte: rows.all('e'), lt: rows.expiry(lineMs + 1, new Uint8Array(0)) })) {
      const key = decodeKey(row.subarray(1 + 6));
      if (key !== undefined) due.push(this.#expire(key, row));
    }
    await Promise.all(due);
    return lineMs; // not a later one, of a sweep that is still at it
  }

  async #expire(key: ItemKey, row: Uint8Array): Promise<void> {
    const name = nameOf(key.encoded);
    const pending = this.#pending.get(name);
    const current = pending === undefined ? this.#read(key.encoded) : pending.record;
    const operations: Operation[] = [{ type: 'del', key: row }];
    const element = current === undefined ? undefined : elementOf(key.encoded, current.state, this.#lineMs, this.#keyedHash);
    if (current === undefined || element === undefined || sameSum(element, current.element)) return this.#store.write({ operations }, true);
    const record: StoredRecord = { ...current, element };
    const { row: bytes, image } = encodeRecord(record);
    operations.push({ type: 'put', key: rows.record(key.encoded), value: bytes });
    // The row that was seen may be of an older value; the newer one's was not durable yet, and is not needed any more either.
    operations.push(...indexRows(key, current.state, current.state, this.#lineMs));
    const change = changeOf(key.encoded, 'swept', current.element, element);
    await this.#write({ key, name, change, record, image, lost: NONE_LOST }, operations, { frees: true });
  }

  async #fingerprints(group: GroupId, partition: PartitionId, leaf: number): Promise<readonly Fingerprint[]> {
    await this.#store.scannable();
    const prefix = partitionPrefix(group, partition);
    const begin = (at: number): Uint8Array => rows.record(concatBytes(prefix, Uint8Array.of(at >> 2, (at & 3) << 6)));
    // With an end LevelDB does not read ahead, of each leaf, what lies in the next ones.
    const end = leaf + 1 < LEAVES ? begin(leaf + 1) : afterPrefix(rows.record(prefix));
    const found: Fingerprint[] = [];
    for await (const [row, value] of this.#store.database.iterator({ gte: begin(leaf), lt: end as Uint8Array })) {
      const { element } = decodeRecord(value);
      if (!isZeroSum(element)) found.push({ key: row.subarray(RECORD_PREFIX_BYTES), sum: element });
    }
    return found.sort((a, b) => compareBytes(a.key, b.key));
  }

  async close(): Promise<void> {
    await this.changes.checkpoint().catch(() => undefined); // on a disk that failed: the next start replays what it lacks
    await this.#store.close();
  }
}

function changeOf(key: Uint8Array, kind: RecordChange['kind'], before: Sum | undefined, after: Sum): RecordChange {
  const old = before ?? { high: 0, low: 0 };
  return { key, kind, delta: addSums(old, after), itemsDelta: (isZeroSum(after) ? 0 : 1) - (isZeroSum(old) ? 0 : 1) };
}
