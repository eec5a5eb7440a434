// Merges what arrived from another region. Whatever arrives is either merged durably, or refused so that the sender keeps
// it, or kept aside as a dead letter; one record never stops another.
//
//   1. Bytes that are no state, or lie under a key that is not theirs, are dead letters: sending them again cannot help.
//   2. A later format is refused and stays with the sender: this region is about to be upgraded.
//   3. A stamp too far ahead is refused, stays with the sender and is retried; it never counts as poison.
//   4. A partition that this region does not hold is refused: placement is asked wherever data would come to rest.
//   5. Everything else is merged; the losers go to the ledger in the same commit, or, when nothing else changes, in a
//      row of their own before the message is acknowledged.
//   6. A state with values from before its key was reaped, perhaps, is not merged before they are decided on: late.ts. What
//      was found out holds only while nothing was reaped in the partition meanwhile. Out of reach: it stays with its sender.
//   7. A row of a peer's ledger is refused for the same reasons, and else stands in the ledger here before it is acknowledged,
//      once, and not where another row covers its loser. It changes no record, and is not sent on.

import { equalBytes } from '../core/bytes.ts';
import { decodeKey, type ItemKey } from '../core/keys/item-key.ts';
import { decodeState, MalformedError, NewerFormatError } from '../core/version/codec.ts';
import { decodeLossRow, isLossRow } from '../core/version/loss-row.ts';
import { mergeLww, type Merged } from '../core/version/lww.ts';
import { EMPTY_STATE, floorOf, headDot, largestStampOf, sameState, type CommitKind, type DottedValue, type Record, type State } from '../core/version/record.ts';
import { isReapedAlready, lateValues, removalOf, settleLate, type LateJudgement, type Settled } from '../core/version/reap.ts';
import { covers } from '../core/version/version-vector.ts';
import { mergeSiblings } from '../core/version/siblings.ts';
import { operationOf } from '../core/version/operations.ts';
import { raiseAbove, type Stamp } from '../core/version/stamp.ts';
import { compareDots, formatDot, type ActorId, type Dot, type RegionId } from '../core/version/dot.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { Log } from '../ports/log.ts';
import type { DeadLetters } from '../ports/queue.ts';
import type { Change, Decision, LossRow, Table } from '../ports/table.ts';
import { INBOX_BYTES_MAX } from '../core/limits.ts';
import { ArchipelError } from '../core/errors.ts';
import type { Catalog } from './catalog.ts';
import { encodeRecords, sentBytes, type Receipt, type SentRecord } from './envelope.ts';
import { hasRightId, lossRows } from './ledger.ts';
import { LateStates } from './late.ts';
import type { Limits } from './limits.ts';
import type { PeerLink } from './peer-link.ts';
import type { ReapedLines } from './reaped-lines.ts';
import type { Timekeeper } from './timekeeper.ts';

export interface ApplyParts {
  readonly region: RegionId;
  actor(): ActorId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly time: Timekeeper;
  readonly hash: HashFunction;
  readonly log: Log;
  readonly lines: ReapedLines;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly limits: Limits;
  deadLetters(peer: RegionId): DeadLetters | undefined;
}

interface MergeOutcome {
  readonly isLate: boolean;
  /** Counted when the last decision, which is the one that counts, has come to an end. */
  readonly merges: readonly Merged[];
}

const LATE: MergeOutcome = { isLate: true, merges: [] };
const UNCHANGED: MergeOutcome = { isLate: false, merges: [] };

/** Once without asking, then asking, and asking again when something was reaped meanwhile; then the sender tries again. */
const LATE_ROUNDS_MAX = 4;

export class Applier {
  readonly #parts: ApplyParts;
  readonly late: LateStates;
  #records = 0;
  #bytes = 0;
  readonly stats = { applied: 0, unchanged: 0, losses: 0, writtenAgain: 0, capped: 0, rows: 0, dead: 0, refused: 0 };

  constructor(parts: ApplyParts) {
    this.#parts = parts;
    this.late = new LateStates(parts);
  }

