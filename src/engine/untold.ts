// What no digest tells. A digest is of live values, and so is the certificate that ends the debt of what a peer was not even
// hinted: two regions agree on an item by holding nothing, of which one has seen the delete and the other never the value. Let
// the value arrive there afterwards, from a third region that had it under way or hands over what it gave up, and it is shown
// where it was deleted, and nobody owes the delete any more. So before that debt ends, the peer is given each record that has
// seen more than its values say: deletes, and siblings beside which one was deleted or replaced.

import { decodeKey, type GroupId, type ItemKey, type PartitionId } from '../core/keys/item-key.ts';
import { encodeState } from '../core/version/codec.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { State } from '../core/version/record.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { StoredItem, Table } from '../ports/table.ts';
import type { Catalog } from './catalog.ts';
import { decodeReceipts, encodeRecords, isFinal, packed, type SentRecord } from './envelope.ts';
import { askUnlessEnded } from './exchange.ts';
import type { PeerLink } from './peer-link.ts';
import { isSound, readRecord } from './soundness.ts';

const PAGE = { limit: 256, bytesMax: 1 << 20 } as const;
const ASK_MS = 10_000;

export interface GivingParts {
  readonly region: RegionId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly hash: HashFunction;
}

/** True: the peer has them all, each in its table, its ledger, or among its dead letters. */
export async function giveRecords(link: PeerLink, records: readonly SentRecord[], signal?: AbortSignal): Promise<boolean> {
  for (const message of packed(records, (record) => record)) {
    const receipts = decodeReceipts(await askUnlessEnded(link, 'merge', encodeRecords(message), ASK_MS, signal), message.length);
    if (!receipts.every(isFinal)) return false;
  }
  return true;
}

/** Undefined where there is nothing here, or not what was written: nobody is given that. */
export async function recordToGive({ table, hash }: Pick<GivingParts, 'table' | 'hash'>, encoded: Uint8Array): Promise<SentRecord | undefined> {
  const key = decodeKey(encoded);
  const record = key === undefined ? undefined : await readRecord(table, key);
  return record === undefined || record === 'unreadable' || !isSound(record.state, hash) ? undefined : { key: encoded, state: encodeState(record.state) };
}

/** Gives the peer what both hold and no digest tells. True: it has taken all of it. @throws when the peer is not in reach, or the task ends */
export function giveUntold(parts: GivingParts, link: PeerLink, signal: AbortSignal): Promise<boolean> {
  const { region, catalog } = parts;
  const isShared = (holders: readonly RegionId[]): boolean => holders.includes(region) && holders.includes(link.id);
  return giveUntoldOf(parts, link, [...catalog.groups().keys()].flatMap((group) => (catalog.map(group) ?? []).flatMap((holders, partition) => (isShared(holders) ? [{ group, partition }] : []))), signal);
}

/** The same of these partitions. */
export async function giveUntoldOf(parts: GivingParts, link: PeerLink, partitions: readonly { readonly group: GroupId; readonly partition: PartitionId }[], signal?: AbortSignal): Promise<boolean> {
  for (const { group, partition } of partitions) {
    for (let after: Uint8Array | undefined; ; ) {
      const page = await parts.table.scan({ group, partition, ...PAGE, ...(after === undefined ? {} : { after }) });
      if (!(await giveRecords(link, untold(parts, page.items), signal))) return false;
      if (signal?.aborted === true) return false;
      if (page.cursor === undefined) break;
      after = page.cursor;
    }
  }
  return true;
}

function untold({ catalog, hash }: GivingParts, items: readonly StoredItem[]): SentRecord[] {
  const isUntold = ({ key, record: { state } }: StoredItem): boolean => (state.values.length === 0 || !isByOrder(catalog, key)) && hasSeenMore(state) && isSound(state, hash);
  return items.filter(isUntold).map(({ key, record: { state } }) => ({ key: key.encoded, state: encodeState(state) }));
}

/** What a value has seen under `lww` is smaller than it, and so loses wherever it arrives. */
const isByOrder = (catalog: Catalog, { collection }: ItemKey): boolean => catalog.knowsRule(collection) && catalog.conflictRule(collection) === 'lww';

/** Does its context name more than the writes of its values, and those before them of the same actors? */
function hasSeenMore({ values, context }: State): boolean {
  for (const [actor, stamp] of context) if (!values.some(({ dot }) => dot.actor === actor && dot.stamp >= stamp)) return true;
  return false;
}
