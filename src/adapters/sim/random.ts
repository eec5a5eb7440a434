// Randomness from a seed: sfc32 (Chris Doty-Humphrey, PractRand), seeded through SplitMix32. Every user of randomness gets
// a stream of its own, named, so that one more draw in one place does not shift all the others.

import type { Random } from '../../ports/random.ts';

/** Where a stream stands. */
export type RandomState = readonly [a: number, b: number, c: number, counter: number];

export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  readonly #seed: number;

  constructor(seed: number, name = '') {
    this.#seed = seed;
    let state = (seed ^ Math.imul(Math.floor(seed / 2 ** 32) + 1, 0x9e3779b1)) >>> 0;
    for (let at = 0; at < name.length; at++) state = Math.imul(state ^ name.charCodeAt(at), 0x01000193) >>> 0;
    const split = (): number => {
      state = (state + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    };
    [this.#a, this.#b, this.#c] = [split(), split(), split()];
    for (let round = 0; round < 12; round++) this.#next();
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }

  get state(): RandomState {
    return [this.#a, this.#b, this.#c, this.#counter];
  }

  /** A stream of the same seed that goes on where another stood. */
  at(state: RandomState): SeededRandom {
    const other = new SeededRandom(this.#seed);
    [other.#a, other.#b, other.#c, other.#counter] = state;
    return other;
  }

  /** An independent stream of the same seed. */
  stream(name: string): SeededRandom {
    return new SeededRandom(this.#seed, name);
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at++) out[at] = this.#next() >>> 24;
    return out;
  }

  /** In [0, 1). */
  unit(): number {
    return this.#next() / 2 ** 32;
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return probability > 0 && this.unit() < probability;
  }

  /** @throws TypeError for an empty list */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new TypeError('Nothing to pick from.');
    return items[Math.floor(this.unit() * items.length)] as T;
  }

  /** Exponentially distributed, at most twenty times the mean. */
  around(mean: number): number {
    return Math.min(20 * mean, -mean * Math.log(1 - this.unit()));
  }
}
