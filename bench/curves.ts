// npm run bench -- --curves: how what a request costs grows, from a thousand keys to ten million, and from two regions to
// seven. The points are kept in a file, to which each run adds its own, and drawn beside it; so a long curve can be measured
// in pieces, on data that stay in a folder from one run to the next.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { byKeys, byRegions, fillUp, warmUp, type Point } from './lib/curve-points.ts';
import { growthOf } from './lib/growth.ts';
import { plotted, shortly, type Panel, type Plot } from './lib/plot.ts';
import { Stage } from './lib/stage.ts';

const REGIONS = ['ap-northeast-2', 'eu-central-1', 'us-east-1', 'sa-east-1', 'eu-west-1', 'ap-southeast-2', 'us-west-2'];
/** Of one point, filling included; what takes longer is left out, and the output says so. */
const POINT_SECONDS_MAX = 900;
const KEYS_OF_REGIONS = 10_000;

export type CurveName = 'three' | 'one' | 'regions';
export const CURVE_NAMES: readonly CurveName[] = ['three', 'one', 'regions'];

export interface CurvesAsked {
  readonly quick: boolean;
  readonly json: string | undefined;
  readonly of: readonly CurveName[];
  readonly keys: readonly number[] | undefined;
  readonly regions: readonly number[];
  readonly valueBytes: number;
  readonly data: string | undefined;
}

/** By curve, then by x. */
type Measured = Partial<Record<CurveName, Record<string, Point>>>;

const KEYS: Readonly<Record<'three' | 'one', readonly number[]>> = { three: [1_000, 10_000, 100_000, 1_000_000], one: [1_000, 10_000, 100_000, 1_000_000, 10_000_000] };

export async function curves(asked: CurvesAsked): Promise<void> {
  const { json, quick, of } = asked;
  const measured: Measured = json !== undefined && existsSync(json) ? (JSON.parse(readFileSync(json, 'utf8')) as Measured) : {};
  const note = (name: CurveName, x: number, point: Point): void => {
    (measured[name] ??= {})[x] = Object.fromEntries(Object.entries(point).map(([figure, value]) => [figure, Number(value.toPrecision(4))]));
    console.log(`${name} ${x.toLocaleString('en')}: ${Object.entries(measured[name][x]).map(([figure, value]) => `${figure} ${value}`).join(', ')}`);
    if (json !== undefined) write(json, measured);
  };
  for (const name of of) {
    if (name === 'regions') await alongRegions(asked, note);
    else await alongKeys(name, asked.keys ?? (quick ? KEYS[name].slice(0, 2) : KEYS[name]), asked, note);
  }
  console.log(`\n${judged(measured).join('\n')}`);
}

async function alongKeys(name: 'three' | 'one', all: readonly number[], { quick, valueBytes, data }: CurvesAsked, note: (name: CurveName, x: number, point: Point) => void): Promise<void> {
  const folder = data === undefined ? undefined : join(data, name);
  const counted = folder === undefined ? undefined : join(folder, 'keys');
  let held = counted !== undefined && existsSync(counted) ? Number(readFileSync(counted, 'utf8')) : 0;
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  const stage = await Stage.start(REGIONS.slice(0, name === 'three' ? 3 : 1), folder, { isNew: held === 0 });
  let isWarm = false;
  try {
    for (const keys of all) {
      const measuring = { stage, keys, valueBytes, seconds: quick ? 1 : 3 };
      if (!(await fillUp(measuring, held, POINT_SECONDS_MAX))) {
        console.log(`${name} ${keys.toLocaleString('en')}: not filled within ${POINT_SECONDS_MAX} s, so left out, with all behind it.`);
        return;
      }
      held = Math.max(held, keys);
      if (counted !== undefined) writeFileSync(counted, String(held));
      if (!isWarm) await warmUp(measuring);
      isWarm = true;
      if (keys === held) note(name, keys, await byKeys(measuring));
    }
  } finally {
    await (folder === undefined ? stage.end() : stage.stop());
  }
}

