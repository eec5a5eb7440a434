// What an operator may change in the topology document, and what the next one then says. Nothing automatic does: a verdict
// that a region is down steers routing only.

import type { RegionId } from '../version/dot.ts';
import { topologyFault, type RegionState, type Topology } from './topology.ts';

export type TopologyVerb = 'drain' | 'return' | 'fence' | 'lose';
export const TOPOLOGY_VERBS: readonly TopologyVerb[] = ['drain', 'return', 'fence', 'lose'];

/** From which states each leads, and where to. */
const CHANGES: Readonly<Record<TopologyVerb, { readonly from: readonly RegionState[]; readonly to: RegionState }>> = {
  drain: { from: ['active'], to: 'draining' },
  /** From `lost`, too: a region may come back after all. Its peers have dropped what they kept for it, so it is filled by comparison. */
  return: { from: ['draining', 'fenced', 'lost'], to: 'active' },
  fence: { from: ['active', 'draining', 'joining'], to: 'fenced' },
  lose: { from: ['active', 'draining', 'joining', 'fenced'], to: 'lost' },
};

export type TopologyChange = { readonly document: Topology } | { readonly refused: string };

/** The next document; what is so already gives the one that stands. */
export function changeTopology(current: Topology, region: RegionId, verb: TopologyVerb): TopologyChange {
  const entry = current.regions.find(({ id }) => id === region);
  if (entry === undefined) return { refused: `There is no region ${region} in the topology.` };
  const { from, to } = CHANGES[verb];
  if (entry.state === to) return { document: current };
  if (!from.includes(entry.state)) return { refused: `${region} is ${entry.state}: it cannot be made ${to}.` };
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
