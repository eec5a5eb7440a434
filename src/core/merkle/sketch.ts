// A sketch of the leaves of a digest: two regions find which of a quarter of a million leaves differ from a few kilobytes for
// each hundred, without naming those that are equal.
//
// Each leaf that is not empty, with its sum, is written into four of the cells by exclusive or. The sketches of two regions,
// one taken from the other, hold only the leaves that differ (each of them twice: with my sum and with yours). A cell in which
// one alone is left says which one it is; taken out of its other cells it leaves others alone, until nothing is left. Works
// while not much more than 0.7 entries fall on a cell; beyond that nothing can be named, and that is seen.
//
// Invertible Bloom lookup table: Eppstein, Goodrich, Uyeda and Varghese, "What's the difference?", 2011. Of leaves, not items:
// sums of leaves are in memory already, so that a sketch costs milliseconds when it is asked for, and a write nothing.

import type { ByteReader, ByteWriter } from '../bytes.ts';
import type { Sum } from './digest.ts';

const PARTS = 4;
/** Of a place, a sum's half, and a check: a cell in which one alone is left is told from one with several but once in 2^32. */
export const CELL_BYTES = 12;

export class Sketch {
  readonly #part: number;
  readonly #places: Uint32Array;
  readonly #sums: Uint32Array;
  readonly #checks: Uint32Array;

  /** @param cells at least; its parts are of one length */
  constructor(cells: number) {
    this.#part = Math.ceil(cells / PARTS);
    const length = PARTS * this.#part;
    this.#places = new Uint32Array(length);
    this.#sums = new Uint32Array(length);
    this.#checks = new Uint32Array(length);
  }

  get cells(): number {
    return this.#places.length;
  }

  /** A leaf by its place, a number below 2^32 that both sides give it. The same again takes it out. */
  add(place: number, { high, low }: Sum): void {
    this.#toggle(place >>> 0, (high ^ low) >>> 0);
  }

  /** One cell of each part: two entries that shared all of theirs could not be told apart. `touched` is told which. */
  #toggle(place: number, sum: number, touched?: number[]): void {
    const check = checkOf(place, sum);
    let hash = mixed(place ^ Math.imul(sum, 0x9e3779b1));
    for (let part = 0; part < PARTS; part++) {
      const at = part * this.#part + Math.floor(((hash >>> 0) / 2 ** 32) * this.#part);
      this.#places[at] = (this.#places[at] as number) ^ place;
      this.#sums[at] = (this.#sums[at] as number) ^ sum;
      this.#checks[at] = (this.#checks[at] as number) ^ check;
      touched?.push(at);
      hash = mixed(hash + check);
    }
  }

  /** Leaves what is in one of the two. @throws TypeError for sketches of different sizes */
  take(other: Sketch): void {
    if (other.cells !== this.cells) throw new TypeError('Sketches of different sizes cannot be compared.');
    for (let at = 0; at < this.cells; at++) {
      this.#places[at] = (this.#places[at] as number) ^ (other.#places[at] as number);
      this.#sums[at] = (this.#sums[at] as number) ^ (other.#sums[at] as number);
      this.#checks[at] = (this.#checks[at] as number) ^ (other.#checks[at] as number);
    }
  }

  /** The places that are left, in ascending order; it is empty then. Undefined when there are more than it can name. */
  names(): number[] | undefined {
    const places = new Set<number>();
    const alone: number[] = [];
    for (let at = 0; at < this.cells; at++) if (this.#isAlone(at)) alone.push(at);
    let left = this.cells; // what has been made up could go on for ever
    for (let at = alone.pop(); at !== undefined; at = alone.pop()) {
      if (!this.#isAlone(at)) continue;
      if (left-- === 0) return undefined;
      const place = this.#places[at] as number;
      places.add(place);
      this.#toggle(place, this.#sums[at] as number, alone);
    }
    for (let at = 0; at < this.cells; at++) if (!this.#isEmpty(at)) return undefined;
    return [...places].sort((one, other) => one - other);
  }

  #isEmpty(at: number): boolean {
    return this.#places[at] === 0 && this.#sums[at] === 0 && this.#checks[at] === 0;
  }

  #isAlone(at: number): boolean {
    return !this.#isEmpty(at) && this.#checks[at] === checkOf(this.#places[at] as number, this.#sums[at] as number);
  }

  encode(out: ByteWriter): ByteWriter {
    out.varint(this.cells);
    for (let at = 0; at < this.cells; at++) out.u32(this.#places[at] as number).u32(this.#sums[at] as number).u32(this.#checks[at] as number);
    return out;
  }

  /** @throws RangeError for bytes that are no sketch */
  static decode(reader: ByteReader): Sketch {
    const cells = reader.varint();
    if (cells * CELL_BYTES > reader.left || cells % PARTS !== 0) throw new RangeError('Not a sketch.');
    const sketch = new Sketch(cells);
    for (let at = 0; at < cells; at++) {
      sketch.#places[at] = reader.u32();
      sketch.#sums[at] = reader.u32();
      sketch.#checks[at] = reader.u32();
    }
    return sketch;
  }
}

/** The finalizer of MurmurHash3 (Appleby): every bit of the input reaches every bit of the output. */
function mixed(word: number): number {
  let hash = word ^ (word >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

const checkOf = (place: number, sum: number): number => mixed(mixed(place + 0x7f4a7c15) ^ sum) >>> 0;

/** For so many differing leaves, as good as always (a test tries it). */
export const cellsFor = (leaves: number): number => Math.ceil(2 * leaves * 1.4) + 40;