async function alongRegions({ quick, regions, valueBytes }: CurvesAsked, note: (name: CurveName, x: number, point: Point) => void): Promise<void> {
  for (const count of regions) {
    const stage = await Stage.start(REGIONS.slice(0, count), undefined, { replicas: count });
    const measuring = { stage, keys: quick ? 1_000 : KEYS_OF_REGIONS, valueBytes, seconds: quick ? 1 : 4 };
    try {
      if (!(await fillUp(measuring, 0, POINT_SECONDS_MAX))) console.log(`${count} regions: not filled in time, so left out.`);
      else note('regions', count, await byRegions(measuring));
    } finally {
      await stage.end();
    }
  }
}

// Drawing ----------------------------------------------------------------------------------------------------------------------

const NAMES = { three: 'three regions', one: 'one region' } as const;

const series = (measured: Measured, name: CurveName, figure: string): Panel['series'][number]['points'] => Object.entries(measured[name] ?? {}).flatMap(([x, point]) => (point[figure] === undefined ? [] : [[Number(x), point[figure]] as const])).sort(([a], [b]) => a - b);

const ofKeys = (measured: Measured, title: string, unit: string, figure: string): Panel => ({ title, unit, series: (['three', 'one'] as const).map((name) => ({ name: NAMES[name], points: series(measured, name, figure) })).filter(({ points }) => points.length > 0) });

const ofRegions = (measured: Measured, title: string, unit: string, figure: string): Panel => ({ title, unit, series: [{ name: 'all hold every item', points: series(measured, 'regions', figure) }] });

const KEY_PANELS = [['PUT', 'processor time of the region, us', 'putUs'], ['GET', 'processor time of the region, us', 'getUs'], ['page of a range, 100 items', 'processor time of the region, us', 'rangeUs'], ['comparing two equal regions', 'ms', 'equalMs'], ['finding and mending 100 differences', 'ms', 'differentMs'], ['start after a clean stop', 'ms until it answers', 'startMs'], ['memory after that', 'MB', 'memoryMb'], ['memory after the load', 'MB', 'busyMb'], ['disk, not compacted', 'bytes per key', 'diskBytesPerKey']] as const;
const REGION_PANELS = [['PUT, per copy', 'processor time, us', 'writeUsPerRegion'], ['PUT, acknowledged', 'p50, ms', 'putP50Ms'], ['until visible in another region', 'p50, ms', 'lagP50Ms'], ['until visible in another region', 'p99, ms', 'lagP99Ms'], ['comparing with all others', 'ms', 'reconcileMs'], ['memory, the largest region', 'MB', 'memoryMb']] as const;

/** The points, and their plots beside them. */
export function write(json: string, measured: Measured): void {
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify(measured, undefined, 1)}\n`);
  const draw = (name: string, plot: Plot): void => (plot.panels.length === 0 ? undefined : writeFileSync(join(dirname(json), `${name}.svg`), plotted(plot)));
  const counts = [...new Set((['three', 'one'] as const).flatMap((name) => Object.keys(measured[name] ?? {}).map(Number)))].sort((a, b) => a - b);
  const panels = (all: readonly Panel[]): Panel[] => all.filter((panel) => panel.series.some(({ points }) => points.length > 0));
  if (counts.length > 0) draw('curves-keys', { title: 'What grows with the number of keys', x: 'keys', marks: counts, isLogarithmic: true, panels: panels(KEY_PANELS.map(([title, unit, figure]) => ofKeys(measured, title, unit, figure))) });
  const regions = Object.keys(measured.regions ?? {}).map(Number);
  if (regions.length > 0) draw('curves-regions', { title: 'What grows with the number of regions', x: 'regions', marks: regions, isLogarithmic: false, panels: panels(REGION_PANELS.map(([title, unit, figure]) => ofRegions(measured, title, unit, figure))) });
}

/** What a request costs, curve by curve. */
function judged(measured: Measured): string[] {
  const lines = (['three', 'one'] as const).flatMap((name) =>
    KEY_PANELS.flatMap(([title, , figure]) => {
      const points = series(measured, name, figure);
      const growth = growthOf(points);
      if (growth === undefined) return [];
      const [first, last] = [points[0] as readonly [number, number], points.at(-1) as readonly [number, number]];
      return [`${NAMES[name]}, ${title}: ${shortly(first[1])} at ${shortly(first[0])} keys, ${shortly(last[1])} at ${shortly(last[0])}; as keys to the power of ${growth.exponent.toFixed(2)}${growth.isWorseThanLogarithmic ? ': worse than logarithmic' : ''}`];
    }),
  );
  return lines.length === 0 ? ['One point is no curve.'] : lines;
}
