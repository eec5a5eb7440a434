// `up` and `region` as processes: what they refuse, how they end.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClusterFile } from '../../src/local/cluster-file.ts';
import { archipel, until } from './support.ts';
import { closed, freePorts, isAlive, listenOn, runProgram, start, type Program } from './programs.ts';

let folder: string;
const programs: Program[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'archipel-processes-'));
});
afterAll(async () => {
  for (const { process: each } of programs) each.kill('SIGKILL');
  await Promise.all(programs.map(({ ended }) => ended));
  rmSync(folder, { recursive: true });
});

const SECONDS = 1_000;

function startLone(data: string, port = 0): Program {
  const program = start(['region', '--id', 'eu-central-1', '--listen', `127.0.0.1:${port}`, '--data', data, '--no-auth', '--json']);
  programs.push(program);
  return program;
}

async function urlOf(program: Program): Promise<string> {
  const line = await until(() => program.out(), (out) => out.endsWith('\n'));
  return (JSON.parse(line) as { url: string }).url;
}

it('a port in use: one sentence, exit code 1, the folder as it was', async () => {
  const port = await freePorts(4);
  const other = await listenOn(port + 2);
  const data = join(folder, 'taken');
  const { code, out, err } = await runProgram('up', '--data', data, '--port', String(port));
  await closed(other);
  expect({ code, out, err }).toEqual({ code: 1, out: '', err: `127.0.0.1:${port + 2} is in use. Choose other ports with --port: the edge takes that one, the regions those after it.\n` });
  expect(readdirSync(data)).toEqual(['lock']);
}, 20 * SECONDS);

it('a folder that cannot be one: one sentence, exit code 1', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, 'mine');
  const port = String(await freePorts(4));
  expect(await runProgram('up', '--data', join(file, 'x'), '--port', port)).toEqual({ code: 1, out: '', err: `The folder ${file}/x cannot be made: a file is in the way.\n` });
  expect(await runProgram('up', '--data', file, '--port', port)).toEqual({ code: 1, out: '', err: `The folder ${file} cannot be made: a file is in the way.\n` });
  expect(readFileSync(file, 'utf8')).toBe('mine');
  if (existsSync('/proc/self')) expect(await runProgram('up', '--data', '/proc/x', '--port', port)).toEqual({ code: 1, out: '', err: 'The folder /proc/x cannot be written (ENOENT).\n' });
}, 20 * SECONDS);

it('a certificate that is none: one sentence, exit code 1, nothing made', async () => {
  const file = join(folder, 'certificate');
  writeFileSync(file, 'nonsense');
  const { code, err } = await runProgram('up', '--data', join(folder, 'tls'), '--tls-cert', file, '--tls-key', file);
  expect(code).toBe(1);
  expect(err).toMatch(/^\S+ and \S+ are not a TLS certificate and its key \(.*\)\.\n$/);
  expect(existsSync(join(folder, 'tls'))).toBe(false);
}, 20 * SECONDS);

it('over TLS: regions and edge speak it, and a client that does not trust the certificate is told so, and has written nothing', async () => {
  const [certificate, key] = ['loopback-certificate.pem', 'loopback-key.pem'].map((name) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))) as [string, string];
  const data = join(folder, 'over-tls');
  const cluster = start(['up', '--data', data, '--port', String(await freePorts(3)), '--regions', '2', '--tls-cert', certificate, '--tls-key', key, '--json']);
  programs.push(cluster);
  const { edge, adminKey } = JSON.parse(await until(() => cluster.out(), (out) => out.endsWith('\n'), 20 * SECONDS)) as ClusterFile;
  expect(edge.url).toMatch(/^https:/);
  expect((await archipel(['put', 'demo', 'k', 'v', '--replicate-to', '1', '--data', data])).code).toBe(0);
  const asked = ['--url', edge.url, '--key', String(adminKey)];
  expect(await archipel(['put', 'demo', 'k', 'w', ...asked])).toEqual({ code: 1, out: '', err: `${edge.url} gave no answer (its certificate is not trusted; give it with --ca).\n` });
  expect((await archipel(['get', 'demo', 'k', ...asked, '--ca', certificate])).out).toBe('v');
}, 40 * SECONDS);

