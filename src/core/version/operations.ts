// Operation ids: what makes a retry, in any region, the same write.
//
// A record remembers which operations it has taken, as pairs (operation, dot). One operation may have several dots, one
// per region in which a retry was executed before the regions had heard of each other. The set is part of the state and
// merged by union, so that a region that receives the write also receives the knowledge of its operation.
//
// Only the OPERATIONS_MAX newest pairs (by dot) are kept, and the largest stamp that was ever evicted. Keeping the k
// largest of a union by a total order is associative, commutative and idempotent, so replicas that received the same
// writes in any order remember the same pairs.

import { OPERATIONS_MAX } from '../limits.ts';
import { compareDots, formatDot, sameDot, type Dot } from './dot.ts';
import { maxStamp, STAMP_ZERO, stampMs, type Stamp } from './stamp.ts';
import { covers, type VersionVector } from './version-vector.ts';

declare const operationBrand: unique symbol;
/** The first 8 bytes of SHA-256 of the operation's id, as 16 hexadecimal digits. */
export type OperationHash = string & { readonly [operationBrand]: true };

export interface OperationEntry {
  readonly id: OperationHash;
  readonly dot: Dot;
  /** First 8 bytes of SHA-256 of what was asked, hexadecimal; kept for the newest entry only, to answer 422. */
  readonly payload?: string;
}

export interface Operations {
  /** Newest first, at most OPERATIONS_MAX. */
  readonly entries: readonly OperationEntry[];
  /** The largest stamp that was evicted; zero when nothing was. */
  readonly evicted: Stamp;
}

/** What a client's write carries. */
export interface Operation {
  readonly id: OperationHash;
  readonly payload?: string;
  /** When the id was minted, in milliseconds since 1970; known for UUIDv7 only. */
  readonly mintedAtMs?: number;
}

export const NO_OPERATIONS: Operations = { entries: [], evicted: STAMP_ZERO };

export function asOperationHash(hex: string): OperationHash {
  if (!/^[0-9a-f]{16}$/.test(hex)) throw new TypeError(`Not an operation hash: ${hex}`);
  return hex as OperationHash;
}

export const findOperation = (operations: Operations, id: OperationHash): OperationEntry | undefined =>
  operations.entries.find((entry) => entry.id === id);

/** The operation that issued this dot, when it is still remembered. */
export const operationOf = (operations: Operations, dot: Dot): OperationHash | undefined =>
  operations.entries.find((entry) => sameDot(entry.dot, dot))?.id;

/** All dots of the operation that issued `dot`, itself included: values under these dots are twins, one value. */
export function twinDots(operations: Operations, dot: Dot): readonly Dot[] {
  const id = operationOf(operations, dot);
  if (id === undefined) return [dot];
  return operations.entries.filter((entry) => entry.id === id).map((entry) => entry.dot);
}

/**
 * May this operation have been taken and forgotten? Only an id that carries its time can be told: it is older than the
 * newest pair that was evicted, or of the same millisecond: one that is taken at once has the time of its own stamp. Other ids
 * are remembered for OPERATIONS_MAX later writes, and documented so.
 */
export function mayBeForgotten(operations: Operations, operation: Operation): boolean {
  return operation.mintedAtMs !== undefined && operations.evicted > STAMP_ZERO && operation.mintedAtMs <= stampMs(operations.evicted);
}

export function joinOperations(a: Operations, b: Operations): Operations {
  if (b.entries.length === 0 && b.evicted <= a.evicted) return a;
  if (a === b || includesAll(a, b)) return a;
  const all = [...a.entries];
  for (const entry of b.entries) if (!a.entries.some((mine) => sameEntry(mine, entry))) all.push(entry);
  for (const [at, mine] of a.entries.entries()) all[at] = withPayload(mine, b.entries.find((entry) => sameEntry(mine, entry)));
  return keepNewest(all, maxStamp(a.evicted, b.evicted));
}

/**
 * What a context takes along when it is handed out: the operations of the writes that it covers. Who covers a write knows its
 * operation or has evicted it, wherever it knows the write from; else a region that knows it only through a client would take a
 * retry for a new write, and put it over what had been written over it.
 */
export const coveredOperations = ({ entries, evicted }: Operations, context: VersionVector): Operations => ({ entries: entries.filter(({ dot }) => covers(context, dot)), evicted });

export function withOperation(operations: Operations, operation: Operation | undefined, dot: Dot): Operations {
  if (operation === undefined) return operations;
  const entry = operation.payload === undefined ? { id: operation.id, dot } : { id: operation.id, dot, payload: operation.payload };
  return keepNewest([entry, ...operations.entries], operations.evicted);
}

const sameEntry = (a: OperationEntry, b: OperationEntry): boolean => a.id === b.id && sameDot(a.dot, b.dot);

/** Known from a context token, an entry has no payload yet; only the newest keeps one. */
const withPayload = (mine: OperationEntry, theirs: OperationEntry | undefined): OperationEntry => (mine.payload === undefined && theirs?.payload !== undefined ? theirs : mine);

const includesAll = (a: Operations, b: Operations): boolean =>
  b.evicted <= a.evicted && b.entries.every((entry) => entry.dot.stamp <= a.evicted || a.entries.some((mine, at) => sameEntry(mine, entry) && (at > 0 || withPayload(mine, entry) === mine)));

function keepNewest(entries: readonly OperationEntry[], evicted: Stamp): Operations {
  const sorted = [...entries].sort((a, b) => compareDots(b.dot, a.dot));
  let gone = evicted;
  for (const entry of sorted.slice(OPERATIONS_MAX)) gone = maxStamp(gone, entry.dot.stamp);
  // What was once evicted stays out: a replica that had not evicted it yet may still hold it, and the two must agree.
  const kept = sorted.slice(0, OPERATIONS_MAX).filter((entry) => entry.dot.stamp > gone);
  // mark if (sorted.length > OPERATIONS_MAX): operation evicted
  // mark if (kept.length < Math.min(sorted.length, OPERATIONS_MAX)): what was evicted stays out
  return {
    entries: kept.map((entry, at) => (at === 0 || entry.payload === undefined ? entry : { id: entry.id, dot: entry.dot })),
    evicted: gone,
  };
}

export const formatOperations = (operations: Operations): string =>
  `[${operations.entries.map((entry) => `${entry.id}>${formatDot(entry.dot)}`).join(', ')}]`;
