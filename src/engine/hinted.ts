// What a hint stands for: a key alone, or the name of a row of the ledger. Its record, or the row, is read when it is to be
// sent, and asked whether the peer holds the item then.

import { textKey } from '../core/bytes.ts';
import { decodeKey } from '../core/keys/item-key.ts';
import { MESSAGE_BYTES_PACKED } from '../core/limits.ts';
import type { RegionId } from '../core/version/dot.ts';
import { encodeState } from '../core/version/codec.ts';
import { encodeLossRow, lossIdIn } from '../core/version/loss-row.ts';
import type { Delivery, Message } from '../ports/queue.ts';
import type { Table } from '../ports/table.ts';
import type { Catalog } from './catalog.ts';
import { sentBytes, type SentRecord } from './envelope.ts';
import { readLoss, readRecord } from './soundness.ts';

/** Messages to one peer: there is much to send, and each one also waits until its hints are durably gone. */
export const HINTED_IN_FLIGHT_MAX = 8;

export interface Hinted {
  readonly delivery: Delivery;
  readonly record: SentRecord;
}

/** Of what a lane carries under this name. */
export function hintOf(name: string): Message {
  const key = textKey(name);
  return { key, body: key };
}

export interface HintedParts {
  readonly catalog: Catalog;
  readonly table: Table;
  readonly peer: RegionId;
}

/**
 * `later`: the placement of its group is not known here yet. `unreadable`: that one waits, the others do not. Undefined: it
 * is not for this peer (any more).
 */
export async function hintedRecord({ catalog, table, peer }: HintedParts, hint: Uint8Array): Promise<SentRecord | 'later' | 'unreadable' | undefined> {
  const id = lossIdIn(hint);
  const row = id === undefined ? undefined : await readLoss(table, id);
  if (row === 'unreadable') return row;
  const key = row?.key ?? decodeKey(hint);
  if (key === undefined) return undefined;
  const holders = catalog.holdersOf(key);
  if (holders === undefined) return 'later';
  if (!holders.includes(peer)) return undefined;
  if (row !== undefined) return { key: key.encoded, state: encodeLossRow(row) };
  const record = await readRecord(table, key);
  if (record === 'unreadable') return record;
  return record === undefined ? undefined : { key: hint, state: encodeState(record.state) };
}

/** In their order, as many to a message as it bears. */
export function packed(records: readonly Hinted[]): readonly (readonly Hinted[])[] {
  const messages: Hinted[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const hinted of records) {
    bytes += sentBytes(hinted.record);
    if (bytes > MESSAGE_BYTES_PACKED) {
      messages.push([]);
      bytes = sentBytes(hinted.record);
    }
    messages.at(-1)?.push(hinted);
  }
  return messages;
}
