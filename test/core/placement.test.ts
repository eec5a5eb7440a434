import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import { capacities, groupOf, loads, placePartitions, placementText, SYSTEM_PLACEMENT, type PartitionMap, type Placement } from '../../src/core/placement/placement.ts';
import type { RegionEntry, RegionState, Topology } from '../../src/core/placement/topology.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';

const entry = (id: string, state: RegionState = 'active', weight = 1): RegionEntry => ({ id: asRegionId(id), lat: 0, lon: 0, weight, state });
const topology = (...regions: readonly RegionEntry[]): Topology => ({ format: 1, term: 1, epoch: 1, control: (regions[0] as RegionEntry).id, regions });
const place = (placement: Placement, ...regions: readonly RegionEntry[]): PartitionMap => placePartitions(groupOf(placement, sha256), placement, topology(...regions), sha256);
const ALL: Placement = { regions: 'all', replicas: 3 };
const ids = (...names: readonly string[]): RegionId[] => names.map(asRegionId);

describe('placement groups', () => {
  it('the same placement is the same group, in whatever order its regions are listed', () => {
    expect(placementText({ regions: ids('us', 'eu', 'us'), replicas: 2 })).toBe('eu,us*2');
    expect(groupOf({ regions: ids('us', 'eu'), replicas: 2 }, sha256)).toBe(groupOf({ regions: ids('eu', 'us'), replicas: 2 }, sha256));
    expect(groupOf({ regions: ids('eu', 'us'), replicas: 2 }, sha256)).not.toBe(groupOf({ regions: ids('eu', 'us'), replicas: 3 }, sha256));
    expect(groupOf(ALL, sha256)).toMatch(/^[0-9a-f]{8}$/);
  });
});

describe('partition -> regions', () => {
  it('is the same for everybody, in whatever order the document lists the regions', () => {
    const regions = [entry('eu'), entry('us'), entry('ap'), entry('sa')];
    expect(place(ALL, ...regions)).toEqual(place(ALL, ...regions.toReversed()));
  });

  it('does not depend on where a region is or how it is reached', () => {
    const regions = [entry('eu'), entry('us'), entry('ap'), entry('sa')];
    expect(place(ALL, ...regions.map((region) => ({ ...region, lat: 50, lon: 8, url: 'http://elsewhere' })))).toEqual(place(ALL, ...regions));
  });

  it('the system\'s own collections are everywhere', () => {
    for (const holders of place(SYSTEM_PLACEMENT, entry('eu'), entry('us'), entry('ap'), entry('sa'))) expect(holders.length).toBe(4);
  });

  it('no eligible region: nobody', () => {
    expect(place({ regions: ids('elsewhere'), replicas: 3 }, entry('eu')).every((holders) => holders.length === 0)).toBe(true);
  });

  it('a lost region holds nothing; a fenced or draining one is still counted, so that nothing moves', () => {
    const four = (state: RegionState): PartitionMap => place(ALL, entry('eu'), entry('us'), entry('ap'), entry('sa', state));
    expect(loads(four('lost')).has(asRegionId('sa'))).toBe(false);
    expect(four('lost')).toEqual(place(ALL, entry('eu'), entry('us'), entry('ap')));
    for (const state of ['fenced', 'draining'] as const) expect(four(state)).toEqual(four('active'));
  });

  it('a joining region stands behind those that serve, which keep all that they hold', () => {
    const before = place(ALL, entry('eu'), entry('us'), entry('ap'));
    const joining = place(ALL, entry('eu'), entry('us'), entry('ap'), entry('sa', 'joining'));
    const after = place(ALL, entry('eu'), entry('us'), entry('ap'), entry('sa'));
    for (const [partition, holders] of joining.entries()) {
      expect(holders.slice(0, 3)).toEqual(before[partition]);
      expect(holders.slice(3)).toEqual(after[partition]?.filter((id) => id === 'sa'));
    }
    expect(loads(joining).get(asRegionId('sa'))).toBe(loads(after).get(asRegionId('sa')));
  });

  it('a first region that is still joining is sent everything', () => {
    expect(place(ALL, entry('eu', 'joining')).every((holders) => holders.length === 1)).toBe(true);
  });
});

describe('weights', () => {
  // The pairs are taken by score; where that leads to a dead end (the regions with room hold the partition already), a swap.
  it('each region holds exactly its capacity', () => {
    const weights = [0.5, 0.5, 1, 2, 3, 3];
    for (const count of [1, 2, 3, 4]) {
      const regions = weights.map((weight, i) => entry(`r${i}`, 'active', weight));
      expect(new Map([...loads(place({ regions: 'all', replicas: count }, ...regions))].sort())).toEqual(new Map([...capacities(regions, count)].sort()));
    }
  });

  it('a region whose share is every partition holds every partition, and the light ones share the rest evenly', () => {
    const held = loads(place(ALL, entry('aa-aaaa-1', 'active', 3), entry('aa-aaaa-2', 'active', 3), entry('aa-adga-1', 'active', 0.5), entry('ka-aavg-1', 'active', 0.5)));
    expect([...held].sort()).toEqual([
      ['aa-aaaa-1', PARTITIONS],
      ['aa-aaaa-2', PARTITIONS],
      ['aa-adga-1', 128],
      ['ka-aavg-1', 128],
    ]);
  });
});

describe('capacities', () => {
  const of = (needed: number, ...weights: readonly number[]): number[] => [...capacities(weights.map((weight, i) => entry(`r${i}`, 'active', weight)), needed).values()];

  it('are fair shares as whole numbers that add up to all pairs', () => {
    expect(of(3, 1, 1, 1, 1)).toEqual([192, 192, 192, 192]);
    expect(of(1, 1, 1, 1)).toEqual([86, 85, 85]);
    expect(of(1, 3, 3, 1)).toEqual([110, 110, 36]);
  });

  it('do not depend on the order of the document, though sums of fractions do', () => {
    const regions = [0.1, 0.2, 0.3, 0.7, 1.1].map((weight, i) => entry(`r${i}`, 'active', weight));
    expect([...capacities(regions.toReversed(), 2)].sort()).toEqual([...capacities(regions, 2)].sort());
  });

  it('nobody holds a partition twice: what the heavy one cannot take is shared by the others', () => {
    expect(of(2, 100, 1, 1)).toEqual([PARTITIONS, 128, 128]);
    expect(of(3, 1, 1, 1)).toEqual([PARTITIONS, PARTITIONS, PARTITIONS]);
    expect(of(3, 5, 3, 1, 1)).toEqual([PARTITIONS, PARTITIONS, 128, 128]);
  });

  it('of nobody for nothing', () => expect(of(0)).toEqual([]));
});
