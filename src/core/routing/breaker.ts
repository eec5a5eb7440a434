// A circuit breaker per region that one talks to: after a few failures stop asking, so that nobody waits for a region
// that does not answer; ask again with one request at growing intervals.
//
//   closed ──3 failures in a row, or half of 10 in 5 s; or 2, 1 to 5 s apart (1)─────────▶ open ──1 s, doubling to 30 s──▶ half open
//     ▲                                                                                  ▲                                │  │
//     │                                                                                  └─────────── failure ◀───────────┘  │
//     └──────────────────────────────────────────────── success ◀─────────────────────────────────────────────────────────────┘
//
// (1) For whoever may ask one after the other: an edge, a client. Regions ask each other all the time.
//
// A region that dies takes many requests with it. Their failures arrive after the breaker has opened and say nothing new:
// only the outcome of a trial makes the next wait longer.
//
// Time is an argument (milliseconds of any monotonic clock).

import {
  BREAKER_FAILURES_IN_A_ROW,
  BREAKER_HALF_OPEN_MS,
  BREAKER_HALF_OPEN_MS_MAX,
  BREAKER_SILENCE_MS,
  BREAKER_WINDOW_MS,
  BREAKER_WINDOW_REQUESTS,
} from '../limits.ts';

export type BreakerState = 'closed' | 'open' | 'half-open';

export class Breaker {
  readonly #isOfOneAtATime: boolean;
  #state: BreakerState = 'closed';
  #inARow = 0;
  #retryAtMs = 0;
  #waitMs = BREAKER_HALF_OPEN_MS;
  /** A trial was let through and its outcome is not known yet. */
  #isOnTrial = false;
  /** The last outcomes within the window. */
  #recent: { readonly atMs: number; readonly failed: boolean }[] = [];

  /** `isOfOneAtATime`: whoever asks may do so one request after the other. */
  constructor({ isOfOneAtATime = false } = {}) {
    this.#isOfOneAtATime = isOfOneAtATime;
  }

  state(nowMs: number): BreakerState {
    if (this.#state === 'open' && nowMs >= this.#retryAtMs) this.#state = 'half-open';
    return this.#state;
  }

  /** May a request be sent now? In half-open the caller's request is the trial; the next waits for its outcome. */
  allows(nowMs: number): boolean {
    const state = this.state(nowMs);
    if (state === 'half-open') {
      // mark: breaker half-opened for a trial
      // The trial must not be joined by a crowd: until its outcome is known the breaker counts as open.
      this.#open(nowMs);
      this.#isOnTrial = true;
      return true;
    }
    return state === 'closed';
  }

  /** As allows, without taking the trial. */
  isHealthy(nowMs: number): boolean {
    return this.state(nowMs) !== 'open';
  }

  succeed(nowMs: number): void {
    this.#note(nowMs, false);
    this.#inARow = 0;
    if (this.#state !== 'closed') this.#close();
  }

  fail(nowMs: number): void {
    this.#note(nowMs, true);
    this.#inARow++;
    if (this.#state === 'closed') {
      if (this.#inARow >= BREAKER_FAILURES_IN_A_ROW || this.#isSilent() || this.#halfFailed()) this.#open(nowMs);
      return;
    }
    if (!this.#isOnTrial) return;
    this.#waitMs = Math.min(BREAKER_HALF_OPEN_MS_MAX, this.#waitMs * 2);
    this.#open(nowMs);
  }

  /** The peer has shown that it lives (an authentic message from it): try at once. */
  nudge(nowMs: number): void {
    if (this.#state === 'open') this.#retryAtMs = Math.min(this.#retryAtMs, nowMs);
  }

  #open(nowMs: number): void {
    // mark: breaker opened
    this.#state = 'open';
    this.#isOnTrial = false;
    this.#retryAtMs = nowMs + this.#waitMs;
  }

  #close(): void {
    // mark: breaker closed again
    this.#state = 'closed';
    this.#isOnTrial = false;
    this.#waitMs = BREAKER_HALF_OPEN_MS;
    this.#recent = [];
  }

  #note(atMs: number, failed: boolean): void {
    this.#recent.push({ atMs, failed });
    if (this.#recent.length > BREAKER_WINDOW_REQUESTS) this.#recent.shift();
  }

  /**
   * Nothing but failures for a while. A function of the edge that serves one request at a time would wait for three of them one
   * after the other, 4.5 s, and each of its environments again.
   */
  #isSilent(): boolean {
    if (!this.#isOfOneAtATime || this.#inARow < 2) return false;
    const [before, last] = this.#recent.slice(-2).map(({ atMs }) => atMs) as [number, number];
    return last - before >= BREAKER_SILENCE_MS && last - before <= BREAKER_WINDOW_MS;
  }

  #halfFailed(): boolean {
    const [oldest] = this.#recent;
    const newest = this.#recent.at(-1);
    if (oldest === undefined || newest === undefined || this.#recent.length < BREAKER_WINDOW_REQUESTS) return false;
    const failures = this.#recent.filter(({ failed }) => failed).length;
    return newest.atMs - oldest.atMs <= BREAKER_WINDOW_MS && failures * 2 >= BREAKER_WINDOW_REQUESTS;
  }
}
