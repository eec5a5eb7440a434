// Two hundred seeds, the same in every run of the tests: three regions or so, their edge and their clients, with faults.
// `npm run sim` runs others.

import { describe, expect, it } from 'vitest';
import { everyMark, missingMarks, OUT_OF_REACH } from '../../src/testing/marks.ts';
import { isFailure, sweep, type Outcome } from '../../src/testing/pool.ts';
import { runSeed } from '../../src/testing/run.ts';

const SEEDS = 200;

describe('simulation', () => {
  it('each mark stands once in the source, those out of reach too', () => {
    const names = everyMark();
    expect(names).toEqual([...new Set(names)]);
    expect(names.length).toBeGreaterThan(40);
    expect(names).toEqual(expect.arrayContaining(Object.keys(OUT_OF_REACH)));
  });

  it(`${SEEDS} seeds without a violation, and every mark is reached`, { timeout: 900_000 }, async () => {
    const outcomes: Outcome[] = [];
    await sweep({ seeds: Array.from({ length: SEEDS }, (_, at) => at + 1), jobs: 2, onResult: (outcome) => outcomes.push(outcome) > 0 });
    const bad = outcomes.filter((outcome) => isFailure(outcome) || outcome.violations.length > 0);
    expect(bad.map((outcome) => (isFailure(outcome) ? outcome : { seed: outcome.seed, violations: outcome.violations }))).toEqual([]);
    expect(outcomes).toHaveLength(SEEDS);
    expect(missingMarks(new Set(outcomes.flatMap((outcome) => (isFailure(outcome) ? [] : outcome.marks))))).toEqual([]);
  });

  it('the same seed gives the same trace, to the byte', { timeout: 60_000 }, async () => {
    for (const seed of [1, 2, 3]) {
      const [first, second] = [await runSeed(seed), await runSeed(seed)];
      expect(second.traceHash).toBe(first.traceHash);
      expect(second.steps).toBe(first.steps);
    }
    expect((await runSeed(4)).traceHash).not.toBe((await runSeed(5)).traceHash);
  });

  it('code in a simulation that asks the machine for time, randomness or the network is told so; the test around it is not', async () => {
    const { World } = await import('../../src/adapters/sim/world.ts');
    const { forbid, NotDeterministicError } = await import('../../src/adapters/sim/forbid.ts');
    const permit = forbid();
    const asked: unknown[] = [];
    const world = new World(1);
    const attempts: (() => unknown)[] = [() => Date.now(), () => performance.now(), () => Math.random(), () => crypto.getRandomValues(new Uint8Array(1)), () => setTimeout(() => undefined, 0), () => setInterval(() => undefined, 1), () => setImmediate(() => undefined), () => fetch('http://127.0.0.1:1/')];
    for (const attempt of attempts) {
      world.after(1, () => {
        try {
          asked.push(attempt());
        } catch (error) {
          asked.push(error);
        }
      });
    }
    await world.run(10);
    expect(Date.now()).toBeGreaterThan(0);
    permit();
    expect(asked).toHaveLength(attempts.length);
    for (const error of asked) expect(error).toBeInstanceOf(NotDeterministicError);
    expect(Math.random()).toBeLessThan(1);
  });
});
