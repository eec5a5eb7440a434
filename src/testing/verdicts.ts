// What holds for the verdicts of the regions of a simulation, looked at from outside.

import { OBSERVERS_AGREE } from '../core/limits.ts';
import { isOut } from '../core/placement/topology.ts';
import type { Seen } from '../engine/health.ts';
import type { SimCluster, SimRegion } from './cluster.ts';
import type { Control } from './controls.ts';

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

/** Known bugs that these looks catch. */
export const VERDICT_CONTROLS: readonly Control[] = [
  {
    name: 'down-by-one-observer',
    what: 'A region that one observer does not hear is taken for down by everybody: a bad link takes a region out of use.',
    edits: [{ file: 'core/health/detector.ts', find: 'const isDown = suspectedBy.length >= this.#parts.agree && this.#isSilent(subject, nowMs);', replace: 'const isDown = suspectedBy.length > 0 && this.#isSilent(subject, nowMs);' }],
    seed: 1,
  },
  {
    name: 'down-for-ever',
    what: 'A region that was suspected is never heard again: what was down stays so after it is back.',
    edits: [{ file: 'core/health/detector.ts', find: 'if (!isNewer(pulse, subject.seen)) return; // 1', replace: 'if (!isNewer(pulse, subject.seen) || this.#suspect(subject, nowMs)) return;' }, { file: 'core/health/detector.ts', find: '    subject.grewMs = nowMs;\n', replace: '' }, { file: 'core/health/detector.ts', find: '    if (pulse.life > subject.newest.life) subject.heardMs = nowMs;\n', replace: '' }],
    seed: 1,
  },
];
