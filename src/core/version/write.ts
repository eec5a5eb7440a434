// The decision of the coordinator: what a client's PUT or DELETE does to the state that this region holds.
//
// Invariants, cited at the branches below:
//  1. An operation id is looked up before any precondition: a retry gets the first outcome, never 412.
//  2. An operation that may have been taken and forgotten is not written again.
//  3. Preconditions are judged on what a reader would see now: expired values are absent, twins are one value.
//  4. The new dot lies above every stamp in the record, in the given context and below the reaped line, so that what
//     covers is always larger than what it covers, and an accepted write never loses in its own region.
//  5. A write removes what its context covers. Without a context: under `lww` it replaces what the region holds (an
//     ancestor, not a loss); under `siblings` it adds a sibling, and a DELETE removes what the region holds now.
//  6. Under `lww` a write whose context does not cover the stored value replaces it and ledgers it.
//  7. Whose context covers a write knows its operation, or has evicted it: a context brings the operations of what it covers.
//  8. No record outgrows its limits, whatever it holds that nobody sees any more.

import { SIBLINGS_HARD_MAX, SIBLINGS_SOFT_MAX } from '../limits.ts';
import type { ErrorCode } from '../errors.ts';
import type { ActorId, Dot } from './dot.ts';
import { lossOf, oneWrite, type Loss } from './lww.ts';
import { findOperation, joinOperations, mayBeForgotten, withOperation, type Operation, type OperationEntry, type Operations } from './operations.ts';
import { distinctValues, EMPTY_STATE, headDot, isExpired, largestStampOf, liveValues, withRemoved, type DottedValue, type State, type Value } from './record.ts';
import { coversTwin } from './siblings.ts';
import { acceptedTags, type HashFunction } from './tag.ts';
import { maxStamp, raiseAbove, type Stamp } from './stamp.ts';
import { boundVector, EMPTY_VECTOR, joinVectors, largestStamp, withDot, type VersionVector } from './version-vector.ts';

export type ConflictRule = 'lww' | 'siblings';

/** `*`, or the tags named. */
export type TagCondition = '*' | readonly string[];

export interface Write {
  /** Undefined for a DELETE. */
  readonly value?: Value;
  /** From an authenticated token of this very item. */
  readonly context?: VersionVector;
  /** Of what the context covers, from the same token. */
  readonly seen?: Operations;
  readonly operation?: Operation;
  readonly ifMatch?: TagCondition;
  readonly ifNoneMatch?: TagCondition;
}

export interface WriteSetting {
  readonly conflict: ConflictRule;
  readonly requireContext: boolean;
  readonly actor: ActorId;
  /** What the hybrid logical clock offers; raised where the record is ahead of it. */
  readonly stamp: Stamp;
  readonly reapedLine: Stamp;
  readonly nowMs: number;
  readonly hash: HashFunction;
}

export type WriteDecision =
  | { readonly type: 'commit'; readonly state: State; readonly dot: Dot; readonly losses: readonly Loss[]; readonly outcome: 'stored' | 'sibling' }
  /** Not written, but not forgotten either: the losses go to the ledger. */
  | { readonly type: 'superseded'; readonly losses: readonly Loss[] }
  | { readonly type: 'duplicate'; readonly entry: OperationEntry }
  | { readonly type: 'refused'; readonly code: WriteRefusal };

export type WriteRefusal = Extract<
  ErrorCode,
  'idempotency-key-reused' | 'operation-expired' | 'precondition-failed' | 'context-required' | 'not-found' | 'too-many-siblings'
>;

export function decideWrite(stored: State | undefined, write: Write, setting: WriteSetting): WriteDecision {
  const state = write.seen === undefined ? (stored ?? EMPTY_STATE) : withSeen(stored ?? EMPTY_STATE, write.seen); // 7

  const known = write.operation === undefined ? undefined : findOperation(state.operations, write.operation.id);
  if (known !== undefined) return isReused(known, write.operation) ? refuse('idempotency-key-reused') : { type: 'duplicate', entry: known }; // 1
  if (write.operation !== undefined && mayBeForgotten(state.operations, write.operation)) return forgotten(state, write, setting); // 2

  const refusal = judge(state, write, setting);
  // mark if (refusal === 'precondition-failed'): precondition failed
  if (refusal !== undefined) return refuse(refusal); // 3

  const dot = issue(state, write, setting);
  return setting.conflict === 'lww' ? writeLww(state, write, setting, dot) : writeSibling(state, write, setting, dot);
}

function withSeen(state: State, seen: Operations): State {
  const operations = joinOperations(state.operations, seen);
  // mark if (operations !== state.operations): operation known from a context
  return operations === state.operations ? state : { ...state, operations };
}

const refuse = (code: WriteRefusal): WriteDecision => ({ type: 'refused', code });

