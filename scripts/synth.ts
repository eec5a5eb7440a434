// npm run synth -- [--regions N|id,id,…] [--config FILE] [--name NAME] [--ephemeral] [--out DIR]

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { synth, withDeployment, type DeploymentFlags } from './lib/synth.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const { out, ...flags } = withDeployment(new Command('synth'))
  .option('--out <folder>', 'where the templates go', 'cdk.out')
  .parse()
  .opts<DeploymentFlags & { readonly out: string }>();

try {
  const startedMs = performance.now();
  const stacks = await synth(flags, resolve(root, out));
  console.log(`${stacks.length} stacks in ${out} (${stacks.join(', ')}), ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
