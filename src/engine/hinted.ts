// What a hint stands for: a key alone, or the name of a row of the ledger. Its record, or the row, is read when it is to be
// sent, and asked whether the peer holds the item then.

import { textKey } from '../core/bytes.ts';
import { decodeKey, type ItemKey } from '../core/keys/item-key.ts';
import type { RegionId } from '../core/version/dot.ts';
import { encodeState, MalformedError } from '../core/version/codec.ts';
import { encodeLossRow, lossIdIn } from '../core/version/loss-row.ts';
import type { Delivery, Message } from '../ports/queue.ts';
import type { Table } from '../ports/table.ts';
import type { Catalog } from './catalog.ts';
import type { SentRecord } from './envelope.ts';
import { readLoss, readRecord } from './soundness.ts';

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
export type HintedRecord = SentRecord | 'later' | 'unreadable' | undefined;

export class HintedRecords {
  readonly #parts: HintedParts;

  constructor(parts: HintedParts) {
    this.#parts = parts;
  }

  async of(hints: readonly Uint8Array[]): Promise<readonly HintedRecord[]> {
    const records: HintedRecord[] = [];
    for (const hint of hints) {
      const id = lossIdIn(hint);
      const record = id === undefined ? this.#recordOf(hint) : this.#rowOf(id);
      // After a long outage a wait for each record would take as long as its reading.
      records.push(record instanceof Promise ? await record : record);
    }
    return records;
  }

  async #rowOf(id: string): Promise<HintedRecord> {
    const row = await readLoss(this.#parts.table, id);
    if (row === undefined || row === 'unreadable') return row;
    return this.#ifHeld(row.key, () => ({ key: row.key.encoded, state: encodeLossRow(row) }));
  }

  #recordOf(hint: Uint8Array): HintedRecord | Promise<HintedRecord> {
    const key = decodeKey(hint);
    return key === undefined ? undefined : this.#ifHeld(key, () => this.#read(key));
  }

  #ifHeld<R>(key: ItemKey, read: () => R): R | 'later' | undefined {
    const holders = this.#parts.catalog.holdersOf(key);
    if (holders === undefined) return 'later';
    return holders.includes(this.#parts.peer) ? read() : undefined;
  }

  #read(key: ItemKey): HintedRecord | Promise<HintedRecord> {
    const { table } = this.#parts;
    const sent = (state: Uint8Array): SentRecord => ({ key: key.encoded, state });
    if (table.storedState === undefined) return readRecord(table, key).then((record) => (record === undefined || record === 'unreadable' ? record : sent(encodeState(record.state))));
    const state = readStored(table, key);
    return state === undefined || state === 'unreadable' ? state : sent(state);
  }
}

/** In the form in which it is stored and sent, where the table can tell at once. */
function readStored(table: Table, key: ItemKey): Uint8Array | 'unreadable' | undefined {
  try {
    return table.storedState?.(key);
  } catch (error) {
    if (error instanceof MalformedError) return 'unreadable';
    throw error;
  }
}
