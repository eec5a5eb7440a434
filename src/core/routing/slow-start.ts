// A region that was away gets its traffic back step by step, and only after it has caught up: what it would answer before is
// old, and a process that has just started is slow when everybody comes at once.
//
//   ┌──────┐  gone: its breaker opens, nobody listens, it is down  ┌──────┐  it says that it has caught up   ┌───────────┐
//   │ full │ ────────────────────────────────────────────────────▶ │ away │ ───────────────────────────────▶ │ returning │
//   └──────┘ ◀──────────────────────────────────────┐              └──────┘ ◀─────────── gone again ──────── └───────────┘
//                                                   └──────────── after the whole ramp ───────────────────────────┘
//
//  1. Which requests go back first is decided by the key, not by chance: each key moves once, and nobody sees its answers
//     come from two regions in turn.
//  2. A region that goes and comes (flapping) is trusted later each time: the ramp doubles, up to SLOW_START_MS_MAX, until it
//     has stayed for SLOW_START_FORGET_MS.
//  3. It is an order, no refusal: where no other holder answers, a region that is away is asked all the same.
//  4. Lag keeps traffic away, it never takes any: a region that is split from its peers holds what its clients have just
//     written, and they would not find it elsewhere.
//
// Time is an argument (milliseconds of any monotonic clock).

import { REJOIN_PROBE_MS, SLOW_START_FORGET_MS, SLOW_START_MS, SLOW_START_MS_MAX } from '../limits.ts';

const FIRST_SHARE = 0.1;

export class SlowStart {
  #state: 'full' | 'away' | 'returning' = 'full';
  #sinceMs = Number.NEGATIVE_INFINITY;
  #rampMs = SLOW_START_MS;
  #probedMs = Number.NEGATIVE_INFINITY;

  /** It does not answer. */
  gone(nowMs: number): void {
    if (this.#state === 'away') return;
    const isFlapping = nowMs - this.#sinceMs < SLOW_START_FORGET_MS; // 2
    this.#rampMs = isFlapping ? Math.min(SLOW_START_MS_MAX, this.#rampMs * 2) : SLOW_START_MS;
    // mark: traffic taken from a region
    this.#state = 'away';
    this.#sinceMs = nowMs;
  }

  /** It answers, and says that it has caught up. */
  caughtUp(nowMs: number): void {
    if (this.#state !== 'away') return;
    // mark: traffic given back step by step
    this.#state = 'returning';
    this.#sinceMs = nowMs;
  }

  /** Of its traffic, from 0 to 1. */
  share(nowMs: number): number {
    if (this.#state === 'full') return 1;
    if (this.#state === 'away') return 0;
    const passed = (nowMs - this.#sinceMs) / this.#rampMs;
    if (passed >= 1) this.#state = 'full';
    return Math.min(1, FIRST_SHARE + (1 - FIRST_SHARE) * passed);
  }

  /** @param draw of the key, from 0 to 1: the same for the same key (1) */
  takes(draw: number, nowMs: number): boolean {
    return draw < this.share(nowMs);
  }

  /** Nobody's request is sent to find out whether it is back: a probe of its own is, this often. True takes the turn. */
  wantsProbe(nowMs: number): boolean {
    if (this.#state !== 'away' || nowMs - this.#probedMs < REJOIN_PROBE_MS) return false;
    this.#probedMs = nowMs;
    return true;
  }
}
