// Traffic for a region that comes back, and what it says of its lag.

import { describe, expect, it } from 'vitest';
import { Lag } from '../../src/core/health/lag.ts';
import { CAUGHT_UP_LAG_MS, LAG_SAID_MS, REJOIN_PROBE_MS, SLOW_START_FORGET_MS, SLOW_START_MS, SLOW_START_MS_MAX } from '../../src/core/limits.ts';
import { Reach } from '../../src/core/routing/reach.ts';
import { SlowStart } from '../../src/core/routing/slow-start.ts';
import { asRegionId } from '../../src/core/version/dot.ts';

describe('slow start', () => {
  const returned = (): SlowStart => {
    const start = new SlowStart();
    start.gone(0);
    start.caughtUp(1_000);
    return start;
  };

  it('a region that was never away has all its traffic, and is not probed', () => {
    const start = new SlowStart();
    expect(start.share(0)).toBe(1);
    expect(start.takes(255 / 256, 0)).toBe(true);
    expect(start.wantsProbe(0)).toBe(false);
    start.caughtUp(0);
    expect(start.share(0)).toBe(1);
  });

  it('one that is away has none, however long, until it has caught up', () => {
    const start = new SlowStart();
    start.gone(0);
    expect(start.share(3_600_000)).toBe(0);
    expect(start.takes(0, 3_600_000)).toBe(false);
  });

  it('a tenth at first, all of it after the ramp; who has moved does not move again', () => {
    const start = returned();
    expect(start.share(1_000)).toBeCloseTo(0.1);
    expect(start.share(1_000 + SLOW_START_MS / 2)).toBeCloseTo(0.55);
    expect(start.share(1_000 + SLOW_START_MS)).toBe(1);
    const again = returned();
    const moved = Array.from({ length: 110 }, (_, at) => again.takes(0.42, 1_000 + at * 100));
    expect(moved.lastIndexOf(false)).toBe(moved.indexOf(true) - 1);
  });

  it('a probe now and then, of nothing but a region that is away', () => {
    const start = new SlowStart();
    start.gone(0);
    expect([0, 1, REJOIN_PROBE_MS - 1, REJOIN_PROBE_MS, REJOIN_PROBE_MS + 1].map((ms) => start.wantsProbe(ms))).toEqual([true, false, false, true, false]);
    start.caughtUp(REJOIN_PROBE_MS * 2);
    expect(start.wantsProbe(REJOIN_PROBE_MS * 4)).toBe(false);
  });

  it('a region that flaps is trusted later each time; one that stayed, as at first', () => {
    const start = new SlowStart();
    const rampMs = (goneMs: number): number => {
      start.gone(goneMs);
      start.caughtUp(goneMs);
      for (let ms = 0; ; ms += 1_000) if (start.share(goneMs + ms) === 1) return ms;
    };
    expect([0, 11_000, 32_000, 73_000].map(rampMs)).toEqual([SLOW_START_MS, 2 * SLOW_START_MS, 4 * SLOW_START_MS, SLOW_START_MS_MAX]);
    expect(rampMs(73_000 + SLOW_START_MS_MAX + SLOW_START_FORGET_MS)).toBe(SLOW_START_MS);
  });
});

describe('reach', () => {
  it('one lost answer takes no traffic away, a refused connection does, and three failures', () => {
    const lost = new Reach();
    lost.failed(0, false);
    expect(lost.share(0)).toBe(1);
    lost.failed(0, false);
    lost.failed(0, false);
    expect(lost.share(0)).toBe(0);
    const refused = new Reach();
    refused.failed(0, true);
    expect(refused.share(0)).toBe(0);
    expect(refused.isHealthy(0)).toBe(true);
  });

  it('lag keeps away what is away, and takes nothing from what is not', () => {
    const split = new Reach();
    split.answered(0, true);
    expect(split.share(0)).toBe(1);
    const back = new Reach();
    back.failed(0, true);
    back.answered(100, true);
    expect(back.share(100)).toBe(0);
    back.answered(200, false);
    expect(back.share(200)).toBeCloseTo(0.1);
  });

  it('what the observers agree is down is not healthy, and comes back slowly', () => {
    const reach = new Reach();
    reach.judged(true, 0);
    expect(reach.isHealthy(0)).toBe(false);
    reach.judged(false, 1_000);
    expect(reach.isHealthy(1_000)).toBe(true);
    expect(reach.share(1_000)).toBe(0);
  });
});

describe('lag', () => {
  const [EU, US] = [asRegionId('eu-central-1'), asRegionId('us-east-1')];

  it('is the oldest that any peer says it owes, older with the time, until it says otherwise', () => {
    const lag = new Lag(0);
    lag.heard(EU, 0, 0);
    lag.heard(US, 700, 0);
    expect(lag.lagMs(0)).toBe(700);
    expect(lag.hasCaughtUp(CAUGHT_UP_LAG_MS - 700)).toBe(true);
    expect(lag.hasCaughtUp(CAUGHT_UP_LAG_MS - 699)).toBe(false);
    lag.heard(US, 0, 400);
    expect(lag.lagMs(400)).toBe(0);
  });

  it('a peer that is gone says nothing; nobody at all is a lag that grows', () => {
    const lag = new Lag(0);
    lag.heard(US, 60_000, 0);
    lag.heard(EU, 0, LAG_SAID_MS + 1);
    expect(lag.lagMs(LAG_SAID_MS + 1)).toBe(0);
    expect(lag.lagMs(2 * LAG_SAID_MS + 2)).toBe(LAG_SAID_MS + 1);
    expect(new Lag(500).lagMs(500 + LAG_SAID_MS + 1)).toBe(LAG_SAID_MS + 1);
  });
});