const isReused = (known: OperationEntry, operation: Operation | undefined): boolean =>
  known.payload !== undefined && operation?.payload !== undefined && known.payload !== operation.payload;

const isConditional = (write: Write): boolean => write.ifMatch !== undefined || write.ifNoneMatch !== undefined;

/**
 * Taken or not, we cannot tell. An unconditional `lww` write is accounted for either way: it happened and was
 * superseded. For anything else "superseded" could claim a success that never was, so the client is told to look.
 */
function forgotten(state: State, write: Write, setting: WriteSetting): WriteDecision {
  // mark if (setting.conflict === 'siblings' || isConditional(write)): operation expired
  if (setting.conflict === 'siblings' || isConditional(write)) return refuse('operation-expired');
  // mark: late operation superseded
  if (write.value === undefined) return { type: 'superseded', losses: [] };
  const dot = issue(state, write, setting);
  return { type: 'superseded', losses: [{ rule: 'late-operation', loser: { dot, value: write.value, context: EMPTY_VECTOR }, winner: headDot(state) }] };
}

function judge(state: State, write: Write, setting: WriteSetting): WriteRefusal | undefined {
  const exists = liveValues(state, setting.nowMs).length > 0;
  if (isConditional(write)) {
    const tags = acceptedTags(state, setting.nowMs, setting.hash);
    const matches = (condition: TagCondition): boolean => (condition === '*' ? exists : condition.some((tag) => tags.includes(tag)));
    if (write.ifMatch !== undefined && !matches(write.ifMatch)) return 'precondition-failed';
    if (write.ifNoneMatch !== undefined && matches(write.ifNoneMatch)) return 'precondition-failed';
  }
  if (write.value === undefined && !exists) return 'not-found';
  if (setting.requireContext && exists && write.context === undefined && !isConditional(write)) return 'context-required';
  return undefined;
}

/** Invariant 4. */
function issue(state: State, write: Write, setting: WriteSetting): Dot {
  const floor = maxStamp(maxStamp(largestStampOf(state), largestStamp(write.context ?? EMPTY_VECTOR)), setting.reapedLine);
  // mark if (setting.stamp <= floor): stamp raised above the record
  return { actor: setting.actor, stamp: raiseAbove(setting.stamp, floor) };
}

function writeLww(state: State, write: Write, setting: WriteSetting, dot: Dot): WriteDecision {
  const [mine, policyLosses] = oneWrite(state);
  const replaced = mine.values.at(-1);
  const unseen = // 6
    replaced !== undefined && write.context !== undefined && !isExpired(replaced.value, setting.nowMs) && !coversTwin(write.context, replaced.dot, state.operations);
  const context = boundVector(withDot(joinVectors(state.context, write.context ?? EMPTY_VECTOR), dot));
  const operations = withOperation(state.operations, write.operation, dot);
  const next: State = write.value === undefined ? { values: [], context, operations, deleted: dot } : { values: [{ dot, value: write.value }], context, operations };
  const losses = unseen ? [...policyLosses, lossOf(mine, replaced.dot, dot, 'lww')] : policyLosses;
  // mark if (unseen): unseen value replaced and ledgered
  return { type: 'commit', state: withRemoved(next, state.removed), dot, losses, outcome: 'stored' };
}

function writeSibling(state: State, write: Write, setting: WriteSetting, dot: Dot): WriteDecision {
  const context = write.context;
  const isSuperseded = ({ dot: held }: DottedValue): boolean => // 5
    context === undefined ? write.value === undefined : coversTwin(context, held, state.operations);
  const kept = state.values.filter((value) => !isSuperseded(value));
  const values = write.value === undefined ? kept : withoutSurplus([...kept, { dot, value: write.value }], setting.nowMs);
  const next: State = {
    values,
    context: boundVector(withDot(joinVectors(state.context, context ?? EMPTY_VECTOR), dot), values.map((value) => value.dot)),
    operations: withOperation(state.operations, write.operation, dot),
  };
  const shown = distinctValues(next, setting.nowMs).length;
  // mark if (write.value !== undefined && shown > SIBLINGS_SOFT_MAX): too many siblings refused
  if (write.value !== undefined && shown > SIBLINGS_SOFT_MAX) return refuse('too-many-siblings');
  return { type: 'commit', state: withRemoved(next, state.removed), dot, losses: [], outcome: write.value !== undefined && shown > 1 ? 'sibling' : 'stored' };
}

/**
 * Invariant 8. Expired values wait in the record for the sweep, and a client that adds one a second with a short life
 * would fill it: above the hard cap the oldest of them go at once. Values that a reader sees are held by the soft cap.
 */
function withoutSurplus(values: readonly DottedValue[], nowMs: number): readonly DottedValue[] {
  let surplus = values.length - SIBLINGS_HARD_MAX;
  return surplus <= 0 ? values : values.filter(({ value }) => !(isExpired(value, nowMs) && surplus-- > 0));
}
