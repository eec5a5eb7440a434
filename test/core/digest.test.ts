import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import {
  addSums, ALL_PARTITIONS, BRANCHES, DigestTree, differences, differingPositions, elementOf, formatSum, isZeroSum, LEAVES, LEAVES_PER_BRANCH, leafOf, parseSum, sameSum, ZERO_SUM,
} from '../../src/core/merkle/digest.ts';
import { NO_OPERATIONS, withOperation } from '../../src/core/version/operations.ts';
import { A, B, C, deleted, dot, key, keyedHash, operation, several, value, vector, written } from '../contract/make.ts';

const encoded = key('a').encoded;
const element = (state: Parameters<typeof elementOf>[1], lineMs = 0): string => formatSum(elementOf(encoded, state, lineMs, keyedHash));
const ZERO = formatSum(ZERO_SUM);

describe('elements', () => {
  const state = several([dot(A, 1), 'a'], [dot(B, 2), 'b']);

  it('depend on key, dots and values', () => {
    const others = [
      element(several([dot(A, 1), 'a'])),
      element(several([dot(A, 2), 'a'], [dot(B, 2), 'b'])),
      element(several([dot(C, 1), 'a'], [dot(B, 2), 'b'])),
      element(several([dot(A, 1), 'a'], [dot(B, 2), 'x'])),
      formatSum(elementOf(key('b').encoded, state, 0, keyedHash)),
      formatSum(elementOf(encoded, state, 0, sha256)),
    ];
    expect(new Set([element(state), ...others]).size).toBe(7);
  });

  it('do not depend on what is not live: context, operations, a delete of long ago', () => {
    expect(element({ ...state, context: vector(dot(C, 99)) })).toBe(element(state));
    expect(element({ ...state, operations: withOperation(NO_OPERATIONS, { id: operation('X') }, dot(A, 1)) })).toBe(element(state));
    expect(element({ ...state, deleted: dot(C, 1) })).toBe(element(state));
  });

  it('a tombstone adds nothing, as nothing does', () => {
    expect(element(undefined)).toBe(ZERO);
    expect(element(deleted(dot(A, 1)))).toBe(ZERO);
  });

  it('an expired value adds nothing from the line on', () => {
    const expiring = written(dot(A, 1), 'v', [], 1_000);
    expect(element(expiring, 999)).toBe(element(written(dot(A, 1), 'v')));
    expect(element(expiring, 1_000)).toBe(ZERO);
    const one = { ...state, values: [state.values[0] as (typeof state.values)[number], { dot: dot(B, 2), value: value('b', 1_000) }] };
    expect(element(one, 1_000)).toBe(element(several([dot(A, 1), 'a'])));
  });
});

describe('the tree', () => {
  it('has 32 branches of 32 leaves in each of 256 partitions', () => {
    expect([BRANCHES, LEAVES_PER_BRANCH, LEAVES, ALL_PARTITIONS.length]).toEqual([32, 32, 1_024, PARTITIONS]);
  });

  it('the leaf is the ten bits of the hash after the partition\'s eight', () => {
    const at = (a: number, b: number): number => leafOf(Uint8Array.of(0, 0, 0, 0, 0xff, a, b, 0xff));
    expect([at(0, 0), at(0, 0x3f), at(0, 0x40), at(1, 0), at(0xff, 0xff)]).toEqual([0, 0, 1, 4, LEAVES - 1]);
  });

  it('the same element twice is none', () => {
    const tree = new DigestTree();
    const sum = elementOf(encoded, written(dot(A, 1), 'v'), 0, keyedHash);
    tree.add(3, 5, sum);
    expect(sameSum(tree.partition(3), sum)).toBe(true);
    expect(sameSum(tree.leaf(3, 5), sum)).toBe(true);
    expect(isZeroSum(tree.leaf(3, 6))).toBe(true);
    tree.add(3, 5, sum);
    expect(isZeroSum(tree.root(ALL_PARTITIONS))).toBe(true);
  });

  it('stores and loads a partition', () => {
    const tree = new DigestTree();
    expect(tree.encodePartition(1)).toBeUndefined();
    tree.add(1, 0, { high: 0xffff_ffff, low: 1 });
    tree.add(1, LEAVES - 1, { high: 2, low: 0x8000_0000 });
    const copy = new DigestTree();
    copy.loadPartition(1, tree.encodePartition(1) as Uint8Array);
    expect(copy.branches(1)).toEqual(tree.branches(1));
    expect(() => copy.loadPartition(2, new Uint8Array(8 * LEAVES - 1))).toThrow(RangeError);
    expect(isZeroSum(copy.partition(2))).toBe(true);
  });
});

describe('sums', () => {
  it('print on one line and are read again', () => {
    const sum = { high: 0x8000_0001, low: 0xff };
    expect(formatSum(sum)).toBe('80000001000000ff');
    expect(parseSum('80000001000000ff')).toEqual(sum);
    for (const text of ['', '80000001000000f', '80000001000000FF', '80000001000000fff']) expect(parseSum(text), text).toBeUndefined();
  });

  it('are unsigned: the highest bit does not make them negative', () => {
    expect(addSums({ high: 0x8000_0000, low: 0 }, { high: 1, low: 0xffff_ffff })).toEqual({ high: 0x8000_0001, low: 0xffff_ffff });
  });
});

describe('comparing', () => {
  it('positions that differ', () => {
    const one = { high: 1, low: 1 };
    expect(differingPositions([ZERO_SUM, one, ZERO_SUM], [ZERO_SUM, ZERO_SUM, one])).toEqual([1, 2]);
    expect(() => differingPositions([ZERO_SUM], [])).toThrow(TypeError);
  });

  it('items that only one side has, or both with different values', () => {
    const [a, b, c, d] = [1, 2, 3, 4].map((each) => Uint8Array.of(each)) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const [one, two] = [{ high: 0, low: 1 }, { high: 0, low: 2 }];
    expect(differences([{ key: a, sum: one }, { key: b, sum: one }, { key: c, sum: one }], [{ key: b, sum: one }, { key: c, sum: two }, { key: d, sum: two }])).toEqual([
      { key: a, mine: one, theirs: undefined },
      { key: c, mine: one, theirs: two },
      { key: d, mine: undefined, theirs: two },
    ]);
    expect(differences([], [])).toEqual([]);
  });
});
