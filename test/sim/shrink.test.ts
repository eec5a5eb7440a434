// A run that fails is made smaller, and what is left is a command line.

import { describe, expect, it } from 'vitest';
import { isFailure, Thread } from '../../src/testing/pool.ts';
import { runSeed } from '../../src/testing/run.ts';
import { formatExcerpt, formatNumbers, parseNumbers } from '../../src/testing/script.ts';
import { shrink } from '../../src/testing/shrink.ts';
import { replayCommand, ruleOf, smaller } from '../../src/testing/smaller.ts';

const CONTROL = 'merge-not-commutative';
/** Made smaller within the runs that a test has time for. */
const FROM = 2;
const RUNS_MAX = 45;

describe('simulation: a smaller run', () => {
  it('a known bug: few operations and no fault are left, and the same rule fails again from the command line', { timeout: 300_000 }, async () => {
    const { seed, rule, operations } = await firstCaught();
    let runs = 0;
    const found = await smaller({ seed, rule, control: CONTROL, isLate: () => ++runs > RUNS_MAX });
    if (found === undefined) throw new Error(`Nothing smaller than seed ${seed} fails by ${rule}.`);
    expect(ruleOf(found.outcome)).toBe(rule);
    expect(found.excerpt.operations?.length).toBeLessThan(operations / 10);
    expect(found.trace.at(-1)).toContain(`VIOLATION ${rule}`);
    expect(replayCommand(seed, found.excerpt, CONTROL)).toMatch(/^npm run sim -- --seed \d+ --control merge-not-commutative --regions \d --faults \S+ --operations \S+ --calm \S+$/);
  });

  async function firstCaught(): Promise<{ readonly seed: number; readonly rule: string; readonly operations: number }> {
    const thread = new Thread(CONTROL);
    try {
      for (let seed = FROM; ; seed++) {
        const { outcome } = await thread.ask({ seed });
        const rule = ruleOf(outcome);
        if (rule !== undefined && !isFailure(outcome)) return { seed, rule, operations: outcome.operations };
      }
    } finally {
      await thread.end();
    }
  }

  it('the same part of a seed gives the same trace', { timeout: 300_000 }, async () => {
    const excerpt = { regions: 2, faults: [1], operations: [1, 2, 3, 5, 8] };
    const [first, second] = [await runSeed(1, { excerpt }), await runSeed(1, { excerpt })];
    expect(second.traceHash).toBe(first.traceHash);
    expect(first.swarm.regions).toBe(2);
    expect(first.operations).toBeLessThan((await runSeed(1)).operations);
  });

  it('all that is not needed is left out, from anywhere', async () => {
    const needed = [7, 42, 43];
    const excerpt = await shrink({
      sizes: { regions: 5, faults: 30, clients: Array.from({ length: 100 }, (_, at) => at % 4) },
      fails: async ({ operations = [], faults = [], regions = 0 }) => needed.every((number) => operations.includes(number)) && faults.includes(9) && regions >= 3,
      isLate: () => false,
    });
    expect(excerpt).toMatchObject({ operations: needed, faults: [9], regions: 3 });
    expect(formatExcerpt(excerpt ?? {})).toContain('--regions 3 --faults 9 --operations 7,42-43 --calm');
  });

  it('when time is up at once, nothing is claimed', async () => {
    expect(await shrink({ sizes: { regions: 3, faults: 3, clients: [1, 2] }, fails: async () => true, isLate: () => true })).toBeUndefined();
  });

  it('lists of numbers', () => {
    expect(parseNumbers('1-3,7')).toEqual([1, 2, 3, 7]);
    expect(formatNumbers([7, 3, 1, 2])).toBe('1-3,7');
    expect(parseNumbers(formatNumbers([]))).toEqual([]);
    expect(() => parseNumbers('3-1')).toThrow(TypeError);
    expect(() => parseNumbers('1,x')).toThrow(TypeError);
  });
});
