// The topology document: which regions there are, where, how much each should hold, and in which state. One writer orders
// the documents by (term, epoch); everybody else only ever moves forward. A document that is empty, older, or different
// under the same number is refused: in the us-east-1 outage of October 2025 a delayed writer put an old, then an empty,
// plan in force, and everything behind it failed for hours.

import { isRegionId, type RegionId } from '../version/dot.ts';

/** What an operator has decided about a region. (`suspect` and `down` are verdicts of observers, not states.) */
export type RegionState = 'active' | 'draining' | 'fenced' | 'lost' | 'joining';

export const REGION_STATES: readonly RegionState[] = ['active', 'draining', 'fenced', 'lost', 'joining'];

export interface RegionEntry {
  readonly id: RegionId;
  /** How clients reach it. Not part of the document's identity: a proxy may stand on any link. */
  readonly url?: string;
  readonly lat: number;
  readonly lon: number;
  /** Its share of the partitions, relative to the others'. */
  readonly weight: number;
  readonly state: RegionState;
}

/** Takes no part: fenced, lost, or not listed (any more). */
export const isOut = (entry: Pick<RegionEntry, 'state'> | undefined): boolean => entry === undefined || entry.state === 'fenced' || entry.state === 'lost';

export interface Topology {
  readonly format: 1;
  readonly term: number;
  readonly epoch: number;
  /** The region whose table orders the documents. */
  readonly control: RegionId;
  readonly regions: readonly RegionEntry[];
}

/** The number of a document and what it says, small enough to ride on every message. */
export interface TopologyVersion {
  readonly term: number;
  readonly epoch: number;
  /** Canonical text of all that regions must agree on. */
  readonly identity: string;
}

export type TopologyVerdict = 'same' | 'newer' | 'older' | 'different';

export function topologyVersion(topology: Topology): TopologyVersion {
  const regions = [...topology.regions].sort((a, b) => (a.id < b.id ? -1 : 1)).map(({ id, weight, state }) => `${id}*${weight}:${state}`);
  return { term: topology.term, epoch: topology.epoch, identity: `${topology.control}|${regions.join(',')}` };
}

/** By term, then by epoch: whoever has no more of a version than these. */
export const isNewerVersion = (a: Pick<TopologyVersion, 'term' | 'epoch'>, b: Pick<TopologyVersion, 'term' | 'epoch'>): boolean => (a.term === b.term ? a.epoch > b.epoch : a.term > b.term);

export function judgeTopology(current: TopologyVersion, offered: TopologyVersion): TopologyVerdict {
  if (isNewerVersion(offered, current)) return 'newer';
  if (isNewerVersion(current, offered)) return 'older';
  return offered.identity === current.identity ? 'same' : 'different';
}

/** What is wrong with a document, in one sentence; undefined when it can be put in force. */
export function topologyFault(topology: Topology): string | undefined {
  if (topology.format !== 1) return `Format ${String(topology.format)} of the topology is not known.`;
  if (topology.regions.length === 0) return 'The topology lists no region.';
  if (!Number.isSafeInteger(topology.term) || topology.term < 1 || !Number.isSafeInteger(topology.epoch) || topology.epoch < 1) return 'Term and epoch are whole numbers from 1.';
  const ids = new Set(topology.regions.map(({ id }) => id));
  if (ids.size !== topology.regions.length) return 'A region is listed twice.';
  if (!ids.has(topology.control)) return `The control region ${topology.control} is not listed.`;
  for (const region of topology.regions) {
    if (!isRegionId(region.id)) return `Not a region id: ${String(region.id)}.`;
    if (!(region.weight > 0) || !Number.isFinite(region.weight)) return `The weight of ${region.id} is not a positive number.`;
    if (!(Math.abs(region.lat) <= 90) || !(Math.abs(region.lon) <= 180)) return `${region.id} has no place on Earth.`;
    if (!REGION_STATES.includes(region.state)) return `${region.id} is in no known state.`;
  }
  if (!topology.regions.some(({ state }) => state === 'active')) return 'No region is active.';
  return undefined;
}

/** One-line form: `1.7 eu-central-1 active, us-east-1 draining`. */
export const formatTopology = (topology: Topology): string =>
  `${topology.term}.${topology.epoch} ${topology.regions.map(({ id, state }) => `${id} ${state}`).join(', ')}`;
