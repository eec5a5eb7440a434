// Gives LevelDB what the journal has made durable, one batch after the other, without a sync. Until it has it, the rows
// stand here, and a read finds them: an overlay. Groups that come while LevelDB works are given to it together, and of a
// row that was written twice only the newer one.
//
//   durable group ──▶ next ──(LevelDB is free)──▶ applying ──▶ in LevelDB's memory and, unsynced, in its log
//
// A segment of the journal can go when all of it is durable in LevelDB. That is so when the log files that LevelDB wrote to
// by then are gone, because it deletes one only when a table holds what was in it; or when they have been synced from here,
// which is done in a pause, so that a start after a crash has little to do.

import { closeSync, fdatasync, openSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Cancel } from '../../ports/clock.ts';
import { nameOfRow } from './layout.ts';
import { syncFolder, type Journal, type Segment } from './journal.ts';
import { appliedIn, appliedRow, bytesOf, replay } from './replay.ts';
import type { Database } from './database.ts';
import type { Operation } from './group.ts';

/** While more than that waits, the next group is not begun: memory is bounded, and a slow LevelDB slows writers down. */
export const WAITING_BYTES_MAX = 16 * 1024 * 1024;

/** A batch costs LevelDB's thread a wake, and this one as much: what is written within this is given together, of a hot item once. */
const TOGETHER_MS = 50;

type Rows = Map<string, Operation>;

export interface ApplierParts {
  readonly folder: string;
  readonly database: Database;
  readonly after: (delayMs: number, task: () => void) => Cancel;
  /** LevelDB took a batch no more. */
  readonly failed: (error: unknown) => void;
}

export class Applier {
  readonly #folder: string;
  #database: Database;
  readonly #after: (delayMs: number, task: () => void) => Cancel;
  readonly #failed: (error: unknown) => void;
  #next: Rows = new Map();
  #applying: Rows = new Map();
  #working: Promise<void> | undefined;
  #waitingBytes = 0;
  /** Sequence of the last group handed over, and of the last in LevelDB. */
  #given = 0;
  #applied = 0;
  /** By segment: the newest log file of LevelDB when all of it was applied. */
  readonly #logs = new Map<number, number>();
  #tidying: Promise<void> | undefined;
  #goOn: () => void = () => undefined;
  #waiters: { readonly sequence: number; readonly resolve: () => void }[] = [];

  constructor({ folder, database, after, failed }: ApplierParts) {
    this.#folder = folder;
    this.#database = database;
    this.#after = after;
    this.#failed = failed;
    this.#given = this.#applied = appliedIn(database);
  }

  /** What a read must see in place of LevelDB's row. */
  find(key: Uint8Array): Operation | undefined {
    if (this.#next.size === 0 && this.#applying.size === 0) return undefined;
    const name = nameOfRow(key);
    return this.#next.get(name) ?? this.#applying.get(name);
  }

  give(sequence: number, operations: readonly Operation[]): void {
    for (const operation of operations) {
      this.#next.set(nameOfRow(operation.key), operation);
      this.#waitingBytes += bytesOf(operation);
    }
    this.#given = sequence;
    this.#working ??= this.#pause().then(() => this.#work());
  }

  /** Until more has come together, or somebody waits for it. Whoever waits for the group itself is answered before. */
  #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#after(TOGETHER_MS, resolve);
    this.#goOn = () => (cancel(), resolve());
    return promise;
  }

  get given(): number {
    return this.#given;
  }

  get isFull(): boolean {
    return this.#waitingBytes > WAITING_BYTES_MAX;
  }

  /** There is room for more. */
  async room(): Promise<void> {
    while (this.isFull && this.#working !== undefined) await this.#soon();
  }

  #soon(): Promise<void> | undefined {
    this.#goOn();
    return this.#working;
  }

