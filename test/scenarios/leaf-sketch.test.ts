// How large a sketch is asked for: by how many parts of the tree differ.

import { describe, expect, it } from 'vitest';
import { ALL_PARTITIONS, BRANCHES, LEAVES, type Sum } from '../../src/core/merkle/digest.ts';
import { cellsFor } from '../../src/core/merkle/sketch.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import { CELLS_MAX } from '../../src/engine/digest-protocol.ts';
import { byScope, canSketch, cellsNeeded, FIRST_CELLS, leafAt, type ScopeSums } from '../../src/engine/leaf-sketch.ts';
import { asGroupId } from '../../src/core/keys/item-key.ts';

/** Sums of two sides, of which the first so many differ. */
const sums = (count: number, differing: number): readonly [mine: Sum[], theirs: Sum[]] => [
  Array.from({ length: count }, (_, at) => ({ high: at, low: 1 })),
  Array.from({ length: count }, (_, at) => ({ high: at, low: at < differing ? 2 : 1 })),
];

/** Of a group in each row: how many of its partitions differ, and of the branches of its sample. */
function cells(...groups: readonly (readonly [partitions: number, branches: number])[]): number | undefined {
  const scopes = groups.map((_, at) => ({ group: asGroupId(`0000000${at}`), partitions: ALL_PARTITIONS }));
  const sampled = BRANCHES * Math.max(1, Math.floor(4 / groups.length));
  const partitions = groups.map(([differing]) => sums(PARTITIONS, differing));
  const branches = groups.map(([, differing]) => sums(sampled, differing));
  const [mine, theirs] = [0, 1].map((side) => byScope(scopes, partitions.flatMap((both) => both[side] as Sum[]), branches.flatMap((both) => both[side] as Sum[])));
  return cellsNeeded(mine as ScopeSums[], theirs as ScopeSums[]);
}

describe('cells of a second sketch', () => {
  it('are for as many leaves as differing partitions say', () => {
    // 200 leaves, dropped on 256 partitions, hit 256 (1 - e^(-200/256)) of them: 139.
    expect(cells([139, 0])).toBeGreaterThan(cellsFor(200));
    expect(cells([139, 0])).toBeLessThan(cellsFor(300));
  });

  it('are for as many as differing branches say, where nearly every partition differs', () => {
    // 10,000 leaves on 8,192 branches: 70 % of them.
    expect(cells([PARTITIONS, 90])).toBeGreaterThan(cellsFor(10_000));
    expect(cells([PARTITIONS, 90])).toBeLessThan(cellsFor(15_000));
  });

  it('are more than those that were not enough, and none where every part differs', () => {
    expect(cells([3, 1])).toBe(2 * FIRST_CELLS);
    expect(cells([PARTITIONS, 4 * BRANCHES])).toBeUndefined();
    expect(cells([PARTITIONS, 4 * BRANCHES - 1])).toBeUndefined(); // 40,000 leaves: more than a megabyte
    expect(cells([PARTITIONS, 116])).toBeLessThan(CELLS_MAX);
  });

  it('are for the leaves of all groups together', () => {
    expect(cells([0, 0], [PARTITIONS, 45])).toBe(cells([PARTITIONS, 45], [0, 0]));
    expect(cells([0, 0], [PARTITIONS, 45])).toBe(cells([PARTITIONS, 90]));
    expect(cells([PARTITIONS, 45], [PARTITIONS, 45])).toBeGreaterThan(cellsFor(20_000));
  });

  it('there are none for a peer that shares other partitions', () => {
    const scopes = [{ group: asGroupId('00000001'), partitions: [1, 2] }];
    expect(cellsNeeded(byScope(scopes, sums(2, 0)[0], sums(64, 0)[0]), byScope(scopes, sums(1, 0)[0], sums(32, 0)[0]))).toBeUndefined();
  });
});

describe('a place', () => {
  const scopes = [{ group: asGroupId('00000001'), partitions: [] }, { group: asGroupId('00000002'), partitions: [3, 255] }];

  it('is a leaf of what is shared', () => {
    const at = (scope: number, partition: number, leaf: number): number => (scope * PARTITIONS + partition) * LEAVES + leaf;
    expect(leafAt(at(1, 255, 1_023), scopes)).toEqual({ group: '00000002', partition: 255, index: 1_023 });
    for (const place of [at(0, 3, 0), at(1, 4, 0), at(2, 3, 0)]) expect(leafAt(place, scopes)).toBeUndefined();
  });

  it('has 32 bits: of more groups there is no sketch', () => {
    expect([canSketch(Array.from({ length: 16_384 })), canSketch(Array.from({ length: 16_385 }))]).toEqual([true, false]);
  });
});