  /** @throws ArchipelError `overloaded` when the inbox is full: the sender keeps everything. */
  async apply(from: RegionId, records: readonly SentRecord[]): Promise<Receipt[]> {
    const bytes = records.reduce((sum, record) => sum + sentBytes(record), 0);
    if (this.#records > 0 && (this.#records + records.length > this.#parts.limits.inboxRecords || this.#bytes + bytes > INBOX_BYTES_MAX)) {
      // mark: inbox full
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
      const { key, state, row } = this.#read(record);
      const refusal = this.#refusal(key, row === undefined ? largestStampOf(state) : row.dot.stamp);
      if (refusal !== undefined) this.stats.refused++;
      return refusal ?? (await this.#take(from, () => (row === undefined ? this.merge(key, state) : this.#keepRow(row))));
    } catch (error) {
      if (error instanceof NewerFormatError) return 'newer-format'; // 2
      return this.#isHeldElsewhere(record.key) ? 'not-held' : this.#keepAside(from, record, error); // 4 before 1
    }
  }

  /** @throws NewerFormatError, MalformedError: of what arrived, never of what is stored here */
  #read(record: SentRecord): { readonly key: ItemKey; readonly state: State; readonly row?: LossRow } {
    // A copy: the key outlives the message, which is a thousand times as large.
    const key = decodeKey(new Uint8Array(record.key));
    if (key === undefined || !this.#parts.catalog.isRightKey(key)) throw new MalformedError('Not a physical key.');
    if (!isLossRow(record.state)) return { key, state: decodeState(record.state) };
    const row = decodeLossRow(new Uint8Array(record.state));
    if (!equalBytes(row.key.encoded, key.encoded) || !hasRightId(row, this.#parts.hash)) throw new MalformedError('Not a row of this item.');
    return { key, state: EMPTY_STATE, row: { ...row, key } };
  }

  /** What fails here (the disk, the clock, a stored record that cannot be read) is no fault of what arrived: it stays with its sender. */
  async #take(from: RegionId, take: () => Promise<boolean>): Promise<Receipt> {
    try {
      return (await take()) ? 'applied' : 'late';
    } catch (error) {
      // mark: apply failed here and stays with its sender
      this.#parts.log.write('warn', 'apply.failed', { from, error: String(error) });
      return 'failed';
    }
  }

  /** 7: listed here in the order of its writing here. */
  async #keepRow(row: LossRow): Promise<boolean> {
    const { table, time } = this.#parts;
    time.observe(row.dot.stamp);
    await table.update(row.key, { decide: () => ({ result: undefined, losses: [{ ...row, atMs: time.nowMs() }] }) });
    // mark: row of a peer's ledger kept
    this.stats.rows++;
    return true;
  }

  #refusal(key: ItemKey, largest: Stamp): Receipt | undefined {
    if (!this.#parts.time.isAcceptable(largest)) return 'drift'; // 3
    const holders = this.#parts.catalog.holdersOf(key);
    return holders !== undefined && !holders.includes(this.#parts.region) ? 'not-held' : undefined; // 4
  }

  /** Nothing rests in a region where its placement does not put it, a dead letter neither. */
  #isHeldElsewhere(encoded: Uint8Array): boolean {
    const key = decodeKey(new Uint8Array(encoded));
    const holders = key === undefined ? undefined : this.#parts.catalog.holdersOf(key);
    return holders !== undefined && !holders.includes(this.#parts.region);
  }

  /** 1 */
  async #keepAside(from: RegionId, record: SentRecord, error: unknown): Promise<Receipt> {
    const reason = error instanceof Error ? error.message : String(error);
    this.#parts.log.write('error', 'apply.dead-letter', { from, error: reason });
    const letters = this.#parts.deadLetters(from);
    if (letters === undefined) return 'failed';
    try {
      await letters.add([{ reason, atMs: this.#parts.time.nowMs(), body: encodeRecords([record]) }]);
      // mark: dead letter
      this.stats.dead++;
      return 'dead';
    } catch {
      return 'failed';
    }
  }

  /** Merges one state into the record of its key. False: it holds a late value, and who knows about that is out of reach. */
  async merge(key: ItemKey, incoming: State): Promise<boolean> {
    this.#parts.time.observe(largestStampOf(incoming));
    let judgement: LateJudgement | undefined;
    for (let round = 0; round < LATE_ROUNDS_MAX; round++) {
      const turn = this.#parts.lines.turn(key);
      if (round > 0) judgement = await this.late.judge(key, incoming, this.#parts.lines.of(key)); // of those who issued its dots
      if (round > 0 && judgement === undefined) return false;
      if (round > 1) this.late.stats.askedAgain++;
      const { isLate, merges } = await this.#parts.table.update(key, this.#change(key, incoming, judgement, turn));
      for (const merged of merges) this.#count(merged);
      if (!isLate) return true;
    }
    return false;
  }

  /** A tombstone that another replica wants to reap: taken also where the line has passed it. */
  async keep(key: ItemKey, tombstone: State): Promise<void> {
    this.#parts.time.observe(largestStampOf(tombstone));
    const { merges } = await this.#parts.table.update(key, { decide: (current) => this.#join(key, current, { states: [tombstone], removed: [], losses: [] }) });
    for (const merged of merges) this.#count(merged);
  }

  #change(key: ItemKey, incoming: State, judgement: LateJudgement | undefined, turn: number): Change<MergeOutcome> {
    const decide = (current: Record | undefined): Decision<MergeOutcome> =>
      judgement === undefined ? this.#decide(key, current, incoming) : this.#settle(key, current, incoming, judgement, turn);
    const head = headDot(incoming);
    const canDoWithoutBytes = this.#parts.catalog.conflictRule(key.collection) === 'lww'; // siblings stay
    // Made of siblings, it may cover a larger write: that is for who reads both (lww.ts).
    const isLargest = head !== undefined && [...incoming.context].every(([actor, stamp]) => compareDots({ actor, stamp }, head) <= 0);
    const isWhole = canDoWithoutBytes && isLargest && incoming.values.length <= 1;
    const isStillGood = (): boolean => head !== undefined && head.stamp > this.#parts.lines.of(key);
    if (judgement !== undefined || !isWhole || !isStillGood()) return { decide, canDoWithoutBytes };
    const operation = operationOf(incoming.operations, head);
    const guard = { type: 'covered', context: incoming.context, ...(operation === undefined ? {} : { operation }) } as const;
    return { decide, canDoWithoutBytes, attempt: { guard, commit: { state: incoming, kind: 'applied' }, result: UNCHANGED, isStillGood } };
  }

  #decide(key: ItemKey, current: Record | undefined, incoming: State): Decision<MergeOutcome> {
    const line = this.#parts.lines.of(key);
    // mark if (lateValues(incoming, current?.state, line).length > 0): late state asked about
    if (lateValues(incoming, current?.state, line).length > 0) return { result: LATE }; // 6
    if (isReapedAlready(incoming, current?.state, line)) return { result: UNCHANGED };
    return this.#join(key, current, { states: [incoming], removed: [], losses: [] });
  }

  /** 6: as was found out, unless something was reaped meanwhile, or more is late by now. */
  #settle(key: ItemKey, current: Record | undefined, incoming: State, judgement: LateJudgement, turn: number): Decision<MergeOutcome> {
    if (this.#parts.lines.turn(key) !== turn) return { result: LATE };
    const line = this.#parts.lines.of(key);
    const isDecided = ({ dot }: DottedValue): boolean => judgement.verdicts.has(formatDot(dot));
    const settled = settleLate(incoming, judgement, current?.state);
    if (!settled.states.every((state) => lateValues(state, current?.state, line).every(isDecided))) return { result: LATE };
    return this.#join(key, current, settled);
  }

  /** Merges the states one after the other, then the removals, in one commit. */
  #join(key: ItemKey, current: Record | undefined, { states, removed, losses }: Settled): Decision<MergeOutcome> {
    let state = current?.state;
    let kind: CommitKind = 'applied';
    const lost = [...losses];
    const merges: Merged[] = [];
    const result: MergeOutcome = { isLate: false, merges };
    const take = (incoming: State): void => {
      if (state === undefined) return void (state = incoming);
      const merged = this.#merged(key, state, incoming);
      merges.push(merged);
      lost.push(...merged.losses);
      if (merged.kind === 'local') kind = 'local';
      state = merged.state;
    };
    for (const incoming of states) take(incoming);
    const missing = removed.filter((dot) => state === undefined || !covers(state.context, dot));
    if (missing.length > 0) {
      take(removalOf(missing));
      kind = 'local'; // sent, so that whoever still holds the values drops them too
    }
    const rows = lossRows(key, lost, { region: this.#parts.region, atMs: this.#parts.time.nowMs(), hash: this.#parts.hash, kind });
    // mark if (rows.length > 0 && current !== undefined && state !== undefined && sameState(state, current.state)): loss row without a commit
    if (state === undefined || (current !== undefined && sameState(state, current.state))) return { result, losses: rows };
    return { result, commit: { state, kind }, losses: rows };
  }

  #merged(key: ItemKey, stored: State, incoming: State): Merged {
    if (this.#parts.catalog.conflictRule(key.collection) === 'siblings') return mergeSiblings(stored, incoming, { areTwinsOne: this.#parts.catalog.knowsRule(key.collection) });
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
