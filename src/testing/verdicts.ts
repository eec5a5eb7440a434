// What holds for the verdicts of the regions of a simulation, looked at from outside.

import { OBSERVERS_AGREE } from '../core/limits.ts';
import { isOut } from '../core/placement/topology.ts';
import type { Seen } from '../engine/health.ts';
import type { SimCluster, SimRegion } from './cluster.ts';

function* pairs({ regions }: SimCluster): Generator<{ readonly by: SimRegion; readonly of: SimRegion; readonly seen: Seen }> {
  for (const by of regions) {
    for (const of of regions) {
      const seen = by.running?.region.health.seen(of.id);
      if (seen !== undefined && !isOut(by.running?.region.catalog.entry(of.id))) yield { by, of, seen };
    }
  }
}

/** At any time: no region is down by the word of one observer. */
export const hastyVerdicts = (cluster: SimCluster): string[] =>
  [...pairs(cluster)].filter(({ seen }) => seen.verdict === 'down' && seen.suspectedBy.length < OBSERVERS_AGREE).map(({ by, of, seen }) => `${by.id} takes ${of.id} for down, by the word of ${seen.suspectedBy.join()}`);

/** When everything has healed, and some time later: no region that is up is down for anybody. */
export const nobodyIsTakenForDown = (cluster: SimCluster): boolean => [...pairs(cluster)].every(({ of, seen }) => !of.isUp || seen.verdict !== 'down');
