// LevelDB as a store opens it.

import { ClassicLevel } from 'classic-level';
import { ArchipelError } from '../../core/errors.ts';

export type Database = ClassicLevel<Uint8Array, Uint8Array>;

/**
 * 16 MiB of memtable keep flushes rare. The block cache is small, because whole records are kept decoded (table.ts), which serves a
 * read better than the block that it lies in.
 */
const OPEN_OPTIONS = { keyEncoding: 'view', valueEncoding: 'view', writeBufferSize: 16 * 1024 * 1024, cacheSize: 8 * 1024 * 1024, maxOpenFiles: 500 } as const;

/** @throws ArchipelError `storage-unavailable` when another process has the folder open, or it cannot be used. */
export async function openDatabase(folder: string): Promise<Database> {
  const database: Database = new ClassicLevel(folder, OPEN_OPTIONS);
  try {
    await database.open();
    return database;
  } catch (error) {
    const locked = error instanceof Error && (error.cause as { code?: string } | undefined)?.code === 'LEVEL_LOCKED';
    throw new ArchipelError('storage-unavailable', locked ? `Another process has ${folder} open.` : `The store in ${folder} cannot be opened.`, { locked }, error);
  }
}
