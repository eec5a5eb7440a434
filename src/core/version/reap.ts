// Reaping: when the record of a deleted or expired item may be forgotten for good, and what to do with a message that
// arrives after that. A tombstone keeps older values away; forgotten too early, a late copy of one brings it back. So it
// is forgotten by proof, never by age:
//
//   propose ──▶ every replica: "without values, and covers this tombstone?" ──all yes──▶ told: raise the line, then delete
//                    │ it merges the tombstone first, so a replica without a record has it then
//
//   1. A tombstone has no value that a reader sees: deleted for the grace (the first replica) or twice that (the others),
//      so that as a rule one proposes; expired for the horizon.
//   2. A replica says yes when its record, the tombstone merged, is without values and covers all that the tombstone does.
//   3. The line of the partition is raised to the tombstone's largest stamp before the record goes: whatever the tombstone
//      kept away lies at or below the line from then on.
//   4. What has got a value, or anything newer than the tombstone, since the question stays.
//   5. A value at or below the line that the record neither holds nor covers is *late*: nothing here can tell whether it was
//      superseded or is delivered for the first time. The incarnation that issued its dot can.
//   6. It holds the value: merged. It does not: what it has is merged in its place, and the removal of exactly that dot is
//      recorded, a dot and not a vector, which would cover older values of the same actor.
//   7. The incarnation is no more: the value stands if a peer holds it. Else it goes to the ledger (rule `late`), and the
//      removal is recorded as in 6.
//   8. Until all that is late in a state is decided, nothing of the state is merged: its context covers those dots.
//   9. A tombstone at or below the line is not stored anew where there is no record: the line does what it would do.
//
// Simpler rules were broken by models: reaping by age, certificates by pairs, ignoring what lies below the line.

import { compareDots, formatDot, type Dot } from './dot.ts';
import type { Loss } from './lww.ts';
import { NO_OPERATIONS } from './operations.ts';
import { headDot, isExpired, largestStampOf, liveValues, withRemoved, type DottedValue, type State } from './record.ts';
import { STAMP_ZERO, stampMs, type Stamp } from './stamp.ts';
import { covers, descends, EMPTY_VECTOR } from './version-vector.ts';

export interface ReapSetting {
  readonly nowMs: number;
  readonly graceMs: number;
  readonly horizonMs: number;
  /** Of the regions that hold the partition, the one that proposes first. */
  readonly isFirst: boolean;
}

/** Invariant 1: from when on this may be proposed, unless something is written; never while a value stands that does not expire. */
export function reapableFromMs(state: State, { graceMs, horizonMs, isFirst }: Omit<ReapSetting, 'nowMs'>): number {
  const deadMs = stampMs(largestStampOf(state)) + (isFirst ? graceMs : 2 * graceMs);
  return state.values.reduce((fromMs, { value }) => Math.max(fromMs, value.expiresMs === undefined ? Number.POSITIVE_INFINITY : value.expiresMs + horizonMs), deadMs);
}

export const isReapable = (state: State, { nowMs, ...setting }: ReapSetting): boolean => nowMs >= reapableFromMs(state, setting);

/** May this become reapable without another write? Tables find such records. */
export const isCandidate = ({ values }: State): boolean => values.every(({ value }) => value.expiresMs !== undefined);

/** What is proposed: all that the record covers, without the expired values. */
export function tombstoneOf(state: State): State {
  return { values: [], context: state.context, operations: state.operations, ...(state.deleted === undefined ? {} : { deleted: state.deleted }), ...(state.removed === undefined ? {} : { removed: state.removed }) };
}

/** Invariant 3. */
export const lineOf = (tombstone: State): Stamp => largestStampOf(tombstone);

/** Everything that `b` keeps away, `a` does. */
const keepsAwayAll = (a: State, b: State): boolean => descends(a.context, b.context) && (b.removed ?? []).every((dot) => isKeptAway(a, dot));

/** Invariant 2. `record` is what stands after the tombstone was merged. */
export const agrees = (record: State | undefined, tombstone: State, atMs: number): boolean =>
  record !== undefined && liveValues(record, atMs).length === 0 && keepsAwayAll(record, tombstone);

/** Invariant 4. */
export const mayGo = (record: State, tombstone: State, atMs: number): boolean => liveValues(record, atMs).length === 0 && keepsAwayAll(tombstone, record);

