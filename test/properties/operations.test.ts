import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OPERATIONS_MAX } from '../../src/core/limits.ts';
import { compareDots, formatDot } from '../../src/core/version/dot.ts';
import { joinOperations, NO_OPERATIONS, withOperation, type OperationEntry, type Operations } from '../../src/core/version/operations.ts';
import { asStamp } from '../../src/core/version/stamp.ts';
import { operation } from '../contract/make.ts';
import { dotOf, operationsOf, smallStamp } from './arbitraries.ts';

const RUNS = { numRuns: 2_000 };
const some = operationsOf(smallStamp);
const join = (...all: readonly Operations[]): Operations => all.reduce(joinOperations, NO_OPERATIONS);

describe('operations', () => {
  it('the join is associative, commutative and idempotent, with ties of stamps and evictions', () => {
    fc.assert(
      fc.property(some, some, some, (a, b, c) => {
        expect(joinOperations(a, b)).toEqual(joinOperations(b, a));
        expect(joinOperations(joinOperations(a, b), c)).toEqual(joinOperations(a, joinOperations(b, c)));
        expect(joinOperations(a, a)).toBe(a);
        expect(joinOperations(joinOperations(a, b), b)).toEqual(joinOperations(a, b));
      }),
      RUNS,
    );
  });

  /** All pairs there ever were, the largest by dot; a stamp at which one was evicted keeps none. */
  function slow(pairs: readonly OperationEntry[]): Operations {
    const all = [...new Map(pairs.map((entry) => [formatDot(entry.dot), entry])).values()].sort((a, b) => compareDots(b.dot, a.dot));
    const evicted = all[OPERATIONS_MAX]?.dot.stamp ?? asStamp(0n);
    const kept = all.filter(({ dot }) => dot.stamp > evicted);
    return { entries: kept.map((entry, at) => (at === 0 ? entry : { id: entry.id, dot: entry.dot })), evicted };
  }

  it('however the pairs arrive, what is left is what a set of all of them would leave', () => {
    const pair = dotOf(smallStamp).map((dot): OperationEntry => ({ id: operation(`${dot.actor} ${dot.stamp % 4n}`), dot, payload: operation(formatDot(dot)) }));
    fc.assert(
      fc.property(fc.array(fc.tuple(pair, fc.nat(2)), { maxLength: 24 }), (arrivals) => {
        const replicas = [NO_OPERATIONS, NO_OPERATIONS, NO_OPERATIONS];
        for (const [entry, at] of arrivals) {
          const one = withOperation(NO_OPERATIONS, { id: entry.id, ...(entry.payload === undefined ? {} : { payload: entry.payload }) }, entry.dot);
          replicas[at] = joinOperations(replicas[at] as Operations, one);
        }
        expect(join(...replicas)).toEqual(slow(arrivals.map(([entry]) => entry)));
      }),
      RUNS,
    );
  });

  it('never more than OPERATIONS_MAX, newest first, none at or below what was evicted, payload on the newest only', () => {
    fc.assert(
      fc.property(some, some, (a, b) => {
        const { entries, evicted } = joinOperations(a, b);
        expect(entries.length).toBeLessThanOrEqual(OPERATIONS_MAX);
        expect(entries.every(({ dot }, at) => dot.stamp > evicted && (at === 0 || compareDots((entries[at - 1] as OperationEntry).dot, dot) > 0))).toBe(true);
        expect(entries.slice(1).every(({ payload }) => payload === undefined)).toBe(true);
      }),
      RUNS,
    );
  });
});
