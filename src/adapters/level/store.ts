// One LevelDB folder with a journal before it: group commit, a guard against a full disk, and recovery from a failed write.
//
// Group commit: writes that arrive in one turn of the event loop, or while a group is being synced, share a sync. A group is
// an entry of the journal, so a crash leaves whole groups only.
//
//   group 1   fill ─▶ journal, sync ─────▶ done ─▶ LevelDB     callers of group 1 are answered at `done`
//   group 2              fill ─▶ journal, sync ─────▶ done ─▶ LevelDB
//   group 3                         fill ─────▶ …
//
// With many writers a second group is begun while one is being synced, so that clients do not all wait for one sync. Groups
// become durable one after the other, whichever sync ends first.
//
// If a sync fails, its group fails, and so do those behind it, because their decisions were made on states that never became
// durable. Writes are then refused until the disk takes a probe; LevelDB, which refuses every write
// after a failed one, is opened again, is given what the journal keeps, and the journal begins anew.
//
// In `relaxed` durability there is no journal: a group is a batch that LevelDB hands to the operating system.

import { join } from 'node:path';
import { ArchipelError } from '../../core/errors.ts';
import type { Cancel } from '../../ports/clock.ts';
import { Applier, syncLogs } from './applier.ts';
import { openDatabase, type Database } from './database.ts';
import { Disk, type DiskOptions } from './disk.ts';
import { newGroup, outcomeOf, type Begun, type Group, type GroupOwner, type GroupWrite, type Outcome } from './group.ts';
import { Journal, keptIn, removeJournal, type Kept } from './journal.ts';
import { currentBoot, recover } from './replay.ts';

export type Durability = 'sync' | 'relaxed';

/** Before a group is tried: with groups in a row, not for each. */
const SPACE_CHECK_GROUP_MS = 20;
const REOPEN_PROBE_MS = 250;
/** With no write for so long, the journal is let go. */
const PAUSE_MS = 1_000;
/** A disk that takes longer, on average, is waited for in another thread: this one has readers to answer. */
const SYNC_HERE_MS_MAX = 1;
/** Then every so many syncs one is tried here, to see whether the disk is fast again. */
const SYNC_HERE_EVERY = 64;
const SYNC_AVERAGE_OF = 8;
/** The sync of so many writes is always waited for in another thread: there are as many clients, and this one takes what they send next. */
const SYNC_APART_WRITES_MIN = 8;

/** So many groups are on their way to the disk at a time. A second one takes a third of the waiting away; a third one, nothing more. */
const UNDER_WAY_MAX = 2;

export interface StoreOptions extends DiskOptions {
  readonly durability: Durability;
  /** For tests: which boot of the machine this is, instead of what the system says. */
  readonly bootId?: string;
}

export class LevelStore {
  readonly #options: StoreOptions;
  readonly #disk: Disk;
  readonly #bootId: string;
  #database: Database;
  readonly #applier: Applier;
  /** Undefined in `relaxed` durability. */
  #journal: Journal | undefined;
  #closedSegments = 0;
  #owner: GroupOwner | undefined;
  #filling: Group | undefined;
  /** On their way to the disk, oldest first. */
  #begun: Begun[] = [];
  #flushing: Promise<void> | undefined;
  #syncMs = 0;
  #syncsApart = 0;
  #writesAtPause = -1;
  #cancelPause: Cancel | undefined;
  #broken = false;
  #closing: Promise<void> | undefined;
  #cancelReopen: Cancel = () => undefined;
  #reopened: Promise<void> = Promise.resolve();
  readonly #afterReopening: (() => Promise<void>)[] = [];
  /** For metrics: group commits and the writes in them. */
  readonly stats = { groups: 0, writes: 0, failures: 0, reopened: 0 };

  private constructor(options: StoreOptions, database: Database, { kept, bootId }: { readonly kept: Kept; readonly bootId: string }) {
    this.#options = options;
    this.#disk = new Disk(options);
    this.#bootId = bootId;
    this.#database = database;
    this.#applier = new Applier({ folder: options.folder, database, after: (delayMs, task) => this.after(delayMs, task), failed: (error) => this.#break(error) });
    if (options.durability === 'sync') this.#journal = this.#newJournal(kept);
  }

