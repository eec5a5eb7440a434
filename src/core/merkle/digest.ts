// Digests: what lets two regions prove that their copies agree without sending them.
//
// Each item with live values adds one 64-bit *element*, a keyed hash of its key, its live dots and their value hashes.
// A *leaf* is the exclusive or of the elements whose keys fall into it, a branch of its leaves, a partition of its
// branches, a *root* of any set of partitions. Exclusive or is linear: an update costs one xor of old and new, partitions
// of several groups add up to one root, and the order of writes does not matter.
//
//   partition (1 of 256) ── 32 branches ── 32 leaves each      10^9 keys: 3.9 million a partition, 3,815 a leaf
//                                                              10^6 keys: 3,906 a partition, 3.8 a leaf
//
// Tombstones add nothing, so that reaping one never looks like a difference. An expired value adds nothing once the
// sweep has passed its time (line): both sides of a comparison sweep to the same time first.
//
// The hash is keyed with the cluster's secret: sums of an unkeyed hash could be made to collide by a client that chooses
// its keys and values. Shape after Riak's hashtree.erl; linear sums after Bellare and Micciancio's incremental hashing.

import { ByteReader, ByteWriter, compareBytes, word } from '../bytes.ts';
import type { PartitionId } from '../keys/item-key.ts';
import { PARTITIONS } from '../limits.ts';
import { isExpired, type State } from '../version/record.ts';
import type { HashFunction } from '../version/tag.ts';

export const BRANCHES = 32;
export const LEAVES_PER_BRANCH = 32;
export const LEAVES = BRANCHES * LEAVES_PER_BRANCH;

/** A 64-bit sum as two unsigned halves: xor of bigints allocates, and this runs once or twice per write. */
export interface Sum {
  readonly high: number;
  readonly low: number;
}

export const ZERO_SUM: Sum = { high: 0, low: 0 };

export const addSums = (a: Sum, b: Sum): Sum => ({ high: (a.high ^ b.high) >>> 0, low: (a.low ^ b.low) >>> 0 });
export const sameSum = (a: Sum, b: Sum): boolean => a.high === b.high && a.low === b.low;
export const isZeroSum = (sum: Sum): boolean => sum.high === 0 && sum.low === 0;
export const formatSum = (sum: Sum): string => sum.high.toString(16).padStart(8, '0') + sum.low.toString(16).padStart(8, '0');

export function parseSum(text: string): Sum | undefined {
  if (!/^[0-9a-f]{16}$/.test(text)) return undefined;
  return { high: Number.parseInt(text.slice(0, 8), 16), low: Number.parseInt(text.slice(8), 16) };
}

/** The ten bits of the hash after the partition's eight. */
export const leafOf = (encodedKey: Uint8Array): number => ((encodedKey[5] as number) << 2) | ((encodedKey[6] as number) >> 6);

const writer = new ByteWriter(2048);

/**
 * What an item adds to its leaf, judged at `lineMs`: values that expire at or before it are gone.
 * @param keyedHash a hash that only the regions of one deployment can compute
 */
export function elementOf(encodedKey: Uint8Array, state: State | undefined, lineMs: number, keyedHash: HashFunction): Sum {
  if (state === undefined || state.values.length === 0) return ZERO_SUM;
  writer.reset().u16(encodedKey.length).bytes(encodedKey);
  let live = 0;
  for (const { dot, value } of state.values) {
    if (isExpired(value, lineMs)) continue;
    live++;
    writer.text(dot.actor).u64(dot.stamp).bytes(value.hash);
  }
  if (live === 0) return ZERO_SUM;
  const digest = keyedHash(writer.view());
  return { high: word(digest, 0), low: word(digest, 4) };
}

/** The leaves of one partition: two unsigned words each. 8 KiB, made when the partition gets its first element. */
export type Leaves = Uint32Array;

/** The digests of one placement group in one region. */
export class DigestTree {
  readonly #partitions = new Map<PartitionId, Leaves>();
  /** Two words for each partition: the sum of its leaves, kept with them, so that equal copies are compared without a look at any leaf. */
  readonly #totals = new Uint32Array(2 * PARTITIONS);

  add(partition: PartitionId, leaf: number, sum: Sum): void {
    let leaves = this.#partitions.get(partition);
    if (leaves === undefined) this.#partitions.set(partition, (leaves = new Uint32Array(2 * LEAVES)));
    leaves[2 * leaf] = (leaves[2 * leaf] as number) ^ sum.high;
    leaves[2 * leaf + 1] = (leaves[2 * leaf + 1] as number) ^ sum.low;
    this.#addTotal(partition, sum);
  }

