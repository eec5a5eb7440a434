// How far a region lies behind its peers, as they tell it: every message between regions says how old the oldest change is
// that its sender has for the receiver and that the receiver has not acknowledged.
//
//  1. What a peer said stands for LAG_SAID_MS; a debt that was not said to be settled has grown older meanwhile.
//  2. A peer that is silent longer than that says nothing: one that is dead does not make the others look late.
//  3. A region that hears nobody cannot know what it lacks. Its lag is counted from the last word that it heard, and from its
//     start before it has heard any: this is what a region is in that was paused, or cut off, the moment it is back.
//
// Time is an argument (milliseconds of any monotonic clock).

import { CAUGHT_UP_LAG_MS, LAG_SAID_MS } from '../limits.ts';
import type { RegionId } from '../version/dot.ts';

interface Said {
  readonly owesMs: number;
  readonly atMs: number;
}

export class Lag {
  readonly #said = new Map<RegionId, Said>();
  #heardMs: number;

  constructor(startMs: number) {
    this.#heardMs = startMs;
  }

  /** A peer told what it owes us: the age of the oldest change, 0 for nothing. */
  heard(peer: RegionId, owesMs: number, nowMs: number): void {
    this.#said.set(peer, { owesMs, atMs: nowMs });
    this.#heardMs = nowMs;
  }

  lagMs(nowMs: number): number {
    if (nowMs - this.#heardMs > LAG_SAID_MS) return nowMs - this.#heardMs; // 3
    let most = 0;
    for (const { owesMs, atMs } of this.#said.values()) {
      if (owesMs > 0 && nowMs - atMs <= LAG_SAID_MS) most = Math.max(most, owesMs + nowMs - atMs); // 1, 2
    }
    return most;
  }

  hasCaughtUp(nowMs: number): boolean {
    return this.lagMs(nowMs) <= CAUGHT_UP_LAG_MS;
  }
}
