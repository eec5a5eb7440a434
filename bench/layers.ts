// npm run bench -- --layers: where a request's time goes, by layer, from CPU profiles of the processes under load: a region
// alone, asked and written to; a region of three that takes writes, and one that is sent them; an edge.

import { writeFileSync } from 'node:fs';
import { attribute, LAYERS, type Attributed, type Layer } from './lib/attribute.ts';
import type { LoadResult } from './lib/jobs.ts';
import type { Observed } from './lib/observed.ts';
import { Observers } from './lib/observers.ts';
import { PATH, Stage, VALUE_BYTES } from './lib/stage.ts';

const CONNECTIONS = 64;
const FUNCTIONS_SHOWN = 8;

interface Column {
  readonly what: string;
  readonly perSecond: number;
  readonly requests: number;
  readonly attributed: Attributed;
}

export async function layers({ quick, json }: { readonly quick: boolean; readonly json: string | undefined }): Promise<void> {
  const [keys, seconds] = quick ? [5_000, 2] : [100_000, 10];
  const columns = [...(await profiled(['eu-central-1'], keys, seconds)), ...(await profiled(['ap-northeast-2', 'eu-central-1', 'us-east-1'], keys, seconds))];
  console.log(budget(columns));
  for (const column of columns) console.log(`\n${mostOf(column)}`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(columns.map(({ attributed, ...rest }) => ({ ...rest, busyUs: attributed.busyUs, byLayer: Object.fromEntries(attributed.byLayer), byFunction: attributed.byFunction.slice(0, 40) })), undefined, 1)}\n`);
}

async function profiled(regions: readonly string[], keys: number, seconds: number): Promise<Column[]> {
  const observers = new Observers();
  const stage = await observers.started(() => Stage.start(regions), { profiled: true });
  try {
    await stage.fill(0, 'k', keys);
    await stage.quiet();
    const isAlone = regions.length === 1;
    const some = { path: PATH, keys: { prefix: 'k', count: keys, order: 'zipfian' }, connections: CONNECTIONS, seconds } as const;
    const put = { ...some, url: stage.url(0), method: 'PUT', headers: stage.writing, valueBytes: VALUE_BYTES } as const;
    const get = { ...some, url: stage.url(0), method: 'GET', headers: stage.reading } as const;
    const edge = stage.cluster.file.edge;
    const columns: Column[] = [];
    const measure = async (names: readonly string[], pids: readonly number[], job: Parameters<typeof stage.generator.load>[0]): Promise<void> => {
      await stage.generator.load({ ...job, seconds: seconds / 2 });
      const { result, observed } = await observers.during(pids, () => stage.generator.load(job).then(async (load) => (await stage.quiet(), load)));
      for (const [at, what] of names.entries()) columns.push(columnOf(what, result, observed[at] as Observed));
    };
    if (isAlone) {
      await measure(['GET, a region'], [stage.pid(0)], get);
      await measure(['PUT, a region alone'], [stage.pid(0)], put);
      await measure(['GET, an edge'], [edge.pid], { ...get, url: edge.url });
    } else await measure(['PUT, of three: asked', 'PUT, of three: a peer'], [stage.pid(0), stage.pid(1)], put);
    return columns;
  } finally {
    await stage.end();
    observers.end();
  }
}

const columnOf = (what: string, { perSecond, done }: LoadResult, { profile }: Observed): Column => {
  if (profile === undefined) throw new Error('A process told no profile.');
  return { what, perSecond, requests: done, attributed: attribute(profile) };
};

const perRequest = ({ attributed, requests }: Column, layer: Layer): number => (attributed.byLayer.get(layer) ?? 0) / requests;

function budget(columns: readonly Column[]): string {
  const cell = (text: string): string => text.padStart(24);
  const us = (value: number): string => (value < 0.05 ? '-' : value.toFixed(1));
  const rows = LAYERS.filter((layer) => columns.some((column) => perRequest(column, layer) >= 0.05));
  return [
    `${'us per request'.padEnd(16)}${columns.map(({ what }) => cell(what)).join('')}`,
    ...rows.map((layer) => `${layer.padEnd(16)}${columns.map((column) => cell(us(perRequest(column, layer)))).join('')}`),
    `${'in all'.padEnd(16)}${columns.map(({ attributed, requests }) => cell(us(attributed.busyUs / requests))).join('')}`,
    `${'requests/s'.padEnd(16)}${columns.map(({ perSecond }) => cell(Math.round(perSecond).toLocaleString('en'))).join('')}`,
  ].join('\n');
}

function mostOf(column: Column): string {
  const { what, attributed } = column;
  const line = ({ name, where, layer, us }: Attributed['byFunction'][number]): string => `  ${(us / column.requests).toFixed(2).padStart(6)} us  ${((us / attributed.busyUs) * 100).toFixed(1).padStart(4)} %  ${name} ${where === '' ? '' : `(${where})`}  ${layer}`;
  return [`${what}, most time in itself:`, ...attributed.byFunction.slice(0, FUNCTIONS_SHOWN).map(line)].join('\n');
}
