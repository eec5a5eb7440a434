// Every acknowledged write is accounted for: clients write hot keys in all regions while regions are killed, one after the
// other; then one region comes back with its folder wiped, and once more with an older copy of it.
//
//   node scripts/account.ts [--quick] [--kills N]

import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { takeAccount, type Account } from './lib/account.ts';
import { Cluster, nodePath, root, sleep, until } from './lib/cluster.ts';
import { isQuick, Report } from './lib/report.ts';
import { Workload } from './lib/workload.ts';

const flag = process.argv.indexOf('--kills');
const KILLS = flag > 0 ? Number(process.argv[flag + 1]) : isQuick ? 15 : 50;
const KILL_EVERY_MS = 2_000;
const CLIENTS = 16;
const KEYS = 100;
const WRITE_ON_MS = isQuick ? 4_000 : 10_000;

const names = { lww: 'win', siblings: 'sib' };
const pks = (prefix: string): string[] => Array.from({ length: KEYS }, (_, i) => `${prefix}${i}`);

async function prepare(cluster: Cluster): Promise<Workload> {
  await cluster.collection(names.lww, { conflict: 'lww' });
  await cluster.collection(names.siblings, { conflict: 'siblings' });
  return new Workload({ urls: cluster.regions.map((id) => cluster.url(id)), key: cluster.key, clients: CLIENTS, lww: { collection: names.lww, pks: pks('l') }, siblings: { collection: names.siblings, pks: pks('s') } });
}

function judge(report: Report, account: Account, workload: Workload, compared: 'all' | 'live' = 'all'): void {
  report.check('no acknowledged write is missing from the account', account.missing.length === 0, `${account.acknowledged} acknowledged, ${account.unknown} unknown, ${account.ledgerRows} in ledgers, ${account.throughRetries} superseded by a write that was done twice`);
  for (const write of account.missing.slice(0, 5)) report.note(`missing: ${JSON.stringify(write)}`);
  report.check('no dot was issued twice', account.reissued.length === 0, account.reissued[0] ?? '');
  report.check(`the dumps of all regions are equal${compared === 'live' ? ' in what lives' : ''}`, account.dumpsEqual, account.differing ?? '');
  report.note(`statuses ${JSON.stringify(Object.fromEntries([...workload.stats.statuses].sort()))}, retries ${workload.stats.retries}, broken connections ${workload.stats.failures}`);
}

async function underKills(): Promise<void> {
  const report = new Report(`account: ${CLIENTS} clients, ${2 * KEYS} hot keys, kill -9 of a random region every ${KILL_EVERY_MS / 1_000} s, ${KILLS} kills`);
  const cluster = await Cluster.start();
  try {
    const workload = await prepare(cluster);
    workload.start();
    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(KILL_EVERY_MS);
      cluster.kill(cluster.regions[Math.floor(Math.random() * cluster.regions.length)] as string);
    }
    await sleep(KILL_EVERY_MS);
    await workload.stop();
    for (const id of cluster.regions) await cluster.ready(id);
    await cluster.quiet(180_000);
    judge(report, await takeAccount(cluster, names, workload.writes), workload);
  } finally {
    await cluster.end();
  }
  report.end();
}

/** One region's process, started by hand as on a machine of its own: its parent leaves it dead. */
function startRegion(cluster: Cluster, id: string): ChildProcess {
  const { url, data } = cluster.region(id);
  const peers = cluster.file.regions.filter((region) => region.id !== id).flatMap((region) => ['--peer', `${region.id}=${region.url}`]);
  const files = ['--topology', join(cluster.folder, 'topology.json'), '--secret-file', join(cluster.folder, 'secret'), '--admin-key-file', join(cluster.folder, 'admin.key')];
  const args = ['region', '--id', id, '--listen', new URL(url).host, '--data', data, '--reconcile-every', '60s', ...files, ...peers];
  return spawn(nodePath, [join(root, 'bin/archipel.js'), ...args], { stdio: ['ignore', 'ignore', process.env['ARCHIPEL_LOG'] === undefined ? 'ignore' : 'inherit'] });
}

async function endRegion(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  await ended;
}

async function withFolder(what: 'wiped' | 'replaced by an older copy'): Promise<void> {
  const report = new Report(`account: the folder of one region is ${what} while it is stopped and the others write on`);
  const cluster = await Cluster.start({ arguments: ['--no-restart'] });
  const victim = cluster.regions[1] as string;
  const { data, url } = cluster.region(victim);
  const copy = `${data}.copy`;
  let child: ChildProcess | undefined;
  try {
    const workload = await prepare(cluster);
    const everywhere = workload.urls;
    const elsewhere = everywhere.filter((each) => each !== url);
    workload.start();
    await sleep(WRITE_ON_MS / 2);
    // The copy is taken of a stopped store, as a backup would be; then the region writes on for a while.
    workload.urls = elsewhere;
    await sleep(500);
    cluster.kill(victim);
    await sleep(300);
    cpSync(data, copy, { recursive: true });
    child = startRegion(cluster, victim);
    await cluster.ready(victim);
    workload.urls = everywhere;
    await sleep(WRITE_ON_MS / 2);

    workload.urls = elsewhere;
    await sleep(3_500); // what was under way with the victim ends
    await until('live RPO of the victim reads 0', async () => (await cluster.unreplicated(victim)) === 0);
    await endRegion(child);
    rmSync(data, { recursive: true });
    if (what !== 'wiped') cpSync(copy, data, { recursive: true });
    await sleep(WRITE_ON_MS);
    child = startRegion(cluster, victim);
    const backMs = await cluster.ready(victim, 180_000);
    workload.urls = everywhere;
    await sleep(WRITE_ON_MS / 2);
    await workload.stop();
    await cluster.quiet(180_000);
    report.note(`ready again after ${backMs.toFixed(0)} ms`);
    judge(report, await takeAccount(cluster, names, workload.writes, 'live'), workload, 'live');
    const actors = new Set(workload.writes.flatMap(({ dot }) => (dot?.startsWith(victim) === true ? [dot.split('@')[0]] : [])));
    report.check('the region came back as a new incarnation', actors.size >= 2, [...actors].join(', '));
  } finally {
    if (child !== undefined && child.exitCode === null) await endRegion(child, 'SIGTERM');
    await cluster.end();
    rmSync(copy, { recursive: true, force: true });
  }
  report.end();
}

await underKills();
await withFolder('wiped');
await withFolder('replaced by an older copy');
