// Maps of partitions that were worked out before: many hundred hashes and a sort each, and the same regions give the same map. A
// simulation starts the same few regions over and over, and an edge asks for what its regions have.

import type { GroupId } from '../keys/item-key.ts';
import { Recent } from '../recent.ts';
import type { HashFunction } from '../version/tag.ts';
import { placePartitions, placementText, type PartitionMap, type Placement } from './placement.ts';
import type { Topology } from './topology.ts';

const PLACED_MAX = 64;
const placed = new WeakMap<HashFunction, Recent<string, PartitionMap>>();

export function placedLately(group: GroupId, placement: Placement, topology: Topology, hash: HashFunction): PartitionMap {
  let maps = placed.get(hash);
  if (maps === undefined) placed.set(hash, (maps = new Recent(PLACED_MAX)));
  const name = `${placementText(placement)} of ${topology.regions.map(({ id, weight, state }) => `${id} ${weight} ${state}`).join(', ')}`;
  let map = maps.get(name);
  if (map === undefined) maps.set(name, (map = placePartitions(group, placement, topology, hash)));
  return map;
}
