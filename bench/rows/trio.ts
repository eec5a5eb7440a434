// P4-P8, P14, P15: three regions, three processes, each copy synced to its own folder before it counts.

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { until } from '../../scripts/lib/cluster.ts';
import { median } from '../lib/numbers.ts';
import { cpuSeconds, residentMb, withCpu, Yardstick } from '../lib/processes.ts';
import type { LagResult, LoadResult } from '../lib/jobs.ts';
import { tailsOf, type Figure, type Tails } from '../lib/results.ts';
import type { Figures, Scenario, Size } from '../lib/scenario.ts';
import { PATH, sleep, Stage, VALUE_BYTES } from '../lib/stage.ts';

const REGIONS = ['ap-northeast-2', 'eu-central-1', 'us-east-1'];
const CONNECTIONS = 64;
/** Where writes go, where they are looked for, and who is killed. */
const [WRITER, READER, VICTIM] = [0, 1, 2];

export const trio: Scenario = {
  rows: ['P4', 'P5', 'P6', 'P7', 'P8', 'P14', 'P15'],
  async measure(size, wanted) {
    let stage = await Stage.start(REGIONS);
    const yardstick = await Yardstick.start();
    const wants = (...rows: readonly string[]): boolean => rows.some((row) => wanted.has(row));
    const figures: Record<string, readonly Figure[]> = {};
    try {
      if (wants('P6', 'P7', 'P8', 'P14', 'P15')) await stage.fill(WRITER, 'k', size.keys);
      await stage.quiet();
      if (wants('P14')) stage = await startedAgain(stage);
      const idleMb = wants('P14') ? await settledMb(stage) : 0;
      const rates = wants('P4', 'P5', 'P6', 'P14') ? await replicatedRates(stage, yardstick, size) : undefined;
      if (rates !== undefined) Object.assign(figures, rates.figures);
      if (wants('P14')) figures['P14'] = memoryFigures(idleMb, largestMb(stage), size);
      if (rates !== undefined && wants('P6')) figures['P6'] = await lagFigures(stage, size, rates.perSecond);
      if (wants('P7')) figures['P7'] = [await outageFigure(stage, size)];
      if (wants('P8')) figures['P8'] = await killFigures(stage, size);
      if (wants('P15')) figures['P15'] = [await diskFigure(stage)];
      return figures;
    } finally {
      await yardstick.end();
      await stage.end();
    }
  },
};

/** The same data under fresh processes. */
async function startedAgain(stage: Stage): Promise<Stage> {
  await stage.stop();
  return Stage.start(REGIONS, stage.cluster.folder);
}

// P4, P5 -----------------------------------------------------------------------------------------------------------------------

const cpuOf = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + (cpuSeconds(pid) ?? Number.NaN), 0);

async function replicatedRates(stage: Stage, yardstick: Yardstick, { seconds, rounds, keys }: Size): Promise<{ readonly perSecond: number; readonly figures: Figures }> {
  const { generator, writing } = stage;
  const some = { prefix: 'k', count: keys, order: 'zipfian' } as const;
  const load = { connections: CONNECTIONS, seconds, valueBytes: VALUE_BYTES, method: 'PUT' } as const;
  const taken: { drop: number; dropMicros: number; replicated: number; micros: number; put: LoadResult }[] = [];
  for (let at = -1; at < rounds; at++) {
    const drop = await withCpu([yardstick.pid], () => generator.load({ url: yardstick.url, path: '/drop', headers: {}, ...load }));
    const cpu = cpuOf(stage.pids);
    const startedMs = performance.now();
    const put = await generator.load({ url: stage.url(WRITER), path: PATH, keys: some, headers: writing, ...load });
    await stage.quiet(); // a write counts when all three copies are synced
    const passed = (performance.now() - startedMs) / 1_000;
    if (at >= 0) taken.push({ drop: drop.perSecond, dropMicros: drop.serverMicros, replicated: put.done / passed, micros: ((cpuOf(stage.pids) - cpu) * 1e6) / put.done, put });
  }
  const drop = median(taken.map((each) => each.drop));
  const perSecond = median(taken.map((each) => each.replicated));
  const share: Figure = { name: 'share', value: median(taken.map((each) => each.replicated / each.drop)), unit: 'x', yardstick: `hono, reads and drops: ${Math.round(drop).toLocaleString('en')}/s; ours ${Math.round(perSecond).toLocaleString('en')}/s`, floor: 0.12, better: 'higher', tails: tailsOf('a replicated PUT of 64, acknowledged', taken.map((each) => each.put)) };
  const cpu: Figure = { name: 'cpu', value: median(taken.map((each) => each.micros)), unit: 'us', goal: 90, better: 'lower' };
  const over: Figure = { name: 'over that of the hono of P2', value: median(taken.map((each) => each.micros / each.dropMicros)), unit: 'x', better: 'lower', aside: true };
  return { perSecond, figures: { P4: [share], P5: [cpu, over] } };
}

