// Durable before it is answered or sent (counted with strace), and a full disk: 503, reads go on, writes go on when there
// is space again, without a restart.

import { randomBytes } from 'node:crypto';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask, freePorts, nodePath, root, sleep, until, type Answer } from '../lib/cluster.ts';
import { Report } from '../lib/report.ts';

const report = new Report('durability: synced before it is answered; a full disk');
const program = join(root, 'bin/archipel.js');
const has = (tool: string): boolean => spawnSync('which', [tool]).status === 0;

interface Alone {
  readonly id?: string;
  readonly port?: number;
  readonly wrap?: readonly string[];
  readonly more?: readonly string[];
}

async function alone(data: string, { id = 'eu-central-1', port, wrap = [], more = [] }: Alone = {}): Promise<{ readonly url: string; readonly child: ChildProcess }> {
  const at = port ?? (await freePorts(1));
  const [command, ...args] = [...wrap, nodePath, program, 'region', '--id', id, '--listen', `127.0.0.1:${at}`, '--data', data, '--no-auth', '--reconcile-every', 'off', ...more] as [string, ...string[]];
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', process.env['ARCHIPEL_LOG'] === undefined ? 'ignore' : 'inherit'] });
  const url = `http://127.0.0.1:${at}`;
  await until('the region is ready', () => ask(url, '/readyz', { timeoutMs: 1_000 }).then(({ status }) => status === 200, () => false), 20_000);
  await ask(url, '/v1/c/demo', { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"conflict":"lww"}' });
  return { url, child };
}

const valueOf = (i: number): string => `value-${i}.${'-'.repeat(40)}`;

const put = (url: string, pk: string, body: string): Promise<Answer> => ask(url, `/v1/c/demo/items/${pk}`, { method: 'PUT', headers: { 'content-type': 'text/plain' }, body });

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

// Synced before it is answered ---------------------------------------------------------------------------------------------------

interface Call {
  readonly name: string;
  readonly text: string;
  readonly startSec: number;
  readonly endSec: number;
}

/** Lines of `strace -f -ttt -T`: calls that were interrupted by others are put together again. */
function parseTrace(trace: string): Call[] {
  const open = new Map<string, { name: string; text: string; startSec: number }>();
  const calls: Call[] = [];
  for (const line of trace.split('\n')) {
    const [, pid = '', time = '', rest = ''] = /^(\d+)\s+(\d+\.\d+) (.*)$/.exec(line) ?? [];
    const startSec = Number(time);
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    if (resumed !== null) {
      const begun = open.get(pid);
      if (begun !== undefined) calls.push({ ...begun, endSec: startSec });
      open.delete(pid);
      continue;
    }
    const name = /^(\w+)\(/.exec(rest)?.[1];
    if (name === undefined) continue;
    if (rest.includes('<unfinished ...>')) open.set(pid, { name, text: rest, startSec });
    else calls.push({ name, text: rest, startSec, endSec: startSec + Number(/<(\d+\.\d+)>$/.exec(rest)?.[1] ?? 0) });
  }
  return calls.sort((one, other) => one.startSec - other.startSec);
}

const fileOf = (call: string): string | undefined => /^\w+\(\d+<([^>]*)>/.exec(call)?.[1];

async function synced(): Promise<void> {
  if (!has('strace')) return void report.check('strace is installed', false, 'apt-get install strace');
  const PUTS = 200;
  const data = mkdtempSync(join(tmpdir(), 'archipel-'));
  const file = join(data, 'trace');
  const secret = join(data, 'secret');
  writeFileSync(secret, 'of a test, and long enough');
  const port = await freePorts(2);
  const shared = ['--secret-file', secret];
  const peer = await alone(join(data, 'peer'), { id: 'us-east-1', port: port + 1, more: ['--peer', `eu-central-1=http://127.0.0.1:${port}`, ...shared] });
  const traced = ['strace', '-f', '-y', '-ttt', '-T', '-s', '65536', '-o', file, '-e', 'trace=fdatasync,fsync,write,writev,sendto,sendmsg'];
  const { url, child } = await alone(join(data, 'region'), { port, wrap: traced, more: ['--peer', `us-east-1=${peer.url}`, ...shared] });
  const statuses: number[] = [];
  for (let i = 0; i < PUTS; i++) statuses.push((await put(url, `durable-${i}`, valueOf(i))).status);
  await until('the peer has all', async () => (await ask(peer.url, `/v1/c/demo/items/durable-${PUTS - 1}`)).status === 200);
  const pid = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')[0]);
  process.kill(pid, 'SIGTERM');
  await new Promise((resolve) => child.once('exit', resolve));
  await end(peer.child);

  const calls = parseTrace(readFileSync(file, 'utf8'));
  const writes = calls.filter(({ name }) => /^(write|writev|sendto|sendmsg)$/.test(name));
  const toSocket = writes.filter(({ text }) => /^\w+\(\d+<(socket|TCP)/.test(text));
  const toJournal = writes.filter(({ text }) => /^\w+\(\d+<[^>]*\/journal\/\d+>/.test(text));
  const answers = toSocket.filter(({ text }) => text.includes('HTTP/1.1 201')).slice(-PUTS); // the first is of the collection
  const syncs = calls.filter(({ name }) => name === 'fdatasync' || name === 'fsync');
  const early: string[] = [];
  let sent = 0;
  for (let i = 0; i < PUTS; i++) {
    // The write of the journal that carries the value, and the first sync of that file after it.
    const logged = toJournal.find(({ text }) => text.includes(`value-${i}.`));
    const sync = logged === undefined ? undefined : syncs.find(({ startSec, text }) => startSec >= logged.startSec && fileOf(text) === fileOf(logged.text));
    const left = [answers[i], ...toSocket.filter(({ text }) => text.includes(`value-${i}.`))];
    if (logged === undefined) early.push(`PUT ${i}: the write of the journal was not seen`);
    else if (sync === undefined) early.push(`PUT ${i}: no sync was seen after the journal was written`);
    else if (left[0] === undefined) early.push(`PUT ${i}: its answer was not seen`);
    else if (left.some((call) => (call as Call).startSec < sync.endSec)) early.push(`PUT ${i} was answered or sent before its sync ended`);
    sent += left.length - 1;
  }
  report.check(`${PUTS} PUTs by one client: at least ${PUTS} syncs`, statuses.every((status) => status === 201) && syncs.length >= PUTS, `${syncs.length} syncs`);
  report.check('none answered, and none sent to the peer, before its sync', early.length === 0 && sent >= PUTS * 0.9, early[0] ?? `${answers.length} answers, ${sent} sends seen`);
  rmSync(data, { recursive: true });
}

// A full disk --------------------------------------------------------------------------------------------------------------------

async function fullDisk(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'archipel-full-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', folder]).status === 0;
  if (!mounted && process.env['ARCHIPEL_IN_NAMESPACE'] === undefined) {
    // Without root: the same script again in a user namespace of its own, in which mounting is allowed.
    const inside = spawnSync('unshare', ['-Urm', nodePath, import.meta.filename, '--only-full-disk'], { stdio: 'inherit', env: { ...process.env, ARCHIPEL_IN_NAMESPACE: '1' } });
    report.check('full disk, in a user namespace', inside.status === 0);
    return;
  }
  if (!mounted) return void report.check('a tmpfs of 64 MB can be mounted', false);
  try {
    const { url, child } = await alone(join(folder, 'region'));
    await put(url, 'before', 'kept');
    const ballast = join(folder, 'ballast');
    const value = randomBytes(4_500).toString('hex'); // half of it compresses away
    let written = 0;
    let refused: Answer | undefined;
    for (; written < 40_000 && refused === undefined; written++) {
      const answer = await put(url, `fill-${written}`, value);
      if (answer.status !== 201) refused = answer;
    }
    report.check('when the disk is nearly full a PUT is 503', refused?.status === 503, `after ${written} PUTs of 9 KB: ${refused?.status} ${refused?.json<{ type: string }>().type}`);
    // And then truly full, by somebody else's file.
    fill(ballast);
    const more = await Promise.all(Array.from({ length: 20 }, (_, i) => put(url, `more-${i}`, value)));
    report.check('a disk without a free byte: still 503, nothing else', more.every(({ status }) => status === 503), [...new Set(more.map(({ status }) => status))].join(' '));
    const reads = await Promise.all(['before', 'fill-0', `fill-${written - 2}`].map((pk) => ask(url, `/v1/c/demo/items/${pk}`)));
    report.check('reads go on', reads.every(({ status }) => status === 200), reads.map(({ status }) => status).join(' '));
    rmSync(ballast);
    spawnSync('mount', ['-o', 'remount,size=256m', folder]);
    const tookMs = await until('a PUT is taken again', async () => (await put(url, 'after', 'taken')).status === 201, 10_000).catch(() => Number.NaN);
    report.check('with space again writes go on within 5 s, without a restart', tookMs < 5_000, `${tookMs.toFixed(0)} ms`);
    await end(child);
    const again = await alone(join(folder, 'region'));
    const kept = await Promise.all(Array.from({ length: written - 1 }, (_, i) => ask(again.url, `/v1/c/demo/items/fill-${i}`).then(({ status }) => status)));
    report.check('every acknowledged write is there after a restart', kept.every((status) => status === 200), `${kept.length}`);
    await end(again.child);
  } finally {
    spawnSync('umount', ['-l', folder]);
    if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
  }
}

function fill(path: string): void {
  for (let size = 1 << 20; size >= 1; size = Math.floor(size / 2)) {
    for (;;) {
      try {
        writeFileSync(path, Buffer.alloc(size), { flag: 'a' });
      } catch {
        break;
      }
    }
  }
}

if (!process.argv.includes('--only-full-disk')) await synced();
await fullDisk();
await sleep(10);
report.end();
