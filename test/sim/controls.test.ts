// Known bugs must be caught (src/testing/controls.ts). Here one, by the seed that is known to catch it; `.ci/run` does all
// of them, `npm run sim -- --controls` from fresh seeds.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CONTROLS, KNOWN_SEEDS_MAX } from '../../src/testing/controls.ts';
import { isFailure, sweep } from '../../src/testing/pool.ts';

/** The one that is caught soonest. */
const SHOWN = ['merge-not-commutative'];

describe('negative controls', () => {
  it('each edit finds its text exactly once, so that no control is stale', () => {
    const stale = CONTROLS.flatMap(({ name, edits }) =>
      edits.filter(({ file, find, replace }) => readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8').split(find).length !== 2 || replace === find).map(({ file, find }) => `${name}: ${file}: ${find}`),
    );
    expect(stale).toEqual([]);
    expect(new Set(CONTROLS.map(({ name }) => name)).size).toBe(CONTROLS.length);
  });

  it.each(SHOWN)('%s is caught by its seed', { timeout: 60_000 }, async (control) => {
    const seed = CONTROLS.find(({ name }) => name === control)?.seed as number;
    let isCaught = false;
    const seeds = Array.from({ length: KNOWN_SEEDS_MAX }, (_, at) => seed + at);
    await sweep({ seeds, jobs: 1, control, onResult: (outcome) => !(isCaught = isFailure(outcome) || outcome.violations.length > 0) });
    expect(isCaught).toBe(true);
  });
});