it('a child that dies is started again after 100 ms, and after twice as long as the last time when it died at once', async () => {
  const data = join(folder, 'dying');
  const cluster = start(['up', '--data', data, '--port', String(await freePorts(2)), '--regions', '1', '--no-auth', '--json']);
  programs.push(cluster);
  await until(() => cluster.out(), (out) => out.endsWith('\n'), 20 * SECONDS);
  const edgePid = (): number => (JSON.parse(readFileSync(join(data, 'cluster.json'), 'utf8')) as ClusterFile).edge.pid;
  for (let pid = edgePid(), kills = 0; kills < 3; kills++) {
    process.kill(pid, 'SIGKILL');
    const killed = pid;
    pid = await until(edgePid, (now) => now !== killed && now !== 0);
  }
  cluster.process.kill('SIGTERM');
  const { err } = await cluster.ended;
  const waits = [...err.matchAll(/"event":"process.died".*"startsAgainInMs":(\d+)/g)].map(([, ms]) => Number(ms));
  expect([waits.length, waits[0]]).toEqual([3, 100]);
  expect(waits.filter((ms, at) => at > 0 && ms !== 100 && ms !== 2 * (waits[at - 1] as number))).toEqual([]);
}, 40 * SECONDS);

it('one region alone: says where it answers, keeps its folder to itself, ends at SIGTERM, finds its data again', async () => {
  const data = join(folder, 'alone');
  const first = startLone(data);
  const url = await urlOf(first);
  expect((await archipel(['collection', 'create', 'c', '--url', url])).code).toBe(0);
  expect((await archipel(['put', 'c', 'k', 'v', '--url', url])).code).toBe(0);

  const secret = readFileSync(join(data, 'secret'), 'utf8');
  expect([secret.length, statSync(join(data, 'secret')).mode & 0o777]).toEqual([65, 0o600]);

  expect(await startLone(data).ended).toEqual({ code: 1, out: '', err: `Another process has ${data}/db open.\n` });
  expect(await startLone(join(folder, 'other'), Number(new URL(url).port)).ended).toEqual({ code: 1, out: '', err: `${new URL(url).host} is in use.\n` });
  expect(existsSync(join(folder, 'other'))).toBe(false);

  first.process.kill('SIGTERM');
  expect((await first.ended).code).toBe(0);
  expect((await archipel(['get', 'c', 'k', '--url', await urlOf(startLone(data))])).out).toBe('v');
  expect(readFileSync(join(data, 'secret'), 'utf8')).toBe(secret);
}, 60 * SECONDS);

it('a process whose parent is gone ends itself', async () => {
  const child = start(['region', '--id', 'eu-central-1', '--listen', '127.0.0.1:0', '--data', join(folder, 'orphan'), '--no-auth'], { channel: true });
  programs.push(child);
  const [message] = (await once(child.process, 'message')) as unknown[];
  expect(message).toEqual({ ready: true });
  child.process.disconnect();
  expect(await child.ended).toEqual({ code: 0, out: '', err: '' });
}, 20 * SECONDS);

