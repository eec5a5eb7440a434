// A region's clock jumps an hour forward and back, while it runs and over a restart: no stamps are issued there, reads and
// replication go on both ways, and nothing that was acknowledged is beaten by something issued earlier in real time.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, sleep, until } from '../lib/cluster.ts';
import { inParallel, ms, Report } from '../lib/report.ts';

const HOUR = 3_600_000;
const BOUND_MS = 500;

const report = new Report('clock: an hour forward and back, running and over a restart');
const folder = mkdtempSync(join(tmpdir(), 'archipel-clock-'));
const ids = ['ap-northeast-2', 'eu-central-1', 'us-east-1'];
const offset = (id: string, milliseconds: number): void => writeFileSync(join(folder, id), String(milliseconds));
for (const id of ids) offset(id, 0);
const cluster = await Cluster.start({ regions: ids.join(','), proxies: true, arguments: ['--unsafe-testing', '--clock-offset-dir', folder] });
const [a, b, c] = ids as [string, string, string];

interface Issued {
  readonly pk: string;
  readonly value: string;
  readonly startMs: number;
  readonly endMs: number;
}

const acknowledged: Issued[] = [];
let serial = 0;
let writing = true;

/** Writers in all regions on a few keys, all the time: what they are promised is judged at the end. */
async function writer(where: string): Promise<void> {
  while (writing) {
    const pk = `hot${Math.floor(Math.random() * 20)}`;
    const value = `${where} ${serial++}`;
    const startMs = performance.now();
    const answer = await cluster.put(where, 'win', pk, value).catch(() => undefined);
    if (answer !== undefined && answer.status < 300) acknowledged.push({ pk, value, startMs, endMs: performance.now() });
    await sleep(20);
  }
}

const clockOf = async (id: string): Promise<string> => (await cluster.ask(id, '/v1/replication')).json<{ clock: string }>().clock;

async function jump(milliseconds: number, restart: boolean): Promise<void> {
  const what = `${milliseconds > 0 ? 'forward' : 'back'} one hour${restart ? ' over a restart' : ', running'}`;
  // Written at the region before its clock jumps, and held back until it is wrong.
  for (const peer of [a, c]) await cluster.ask(b, `/v1/replication/${peer}/pause`, { method: 'POST' });
  const owed = `owed ${what}`;
  await cluster.put(b, 'win', owed, 'from the region with the wrong clock');
  offset(b, milliseconds);
  if (restart) {
    const { pid } = cluster.region(b);
    cluster.kill(b);
    await until('the region is back', async () => cluster.region(b).pid !== pid && (await cluster.get(b, 'win', owed).then(({ status }) => status === 200, () => false)), 20_000);
  } else cluster.kill(b, 'SIGHUP');
  await sleep(100);
  const refused = await cluster.put(b, 'win', `refused ${what}`, 'x');
  report.check(`${what}: writes are refused with clock-unsafe`, refused.status === 503 && refused.text().includes('clock-unsafe'), `${refused.status} ${await clockOf(b)}`);
  for (const peer of [a, c]) await cluster.ask(b, `/v1/replication/${peer}/resume`, { method: 'POST' });
  const outMs = await until('what it owed arrives', async () => (await cluster.get(a, 'win', owed)).status === 200 && (await cluster.get(c, 'win', owed)).status === 200, 10_000).catch(() => Number.NaN);
  await cluster.put(a, 'win', `new ${what}`, 'from a region with a right clock');
  const inMs = await until('new writes arrive there', async () => (await cluster.get(b, 'win', `new ${what}`)).status === 200, 10_000).catch(() => Number.NaN);
  report.check(`${what}: reads go on, and replication both ways`, outMs < 10_000 && inMs < 10_000, `out ${ms(outMs)}, in ${ms(inMs)}`);
  await sleep(1_000);
  report.check(`${what}: it stays so while the clock is wrong`, (await cluster.put(b, 'win', `refused ${what}`, 'x')).status === 503);
  report.check(`${what}: the others go on writing`, (await cluster.put(a, 'win', 'other', what)).status < 300 && (await cluster.put(c, 'win', 'other', what)).status < 300);
  offset(b, 0);
  cluster.kill(b, 'SIGHUP');
  const backMs = await until('it takes writes again', async () => (await cluster.put(b, 'win', `after ${what}`, 'x')).status < 300, 10_000).catch(() => Number.NaN);
  report.check(`${what}: put right, it takes writes again`, backMs < 10_000, ms(backMs));
}

/** It can reach nobody when it starts, but is reached: then it must not believe its own clock either. */
async function jumpAlone(): Promise<void> {
  cluster.links({ cut: true }, `${b}>${a}`, `${b}>${c}`);
  offset(b, HOUR);
  const { pid } = cluster.region(b);
  cluster.kill(b);
  await until('the region is back', async () => cluster.region(b).pid !== pid && (await cluster.get(b, 'win', 'other').then(({ status }) => status === 200, () => false)), 20_000);
  const statuses: number[] = [];
  for (let i = 0; i < 20; i++) {
    statuses.push((await cluster.put(b, 'win', 'alone', 'x')).status);
    await sleep(100);
  }
  report.check('restarted with a wrong clock and links that only lead to it: writes are refused from the first on', statuses.every((status) => status === 503), [...new Set(statuses)].join(' '));
  offset(b, 0);
  cluster.kill(b, 'SIGHUP');
  cluster.links({});
  await until('it takes writes again', async () => (await cluster.put(b, 'win', 'alone', 'x')).status < 300, 10_000);
}

try {
  await cluster.collection('win', { conflict: 'lww' });
  const writers = ids.map(writer);
  await sleep(1_000);
  for (const restart of [false, true]) for (const milliseconds of [HOUR, -HOUR]) await jump(milliseconds, restart);
  await jumpAlone();
  writing = false;
  await Promise.all(writers);
  await cluster.quiet();
  const beaten: string[] = [];
  const pks = [...new Set(acknowledged.map(({ pk }) => pk))];
  await inParallel(pks, 8, async (pk) => {
    const stands = (await Promise.all(ids.map((id) => cluster.get(id, 'win', pk)))).map((answer) => answer.text());
    const winner = acknowledged.find(({ value }) => value === stands[0]);
    const latest = acknowledged.filter((each) => each.pk === pk).sort((one, other) => other.startMs - one.startMs)[0];
    if (new Set(stands).size !== 1) beaten.push(`${pk}: ${stands.join(' | ')}`);
    else if (winner !== undefined && latest !== undefined && winner.endMs < latest.startMs - BOUND_MS) beaten.push(`${pk}: ${winner.value} stands, though ${latest.value} was issued ${(latest.startMs - winner.endMs).toFixed(0)} ms later`);
  });
  report.check('no acknowledged write is beaten by one issued more than the bound earlier', beaten.length === 0, beaten[0] ?? `${acknowledged.length} acknowledged on ${pks.length} keys`);
} finally {
  writing = false;
  await cluster.end();
  rmSync(folder, { recursive: true });
}
report.end();
