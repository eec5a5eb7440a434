// A region that was restored holds values from before, and some of them were deleted, and their tombstones reaped, while
// it did not know. It may not bring them back: what lies at or below the largest reaped line of its peers, and no peer
// holds, goes to the ledger (rule `late`). Asked about what a comparison finds to differ, before any of it is sent; what
// some replica out of reach might hold is not sent and waits until that one is heard.

import { keyText } from '../core/bytes.ts';
import { decodeKey, type ItemKey } from '../core/keys/item-key.ts';
import { decodeState } from '../core/version/codec.ts';
import { ArchipelError } from '../core/errors.ts';
import { isOut } from '../core/placement/topology.ts';
import { compareDots, type RegionId } from '../core/version/dot.ts';
import { ownLateValues, withoutOwnLate } from '../core/version/reap.ts';
import type { State } from '../core/version/record.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { Table } from '../ports/table.ts';
import type { Catalog } from './catalog.ts';
import { decodeRecords, encodeRecords } from './envelope.ts';
import { lossRows } from './ledger.ts';
import type { PeerLink } from './peer-link.ts';
import { decodeLines, type ReapedLines } from './reaped-lines.ts';
import { readRecord } from './soundness.ts';
import type { Timekeeper } from './timekeeper.ts';

export interface RestoredParts {
  readonly region: RegionId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly lines: ReapedLines;
  readonly time: Timekeeper;
  readonly hash: HashFunction;
}

export class Restored {
  readonly #parts: RestoredParts;
  readonly stats = { ledgered: 0, undecided: 0 };

  constructor(parts: RestoredParts) {
    this.#parts = parts;
  }

  /** The line of a restored region rises to the largest of its peers', before it compares with this one. */
  async learnLines(peer: RegionId): Promise<void> {
    const link = this.#parts.links.get(peer) as PeerLink;
    const lines = decodeLines(await link.ask('lines', new Uint8Array(0)));
    if (!link.isOnSameTopology) throw new ArchipelError('topology-different', `${peer} may reap without this region.`);
    await this.#parts.lines.raise(lines);
  }

  /** Of these keys, those that may be sent. */
  async judge(keys: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const kept: Uint8Array[] = [];
    const suspects: ItemKey[] = [];
    for (const encoded of keys) {
      const key = decodeKey(encoded);
      if (key !== undefined && (await this.#late(key)).length > 0) suspects.push(key);
      else kept.push(encoded);
    }
    if (suspects.length === 0) return kept;
    const held = await this.#heldByPeers(suspects);
    for (const key of suspects) if (await this.#decide(key, held)) kept.push(key.encoded);
    return kept;
  }

  async #late(key: ItemKey): Promise<ReturnType<typeof ownLateValues>> {
    const record = await readRecord(this.#parts.table, key);
    return record === undefined || record === 'unreadable' ? [] : ownLateValues(record.state, this.#parts.lines.of(key), this.#parts.time.nowMs());
  }

  /** By peer, then by key; a peer that does not answer is not in it. */
  async #heldByPeers(keys: readonly ItemKey[]): Promise<ReadonlyMap<RegionId, ReadonlyMap<string, State>>> {
    const question = encodeRecords(keys.map(({ encoded }) => ({ key: encoded, state: new Uint8Array(0) })));
    const answers = await Promise.all(
      [...this.#parts.links].map(async ([id, link]): Promise<[RegionId, Map<string, State>] | undefined> => {
        const states = await link.ask('fetch', question).catch(() => undefined);
        if (states !== undefined && link.isInDoubt) return [id, new Map()]; // what it holds proves nothing
        return states === undefined ? undefined : [id, new Map(decodeRecords(states).map(({ key, state }) => [keyText(key), decodeState(state)]))];
      }),
    );
    return new Map(answers.filter((answer) => answer !== undefined));
  }

  /** True: what is left of the item may be sent. */
  async #decide(key: ItemKey, held: ReadonlyMap<RegionId, ReadonlyMap<string, State>>): Promise<boolean> {
    const { region, catalog, table, time, hash } = this.#parts;
    const others = (catalog.holdersOf(key) ?? []).filter((id) => id !== region && !isOut(catalog.entry(id)));
    const name = keyText(key.encoded);
    const isHeld = ({ dot }: { readonly dot: State['values'][number]['dot'] }): boolean => others.some((id) => held.get(id)?.get(name)?.values.some((each) => compareDots(each.dot, dot) === 0) === true);
    const dead = (await this.#late(key)).filter((value) => !isHeld(value)).map(({ dot }) => dot);
    if (dead.length === 0) return true;
    if (!others.every((id) => held.has(id))) {
      // mark: value from before the restore waits for a peer
      this.stats.undecided++;
      return false; // it may be theirs
    }
    // mark: value from before the restore ledgered
    this.stats.ledgered += dead.length;
    await table.update(key, {
      decide: (current) => {
        if (current === undefined) return { result: undefined };
        const { state, losses } = withoutOwnLate(current.state, dead);
        if (losses.length === 0) return { result: undefined };
        return { result: undefined, commit: { state, kind: 'local' }, losses: lossRows(key, losses, { region, atMs: time.nowMs(), hash, kind: 'local' }) };
      },
    });
    return true;
  }
}
