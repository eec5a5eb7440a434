// Whether a region answers clients, and if not, why.

import { ArchipelError, type ErrorCode } from '../core/errors.ts';
import { isOut, type RegionEntry } from '../core/placement/topology.ts';

/** Between the steps of a start. `fenced` and `joining`: it was away for too long (rebuild.ts). */
export type Phase = 'starting' | 'recovering' | 'fenced' | 'joining' | 'serving' | 'stopped';

const REFUSALS: Readonly<Partial<Record<Phase, readonly [ErrorCode, string]>>> = {
  fenced: ['region-fenced', 'This region was away for too long: it has fenced itself, until it knows whether it has to be rebuilt.'],
  joining: ['region-recovering', 'This region was away for too long: it is being rebuilt from the others.'],
  recovering: ['region-recovering', 'This region is taking back what its peers hold.'],
  stopped: ['overloaded', 'This region is stopping.'],
};

/** @throws ArchipelError `region-recovering`, `region-fenced`, `overloaded` */
export function assertServes(phase: Phase, self: Pick<RegionEntry, 'state'>): void {
  if (phase !== 'stopped' && isOut(self)) throw new ArchipelError('region-fenced', self.state === 'lost' ? 'This region was declared lost: an operator has to take it back.' : 'This region is fenced: an operator has decided so, or the topology does not list it any more.'); // first: no waiting helps
  const refusal = REFUSALS[phase];
  if (refusal !== undefined) throw new ArchipelError(...refusal);
  if (self.state === 'joining') throw new ArchipelError('region-recovering', 'This region is joining: it does not hold everything yet.');
}
