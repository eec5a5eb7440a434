// What a region gives up, it hands over. A topology document that takes a partition from this region may find it the only one
// that has some of the items: the other holder has lost its disk, say, and had not taken back yet. From then on no comparison
// of two regions looks at this copy, because each looks at what both hold. So this region compares what it gave up with those
// who hold it now, and gives what they lack.
//
//   document comes ──▶ noted what it takes, durably ──▶ document in force ──▶ each holder: compared, given ──▶ noted: done
//
//   1. Noted before the document is durable, or a crash in between would forget it.
//   2. Towards who comes to hold a partition, its items count as lacking until it has been compared: no certificate covers them.
//   3. It goes one way: what this region does not hold it does not take. Whatever was deleted and reaped since then lies below a
//      line there, and this region is not asked about it (late.ts): it goes to the ledger, not back into use.
//   4. What is given back to this region is compared like everything that it holds: the note of it goes.
//   5. What no digest tells goes first (untold.ts): who holds it now may hear of the older value from somebody else who gives up.

import type { GroupId, PartitionId } from '../core/keys/item-key.ts';
import { partitionOf, type ItemKey } from '../core/keys/item-key.ts';
import { isOut, type Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Log } from '../ports/log.ts';
import type { Table } from '../ports/table.ts';
import { chunks, Descent } from './descent.ts';
import { encodeQuestion } from './digest-protocol.ts';
import { KeptView } from './digest-view.ts';
import { keepDocument, readDocument } from './documents.ts';
import type { PeerLink } from './peer-link.ts';
import type { Peers } from './peers.ts';
import { giveRecords, giveUntoldOf, recordToGive, type GivingParts } from './untold.ts';

const DOCUMENT = 'giving-up';
const COUNT_PAGE = 1_000;
const ASK_MS = 10_000;
/** Of one run with one peer; each answer names a bounded number of differences. */
const PASSES_MAX = 64;
const READ_MAX = 256;

interface GivenUp {
  readonly group: GroupId;
  readonly partition: PartitionId;
  /**
   * Who held it when this region gave it up: what these lack of this region's writes is owed to them already. Not who was
   * `behind`: a certificate that covers nothing of it ends that debt.
   */
  readonly had: readonly RegionId[];
  /** Holders that were given what they lacked. */
  readonly given: readonly RegionId[];
}

export interface HandOverParts extends GivingParts {
  readonly peers: Pick<Peers, 'links' | 'lanes'>;
  readonly log: Log;
}

const nameOf = ({ group, partition }: Pick<GivenUp, 'group' | 'partition'>): string => `${group} ${partition}`;

export class HandOver {
  readonly #parts: HandOverParts;
  #givenUp: readonly GivenUp[] = [];
  /** Of the document that is being taken. */
  #coming: readonly GivenUp[] = [];
  readonly #items = new Map<string, number>();
  #isRunning = false;

  constructor(parts: HandOverParts) {
    this.#parts = parts;
  }

