// What an edge, or a client of several regions, knows of one region from asking it: a breaker against waiting for what does not
// answer, and a slow start for what was away.
//
// Time is an argument (milliseconds of any monotonic clock).

import { Breaker } from './breaker.ts';
import { SlowStart } from './slow-start.ts';

export class Reach {
  readonly #breaker = new Breaker({ isOfOneAtATime: true });
  readonly #slowStart = new SlowStart();
  /** Observers have agreed that it is down. */
  #isDown = false;

  /** It answered. `lags`: and said that it has not caught up with its peers. */
  answered(nowMs: number, lags: boolean): void {
    this.#breaker.succeed(nowMs);
    if (!lags) this.#slowStart.caughtUp(nowMs);
  }

  /** No answer. `unsent`: nobody listens there, which a lost message does not look like. */
  failed(nowMs: number, unsent: boolean): void {
    this.#breaker.fail(nowMs);
    if (unsent || this.#breaker.state(nowMs) === 'open') this.#slowStart.gone(nowMs);
  }

  /** What the observers agree on. */
  judged(isDown: boolean, nowMs: number): void {
    this.#isDown = isDown;
    if (isDown) this.#slowStart.gone(nowMs);
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  isHealthy(nowMs: number): boolean {
    return !this.#isDown && this.#breaker.isHealthy(nowMs);
  }

  /** May a request be sent now? Takes the trial of a breaker that is half open. */
  allows(nowMs: number): boolean {
    return this.#breaker.allows(nowMs);
  }

  share(nowMs: number): number {
    return this.#slowStart.share(nowMs);
  }

  takes(draw: number, nowMs: number): boolean {
    return this.#slowStart.takes(draw, nowMs);
  }

  wantsProbe(nowMs: number): boolean {
    return this.#slowStart.wantsProbe(nowMs);
  }
}
