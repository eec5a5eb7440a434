// What a machine keeps when its process dies: cells by name, changed in batches that are whole or not at all. In `relaxed`
// durability a power cut takes back the last second.

import { keyText } from '../../core/bytes.ts';
import type { World } from './world.ts';

export interface Cell {
  readonly name: string;
  /** Undefined: removed. Values are never changed in place. */
  readonly value: unknown;
}

interface Written {
  readonly atMs: number;
  readonly before: readonly Cell[];
}

/** What a power cut may take back in `relaxed` durability. */
const UNSYNCED_MS = 1_000;

export class Disk {
  readonly #world: World;
  #cells = new Map<string, unknown>();
  #unsynced: Written[] = [];
  /** Told of by a folder's marker file, which a copy does not carry. */
  marker: string;
  isFull = false;
  /** Its syncs fail no more. */
  isWell = false;

  constructor(world: World, name: string) {
    this.#world = world;
    this.marker = `${name} ${world.random.between(0, 2 ** 31)}`;
  }

  get(name: string): unknown {
    return this.#cells.get(name);
  }

  entries(): Iterable<[string, unknown]> {
    return this.#cells;
  }

  batch(cells: readonly Cell[], synced: boolean): void {
    if (!synced) this.#unsynced.push({ atMs: this.#world.nowMs, before: cells.map(({ name }) => ({ name, value: this.#cells.get(name) })) });
    for (const cell of cells) this.#put(cell);
    const keepFromMs = this.#world.nowMs - UNSYNCED_MS;
    while ((this.#unsynced[0]?.atMs ?? Number.POSITIVE_INFINITY) < keepFromMs) this.#unsynced.shift();
  }

  #put({ name, value }: Cell): void {
    if (value === undefined) this.#cells.delete(name);
    else this.#cells.set(name, value);
  }

  /** Takes back every batch that was not synced and is younger than so long. Answers how many. */
  cutPower(lostMs: number): number {
    const fromMs = this.#world.nowMs - Math.min(lostMs, UNSYNCED_MS);
    let lost = 0;
    for (let written = this.#unsynced.at(-1); written !== undefined && written.atMs > fromMs; written = this.#unsynced.at(-1)) {
      for (const cell of written.before.toReversed()) this.#put(cell);
      this.#unsynced.pop();
      lost++;
    }
    return lost;
  }

  /** A copy of the files: everything but the marker. */
  copy(): ReadonlyMap<string, unknown> {
    return new Map(this.#cells);
  }

  /** The files are replaced; the marker file is another one unless the copy was made below the file system. */
  restore(copy: ReadonlyMap<string, unknown>, { sameMarker }: { readonly sameMarker: boolean }): void {
    this.#cells = new Map(copy);
    this.#unsynced = [];
    if (!sameMarker) this.marker = `${this.marker}'`;
  }

  /** One record is gone, and nothing else tells of it. */
  forget(key: Uint8Array): void {
    this.#put({ name: `r ${keyText(key)}`, value: undefined });
  }

  wipe(): void {
    this.restore(new Map(), { sameMarker: false });
  }
}
