import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes, toHex } from '../../src/core/bytes.ts';
import {
  addSums, ALL_PARTITIONS, BRANCHES, DigestTree, differences, differingPositions, formatSum, isZeroSum, LEAVES, LEAVES_PER_BRANCH, parseSum, sameSum, ZERO_SUM, type Fingerprint, type Sum,
} from '../../src/core/merkle/digest.ts';

const RUNS = { numRuns: 300 };
const word = fc.nat({ max: 0xffff_ffff });
const sum: fc.Arbitrary<Sum> = fc.record({ high: word, low: word });
const total = (sums: readonly Sum[]): Sum => sums.reduce(addSums, ZERO_SUM);
const place = fc.record({ partition: fc.constantFrom(0, 1, 255), leaf: fc.oneof(fc.constantFrom(0, 31, 32, LEAVES - 1), fc.nat(LEAVES - 1)), sum });

describe('sums', () => {
  it('are a group in which each is its own inverse', () => {
    fc.assert(
      fc.property(sum, sum, sum, (a, b, c) => {
        expect(addSums(a, b)).toEqual(addSums(b, a));
        expect(addSums(addSums(a, b), c)).toEqual(addSums(a, addSums(b, c)));
        expect(addSums(a, ZERO_SUM)).toEqual(a);
        expect(isZeroSum(addSums(a, a))).toBe(true);
        expect(parseSum(formatSum(a))).toEqual(a);
        expect(sameSum(a, b)).toBe(formatSum(a) === formatSum(b));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the tree', () => {
  it('a root is the sum of its partitions, that of their branches, those of their leaves, and those of what was added', () => {
    fc.assert(
      fc.property(fc.array(place, { maxLength: 30 }), (added) => {
        const tree = new DigestTree();
        for (const { partition, leaf, sum: each } of added) tree.add(partition, leaf, each);
        const of = (is: (at: (typeof added)[number]) => boolean): Sum => total(added.filter(is).map((at) => at.sum));
        expect(tree.root(ALL_PARTITIONS)).toEqual(of(() => true));
        expect(tree.root([0, 255])).toEqual(of(({ partition }) => partition !== 1));
        for (const partition of [0, 1, 255]) {
          expect(tree.partition(partition)).toEqual(of((at) => at.partition === partition));
          const branches = tree.branches(partition);
          expect(branches.length).toBe(BRANCHES);
          expect(total(branches)).toEqual(tree.partition(partition));
          for (const [branch, each] of branches.entries()) {
            if (isZeroSum(each)) continue;
            const leaves = tree.leavesOf(partition, branch);
            expect(leaves.length).toBe(LEAVES_PER_BRANCH);
            expect(total(leaves)).toEqual(each);
            for (const [at, leaf] of leaves.entries()) expect(leaf).toEqual(of((one) => one.partition === partition && one.leaf === branch * LEAVES_PER_BRANCH + at));
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('the order of writes does not matter, and a value that came and went leaves nothing', () => {
    fc.assert(
      fc.property(fc.array(place, { maxLength: 20 }), place, (added, passing) => {
        const [one, other] = [new DigestTree(), new DigestTree()];
        for (const { partition, leaf, sum: each } of added) one.add(partition, leaf, each);
        for (const { partition, leaf, sum: each } of [passing, ...added.toReversed(), passing]) other.add(partition, leaf, each);
        for (const partition of [0, 1, 255]) expect(other.branches(partition)).toEqual(one.branches(partition));
      }),
      { numRuns: 100 },
    );
  });

  it('descending where two trees differ finds every leaf that differs, and no other', () => {
    fc.assert(
      fc.property(fc.array(place, { maxLength: 20 }), fc.array(place, { maxLength: 5 }), (common, only) => {
        const [mine, theirs] = [new DigestTree(), new DigestTree()];
        for (const { partition, leaf, sum: each } of common) for (const tree of [mine, theirs]) tree.add(partition, leaf, each);
        for (const { partition, leaf, sum: each } of only) mine.add(partition, leaf, each);
        const found: string[] = [];
        for (const partition of differingPositions(ALL_PARTITIONS.map((each) => mine.partition(each)), ALL_PARTITIONS.map((each) => theirs.partition(each)))) {
          for (const branch of differingPositions(mine.branches(partition), theirs.branches(partition))) {
            for (const leaf of differingPositions(mine.leavesOf(partition, branch), theirs.leavesOf(partition, branch))) found.push(`${partition} ${branch * LEAVES_PER_BRANCH + leaf}`);
          }
        }
        const differing = new Map<string, Sum>();
        for (const { partition, leaf, sum: each } of only) differing.set(`${partition} ${leaf}`, addSums(differing.get(`${partition} ${leaf}`) ?? ZERO_SUM, each));
        expect(found.sort()).toEqual([...differing].filter(([, each]) => !isZeroSum(each)).map(([name]) => name).sort());
      }),
      { numRuns: 100 },
    );
  });

  it('a stored partition is loaded as it was', () => {
    fc.assert(
      fc.property(fc.array(place, { minLength: 1, maxLength: 10 }), (added) => {
        const [tree, copy] = [new DigestTree(), new DigestTree()];
        for (const { leaf, sum: each } of added) tree.add(7, leaf, each);
        copy.loadPartition(7, tree.encodePartition(7) as Uint8Array);
        expect(copy.branches(7)).toEqual(tree.branches(7));
        expect(copy.encodePartition(7)).toEqual(tree.encodePartition(7));
      }),
      { numRuns: 30 },
    );
  });
});

describe('comparing lists', () => {
  it('names what the naive comparison names', () => {
    const list = fc
      .uniqueArray(fc.record({ key: fc.uint8Array({ maxLength: 2, max: 3 }), sum: fc.record({ high: fc.constant(0), low: fc.nat(1) }) }), { maxLength: 12, selector: ({ key }) => toHex(key) })
      .map((all): Fingerprint[] => all.sort((a, b) => compareBytes(a.key, b.key)));
    const naive = (mine: readonly Fingerprint[], theirs: readonly Fingerprint[]): string[] => {
      const names = new Set([...mine, ...theirs].map(({ key }) => toHex(key)));
      const of = (all: readonly Fingerprint[], name: string): string => {
        const found = all.find(({ key }) => toHex(key) === name);
        return found === undefined ? '-' : formatSum(found.sum);
      };
      return [...names].filter((name) => of(mine, name) !== of(theirs, name)).map((name) => `${name} ${of(mine, name)} ${of(theirs, name)}`).sort();
    };
    const show = (each: Sum | undefined): string => (each === undefined ? '-' : formatSum(each));
    fc.assert(
      fc.property(list, list, (mine, theirs) => {
        const found = differences(mine, theirs);
        expect(found.map((each) => `${toHex(each.key)} ${show(each.mine)} ${show(each.theirs)}`).sort()).toEqual(naive(mine, theirs));
        expect(found.every(({ key }, at) => at === 0 || compareBytes((found[at - 1] as (typeof found)[number]).key, key) < 0)).toBe(true);
      }),
      RUNS,
    );
  });
});
