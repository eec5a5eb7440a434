// A tape of numbers that decides what happens next. fast-check makes the tape and shrinks it, so that a failing history
// becomes a short one; where the tape ends, the rest (the order of a final drain) is drawn from a generator seeded by it.

import fc from 'fast-check';

// A long history takes long to shrink; after this, and before the test is given up, the shortest one found so far is shown.
fc.configureGlobal({ interruptAfterTimeLimit: 50_000, markInterruptAsFailure: true });

export class Choices {
  readonly #tape: readonly number[];
  #at = 0;
  #seed: number;

  constructor(tape: readonly number[]) {
    this.#tape = tape;
    this.#seed = tape.reduce((sum, each) => (Math.imul(sum, 31) + each) | 0, 7);
  }

  get isOver(): boolean {
    return this.#at >= this.#tape.length;
  }

  /** A whole number from 0, below `limit`. */
  below(limit: number): number {
    return (this.#tape[this.#at++] ?? this.#drawn()) % limit;
  }

  percent(share: number): boolean {
    return this.below(100) < share;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  #drawn(): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) | 0;
    return (this.#seed >>> 8) & 0xffff;
  }
}

export const tape = (maxLength: number): fc.Arbitrary<number[]> => fc.array(fc.nat(0xffff), { minLength: 4, maxLength, size: 'max' });