  async load(): Promise<void> {
    this.#givenUp = (await readDocument<readonly GivenUp[]>(this.#parts.table, DOCUMENT)) ?? [];
    for (const each of this.#givenUp) this.#items.set(nameOf(each), await countItems(this.#parts.table, each));
    this.#tell((group) => this.#parts.catalog.map(group));
  }

  // A document is taken ----------------------------------------------------------------------------------------------------

  /** 1, 2 */
  async prepare(document: Topology): Promise<void> {
    const { catalog, region, table } = this.#parts;
    this.#coming = [...catalog.groups().keys()].flatMap((group) => {
      const before = catalog.map(group) ?? [];
      return catalog.mapUnder(document, group).flatMap((holders, partition): GivenUp[] => {
        const had = before[partition] ?? [];
        return holders.includes(region) || !had.includes(region) ? [] : [{ group, partition, had: this.#upToDate(had), given: [] }];
      });
    });
    if (this.#coming.length === 0) return;
    for (const each of this.#coming) this.#items.set(nameOf(each), 0);
    for (const each of this.#coming) this.#add(nameOf(each), await countItems(table, each));
    await this.#save();
    this.#tell((group) => catalog.mapUnder(document, group));
  }

  #upToDate(holders: readonly RegionId[]): readonly RegionId[] {
    return holders.filter((id) => (this.#parts.peers.lanes.get(id)?.behind ?? 0) === 0);
  }

  #add(name: string, count: number): void {
    this.#items.set(name, (this.#items.get(name) ?? 0) + count);
  }

  /** Committed while the document is being taken. */
  wrote(key: ItemKey): void {
    const name = nameOf({ group: key.group, partition: partitionOf(key.encoded) });
    if (this.#coming.some((each) => nameOf(each) === name)) this.#add(name, 1);
  }

  /** It was taken, or was not. */
  taken(isInForce: boolean): void {
    const isAny = (each: GivenUp): boolean => (this.#items.get(nameOf(each)) ?? 0) > 0;
    const coming = isInForce ? this.#coming.filter(isAny).map((each) => ({ ...each, had: this.#upToDate(each.had) })) : [];
    const names = new Set(coming.map(nameOf));
    this.#givenUp = [...this.#givenUp.filter((each) => !names.has(nameOf(each))), ...coming];
    this.#coming = [];
    this.#tell((group) => this.#parts.catalog.map(group));
  }

  /** 2 */
  #tell(mapOf: (group: GroupId) => readonly (readonly RegionId[])[] | undefined): void {
    const counts = new Map<RegionId, number>();
    for (const each of [...this.#givenUp, ...this.#coming]) {
      const holders = mapOf(each.group)?.[each.partition] ?? [];
      if (holders.includes(this.#parts.region)) continue;
      for (const id of holders) if (!each.had.includes(id) && !each.given.includes(id)) counts.set(id, (counts.get(id) ?? 0) + (this.#items.get(nameOf(each)) ?? 0));
    }
    for (const [id, lane] of this.#parts.peers.lanes) lane.toHandOver = counts.get(id) ?? 0;
  }

  #save(): Promise<void> {
    return keepDocument(this.#parts.table, DOCUMENT, () => [...this.#givenUp, ...this.#coming]);
  }

  // Handing over -----------------------------------------------------------------------------------------------------------

  /** Now and then: does what can be done now, behind whatever else goes on. */
  wake(): void {
    if (this.#isRunning || this.#givenUp.length === 0 || isOut(this.#parts.catalog.self)) return;
    this.#isRunning = true;
    this.#run()
      .catch((error: unknown) => this.#parts.log.write('warn', 'hand-over.failed', { error: String(error) }))
      .finally(() => (this.#isRunning = false));
  }

  async #run(): Promise<void> {
    const { catalog, peers } = this.#parts;
    for (const peer of new Set(this.#givenUp.flatMap((each) => this.#due(each) ?? []))) {
      const link = peers.links.get(peer);
      if (link !== undefined && peers.lanes.get(peer)?.isOpen === true) await this.#giveTo(link);
    }
    const left = this.#givenUp.filter((each) => this.#due(each)?.length !== 0);
    if (left.length === this.#givenUp.length) return;
    this.#givenUp = left;
    this.#tell((group) => catalog.map(group));
    await this.#save();
  }

  /** To whom it is to be handed yet. Undefined: the policy of the group is not known yet. */
  #due({ group, partition, given }: GivenUp): readonly RegionId[] | undefined {
    const { catalog, region } = this.#parts;
    const holders = catalog.holders(group, partition);
    if (holders?.includes(region) === true) return []; // 4
    return holders?.filter((id) => !given.includes(id) && !isOut(catalog.entry(id)));
  }

  async #giveTo(link: PeerLink): Promise<void> {
    const { catalog, log } = this.#parts;
    const { identity, term, epoch } = catalog.version;
    const due = this.#givenUp.filter((each) => this.#due(each)?.includes(link.id) === true);
    try {
      if (!(await this.#give(link, due))) return;
    } catch (error) {
      log.write('debug', 'hand-over.failed', { peer: link.id, error: String(error) }); // again later
      return;
    }
    const isSame = catalog.version.identity === identity && catalog.version.term === term && catalog.version.epoch === epoch;
    if (!isSame || !link.isOnSameTopology) return;
    // mark: a partition that was given up is handed over
    const names = new Set(due.map(nameOf));
    this.#givenUp = this.#givenUp.map((each) => (names.has(nameOf(each)) ? { ...each, given: [...each.given, link.id] } : each));
    this.#tell((group) => catalog.map(group));
    await this.#save();
  }

  /** True: the peer holds what this region holds of these. */
  async #give(link: PeerLink, due: readonly GivenUp[]): Promise<boolean> {
    const { table } = this.#parts;
    const { digests } = table;
    if (digests === undefined) return false;
    if (!(await giveUntoldOf(this.#parts, link, due))) return false; // 5
    const view = new KeptView(table, digests);
    for (let pass = 0; pass < PASSES_MAX; pass++) {
      const descent = new Descent({ view, deep: false, atMs: digests.lineMs, takesSums: false, ask: (question, timeoutMs = ASK_MS) => link.ask('digest', encodeQuestion(question), timeoutMs) });
      const { differing, more } = await descent.items(await descent.leaves(due));
      if (!(await this.#push(link, differing.map(({ key }) => key)))) return false;
      if (!more) return true;
    }
    return false;
  }

  async #push(link: PeerLink, keys: readonly Uint8Array[]): Promise<boolean> {
    for (const some of chunks(keys, READ_MAX)) {
      const records = (await Promise.all(some.map((encoded) => recordToGive(this.#parts, encoded)))).filter((record) => record !== undefined);
      if (!(await giveRecords(link, records))) return false;
    }
    return true;
  }
}

/** How many items this region has of a partition. */
export async function countItems(table: Table, { group, partition }: { readonly group: GroupId; readonly partition: PartitionId }): Promise<number> {
  let count = 0;
  for (let after: Uint8Array | undefined; ; ) {
    const page = await table.scan({ group, partition, limit: COUNT_PAGE, bytesMax: 1 << 20, ...(after === undefined ? {} : { after }) });
    count += page.items.length;
    if (page.cursor === undefined) return count;
    after = page.cursor;
  }
}
