// The hybrid logical clock of one region: never goes back, stays close to physical time, and is above every stamp that
// the region has seen. Kulkarni, Demirbas et al., 2014; the 64-bit form carries the counter into the milliseconds.

import { makeStamp, maxStamp, nextStamp, STAMP_ZERO, stampMs, type Stamp } from '../version/stamp.ts';

export class HybridClock {
  #last: Stamp;

  constructor(last: Stamp = STAMP_ZERO) {
    this.#last = last;
  }

  /** The largest stamp issued or seen. */
  get last(): Stamp {
    return this.#last;
  }

  /** A new stamp, above all that were issued or seen. */
  issue(physicalMs: number): Stamp {
    this.#last = maxStamp(nextStamp(this.#last), makeStamp(physicalMs));
    return this.#last;
  }

  /** Takes note of a stamp that is stored or was accepted from elsewhere. */
  observe(stamp: Stamp): void {
    this.#last = maxStamp(this.#last, stamp);
  }

  /** The time that stamps of others are compared with: own physical time or own clock, whichever is ahead. */
  referenceMs(physicalMs: number): number {
    return Math.max(physicalMs, stampMs(this.#last));
  }
}
