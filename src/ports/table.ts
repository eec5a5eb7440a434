// The table of one region: records under physical keys, with what is committed together with them.
//
// Contract:
//  - Durable: what `update` resolves with, and what any read shows, is durable (in `relaxed` durability: handed to the
//    operating system).
//  - `update` is atomic per item: state, change-log entry, loss rows and indexes of one decision commit together or not
//    at all. Decisions on one item are serialised: each is made on the outcome of the one before. There is no atomicity
//    across items.
//  - `decide` is synchronous and may be called several times, on states that were current for a moment and may even fail
//    to become durable; the last call is the one that counts. A decision without a commit also waits until the state it
//    was made on is durable, so that nothing undurable leaves the region.
//  - `attempt`, where given, is what `decide` would answer whenever the guard holds; an adapter may use it to save
//    reading. The guard is judged on the stored record alone.
//  - Failures: `storage-full` and `storage-unavailable` (nothing was done), `write-outcome-unknown` (it may have been).
//  - Loss rows are idempotent by id; a loss that another row of the same item covers is not written, and not in the log.
//  - A record that was removed is as if it had never been: nothing decides on it any more, also not a decision that was
//    made on it and commits only now.
//  - Ranges and scans return records in physical order and may return fewer than asked with a cursor, never more.

import type { GroupId, ItemKey, PartitionId } from '../core/keys/item-key.ts';
import type { Sum, Fingerprint } from '../core/merkle/digest.ts';
import type { LossRow } from '../core/version/loss-row.ts';
import type { Dot } from '../core/version/dot.ts';
import type { Operation, OperationHash } from '../core/version/operations.ts';
import type { CommitKind, Record, State, Value } from '../core/version/record.ts';
import type { VersionVector } from '../core/version/version-vector.ts';

export type { LossRow } from '../core/version/loss-row.ts';

export interface TableSupports {
  /** Digests are kept with the writes (`digests` is there). */
  readonly digests: boolean;
  /** An `attempt` is used, and a `blind` write. */
  readonly attempts: boolean;
}

export type Guard =
  /** Nothing is stored under the key. */
  | { readonly type: 'absent' }
  /**
   * Nothing is stored; or the stored write's dot lies in this context and is not the commit's own (two that were settled
   * under one dot have contexts to be joined), the record does not know the operation, and every operation that it does
   * know is among those of the commit (else storing the commit whole would forget some).
   */
  | { readonly type: 'covered'; readonly context: VersionVector; readonly operation?: OperationHash };

export interface Commit {
  readonly state: State;
  readonly kind: CommitKind;
}

export interface Decision<R> {
  readonly result: R;
  readonly commit?: Commit;
  /**
   * Instead of a commit: the record goes, for good, and what it added to a digest with it; the change log tells nobody. Only
   * for one without live values, or where this region is to be filled from the others. A later commit under the key begins again with revision 1.
   */
  readonly remove?: true;
  readonly losses?: readonly LossRow[];
}

/**
 * A local write that stands above whatever it meets: no precondition, no context, a dot that is larger than every stamp here,
 * under last-write-wins. Over nothing, or over one whole write of a smaller stamp which does not know the operation and
 * has forgotten none that is as young, what `decide` would make of it is the stored record with this value, this dot, and this
 * operation. An adapter may do that without reading first.
 */
export interface BlindWrite<R> {
  readonly dot: Dot;
  readonly value: Value;
  readonly operation?: Operation;
  /** Asked at once before it is written. False: it must be decided. */
  readonly isStillGood?: () => boolean;
  /** What `decide` would have answered on what was replaced; asked when that is durable. */
  readonly over: (replaced: Record | undefined) => Decision<R>;
}

export interface Change<R> {
  readonly decide: (current: Record | undefined) => Decision<R>;
  /**
   * `decide` keeps nothing of the record beyond what it answers. So it may be asked first on one whose values' bytes throw when
   * they are read; and where they were read, or what it answers holds or loses one of these values, or commits nothing, it
   * is asked again on the whole record.
   */
  readonly canDoWithoutBytes?: boolean;
  readonly attempt?: {
    readonly guard: Guard;
    readonly commit: Commit;
    readonly result: R;
    /** Asked at once before the guard is used. False: it must be decided. */
    readonly isStillGood?: () => boolean;
  };
  /** As `attempt`, for a write of this region. */
  readonly blind?: BlindWrite<R> | undefined;
  /**
   * Asked at most once, while a commit is being made durable, with the result that `update` is going to resolve with; what
   * it answers is called at the moment the commit is durable, before `update` resolves, and never if it fails. So that an
   * answer is ready when the disk is. An adapter may leave it out. Neither may throw, or come back to the table.
   */
  readonly meanwhile?: ((result: R) => () => void) | undefined;
}

