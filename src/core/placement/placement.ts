// Which regions hold a partition. Collections with the same placement form a *group*; key -> partition never changes;
// partition -> regions is computed, by every region for itself, from the group's placement and the topology document.
//
// Weighted rendezvous hashing: each region gets a score for each partition, -weight / ln(u) with u a hash in (0, 1), and
// a partition lives in the regions with the highest scores. Adding a region takes from the others only what it wins. To
// keep chance from overloading a region, each has a capacity, its fair share as a whole number; the pairs are taken in the
// order of their scores, so that a pair is passed over only when its region is full or its partition complete (a stable
// matching, whose changes stay few when a region comes or goes). What cannot be matched so, at the end, is by a swap.
//
// Sources: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998 (rendezvous); Schindelhauer
// and Schomaker, "Weighted Distributed Hash Tables", 2005 (weights); Mirrokni, Thorup and Zadimoghaddam, "Consistent
// Hashing with Bounded Loads", 2018 (capacities).

import { toHex, utf8 } from '../bytes.ts';
import { invariant } from '../errors.ts';
import type { GroupId, PartitionId } from '../keys/item-key.ts';
import { PARTITIONS } from '../limits.ts';
import type { RegionId } from '../version/dot.ts';
import type { HashFunction } from '../version/tag.ts';
import type { RegionEntry, Topology } from './topology.ts';

/** Fixed when a collection is created. */
export interface Placement {
  /** Residency: only these regions may ever hold, log or queue the data. */
  readonly regions: 'all' | readonly RegionId[];
  /** How many regions hold each partition, where that many are eligible. */
  readonly replicas: number;
}

/** The placement of the system's own collections: everywhere. */
export const SYSTEM_PLACEMENT: Placement = { regions: 'all', replicas: PARTITIONS };

export function placementText(placement: Placement): string {
  const regions = placement.regions === 'all' ? 'all' : [...new Set(placement.regions)].sort().join(',');
  return `${regions}*${placement.replicas}`;
}

/** First 4 bytes of the hash. Two placements that collide are refused at creation, one in four thousand million. */
export const groupOf = (placement: Placement, hash: HashFunction): GroupId => toHex(hash(utf8(`placement ${placementText(placement)}`)).subarray(0, 4)) as GroupId;

/** Per partition: the regions that hold it, best score first. Joining regions stand behind those that already serve. */
export type PartitionMap = readonly (readonly RegionId[])[];

const isEligible = (region: RegionEntry, placement: Placement): boolean =>
  region.state !== 'lost' && (placement.regions === 'all' || placement.regions.includes(region.id));

/**
 * A region that is joining must be sent everything that it will hold, while those that will give it up still serve: then
 * a partition has the replicas of the map without the joining regions, followed by the joining ones of the map with them.
 */
export function placePartitions(group: GroupId, placement: Placement, topology: Topology, hash: HashFunction): PartitionMap {
  const eligible = topology.regions.filter((region) => isEligible(region, placement));
  const serving = eligible.filter(({ state }) => state !== 'joining');
  const now = matchPartitions(group, placement.replicas, serving, hash);
  if (serving.length === eligible.length) return now;
  const later = matchPartitions(group, placement.replicas, eligible, hash);
  const joining = new Set(eligible.filter(({ state }) => state === 'joining').map(({ id }) => id));
  return now.map((regions, partition) => [...regions, ...(later[partition] ?? []).filter((id) => joining.has(id))]);
}

interface Candidate {
  readonly partition: PartitionId;
  readonly region: RegionId;
  readonly score: number;
}

function matchPartitions(group: GroupId, replicas: number, regions: readonly RegionEntry[], hash: HashFunction): PartitionMap {
  const needed = Math.min(replicas, regions.length);
  const free = new Map(capacities(regions, needed));
  const map: Candidate[][] = Array.from({ length: PARTITIONS }, () => []);
  const ranked = candidates(group, regions, hash);
  for (const candidate of ranked) {
    const holders = map[candidate.partition] as Candidate[];
    const room = free.get(candidate.region) as number;
    if (holders.length >= needed || room === 0) continue;
    holders.push(candidate);
    free.set(candidate.region, room - 1);
  }
  for (const [partition, holders] of map.entries()) while (holders.length < needed) swapIn(partition, map, ranked, free);
  return map.map((holders) => holders.sort(byScore).map(({ region }) => region));
}

