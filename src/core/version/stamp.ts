// A stamp is a hybrid logical clock value: 48 bits of milliseconds since 1970 and a 16-bit counter, one 64-bit number.
// It serves three purposes at once: identity of a write (with its actor), causal counter in version vectors, and
// last-write-wins order. It is a bigint, never a JavaScript number: 2^53 is too small, and two stamps that round to the
// same number would be two writes with one identity.
//
// Source of the clock: Kulkarni, Demirbas et al., "Logical Physical Clocks and Consistent Snapshots in Globally
// Distributed Databases", 2014.

declare const stampBrand: unique symbol;
export type Stamp = bigint & { readonly [stampBrand]: true };

const COUNTER_BITS = 16n;
const STAMP_MAX = (1n << 64n) - 1n;

export const STAMP_ZERO = 0n as Stamp;

/** From milliseconds since 1970 (48 bits last until the year 10889) and a counter below 65,536. */
export function makeStamp(ms: number, counter = 0): Stamp {
  if (!Number.isInteger(ms) || ms < 0 || ms >= 2 ** 48) throw new TypeError(`Not a millisecond of 48 bits: ${ms}`);
  if (!Number.isInteger(counter) || counter < 0 || counter > 0xffff) throw new TypeError(`Not a counter of 16 bits: ${counter}`);
  return ((BigInt(ms) << COUNTER_BITS) | BigInt(counter)) as Stamp;
}

export function asStamp(value: bigint): Stamp {
  if (value < 0n || value > STAMP_MAX) throw new RangeError(`Not a stamp of 64 bits: ${value}`);
  return value as Stamp;
}

/** The physical part, in milliseconds since 1970. 48 bits fit a JavaScript number; the whole stamp does not. */
export const stampMs = (stamp: Stamp): number => Number(BigInt.asUintN(48, stamp >> COUNTER_BITS));

/** The next larger stamp. When the counter is full it carries into the milliseconds and never wraps. */
export const nextStamp = (stamp: Stamp): Stamp => asStamp(stamp + 1n);

export const maxStamp = (a: Stamp, b: Stamp): Stamp => (a > b ? a : b);

/** `candidate`, or just above `floor` when that is not larger: what covers is always larger than what it covers. */
export const raiseAbove = (candidate: Stamp, floor: Stamp): Stamp => (candidate > floor ? candidate : nextStamp(floor));

/** One-line form: 12 hexadecimal digits of milliseconds, a point, 4 of counter. Sorts as text like the number. */
export function formatStamp(stamp: Stamp): string {
  const hex = stamp.toString(16).padStart(16, '0');
  return `${hex.slice(0, 12)}.${hex.slice(12)}`;
}

/** The inverse of formatStamp; undefined for any other text. */
export function parseStamp(text: string): Stamp | undefined {
  return /^[0-9a-f]{12}\.[0-9a-f]{4}$/.test(text) ? asStamp(BigInt(`0x${text.slice(0, 12)}${text.slice(13)}`)) : undefined;
}
