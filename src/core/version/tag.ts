// The entity tag of an item names the set of its live dots, so that equal tags mean equal values, in every region.
// One value: the dot itself, readable. Several: their number and a hash. Twins count as one, under the smallest dot of
// their operation, so that the tag does not change when a twin arrives; a request may name any of the twins.

import { compareDots, formatDot, type Dot } from './dot.ts';
import { twinDots, type Operations } from './operations.ts';
import { distinctValues, type DottedValue, type State } from './record.ts';
import { toBase64Url, utf8 } from '../bytes.ts';

/** SHA-256, or another function of at least 128 bits: core has no cryptography of its own. */
export type HashFunction = (bytes: Uint8Array) => Uint8Array;

/** The tag, without quotes; undefined when no value is live. */
export function tagOf(state: State, nowMs: number, hash: HashFunction): string | undefined {
  return tagOfValues(state, distinctValues(state, nowMs), hash);
}

/** The same, of what `distinctValues` answered. */
export function tagOfValues({ operations }: State, values: readonly DottedValue[], hash: HashFunction): string | undefined {
  return values.length === 0 ? undefined : tagOfDots(values.map(({ dot }) => canonicalDot(operations, dot)), hash);
}

/** The dot under which a value is shown: the smallest of its operation's. */
export const canonicalDot = (operations: Operations, dot: Dot): Dot =>
  operations.entries.length === 0 ? dot : twinDots(operations, dot).reduce((smallest, twin) => (compareDots(twin, smallest) < 0 ? twin : smallest), dot);

export function tagOfDots(dots: readonly Dot[], hash: HashFunction): string {
  const [first] = dots;
  if (dots.length === 1 && first !== undefined) return formatDot(first);
  const text = [...dots].sort(compareDots).map(formatDot).join(' ');
  return `${dots.length}-${toBase64Url(hash(utf8(text)).subarray(0, 16))}`;
}

/** All tags that name the current values: each of them may go by any of its twins' dots. At most 18, with OPERATIONS_MAX 8. */
export function acceptedTags(state: State, nowMs: number, hash: HashFunction): readonly string[] {
  const values = distinctValues(state, nowMs);
  if (values.length === 0) return [];
  const names = values.reduce<Dot[][]>((sets, { dot }) => twinDots(state.operations, dot).flatMap((twin) => sets.map((set) => [...set, twin])), [[]]);
  return names.map((dots) => tagOfDots(dots, hash));
}