it('npm start: a signal to npm alone, as supervisors send it, ends the cluster', async () => {
  const data = join(folder, 'by-npm');
  const npm = spawn('npm', ['start', '--silent', '--', '--data', data, '--port', String(await freePorts(2)), '--regions', '1', '--no-auth', '--json'], { cwd: fileURLToPath(new URL('../..', import.meta.url)), detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = (await once(npm.stdout, 'data')) as [Buffer];
  const { edge, regions } = JSON.parse(line.toString()) as ClusterFile; // and nothing else: npm is silent
  npm.kill('SIGTERM');
  const [code] = (await once(npm, 'exit')) as [number | null];
  const left = [edge.pid, ...regions.map(({ pid }) => pid)].filter(isAlive);
  if (left.length > 0) process.kill(-(npm.pid as number), 'SIGKILL');
  expect({ code, left }).toEqual({ code: 0, left: [] });
  expect(existsSync(join(data, 'cluster.json'))).toBe(false);

  const again = start(['up', '--data', data, '--port', String(await freePorts(4)), '--no-auth', '--json']);
  programs.push(again);
  const second = JSON.parse(await until(() => again.out(), (out) => out.endsWith('\n'), 20 * SECONDS)) as ClusterFile;
  expect(second.regions.map(({ id }) => id)).toEqual(regions.map(({ id }) => id)); // the data says which, not the default
}, 60 * SECONDS);

it('a parent that is killed takes its processes with it, also while they are starting', async () => {
  const data = join(folder, 'killed');
  const port = await freePorts(3);
  const parent = start(['up', '--data', data, '--port', String(port), '--regions', '2', '--no-auth']);
  programs.push(parent);
  await until(() => existsSync(join(data, 'eu-central-1', 'db')), Boolean);
  parent.process.kill('SIGKILL');
  await parent.ended; // when the last process that writes to its terminal is gone
  expect(isAlive(parent.process.pid as number)).toBe(false);
  expect(await Promise.all([port, port + 1, port + 2].map(async (each) => closed(await listenOn(each))))).toHaveLength(3);
}, 60 * SECONDS);

it('two regions, one killed: down by the word of the other and of the edge, and of a witness that is started; the edge asks it no more', async () => {
  const data = join(folder, 'two');
  const cluster = start(['up', '--data', data, '--port', String(await freePorts(3)), '--regions', '2', '--no-restart', '--no-auth', '--hedge-ms', '1', '--json']);
  programs.push(cluster);
  const { edge, regions } = JSON.parse(await until(() => cluster.out(), (out) => out.endsWith('\n'), 20 * SECONDS)) as ClusterFile;
  const [left, killed] = regions as readonly [ClusterFile['regions'][number], ClusterFile['regions'][number]];
  const metricsAfterRead = async (): Promise<string> => {
    await fetch(`${edge.url}/v1/c/demo/items/k`);
    return (await fetch(`${edge.url}/metrics`)).text();
  };
  await until(metricsAfterRead, (text) => /what="hedged"\} [1-9]/.test(text)); // sooner or later one takes a millisecond
  process.kill(killed.pid, 'SIGKILL');
  interface Told { readonly peers: readonly { readonly verdict: string; readonly suspectedBy: readonly string[] }[] }
  const seen = async (): Promise<Told['peers'][number]> => ((await (await fetch(`${left.url}/v1/replication`)).json()) as Told).peers[0] as Told['peers'][number];
  const { suspectedBy } = await until(seen, ({ verdict }) => verdict === 'down', 20 * SECONDS);
  expect([suspectedBy[0], suspectedBy[1]?.split('-')[0], suspectedBy.length]).toEqual([left.id, 'edge', 2]);
  const down = await until(async () => (await fetch(`${edge.url}/metrics`)).text(), (text) => text.includes(`archipel_edge_region_down{region="${killed.id}"} 1`));
  expect(down).toContain(`archipel_edge_region_down{region="${left.id}"} 0`);

  const witness = start(['witness', ...regions.flatMap(({ id, url }) => ['--region', `${id}=${url}`]), '--secret-file', join(data, 'secret'), '--json']);
  programs.push(witness);
  const { observer } = JSON.parse(await until(() => witness.out(), (out) => out.endsWith('\n'))) as { readonly observer: string };
  expect((await until(seen, ({ suspectedBy: by }) => by.includes(observer))).suspectedBy).toHaveLength(3);
  witness.process.kill('SIGTERM');
  const ended = await witness.ended;
  expect(ended.code).toBe(0);
  expect(ended.err).toContain('"event":"region.verdict"');
}, 60 * SECONDS);

it('two regions and three observers to agree: one that is killed is suspected by the other and the edge, and down when a witness says so too', async () => {
  const data = join(folder, 'three');
  const cluster = start(['up', '--data', data, '--port', String(await freePorts(3)), '--regions', '2', '--no-restart', '--no-auth', '--observers-agree', '3', '--json']);
  programs.push(cluster);
  const { regions } = JSON.parse(await until(() => cluster.out(), (out) => out.endsWith('\n'), 20 * SECONDS)) as ClusterFile;
  const [left, killed] = regions as readonly [ClusterFile['regions'][number], ClusterFile['regions'][number]];
  process.kill(killed.pid, 'SIGKILL');
  const seen = async (): Promise<string> => {
    const { peers } = (await (await fetch(`${left.url}/v1/replication`)).json()) as { readonly peers: readonly { readonly verdict: string; readonly suspectedBy?: readonly string[] }[] };
    return `${peers[0]?.verdict} by ${peers[0]?.suspectedBy?.length}`;
  };
  await until(seen, (what) => what === 'suspect by 2', 20 * SECONDS);
  programs.push(start(['witness', ...regions.flatMap(({ id, url }) => ['--region', `${id}=${url}`]), '--secret-file', join(data, 'secret'), '--json']));
  await until(seen, (what) => what === 'down by 3', 20 * SECONDS);
}, 60 * SECONDS);

it('a witness without regions, or without a secret that could be one: a sentence, exit code 1', async () => {
  const secret = join(folder, 'no-secret');
  writeFileSync(secret, 'short');
  expect(await archipel(['witness', '--secret-file', secret])).toEqual({ code: 1, out: '', err: 'Give at least one --region id=url.\n' });
  const region = ['--region', 'eu-central-1=http://127.0.0.1:1'];
  expect(await archipel(['witness', ...region, ...region, '--secret-file', secret])).toEqual({ code: 1, out: '', err: 'Each --region is another one, named once.\n' });
  expect((await archipel(['witness', ...region, '--secret-file', secret])).err).toMatch(/^The file .* holds no secret that regions could share/);
});
