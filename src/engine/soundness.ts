// Is a value still what was written? Each has the hash that is stored with it. What is not sound is named, is never handed
// on, and is replaced by a peer's copy of the same dot, because a merge would keep what is stored under that dot.

import { compareBytes } from '../core/bytes.ts';
import { decodeKey, type ItemKey } from '../core/keys/item-key.ts';
import { decodeState, MalformedError, NewerFormatError } from '../core/version/codec.ts';
import { sameDot } from '../core/version/dot.ts';
import type { DottedValue, Record, State, Value } from '../core/version/record.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { LossRow, Table } from '../ports/table.ts';
import type { SentRecord } from './envelope.ts';

const isSoundValue = (value: Value, hash: HashFunction): boolean => compareBytes(hash(value.bytes).subarray(0, 8), value.hash) === 0;

export const isSound = ({ values }: State, hash: HashFunction): boolean => values.every(({ value }) => isSoundValue(value, hash));

/** Of what a peer sent; what cannot be decoded is for the applier to judge. */
export function isSoundRecord(record: SentRecord, hash: HashFunction): boolean {
  try {
    return isSound(decodeState(record.state), hash);
  } catch (error) {
    if (error instanceof MalformedError || error instanceof NewerFormatError) return true;
    throw error;
  }
}

/** `unreadable`: what is stored is no record. Its neighbours must not suffer from it. */
export async function readRecord(table: Table, key: ItemKey): Promise<Record | 'unreadable' | undefined> {
  try {
    return await table.get(key);
  } catch (error) {
    if (error instanceof MalformedError) return 'unreadable';
    throw error;
  }
}

/** The same of a row of the ledger. */
export async function readLoss(table: Table, id: string): Promise<LossRow | 'unreadable' | undefined> {
  try {
    return await table.loss(id);
  } catch (error) {
    if (error instanceof MalformedError) return 'unreadable';
    throw error;
  }
}

/** Values of the stored record that are not sound are taken from a peer's sound copy of the same dot. */
export async function heal(table: Table, theirs: SentRecord, hash: HashFunction): Promise<void> {
  const key = decodeKey(theirs.key);
  if (key === undefined) return;
  const sound = decodeState(theirs.state).values.filter(({ value }) => isSoundValue(value, hash));
  const healed = (mine: DottedValue): DottedValue => (isSoundValue(mine.value, hash) ? mine : (sound.find(({ dot }) => sameDot(dot, mine.dot)) ?? mine));
  await table.update(key, {
    decide: (current) => {
      if (current === undefined) return { result: undefined };
      // Also where what was read is sound: a table that keeps records in memory must write them down again.
      return { result: undefined, commit: { state: { ...current.state, values: current.state.values.map(healed) }, kind: 'applied' } };
    },
  });
}
