// Merges what arrived from another region. Whatever arrives is either merged durably, or refused so that the sender keeps
// it, or kept aside as a dead letter; one record never stops another.
//
//   1. Bytes that are no state, or lie under a key that is not theirs, are dead letters: sending them again cannot help.
//   2. A later format is refused and stays with the sender: this region is about to be upgraded.
//   3. A stamp too far ahead is refused, stays with the sender and is retried; it never counts as poison.
//   4. A partition that this region does not hold is refused: placement is asked wherever data would come to rest.
//   5. Everything else is merged; the losers go to the ledger in the same commit, or, when nothing else changes, in a
//      row of their own before the message is acknowledged.

import { decodeKey, type ItemKey } from '../core/keys/item-key.ts';
import { decodeState, MalformedError, NewerFormatError } from '../core/version/codec.ts';
import { mergeLww, type Merged } from '../core/version/lww.ts';
import { floorOf, headDot, largestStampOf, sameState, type Record, type State } from '../core/version/record.ts';
import { mergeSiblings } from '../core/version/siblings.ts';
import { operationOf } from '../core/version/operations.ts';
import { raiseAbove } from '../core/version/stamp.ts';
import type { ActorId, Dot, RegionId } from '../core/version/dot.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { Log } from '../ports/log.ts';
import type { DeadLetters } from '../ports/queue.ts';
import type { Change, Decision, Table } from '../ports/table.ts';
import { INBOX_BYTES_MAX, INBOX_RECORDS_MAX } from '../core/limits.ts';
import { ArchipelError } from '../core/errors.ts';
import type { Catalog } from './catalog.ts';
import { encodeRecords, sentBytes, type Receipt, type SentRecord } from './envelope.ts';
import { lossRows } from './ledger.ts';
import type { Timekeeper } from './timekeeper.ts';

export interface ApplyParts {
  readonly region: RegionId;
  actor(): ActorId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly time: Timekeeper;
  readonly hash: HashFunction;
  readonly log: Log;
  deadLetters(peer: RegionId): DeadLetters | undefined;
}

export class Applier {
  readonly #parts: ApplyParts;
  #records = 0;
  #bytes = 0;
  readonly stats = { applied: 0, unchanged: 0, losses: 0, writtenAgain: 0, capped: 0, dead: 0, refused: 0 };

  constructor(parts: ApplyParts) {
    this.#parts = parts;
  }

