// npm run bench -- --tails: what lies behind the slow requests. Three regions under an open loop at shares of what they can
// take: how long requests waited from when they were due, how late the event loop was, what garbage was collected for how
// long, and how long LevelDB kept a batch waiting while it wrote and compacted tables.

import { writeFileSync } from 'node:fs';
import type { Observed } from './lib/observed.ts';
import { Observers } from './lib/observers.ts';
import type { LoadResult } from './lib/jobs.ts';
import { PATH, Stage, VALUE_BYTES } from './lib/stage.ts';

const REGIONS = ['ap-northeast-2', 'eu-central-1', 'us-east-1'];
const SHARES = [0.25, 0.5, 0.8];
const CONNECTIONS = 64;

interface Measured {
  readonly method: 'GET' | 'PUT';
  readonly perSecond: number;
  readonly load: LoadResult;
  readonly writer: Observed;
  readonly reader: Observed;
}

export async function tails({ quick, json }: { readonly quick: boolean; readonly json: string | undefined }): Promise<void> {
  const [keys, seconds] = quick ? [20_000, 5] : [100_000, 15];
  const observers = new Observers();
  const stage = await observers.started(() => Stage.start(REGIONS));
  try {
    await stage.fill(0, 'k', keys);
    await stage.quiet();
    const measured: Measured[] = [];
    for (const method of ['PUT', 'GET'] as const) {
      const job = { url: stage.url(0), method, path: PATH, keys: { prefix: 'k', count: keys, order: 'zipfian' }, headers: method === 'PUT' ? stage.writing : stage.reading, ...(method === 'PUT' ? { valueBytes: VALUE_BYTES } : {}), connections: CONNECTIONS } as const;
      const most = await stage.generator.load({ ...job, seconds: seconds / 3 });
      await stage.quiet();
      console.log(`${method}, closed loop, ${CONNECTIONS} connections: ${Math.round(most.perSecond).toLocaleString('en')}/s; p50 ${most.p50Ms.toFixed(2)}, p99 ${most.p99Ms.toFixed(1)}, p99.9 ${most.p999Ms.toFixed(1)} ms`);
      for (const share of SHARES) {
        const perSecond = Math.round(most.perSecond * share);
        const { result, observed } = await observers.during([stage.pid(0), stage.pid(1)], () => stage.generator.load({ ...job, perSecond, seconds }));
        await stage.quiet();
        const each = { method, perSecond, load: result, writer: observed[0] as Observed, reader: observed[1] as Observed };
        measured.push(each);
        console.log(printed(each));
      }
    }
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(measured, undefined, 1)}\n`);
  } finally {
    await stage.end();
    observers.end();
  }
}

function printed({ method, perSecond, load, writer, reader }: Measured): string {
  const lines = [`${method}, open loop at ${perSecond.toLocaleString('en')}/s: p50 ${load.p50Ms.toFixed(2)}, p99 ${load.p99Ms.toFixed(1)}, p99.9 ${load.p999Ms.toFixed(1)}, most ${load.maxMs.toFixed(1)} ms (${load.done.toLocaleString('en')} answers; the generator itself late by ${load.lateMs.toFixed(1)} ms, p99)`];
  for (const [name, told] of method === 'PUT' ? ([['asked', writer], ['peer', reader]] as const) : ([['asked', writer]] as const)) {
    const { delay, pauses, compaction } = told;
    lines.push(`  ${name}: processor ${((told.cpuSeconds / told.seconds) * 100).toFixed(0)} % of one; event loop late p50 ${delay.p50Ms.toFixed(2)}, p99 ${delay.p99Ms.toFixed(1)}, p99.9 ${delay.p999Ms.toFixed(1)}, most ${delay.maxMs.toFixed(1)} ms; LevelDB wrote ${compaction.writtenMb} MB of tables in ${compaction.seconds} s, of ${told.seconds.toFixed(0)} s`);
    for (const pause of pauses) lines.push(`    ${pause.kind}: ${pause.count} times, ${pause.sumMs.toFixed(0)} ms in all (${(pause.sumMs / told.seconds / 10).toFixed(1)} %), p50 ${pause.p50Ms.toFixed(2)}, p99 ${pause.p99Ms.toFixed(1)}, most ${pause.maxMs.toFixed(1)} ms`);
  }
  return lines.join('\n');
}
