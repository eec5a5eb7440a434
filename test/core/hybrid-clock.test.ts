// Kulkarni, Demirbas et al., 2014. In their notation a clock is (l, c): milliseconds and counter.

import { describe, expect, it } from 'vitest';
import { HybridClock } from '../../src/core/clock/hybrid-clock.ts';
import { CLOCK_DRIFT_MS_MAX } from '../../src/core/limits.ts';
import { formatStamp, makeStamp, stampMs, type Stamp } from '../../src/core/version/stamp.ts';

describe('hybrid clock', () => {
  const at = (ms: number, counter = 0): HybridClock => new HybridClock(makeStamp(ms, counter));
  const receive = (clock: HybridClock, stamp: Stamp, physicalMs: number): Stamp => {
    clock.observe(stamp);
    return clock.issue(physicalMs);
  };

  it.each([
    ['the physical clock is behind', () => at(100).issue(40), makeStamp(100, 1)],
    ['the physical clock is ahead', () => at(100, 7).issue(101), makeStamp(101, 0)],
    ['a stamp ahead of both is received', () => receive(at(100), makeStamp(400, 7), 101), makeStamp(400, 8)],
    ['a stamp of the same millisecond is received', () => receive(at(100), makeStamp(100, 5), 90), makeStamp(100, 6)],
    ['an old stamp is received', () => receive(at(100, 3), makeStamp(50, 9), 90), makeStamp(100, 4)],
    ['the physical clock is ahead of what is received', () => receive(at(100), makeStamp(400, 7), 401), makeStamp(401, 0)],
    ['the counter is full', () => at(100, 65_535).issue(100), makeStamp(101, 0)],
    ['after a restart with a slower clock', () => new HybridClock(makeStamp(5_000, 2)).issue(10), makeStamp(5_000, 3)],
  ])('%s', (_, issue, expected) => {
    expect(formatStamp(issue())).toBe(formatStamp(expected));
  });

  it('never goes back and never repeats, wherever the physical clock goes', () => {
    const clock = at(0);
    let last = clock.last;
    for (const physicalMs of [10, 10, 10, 5, 0, 11, 11, 3_600_000, 10, 10]) {
      const stamp = clock.issue(physicalMs);
      expect(stamp > last).toBe(true);
      last = stamp;
    }
    expect(clock.last).toBe(last);
  });

  it('issues more than 65,536 stamps in one millisecond by running ahead', () => {
    const clock = at(100);
    for (let i = 0; i < 65_536; i++) clock.issue(100);
    expect(formatStamp(clock.last)).toBe(formatStamp(makeStamp(101, 0)));
  });

  it('what is received is compared with the own physical time or the own clock, whichever is ahead', () => {
    const clock = at(1_000);
    const isTooFarAhead = (stamp: Stamp, physicalMs: number): boolean => stampMs(stamp) - clock.referenceMs(physicalMs) > CLOCK_DRIFT_MS_MAX;
    expect(isTooFarAhead(makeStamp(1_501), 1_001)).toBe(false);
    expect(isTooFarAhead(makeStamp(1_502), 1_001)).toBe(true);
    expect(isTooFarAhead(makeStamp(1_500), 10)).toBe(false);
    expect(clock.last).toBe(makeStamp(1_000));
  });
});