  /** @throws ArchipelError `storage-unavailable` when another process has the folder open, or it cannot be used. */
  static async open(options: StoreOptions): Promise<LevelStore> {
    const { folder, durability, bootId = currentBoot() } = options;
    const database = await openDatabase(folder);
    try {
      const kept = keptIn(journalOf(folder));
      await recover(database, kept, bootId);
      if (durability === 'relaxed' && kept.number > 0) {
        await syncLogs(folder);
        removeJournal(journalOf(folder));
      }
      return new LevelStore(options, database, { kept, bootId });
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  #newJournal(kept: Kept): Journal {
    return new Journal(journalOf(this.#options.folder), { kept, sequence: Math.max(this.#applier.given, kept.segments.at(-1)?.last ?? 0), bootId: this.#bootId });
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

  /** For ranges, after `scannable`; single rows come from `getSync`. */
  get database(): Database {
    return this.#database;
  }

  /** Synchronous on purpose: a read of LevelDB takes 4 µs, a trip through the thread pool 20. */
  getSync(key: Uint8Array): Uint8Array | undefined {
    const waiting = this.#applier.find(key);
    if (waiting === undefined) return this.#database.getSync(key);
    return waiting.type === 'put' ? waiting.value : undefined;
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

  /** As `ready`, and LevelDB has all rows that are durable now. */
  async scannable(): Promise<void> {
    await this.#applier.reached();
    await this.ready();
  }

  /** @throws ArchipelError `storage-unavailable` while the database is being opened again */
  assertOpen(): void {
    if (this.#database.status !== 'open') throw new ArchipelError('storage-unavailable', 'The store could not be opened again yet.');
  }

  /** Throws at once, with nothing done, when the store cannot take a write now. What frees space is taken on a full disk too. */
  assertWritable(frees = false): void {
    if (this.#closing !== undefined) throw new ArchipelError('storage-unavailable', 'The store is closed.');
    if (this.#broken) throw new ArchipelError('storage-unavailable', 'The store failed to write and is waiting for the disk.');
    if (!frees && !this.#disk.hasRoom()) throw new ArchipelError('storage-full', 'The disk is nearly full; reads go on.');
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
    group.writes++;
    this.stats.writes++;
    this.#flushing ??= endOfTurn().then(() => this.#flush());
    if (group.writes === SYNC_APART_WRITES_MIN && this.#begun.length > 0) setImmediate(this.#beginAhead);
    return group.settled;
  }

  /** What came while a group was synced in another thread waits for the end of the turn: its answers bring more. */
  async #flush(): Promise<void> {
    await this.#applier.room();
    this.#begin();
    for (let begun = this.#begun[0]; begun !== undefined; begun = this.#begun[0]) {
      const { group, prepared } = begun;
      const outcome = begun.outcome instanceof Promise ? await begun.outcome : begun.outcome;
      if (typeof outcome === 'object') {
        await this.#fail(outcome.error);
        break;
      }
      this.#begun.shift();
      if (outcome === 'durable') this.#durable(group, prepared);
      else this.#refuse(group);
      if (this.#begun.length > 0) {
        setImmediate(this.#beginAhead);
        continue;
      }
      if (this.#filling !== undefined) await endOfTurn();
      if (!this.#applier.isFull) this.#begin();
    }
    this.#flushing = undefined;
    if (this.#broken && this.#filling !== undefined) this.#rejectFilling(new ArchipelError('storage-unavailable', 'The store failed to write and is waiting for the disk.'));
    if (this.#filling !== undefined) this.#flushing = endOfTurn().then(() => this.#flush());
    this.#tidy();
  }

  /** While the one before it is on its way. One that finds no room is left to be told so in its turn. */
  readonly #beginAhead = (): void => {
    const { length } = this.#begun;
    if (length === 0 || length >= UNDER_WAY_MAX || (this.#filling?.writes ?? 0) < SYNC_APART_WRITES_MIN) return;
    if (this.#journal !== undefined && !this.#applier.isFull && this.#disk.hasRoom(SPACE_CHECK_GROUP_MS)) this.#begin();
  };

  /** Takes the filling group to the disk. What goes wrong is told by its outcome, when the group before it is done with. */
  #begin(): void {
    const group = this.#filling;
    if (group === undefined || this.#broken) return;
    this.#filling = undefined;
    this.#begun.push(this.#toTheDisk(group));
  }

  #toTheDisk(group: Group): Begun {
    // A disk that somebody else filled since is told before anything is tried.
    if (!group.frees && !this.#disk.hasRoom(SPACE_CHECK_GROUP_MS)) return { group, prepared: [], outcome: 'no-space' };
    try {
      group.operations.push(...(this.#owner?.seal(group.changes) ?? []));
      if (this.#journal === undefined) {
        const written = this.#database.batch(group.operations, { sync: false });
        return { group, outcome: outcomeOf(written), prepared: this.#prepare(group) };
      }
      const outcome = this.#appendBehind(this.#journal, group);
      return { group, prepared: this.#prepare(group), outcome };
    } catch (error) {
      return { group, prepared: [], outcome: { error } };
    }
  }

  #prepare(group: Group): readonly (() => void)[] {
    const prepared: (() => void)[] = [];
    for (const prepare of group.meanwhile) {
      const answer = this.#guarded(prepare);
      if (answer !== undefined) prepared.push(answer);
    }
    return prepared;
  }

  /** A segment is begun only when what lies in the one before is durable: there must be no hole between two. */
  #appendBehind(journal: Journal, group: Group): Outcome | Promise<Outcome> {
    const before = this.#begun.at(-1);
    if (before === undefined || journal.hasRoomFor(group.operations)) return this.#append(journal, group);
    const written = async (): Promise<Outcome> => {
      const outcome = await before.outcome;
      return typeof outcome === 'object' ? outcome : this.#append(journal, group);
    };
    return written().catch((error: unknown) => ({ error }));
  }

  #append(journal: Journal, group: Group): Outcome | Promise<Outcome> {
    group.sequence = journal.append(group.operations);
    return this.#sync(journal, group);
  }

  #sync(journal: Journal, { writes }: Group): Outcome | Promise<Outcome> {
    if (writes >= SYNC_APART_WRITES_MIN || (this.#syncMs > SYNC_HERE_MS_MAX && ++this.#syncsApart % SYNC_HERE_EVERY !== 0)) return outcomeOf(journal.sync());
    const startedMs = this.#options.clock.monotonicMs();
    journal.syncNow();
    const tookMs = this.#options.clock.monotonicMs() - startedMs;
    this.#syncMs += (Math.min(tookMs, 2 * SYNC_HERE_MS_MAX) - this.#syncMs) / SYNC_AVERAGE_OF;
    return 'durable';
  }

  #durable(group: Group, prepared: readonly (() => void)[]): void {
    this.#disk.noteWritten(group.bytes);
    this.stats.groups++;
    for (const answer of prepared) this.#guarded(answer);
    // Before anybody reads: who was answered comes in another turn.
    if (this.#journal !== undefined) this.#applier.give(group.sequence, group.operations);
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

  /** Lets go what the journal need not keep: where a segment was filled, and in a pause. */
  #tidy(): void {
    const journal = this.#journal;
    if (journal === undefined || this.#closing !== undefined || this.#broken) return;
    const tidy = (isPause: boolean): void => void this.#applier.tidy(journal, { isPause }).catch((error: unknown) => this.#options.log.write('warn', 'store.journal-kept', { error: String(error) }));
    if (journal.closed.length > this.#closedSegments) tidy(false);
    this.#closedSegments = journal.closed.length;
    this.#cancelPause ??= this.after(PAUSE_MS, () => {
      this.#cancelPause = undefined;
      if (this.#closing !== undefined || this.#broken) return;
      if (this.#writesAtPause === this.stats.writes) return tidy(true);
      this.#writesAtPause = this.stats.writes;
      this.#tidy();
    });
  }

  /** Nothing was tried. What was decided behind it, on states that will not be, fails with it. */
  #refuse(group: Group): void {
    const full = new ArchipelError('storage-full', 'The disk is nearly full; reads go on.');
    group.reject(full);
    this.#rejectFilling(full);
  }

  /** Of the groups behind it, too. Resolves when nothing is on its way. */
  async #fail(error: unknown): Promise<void> {
    this.#break(error);
    for (const { outcome } of this.#begun) await outcome;
    for (const { group } of this.#begun) group.reject(new ArchipelError('write-outcome-unknown', 'The disk failed while the write was being made durable.', {}, error));
    this.#begun = [];
    this.#rejectFilling(new ArchipelError('storage-unavailable', 'The disk failed before the write was begun.', {}, error));
  }

  /** With nothing on its way to the disk. */
  #rejectFilling(error: ArchipelError): void {
    this.#owner?.failed();
    this.#filling?.reject(error);
    this.#filling = undefined;
  }

  /** No more writes until the disk takes them again. */
  #break(error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    this.stats.failures++;
    this.#options.log.write('error', 'store.write-failed', { error: String(error) });
    this.#scheduleReopen();
  }

  #scheduleReopen(): void {
    this.#cancelReopen = this.#options.clock.after(REOPEN_PROBE_MS, () => {
      if (this.#closing !== undefined) return;
      if (this.#disk.canWrite()) this.#reopened = this.#reopen();
      else this.#scheduleReopen();
    });
  }

  async #reopen(): Promise<void> {
    const { folder, durability, log } = this.#options;
    try {
      await this.#flushing;
      await this.#applier.idle();
      await this.#journal?.close();
      this.#journal = undefined;
      await this.#database.close();
      this.#database = await openDatabase(folder);
      const kept = keptIn(journalOf(folder));
      await this.#applier.restart(this.#database, kept.segments);
      await syncLogs(folder);
      // LevelDB has it all, durably; with what failed, none of it counts any more.
      if (durability === 'sync') this.#journal = this.#newJournal({ ...kept, segments: [], spare: [...kept.segments.map(({ path }) => path), ...kept.spare] });
      for (const task of this.#afterReopening) await task();
      this.#broken = false;
      this.stats.reopened++;
      this.#disk.forget();
      log.write('info', 'store.reopened');
    } catch (error) {
      log.write('error', 'store.reopen-failed', { error: String(error) });
      this.#scheduleReopen();
    }
  }

  /** Finishes what was begun, then closes. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#cancelReopen();
    this.#cancelPause?.();
    while (this.#flushing !== undefined) await this.#flushing;
    await this.#reopened;
    await this.#applier.idle();
    await this.#database.close();
    await this.#journal?.close();
    if (this.#broken || this.#journal === undefined) return; // the next start does what is left to do
    await syncLogs(this.#options.folder);
    removeJournal(journalOf(this.#options.folder));
  }
}

const journalOf = (folder: string): string => join(folder, 'journal');

const endOfTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
