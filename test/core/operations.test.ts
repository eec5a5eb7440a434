import { describe, expect, it } from 'vitest';
import { OPERATIONS_MAX } from '../../src/core/limits.ts';
import {
  asOperationHash, findOperation, formatOperations, joinOperations, mayBeForgotten, NO_OPERATIONS, operationOf, twinDots, withOperation, type Operations,
} from '../../src/core/version/operations.ts';
import { asStamp, makeStamp } from '../../src/core/version/stamp.ts';
import { A, B, C, dot, operation } from '../contract/make.ts';

const taken = (count: number): Operations => {
  let operations = NO_OPERATIONS;
  for (let i = 1; i <= count; i++) operations = withOperation(operations, { id: operation(`o${i}`), payload: operation(`p${i}`) }, dot(A, i));
  return operations;
};

describe('operations', () => {
  it('remembers the newest OPERATIONS_MAX and the stamp of the newest that was evicted', () => {
    const full = taken(OPERATIONS_MAX);
    expect(full.entries.length).toBe(8);
    expect(full.evicted).toBe(0n);
    expect(findOperation(full, operation('o1'))?.dot).toEqual(dot(A, 1));
    const more = taken(OPERATIONS_MAX + 2);
    expect(more.entries.map(({ dot: { stamp } }) => Number(stamp))).toEqual([10, 9, 8, 7, 6, 5, 4, 3]);
    expect(more.evicted).toBe(2n);
    expect(findOperation(more, operation('o2'))).toBeUndefined();
  });

  it('keeps the payload of the newest only', () => {
    expect(taken(3).entries.map(({ payload }) => payload)).toEqual([operation('p3'), undefined, undefined]);
    const joined = joinOperations(taken(1), withOperation(NO_OPERATIONS, { id: operation('x'), payload: operation('y') }, dot(B, 9)));
    expect(joined.entries.map(({ payload }) => payload)).toEqual([operation('y'), undefined]);
  });

  it('a write without an operation changes nothing', () => {
    const operations = taken(2);
    expect(withOperation(operations, undefined, dot(A, 9))).toBe(operations);
  });

  it('joins by union: an operation may have a dot of each region', () => {
    const id = operation('X');
    const joined = joinOperations(withOperation(NO_OPERATIONS, { id }, dot(A, 1)), withOperation(NO_OPERATIONS, { id }, dot(B, 1)));
    expect(twinDots(joined, dot(A, 1))).toEqual([dot(B, 1), dot(A, 1)]);
    expect(twinDots(joined, dot(C, 1))).toEqual([dot(C, 1)]);
    expect(operationOf(joined, dot(B, 1))).toBe(id);
    expect(operationOf(joined, dot(C, 1))).toBeUndefined();
  });

  it('of a tie at the edge none is kept, so that replicas agree which', () => {
    const first = taken(OPERATIONS_MAX);
    const tie = withOperation(NO_OPERATIONS, { id: operation('tie') }, dot(B, 1));
    for (const joined of [joinOperations(first, tie), joinOperations(tie, first)]) {
      expect(joined.entries.map(({ dot: { stamp } }) => Number(stamp))).toEqual([8, 7, 6, 5, 4, 3, 2]);
      expect(joined.evicted).toBe(1n);
    }
  });

  it('what was evicted anywhere stays out: a replica that still holds it lets it go', () => {
    const evicted = joinOperations(taken(2), { entries: [], evicted: asStamp(1n) });
    expect(evicted.entries.map(({ id }) => id)).toEqual([operation('o2')]);
    expect(joinOperations(evicted, taken(1))).toBe(evicted);
  });

  it('gives back an argument that is the outcome already', () => {
    const operations = taken(3);
    expect(joinOperations(operations, operations)).toBe(operations);
    expect(joinOperations(operations, taken(2))).toBe(operations);
    expect(joinOperations(operations, NO_OPERATIONS)).toBe(operations);
  });

  it('may be forgotten: an id that carries a time before the newest evicted', () => {
    const operations: Operations = { entries: [], evicted: makeStamp(1_000, 5) };
    const isLate = (mintedAtMs: number | undefined): boolean => mayBeForgotten(operations, { id: operation('x'), ...(mintedAtMs === undefined ? {} : { mintedAtMs }) });
    expect([999, 1_000, 1_001].map(isLate)).toEqual([true, true, false]);
    expect(isLate(undefined)).toBe(false);
    expect(mayBeForgotten(NO_OPERATIONS, { id: operation('x'), mintedAtMs: 0 })).toBe(false);
  });

  it('prints on one line', () => {
    expect(formatOperations(taken(1))).toBe(`[${operation('o1')}>${A}@000000000000.0001]`);
  });

  it.each(['', '0123456789abcde', '0123456789abcdef0', '0123456789ABCDEF', '0123456789abcdeg'])('%j is no operation hash', (hex) => {
    expect(() => asOperationHash(hex)).toThrow(TypeError);
  });
});
