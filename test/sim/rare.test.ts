// Every option of a seed bites: what is drawn and never met proves nothing.

import { describe, expect, it } from 'vitest';
import { RARE_OPTIONS, type RareOption } from '../../src/testing/rare.ts';
import { runSeed } from '../../src/testing/run.ts';

/** What is counted when the option does what it is for. */
const MET: Readonly<Record<RareOption, string | undefined>> = {
  'long-pause': 'pause longer than a lease',
  'slow-region': 'task that a slow machine did late',
  throttle: 'throttled',
  amnesia: 'one key forgotten',
  poison: 'poison kept aside',
  'few-hints': 'peer.behind',
  'short-visibility': 'hint delivered again',
  'hoarded-contexts': 'context used again after ten seconds',
  'narrow-everything': undefined, // a setting of the collections; nothing to meet
  'policy-change': 'siblings became lww',
  'next-format': 'a later format met an old reader',
  // What these are for is a mark (src/testing/marks.ts), which the two hundred seeds must reach.
  'small-inbox': undefined,
  'skewed-clocks': undefined,
  'roaming-clients': undefined,
  'crowded-item': undefined,
  topology: 'topology shown: newer',
  'much-reaped': undefined,
  'region-lost': 'region lost for good',
  'old-copy': 'an old copy repaired by comparisons',
};

/** Several in one run: each is for a place of its own, and what is counted is that it was met, not what came of it. */
const TOGETHER: readonly (readonly RareOption[])[] = [
  ['long-pause', 'throttle', 'amnesia', 'poison', 'hoarded-contexts', 'topology'],
  ['slow-region', 'few-hints', 'short-visibility', 'policy-change', 'next-format', 'region-lost'],
  ['old-copy'],
];
const SEEDS_MAX = 6;

describe('rare options', () => {
  it('every option with something to be met is tried', () => {
    const byName = (options: readonly RareOption[]): RareOption[] => [...options].sort();
    expect(byName(TOGETHER.flat())).toEqual(byName(RARE_OPTIONS.filter((option) => MET[option] !== undefined)));
  });

  it.each(TOGETHER.map((options) => ({ options })))('$options: each is met', { timeout: 240_000 }, async ({ options }) => {
    let left = [...options];
    for (let seed = 1; seed <= SEEDS_MAX && left.length > 0; seed++) {
      const { counts } = await runSeed(seed, { rare: left });
      left = left.filter((option) => (counts[MET[option] as string] ?? 0) === 0);
    }
    expect(left).toEqual([]);
  });
});
