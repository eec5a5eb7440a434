// Reconciliation with replication paused: only what differs moves. A flipped byte is named and healed by the deep check. A
// region that was down over two schedules makes them up.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { Cluster, gone, nodePath, root, sleep, until } from '../lib/cluster.ts';
import { inParallel, isQuick, Report } from '../lib/report.ts';

const KEYS = isQuick ? 20_000 : 100_000;
const DIFFERENCES = 100;

interface Pair {
  readonly peer: string;
  readonly differing: number;
  readonly pushed: number;
  readonly pulled: number;
  readonly requests: number;
  readonly bytes: number;
  readonly rounds: number;
  readonly equal: boolean;
  readonly corrupt: { readonly pk: string }[];
  readonly certificate?: { readonly digest: string };
}

const report = new Report(`reconcile: ${KEYS} keys, ${DIFFERENCES} differences, replication paused`);
const cluster = await Cluster.start({ arguments: ['--no-restart'] });
const [a, b, c] = cluster.regions as [string, string, string];
const pair = (run: { pairs: unknown[] }, peer: string): Pair => (run.pairs as Pair[]).find((each) => each.peer === peer) as Pair;
try {
  await cluster.collection('many', { conflict: 'lww' });
  const value = 'x'.repeat(200);
  const started = performance.now();
  await inParallel(Array.from({ length: KEYS / 100 }, (_, i) => i), 16, async (batch) => {
    const operations = Array.from({ length: 100 }, (_, i) => ({ op: 'put', pk: `k${batch * 100 + i}`, valueBase64: Buffer.from(`${value}${batch * 100 + i}`).toString('base64') }));
    const answer = await cluster.ask(cluster.regions[batch % 3] as string, '/v1/c/many/batch', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ operations }), timeoutMs: 60_000 });
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text()}`);
  });
  await cluster.quiet(120_000);
  report.note(`${KEYS} keys in three regions after ${((performance.now() - started) / 1_000).toFixed(1)} s`);
  await sleep(2_500);

  const equal = pair(await cluster.reconcile(a, { peers: [b] }), b);
  report.check('equal regions: one request, about 100 bytes', equal.equal && equal.requests === 1 && equal.bytes <= 100, `${equal.requests} request, ${equal.bytes} bytes`);

  for (const [from, to] of [[a, b], [b, a]] as const) await cluster.ask(from, `/v1/replication/${to}/pause`, { method: 'POST' });
  const changed = Array.from({ length: DIFFERENCES }, (_, i) => `k${i * Math.floor(KEYS / DIFFERENCES)}`);
  await inParallel(changed, 8, async (pk, at) => void (await cluster.put(at % 2 === 0 ? a : b, 'many', pk, `changed ${pk}`)));
  await sleep(2_500); // older than what may be on its way
  const run = await cluster.reconcile(a, { peers: [b] });
  const moved = pair(run, b);
  report.check(`${DIFFERENCES} differences: only these move`, moved.differing === DIFFERENCES && moved.pushed <= DIFFERENCES && moved.pulled <= DIFFERENCES && moved.pushed + moved.pulled >= DIFFERENCES, `${moved.differing} differed, ${moved.pushed} pushed, ${moved.pulled} pulled, ${moved.requests} requests, ${moved.rounds} round trips to name them, ${moved.bytes} bytes with the states`);
  const values = await Promise.all(changed.map(async (pk) => (await Promise.all([a, b].map((id) => cluster.get(id, 'many', pk)))).map((answer) => answer.text())));
  report.check('and both regions hold them', values.every(([first, second], at) => first === second && first === `changed ${changed[at]}`));
  const again = pair(await cluster.reconcile(a, { peers: [b] }), b);
  report.check('then the pair has a certificate', again.equal && again.certificate !== undefined, again.certificate?.digest ?? 'none');
  for (const [from, to] of [[a, b], [b, a]] as const) await cluster.ask(from, `/v1/replication/${to}/resume`, { method: 'POST' });
  await cluster.quiet();

  // A byte is flipped in one value of a stopped store.
  const victim = 'k77';
  const { pid } = cluster.region(c);
  cluster.kill(c, 'SIGTERM');
  await gone(pid);
  await flipByte(join(cluster.region(c).data, 'db'), `${value}77`);
  const child = startRegion('60s');
  await cluster.ready(c);
  const deep = await cluster.reconcile(c, { peers: [a], deep: true });
  const found = pair(deep, a);
  report.check('the deep check names the item whose byte was flipped', found.corrupt.length === 1 && found.corrupt[0]?.pk === victim, JSON.stringify(found.corrupt));
  report.check('and heals it from the peer', (await cluster.get(c, 'many', victim)).text() === `${value}77`);
  await end(child);

  // Down over two schedules of 5 s.
  await cluster.put(a, 'many', 'while-down', 'v');
  await sleep(10_500);
  const back = startRegion('5s');
  await cluster.ready(c);
  const since = Date.now();
  const tookMs = await until('certificates with both peers, of runs made after the start', async () => {
    const { certificates } = (await cluster.ask(c, '/v1/certificates')).json<{ certificates: { regions: string[]; at: string }[] }>();
    return [a, b].every((peer) => certificates.some(({ regions, at }) => regions.includes(peer) && Date.parse(at) >= since - 3_000));
  }, 15_000).catch(() => Number.NaN);
  report.check('a region down over two schedules makes them up at its start', tookMs < 10_000, `${tookMs.toFixed(0)} ms after it was ready`);
  await end(back);
} finally {
  await cluster.end();
}
report.end();

async function end(child: ReturnType<typeof spawn>): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

function startRegion(every: string): ReturnType<typeof spawn> {
  const { url, data } = cluster.region(c);
  const peers = cluster.file.regions.filter((region) => region.id !== c).flatMap((region) => ['--peer', `${region.id}=${region.url}`]);
  const files = ['--topology', join(cluster.folder, 'topology.json'), '--secret-file', join(cluster.folder, 'secret'), '--admin-key-file', join(cluster.folder, 'admin.key')];
  return spawn(nodePath, [join(root, 'bin/archipel.js'), 'region', '--id', c, '--listen', new URL(url).host, '--data', data, '--reconcile-every', every, ...files, ...peers], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Through LevelDB itself, so that its own checksums do not see it: as a bit that flipped in memory before it was written. */
async function flipByte(folder: string, content: string): Promise<void> {
  const database = new ClassicLevel<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' });
  await database.open();
  const wanted = Buffer.from(content);
  for await (const [key, bytes] of database.iterator({ gte: Buffer.from('r'), lt: Buffer.from('s') })) {
    const stored = Buffer.from(bytes);
    const at = stored.indexOf(wanted);
    if (at < 0 || at + wanted.length !== stored.length) continue;
    stored[at + 10] = (stored[at + 10] as number) ^ 1;
    await database.put(key, stored, { sync: true });
    break;
  }
  await database.close();
}