// P6 ---------------------------------------------------------------------------------------------------------------------------

async function lagFigures(stage: Stage, { quick, keys }: Size, perSecond: number): Promise<Figure[]> {
  const { generator, writing } = stage;
  const job = { from: stage.url(WRITER), to: stage.url(READER), path: PATH, headers: writing, valueBytes: VALUE_BYTES, keys: { prefix: 'lag', count: 5_000, order: 'in-turn' } } as const;
  await generator.lag({ ...job, perSecond: 100, seconds: 1 });
  const calm = await generator.lag({ ...job, perSecond: 100, seconds: quick ? 3 : 20 });
  const seconds = quick ? 3 : 15;
  const others = generator.load({ url: stage.url(WRITER), method: 'PUT', path: PATH, keys: { prefix: 'k', count: keys, order: 'zipfian' }, headers: writing, valueBytes: VALUE_BYTES, connections: 32, seconds: seconds + 0.5, perSecond: perSecond * 0.8 });
  await sleep(250);
  const busy = await generator.lag({ ...job, perSecond: 20, seconds });
  const load = await others;
  await stage.quiet();
  const at = `${busy.probes} probes at ${Math.round(load.perSecond).toLocaleString('en')} writes/s`;
  const tails = ({ p50Ms, p99Ms, p999Ms }: LagResult | LoadResult, of: string): Tails => ({ of, p50Ms, p99Ms, p999Ms });
  return [
    { name: 'p50', value: calm.unseen > 0 ? Number.NaN : calm.p50Ms, unit: 'ms', yardstick: `${calm.probes} writes, 100/s`, floor: 3, goal: 1, better: 'lower', tails: tails(calm, 'until visible') },
    { name: 'p99', value: calm.p99Ms, unit: 'ms', floor: 60, goal: 5, better: 'lower' },
    { name: 'p99 at 80 %', value: busy.unseen > 0 ? Number.NaN : busy.p99Ms, unit: 'ms', yardstick: at, floor: 300, goal: 25, better: 'lower', tails: tails(load, 'until acknowledged, from when it was due') },
  ];
}

// P7 ---------------------------------------------------------------------------------------------------------------------------

async function outageFigure(stage: Stage, { quick }: Size): Promise<Figure> {
  const writes = quick ? 4_000 : 20_000;
  const downMs = quick ? 3_000 : 30_000;
  await stage.stopRegion(VICTIM, 'SIGTERM');
  const stoppedMs = performance.now();
  await stage.fill(WRITER, 'away', writes);
  await sleep(Math.max(0, downMs - (performance.now() - stoppedMs)));
  stage.startRegion(VICTIM);
  const tookMs = await until('the region that was down has all', async () => (await stage.owes(WRITER, stage.id(VICTIM))) === 0, 60_000, 10);
  await sleep(50);
  const held = await presence(stage, VICTIM, 'away', writes);
  return { name: 'seconds', value: held === writes ? tookMs / 1_000 : Number.NaN, unit: 's', yardstick: `${held.toLocaleString('en')} of ${writes.toLocaleString('en')} writes there`, floor: 3, goal: 1, better: 'lower' };
}

/** How many of these keys a region shows. */
async function presence(stage: Stage, at: number, prefix: string, count: number): Promise<number> {
  const { statuses } = await stage.generator.load({ url: stage.url(at), method: 'GET', path: PATH, keys: { prefix, count, order: 'in-turn' }, headers: stage.reading, connections: 32, seconds: 120, requests: count });
  return statuses[200] ?? 0;
}

// P8 ---------------------------------------------------------------------------------------------------------------------------

