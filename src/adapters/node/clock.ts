// The machine's clocks. The wall can be offset for tests (`--clock-offset-file`, refused unless `--unsafe-testing`).

import { performance } from 'node:perf_hooks';
import type { Cancel, Clock } from '../../ports/clock.ts';

export class NodeClock implements Clock {
  /** Added to the wall. */
  offsetMs = 0;

  wallMs(): number {
    return Date.now() + this.offsetMs;
  }

  monotonicMs(): number {
    return performance.now();
  }

  after(delayMs: number, task: () => void): Cancel {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  }
}
