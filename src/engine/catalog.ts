// What a region knows about collections: their policies, the placement groups that these form, and which regions hold
// each partition. Policies are items of a replicated system collection; the catalog is their mirror in memory, kept up to
// date by the change log, so that looking one up costs nothing.

import { utf8, utf8Text } from '../core/bytes.ts';
import { ArchipelError, invariant } from '../core/errors.ts';
import { hasRightHash, isSystemCollection, itemKey, partitionOf, pkPrefix, type GroupId, type ItemKey, type PartitionId } from '../core/keys/item-key.ts';
import { ITEM_BYTES_MAX, PARTITIONS } from '../core/limits.ts';
import { placedLately } from '../core/placement/placed-lately.ts';
import { groupOf, placementText, SYSTEM_PLACEMENT, type PartitionMap, type Placement } from '../core/placement/placement.ts';
import { topologyVersion, type RegionEntry, type Topology, type TopologyVersion } from '../core/placement/topology.ts';
import { compareDots, isRegionId, parseDot, type Dot, type RegionId } from '../core/version/dot.ts';
import type { State } from '../core/version/record.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { ConflictRule } from '../core/version/write.ts';
import type { Table } from '../ports/table.ts';

export const COLLECTIONS = '_collections';
export const KEYS = '_keys';

/** As stored: the value of an item of `_collections`, whose pk is the collection's name. */
export interface Policy {
  readonly conflict: ConflictRule;
  readonly regions: 'all' | readonly RegionId[];
  readonly replicas: number;
  readonly ttlSeconds?: number;
  readonly maxValueBytes?: number;
  readonly requireContext?: boolean;
  /** ISO 8601. */
  readonly created: string;
  /** Of two creations that crossed, the smaller dot stands. Absent in the creation itself, whose own dot it is. */
  readonly createdBy?: string;
  /** Every region has the policy: items may be written. */
  readonly active: boolean;
}

export interface Collection {
  readonly name: string;
  readonly group: GroupId;
  readonly policy: Policy;
}

export const placementOf = (policy: Pick<Policy, 'regions' | 'replicas'>): Placement => ({ regions: policy.regions, replicas: policy.replicas });

const SYSTEM: Readonly<Record<string, ConflictRule>> = { [COLLECTIONS]: 'siblings', [KEYS]: 'lww' };

export interface CatalogOptions {
  readonly region: RegionId;
  readonly topology: Topology;
  readonly hash: HashFunction;
}

export class Catalog {
  readonly systemGroup: GroupId;
  readonly #region: RegionId;
  readonly #hash: HashFunction;
  readonly #collections = new Map<string, Collection>();
  readonly #groups = new Map<GroupId, Placement>();
  readonly #maps = new Map<GroupId, PartitionMap>();
  /** By group and peer, of the maps that are known. */
  readonly #shared = new Map<string, readonly PartitionId[]>();
  #topology: Topology;
  #self: RegionEntry;
  #version: TopologyVersion;

  constructor(options: CatalogOptions) {
    this.#region = options.region;
    this.#hash = options.hash;
    this.#topology = options.topology;
    const self = options.topology.regions.find(({ id }) => id === options.region);
    invariant(self !== undefined, 'the topology lists this region');
    this.#self = self;
    this.#version = topologyVersion(options.topology);
    this.systemGroup = groupOf(SYSTEM_PLACEMENT, options.hash);
    this.#groups.set(this.systemGroup, SYSTEM_PLACEMENT);
  }

  // Topology ------------------------------------------------------------------------------------------------------------

  get topology(): Topology {
    return this.#topology;
  }

  get version(): TopologyVersion {
    return this.#version;
  }

  entry(region: RegionId): RegionEntry | undefined {
    return this.#topology.regions.find(({ id }) => id === region);
  }

