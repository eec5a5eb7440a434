// P16: values of 10 KB beside values of 1 KB, in turns, while LevelDB writes and compacts tables.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LoadResult } from '../lib/jobs.ts';
import { median } from '../lib/numbers.ts';
import { tailsOf, type Figure } from '../lib/results.ts';
import type { Scenario } from '../lib/scenario.ts';
import { PATH, Stage, VALUE_BYTES } from '../lib/stage.ts';

const LARGE_BYTES = 10_000;
const CONNECTIONS = 64;
const KEYS = 10_000;

export const large: Scenario = {
  rows: ['P16'],
  async measure({ seconds, rounds, quick }) {
    const stage = await Stage.start(['eu-central-1']);
    try {
      const load = (prefix: string, valueBytes: number): Promise<LoadResult> => stage.generator.load({ url: stage.url(0), method: 'PUT', path: PATH, keys: { prefix, count: quick ? KEYS / 4 : KEYS, order: 'uniform' }, headers: stage.writing, valueBytes, connections: CONNECTIONS, seconds });
      const taken: { small: LoadResult; large: LoadResult; tables: number }[] = [];
      for (let at = -1; at < rounds; at++) {
        const small = await load('small', VALUE_BYTES);
        const from = newestTable(stage);
        const large = await load('large', LARGE_BYTES);
        if (at >= 0) taken.push({ small, large, tables: newestTable(stage) - from });
      }
      return { P16: figures(taken) };
    } finally {
      await stage.end();
    }
  },
};

/** Files are numbered: how many LevelDB has begun until now. */
function newestTable(stage: Stage): number {
  const names = readdirSync(join(stage.cluster.region(stage.id(0)).data, 'db'));
  return Math.max(0, ...names.flatMap((name) => (/^\d+\.(ldb|log)$/.test(name) ? [Number.parseInt(name, 10)] : [])));
}

const megabytes = ({ perSecond }: LoadResult, bytes: number): number => (perSecond * bytes) / 1e6;

function figures(taken: readonly { readonly small: LoadResult; readonly large: LoadResult; readonly tables: number }[]): Figure[] {
  const [small, large] = [median(taken.map((each) => megabytes(each.small, VALUE_BYTES))), median(taken.map((each) => megabytes(each.large, LARGE_BYTES)))];
  const tails = tailsOf('a PUT of 10 KB, of 64', taken.map((each) => each.large));
  return [
    { name: 'MB/s over the figure at 1 KB (stretch 2.5)', value: median(taken.map((each) => megabytes(each.large, LARGE_BYTES) / megabytes(each.small, VALUE_BYTES))), unit: 'x', yardstick: `${small.toFixed(1)} MB/s at 1 KB, ${large.toFixed(1)} at 10 KB`, better: 'higher', tails },
    { name: 'p99 over 2 p50 + 20 ms (stretch 1)', value: median(taken.map((each) => each.large.p99Ms / (2 * each.large.p50Ms + 20))), unit: 'x', yardstick: `${taken.reduce((sum, each) => sum + each.tables, 0)} files begun by LevelDB meanwhile`, better: 'lower' },
  ];
}
