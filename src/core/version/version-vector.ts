// A version vector says, per actor, the largest stamp whose effect is known: it *covers* a dot when its entry for the
// dot's actor is at least the dot's stamp. Stamps are sparse, so an entry also covers stamps that were never issued;
// that is sound because an actor writes an item one write after the other, so who knows a write of an actor knows, or
// knows the outcome of, all earlier ones on that item. A vector is therefore only ever taken from a state that was read
// whole, joined with such vectors, and extended by a new dot. See Preguiça et al., "Dotted Version Vectors", 2012.

import { VECTOR_ACTORS_MAX } from '../limits.ts';
import { actorRegion, compareDots, formatDot, type ActorId, type Dot, type RegionId } from './dot.ts';
import { maxStamp, STAMP_ZERO, type Stamp } from './stamp.ts';

export type VersionVector = ReadonlyMap<ActorId, Stamp>;

export const EMPTY_VECTOR: VersionVector = new Map();

export type Causality = 'equal' | 'before' | 'after' | 'concurrent';

export const covers = (vector: VersionVector, dot: Dot): boolean => (vector.get(dot.actor) ?? STAMP_ZERO) >= dot.stamp;

/** Everything that `b` covers is covered by `a`. */
export function descends(a: VersionVector, b: VersionVector): boolean {
  for (const [actor, stamp] of b) if ((a.get(actor) ?? STAMP_ZERO) < stamp) return false;
  return true;
}

/** Descends and covers more. */
export const dominates = (a: VersionVector, b: VersionVector): boolean => descends(a, b) && !descends(b, a);

export function compareVectors(a: VersionVector, b: VersionVector): Causality {
  const after = descends(a, b);
  const before = descends(b, a);
  return after ? (before ? 'equal' : 'after') : before ? 'before' : 'concurrent';
}

/** The smallest vector that covers what either covers. Returns an argument unchanged when it already is that vector. */
export function joinVectors(a: VersionVector, b: VersionVector): VersionVector {
  if (a === b || b.size === 0 || descends(a, b)) return a;
  if (a.size === 0) return b;
  const joined = new Map(a);
  for (const [actor, stamp] of b) joined.set(actor, maxStamp(joined.get(actor) ?? STAMP_ZERO, stamp));
  return joined;
}

export function withDot(vector: VersionVector, dot: Dot): VersionVector {
  return covers(vector, dot) ? vector : new Map(vector).set(dot.actor, dot.stamp);
}

export function largestStamp(vector: VersionVector): Stamp {
  let largest = STAMP_ZERO;
  for (const stamp of vector.values()) if (stamp > largest) largest = stamp;
  return largest;
}

/** The entries as dots in (actor) order: the canonical form for encoding, hashing and printing. */
export function vectorEntries(vector: VersionVector): Dot[] {
  return [...vector].map(([actor, stamp]) => ({ actor, stamp })).sort((a, b) => (a.actor < b.actor ? -1 : 1));
}

/** One-line form: `{ap-northeast-2~x1@…, eu-central-1~k3@…}`. */
export const formatVector = (vector: VersionVector): string => `{${vectorEntries(vector).map(formatDot).join(', ')}}`;

/**
 * Keeps the `most` entries with the largest stamps. Hazardous: a vector that forgot an actor no longer covers that actor's old
 * writes, so one of them that arrives late, or is still held elsewhere, comes back as a false sibling (under last-write-wins
 * as a false loser). Keeping the largest of a union is associative, commutative and idempotent, so replicas that prune on
 * every path to the same size forget the same; pruned on some paths only, they disagree until the item is written again.
 */
export function pruneVector(vector: VersionVector, most: number): VersionVector {
  if (!Number.isInteger(most) || most < 1) throw new TypeError('A vector is pruned to at least one entry.');
  if (vector.size <= most) return vector;
  const newest = vectorEntries(vector).sort((a, b) => compareDots(b, a));
  return new Map(newest.slice(0, most).map(({ actor, stamp }) => [actor, stamp]));
}

/**
 * What a state may carry: with one entry per region and incarnation, only hundreds of starts as somebody new, each followed by
 * a write of the same item, reach the bound. An item that cannot be written any more is worse than an old value that comes
 * back. What the state holds stays covered, however old it is.
 */
export const boundVector = (vector: VersionVector, held: readonly Dot[] = []): VersionVector =>
  vector.size <= VECTOR_ACTORS_MAX ? vector : held.reduce(withDot, pruneVector(vector, VECTOR_ACTORS_MAX));

/** The largest of every incarnation of a region, but of those named; zero when there is none. */
export const largestOfRegion = (vector: VersionVector, region: RegionId, besides: readonly string[] = []): Stamp =>
  [...vector].reduce((largest, [actor, stamp]) => (actorRegion(actor) === region && !besides.includes(actor) ? maxStamp(largest, stamp) : largest), STAMP_ZERO);
