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
  'region-lost': undefined, // of no use without `topology`
};

const SEEDS_MAX = 6;

async function firstToMeet(option: RareOption, what: string): Promise<number | undefined> {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const { counts } = await runSeed(seed, { rare: [option] });
    if ((counts[what] ?? 0) > 0) return seed;
  }
  return undefined;
}

describe('rare options', () => {
  for (const option of RARE_OPTIONS) {
    const what = MET[option];
    if (what === undefined) continue;
    it(`${option}: ${what}`, { timeout: 120_000 }, async () => expect(await firstToMeet(option, what)).toBeGreaterThan(0));
  }
});
