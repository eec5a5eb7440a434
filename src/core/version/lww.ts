// Last-write-wins: the state is one whole write (a value or a delete, its dot, its context). Merging takes the larger
// (stamp, actor), so replicas become equal byte by byte; what loses is handed to the loss ledger, never dropped silently.
//
//   incoming covers stored                  replace; the stored write is an ancestor, no loss
//   stored covers incoming                  nothing; the incoming write is an ancestor, no loss
//   neither covers, incoming is larger      replace; ledger the stored write, in the same atomic commit
//   neither covers, incoming is smaller     keep; ledger the incoming write before its message is acknowledged
//   the smaller covers the larger           made of siblings: written again above it (see below)
//   stored knows incoming's operation       a retry that was superseded here: never taken (see below)
//
// The last rule keeps a late retry from beating what superseded it. The order stays (stamp, actor) alone: if the
// operation could decide who wins, the order would be circular and replicas would differ for ever. Instead the stored
// write is *written again* above the retry, as an ordinary local write, which wins everywhere by order. Everywhere: also
// over a later write that superseded it elsewhere and has not arrived here. That write is then a loss in the ledger.
//
// What has seen a write is larger, because stamps are raised above what is seen; but not where it was made of siblings, before
// the policy was lww or known: a value stays there under its dot beside a larger one that a client deletes. Order alone would bring
// that one back. So the one that has seen it is written again as well.

import { compareDots, sameDot, type Dot } from './dot.ts';
import { findOperation, joinOperations, operationOf, type Operations } from './operations.ts';
import { headDot, holdsSeveral, withRemoved, withoutRemoved, type DottedValue, type State } from './record.ts';
import { coversTwin } from './siblings.ts';
import { boundVector, covers, EMPTY_VECTOR, joinVectors, withDot } from './version-vector.ts';

/** Why a merge dropped something. */
export type LossRule = 'lww' | 'sibling-cap' | 'late-operation' | 'late' | 'policy-changed';

/** A write that lost: listed, explained and restorable from the ledger. */
export interface Loss {
  readonly rule: LossRule;
  /**
   * Under a delete's dot there is no value. The context is the past of this very write, where it is known: a later loser
   * that covers an earlier one speaks for it. The context of a set of siblings is nobody's past, so it is not given.
   */
  readonly loser: { readonly dot: Dot; readonly value?: DottedValue['value']; readonly context: State['context'] };
  readonly winner: Dot | undefined;
}

export interface Merged {
  readonly state: State;
  readonly losses: readonly Loss[];
  /** `local` when the outcome is not what every replica would compute for itself, so that it must be sent like a write. */
  readonly kind: 'local' | 'applied';
  /** A rare path worth counting and, in simulation, worth a mark. */
  readonly note?: 'written-again' | 'twin';
}

/** Issues a dot above every stamp in the states that the caller merges; called at most once per merge. */
export type IssueDot = () => Dot;

export function mergeLww(stored: State, incoming: State, issue: IssueDot): Merged {
  if (stored.removed === undefined && incoming.removed === undefined) return mergeWrites(stored, incoming, issue);
  const left = withoutRemoved(stored, incoming.removed);
  const merged = mergeWrites(left, withoutRemoved(incoming, stored.removed), issue);
  // A held value that a removal dropped: nobody's context says so, and the outcome must.
  return { ...merged, state: withRemoved(merged.state, stored.removed, incoming.removed), kind: left === stored ? merged.kind : 'local' };
}

function mergeWrites(stored: State, incoming: State, issue: IssueDot): Merged {
  const [mine, mineLosses] = oneWrite(stored);
  const [theirs, theirLosses] = oneWrite(incoming);
  const losses = [...mineLosses, ...theirLosses];
  const kind = losses.length > 0 ? 'local' : 'applied';
  const operations = joinOperations(stored.operations, incoming.operations);
  const head = headDot(mine);
  const arrived = headDot(theirs);

  if (arrived === undefined || head === undefined) return withoutWrite(mine, theirs, { operations, losses, kind });
  if (sameDot(head, arrived)) return { state: { ...mine, values: joinTwins(mine.values, theirs.values), context: boundVector(joinVectors(mine.context, theirs.context), [head]), operations }, losses, kind };

  const larger = compareDots(arrived, head) > 0;
  if (isSupersededRetry(mine, head, theirs, arrived)) {
    // mark if (!larger): a superseded retry changes nothing
    if (!larger) return { state: withOperations(mine, operations), losses, kind, note: 'twin' };
    // mark: written again above a late retry
    return { state: writeAgain(mine, theirs, operations, issue()), losses, kind: 'local', note: 'written-again' };
  }
  const [winner, loser, loserDot, winnerDot] = larger ? [theirs, mine, head, arrived] : [mine, theirs, arrived, head];
  const state = withOperations(winner, operations);
  if (covers(winner.context, loserDot) || areTwins(operations, winnerDot, loserDot)) return { state, losses, kind };
  if (covers(loser.context, winnerDot)) return { state: writeAgain(loser, winner, operations, issue()), losses, kind: 'local', note: 'written-again' };
  // mark if (larger): stored loser ledgered
  // mark if (!larger): incoming loser ledgered
  return { state, losses: [...losses, lossOf(loser, loserDot, winnerDot, 'lww')], kind };
}

