// P1-P3: one region beside bare servers on the same machine, in turns, so that whatever else the machine does meets both.

import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { UNMEASURED, type LoadResult } from '../lib/jobs.ts';
import { median, quantile } from '../lib/numbers.ts';
import { withCpu, Yardstick } from '../lib/processes.ts';
import { tailsOf, type Figure } from '../lib/results.ts';
import type { Scenario, Size } from '../lib/scenario.ts';
import { PATH, Stage, VALUE_BYTES } from '../lib/stage.ts';

const REGION = 'eu-central-1';
const CONNECTIONS = 64;

type Costed = LoadResult & { readonly serverMicros: number };

interface Round {
  readonly value: Costed;
  readonly get: Costed;
  readonly drop: Costed;
  readonly put: Costed;
  readonly syncMs: number;
  readonly hello: LoadResult;
  readonly store: LoadResult;
  readonly one: LoadResult;
}

export const alone: Scenario = {
  rows: ['P1', 'P2', 'P3'],
  async measure(size, wanted) {
    const stage = await Stage.start([REGION]);
    const yardstick = await Yardstick.start();
    try {
      await stage.fill(0, 'k', size.keys);
      const rounds: Round[] = [];
      await round(stage, yardstick, size, wanted); // everything is compiled and connected once
      for (let at = 0; at < size.rounds; at++) rounds.push(await round(stage, yardstick, size, wanted));
      return { P1: [getFigure(rounds), cpuFigure(rounds, 'get', 'value')], P2: [putFigure(rounds), cpuFigure(rounds, 'put', 'drop')], P3: [aloneFigure(rounds)] };
    } finally {
      await yardstick.end();
      await stage.end();
    }
  },
};

async function round(stage: Stage, yardstick: Yardstick, { seconds, keys }: Size, wanted: ReadonlySet<string>): Promise<Round> {
  const many = { connections: CONNECTIONS, seconds };
  const one = { connections: 1, seconds: seconds / 2 };
  const some = { prefix: 'k', count: keys, order: 'zipfian' } as const;
  const { generator, reading, writing } = stage;
  const costed = (row: string, pid: number, job: Parameters<typeof generator.load>[0]): Promise<Costed> => withCpu([pid], () => load(row, job));
  const load = async (row: string, job: Parameters<typeof generator.load>[0]): Promise<LoadResult> => (wanted.has(row) ? generator.load(job) : UNMEASURED);
  const region = stage.url(0);
  return {
    value: await costed('P1', yardstick.pid, { url: yardstick.url, method: 'GET', path: '/value', headers: {}, ...many }),
    get: await costed('P1', stage.pid(0), { url: region, method: 'GET', path: PATH, keys: some, headers: reading, ...many }),
    drop: await costed('P2', yardstick.pid, { url: yardstick.url, method: 'PUT', path: '/drop', headers: {}, valueBytes: VALUE_BYTES, ...many }),
    put: await costed('P2', stage.pid(0), { url: region, method: 'PUT', path: PATH, keys: some, headers: writing, valueBytes: VALUE_BYTES, ...many }),
    syncMs: wanted.has('P3') ? fdatasyncMs(seconds / 2) : Number.NaN,
    hello: await load('P3', { url: yardstick.url, method: 'GET', path: '/hello', headers: {}, ...one }),
    store: await load('P3', { url: yardstick.url, method: 'PUT', path: '/store', headers: {}, valueBytes: VALUE_BYTES, ...one }),
    one: await load('P3', { url: region, method: 'PUT', path: PATH, keys: some, headers: writing, valueBytes: VALUE_BYTES, ...one }),
  };
}

/** An append of one value and its fdatasync, on the disk that the region's folder is on. */
function fdatasyncMs(seconds: number): number {
  const folder = mkdtempSync(join(tmpdir(), 'archipel-'));
  const file = openSync(join(folder, 'log'), 'a');
  const bytes = randomBytes(VALUE_BYTES);
  const taken: number[] = [];
  for (const endMs = performance.now() + seconds * 1_000; performance.now() < endMs; ) {
    const from = performance.now();
    writeSync(file, bytes);
    fdatasyncSync(file);
    taken.push(performance.now() - from);
  }
  closeSync(file);
  rmSync(folder, { recursive: true });
  return quantile(taken.sort((a, b) => a - b), 0.5);
}

const rateOf = (value: number): string => `${Math.round(value).toLocaleString('en')}/s`;

const rates = (rounds: readonly Round[], take: (round: Round) => LoadResult): number => median(rounds.map((each) => take(each).perSecond));

function getFigure(rounds: readonly Round[]): Figure {
  const value = median(rounds.map((each) => each.get.perSecond / each.value.perSecond));
  return { name: 'share', value, unit: 'x', yardstick: `hono, constant 1 KB: ${rateOf(rates(rounds, (each) => each.value))}`, floor: 0.45, goal: 0.7, better: 'higher', tails: tailsOf('a GET of 64', rounds.map((each) => each.get)) };
}

function putFigure(rounds: readonly Round[]): Figure {
  const value = median(rounds.map((each) => each.put.perSecond / each.drop.perSecond));
  return { name: 'share', value, unit: 'x', yardstick: `hono, reads and drops: ${rateOf(rates(rounds, (each) => each.drop))}`, floor: 0.4, goal: 0.6, better: 'higher', tails: tailsOf('a PUT of 64', rounds.map((each) => each.put)) };
}

/** What a request takes of a processor, ours over the bare server's: who runs beside whom on which core matters less to that. */
function cpuFigure(rounds: readonly Round[], ours: 'get' | 'put', bare: 'value' | 'drop'): Figure {
  const micros = (name: 'get' | 'put' | 'value' | 'drop'): string => median(rounds.map((each) => each[name].serverMicros)).toFixed(1);
  return { name: 'processor time', value: median(rounds.map((each) => each[ours].serverMicros / each[bare].serverMicros)), unit: 'x', yardstick: `hono: ${micros(bare)} us each; ours ${micros(ours)}`, better: 'lower', aside: true };
}

function aloneFigure(rounds: readonly Round[]): Figure {
  const bareMs = (each: Round): number => each.syncMs + each.hello.p50Ms;
  const store = median(rounds.map((each) => each.store.p50Ms / bareMs(each)));
  return { name: 'ratio', value: median(rounds.map((each) => each.one.p50Ms / bareMs(each))), unit: 'x', yardstick: `fdatasync + hello: ${median(rounds.map(bareMs)).toFixed(3)} ms; LevelDB alone ${store.toFixed(2)}`, floor: 1.8, goal: 1.25, better: 'lower', tails: tailsOf('a PUT alone', rounds.map((each) => each.one)) };
}
