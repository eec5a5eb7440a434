// P13: what a cold start loads, beside the clients of the SDK alone, bundled in the same way.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundle, BUNDLES, type BundleName } from '../../cdk/bundle.ts';
import { median } from '../lib/numbers.ts';
import type { Figure } from '../lib/results.ts';
import { clientsAlone } from './clients-alone.ts';

const QUEUE_FUNCTIONS: readonly BundleName[] = ['fan-out', 'apply', 'forward'];

export async function bundleRows(quick: boolean): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'archipel-bench-bundles-'));
  try {
    await bundle(folder);
    const file = (name: BundleName): string => join(folder, name, 'index.mjs');
    const alone = await clientsAlone(folder);
    const kb = (path: string): number => statSync(path).size / 1_000;
    const largest = (names: readonly BundleName[]): number => Math.max(...names.map((name) => kb(file(name))));
    const times = importTimes(new Map([['dynamo', alone.dynamo], ...BUNDLES.map((name) => [name, file(name)] as const)]), quick ? 5 : 25);
    const ms = (name: BundleName | 'dynamo'): number => median(times.get(name) ?? []);
    const size = { unit: 'x', better: 'lower' } as const;
    const time = { unit: 'x', yardstick: `client-dynamodb alone: ${ms('dynamo').toFixed(0)} ms`, better: 'lower' } as const;
    return [
      { name: 'api, size', value: kb(file('api')) / kb(alone.dynamo), ...size, yardstick: `client-dynamodb alone: ${kb(alone.dynamo).toFixed(0)} KB`, goal: 1.25 },
      { name: 'queue functions, the largest', value: largest(QUEUE_FUNCTIONS) / kb(alone.both), ...size, yardstick: `both clients alone: ${kb(alone.both).toFixed(0)} KB`, goal: 1.1 },
      { name: 'edge', value: kb(file('edge')), unit: 'KB', goal: 50, better: 'lower' },
      { name: 'api, import', value: ms('api') / ms('dynamo'), ...time, goal: 1.2 },
      ...BUNDLES.filter((name) => name !== 'api').map((name) => ({ name: `${name}, import`, value: ms(name) / ms('dynamo'), ...time })),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** In turns, so that whatever else the machine does meets all of them: the ratios are good for something where the times are not. */
function importTimes(files: ReadonlyMap<BundleName | 'dynamo', string>, rounds: number): ReadonlyMap<BundleName | 'dynamo', number[]> {
  const times = new Map([...files.keys()].map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) for (const [name, path] of files) times.get(name)?.push(importMs(path));
  return times;
}

/** In a process of its own, as a cold start is. */
function importMs(path: string): number {
  const script = `const from = performance.now(); await import(${JSON.stringify(pathToFileURL(path).href)}); console.log(performance.now() - from);`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', env: { PATH: '', AWS_REGION: 'eu-central-1' } }));
}
