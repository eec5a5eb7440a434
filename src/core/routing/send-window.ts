// How many records a catch-up keeps under way to one peer. Eight full messages of small records are seconds of work for a
// region that merges them one by one; two peers that return at once ask that of each other and of a third. What is not
// answered by the deadline was merged in vain: it is sent again, and comes on top of what made it late.
//
// So the window follows what the peer shows: it grows by what was answered soon, as TCP's slow start does, and is halved by
// an answer that took long or did not come (AIMD's decrease; Jacobson 1988, "Congestion Avoidance and Control").

import { EDGE_ATTEMPT_MS } from '../limits.ts';

export const FIRST_RECORDS = 512;
export const RECORDS_MIN = 64;
export const RECORDS_MAX = 8_192;
/** Of the time that an answer may take. */
export const SOON_MS = EDGE_ATTEMPT_MS / 4;
export const LONG_MS = EDGE_ATTEMPT_MS / 2;

export class SendWindow {
  #records = FIRST_RECORDS;
  #underWay = 0;

  /** Room for so many more? For anything, when nothing is under way. */
  hasRoomFor(records: number): boolean {
    return this.#underWay === 0 || this.#underWay + records <= this.#records;
  }

  left(records: number): void {
    this.#underWay += records;
  }

  /** @param tookMs from its leaving */
  answered(records: number, tookMs: number): void {
    this.#underWay -= records;
    if (tookMs <= SOON_MS) this.#records = Math.min(RECORDS_MAX, this.#records + records);
    else if (tookMs > LONG_MS) this.#halve();
  }

  /** Late, or lost. */
  failed(records: number): void {
    this.#underWay -= records;
    this.#halve();
  }

  #halve(): void {
    this.#records = Math.max(RECORDS_MIN, Math.floor(this.#records / 2));
  }
}