  /** A region that is listed no longer is as good as fenced. */
  get self(): RegionEntry {
    return this.entry(this.#region) ?? { ...this.#self, state: 'fenced' };
  }

  /** A newer document is in force: every path asks for the placement when it sends, so nothing else is told. */
  replace(topology: Topology): void {
    this.#self = topology.regions.find(({ id }) => id === this.#region) ?? this.#self;
    this.#topology = topology;
    this.#version = topologyVersion(topology);
    this.#maps.clear();
    this.#shared.clear();
  }

  /** Who would hold what under another document. */
  mapUnder(topology: Topology, group: GroupId): PartitionMap {
    const placement = this.#groups.get(group);
    return placement === undefined ? [] : placedLately(group, placement, topology, this.#hash);
  }

  // Placement -----------------------------------------------------------------------------------------------------------

  groups(): ReadonlyMap<GroupId, Placement> {
    return this.#groups;
  }

  /** The regions that hold a partition; undefined for a group whose policy has not arrived here. */
  holders(group: GroupId, partition: PartitionId): readonly RegionId[] | undefined {
    return this.map(group)?.[partition];
  }

  holdersOf(key: ItemKey): readonly RegionId[] | undefined {
    return this.holders(key.group, partitionOf(key.encoded));
  }

  map(group: GroupId): PartitionMap | undefined {
    const known = this.#maps.get(group);
    if (known !== undefined) return known;
    const placement = this.#groups.get(group);
    if (placement === undefined) return undefined;
    const map = placedLately(group, placement, this.#topology, this.#hash);
    this.#maps.set(group, map);
    return map;
  }

  /** Partitions of a group that both regions hold. */
  shared(group: GroupId, peer: RegionId): readonly PartitionId[] {
    const name = `${group} ${peer}`;
    const known = this.#shared.get(name);
    if (known !== undefined) return known;
    const map = this.map(group);
    if (map === undefined) return [];
    const shared = map.flatMap((holders, partition) => (holders.includes(this.#region) && holders.includes(peer) ? [partition] : []));
    this.#shared.set(name, shared);
    return shared;
  }

  // Collections ---------------------------------------------------------------------------------------------------------

  find(name: string): Collection | undefined {
    return this.#collections.get(name);
  }

  list(): readonly Collection[] {
    return [...this.#collections.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws ArchipelError `collection-not-found`, `collection-pending` */
  require(name: string): Collection {
    const collection = isSystemCollection(name) ? undefined : this.#collections.get(name);
    if (collection === undefined) throw new ArchipelError('collection-not-found', `There is no collection ${name}.`);
    // mark if (!collection.policy.active): pending collection takes no items
    if (!collection.policy.active) throw new ArchipelError('collection-pending', `Not every region knows the collection ${name} yet.`);
    return collection;
  }

  /** How concurrent writes of an item are merged. Where the policy is still on its way, nothing is dropped. */
  conflictRule(collection: string): ConflictRule {
    return SYSTEM[collection] ?? this.#collections.get(collection)?.policy.conflict ?? 'siblings';
  }

  /** False: the policy is still on its way. */
  knowsRule(collection: string): boolean {
    return SYSTEM[collection] !== undefined || this.#collections.has(collection);
  }

  key(collection: Collection, pk: Uint8Array, sk: Uint8Array): ItemKey {
    return itemKey(collection.group, { collection: collection.name, pk, sk }, this.#hash);
  }

  prefix(collection: Collection, pk: Uint8Array): Uint8Array {
    return pkPrefix(collection.group, collection.name, pk, this.#hash);
  }

  systemKey(collection: typeof COLLECTIONS | typeof KEYS, pk: string): ItemKey {
    return itemKey(this.systemGroup, { collection, pk: utf8(pk), sk: new Uint8Array(0) }, this.#hash);
  }

  isRightKey(key: ItemKey): boolean {
    return hasRightHash(key, this.#hash); // all other bytes are what the key was read from
  }

  /** Key and value together may have this many bytes. */
  static itemBytesMax(policy: Policy): number {
    return Math.max(ITEM_BYTES_MAX, policy.maxValueBytes ?? 0);
  }

  /** A state of `_collections` was committed here. Answers the collection when its policy is new or has changed. */
  learn(key: ItemKey, state: State): Collection | undefined {
    const name = utf8Text(key.pk);
    const policy = effectivePolicy(state);
    if (name === undefined || policy === undefined) return undefined;
    const group = groupOf(placementOf(policy), this.#hash);
    const before = this.#collections.get(name);
    const collection: Collection = { name, group, policy };
    this.#collections.set(name, collection);
    if (!this.#groups.has(group)) this.#groups.set(group, placementOf(policy));
    return before !== undefined && JSON.stringify(before.policy) === JSON.stringify(policy) ? undefined : collection;
  }

  /** @throws ArchipelError `collection-exists` when another placement has the same group id (one in 2^32). */
  assertNoCollision(policy: Policy): void {
    const other = this.#groups.get(groupOf(placementOf(policy), this.#hash));
    if (other !== undefined && placementText(other) !== placementText(placementOf(policy))) {
      throw new ArchipelError('collection-exists', 'Another placement has the same group id; change the number of replicas or the regions.');
    }
  }

  /** Reads all policies, at start. */
  async load(table: Table): Promise<void> {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (let after: Uint8Array | undefined; ; ) {
        const page = await table.scan({ group: this.systemGroup, partition, limit: 100, bytesMax: 1 << 20, ...(after === undefined ? {} : { after }) });
        for (const { key, record } of page.items) if (key.collection === COLLECTIONS) this.learn(key, record.state);
        if (page.cursor === undefined) break;
        after = page.cursor;
      }
    }
  }
}

interface Version {
  readonly dot: Dot;
  readonly policy: Policy;
}

/** Of crossed creations the smaller dot stands; of the versions that descend from it the newest. */
export function effectivePolicy(state: State): Policy | undefined {
  const versions = state.values.flatMap(({ dot, value }): Version[] => {
    const policy = parsePolicy(value.bytes);
    return policy === undefined ? [] : [{ dot, policy }];
  });
  const creation = ({ dot, policy }: Version): Dot => (policy.createdBy === undefined ? dot : (parseDot(policy.createdBy) ?? dot));
  const [first] = [...versions].sort((a, b) => compareDots(creation(a), creation(b)));
  if (first === undefined) return undefined;
  const [newest] = versions.filter((version) => compareDots(creation(version), creation(first)) === 0).sort((a, b) => compareDots(b.dot, a.dot));
  return newest?.policy;
}

/** Undefined for what is no policy, or one of a later release: its collection is then unknown here, and nothing of it is dropped. */
export function parsePolicy(bytes: Uint8Array): Policy | undefined {
  try {
    const policy = JSON.parse(utf8Text(bytes) ?? '') as Policy;
    const { conflict, regions, replicas, active } = policy;
    const isKnown = (CONFLICT_RULES as readonly string[]).includes(conflict) && (regions === 'all' || regions.every(isRegionId)) && Number.isInteger(replicas) && replicas >= 1;
    return isKnown && typeof active === 'boolean' ? policy : undefined;
  } catch {
    return undefined;
  }
}

const CONFLICT_RULES: readonly ConflictRule[] = ['lww', 'siblings'];