/**
 * At most one side holds a write; the other is nothing, or a tombstone from when the collection kept siblings. What deleted one
 * twin deleted all: that is sent, because who has evicted the operation in the meantime would keep the other.
 */
function withoutWrite(a: State, b: State, { operations, losses, kind }: { readonly operations: Operations } & Pick<Merged, 'losses' | 'kind'>): Merged {
  const [holder, other] = headDot(a) === undefined ? [b, a] : [a, b];
  const head = headDot(holder);
  const context = boundVector(joinVectors(a.context, b.context), head === undefined ? [] : [head]);
  if (head !== undefined && !coversTwin(other.context, head, operations)) return { state: { ...holder, context, operations }, losses, kind };
  const isByTwin = head !== undefined && !covers(other.context, head);
  return { state: { values: [], context, operations }, losses, kind: isByTwin ? 'local' : kind };
}

const joinTwins = (a: State['values'], b: State['values']): State['values'] =>
  a.length <= 1 && b.length <= 1 ? a : [...a, ...b.filter(({ dot }) => !a.some((held) => sameDot(held.dot, dot)))].sort((one, other) => compareDots(one.dot, other.dot));

/** Two executions of one operation are one write: the smaller dot is no loss. */
function areTwins(operations: Operations, a: Dot, b: Dot): boolean {
  const id = operationOf(operations, a);
  return id !== undefined && id === operationOf(operations, b);
}

/** The record has taken the incoming write's operation before, and something else stands now. */
function isSupersededRetry(stored: State, head: Dot, incoming: State, arrived: Dot): boolean {
  const id = operationOf(incoming.operations, arrived);
  return id !== undefined && findOperation(stored.operations, id) !== undefined && operationOf(stored.operations, head) !== id;
}

function writeAgain(stored: State, incoming: State, operations: Operations, dot: Dot): State {
  const context = boundVector(withDot(joinVectors(stored.context, incoming.context), dot));
  const value = stored.values.at(-1);
  return value === undefined ? { values: [], deleted: dot, context, operations } : { values: [{ dot, value: value.value }], context, operations };
}

const withOperations = (state: State, operations: Operations): State => (state.operations === operations ? state : { ...state, operations });

export function lossOf(state: State, dot: Dot, winner: Dot | undefined, rule: LossRule): Loss {
  const value = state.values.find((each) => sameDot(each.dot, dot))?.value;
  return { rule, loser: { dot, context: state.context, ...(value === undefined ? {} : { value }) }, winner };
}

const NO_LOSSES: readonly Loss[] = [];

/**
 * The single write of a state. A state that was merged as siblings (its collection's policy was not known yet, or has
 * changed since) may hold several; the largest stands and the others are losses of rule `policy-changed`. Its twins stay with
 * it: without one of them, whoever still merges siblings would take it for superseded, and all of them with it.
 */
export function oneWrite(state: State): readonly [State, readonly Loss[]] {
  if (!holdsSeveral(state)) return [state, NO_LOSSES];
  const head = headDot(state) as Dot;
  const kept = state.values.filter(({ dot }) => sameDot(dot, head) || areTwins(state.operations, dot, head));
  if (kept.length === state.values.length && (state.deleted === undefined || kept.length === 0)) return [state, []];
  const one: State = {
    values: kept,
    context: state.context,
    operations: state.operations,
    ...(kept.length === 0 && state.deleted !== undefined ? { deleted: state.deleted } : {}),
  };
  // mark: several values in an lww collection collapsed
  const dropped = state.values.filter((value) => !kept.includes(value));
  return [one, dropped.map(({ dot, value }) => ({ rule: 'policy-changed', loser: { dot, value, context: EMPTY_VECTOR }, winner: head }))];
}
