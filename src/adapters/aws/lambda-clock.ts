// The clock of a function. Between two invocations its environment is frozen, and the monotonic clock may stand still
// while the wall goes on: taken for a step of the wall, that would stop every write. So each invocation begins by letting
// the monotonic clock catch up. It only ever goes forward: a wall that stepped back is still told from one that did not. And
// whoever begins in a cold environment has no wall from before to compare with: the time of AWS's answers tells.

import { performance } from 'node:perf_hooks';
import { CLOCK_DRIFT_MS_MAX } from '../../core/limits.ts';
import type { Cancel, Clock } from '../../ports/clock.ts';
import type { Dated } from './dates.ts';

/** A date names a second. */
const DATE_MS = 1_000;

export interface Readings {
  wallMs(): number;
  monotonicMs(): number;
}

const MACHINE: Readings = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };

export class LambdaClock implements Clock {
  readonly #machine: Readings;
  #caughtUpMs = 0;
  #isWrong = false;
  #last: { readonly wallMs: number; readonly monotonicMs: number };

  constructor(machine: Readings = MACHINE) {
    this.#machine = machine;
    this.#last = { wallMs: machine.wallMs(), monotonicMs: machine.monotonicMs() };
  }

  /** AWS has told its time. A wall that it contradicts is wrong until it agrees again: then no stamps are issued. */
  compare({ dateMs, sentMs, receivedMs }: Dated): void {
    const aheadMs = sentMs - (dateMs + DATE_MS);
    const behindMs = dateMs - receivedMs;
    this.#isWrong = aheadMs > CLOCK_DRIFT_MS_MAX || behindMs > CLOCK_DRIFT_MS_MAX;
  }

  isWrong(): boolean {
    return this.#isWrong;
  }

  /** An invocation begins. */
  thaw(): void {
    const now = { wallMs: this.wallMs(), monotonicMs: this.#machine.monotonicMs() };
    const frozenMs = now.wallMs - this.#last.wallMs - (now.monotonicMs - this.#last.monotonicMs);
    this.#caughtUpMs += Math.max(0, frozenMs);
    this.#last = now;
  }

  wallMs(): number {
    return this.#machine.wallMs();
  }

  monotonicMs(): number {
    return this.#machine.monotonicMs() + this.#caughtUpMs;
  }

  after(delayMs: number, task: () => void): Cancel {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  }
}
