// What is measured at each point of a growth curve.

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ask, until } from '../../scripts/lib/cluster.ts';
import type { LoadResult } from './jobs.ts';
import { residentMb, withCpu } from './processes.ts';
import { COLLECTION, PATH, sleep, type Stage } from './stage.ts';

/** Items under one pk: a page of a range is all of them. */
export const GROUP = 100;
const CONNECTIONS = 16;
const FILLING = 64;
/** A difference younger than two seconds is left to replication. */
const OLD_MS = 2_200;
const DIFFERENCES = 100;

export interface Measuring {
  readonly stage: Stage;
  readonly keys: number;
  readonly valueBytes: number;
  /** Of one measurement. */
  readonly seconds: number;
}

export type Point = Readonly<Record<string, number>>;

/** False when the time was up before all were written. */
export async function fillUp({ stage, keys, valueBytes }: Measuring, from: number, seconds: number): Promise<boolean> {
  if (keys <= from) return true;
  const { done } = await stage.generator.load({ url: stage.url(0), method: 'PUT', path: PATH, keys: { prefix: 'k', count: keys, from, group: GROUP, order: 'in-turn' }, headers: stage.writing, valueBytes, connections: FILLING, seconds, requests: keys - from });
  if (done < keys - from) return false;
  await stage.quiet(seconds * 1_000);
  return true;
}

/** Until everything is compiled that a point measures. */
export async function warmUp(measuring: Measuring): Promise<void> {
  await loads({ ...measuring, seconds: 2 });
}

export async function byKeys(measuring: Measuring): Promise<Point> {
  const { stage, keys } = measuring;
  const { put, get, range } = await loads(measuring);
  const busyMb = residentMb(stage.pid(0)) ?? Number.NaN;
  const compared = stage.cluster.regions.length > 1 ? await comparison(measuring) : {};
  const startMs = await restart(stage);
  await sleep(1_000);
  return { ...costs('put', put), ...costs('get', get), ...costs('range', range), ...compared, startMs, memoryMb: residentMb(stage.pid(0)) ?? Number.NaN, busyMb, diskBytesPerKey: diskBytes(stage) / keys };
}

type Costed = Awaited<ReturnType<typeof withCpu>>;

async function loads({ stage, keys, valueBytes, seconds }: Measuring): Promise<{ readonly put: Costed; readonly get: Costed; readonly range: Costed }> {
  const some = { path: PATH, keys: { prefix: 'k', count: keys, group: GROUP, order: 'uniform' }, connections: CONNECTIONS, seconds } as const;
  const load = (job: Parameters<typeof stage.generator.load>[0]): ReturnType<typeof withCpu> => withCpu([stage.pid(0)], () => stage.generator.load(job));
  const put = await load({ ...some, url: stage.url(0), method: 'PUT', headers: stage.writing, valueBytes });
  await stage.quiet();
  const get = await load({ ...some, url: stage.url(0), method: 'GET', headers: stage.reading });
  const range = await load({ ...some, url: stage.url(0), method: 'GET', headers: stage.reading, path: `/v1/c/${COLLECTION}/ranges/`, keys: { prefix: 'k', count: Math.floor(keys / GROUP), order: 'uniform' } });
  return { put, get, range };
}

const costs = (name: string, { serverMicros, p50Ms, p99Ms, perSecond }: Costed): Point => ({ [`${name}Us`]: serverMicros, [`${name}P50Ms`]: p50Ms, [`${name}P99Ms`]: p99Ms, [`${name}PerSecond`]: perSecond });

async function comparison({ stage, keys, valueBytes }: Measuring): Promise<Point> {
  const [one, other] = [stage.id(0), stage.id(1)];
  const compare = async (): Promise<number> => {
    const fromMs = performance.now();
    await stage.cluster.reconcile(one, { peers: [other] });
    return performance.now() - fromMs;
  };
  const pause = (doing: 'pause' | 'resume'): Promise<unknown> => Promise.all([[one, other] as const, [other, one] as const].map(([from, to]) => stage.cluster.ask(from, `/v1/replication/${to}/${doing}`, { method: 'POST' })));
  const equalMs = await compare();
  await pause('pause');
  const step = Math.floor(keys / DIFFERENCES);
  for (let at = 0; at < DIFFERENCES; at++) await stage.generator.load({ url: stage.url(at % 2), method: 'PUT', path: PATH, keys: { prefix: 'k', count: keys, from: at * step, group: GROUP, order: 'in-turn' }, headers: stage.writing, valueBytes, connections: 1, seconds: 5, requests: 1 });
  await sleep(OLD_MS);
  const differentMs = await compare();
  await pause('resume');
  await stage.quiet();
  return { equalMs, differentMs };
}

/** From the start of the process until it answers. */
async function restart(stage: Stage): Promise<number> {
  await stage.stopRegion(0, 'SIGTERM');
  const fromMs = performance.now();
  stage.startRegion(0);
  await until('the region answers', () => ask(stage.url(0), `${PATH}k0/0`, { headers: stage.reading, timeoutMs: 60_000 }).then(({ status }) => status === 200, () => false), 120_000, 5);
  const tookMs = performance.now() - fromMs;
  await stage.quiet();
  return tookMs;
}

function diskBytes(stage: Stage): number {
  const { data } = stage.cluster.region(stage.id(0));
  return (readdirSync(data, { recursive: true, encoding: 'utf8' })).reduce((sum, name) => sum + (statSync(join(data, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** A cluster of so many regions, all of which hold every item. */
export async function byRegions({ stage, keys, valueBytes, seconds }: Measuring): Promise<Point> {
  const regions = stage.pids.length;
  const put = await withCpu(stage.pids, async (): Promise<LoadResult> => {
    const result = await stage.generator.load({ url: stage.url(0), method: 'PUT', path: PATH, keys: { prefix: 'k', count: keys, group: GROUP, order: 'uniform' }, headers: stage.writing, valueBytes, connections: CONNECTIONS, seconds });
    await stage.quiet();
    return result;
  });
  const lag = await stage.generator.lag({ from: stage.url(0), to: stage.url(1), path: PATH, keys: { prefix: 'lag', count: 5_000, order: 'in-turn' }, headers: stage.writing, valueBytes, perSecond: 100, seconds });
  await stage.quiet();
  const fromMs = performance.now();
  await stage.cluster.reconcile(stage.id(0), {});
  return { writeUs: put.serverMicros, writeUsPerRegion: put.serverMicros / regions, putP50Ms: put.p50Ms, putP99Ms: put.p99Ms, lagP50Ms: lag.p50Ms, lagP99Ms: lag.p99Ms, reconcileMs: performance.now() - fromMs, memoryMb: Math.max(...stage.pids.map((pid) => residentMb(pid) ?? Number.NaN)) };
}