async function killFigures(stage: Stage, { quick }: Size): Promise<Figure[]> {
  const write = (at: number, prefix: string, seconds: number): ReturnType<typeof stage.generator.load> =>
    stage.generator.load({ url: stage.url(at), method: 'PUT', path: PATH, keys: { prefix, count: 1_000_000, order: 'in-turn' }, headers: stage.writing, valueBytes: VALUE_BYTES, connections: 8, perSecond: 1_000, seconds, tolerant: true });
  await write(WRITER, 'before', 1);
  const survivor = write(WRITER, 'survived', quick ? 2.5 : 10);
  const victim = write(VICTIM, 'killed', 1.5);
  await sleep(1_000);
  await stage.stopRegion(VICTIM, 'SIGKILL');
  const [survived, killed] = await Promise.all([survivor, victim]);
  stage.startRegion(VICTIM);
  const startedMs = performance.now();
  await until('the killed region answers', () => stage.cluster.ask(stage.id(VICTIM), `${PATH}k0`, { timeoutMs: 1_000 }).then(({ status }) => status === 200, () => false), 20_000, 5);
  const answersMs = performance.now() - startedMs;
  await stage.quiet();
  const convergedMs = performance.now() - startedMs;
  const lost = (await lostOf(stage, 'survived', survived)) + (await lostOf(stage, 'killed', killed));
  return [
    { name: 'gap elsewhere', value: survived.gapMs, unit: 'ms', yardstick: `${survived.next + killed.next} writes at two regions, 1,000/s each`, floor: 250, goal: 50, better: 'lower' },
    { name: 'acknowledged writes lost', value: lost, unit: '', floor: 0, goal: 0, better: 'lower' },
    { name: 'answers again', value: answersMs, unit: 'ms', floor: 1_000, goal: 150, better: 'lower' },
    { name: 'converged', value: convergedMs, unit: 'ms', floor: 5_000, goal: 1_000, better: 'lower' },
  ];
}

/** Acknowledged, and yet not in every region. */
async function lostOf(stage: Stage, prefix: string, { next, unanswered }: LoadResult): Promise<number> {
  let lost = 0;
  for (const at of stage.cluster.regions.keys()) {
    const { unanswered: absent } = await stage.generator.load({ url: stage.url(at), method: 'GET', path: PATH, keys: { prefix, count: next, order: 'in-turn' }, headers: stage.reading, connections: 16, seconds: 60, requests: next });
    lost += absent.filter((number) => !unanswered.includes(number)).length;
  }
  return lost;
}

// P14, P15 -----------------------------------------------------------------------------------------------------------------------

const largestMb = (stage: Stage): number => Math.max(...stage.pids.map((pid) => residentMb(pid) ?? Number.NaN));

async function settledMb(stage: Stage): Promise<number> {
  await sleep(1_000);
  return largestMb(stage);
}

const memoryFigures = (idleMb: number, loadedMb: number, { keys }: Size): Figure[] => [
  { name: 'idle', value: idleMb, unit: 'MB', yardstick: `the largest of three, ${keys.toLocaleString('en')} keys`, floor: 150, goal: 100, better: 'lower' },
  { name: 'after 64 connections', value: loadedMb, unit: 'MB', floor: 300, goal: 200, better: 'lower' },
];

/** After a clean stop, with everything compacted that LevelDB would compact in time. */
async function diskFigure(stage: Stage): Promise<Figure> {
  const folder = join(stage.cluster.region(stage.id(WRITER)).data, 'db');
  await stage.stop();
  const database = new ClassicLevel<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' });
  await database.open();
  await database.compactRange(Uint8Array.of(0), Uint8Array.of(0xff));
  let payload = 0;
  let records = 0;
  for await (const key of database.keys({ gte: Uint8Array.of(0x72), lt: Uint8Array.of(0x73) })) {
    payload += VALUE_BYTES + userKeyBytes(key);
    records++;
  }
  await database.close();
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  return { name: 'ratio', value: bytes / payload, unit: 'x', yardstick: `${(payload / 1e6).toFixed(1)} MB of keys and values in ${records.toLocaleString('en')} items`, floor: 1.5, goal: 1.25, better: 'lower' };
}

/** Of a record's row: what of it is the user's own key. */
function userKeyBytes(row: Uint8Array): number {
  const collection = row[13] as number;
  return row.length - 1 - 4 - 8 - 1 - collection - 2;
}
