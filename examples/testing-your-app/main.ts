// npm run example:testing [-- --merge union|removals] [-- --seeds N]

import { parseArgs } from 'node:util';
import { forSeeds } from 'archipel/testing';
import { mergeByUnion, mergeWithRemovals } from './cart.ts';
import { checkCart } from './check.ts';

const { values: flags } = parseArgs({ options: { merge: { type: 'string', default: 'removals' }, seeds: { type: 'string', default: '30' } } });
const merge = flags.merge === 'union' ? mergeByUnion : mergeWithRemovals;

try {
  await forSeeds(Number(flags.seeds), (seed) => checkCart(seed, merge));
  console.log(`${flags.seeds} seeds: the cart is right in all of them`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
