// A first start: the first PUT at the edge is answered 201 within 5 s, only loopback listens, a second start finds the
// data, mistakes get one clear sentence and exit code 1, and a killed child comes back.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, freePorts, nodePath, root, sleep, until } from '../lib/cluster.ts';
import { ms, Report } from '../lib/report.ts';

const report = new Report('start: first PUT, loopback only, restart, mistakes');
const program = join(root, 'bin/archipel.js');
const folder = mkdtempSync(join(tmpdir(), 'archipel-'));

/** Addresses on which a process listens, from /proc (Linux). */
function listening(pid: number): string[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  return ['tcp', 'tcp6'].flatMap((kind) =>
    readFileSync(`/proc/${pid}/net/${kind}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[3] === '0A' && inodes.has(columns[9] as string))
      .map((columns) => columns[1] as string),
  );
}

function run(...args: readonly string[]): { readonly status: number | null; readonly stderr: string } {
  const { status, stderr } = spawnSync(nodePath, [program, ...args], { encoding: 'utf8', timeout: 20_000 });
  return { status, stderr };
}

let cluster = await Cluster.start({ folder });
try {
  const put = await cluster.put('edge', 'demo', 'first', 'hello');
  const tookMs = performance.now() - cluster.startedMs;
  report.check('the first PUT at the edge is answered 201 within 5 s of the start', put.status === 201 && tookMs < 5_000, `${put.status}, ${ms(tookMs)}`);

  const pids = [cluster.file.edge.pid, ...cluster.file.regions.map(({ pid }) => pid)];
  const addresses = pids.flatMap(listening);
  report.check('every process listens on 127.0.0.1 only', addresses.length >= pids.length && addresses.every((address) => address.startsWith('0100007F:')), addresses.join(' '));
  const modes = ['secret', 'admin.key', 'cluster.json'].map((name) => (statSync(join(folder, name)).mode & 0o777).toString(8));
  report.check('secrets are readable by their owner only', modes.every((mode) => mode === '600'), modes.join(' '));

  const second = run('up', '--data', folder, '--port', String(await freePorts(4)));
  report.check('a second start on the same data: one sentence, exit code 1', second.status === 1 && second.stderr.trim().split('\n').length === 1, second.stderr.trim());
  const other = mkdtempSync(join(tmpdir(), 'archipel-'));
  const port = run('up', '--data', other, '--port', String(cluster.port));
  report.check('a port in use: one sentence, exit code 1', port.status === 1 && port.stderr.trim().split('\n').length === 1, port.stderr.trim());
  rmSync(other, { recursive: true });
  const flag = run('up', '--no-such-flag');
  report.check('an unknown flag: a clear sentence, exit code 1', flag.status === 1 && /no-such-flag/.test(flag.stderr), flag.stderr.trim().split('\n')[0] ?? '');
  const unwritable = run('up', '--data', '/proc/archipel', '--port', String(await freePorts(4)));
  report.check('an unwritable folder: one sentence, exit code 1', unwritable.status === 1 && unwritable.stderr.trim().split('\n').length === 1, unwritable.stderr.trim());
  report.check('nothing was damaged', (await cluster.get('edge', 'demo', 'first')).text() === 'hello');

  const victim = cluster.regions[2] as string;
  const before = cluster.region(victim).pid;
  cluster.kill(victim);
  const backMs = await until('the killed region answers again', async () => cluster.region(victim).pid !== before && cluster.region(victim).pid > 0 && (await cluster.get(victim, 'demo', 'first').then(({ status }) => status === 200, () => false)), 15_000);
  report.check('a killed region comes back with a new pid in cluster.json', true, ms(backMs));

  const stopMs = await stopTime(cluster);
  report.check('stopping takes less than 3 s', stopMs < 3_000, ms(stopMs));
  cluster = await Cluster.start({ folder });
  report.check('a second start finds the data', (await cluster.get('edge', 'demo', 'first')).text() === 'hello');

  const orphans = cluster.file.regions.map(({ pid }) => pid).concat(cluster.file.edge.pid);
  await parentDies(cluster, orphans);
} finally {
  await cluster.end();
}
report.end();

async function stopTime(running: Cluster): Promise<number> {
  const started = performance.now();
  await running.stop();
  return performance.now() - started;
}

/** A child whose parent is gone ends itself. */
async function parentDies(running: Cluster, children: readonly number[]): Promise<void> {
  const parent = Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${children[0]}/status`, 'utf8'))?.[1]);
  process.kill(parent, 'SIGKILL');
  const tookMs = await until('the children end', () => children.every((pid) => !isAlive(pid)), 10_000).catch(() => Number.NaN);
  report.check('children whose parent is gone end themselves', tookMs < 10_000, ms(tookMs));
  await sleep(50);
  void running;
}

function isAlive(pid: number): boolean {
  try {
    return !/State:\s+Z/.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