// Late states -------------------------------------------------------------------------------------------------------------

const holds = (state: State | undefined, dot: Dot): boolean => state?.values.some((held) => compareDots(held.dot, dot) === 0) === true;

const isKeptAway = (state: State, dot: Dot): boolean => covers(state.context, dot) || state.removed?.some((each) => compareDots(each, dot) === 0) === true;

/** Invariant 5: of the values of a state that arrived, those that have to be asked about. */
export function lateValues(incoming: State, stored: State | undefined, line: Stamp): readonly DottedValue[] {
  if (line === STAMP_ZERO || incoming.values.every(({ dot }) => dot.stamp > line)) return [];
  return incoming.values.filter(({ dot }) => dot.stamp <= line && !holds(stored, dot) && (stored === undefined || !isKeptAway(stored, dot)));
}

/** Invariant 9. */
export const isReapedAlready = (incoming: State, stored: State | undefined, line: Stamp): boolean =>
  stored === undefined && incoming.values.length === 0 && largestStampOf(incoming) <= line;

/** What the one who issued a late value said about it, or the peers when it is no more. */
export type LateVerdict = 'holds' | 'does-not-hold' | 'is-no-more';

export function judgeLate(dot: Dot, issuer: { readonly isSame: boolean; readonly record: State | undefined }, peers: readonly (State | undefined)[]): LateVerdict {
  if (issuer.isSame) return holds(issuer.record, dot) ? 'holds' : 'does-not-hold'; // 6
  if (holds(issuer.record, dot) || peers.some((record) => holds(record, dot))) return 'holds'; // 7
  return 'is-no-more';
}

export interface LateJudgement {
  /** By formatDot of each late value. */
  readonly verdicts: ReadonlyMap<string, LateVerdict>;
  /** Of the issuers that do not hold theirs. */
  readonly records: readonly State[];
}

export interface Settled {
  /** To be merged one after the other, in place of the state that arrived. */
  readonly states: readonly State[];
  readonly removed: readonly Dot[];
  readonly losses: readonly Loss[];
}

/** Invariants 6 and 7, with what stands here for the ledger rows. */
export function settleLate(incoming: State, { verdicts, records }: LateJudgement, stored: State | undefined): Settled {
  const verdict = ({ dot }: DottedValue): LateVerdict => verdicts.get(formatDot(dot)) ?? 'holds';
  const drop = (state: State): State | undefined => {
    const values = state.values.filter((value) => verdict(value) === 'holds');
    if (values.length === state.values.length) return state;
    return values.length === 0 ? undefined : { ...state, values };
  };
  const states = [incoming, ...records].flatMap((state) => drop(state) ?? []);
  const gone = [...new Map([incoming, ...records].flatMap(({ values }) => values.filter((value) => verdict(value) !== 'holds')).map((value) => [formatDot(value.dot), value])).values()];
  const winner = stored === undefined ? undefined : headDot(stored);
  const lost = gone.filter((value) => verdict(value) === 'is-no-more');
  return {
    states,
    removed: gone.map(({ dot }) => dot),
    losses: lost.map(({ dot, value }): Loss => ({ rule: 'late', loser: { dot, value, context: EMPTY_VECTOR }, winner })), // 7
  };
}

/** Invariant 6: the removal of exactly these dots, as a state of its own. */
export const removalOf = (dots: readonly Dot[]): State => withRemoved({ values: [], context: EMPTY_VECTOR, operations: NO_OPERATIONS }, dots);

/** Values of a record that a region holds from before it was restored, at or below the line that its peers have reached. */
export const ownLateValues = (state: State, line: Stamp, nowMs: number): readonly DottedValue[] => state.values.filter(({ dot, value }) => dot.stamp <= line && !isExpired(value, nowMs));

/** A restored record without those of its values that nobody else holds: its own context goes on covering them. */
export function withoutOwnLate(state: State, dead: readonly Dot[]): { readonly state: State; readonly losses: readonly Loss[] } {
  const isDead = (value: DottedValue): boolean => dead.some((dot) => compareDots(dot, value.dot) === 0);
  const lost = state.values.filter(isDead);
  return {
    state: { ...state, values: state.values.filter((value) => !isDead(value)) },
    losses: lost.map(({ dot, value }): Loss => ({ rule: 'late', loser: { dot, value, context: EMPTY_VECTOR }, winner: undefined })),
  };
}