export interface StoredItem {
  readonly key: ItemKey;
  readonly record: Record;
}

/** `cursor` is where to go on; absent when there is no more. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly cursor?: Uint8Array;
}

export interface RangeQuery {
  /** pkPrefix of the items. */
  readonly prefix: Uint8Array;
  /** Bounds on the sort key; a missing one is open. */
  readonly from?: { readonly sk: Uint8Array; readonly inclusive: boolean };
  readonly to?: { readonly sk: Uint8Array; readonly inclusive: boolean };
  readonly descending: boolean;
  readonly limit: number;
  /** Stop after the item with which the encoded states reach this size. */
  readonly bytesMax: number;
}

export interface ScanQuery {
  readonly group: GroupId;
  readonly partition: PartitionId;
  /** Physical key after which to go on. */
  readonly after?: Uint8Array;
  /** Only keys below this one. */
  readonly before?: Uint8Array;
  readonly limit: number;
  readonly bytesMax: number;
  /** What was committed within the last SCAN_LAG_MS_MAX may be missing, or shown as it was before, where that is cheaper. An adapter may leave it out. */
  readonly mayLag?: boolean;
}

/**
 * DynamoDB says "after a short time", seconds at most as a rule, and names no bound. So this is far more than it takes; what
 * is proved by such a scan is proved of what is older (engine/reconcile.ts).
 */
export const SCAN_LAG_MS_MAX = 60_000;

export interface LossQuery {
  readonly collection: string;
  /** Only rows written at or after this time. */
  readonly sinceMs?: number;
  readonly after?: Uint8Array;
  readonly limit: number;
}

/** A small named document beside the items, with compare-and-set: leases, certificates, cursors, identity. */
export interface StoredDocument {
  readonly bytes: Uint8Array;
  readonly revision: number;
}

export interface Digests {
  /** Values that expire at or before this time no longer count. */
  readonly lineMs: number;
  /** Moves the line to `toMs`, never back, and takes out what has expired by then. Answers the line that all is swept to. */
  sweep(toMs: number): Promise<number>;
  root(group: GroupId, partitions: Iterable<PartitionId>): Sum;
  partition(group: GroupId, partition: PartitionId): Sum;
  branches(group: GroupId, partition: PartitionId): readonly Sum[];
  leaves(group: GroupId, partition: PartitionId, branch: number): readonly Sum[];
  /** Two words for each leaf, high before low; undefined where nothing was ever added. To be read at once. */
  leafWords(group: GroupId, partition: PartitionId): Uint32Array | undefined;
  /** The items of a leaf that count, in key order, from the records themselves. */
  fingerprints(group: GroupId, partition: PartitionId, leaf: number): Promise<readonly Fingerprint[]>;
  /** Live items per collection. */
  items(collection: string): number;
}

export interface Table {
  readonly supports: TableSupports;
  get(key: ItemKey): Promise<Record | undefined>;
  /**
   * The state of the record in the form in which it is stored and sent (`encodeState`), where that can be told at once: then
   * nothing is encoded to be sent. @throws MalformedError for a record that cannot be read; else as `get` does, at once
   */
  storedState?(key: ItemKey): Uint8Array | undefined;
  update<R>(key: ItemKey, change: Change<R>): Promise<R>;
  range(query: RangeQuery): Promise<Page<StoredItem>>;
  scan(query: ScanQuery): Promise<Page<StoredItem>>;
  /**
   * Candidates for reaping, in physical order: every record without values, or with none but such as expire. May answer
   * fewer than asked, or none, with a cursor.
   */
  tombstones(query: ScanQuery): Promise<Page<StoredItem>>;
  /** Keys of items of the collection that hold several values, or one beside a delete (`holdsSeveral`). */
  siblings(collection: string, limit: number, after?: Uint8Array): Promise<Page<ItemKey>>;
  /** Loss rows in the order in which they were written. */
  losses(query: LossQuery): Promise<Page<LossRow>>;
  lossesOf(key: ItemKey): Promise<readonly LossRow[]>;
  loss(id: string): Promise<LossRow | undefined>;
  document(name: string): Promise<StoredDocument | undefined>;
  /** False when the stored revision is not `expected` (undefined: no document). Durable when it resolves. */
  putDocument(name: string, bytes: Uint8Array, expected: number | undefined): Promise<boolean>;
  readonly digests?: Digests;
  /** The largest stamp of each actor that was ever held, in a record or in the ledger: the clock resumes above it, and peers are asked for it. */
  largestStamps?(): VersionVector;
}
