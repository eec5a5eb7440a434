// What an operator may change in the topology document, and what the next one then says. Nothing automatic does: a verdict
// that a region is down steers routing only.

import type { RegionId } from '../version/dot.ts';
import { topologyFault, type RegionState, type Topology } from './topology.ts';

export type TopologyVerb = 'drain' | 'return' | 'fence' | 'lose';
export const TOPOLOGY_VERBS: readonly TopologyVerb[] = ['drain', 'return', 'fence', 'lose'];

/**
 * Where each leads, by the state that the region is in. One that was lost may come back after all; others hold by then what it had
 * held, and have dropped what they kept for it: it is `joining` first, beside them, and `active` when it has shown that it holds
 * everything. One that was fenced has held its partitions all the time.
 */
const CHANGES: Readonly<Record<TopologyVerb, { readonly to: RegionState; readonly from: Readonly<Partial<Record<RegionState, RegionState>>> }>> = {
  drain: { to: 'draining', from: { active: 'draining' } },
  return: { to: 'active', from: { draining: 'active', fenced: 'active', lost: 'joining', joining: 'active' } },
  fence: { to: 'fenced', from: { active: 'fenced', draining: 'fenced', joining: 'fenced' } },
  lose: { to: 'lost', from: { active: 'lost', draining: 'lost', joining: 'lost', fenced: 'lost' } },
};

export type TopologyChange = { readonly document: Topology } | { readonly refused: string };

/** The next document; what is so already gives the one that stands. `lacks`: why a joining region does not hold everything yet. */
export function changeTopology(current: Topology, region: RegionId, verb: TopologyVerb, { lacks }: { readonly lacks?: string | undefined } = {}): TopologyChange {
  const entry = current.regions.find(({ id }) => id === region);
  if (entry === undefined) return { refused: `There is no region ${region} in the topology.` };
  const { to: wanted, from } = CHANGES[verb];
  if (entry.state === wanted) return { document: current };
  const to = from[entry.state];
  if (to === undefined) return { refused: `${region} is ${entry.state}: it cannot be made ${wanted}.` };
  if (entry.state === 'joining' && to === 'active' && lacks !== undefined) return { refused: lacks };
  if (region === current.control && (to === 'fenced' || to === 'lost')) return { refused: `${region} is the control region, which orders the documents: promote another one first.` };
  return checked({ ...current, epoch: current.epoch + 1, regions: current.regions.map((each) => (each.id === region ? { ...each, state: to } : each)) });
}

/** Control moves here under a higher term: what the last control region still writes is older from now on. */
export function promoteRegion(current: Topology, region: RegionId): TopologyChange {
  if (region === current.control) return { document: current };
  const state = current.regions.find(({ id }) => id === region)?.state;
  if (state !== 'active') return { refused: `Only an active region can be promoted; ${region} is ${state ?? 'not listed'}.` };
  return checked({ ...current, term: current.term + 1, epoch: current.epoch + 1, control: region });
}

function checked(document: Topology): TopologyChange {
  const fault = topologyFault(document);
  return fault === undefined ? { document } : { refused: fault };
}
