// What holds for the detectors of any network: regions and an observer without data, whose messages are late, lost, repeated,
// and cut off from each other at any time.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Detector, type Verdict } from '../../src/core/health/detector.ts';
import { received, sendable, type Report } from '../../src/core/health/report.ts';
import { FLAP_HOLD_MS_MAX, PEER_PROBE_MS, SUSPECT_MS } from '../../src/core/limits.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';

const REGIONS = [asRegionId('ap-northeast-2'), asRegionId('eu-central-1'), asRegionId('us-east-1')];
const WITNESS = 'witness-1';
const DELAY_MS_MAX = 300;
/** Suspicion, the heartbeat that tells it, and the way there and back. */
const DOWN_MS_MAX = SUSPECT_MS + 3 * PEER_PROBE_MS + 2 * DELAY_MS_MAX;
const STEP_MS = 100;

interface Cut {
  readonly fromMs: number;
  readonly lastsMs: number;
  readonly from: number;
  readonly to: number;
}

class World {
  readonly ids: readonly string[] = [...REGIONS, WITNESS];
  readonly detectors: Detector[];
  nowMs = 0;
  readonly dead = new Set<string>();
  readonly cut = new Set<string>();
  readonly #delay: () => number;
  #underWay: { readonly atMs: number; readonly to: number; readonly report: Report }[] = [];
  /** Everything that was ever sent, for replays. */
  readonly kept: { readonly to: number; readonly report: Report }[] = [];

  constructor(delay: () => number) {
    this.#delay = delay;
    this.detectors = this.ids.map((id) => new Detector({ observer: id, agree: 2, ...(id === WITNESS ? {} : { life: 1 }) }));
    for (const [at, detector] of this.detectors.entries()) detector.watch(REGIONS.filter((id) => id !== this.ids[at]), 0);
  }

  run(untilMs: number, each: () => void = () => undefined): void {
    for (; this.nowMs < untilMs; this.nowMs += STEP_MS) {
      const due = this.#underWay.filter(({ atMs }) => atMs <= this.nowMs);
      this.#underWay = this.#underWay.filter(({ atMs }) => atMs > this.nowMs);
      for (const { to, report } of due) if (!this.dead.has(this.ids[to] as string)) this.detectors[to]?.heard(report, this.nowMs);
      if (this.nowMs % PEER_PROBE_MS === 0) this.#beat();
      each();
    }
  }

  #beat(): void {
    for (const [from, detector] of this.detectors.entries()) {
      if (this.dead.has(this.ids[from] as string)) continue;
      detector.tick(this.nowMs);
      for (const to of this.ids.keys()) if (to !== from) this.#send(from, to, detector);
    }
  }

  #send(from: number, to: number, detector: Detector): void {
    const report = received(this.ids[from] as string, sendable(detector.report(true, this.nowMs))) as Report;
    if (this.cut.has(`${from}>${to}`)) return;
    this.kept.push({ to, report });
    this.#underWay.push({ atMs: this.nowMs + this.#delay(), to, report });
  }

  verdicts(region: RegionId): (Verdict | undefined)[] {
    return this.ids.flatMap((id, at) => (id === region || this.dead.has(id) ? [] : [this.detectors[at]?.standing(region, this.nowMs)?.verdict]));
  }
}

const delays = fc.array(fc.integer({ min: 0, max: DELAY_MS_MAX }), { minLength: 1, maxLength: 64 });
const cuts = fc.array(fc.record({ fromMs: fc.integer({ min: 0, max: 20_000 }), lastsMs: fc.integer({ min: 100, max: 15_000 }), from: fc.integer({ min: 0, max: 3 }), to: fc.integer({ min: 0, max: 3 }) }), { maxLength: 12 });
const cycling = (values: readonly number[]): (() => number) => {
  let at = 0;
  return () => values[at++ % values.length] as number;
};

function disturb(world: World, all: readonly Cut[]): void {
  world.cut.clear();
  for (const { fromMs, lastsMs, from, to } of all) if (world.nowMs >= fromMs && world.nowMs < fromMs + lastsMs) world.cut.add(`${from}>${to}`);
}

describe('detectors, whatever the network does', () => {
  it('a region that dies is down for everybody within a bound', () => {
    fc.assert(
      fc.property(delays, cuts, fc.constantFrom(...REGIONS), fc.nat(500), (late, all, victim, moment) => {
        const world = new World(cycling(late));
        world.run(36_000, () => disturb(world, all));
        world.run(world.nowMs + 5_000 + moment);
        world.dead.add(victim);
        world.run(world.nowMs + DOWN_MS_MAX + STEP_MS);
        expect(world.verdicts(victim)).toEqual(['down', 'down', 'down']);
      }),
    );
  });

  it('healed, no region that lives is down within a bound, and none is suspect when the damping is over', () => {
    fc.assert(
      fc.property(delays, cuts, (late, all) => {
        const world = new World(cycling(late));
        world.run(36_000, () => disturb(world, all));
        world.run(world.nowMs + PEER_PROBE_MS + DELAY_MS_MAX + STEP_MS);
        for (const region of REGIONS) expect(world.verdicts(region)).not.toContain('down');
        world.run(world.nowMs + FLAP_HOLD_MS_MAX + SUSPECT_MS, () => {
          for (const region of REGIONS) expect(world.verdicts(region)).not.toContain('down');
        });
        for (const region of REGIONS) expect(world.verdicts(region)).toEqual(['alive', 'alive', 'alive']);
      }),
    );
  });

  it('one observer alone makes no region down, at nobody', () => {
    fc.assert(
      fc.property(delays, fc.integer({ min: 0, max: 3 }), fc.constantFrom(...REGIONS), (late, blind, region) => {
        const world = new World(cycling(late));
        const at = REGIONS.indexOf(region);
        if (at === blind) return;
        world.run(5_000);
        for (const way of [`${blind}>${at}`, `${at}>${blind}`]) world.cut.add(way);
        world.run(40_000, () => expect(world.verdicts(region)).not.toContain('down'));
        expect(world.verdicts(region)).toContain('suspect');
      }),
    );
  });

  it('messages that somebody kept bring no dead region back', () => {
    fc.assert(
      fc.property(delays, fc.array(fc.nat(10_000), { minLength: 1, maxLength: 50 }), (late, picks) => {
        const world = new World(cycling(late));
        world.run(10_000);
        world.dead.add(REGIONS[0] as string);
        world.run(world.nowMs + DOWN_MS_MAX + STEP_MS);
        for (const pick of picks) {
          const { to, report } = world.kept[pick % world.kept.length] as World['kept'][number];
          if (world.ids[to] !== REGIONS[0]) world.detectors[to]?.heard({ ...report, sees: {} }, world.nowMs);
        }
        expect(world.verdicts(REGIONS[0] as RegionId)).toEqual(['down', 'down', 'down']);
      }),
    );
  });
});
