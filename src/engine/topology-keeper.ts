// The topology document that this region works on, and how a newer one takes its place. One writer orders the documents;
// a region takes what is newer, from whoever shows it, and works on its last one for as long as nobody does.
//
//   1. Only a newer document that has no fault is put in force; an older, a different or an empty one is refused and alarmed.
//   2. It is durable before it is in force: a region that starts again never falls back.
//   3. What a peer holds under it and did not hold before counts as lacking there, from before it is in force until a
//      certificate says otherwise: the live RPO is never too low. What this region gives up no certificate covers: it hands that
//      over itself (hand-over.ts).
//   4. Nothing is kept for a region that will never take it: hints for what is lost or no longer listed go. The others compare
//      with each other at once: it may have told only some of them.
//   5. Who did not take part for a while holds, perhaps, what was deleted and reaped meanwhile: a region that was fenced, lost
//      or not listed, one that skipped a document, one that gets back a partition of which it has a copy. It goes on as one
//      that was restored (restored.ts), and has noted so before the document is in force.
//   6. What all replicas agreed to reap under the last document has raised its line before the next is in force: whoever that
//      one lets in asks for the lines, and hears all of them.
//   7. When a region that was lost is taken back is noted before the document is in force: from then on what it had not passed
//      on may lose, and that is one group in the ledger (stranded.ts).

import { utf8 } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { partitionOf, type GroupId, type ItemKey, type PartitionId } from '../core/keys/item-key.ts';
import { formatTopology, isOut, judgeTopology, topologyFault, topologyVersion, type RegionEntry, type Topology, type TopologyVerdict } from '../core/placement/topology.ts';
import type { TopologyChange } from '../core/placement/topology-change.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { ChangeLog } from '../ports/change-log.ts';
import type { Log } from '../ports/log.ts';
import type { Table } from '../ports/table.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { Catalog } from './catalog.ts';
import { keepDocument, readDocument } from './documents.ts';
import { countItems, HandOver } from './hand-over.ts';
import type { Peers } from './peers.ts';

const DOCUMENT = 'topology';
/** Of the last document that this region wrote as the control region. */
const WRITTEN = 'topology-written';
/** Writes do not wait for a document; nor does it wait for a moment without writes for ever. */
const MEANWHILE_ROUNDS_MAX = 4;

export interface TopologyKeeperParts {
  readonly region: RegionId;
  readonly table: Table;
  readonly changes: ChangeLog;
  readonly catalog: Catalog;
  readonly peers: Peers;
  readonly log: Log;
  readonly hash: HashFunction;
  /** Undefined when no line is being raised. */
  raising(): Promise<unknown> | undefined;
  /** 5: durable when it resolves. */
  returning(): Promise<void>;
  /** 5: the document is in force. `fromOutside`: it served nobody until now. */
  returned(how: { readonly fromOutside: boolean }): void;
  isServing(): boolean;
  /** 7: durable when it resolves. */
  takenBack(before: Topology, after: Topology): Promise<void>;
  reconcile(peers: readonly RegionId[]): Promise<void>;
}

type Comeback = 'from-outside' | 'in-doubt' | undefined;

