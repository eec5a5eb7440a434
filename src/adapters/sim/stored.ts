// What lies on a disk, whether or not a process runs on it, and under which names.

import type { LossRow, StoredItem } from '../../ports/table.ts';
import { encodeState } from '../../core/version/codec.ts';
import type { ActorId } from '../../core/version/dot.ts';
import type { State } from '../../core/version/record.ts';
import type { Cell, Disk } from './disk.ts';

export const cells = {
  record: (name: string): string => `r ${name}`,
  loss: (id: string): string => `x ${id}`,
  largest: (actor: ActorId): string => `m ${actor}`,
} as const;

const images = new WeakMap<State, Uint8Array>();

/** Its bytes, made once: never changed in place. */
export function imageOf(state: State): Uint8Array {
  let image = images.get(state);
  if (image === undefined) images.set(state, (image = encodeState(state)));
  return image;
}

export const lossCell = (row: LossRow): Cell => ({ name: cells.loss(row.id), value: row });

/** The records on a disk that no process has open. */
export const storedItems = (disk: Disk): StoredItem[] => [...disk.entries()].flatMap(([name, value]) => (name.startsWith('r ') ? [value as StoredItem] : []));

export const storedLosses = (disk: Disk): LossRow[] => [...disk.entries()].flatMap(([name, value]) => (name.startsWith('x ') ? [value as LossRow] : []));
