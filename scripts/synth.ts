// npm run synth -- [--regions N|id,id,…] [--out DIR]

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { parseRegions } from '../src/config/options.ts';
import { synth } from './lib/synth.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Options {
  readonly regions: string;
  readonly out: string;
}

const { regions, out } = new Command('synth')
  .option('--regions <list>', 'how many regions, or which', '3')
  .option('--out <folder>', 'where the templates go', 'cdk.out')
  .parse()
  .opts<Options>();

try {
  parseRegions(regions); // what is wrong with the request is said in one sentence, before the CDK says it in many
  const startedMs = performance.now();
  const stacks = await synth({ regions, out: resolve(root, out) });
  console.log(`${stacks.length} stacks in ${out} (${stacks.join(', ')}), ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
