// Seeds that showed something once. A seed means another run as soon as anything that draws from it changes, so each defect
// has a scenario of its own where that is feasible; these are kept because what went wrong once is near what may again.

import { describe, expect, it } from 'vitest';
import { runSeed } from '../../src/testing/run.ts';

const SEEDS: readonly { readonly seed: number; readonly showed: string }[] = [
  { seed: 462_578_353, showed: 'an item that was written while a topology document was being put in force counted as lacking nowhere: the live RPO was too low' },
  {
    seed: 462_579_030,
    showed: 'the account forgot that an expired write, lost with its disk, took along the knowledge of what it had replaced; the older value was still under way to a frozen region',
  },
  { seed: 820_000_174, showed: 'a region whose clock was contradicted, 30 s ahead, hid a value that was alive, and handed out a context that covered it' },
  { seed: 840_000_192, showed: 'a question for a lease that arrived twice left a lease that nobody knew of: the pair was shut for 30 s, and two regions did not serve' },
  { seed: 462_578_228, showed: 'the account took a delete that was lost with its disk for one that still accounts for what it had deleted' },
  { seed: 27, showed: 'a region in relaxed durability whose disk was replaced below its files started under a new incarnation, so that nobody told it what it had forgotten, and sent what was deleted and reaped' },
];

describe('seeds that showed a defect once', () => {
  it.each(SEEDS)('$seed: $showed', { timeout: 60_000 }, async ({ seed }) => {
    expect((await runSeed(seed)).violations).toEqual([]);
  });
});
