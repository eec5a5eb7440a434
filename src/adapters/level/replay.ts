// What a start gives LevelDB of the journal: what it was not given before the process ended; after another boot of the
// machine, which LevelDB's unsynced log may not have survived whole, all that is kept. A row that LevelDB has already is
// written over, in the end with the same.

import { readFileSync } from 'node:fs';
import { damaged, entriesOf, type Kept, type Segment } from './journal.ts';
import { rows } from './layout.ts';
import type { Database } from './database.ts';
import type { Operation } from './group.ts';

const APPLIED = 'journal-applied';
/** A batch is all in memory, twice. */
const BATCH_BYTES = 2 * 1024 * 1024;

export const bytesOf = (operation: Operation): number => operation.key.length + (operation.type === 'put' ? operation.value.length : 0);

/**
 * @param now which boot of the machine this is; empty where that is not known
 * @throws ArchipelError `storage-unavailable` when the journal does not fit what LevelDB has
 */
export async function recover(database: Database, { segments, bootId }: Kept, now: string): Promise<void> {
  const [first, last] = [segments[0]?.first, segments.at(-1)?.last];
  if (first === undefined || last === undefined) return;
  const applied = appliedIn(database);
  if (first > applied + 1) throw damaged(`entries ${applied + 1} to ${first - 1} are missing`);
  if (last < applied) throw damaged(`it ends with entry ${last}, but there were ${applied}`);
  await replay(database, segments, { after: now !== '' && bootId === now ? applied : 0 });
}

export const appliedRow = (sequence: number): Operation => ({ type: 'put', key: rows.note(APPLIED), value: Buffer.from(String(sequence)) });

/** The last group that LevelDB was given, as far as it remembers. */
export function appliedIn(database: Database): number {
  const value = database.getSync(rows.note(APPLIED));
  return value === undefined ? 0 : Number(Buffer.from(value).toString());
}

/** Entries behind `after` up to `to`, in order. */
export async function replay(database: Database, kept: readonly Segment[], { after = 0, to = Number.POSITIVE_INFINITY }: { readonly after?: number; readonly to?: number }): Promise<void> {
  let operations: Operation[] = [];
  let bytes = 0;
  let last = after;
  const write = async (): Promise<void> => {
    if (operations.length > 0) await database.batch([...operations, appliedRow(last)], { sync: false });
    [operations, bytes] = [[], 0];
  };
  for (const segment of kept.filter((each) => each.last > after)) {
    for (const entry of entriesOf(segment)) {
      if (entry.sequence <= after || entry.sequence > to) continue;
      for (const operation of entry.operations) {
        operations.push(operation);
        bytes += bytesOf(operation);
      }
      last = entry.sequence;
      if (bytes >= BATCH_BYTES) await write();
    }
  }
  await write();
}

/** Empty where the system does not say. */
export function currentBoot(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return '';
  }
}
