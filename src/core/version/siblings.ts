// Siblings: concurrent writes are all kept until a client, having read them, writes with their context. The state is a
// dotted version vector set: values under their dots, and a context that covers them and all they superseded.
//
// A value survives a merge when both sides hold it, or when the other side's context does not cover its dot:
//
//   A: {a1, a2} ctx {A:2}   B: {b1} ctx {A:1, B:1}     b1 superseded a1 but never saw a2
//   merged: {a2, b1} ctx {A:2, B:1}
//
// Values of one operation (*twins*: the retry of a write was executed in a second region) are one value, so whoever
// covers one twin covers them all. That may come out only here, in the merge: a side can hold a twin and at the same time
// cover its brother, because a client read the brother elsewhere, and the side did not know that the two are one.
//
//   A: {x} ctx {A:1}            PUT X at A
//   B: {x'} ctx {B:1}           X again at B, which had not heard of it
//   B: {x', y} ctx {A:1, B:2}   PUT Y at B with the context of a read at A: Y's author had seen X
//   merged: {y} ctx {A:1, B:2}
//
// Under last-write-wins two retried writes can have superseded each other, because nobody there has to have read what he
// replaces; and a region that does not know the policy yet merges its states as siblings:
//
//   A: {x'} ctx {A:2}           PUT Y at A, then X again at A, blindly
//   B: {y'} ctx {B:2}           PUT X at B, then Y again at B, blindly
//   merged as twins: {}         each has superseded the other's first execution: both would be lost
//
// So twins are told apart where the policy is not known: both stay, until it says which of them stands.
//
// Sources: Preguiça et al., "Dotted Version Vectors", 2012; Almeida et al., "Scalable and Accurate Causality Tracking
// for Eventually Consistent Stores", 2014.

import { SIBLINGS_HARD_MAX } from '../limits.ts';
import { compareDots, sameDot, type Dot } from './dot.ts';
import type { Loss, Merged } from './lww.ts';
import { joinOperations, operationOf, twinDots, type Operations } from './operations.ts';
import { withRemoved, withoutRemoved, type DottedValue, type State } from './record.ts';
import { boundVector, covers, EMPTY_VECTOR, joinVectors, type VersionVector } from './version-vector.ts';

/** `areTwinsOne`: the collection is known to keep siblings. */
export function mergeSiblings(mine: State, theirs: State, { areTwinsOne = true }: { readonly areTwinsOne?: boolean } = {}): Merged {
  const stored = withoutRemoved(mine, theirs.removed);
  const incoming = withoutRemoved(theirs, mine.removed);
  const operations = joinOperations(stored.operations, incoming.operations);
  const survivesItself = ({ dot }: DottedValue): boolean => !isGone(dot, stored) && !isGone(dot, incoming);
  const survivesAsTwin = ({ dot }: DottedValue): boolean => !isSuperseded(dot, stored, operations) && !isSuperseded(dot, incoming, operations);
  const survives = areTwinsOne ? survivesAsTwin : survivesItself;
  const survivors = stored.values.filter(survives);
  for (const value of incoming.values) {
    if (!survivors.some((mine) => sameDot(mine.dot, value.dot)) && survives(value)) survivors.push(value);
  }
  const deleted = laterDelete(stored.deleted, incoming.deleted);
  const held = [...survivors.map(({ dot }) => dot), ...(deleted === undefined ? [] : [deleted])];
  const context = boundVector(joinVectors(stored.context, incoming.context), held);
  const state: State = { values: survivors.sort((a, b) => compareDots(a.dot, b.dot)), context, operations, ...(deleted === undefined ? {} : { deleted }) };
  // mark if (survivors.length > Math.max(stored.values.length, incoming.values.length)): concurrent values merged
  // mark if (survivors.some(({ dot }) => twinDots(operations, dot).length > 1)): twins merged
  const merged = capped(withRemoved(state, mine.removed, theirs.removed));
  // A held value that a removal dropped: nobody's context says so, and the outcome must. So with one that went with its twin: who
  // has evicted the operation in the meantime would keep it.
  const isByTwin = [...stored.values, ...incoming.values].some((value) => !survives(value) && !isGone(value.dot, stored) && !isGone(value.dot, incoming));
  return stored === mine && !isByTwin ? merged : { ...merged, kind: 'local' };
}

const isGone = (dot: Dot, side: State): boolean => covers(side.context, dot) && !side.values.some((held) => sameDot(held.dot, dot));

/** Has this side seen the value under `dot`, or a twin of it, and no longer holds it? Then something superseded them all. */
function isSuperseded(dot: Dot, side: State, operations: Operations): boolean {
  // mark if (!isGone(dot, side) && twinDots(operations, dot).some((twin) => isGone(twin, side))): a twin goes with its brother
  return isGone(dot, side) || twinDots(operations, dot).some((twin) => isGone(twin, side));
}

export const coversTwin = (context: VersionVector, dot: Dot, operations: Operations): boolean =>
  covers(context, dot) || twinDots(operations, dot).some((twin) => covers(context, twin));

const laterDelete = (a: Dot | undefined, b: Dot | undefined): Dot | undefined => (a === undefined || (b !== undefined && compareDots(b, a) > 0) ? b : a);

/**
 * The hard cap keeps the largest stamps; the rest is ledgered. A twin goes with its brother, which has the row. The
 * context goes on covering what was dropped, and the outcome is sent like a write (`local`): a replica that saw other
 * states in between would cap differently.
 */
function capped(state: State): Merged {
  const surplus = state.values.length - SIBLINGS_HARD_MAX;
  if (surplus <= 0) return { state, losses: [], kind: 'applied' };
  // mark: sibling cap in a merge
  const dropped = state.values.slice(0, surplus);
  const winner = state.values.at(-1)?.dot;
  const losses = dropped.map(({ dot, value }: DottedValue): Loss => ({ rule: 'sibling-cap', loser: { dot, value, context: EMPTY_VECTOR }, winner }));
  const ids = new Set(dropped.map(({ dot }) => operationOf(state.operations, dot)));
  const kept = state.values.slice(surplus).filter(({ dot }) => {
    const id = operationOf(state.operations, dot);
    return id === undefined || !ids.has(id);
  });
  return { state: { ...state, values: kept }, losses, kind: 'local' };
}
