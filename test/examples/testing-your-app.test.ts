// The example of the documents holds what it says: the seeds find the bug, and not the fix.

import { describe, expect, it } from 'vitest';
import { forSeeds } from 'archipel/testing';
import { mergeByUnion, mergeWithRemovals } from '../../examples/testing-your-app/cart.ts';
import { checkCart } from '../../examples/testing-your-app/check.ts';

const SEEDS = 20;

describe('examples: testing your app', () => {
  it(`a cart that merges by union: ${SEEDS} seeds find the line that is back`, { timeout: 300_000 }, async () => {
    await expect(forSeeds(SEEDS, (seed) => checkCart(seed, mergeByUnion))).rejects.toThrow(/^seed \d+: the cart as \S+ shows it/);
  });

  it('a cart that remembers what was taken out: none of them does', { timeout: 300_000 }, async () => {
    await forSeeds(SEEDS, (seed) => checkCart(seed, mergeWithRemovals));
  });
});
