// What is still to reach somebody, by region and peer.

import type { RegionId } from '../core/version/dot.ts';
import type { SimRegion } from './cluster.ts';

export interface Debt {
  readonly from: RegionId;
  readonly to?: RegionId;
  /** Undefined where a region is down: nobody knows. */
  readonly items?: number;
  /** Of these, what no hint stands for: only a comparison finds it. */
  readonly behind: number;
}

/** Empty when nothing is owed. Takes no virtual time. */
export async function owedIn(regions: readonly SimRegion[]): Promise<readonly Debt[]> {
  const owed: Debt[] = [];
  for (const { id, running } of regions) {
    if (running === undefined) owed.push({ from: id, behind: 0 });
    for (const [peer, lane] of running?.region.lanes ?? []) {
      const { items } = await lane.unreplicated();
      if (items > 0) owed.push({ from: id, to: peer, items, behind: lane.behind });
    }
  }
  return owed;
}

export const formatDebt = ({ from, to, items, behind }: Debt): string => (to === undefined ? `${from} is down` : `${from} owes ${to} ${items}, ${behind} of them behind`);
