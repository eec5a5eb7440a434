// One LevelDB folder: group commit, a guard against a full disk, and recovery from a failed write.
//
// Group commit: writes that arrive while a batch is being synced wait in the next one, and share its fsync. A batch is
// atomic in LevelDB, so a crash leaves whole groups only.
//
//   group 1   fill ─▶ sync ────▶ done          callers of group 1 are answered here
//   group 2          fill ──────▶ sync ────▶ done
//
// If a sync fails, its group fails, and so does the group that was filling behind it, because its decisions were made on
// states that never became durable. LevelDB refuses every write after a failed one until it is opened again; that is done
// here as soon as the disk takes a probe, while reads go on from the open database. A disk that is nearly full is noticed
// before it fails (`storage-full`: certainly not written), keeping room for LevelDB's own compaction.

import { statfsSync, writeFileSync, rmSync, openSync, fsyncSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { ArchipelError } from '../../core/errors.ts';
import type { Cancel, Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';

export type Durability = 'sync' | 'relaxed';

export type Operation = { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array } | { readonly type: 'del'; readonly key: Uint8Array };

export type Database = ClassicLevel<Uint8Array, Uint8Array>;

/** Kept free for LevelDB's log, memtable and compaction: below it writes are refused, reads and deletes of old files go on. */
export const DISK_RESERVE_BYTES = 24 * 1024 * 1024;
const SPACE_CHECK_MS = 250;
/** Before a group is tried. Asking costs as much as deciding a write: with groups in a row, not for each. */
const SPACE_CHECK_GROUP_MS = 20;
const SPACE_CHECK_BYTES = 1024 * 1024;
const REOPEN_PROBE_MS = 250;
const PROBE_BYTES = 1024 * 1024;

/** 8 MiB of memtable keep a flush short; the block cache is bounded so that a region stays within its memory goal. */
const OPEN_OPTIONS = { keyEncoding: 'view', valueEncoding: 'view', writeBufferSize: 16 * 1024 * 1024, cacheSize: 16 * 1024 * 1024, maxOpenFiles: 500 } as const;

/** One write's share of a group. The group's owner is told when all of it is durable, before the writers are. */
export interface GroupWrite {
  readonly operations: readonly Operation[];
  /** Handed to the group's owner when the group is sealed and when it is durable. */
  readonly change?: unknown;
  /** Called while the disk works; what it answers, as soon as the group is durable, before its owner and its writers are told. */
  readonly meanwhile?: (() => () => void) | undefined;
}

export interface GroupOwner {
  /** The group is complete: adds what concerns the group as a whole (the row of the change log). */
  seal(changes: readonly unknown[]): readonly Operation[];
  /** The group is durable. Called before any of its writers is answered. */
  durable(changes: readonly unknown[]): void;
  /** The group, and everything decided on it, did not become durable. */
  failed(): void;
}

interface Group {
  readonly operations: Operation[];
  readonly changes: unknown[];
  readonly meanwhile: (() => () => void)[];
  readonly settled: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  bytes: number;
  /** All of it gives room back: taken on a full disk too. */
  frees: boolean;
}

/** `no-space`: nothing was tried. */
type Outcome = 'durable' | 'no-space' | { readonly error: unknown };

/** A group on its way to the disk. */
interface Begun {
  readonly group: Group;
  /** What is done, first of all, when it is durable. */
  readonly prepared: readonly (() => void)[];
  readonly outcome: Promise<Outcome> | Outcome;
}

export interface StoreOptions {
  readonly folder: string;
  readonly durability: Durability;
  readonly clock: Clock;
  readonly log: Log;
  /** For tests: how much room there is, instead of what the system says. */
  readonly freeBytes?: () => number | undefined;
}

export class LevelStore {
  readonly #options: StoreOptions;
  #database: Database;
  #owner: GroupOwner | undefined;
  #filling: Group | undefined;
  #flushing: Promise<void> | undefined;
  #broken = false;
  #closed = false;
  #cancelReopen: Cancel = () => undefined;
  #reopened: Promise<void> = Promise.resolve();
  #spaceCheckedMs = Number.NEGATIVE_INFINITY;
  #bytesSinceCheck = 0;
  #hasSpace = true;
  readonly #afterReopening: (() => Promise<void>)[] = [];
  /** For metrics: group commits and the writes in them. */
  readonly stats = { groups: 0, writes: 0, failures: 0, reopened: 0 };

  private constructor(options: StoreOptions, database: Database) {
    this.#options = options;
    this.#database = database;
  }

  /** @throws ArchipelError `storage-unavailable` when another process has the folder open, or it cannot be used. */
  static async open(options: StoreOptions): Promise<LevelStore> {
    return new LevelStore(options, await openDatabase(options.folder));
  }

  own(owner: GroupOwner): void {
    this.#owner = owner;
  }

  /**
   * Called when the database was opened again after a failed write, before new writes are taken. The group that failed may
   * have been written all the same: what is kept in memory beside the database is brought in line with it here.
   */
  onReopened(task: () => Promise<void>): void {
    this.#afterReopening.push(task);
  }

  get database(): Database {
    return this.#database;
  }

  /** Synchronous on purpose: a read of LevelDB takes 4 µs, a trip through the thread pool 20. */
  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.#database.getSync(key);
  }

  monotonicMs(): number {
    return this.#options.clock.monotonicMs();
  }

  after(delayMs: number, task: () => void): Cancel {
    return this.#options.clock.after(delayMs, task);
  }

  /** Reads wait here while the database is being opened again. @throws ArchipelError `storage-unavailable` when it is not */
  ready(): Promise<void> | undefined {
    return this.#database.status === 'open' ? undefined : this.#reopened.then(() => this.assertOpen());
  }

  /** @throws ArchipelError `storage-unavailable` while the database is being opened again */
  assertOpen(): void {
    if (this.#database.status !== 'open') throw new ArchipelError('storage-unavailable', 'The store could not be opened again yet.');
  }

  /** Throws at once, with nothing done, when the store cannot take a write now. What frees space is taken on a full disk too. */
  assertWritable(frees = false): void {
    if (this.#closed) throw new ArchipelError('storage-unavailable', 'The store is closed.');
    if (this.#broken) throw new ArchipelError('storage-unavailable', 'The store failed to write and is waiting for the disk.');
    if (!frees && !this.#checkSpace()) throw new ArchipelError('storage-full', 'The disk is nearly full; reads go on.');
  }

  /** Joins the filling group; throws as assertWritable does. Resolves when it is durable. */
  write(write: GroupWrite, frees = false): Promise<void> {
    this.assertWritable(frees);
    const group = (this.#filling ??= newGroup());
    for (const operation of write.operations) {
      group.operations.push(operation);
      group.bytes += operation.key.length + (operation.type === 'put' ? operation.value.length : 0);
    }
    if (write.change !== undefined) group.changes.push(write.change);
    if (write.meanwhile !== undefined) group.meanwhile.push(write.meanwhile);
    group.frees &&= frees;
    this.stats.writes++;
    this.#flushing ??= Promise.resolve().then(() => this.#flush());
    return group.settled;
  }

  /** The next group goes to the disk before anybody in this one is told: its sync hides what the answers cost. */
  async #flush(): Promise<void> {
    for (let begun = this.#begin(); begun !== undefined; ) {
      const { group, prepared } = begun;
      const outcome = await begun.outcome;
      if (typeof outcome === 'object') {
        this.#fail(group, outcome.error);
        break;
      }
      if (outcome === 'no-space') this.#refuse(group);
      const next = this.#begin();
      if (outcome === 'durable') this.#durable(group, prepared);
      begun = next;
    }
    this.#flushing = undefined;
  }

  /** Takes the filling group to the disk. What goes wrong is told by its outcome, when the group before it is done with. */
  #begin(): Begun | undefined {
    const group = this.#filling;
    if (group === undefined || this.#broken) return undefined;
    this.#filling = undefined;
    // A disk that somebody else filled since is told before anything is tried.
    if (!group.frees && !this.#checkSpace(SPACE_CHECK_GROUP_MS)) return { group, prepared: [], outcome: 'no-space' };
    try {
      const sealed = this.#owner?.seal(group.changes) ?? [];
      const written = this.#database.batch([...group.operations, ...sealed], { sync: this.#options.durability === 'sync' });
      const outcome = written.then((): Outcome => 'durable', (error: unknown) => ({ error }));
      return { group, prepared: group.meanwhile.flatMap((prepare) => this.#guarded(prepare) ?? []), outcome };
    } catch (error) {
      return { group, prepared: [], outcome: { error } };
    }
  }

  #durable(group: Group, prepared: readonly (() => void)[]): void {
    this.#bytesSinceCheck += group.bytes;
    this.stats.groups++;
    for (const answer of prepared) this.#guarded(answer);
    this.#guarded(() => this.#owner?.durable(group.changes));
    group.resolve();
  }

  /** The group is durable, whatever others make of that: an error there must not keep the writers, and all later ones, waiting. */
  #guarded<R>(task: () => R): R | undefined {
    try {
      return task();
    } catch (error) {
      this.#options.log.write('error', 'store.listener-failed', { error: String(error) });
      return undefined;
    }
  }

  /** Nothing was tried. What was decided behind it, on states that will not be, fails with it. */
  #refuse(group: Group): void {
    const behind = this.#filling;
    this.#filling = undefined;
    this.#owner?.failed();
    for (const each of [group, behind]) each?.reject(new ArchipelError('storage-full', 'The disk is nearly full; reads go on.'));
  }

  #fail(group: Group, error: unknown): void {
    this.#broken = true;
    this.stats.failures++;
    this.#options.log.write('error', 'store.write-failed', { error: String(error) });
    const behind = this.#filling;
    this.#filling = undefined;
    this.#owner?.failed();
    group.reject(new ArchipelError('write-outcome-unknown', 'The disk failed while the write was being made durable.', {}, error));
    behind?.reject(new ArchipelError('storage-unavailable', 'The disk failed before the write was begun.', {}, error));
    this.#scheduleReopen();
  }

  #checkSpace(withinMs = SPACE_CHECK_MS): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#spaceCheckedMs < withinMs && this.#bytesSinceCheck < SPACE_CHECK_BYTES) return this.#hasSpace;
    this.#spaceCheckedMs = nowMs;
    this.#bytesSinceCheck = 0;
    const freeBytes = this.#options.freeBytes?.() ?? freeBytesOf(this.#options.folder);
    const hasSpace = freeBytes >= DISK_RESERVE_BYTES;
    if (hasSpace !== this.#hasSpace) this.#options.log.write(hasSpace ? 'info' : 'error', hasSpace ? 'store.space-back' : 'store.nearly-full', { freeBytes });
    this.#hasSpace = hasSpace;
    return hasSpace;
  }

  #scheduleReopen(): void {
    this.#cancelReopen = this.#options.clock.after(REOPEN_PROBE_MS, () => {
      if (this.#closed) return;
      if (canWrite(this.#options.folder)) this.#reopened = this.#reopen();
      else this.#scheduleReopen();
    });
  }

  async #reopen(): Promise<void> {
    try {
      await this.#database.close();
      this.#database = await openDatabase(this.#options.folder);
      for (const task of this.#afterReopening) await task();
      this.#broken = false;
      this.stats.reopened++;
      this.#spaceCheckedMs = Number.NEGATIVE_INFINITY;
      this.#options.log.write('info', 'store.reopened');
    } catch (error) {
      this.#options.log.write('error', 'store.reopen-failed', { error: String(error) });
      this.#scheduleReopen();
    }
  }

  /** Finishes what was begun, then closes. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelReopen();
    await this.#flushing;
    await this.#reopened;
    await this.#database.close();
  }
}

function newGroup(): Group {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined); // every writer has its own handle on it; none may be left
  return { operations: [], changes: [], meanwhile: [], settled: promise, resolve, reject, bytes: 0, frees: true };
}

async function openDatabase(folder: string): Promise<Database> {
  const database: Database = new ClassicLevel(folder, OPEN_OPTIONS);
  try {
    await database.open();
    return database;
  } catch (error) {
    const locked = error instanceof Error && (error.cause as { code?: string } | undefined)?.code === 'LEVEL_LOCKED';
    throw new ArchipelError('storage-unavailable', locked ? `Another process has ${folder} open.` : `The store in ${folder} cannot be opened.`, { locked }, error);
  }
}

function freeBytesOf(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Does the disk take a megabyte, durably, beyond the reserve? */
function canWrite(folder: string): boolean {
  const path = join(folder, 'space.probe');
  try {
    if (freeBytesOf(folder) < DISK_RESERVE_BYTES) return false;
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
