// The change log of a simulated table: one row per group, in the same batch as the records. A reader gets the image of the
// commit or of a later one of the item, as the seed decides: the contract allows both.

import { keyText } from '../../core/bytes.ts';
import type { State } from '../../core/version/record.ts';
import type { ChangeLog, LogEntry } from '../../ports/change-log.ts';
import type { Cell } from './disk.ts';
import type { Process } from './machine.ts';
import type { SeededRandom } from './random.ts';
import { imageOf } from './stored.ts';

export type LoggedCommit = Pick<LogEntry, 'key' | 'kind' | 'name' | 'loss'> & { readonly image: Uint8Array };

export interface LogRow {
  readonly entries: readonly LoggedCommit[];
}

export const logCells = { row: (position: number): string => `l ${position}`, trimmed: 't' } as const;

type Listener = (entries: readonly LogEntry[]) => void;

export class SimChangeLog implements ChangeLog {
  readonly #process: Process;
  readonly #random: SeededRandom;
  readonly #current: (name: string) => State | undefined;
  readonly #listeners = new Set<Listener>();
  readonly #rows = new Map<number, LogRow>();
  #sealed = 0;
  #durable = 0;
  #trimmed = 0;
  #trimmedDurable = 0;
  #deletedTo = 0;
  readonly #sealing: { readonly position: number; readonly row: LogRow | undefined; readonly trimmed: number }[] = [];

  constructor(process: Process, random: SeededRandom, current: (name: string) => State | undefined) {
    this.#process = process;
    this.#random = random;
    this.#current = current;
  }

  load(rows: readonly [number, LogRow][], trimmed: number): void {
    for (const [position, row] of rows.toSorted(([a], [b]) => a - b)) this.#rows.set(position, row);
    this.#trimmed = this.#trimmedDurable = this.#deletedTo = trimmed;
    this.#sealed = this.#durable = Math.max(trimmed, ...this.#rows.keys());
  }

  /** Rows that the reader has not trimmed: must not grow for ever. (Those behind go with the next group.) */
  get size(): number {
    return this.#durable - this.#trimmed;
  }

  /** What lies in it, for checkers. */
  *everything(): Iterable<LoggedCommit> {
    for (const { entries } of this.#rows.values()) yield* entries;
  }

  seal(logged: LogRow['entries']): readonly Cell[] {
    const made: Cell[] = [];
    for (let position = this.#deletedTo + 1; position <= this.#trimmed; position++) made.push({ name: logCells.row(position), value: undefined });
    if (this.#trimmed > this.#deletedTo) made.push({ name: logCells.trimmed, value: this.#trimmed });
    const row = logged.length === 0 ? undefined : { entries: logged };
    if (row !== undefined) made.push({ name: logCells.row(++this.#sealed), value: row });
    this.#sealing.push({ position: this.#sealed, row, trimmed: this.#trimmed });
    return made;
  }

  durable(): void {
    const sealed = this.#sealing.shift();
    if (sealed === undefined) return;
    for (let position = this.#deletedTo + 1; position <= sealed.trimmed; position++) this.#rows.delete(position);
    this.#deletedTo = this.#trimmedDurable = sealed.trimmed;
    if (sealed.row === undefined) return;
    this.#rows.set(sealed.position, sealed.row);
    this.#durable = sealed.position;
    const committedMs = this.#process.clock.monotonicMs();
    const entries = sealed.row.entries.map((entry): LogEntry => ({ ...entry, position: sealed.position, committedMs }));
    for (const listener of this.#listeners) listener(entries);
  }

  failed(): void {
    this.#sealing.length = 0;
    this.#sealed = this.#durable;
  }

  /** The image is that of the commit, or of a later one of the item. */
  async read(position: number, limit: number): Promise<{ readonly entries: readonly LogEntry[]; readonly more: boolean }> {
    const entries: LogEntry[] = [];
    let at = position + 1;
    for (; at <= this.#durable && entries.length < limit; at++) {
      for (const entry of this.#rows.get(at)?.entries ?? []) {
        const later = entry.loss === undefined && this.#random.chance(0.5) ? this.#current(keyText(entry.key.encoded)) : undefined;
        entries.push({ ...entry, position: at, ...(later === undefined ? {} : { image: imageOf(later) }) });
      }
    }
    return { entries, more: at <= this.#durable };
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  trim(position: number): void {
    this.#trimmed = Math.max(this.#trimmed, Math.min(position, this.#durable));
  }

  trimmed(): number {
    return this.#trimmedDurable;
  }
}