  /** LevelDB has all that was given until now. Where it does not take it: when it was opened again. */
  reached(): Promise<void> {
    const sequence = this.#given;
    if (this.#applied >= sequence) return Promise.resolve();
    this.#goOn();
    return new Promise((resolve) => this.#waiters.push({ sequence, resolve }));
  }

  /** Nothing is being done here. */
  async idle(): Promise<void> {
    while (this.#working !== undefined) await this.#soon();
    await this.#tidying?.catch(() => undefined); // told where it was asked for
  }

  async #work(): Promise<void> {
    try {
      while (this.#next.size > 0) {
        const bytes = this.#waitingBytes;
        const sequence = this.#given;
        this.#applying = this.#next;
        this.#next = new Map();
        await this.#database.batch([...this.#applying.values(), appliedRow(sequence)], { sync: false });
        this.#applying = new Map();
        this.#waitingBytes -= bytes;
        this.#note(sequence);
      }
    } catch (error) {
      // Nothing is lost: the journal has it, and it is given to LevelDB again when that was opened again.
      for (const [name, operation] of this.#next) this.#applying.set(name, operation);
      this.#next = this.#applying;
      this.#applying = new Map();
      this.#failed(error);
    } finally {
      this.#working = undefined;
    }
  }

  #note(applied: number): void {
    this.#applied = applied;
    if (this.#waiters.length === 0) return;
    const reached = this.#waiters.filter(({ sequence }) => sequence <= applied);
    this.#waiters = this.#waiters.filter(({ sequence }) => sequence > applied);
    for (const { resolve } of reached) resolve();
  }

  /** LevelDB was opened again: it gets all that the journal keeps and that was given, whatever it has of it. */
  async restart(database: Database, kept: readonly Segment[]): Promise<void> {
    this.#database = database;
    await replay(database, kept, { to: this.#given });
    this.#next = new Map();
    this.#waitingBytes = 0;
    this.#logs.clear();
    this.#note(this.#given);
  }

  /** Lets segments of the journal go. With `isPause` LevelDB's log files are synced for it. */
  tidy(journal: Journal, { isPause }: { readonly isPause: boolean }): Promise<void> {
    return (this.#tidying ??= this.#tidy(journal, isPause).finally(() => (this.#tidying = undefined)));
  }

  async #tidy(journal: Journal, isPause: boolean): Promise<void> {
    if (journal.closed.length === 0) return isPause ? journal.shrink() : undefined;
    const applied = this.#applied;
    const logs = await logNumbers(this.#folder);
    for (const { number, last } of journal.closed) if (last <= applied && !this.#logs.has(number)) this.#logs.set(number, logs.at(-1) ?? 0);
    if (isPause) await syncLogs(this.#folder, logs);
    const oldest = isPause ? Number.POSITIVE_INFINITY : (logs[0] ?? Number.POSITIVE_INFINITY);
    const done = journal.closed.findIndex(({ number }) => !((this.#logs.get(number) ?? Number.POSITIVE_INFINITY) < oldest));
    const count = done < 0 ? journal.closed.length : done;
    for (const { number } of journal.closed.slice(0, count)) this.#logs.delete(number);
    journal.release(count);
    if (isPause) journal.shrink();
  }
}

// LevelDB's own log files -------------------------------------------------------------------------------------------------------

async function logNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.flatMap((name) => (/^\d+\.log$/.test(name) ? [Number.parseInt(name, 10)] : [])).sort((one, other) => one - other);
}

const syncFile = promisify(fdatasync);

/** Makes durable what LevelDB was given so far. */
export async function syncLogs(folder: string, numbers?: readonly number[]): Promise<void> {
  for (const number of numbers ?? (await logNumbers(folder))) {
    const file = openLog(join(folder, `${String(number).padStart(6, '0')}.log`));
    if (file !== undefined) await syncFile(file).finally(() => closeSync(file));
  }
  syncFolder(folder);
}

/** Undefined: it is a table by now. */
function openLog(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
}
