// npm run synth -- [--regions N|id,id,…] [--out DIR]
//
// Makes the templates of a deployment, offline and without credentials: runs the CDK app as the CDK's command line does,
// without that program.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { parseRegions } from '../src/config/options.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Options {
  readonly regions: string;
  readonly out: string;
}

const options = new Command('synth')
  .option('--regions <list>', 'how many regions, or which', '3')
  .option('--out <folder>', 'where the templates go', 'cdk.out')
  .parse()
  .opts<Options>();

/** What is wrong with the request is said in one sentence, before the CDK says it in many. */
function check(regions: string): void {
  try {
    parseRegions(regions);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

check(options.regions);
const out = resolve(root, options.out);
const startedMs = performance.now();
const { context } = JSON.parse(readFileSync(join(root, 'cdk.json'), 'utf8')) as { context: object };
const environment = { CDK_OUTDIR: out, CDK_CONTEXT_JSON: JSON.stringify({ ...context, regions: options.regions }) };
const { status } = spawnSync(process.execPath, ['cdk/app.ts'], { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } });
if (status !== 0) process.exit(1);
const manifest = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as { artifacts: Readonly<Record<string, { readonly type: string }>> };
const stacks = Object.entries(manifest.artifacts).flatMap(([id, { type }]) => (type === 'aws:cloudformation:stack' ? [id] : []));
console.log(`${stacks.length} stacks in ${options.out} (${stacks.join(', ')}), ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
