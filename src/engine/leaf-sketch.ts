// Sketches of what two regions share (core/merkle/sketch.ts), and how large one has to be: as many leaves differ as larger
// parts of the tree say, of which both know the sums.

import { PARTITIONS } from '../core/limits.ts';
import type { GroupId, PartitionId } from '../core/keys/item-key.ts';
import { BRANCHES, differingPositions, LEAVES, type Sum } from '../core/merkle/digest.ts';
import { cellsFor, Sketch } from '../core/merkle/sketch.ts';
import { pause, type Clock } from '../ports/clock.ts';
import type { Digests } from '../ports/table.ts';
import { CELLS_MAX, type BranchRef, type LeafRef } from './digest-protocol.ts';
import type { View } from './digest-view.ts';

export interface Scope {
  readonly group: GroupId;
  readonly partitions: readonly PartitionId[];
}

/** Comes with the first answer, where sums differ: a hundred leaves can be named by it, and it costs less than a round trip. */
export const FIRST_CELLS = 320;
/** A place is a number of 32 bits. */
const SCOPES_MAX = 2 ** 32 / (PARTITIONS * LEAVES);
/** A thousand leaves take a tenth of a millisecond; others wait no longer than a commit takes. */
const PARTITIONS_AT_ONCE = 16;
/** Of so many partitions the sums of the branches are told: which share of them differs tells how many leaves do, where every partition differs. */
const SAMPLED_PARTITIONS = 4;

export const canSketch = (scopes: readonly unknown[]): boolean => scopes.length <= SCOPES_MAX;

/** What changes meanwhile is in it or not, as with every other look. */
export async function sketchOf(digests: Digests, scopes: readonly Scope[], { cells, clock }: { readonly cells: number; readonly clock: Clock }): Promise<Sketch> {
  const sketch = new Sketch(cells);
  let written = 0;
  for (const [at, { group, partitions }] of scopes.entries()) {
    for (const partition of partitions) {
      const words = digests.leafWords(group, partition);
      if (words === undefined) continue;
      if (written++ % PARTITIONS_AT_ONCE === PARTITIONS_AT_ONCE - 1) await pause(clock, 0);
      addLeaves(sketch, (at * PARTITIONS + partition) * LEAVES, words);
    }
  }
  return sketch;
}

function addLeaves(sketch: Sketch, from: number, words: Uint32Array): void {
  for (let leaf = 0; leaf < LEAVES; leaf++) {
    const high = words[2 * leaf] as number;
    const low = words[2 * leaf + 1] as number;
    if (high !== 0 || low !== 0) sketch.add(from + leaf, { high, low });
  }
}

/** Undefined for a place that is none of theirs. */
export function leafAt(place: number, scopes: readonly Scope[]): LeafRef | undefined {
  const index = place % LEAVES;
  const partition = Math.floor(place / LEAVES) % PARTITIONS;
  const scope = scopes[Math.floor(place / (LEAVES * PARTITIONS))];
  return scope?.partitions.includes(partition) === true ? { group: scope.group, partition, index } : undefined;
}

export const refsOf = (scopes: readonly Scope[]): BranchRef[] => scopes.flatMap(({ group, partitions }) => partitions.map((partition): BranchRef => ({ group, partition })));

/** The same as `scopes`, of one side: the sums of what is shared of each group, and of the branches of some of it. */
export interface ScopeSums {
  readonly partitions: readonly Sum[];
  readonly branches: readonly Sum[];
}

/** Partitions whose branches are told: of one group some, of several some of each. */
const sampledOf = (scopes: readonly Scope[]): readonly Scope[] =>
  scopes.map(({ group, partitions }) => ({ group, partitions: partitions.slice(0, Math.max(1, Math.floor(SAMPLED_PARTITIONS / scopes.length))) }));

export async function sampledBranches(view: View, scopes: readonly Scope[]): Promise<Sum[]> {
  return (await Promise.all(refsOf(sampledOf(scopes)).map((ref) => view.branches(ref)))).flat();
}

/** What both tell in one list, apart again. */
export function byScope(scopes: readonly Scope[], partitions: readonly Sum[], branches: readonly Sum[]): ScopeSums[] {
  let [partitionsFrom, branchesFrom] = [0, 0];
  return sampledOf(scopes).map((sampled, at) => {
    const partitionsTo = partitionsFrom + (scopes[at]?.partitions.length ?? 0);
    const branchesTo = branchesFrom + sampled.partitions.length * BRANCHES;
    const sums = { partitions: partitions.slice(partitionsFrom, partitionsTo), branches: branches.slice(branchesFrom, branchesTo) };
    [partitionsFrom, branchesFrom] = [partitionsTo, branchesTo];
    return sums;
  });
}

/** Above this share of differing parts their number tells little of how many leaves differ in them. */
const SHARE_MAX = 0.8;
/** What is estimated from a sample may be more. */
const MARGIN = 1.3;
/** Larger than the one that was not enough, however few seem to differ. */
const AGAIN = 2;

/**
 * Cells for what differs between two regions; undefined where that is more than a sketch is good for. Of n parts of which a
 * share f differs, about -n ln(1 - f) leaves do: counted in partitions, and where nearly all differ, in a sample of branches.
 */
export function cellsNeeded(mine: readonly ScopeSums[], theirs: readonly ScopeSums[]): number | undefined {
  const leaves = mine.reduce((total, its, at) => total + leavesOf(its, theirs[at]), 0);
  const cells = Math.max(cellsFor(leaves * MARGIN), AGAIN * FIRST_CELLS);
  return cells <= CELLS_MAX ? cells : undefined;
}

function leavesOf({ partitions, branches }: ScopeSums, theirs: ScopeSums | undefined): number {
  const share = shareOf(partitions, theirs?.partitions);
  if (share <= SHARE_MAX) return leavesIn(partitions.length, share);
  return leavesIn(partitions.length * BRANCHES, shareOf(branches, theirs?.branches));
}

const leavesIn = (parts: number, share: number): number => (parts === 0 ? 0 : -parts * Math.log(1 - share));

function shareOf(mine: readonly Sum[], theirs: readonly Sum[] = []): number {
  if (mine.length !== theirs.length) return 1;
  return mine.length === 0 ? 0 : differingPositions(mine, theirs).length / mine.length;
}
