// Laws of the two clocks: the hybrid one, which stamps, and its guard, which says whether the machine's may be believed.

import fc from 'fast-check';
import { describe, it } from 'vitest';
import { ClockGuard, type ClockReading } from '../../src/core/clock/clock-guard.ts';
import { HybridClock } from '../../src/core/clock/hybrid-clock.ts';
import { CLOCK_DRIFT_MS_MAX } from '../../src/core/limits.ts';
import { asStamp, makeStamp, stampMs, type Stamp } from '../../src/core/version/stamp.ts';

const physical = fc.integer({ min: 0, max: 50 });
const stamp = fc.tuple(fc.integer({ min: 0, max: 50 }), fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant(0xffff))).map(([ms, counter]) => makeStamp(ms, counter));

describe('hybrid clock', () => {
  it('issues what a twin issues that keeps everything: the physical time, or one above all that was issued and seen', () => {
    const step = fc.oneof(fc.record({ issue: physical }), fc.record({ observe: stamp }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const clock = new HybridClock();
        const seen: Stamp[] = [asStamp(0n)];
        return steps.every((each) => {
          if ('observe' in each) {
            clock.observe(each.observe);
            return seen.push(each.observe) > 0;
          }
          const above = asStamp(seen.reduce((a, b) => (a > b ? a : b)) + 1n);
          const expected = makeStamp(each.issue) > above ? makeStamp(each.issue) : above;
          const issued = clock.issue(each.issue);
          seen.push(issued);
          return issued === expected && clock.last === issued && stampMs(issued) >= each.issue;
        });
      }),
    );
  });

  it('what happened before has the smaller stamp, whatever the machines take for the time', () => {
    const event = fc.record({ at: fc.integer({ min: 0, max: 3 }), hears: fc.option(fc.nat({ max: 40 }), { nil: undefined }), physicalMs: physical });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const clocks = Array.from({ length: 4 }, () => new HybridClock());
        const made: { readonly stamp: Stamp; readonly past: ReadonlySet<number> }[] = [];
        const newest = new Map<number, number>();
        return events.every(({ at, hears, physicalMs }, number) => {
          const heard = hears === undefined || hears >= number ? undefined : hears;
          const clock = clocks[at] as HybridClock;
          if (heard !== undefined) clock.observe((made[heard] as (typeof made)[number]).stamp);
          const causes = [heard, newest.get(at)].filter((cause) => cause !== undefined);
          const past = new Set(causes.flatMap((cause) => [cause, ...(made[cause] as (typeof made)[number]).past]));
          const issued = clock.issue(physicalMs);
          made.push({ stamp: issued, past });
          newest.set(at, number);
          return [...past].every((before) => (made[before] as (typeof made)[number]).stamp < issued);
        });
      }),
    );
  });

  it('stays with the clock that is most ahead: no stamp names a millisecond that no machine had read', () => {
    const event = fc.record({ at: fc.integer({ min: 0, max: 3 }), hears: fc.nat({ max: 40 }), physicalMs: physical });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const clocks = Array.from({ length: 4 }, () => new HybridClock());
        const issued: Stamp[] = [];
        let mostMs = 0;
        return events.every(({ at, hears, physicalMs }) => {
          const clock = clocks[at] as HybridClock;
          mostMs = Math.max(mostMs, physicalMs);
          const heard = issued[hears];
          if (heard !== undefined) clock.observe(heard);
          issued.push(clock.issue(physicalMs));
          return stampMs(clock.last) <= mostMs && clock.referenceMs(physicalMs) <= mostMs;
        });
      }),
    );
  });
});

/** In 1024ths of a millisecond, so that sums and differences are exact: a law about a bound must not fail by a rounding. */
const passed = fc.integer({ min: 0, max: 400 * 1024 }).map((parts) => parts / 1024);

/** Readings of a machine: monotonic time goes on, the wall goes with it, drifts, and steps. */
const readings = fc
  .array(fc.record({ passedMs: passed, stepMs: fc.oneof(fc.constant(0), fc.integer({ min: -300, max: 300 }), fc.integer({ min: -5_000, max: 5_000 })) }), { minLength: 1, maxLength: 40 })
  .map((steps) => {
    let [wallMs, monotonicMs] = [1_000_000, 0];
    return steps.map(({ passedMs, stepMs }): ClockReading => {
      monotonicMs += passedMs;
      wallMs += passedMs + stepMs;
      return { wallMs: Math.floor(wallMs), monotonicMs };
    });
  });
const START: ClockReading = { wallMs: 1_000_000, monotonicMs: 0 };

describe('clock guard', () => {
  it('physical time never goes back, passes at least as fast as monotonic time, and is never further ahead than the bound', () => {
    fc.assert(
      fc.property(readings, (all) => {
        const guard = new ClockGuard(START);
        let before = { ms: guard.read(START), monotonicMs: 0 };
        return all.every((now) => {
          const ms = guard.read(now);
          const isFast = ms - before.ms >= Math.floor(now.monotonicMs - before.monotonicMs);
          before = { ms, monotonicMs: now.monotonicMs };
          return isFast && ms <= START.wallMs + now.monotonicMs + CLOCK_DRIFT_MS_MAX;
        });
      }),
    );
  });

  it('beside peers that say nothing it is safe exactly while wall and monotonic agree within the bound', () => {
    fc.assert(
      fc.property(readings, (all) => {
        const guard = new ClockGuard(START);
        guard.finishStart(START);
        return all.every((now) => guard.status(now, true) === (Math.abs(now.wallMs - START.wallMs - now.monotonicMs) > CLOCK_DRIFT_MS_MAX ? 'unsafe' : 'safe'));
      }),
    );
  });

  it('a region without peers is always safe, and near its wall', () => {
    fc.assert(
      fc.property(readings, (all) => {
        const guard = new ClockGuard(START);
        guard.finishStart(START);
        return all.every((now) => guard.status(now, false) === 'safe' && Math.abs(guard.read(now) - now.wallMs) <= 2 * CLOCK_DRIFT_MS_MAX);
      }),
    );
  });
});
