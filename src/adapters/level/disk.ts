// Is there room on the disk? It is asked before a group is tried, so that a disk that fills up is told before anything
// fails (`storage-full`: certainly not written), with room kept for LevelDB's own compaction.

import { closeSync, fsyncSync, openSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';

/** Kept free for journal, LevelDB's log, memtable and compaction: below it writes are refused; reads and deletes of old files go on. */
export const DISK_RESERVE_BYTES = 24 * 1024 * 1024;
const CHECK_MS = 250;
const CHECK_BYTES = 1024 * 1024;
const PROBE_BYTES = 1024 * 1024;

export interface DiskOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** For tests: how much room there is, instead of what the system says. */
  readonly freeBytes?: () => number | undefined;
}

export class Disk {
  readonly #options: DiskOptions;
  #checkedMs = Number.NEGATIVE_INFINITY;
  #bytesSince = 0;
  #hasRoom = true;

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /** Asking costs as much as deciding a write: an answer is good for so long, and for a megabyte. */
  hasRoom(withinMs = CHECK_MS): boolean {
    const { clock, log, folder } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#checkedMs < withinMs && this.#bytesSince < CHECK_BYTES) return this.#hasRoom;
    this.#checkedMs = nowMs;
    this.#bytesSince = 0;
    const freeBytes = this.#options.freeBytes?.() ?? freeBytesOf(folder);
    const hasRoom = freeBytes >= DISK_RESERVE_BYTES;
    if (hasRoom !== this.#hasRoom) log.write(hasRoom ? 'info' : 'error', hasRoom ? 'store.space-back' : 'store.nearly-full', { freeBytes });
    this.#hasRoom = hasRoom;
    return hasRoom;
  }

  noteWritten(bytes: number): void {
    this.#bytesSince += bytes;
  }

  /** What was said before does not count any more. */
  forget(): void {
    this.#checkedMs = Number.NEGATIVE_INFINITY;
  }

  /** Does it take a megabyte, durably, beyond the reserve? */
  canWrite(): boolean {
    const path = join(this.#options.folder, 'space.probe');
    try {
      if (freeBytesOf(this.#options.folder) < DISK_RESERVE_BYTES) return false;
      writeFileSync(path, new Uint8Array(PROBE_BYTES));
      const file = openSync(path, 'r');
      fsyncSync(file);
      closeSync(file);
      return true;
    } catch {
      return false;
    } finally {
      rmSync(path, { force: true });
    }
  }
}

function freeBytesOf(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
