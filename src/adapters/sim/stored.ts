// What lies on a disk, whether or not a process runs on it. For checkers.

import type { LossRow, StoredItem } from '../../ports/table.ts';
import type { Disk } from './disk.ts';

/** The records on a disk that no process has open. */
export const storedItems = (disk: Disk): StoredItem[] => [...disk.entries()].flatMap(([name, value]) => (name.startsWith('r ') ? [value as StoredItem] : []));

export const storedLosses = (disk: Disk): LossRow[] => [...disk.entries()].flatMap(([name, value]) => (name.startsWith('x ') ? [value as LossRow] : []));
