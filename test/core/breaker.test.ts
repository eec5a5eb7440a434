// Every arrow of the drawing in src/core/routing/breaker.ts.

import { describe, expect, it } from 'vitest';
import {
  BREAKER_FAILURES_IN_A_ROW, BREAKER_HALF_OPEN_MS, BREAKER_HALF_OPEN_MS_MAX, BREAKER_SILENCE_MS, BREAKER_WINDOW_MS, BREAKER_WINDOW_REQUESTS,
} from '../../src/core/limits.ts';
import { Breaker } from '../../src/core/routing/breaker.ts';

const failing = (times: number, atMs = 0): Breaker => {
  const breaker = new Breaker();
  for (let i = 0; i < times; i++) breaker.fail(atMs);
  return breaker;
};
const opened = (atMs = 0): Breaker => failing(BREAKER_FAILURES_IN_A_ROW, atMs);

describe('breaker: closed', () => {
  it('opens at the third failure in a row', () => {
    expect(failing(BREAKER_FAILURES_IN_A_ROW - 1).state(0)).toBe('closed');
    expect(opened().state(0)).toBe('open');
    expect(opened().allows(0)).toBe(false);
    expect(opened().isHealthy(0)).toBe(false);
  });

  it('a success in between begins the row anew', () => {
    const breaker = failing(BREAKER_FAILURES_IN_A_ROW - 1);
    breaker.succeed(0);
    breaker.fail(0);
    breaker.fail(0);
    expect(breaker.state(0)).toBe('closed');
    expect(breaker.allows(0)).toBe(true);
  });

  it('opens at the second failure, for whoever had nothing else in between for 1 s, and remembers the first for 5', () => {
    const asking = (...failuresAtMs: number[]): string => {
      const breaker = new Breaker({ isOfOneAtATime: true });
      for (const atMs of failuresAtMs) breaker.fail(atMs);
      return breaker.state(failuresAtMs.at(-1) as number);
    };
    expect(asking(0, BREAKER_SILENCE_MS - 1)).toBe('closed');
    expect(asking(0, BREAKER_SILENCE_MS)).toBe('open');
    expect(asking(0, BREAKER_WINDOW_MS)).toBe('open');
    expect(asking(0, BREAKER_WINDOW_MS + 1)).toBe('closed');
    const answered = new Breaker({ isOfOneAtATime: true });
    answered.fail(0);
    answered.succeed(1);
    answered.fail(BREAKER_SILENCE_MS);
    expect(answered.state(BREAKER_SILENCE_MS)).toBe('closed');
    const region = failing(1);
    region.fail(BREAKER_SILENCE_MS);
    expect(region.state(BREAKER_SILENCE_MS)).toBe('closed'); // who asks all the time learns it from the third
  });

  /** Failure and success in turn, so that no row is ever 3 long; the last is a failure. */
  const alternating = (requests: number, spanMs: number): Breaker => {
    const breaker = new Breaker();
    for (let i = 0; i < requests; i++) {
      const atMs = i === requests - 1 ? spanMs : 0;
      if ((requests - 1 - i) % 2 === 0) breaker.fail(atMs);
      else breaker.succeed(atMs);
    }
    return breaker;
  };

  it('opens when half of 10 failed within 5 s', () => {
    expect(alternating(BREAKER_WINDOW_REQUESTS, BREAKER_WINDOW_MS).state(BREAKER_WINDOW_MS)).toBe('open');
    expect(alternating(BREAKER_WINDOW_REQUESTS, BREAKER_WINDOW_MS + 1).state(BREAKER_WINDOW_MS + 1)).toBe('closed');
    expect(alternating(BREAKER_WINDOW_REQUESTS - 1, 0).state(0)).toBe('closed');
  });

  it('stays closed when fewer than half of the last 10 failed', () => {
    const breaker = new Breaker();
    for (let round = 0; round < 20; round++) {
      breaker.fail(0);
      breaker.succeed(0);
      breaker.succeed(0);
    }
    expect(breaker.state(0)).toBe('closed');
  });
});

