// What one table committed. DynamoDB Streams, or a log in the same atomic batch as the record.
//
// Contract:
//  - Every commit of a record appears at least once; entries of one item in the order of their commits. Between items
//    there is no order. A position is opaque but for comparison within one log.
//  - So does every row of the ledger that was written to be sent (`LossRow.isSent`), in the commit that wrote it: as `local`,
//    under `loss`, with the row itself as its image (core/version/loss-row.ts). Other rows do not appear.
//  - `image` of a record is the state as of that commit or of a later commit of the same item; undefined when the record is gone.
//  - The log has a horizon: what is older may be missing. There is no log from the beginning, and no dense sequence.
//  - A reader may see an entry before or after `Table.get` shows the commit.

import type { ItemKey } from '../core/keys/item-key.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { CommitKind } from '../core/version/record.ts';

export interface LogEntry {
  readonly position: number;
  readonly key: ItemKey;
  /** Of a row of the ledger, its id; `key` is then that of its item, and `name` that of the row. */
  readonly loss?: string;
  /** `keyText` of the physical key, where the table has made it already. */
  readonly name?: string;
  /** What this commit was: a write of this region (to be sent) or one that arrived (not to be sent on). */
  readonly kind: CommitKind;
  /** The encoded state, or row. */
  readonly image: Uint8Array | undefined;
  /** Monotonic time of the commit, where this process made it: what the lag is measured from. */
  readonly committedMs?: number;
}

export interface ChangeLog {
  /** Entries after `position` (0: from the oldest kept), at most `limit`, and whether more follow at once. */
  read(position: number, limit: number): Promise<{ readonly entries: readonly LogEntry[]; readonly more: boolean }>;
  /** Called, in order, for the entries of each commit, before its writer learns that it is done. Must not throw. */
  subscribe(listener: (entries: readonly LogEntry[]) => void): () => void;
  /** Entries up to and including this position are no longer needed by the reader. Durable some time later. */
  trim(position: number): void;
  /** The position up to which `trim` is durable: where a reader goes on after a restart. */
  trimmed(): number;
  /**
   * Of a log that another process reads: of how many items that the peer holds local changes, or rows, may not have been sent to
   * it and not been hinted. All that was answered for before the question is in it. One that is read here says nothing.
   */
  unread?(peer: RegionId): Promise<number>;
}