  #addTotal(partition: PartitionId, sum: Sum): void {
    this.#totals[2 * partition] = (this.#totals[2 * partition] as number) ^ sum.high;
    this.#totals[2 * partition + 1] = (this.#totals[2 * partition + 1] as number) ^ sum.low;
  }

  leaf(partition: PartitionId, leaf: number): Sum {
    return this.#sum(partition, leaf, leaf + 1);
  }

  partition(partition: PartitionId): Sum {
    return { high: this.#totals[2 * partition] as number, low: this.#totals[2 * partition + 1] as number };
  }

  root(partitions: Iterable<PartitionId>): Sum {
    let high = 0;
    let low = 0;
    for (const partition of partitions) {
      high ^= this.#totals[2 * partition] as number;
      low ^= this.#totals[2 * partition + 1] as number;
    }
    return { high: high >>> 0, low: low >>> 0 };
  }

  branches(partition: PartitionId): Sum[] {
    return Array.from({ length: BRANCHES }, (_, branch) => this.#sum(partition, branch * LEAVES_PER_BRANCH, (branch + 1) * LEAVES_PER_BRANCH));
  }

  leavesOf(partition: PartitionId, branch: number): Sum[] {
    return Array.from({ length: LEAVES_PER_BRANCH }, (_, leaf) => this.leaf(partition, branch * LEAVES_PER_BRANCH + leaf));
  }

  #sum(partition: PartitionId, from: number, to: number): Sum {
    const leaves = this.#partitions.get(partition);
    if (leaves === undefined) return ZERO_SUM;
    let high = 0;
    let low = 0;
    for (let leaf = from; leaf < to; leaf++) {
      high ^= leaves[2 * leaf] as number;
      low ^= leaves[2 * leaf + 1] as number;
    }
    return { high: high >>> 0, low: low >>> 0 };
  }

  words(partition: PartitionId): Leaves | undefined {
    return this.#partitions.get(partition);
  }

  /** The leaves of one partition for a checkpoint; undefined when nothing was ever added. */
  encodePartition(partition: PartitionId): Uint8Array | undefined {
    const leaves = this.#partitions.get(partition);
    if (leaves === undefined) return undefined;
    const out = new ByteWriter(leaves.length * 4);
    for (const word of leaves) out.u32(word);
    return out.finish();
  }

  loadPartition(partition: PartitionId, bytes: Uint8Array): void {
    const reader = new ByteReader(bytes);
    const leaves = new Uint32Array(2 * LEAVES);
    for (let i = 0; i < leaves.length; i++) leaves[i] = reader.u32();
    this.#addTotal(partition, this.#sum(partition, 0, LEAVES)); // of what it replaces
    this.#partitions.set(partition, leaves);
    this.#addTotal(partition, this.#sum(partition, 0, LEAVES));
  }
}

export const ALL_PARTITIONS: readonly PartitionId[] = Array.from({ length: PARTITIONS }, (_, partition) => partition);

/** The positions at which two equally long lists of sums differ: where a comparison descends. */
export function differingPositions(mine: readonly Sum[], theirs: readonly Sum[]): number[] {
  if (mine.length !== theirs.length) throw new TypeError('Digests of different shapes cannot be compared.');
  return mine.flatMap((sum, at) => (sameSum(sum, theirs[at] as Sum) ? [] : [at]));
}

/** One item in a list that is exchanged for a leaf: its physical key and what it adds. */
export interface Fingerprint {
  readonly key: Uint8Array;
  readonly sum: Sum;
}

export interface Difference {
  /** Held with live values by one side only, or with different ones by both. */
  readonly key: Uint8Array;
  readonly mine: Sum | undefined;
  readonly theirs: Sum | undefined;
}

/** Both lists in key order. */
export function differences(mine: readonly Fingerprint[], theirs: readonly Fingerprint[]): Difference[] {
  const found: Difference[] = [];
  let i = 0;
  let j = 0;
  while (i < mine.length || j < theirs.length) {
    const a = mine[i];
    const b = theirs[j];
    const order = a === undefined ? 1 : b === undefined ? -1 : compareBytes(a.key, b.key);
    if (order < 0 && a !== undefined) {
      found.push({ key: a.key, mine: a.sum, theirs: undefined });
      i++;
    } else if (order > 0 && b !== undefined) {
      found.push({ key: b.key, mine: undefined, theirs: b.sum });
      j++;
    } else if (a !== undefined && b !== undefined) {
      if (!sameSum(a.sum, b.sum)) found.push({ key: a.key, mine: a.sum, theirs: b.sum });
      i++;
      j++;
    }
  }
  return found;
}