  /** @throws ArchipelError `overloaded` when the inbox is full: the sender keeps everything. */
  async apply(from: RegionId, records: readonly SentRecord[]): Promise<Receipt[]> {
    const bytes = records.reduce((sum, record) => sum + sentBytes(record), 0);
    if (this.#records > 0 && (this.#records + records.length > INBOX_RECORDS_MAX || this.#bytes + bytes > INBOX_BYTES_MAX)) {
      throw new ArchipelError('overloaded', 'The inbox is full.');
    }
    this.#records += records.length;
    this.#bytes += bytes;
    try {
      return await Promise.all(records.map((record) => this.#receive(from, record)));
    } finally {
      this.#records -= records.length;
      this.#bytes -= bytes;
    }
  }

  async #receive(from: RegionId, record: SentRecord): Promise<Receipt> {
    try {
      const { key, state } = this.#read(record);
      const refusal = this.#refusal(key, state);
      if (refusal !== undefined) this.stats.refused++;
      return refusal ?? (await this.#take(from, key, state));
    } catch (error) {
      if (error instanceof NewerFormatError) return 'newer-format'; // 2
      return this.#keepAside(from, record, error);
    }
  }

  /** @throws NewerFormatError, MalformedError: of what arrived, never of what is stored here */
  #read(record: SentRecord): { readonly key: ItemKey; readonly state: State } {
    // A copy: the key outlives the message, which is a thousand times as large.
    const key = decodeKey(new Uint8Array(record.key));
    if (key === undefined || !this.#parts.catalog.isRightKey(key)) throw new MalformedError('Not a physical key.');
    return { key, state: decodeState(record.state) };
  }

  /** What fails here (the disk, the clock, a stored record that cannot be read) is no fault of what arrived: it stays with its sender. */
  async #take(from: RegionId, key: ItemKey, state: State): Promise<Receipt> {
    try {
      await this.merge(key, state);
      return 'applied';
    } catch (error) {
      this.#parts.log.write('warn', 'apply.failed', { from, error: String(error) });
      return 'failed';
    }
  }

  #refusal(key: ItemKey, state: State): Receipt | undefined {
    if (!this.#parts.time.isAcceptable(largestStampOf(state))) return 'drift'; // 3
    const holders = this.#parts.catalog.holdersOf(key);
    return holders !== undefined && !holders.includes(this.#parts.region) ? 'not-held' : undefined; // 4
  }

  /** 1 */
  async #keepAside(from: RegionId, record: SentRecord, error: unknown): Promise<Receipt> {
    const reason = error instanceof Error ? error.message : String(error);
    this.#parts.log.write('error', 'apply.dead-letter', { from, error: reason });
    const letters = this.#parts.deadLetters(from);
    if (letters === undefined) return 'failed';
    try {
      await letters.add([{ reason, atMs: this.#parts.time.nowMs(), body: encodeRecords([record]) }]);
      this.stats.dead++;
      return 'dead';
    } catch {
      return 'failed';
    }
  }

  /** Merges one state into the record of its key. */
  async merge(key: ItemKey, incoming: State): Promise<void> {
    this.#parts.time.observe(largestStampOf(incoming));
    await this.#parts.table.update(key, this.#change(key, incoming));
  }

  #change(key: ItemKey, incoming: State): Change<void> {
    const decide = (current: Record | undefined): Decision<void> => this.#decide(key, current, incoming);
    const head = headDot(incoming);
    const isWhole = this.#parts.catalog.conflictRule(key.collection) === 'lww' && head !== undefined && incoming.values.length <= 1;
    if (!isWhole) return { decide };
    const operation = operationOf(incoming.operations, head);
    const guard = { type: 'covered', context: incoming.context, ...(operation === undefined ? {} : { operation }) } as const;
    return { decide, attempt: { guard, commit: { state: incoming, kind: 'applied' }, result: undefined } };
  }

  #decide(key: ItemKey, current: Record | undefined, incoming: State): Decision<void> {
    if (current === undefined) return { result: undefined, commit: { state: incoming, kind: 'applied' } };
    const merged = this.#merged(key, current.state, incoming);
    this.#count(merged);
    const losses = lossRows(key, merged.losses, { region: this.#parts.region, atMs: this.#parts.time.nowMs(), hash: this.#parts.hash });
    if (sameState(merged.state, current.state)) return { result: undefined, losses };
    return { result: undefined, commit: { state: merged.state, kind: merged.kind }, losses };
  }

  #merged(key: ItemKey, stored: State, incoming: State): Merged {
    if (this.#parts.catalog.conflictRule(key.collection) === 'siblings') return mergeSiblings(stored, incoming);
    return mergeLww(stored, incoming, () => this.#issue(stored, incoming));
  }

  /** For a write that is made again above a late retry. @throws ArchipelError `clock-unsafe`: the sender keeps the retry. */
  #issue(stored: State, incoming: State): Dot {
    const stamp = raiseAbove(this.#parts.time.stamp(), floorOf(stored, incoming));
    this.#parts.time.observe(stamp);
    return { actor: this.#parts.actor(), stamp };
  }

  #count(merged: Merged): void {
    this.stats.applied++;
    this.stats.losses += merged.losses.length;
    if (merged.note === 'written-again') this.stats.writtenAgain++;
    if (merged.losses.some(({ rule }) => rule === 'sibling-cap')) this.stats.capped++;
  }
}
