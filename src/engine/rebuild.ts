// A region that took no part for longer than the horizon (attendance.ts) does not go on with what it has: it fences itself, and
// is rebuilt from the others.
//
//   fenced    from the start, until a peer has said whether it was missed. It answers `hello` and nothing else, and sends nothing.
//             Nobody in reach? It waits: what it holds may be long outdated, and nobody is there who could tell.
//   emptied   as a new incarnation. What it has not passed on stays: nobody else has it. So does what no other region holds, or
//             none that has served all the time; and the system's own collections, which are compared like those of a restored region.
//   joining   it takes what the others send, and from every replica what that one holds; only then does it send anything: what
//             it had not passed on, merged in the ordinary way. What loses is in the ledger, like any loser.
//   serving   when a certificate with every replica is there.
//
// A start that is killed in between goes on where it was. The topology document is not changed: nothing automatic does that.

import { keyText } from '../core/bytes.ts';
import { PARTITIONS } from '../core/limits.ts';
import type { GroupId, ItemKey, PartitionId } from '../core/keys/item-key.ts';
import { actorRegion, type RegionId } from '../core/version/dot.ts';
import { sameState, type Record } from '../core/version/record.ts';
import { pause, type Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { StoredItem, Table } from '../ports/table.ts';
import type { Attendance } from './attendance.ts';
import type { Catalog } from './catalog.ts';
import { keepDocument, readDocument } from './documents.ts';
import type { Identity } from './incarnation.ts';
import type { Lane } from './lane.ts';
import type { PeerLink } from './peer-link.ts';
import type { Reconciler } from './reconciler.ts';
import type { Recovery } from './recovery.ts';
import type { Restored } from './restored.ts';
import type { Timekeeper } from './timekeeper.ts';

const DOCUMENT = 'rebuild';
const AGAIN_MS = 250;
const PAGE_ITEMS = 500;

/** `perhaps`: it was away, and nobody has said whether anybody was there meanwhile. */
type Stage = 'none' | 'perhaps' | 'emptying' | 'filling' | 'proving';

interface Note {
  readonly stage: Stage;
}

export interface RebuildParts {
  readonly region: RegionId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly lanes: ReadonlyMap<RegionId, Lane>;
  readonly attendance: Attendance;
  readonly identity: Identity;
  readonly recovery: Recovery;
  readonly restored: Restored;
  readonly reconciler: Reconciler;
  readonly time: Timekeeper;
  readonly clock: Clock;
  readonly log: Log;
  isStopped(): boolean;
}

export class Rebuild {
  readonly #parts: RebuildParts;
  #stage: Stage = 'none';
  #wasAway = false;
  readonly stats = { emptied: 0, kept: 0 };

  constructor(parts: RebuildParts) {
    this.#parts = parts;
  }

  async load(): Promise<void> {
    const { table, attendance } = this.#parts;
    const { stage } = (await readDocument<Note>(table, DOCUMENT)) ?? { stage: 'none' };
    this.#wasAway = attendance.isPast(attendance.awayMs());
    this.#stage = stage === 'none' && this.#wasAway ? 'perhaps' : stage;
  }

  get isPending(): boolean {
    return this.#stage !== 'none';
  }

  /** Nothing but a greeting is answered. */
  get isFenced(): boolean {
    return this.#stage === 'perhaps' || this.#stage === 'emptying';
  }

  /** Nothing is sent. */
  get isShut(): boolean {
    return this.isFenced || this.#stage === 'filling';
  }

  /** A peer has said for how long it has served without this region. Answers whether this one has to be rebuilt, and did not know. */
  heard(withoutMs: number): boolean {
    if (!this.#wasAway || (this.#stage !== 'perhaps' && this.#stage !== 'none') || !this.#parts.attendance.isPast(withoutMs)) return false;
    this.#wasAway = false;
    this.#stage = 'emptying';
    this.#parts.log.write('error', 'region.fences-itself', { withoutMs, meaning: 'it took no part for longer than the horizon, and is rebuilt from the others' });
    return true;
  }

  /** Resolves when this region may serve, or has stopped. `joining`: it has been emptied. */
  async run(joining: () => void): Promise<void> {
    if (this.#stage === 'perhaps') await this.#untilHeard();
    if (this.#stage === 'emptying') await this.#begin();
    if (this.#parts.isStopped() || this.#stage === 'none') return;
    joining();
    this.#parts.identity.mayLack();
    if (this.#stage === 'filling') await this.#fill();
    if (!this.#parts.isStopped()) await this.#prove();
    if (!this.#parts.isStopped()) await this.#enter('none');
  }

  async #enter(stage: Stage): Promise<void> {
    await keepDocument(this.#parts.table, DOCUMENT, (): Note => ({ stage }));
    this.#stage = stage;
  }

  /** Those that take part, whether in reach or not. */
  #others(): RegionId[] {
    return [...this.#parts.links.keys()].filter((peer) => this.#parts.identity.mayGive(peer));
  }

  async #untilHeard(): Promise<void> {
    const isHeard = (): boolean => this.#others().length === 0 || this.#others().some((peer) => this.#parts.identity.isGreeted(peer));
    while (this.#stage === 'perhaps' && !isHeard() && !this.#parts.isStopped()) await pause(this.#parts.clock, AGAIN_MS);
    if (this.#stage === 'perhaps' && !this.#parts.isStopped()) this.#stage = 'none'; // nobody served meanwhile
  }

  // Emptying ----------------------------------------------------------------------------------------------------------------

  async #begin(): Promise<void> {
    await this.#enter('emptying');
    await this.#parts.identity.goOnAnew();
    for (const group of this.#parts.catalog.groups().keys()) {
      if (group === this.#parts.catalog.systemGroup) continue;
      for (let partition = 0; partition < PARTITIONS && !this.#parts.isStopped(); partition++) await this.#empty(group, partition);
    }
    if (this.#parts.isStopped()) return;
    this.#parts.log.write('warn', 'region.emptied', { ...this.stats });
    await this.#enter('filling');
  }

  async #empty(group: GroupId, partition: PartitionId): Promise<void> {
    for (let after: Uint8Array | undefined; ; ) {
      const page = await this.#parts.table.scan({ group, partition, limit: PAGE_ITEMS, bytesMax: 1 << 20, ...(after === undefined ? {} : { after }) });
      await Promise.all(page.items.map((item) => this.#drop(item)));
      if (page.cursor === undefined || this.#parts.isStopped()) return;
      after = page.cursor;
    }
  }

  /** What was scanned is durable, so whatever is owed of it is known; a record that has changed since is not dropped. */
  async #drop({ key, record }: StoredItem): Promise<void> {
    const isDropped = await this.#parts.table.update(key, {
      decide: (current) => (current?.revision === record.revision && sameState(current.state, record.state) && !this.#mustStay(key, record) ? { result: true, remove: true } : { result: false }),
    });
    if (isDropped) this.stats.emptied++;
    else this.stats.kept++;
  }

  #mustStay(key: ItemKey, record: Record): boolean {
    const { lanes, links, catalog, identity, region } = this.#parts;
    const holders = (catalog.holdersOf(key) ?? []).filter((id) => id !== region);
    // One that was away as well may drop what it has, too.
    if (!holders.some((id) => identity.mayGive(id) && identity.isGreeted(id) && links.get(id)?.isInDoubt === false)) return true;
    const isOwn = record.state.deleted !== undefined ? actorRegion(record.state.deleted.actor) === region : record.state.values.some(({ dot }) => actorRegion(dot.actor) === region);
    const name = keyText(key.encoded);
    // Of a peer that is behind nobody knows what it lacks.
    return holders.some((id) => lanes.get(id)?.owes(name) === true || (isOwn && (lanes.get(id)?.behind ?? 0) > 0));
  }

  // Filling -----------------------------------------------------------------------------------------------------------------

  async #fill(): Promise<void> {
    const filled = new Set<RegionId>();
    const left = (): RegionId[] => this.#others().filter((peer) => !filled.has(peer));
    for (let peers = left(); peers.length > 0 && !this.#parts.isStopped(); peers = left()) {
      for (const peer of peers) if (await this.#take(peer, [this.#parts.catalog.systemGroup])) if (await this.#take(peer)) filled.add(peer);
      if (left().length > 0) await pause(this.#parts.clock, AGAIN_MS);
    }
    if (!this.#parts.isStopped()) await this.#enter('proving');
  }

  async #take(peer: RegionId, groups?: readonly GroupId[]): Promise<boolean> {
    const { identity, restored, reconciler } = this.#parts;
    if (!identity.isGreeted(peer) || this.#parts.isStopped()) return false;
    const knows = await restored.learnLines(peer).then(() => true, () => false);
    if (!knows) return false;
    const run = reconciler.run({ peers: [peer], hasty: true, takesOnly: true, ...(groups === undefined ? {} : { groups }) });
    await run.finished;
    return run.state === 'done';
  }

  /** Now it sends as well. */
  async #prove(): Promise<void> {
    const { recovery, reconciler, lanes, time, clock } = this.#parts;
    for (const lane of lanes.values()) lane.wake();
    const sinceMs = time.nowMs();
    const isProved = (peer: RegionId): boolean => (reconciler.proof(peer)?.atMs ?? Number.NEGATIVE_INFINITY) >= sinceMs;
    const left = (): RegionId[] => this.#others().filter((peer) => !isProved(peer));
    while ((recovery.isPending || left().length > 0) && !this.#parts.isStopped()) {
      if (recovery.isPending) await recovery.take();
      else await reconciler.run({ peers: left() }).finished;
      if (recovery.isPending || left().length > 0) await pause(clock, AGAIN_MS);
    }
    if (!this.#parts.isStopped()) this.#parts.log.write('warn', 'region.rebuilt', { with: this.#others() });
  }
}
