// What is stored under a key. A *state* is merged, sent and compared; the *envelope* around it belongs to one replica
// and is never sent, hashed or compared. A state without live values is a tombstone: it still says what it covers.

import { REMOVED_DOTS_MAX } from '../limits.ts';
import { compareDots, formatDot, type Dot } from './dot.ts';
import { NO_OPERATIONS, formatOperations, twinDots, type Operations } from './operations.ts';
import { covers, EMPTY_VECTOR, formatVector, largestStamp, type VersionVector } from './version-vector.ts';
import { maxStamp, STAMP_ZERO, type Stamp } from './stamp.ts';

export interface Value {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  /** First 8 bytes of SHA-256 of the bytes: the deep check finds a flipped bit by it. */
  readonly hash: Uint8Array;
  /** Milliseconds since 1970 from which on the value is absent. */
  readonly expiresMs?: number;
}

export interface DottedValue {
  readonly dot: Dot;
  readonly value: Value;
}

export interface State {
  /** In dot order. Under `lww` at most one. */
  readonly values: readonly DottedValue[];
  /** Under `lww`: the dot of the delete, when a delete is the write that stands. */
  readonly deleted?: Dot;
  /** Covers the dots of all values, of the delete, and of everything they superseded. */
  readonly context: VersionVector;
  readonly operations: Operations;
  /**
   * Values that the one who issued them no longer has, by exactly these dots (reap.ts). The context does not cover them: it
   * would cover older values of the same actor, which may live. Absent when there are none.
   */
  readonly removed?: readonly Dot[];
}

/** Whether the last commit of a record was a write of this region, to be sent, or one that arrived from another. */
export type CommitKind = 'local' | 'applied';

export interface Record {
  readonly state: State;
  /** Raised by every commit of this replica that was decided on the record; 1 for the first, and for one that was made without reading it. */
  readonly revision: number;
  readonly kind: CommitKind;
}

export const EMPTY_STATE: State = { values: [], context: EMPTY_VECTOR, operations: NO_OPERATIONS };

export const isExpired = (value: Value, nowMs: number): boolean => value.expiresMs !== undefined && value.expiresMs <= nowMs;

/** The values that a reader sees at this time: expired ones are absent. */
export function liveValues(state: State, nowMs: number): readonly DottedValue[] {
  const [first] = state.values;
  if (state.values.length === 1 && first !== undefined && !isExpired(first.value, nowMs)) return state.values;
  return state.values.every(({ value }) => !isExpired(value, nowMs)) ? state.values : state.values.filter(({ value }) => !isExpired(value, nowMs));
}

/** The live values with twins shown once, under their smallest dot. */
export function distinctValues(state: State, nowMs: number): readonly DottedValue[] {
  const live = liveValues(state, nowMs);
  if (live.length < 2) return live;
  const seen = new Set<string>();
  return live.filter(({ dot }) => {
    const [smallest] = [...twinDots(state.operations, dot)].sort(compareDots);
    const name = formatDot(smallest as Dot);
    return seen.has(name) ? false : seen.add(name) !== undefined;
  });
}

/** The write that stands under last-write-wins: the largest of the values' dots and the delete's. */
export function headDot(state: State): Dot | undefined {
  let head = state.deleted;
  for (const { dot } of state.values) if (head === undefined || compareDots(dot, head) > 0) head = dot;
  return head;
}

/** Several values; or, where a delete of a `lww` collection was merged before its policy was known, a value beside it. */
export const holdsSeveral = ({ values, deleted }: State): boolean => values.length + (deleted === undefined ? 0 : 1) > 1;

/** The largest stamp anywhere in the state, of any actor: a new dot must lie above it. */
export function largestStampOf(state: State): Stamp {
  let largest = largestStamp(state.context);
  for (const { dot } of state.values) largest = maxStamp(largest, dot.stamp);
  for (const { stamp } of state.removed ?? []) largest = maxStamp(largest, stamp);
  return state.deleted === undefined ? largest : maxStamp(largest, state.deleted.stamp);
}

export const floorOf = (...states: readonly (State | undefined)[]): Stamp =>
  states.reduce<Stamp>((floor, state) => (state === undefined ? floor : maxStamp(floor, largestStampOf(state))), STAMP_ZERO);

const sameDots = (a: readonly Dot[], b: readonly Dot[]): boolean =>
  a.length === b.length && a.every((dot, i) => compareDots(dot, b[i] as Dot) === 0);

/** Equal in everything that is merged. Values are compared by dot: a dot is issued once, ever. */
export function sameState(a: State, b: State): boolean {
  return (
    a === b ||
    (sameDots(a.values.map(({ dot }) => dot), b.values.map(({ dot }) => dot)) &&
      (a.deleted === undefined ? b.deleted === undefined : b.deleted !== undefined && compareDots(a.deleted, b.deleted) === 0) &&
      formatVector(a.context) === formatVector(b.context) &&
      formatOperations(a.operations) === formatOperations(b.operations) &&
      a.operations.evicted === b.operations.evicted &&
      sameDots(a.removed ?? [], b.removed ?? []))
  );
}

const isRemoved = (removed: readonly Dot[] | undefined, dot: Dot): boolean => removed?.some((each) => compareDots(each, dot) === 0) === true;

/** The state without the values that the other side knows to be removed. The same object when it holds none of them. */
export function withoutRemoved(state: State, removed: readonly Dot[] | undefined): State {
  if (removed === undefined || !state.values.some(({ dot }) => isRemoved(removed, dot))) return state;
  return { ...state, values: state.values.filter(({ dot }) => !isRemoved(removed, dot)) };
}

/**
 * The state with these removals besides its own, as far as they still say something: one whose dot the context covers does
 * not. Of very many the oldest are forgotten: whoever holds their values is asked about them again.
 */
export function withRemoved(state: State, ...more: readonly (readonly Dot[] | undefined)[]): State {
  if (state.removed === undefined && more.every((removed) => removed === undefined)) return state;
  const all = [state.removed, ...more].flatMap((removed) => removed ?? []);
  const { removed: _, ...rest } = state;
  const said = new Map(all.filter((dot) => !covers(state.context, dot)).map((dot) => [formatDot(dot), dot]));
  const removed = [...said.values()].sort(compareDots).slice(-REMOVED_DOTS_MAX);
  return removed.length === 0 ? rest : { ...rest, removed };
}