export class TopologyKeeper {
  readonly #parts: TopologyKeeperParts;
  readonly handOver: HandOver;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: TopologyKeeperParts) {
    this.#parts = parts;
    this.handOver = new HandOver(parts);
  }

  /** At start, before anything is counted: the document that was last in force, when it is newer than the one given. */
  async load(): Promise<void> {
    const { table, catalog } = this.#parts;
    const stored = await readDocument<Topology>(table, DOCUMENT);
    if (stored === undefined || judgeTopology(catalog.version, topologyVersion(stored)) !== 'newer') return;
    catalog.replace(stored);
    await this.#meetAll(stored);
  }

  /** Takes a document, or says why not. One after the other. */
  offer(document: Topology): Promise<TopologyVerdict | 'faulty'> {
    const turn = this.#turn.then(() => this.#offer(document));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** What a peer's answer brought. One that was long under way is older by now: no reason for alarm. */
  learn(document: Topology): void {
    if (faultOf(document) === undefined && judgeTopology(this.#parts.catalog.version, topologyVersion(document)) === 'older') return;
    this.offer(document).catch((error: unknown) => this.#parts.log.write('error', 'topology.not-kept', { error: String(error) }));
  }

  /**
   * The one writer's: puts in force what `change` makes of the document that stands. Another writer of the same region (there
   * may be several environments of one) is noticed before anything is: the note of what was written last is compared and set.
   * @throws ArchipelError `topology-change-refused`; `overloaded` when another writer was faster
   */
  write(change: (current: Topology) => TopologyChange): Promise<Topology> {
    const turn = this.#turn.then(() => this.#write(change));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #write(change: (current: Topology) => TopologyChange): Promise<Topology> {
    const { table, catalog } = this.#parts;
    const note = await table.document(WRITTEN);
    const stored = await readDocument<Topology>(table, DOCUMENT);
    if (stored !== undefined && judgeTopology(catalog.version, topologyVersion(stored)) === 'newer') await this.#take(stored);
    const changed = change(catalog.topology);
    if ('refused' in changed) throw new ArchipelError('topology-change-refused', changed.refused);
    if (changed.document === catalog.topology) return catalog.topology;
    if (!(await table.putDocument(WRITTEN, utf8(JSON.stringify(topologyVersion(changed.document))), note?.revision))) throw new ArchipelError('overloaded', 'The topology is being changed by somebody else.');
    await this.#take(changed.document);
    return changed.document;
  }

  async #offer(document: Topology): Promise<TopologyVerdict | 'faulty'> {
    const { catalog, log } = this.#parts;
    const fault = faultOf(document); // 1
    const verdict = fault === undefined ? judgeTopology(catalog.version, topologyVersion(document)) : 'faulty';
    if (verdict === 'newer') await this.#take(document);
    else if (verdict !== 'same') log.write('error', 'topology.refused', { verdict, ...(fault === undefined ? {} : { fault }) });
    return verdict;
  }

  async #take(document: Topology): Promise<void> {
    await this.#meetAll(document);
    const meanwhile = new Meanwhile(this.#parts, document, (key) => this.handOver.wrote(key));
    try {
      await this.#putInForce(document, meanwhile);
    } finally {
      meanwhile.end();
      this.handOver.taken(false); // where it failed
      this.#comparable();
    }
  }

  async #putInForce(document: Topology, meanwhile: Meanwhile): Promise<void> {
    const { table, catalog, peers, log } = this.#parts;
    const gained = await this.#gained(document);
    for (const [peer, count] of gained) await peers.lanes.get(peer)?.willLack(count); // 3
    await this.handOver.prepare(document); // 3
    const comeback = await this.#comeback(document);
    if (comeback !== undefined) await this.#parts.returning(); // 5
    await this.#parts.takenBack(catalog.topology, document); // 7
    await keepDocument(table, DOCUMENT, () => document); // 2
    for (let raising = this.#parts.raising(); raising !== undefined; raising = this.#parts.raising()) await raising; // 6
    // 3: what was written since the counting began went to those who hold it under the last document only.
    for (let round = 1; meanwhile.count > 0 && round <= MEANWHILE_ROUNDS_MAX; round++) {
      const noted = Promise.all([...meanwhile.take()].map(([peer, count]) => peers.lanes.get(peer)?.willLack(count) ?? Promise.resolve()));
      if (round < MEANWHILE_ROUNDS_MAX) await noted;
      else noted.catch((error: unknown) => log.write('error', 'topology.not-counted', { error: String(error) })); // counted at once, durable soon
    }
    const isOthersLoss = [...peers.lanes.keys()].some((peer) => !isGone(catalog.entry(peer)) && isGone(entryIn(document, peer)));
    catalog.replace(document);
    this.#comparable();
    this.handOver.taken(true);
    if (comeback !== undefined) this.#parts.returned({ fromOutside: comeback === 'from-outside' });
    log.write('info', 'topology.in-force', { topology: formatTopology(document) });
    await this.#tidy();
    this.#compareWith(isOthersLoss ? [...peers.links.keys()].filter((peer) => !isOut(catalog.entry(peer))) : [...gained.keys()]); // 4
  }

  #comparable(): void {
    for (const lane of this.#parts.peers.lanes.values()) lane.hasComeToHold();
  }

  /** 4: now and then, because a message or a hint may be under way, and a crash come between. Not while a document is taken. */
  tidy(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#tidy()).catch((error: unknown) => this.#parts.log.write('warn', 'topology.not-tidied', { error: String(error) }));
    return this.#turn as Promise<void>;
  }

  async #tidy(): Promise<void> {
    const { catalog, peers } = this.#parts;
    this.handOver.wake();
    for (const [peer, lane] of [...peers.lanes]) {
      if (isGone(catalog.entry(peer)) && (await lane.retire()) && catalog.entry(peer) === undefined) peers.part(peer);
    }
  }

  /** 5 */
  async #comeback(document: Topology): Promise<Comeback> {
    const { catalog, region } = this.#parts;
    const { term, epoch } = catalog.version;
    if (isOut(entryIn(document, region))) return undefined;
    if (isOut(catalog.self)) return 'from-outside';
    const isNext = document.term === term && document.epoch === epoch + 1;
    return !isNext || (await this.#regains(document)) ? 'in-doubt' : undefined;
  }

  async #regains(document: Topology): Promise<boolean> {
    const { catalog, region } = this.#parts;
    for (const group of catalog.groups().keys()) {
      const before = catalog.map(group) ?? [];
      for (const [partition, holders] of catalog.mapUnder(document, group).entries()) {
        const isRegained = holders.includes(region) && before[partition]?.includes(region) !== true;
        if (isRegained && (await countItems(this.#parts.table, { group, partition })) > 0) return true;
      }
    }
    return false;
  }

  /** At once, whatever the schedule says. The first of a pair asks, so that the two do not wait for each other's lease. */
  #compareWith(peers: readonly RegionId[]): void {
    const mine = peers.filter((peer) => this.#parts.region < peer && this.#parts.peers.links.has(peer));
    if (mine.length > 0 && this.#parts.isServing()) this.#parts.reconcile(mine).catch(() => undefined);
  }

  async #meetAll({ regions }: Topology): Promise<void> {
    for (const { id } of regions) {
      if (id !== this.#parts.region && !(await this.#parts.peers.meet(id))) this.#parts.log.write('error', 'topology.no-address', { peer: id });
    }
  }

  /** Per peer: items of the partitions that this region holds and that the peer comes to hold. */
  async #gained(document: Topology): Promise<ReadonlyMap<RegionId, number>> {
    const gained = new Map<RegionId, number>();
    for (const group of this.#parts.catalog.groups().keys()) {
      for (const [partition, coming] of comingTo(this.#parts, document, group)) {
        const items = await countItems(this.#parts.table, { group, partition });
        if (items > 0) for (const id of coming) gained.set(id, (gained.get(id) ?? 0) + items);
      }
    }
    return gained;
  }
}

/** Per partition of a group that this region holds: the other regions that hold it under this document and do not yet. */
function comingTo({ catalog, region }: Pick<TopologyKeeperParts, 'catalog' | 'region'>, document: Topology, group: GroupId): ReadonlyMap<PartitionId, readonly RegionId[]> {
  const before = catalog.map(group) ?? [];
  const coming = new Map<PartitionId, readonly RegionId[]>();
  for (const [partition, holders] of catalog.mapUnder(document, group).entries()) {
    const had = before[partition] ?? [];
    const others = holders.filter((id) => id !== region && !had.includes(id));
    if (others.length > 0 && holders.includes(region)) coming.set(partition, others);
  }
  return coming;
}

/** Counts, per region that comes to hold something, what is committed here until the document is in force. */
class Meanwhile {
  #counts = new Map<RegionId, number>();
  readonly end: () => void;

  constructor(parts: TopologyKeeperParts, document: Topology, wrote: (key: ItemKey) => void) {
    const maps = new Map<GroupId, ReadonlyMap<PartitionId, readonly RegionId[]>>();
    this.end = parts.changes.subscribe((entries) => {
      for (const { key } of entries) {
        wrote(key);
        const coming = maps.get(key.group) ?? comingTo(parts, document, key.group);
        maps.set(key.group, coming);
        for (const id of coming.get(partitionOf(key.encoded)) ?? []) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
      }
    });
  }

  get count(): number {
    return this.#counts.size;
  }

  take(): ReadonlyMap<RegionId, number> {
    const counts = this.#counts;
    this.#counts = new Map();
    return counts;
  }
}

const entryIn = ({ regions }: Topology, region: RegionId): RegionEntry | undefined => regions.find(({ id }) => id === region);

/** For good. */
const isGone = (entry: RegionEntry | undefined): boolean => entry === undefined || entry.state === 'lost';

/** A document comes from outside: what has not even its shape is as faulty as what lists nobody. */
function faultOf(document: Topology): string | undefined {
  try {
    return topologyFault(document);
  } catch {
    return 'Not a topology document.';
  }
}
