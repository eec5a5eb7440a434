// What a hint stands for: a key alone. Its record is read when it is to be sent, and asked whether the peer holds it then.

import { decodeKey } from '../core/keys/item-key.ts';
import { MESSAGE_BYTES_PACKED } from '../core/limits.ts';
import type { RegionId } from '../core/version/dot.ts';
import { encodeState } from '../core/version/codec.ts';
import type { Delivery } from '../ports/queue.ts';
import type { Table } from '../ports/table.ts';
import type { Catalog } from './catalog.ts';
import { sentBytes, type SentRecord } from './envelope.ts';
import { readRecord } from './soundness.ts';

/** Messages to one peer: there is much to send, and each one also waits until its hints are durably gone. */
export const HINTED_IN_FLIGHT_MAX = 8;

export interface Hinted {
  readonly delivery: Delivery;
  readonly record: SentRecord;
}

/**
 * `later`: the placement of its group is not known here yet. `unreadable`: that one waits, the others do not. Undefined: it
 * is not for this peer (any more).
 */
export async function hintedRecord({ catalog, table, peer }: { readonly catalog: Catalog; readonly table: Table; readonly peer: RegionId }, encoded: Uint8Array): Promise<SentRecord | 'later' | 'unreadable' | undefined> {
  const key = decodeKey(encoded);
  if (key === undefined) return undefined;
  const holders = catalog.holdersOf(key);
  if (holders === undefined) return 'later';
  if (!holders.includes(peer)) return undefined;
  const record = await readRecord(table, key);
  if (record === 'unreadable') return record;
  return record === undefined ? undefined : { key: encoded, state: encodeState(record.state) };
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
