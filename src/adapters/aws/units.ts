// Calls of the Table in the units that DynamoDB bills. Sizes are those of the real items, made by the codec that writes
// them; how many calls an operation takes is held against an emulator that counts (test/adapters/dynamo-cost.test.ts).

import { utf8 } from '../../core/bytes.ts';
import type { ItemKey } from '../../core/keys/item-key.ts';
import type { LossRow } from '../../core/version/loss-row.ts';
import type { State } from '../../core/version/record.ts';
import { attributesOf } from './item-codec.ts';
import { places, type Item } from './layout.ts';
import { LOSSES_KEPT_MS, lossPuts } from './ledger.ts';

export interface Units {
  readonly read: number;
  readonly write: number;
}

const WRITE_UNIT_BYTES = 1_024;
const READ_UNIT_BYTES = 4_096;
/** Of what a write in a transaction costs outside of one. */
const TRANSACTED = 2;

/** Names and values, as DynamoDB counts them: a number takes a byte for two digits, and one more; a list three, and one for each element. */
export const itemBytes = (item: Item): number => Object.entries(item).reduce((sum, [name, value]) => sum + name.length + valueBytes(value), 0);

function valueBytes({ B: bytes, S: text, N: number, L: list }: Item[string]): number {
  if (list !== undefined) return list.reduce((sum, element) => sum + 1 + valueBytes(element), 3);
  return bytes?.length ?? (text === undefined ? Math.ceil((number ?? '').length / 2) + 1 : utf8(text).length);
}

export const writeUnits = (item: Item): number => Math.max(1, Math.ceil(itemBytes(item) / WRITE_UNIT_BYTES));

/** Consistent, as all reads of the Table are: what is not there costs a unit too. */
export const readUnits = (bytes: number): number => Math.max(1, Math.ceil(bytes / READ_UNIT_BYTES));

export const recordItem = (key: ItemKey, state: State): Item => ({ ...places.record(key.encoded), ...attributesOf(state, 'local') });

/** What each operation on an item of this size takes. */
export interface OperationUnits {
  readonly get: Units;
  /** Under last-write-wins, without a precondition: one conditional write, nothing read. */
  readonly put: Units;
  /** With a precondition or a context, or under another policy: read, decided on, written if it is still what was read. */
  readonly decided: Units;
  /** A state of another region that descends from what is stored: one conditional write, nothing read. */
  readonly apply: Units;
  /** A state of another region that beats what is stored: the attempt that failed, its losers looked up, and record and ledger rows in one transaction. */
  readonly replaced: Units;
  /** One that is beaten by what is stored: the same without the record. */
  readonly beaten: Units;
}

export function operationUnits(key: ItemKey, state: State, loss: LossRow): OperationUnits {
  const item = recordItem(key, state);
  const [read, write] = [readUnits(itemBytes(item)), writeUnits(item)];
  const rows = TRANSACTED * lossPuts(loss, LOSSES_KEPT_MS).reduce((sum, put) => sum + writeUnits(put.item), 0);
  return {
    get: { read, write: 0 },
    put: { read: 0, write },
    decided: { read, write },
    apply: { read: 0, write },
    replaced: { read: 1, write: write + TRANSACTED * write + rows },
    beaten: { read: 1, write: write + rows },
  };
}
