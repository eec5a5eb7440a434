// P13: what a cold start loads, beside the clients of the SDK alone, bundled in the same way.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { bundle, type BundleName } from '../../cdk/bundle.ts';
import { median } from '../lib/numbers.ts';
import type { Figure } from '../lib/results.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const QUEUE_FUNCTIONS: readonly BundleName[] = ['fan-out', 'apply', 'forward'];

export async function bundleRows(quick: boolean): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'archipel-bench-bundles-'));
  try {
    await bundle(folder);
    const file = (name: BundleName): string => join(folder, name, 'index.mjs');
    const dynamo = await alone(folder, 'dynamo', ['@aws-sdk/client-dynamodb']);
    const both = await alone(folder, 'both', ['@aws-sdk/client-dynamodb', '@aws-sdk/client-sqs']);
    const [kb, dynamoKb, bothKb] = [(path: string): number => statSync(path).size / 1_000, statSync(dynamo).size / 1_000, statSync(both).size / 1_000];
    const rounds = quick ? 5 : 15;
    const times = { api: [] as number[], dynamo: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      times.api.push(importMs(file('api')));
      times.dynamo.push(importMs(dynamo));
    }
    const [largest = 0] = QUEUE_FUNCTIONS.map((name) => kb(file(name))).sort((a, b) => b - a);
    return [
      { name: 'api, size', value: kb(file('api')) / dynamoKb, unit: 'x', yardstick: `client-dynamodb alone: ${dynamoKb.toFixed(0)} KB`, goal: 1.25, better: 'lower' },
      { name: 'api, import', value: median(times.api) / median(times.dynamo), unit: 'x', yardstick: `the same: ${median(times.dynamo).toFixed(0)} ms`, goal: 1.2, better: 'lower' },
      { name: 'queue functions, the largest', value: largest / bothKb, unit: 'x', yardstick: `both clients alone: ${bothKb.toFixed(0)} KB`, goal: 1.1, better: 'lower' },
      { name: 'edge', value: kb(file('edge')), unit: 'KB', goal: 50, better: 'lower' },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As whoever uses the SDK bundles it: all of its clients, and the chain of credential providers that is theirs by default. */
async function alone(folder: string, name: string, packages: readonly string[]): Promise<string> {
  const outfile = join(folder, `${name}.mjs`);
  const contents = packages.map((each, at) => `export * as client${at} from '${each}';`).join('\n');
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  await build({ stdin: { contents, resolveDir: ROOT }, outfile, bundle: true, minify: true, platform: 'node', target: 'node24', format: 'esm', mainFields: ['module', 'main'], legalComments: 'none', logLevel: 'error', banner });
  return outfile;
}

/** In a process of its own, as a cold start is. */
function importMs(path: string): number {
  const script = `const from = performance.now(); await import(${JSON.stringify(pathToFileURL(path).href)}); console.log(performance.now() - from);`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', env: { PATH: '', AWS_REGION: 'eu-central-1' } }));
}
