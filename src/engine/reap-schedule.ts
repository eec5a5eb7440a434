// When each partition is looked through for tombstones: when the first that was found there is due, or when one that has come
// since may be. So a round costs what is due, and not what there is. At the latest after a grace it is looked through all the
// same: another process of the region may have written (Lambda), or a clock been put right.
//
// Kept in memory, by monotonic time: a start looks everywhere once.

import { partitionOf, type GroupId, type ItemKey, type PartitionId } from '../core/keys/item-key.ts';
import { PARTITIONS } from '../core/limits.ts';

export class ReapSchedule {
  readonly #graceMs: number;
  /** Per group and partition, the monotonic time from which on it is looked at; zero: at once. */
  readonly #fromMs = new Map<GroupId, Float64Array>();

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** Everything is looked through again: who proposes first may be another region now. */
  forget(): void {
    this.#fromMs.clear();
  }

  isDue(group: GroupId, partition: PartitionId, nowMs: number): boolean {
    return (this.#of(group)[partition] ?? 0) <= nowMs;
  }

  /** It was looked through from `startedMs` on, and the first that is left there is due in so long. */
  looked(group: GroupId, partition: PartitionId, startedMs: number, firstInMs: number): void {
    this.#of(group)[partition] = startedMs + Math.max(0, Math.min(firstInMs, this.#graceMs));
  }

  /** Something was written there: what is deleted now is not due before a grace has passed. */
  touch({ group, encoded }: Pick<ItemKey, 'group' | 'encoded'>, nowMs: number): void {
    const [from, partition] = [this.#fromMs.get(group), partitionOf(encoded)];
    if (from === undefined) return;
    from[partition] = Math.min(from[partition] ?? 0, nowMs + this.#graceMs);
  }

  #of(group: GroupId): Float64Array {
    let from = this.#fromMs.get(group);
    if (from === undefined) this.#fromMs.set(group, (from = new Float64Array(PARTITIONS)));
    return from;
  }
}