describe('breaker: open and half open', () => {
  it('is half open after 1 s, for one request', () => {
    const breaker = opened();
    expect(breaker.allows(BREAKER_HALF_OPEN_MS - 1)).toBe(false);
    expect(breaker.state(BREAKER_HALF_OPEN_MS)).toBe('half-open');
    expect(breaker.isHealthy(BREAKER_HALF_OPEN_MS)).toBe(true);
    expect(breaker.allows(BREAKER_HALF_OPEN_MS)).toBe(true);
    expect(breaker.allows(BREAKER_HALF_OPEN_MS)).toBe(false);
    expect(breaker.isHealthy(BREAKER_HALF_OPEN_MS)).toBe(false);
  });

  it('a trial whose outcome is never told is followed by another', () => {
    const breaker = opened();
    expect(breaker.allows(BREAKER_HALF_OPEN_MS)).toBe(true);
    expect(breaker.allows(2 * BREAKER_HALF_OPEN_MS - 1)).toBe(false);
    expect(breaker.allows(2 * BREAKER_HALF_OPEN_MS)).toBe(true);
  });

  it('a trial that succeeds closes it, and nothing of before counts any more', () => {
    const breaker = opened();
    breaker.allows(BREAKER_HALF_OPEN_MS);
    breaker.succeed(BREAKER_HALF_OPEN_MS);
    expect(breaker.state(BREAKER_HALF_OPEN_MS)).toBe('closed');
    for (let i = 0; i < BREAKER_FAILURES_IN_A_ROW - 1; i++) breaker.fail(BREAKER_HALF_OPEN_MS);
    expect(breaker.state(BREAKER_HALF_OPEN_MS)).toBe('closed');
    breaker.fail(BREAKER_HALF_OPEN_MS);
    expect(breaker.state(2 * BREAKER_HALF_OPEN_MS - 1)).toBe('open');
    expect(breaker.state(2 * BREAKER_HALF_OPEN_MS)).toBe('half-open');
  });

  it('a success ends the doubling too', () => {
    const breaker = opened();
    breaker.allows(1_000);
    breaker.fail(1_000);
    expect(breaker.allows(3_000)).toBe(true);
    breaker.succeed(3_000);
    for (let i = 0; i < BREAKER_FAILURES_IN_A_ROW; i++) breaker.fail(3_000);
    expect(breaker.allows(3_000 + BREAKER_HALF_OPEN_MS)).toBe(true);
  });

  it('each trial that fails doubles the wait, up to 30 s', () => {
    const breaker = opened();
    const waits: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 8; i++) {
      const sinceMs = nowMs;
      while (!breaker.allows(nowMs)) nowMs += 100;
      waits.push(nowMs - sinceMs);
      breaker.fail(nowMs);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, BREAKER_HALF_OPEN_MS_MAX]);
  });

  it('a hundred requests that were on their way when the region died are one failure, not a hundred', () => {
    const breaker = failing(100);
    expect(breaker.state(BREAKER_HALF_OPEN_MS - 1)).toBe('open');
    expect(breaker.allows(BREAKER_HALF_OPEN_MS)).toBe(true);
    breaker.fail(BREAKER_HALF_OPEN_MS);
    for (let i = 0; i < 100; i++) breaker.fail(BREAKER_HALF_OPEN_MS);
    expect(breaker.allows(3 * BREAKER_HALF_OPEN_MS - 1)).toBe(false);
    expect(breaker.allows(3 * BREAKER_HALF_OPEN_MS)).toBe(true);
  });

  it('a late failure does not take the trial away', () => {
    const breaker = opened();
    expect(breaker.state(BREAKER_HALF_OPEN_MS)).toBe('half-open');
    breaker.fail(BREAKER_HALF_OPEN_MS);
    expect(breaker.allows(BREAKER_HALF_OPEN_MS)).toBe(true);
  });

  it('any success closes it', () => {
    const breaker = opened();
    breaker.succeed(1);
    expect(breaker.state(1)).toBe('closed');
  });

  it('a message from the peer half-opens it at once, and only once', () => {
    const breaker = opened();
    breaker.nudge(10);
    expect(breaker.allows(10)).toBe(true);
    expect(breaker.allows(10)).toBe(false);
    breaker.fail(10);
    expect(breaker.allows(10 + 2 * BREAKER_HALF_OPEN_MS - 1)).toBe(false);
    const closed = new Breaker();
    closed.nudge(10);
    expect(closed.state(10)).toBe('closed');
  });
});
