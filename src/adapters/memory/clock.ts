// A clock that a test moves by hand, with timers that fire while it is moved. No test sleeps.

import type { Cancel, Clock } from '../../ports/clock.ts';

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly task: () => void;
}

export class ManualClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  #timers: Timer[] = [];
  #order = 0;

  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallMs = wallMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, task: () => void): Cancel {
    const timer: Timer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, task };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Both clocks go on; timers fire in the order in which they are due, and what they start runs before the next. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.dueMs - b.dueMs || a.order - b.order);
      if (next === undefined || next.dueMs > endMs) break;
      this.#move(next.dueMs);
      this.#timers = this.#timers.filter((timer) => timer !== next);
      next.task();
      await settle();
    }
    this.#move(endMs);
    await settle();
  }

  /** The wall alone steps, as when somebody sets it. */
  stepWall(ms: number): void {
    this.#wallMs += ms;
  }

  #move(toMs: number): void {
    this.#wallMs += toMs - this.#monotonicMs;
    this.#monotonicMs = toMs;
  }
}

/** Lets everything that waits only for promises run. */
export async function settle(rounds = 20): Promise<void> {
  for (let round = 0; round < rounds; round++) await new Promise<void>((resolve) => setImmediate(resolve));
}