/**
 * This partition is incomplete, and the regions that have room hold it already. One of them takes the best partition that
 * it does not hold, and that one's lowest holder that is not here either comes here. There always is one: a complete
 * partition has more holders than this, and lacks the region with room.
 */
function swapIn(partition: PartitionId, map: readonly Candidate[][], ranked: readonly Candidate[], free: Map<RegionId, number>): void {
  const here = map[partition] as Candidate[];
  const roomy = ranked.find((pair) => (free.get(pair.region) as number) > 0 && !isHeldBy(map[pair.partition] as Candidate[], pair.region));
  invariant(roomy !== undefined, 'the capacities add up to all pairs');
  const there = map[roomy.partition] as Candidate[];
  const leaving = there.filter(({ region }) => !isHeldBy(here, region)).sort(byScore).at(-1);
  const coming = ranked.find((pair) => pair.partition === partition && pair.region === leaving?.region);
  invariant(leaving !== undefined && coming !== undefined, 'a complete partition has a holder that an incomplete one lacks');
  there[there.indexOf(leaving)] = roomy;
  here.push(coming);
  free.set(roomy.region, (free.get(roomy.region) as number) - 1);
}

const isHeldBy = (holders: readonly Candidate[], region: RegionId): boolean => holders.some((holder) => holder.region === region);

const byScore = (a: Candidate, b: Candidate): number => b.score - a.score || a.partition - b.partition || (a.region < b.region ? -1 : 1);

function candidates(group: GroupId, regions: readonly RegionEntry[], hash: HashFunction): Candidate[] {
  const all: Candidate[] = [];
  for (const { id, weight } of regions) {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const bytes = hash(utf8(`replica ${group} ${partition} ${id}`));
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      // 52 bits and a half step: never 0 or 1, whose logarithms would be useless.
      const unit = (view.getUint32(0) * 2 ** 20 + (view.getUint32(4) >>> 12) + 0.5) / 2 ** 52;
      all.push({ partition, region: id, score: -weight / Math.log(unit) });
    }
  }
  return all.sort(byScore);
}

/** Fair shares by weight as whole numbers that add up to all pairs: the largest fractions are rounded up, ties by id. */
export function capacities(regions: readonly RegionEntry[], needed: number): ReadonlyMap<RegionId, number> {
  const shares = fairShares(regions, needed);
  const whole = new Map(shares.map(([id, share]) => [id, Math.floor(share)]));
  let rest = needed * PARTITIONS - [...whole.values()].reduce((sum, share) => sum + share, 0);
  const byFraction = shares.sort(([, a], [, b]) => (b % 1) - (a % 1));
  for (const [id, share] of byFraction) if (rest-- > 0) whole.set(id, Math.floor(share) + 1);
  return whole;
}

/** No region holds a partition twice: what one cannot take is shared by the others. In the order of ids. */
function fairShares(regions: readonly RegionEntry[], needed: number): (readonly [RegionId, number])[] {
  const shares: [RegionId, number][] = [];
  // Sums of fractions depend on the order; that of the document does not count.
  let open = [...regions].sort((a, b) => (a.id < b.id ? -1 : 1));
  let left = needed * PARTITIONS;
  for (;;) {
    const weight = open.reduce((sum, region) => sum + region.weight, 0);
    const full = open.filter((region) => (left * region.weight) / weight >= PARTITIONS);
    if (full.length === 0 || full.length === open.length) {
      for (const region of open) shares.push([region.id, Math.min(PARTITIONS, (left * region.weight) / weight)]);
      return shares.sort(([a], [b]) => (a < b ? -1 : 1));
    }
    for (const region of full) shares.push([region.id, PARTITIONS]);
    left -= full.length * PARTITIONS;
    open = open.filter((region) => !full.includes(region));
  }
}

/** How many partitions each region holds, for balance checks and `status`. */
export function loads(map: PartitionMap): ReadonlyMap<RegionId, number> {
  const count = new Map<RegionId, number>();
  for (const regions of map) for (const region of regions) count.set(region, (count.get(region) ?? 0) + 1);
  return count;
}
