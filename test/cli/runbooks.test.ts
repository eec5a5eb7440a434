// The runbooks of docs/operating/failover.md, on processes: each command that stands there is run, in the situation that it stands there for.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterFile } from '../../src/local/cluster-file.ts';
import { commandsIn, wordsOf } from './documents.ts';
import { freePorts, start, type Program } from './programs.ts';
import { archipel, until, type Outcome } from './support.ts';

const [SEOUL, FRANKFURT, VIRGINIA] = ['ap-northeast-2', 'eu-central-1', 'us-east-1'] as const;
const REGIONS = [SEOUL, FRANKFURT, VIRGINIA];
const PATIENCE_MS = 60_000;

const written = commandsIn('docs/operating/failover.md');
const used = new Set<string>();

let folder: string;
let data: string;
let cluster: Program;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'archipel-runbooks-'));
  data = join(folder, 'data');
  used.add('up');
  cluster = start(['up', '--data', data, '--port', String(await freePorts(4)), '--reconcile-every', 'off', '--json']);
  await Promise.race([until(() => cluster.out(), (out) => out.endsWith('\n'), PATIENCE_MS), cluster.ended.then(({ err }) => Promise.reject(new Error(err)))]);
}, PATIENCE_MS);

afterAll(async () => {
  for (const { pid } of clusterFile().regions) process.kill(pid, 'SIGCONT');
  cluster.process.kill('SIGINT');
  await cluster.ended;
  rmSync(folder, { recursive: true });
}, PATIENCE_MS);

const clusterFile = (): ClusterFile => JSON.parse(readFileSync(join(data, 'cluster.json'), 'utf8')) as ClusterFile;
const pidOf = (region: string): number => clusterFile().regions.find(({ id }) => id === region)?.pid ?? 0;
const at = (...args: readonly string[]): Promise<Outcome> => archipel([...args, '--data', data]);

/** As it stands in the runbooks, with what `<…>` stands for in their order. */
async function runbook(command: string, values: readonly string[] = [], more: readonly string[] = []): Promise<Outcome> {
  expect(written).toContain(command);
  used.add(command);
  const left = [...values];
  return at(...wordsOf(command).map((word) => (word.startsWith('<') ? (left.shift() as string) : word)), ...more);
}

async function done(command: string, values: readonly string[] = []): Promise<string> {
  const { code, out, err } = await runbook(command, values, ['--json']);
  expect({ command, code, err }).toEqual({ command, code: 0, err: expect.any(String) as unknown });
  return out;
}

interface Shown {
  readonly control: string;
  readonly regions: readonly { readonly id: string; readonly state: string }[];
}
const stateIn = (out: string, region: string): string | undefined => (JSON.parse(out) as Shown).regions.find(({ id }) => id === region)?.state;
const put = async (pk: string, value: string, region: string, collection = 'demo'): Promise<void> => expect((await at('put', collection, pk, value, '--region', region)).code).toBe(0);
const everywhere = async (pk: string, value: string, collection = 'demo'): Promise<void> => {
  for (const region of REGIONS) await until(() => at('get', collection, pk, '--region', region), ({ out }) => out === value, PATIENCE_MS);
};
const untilWell = (): Promise<Outcome> => until(() => runbook('status'), ({ code }) => code === 0, PATIENCE_MS);

describe('runbooks', { timeout: 3 * PATIENCE_MS }, () => {
  it('look first: status ends with 0 when all is well, and top has a line for each look', async () => {
    await untilWell();
    const { out } = await runbook('top', [], ['--json', '--count', '1']);
    expect((JSON.parse(out) as { regions: { id: string }[] }).regions.map(({ id }) => id)).toEqual(REGIONS);
  });

  it('a region is slow: drained and returned, it serves and replicates on', async () => {
    expect(stateIn(await done('topology drain <region>', [FRANKFURT]), FRANKFURT)).toBe('draining');
    await put('drained', 'v', FRANKFURT);
    await everywhere('drained', 'v');
    expect(stateIn(await done('topology return <region>', [FRANKFURT]), FRANKFURT)).toBe('active');
  });

  it('a region is down: status says so, and ends with 2', async () => {
    process.kill(pidOf(VIRGINIA), 'SIGSTOP');
    const { out } = await until(() => runbook('status'), (answer) => answer.code === 2 && answer.out.includes('down'), PATIENCE_MS);
    expect(out).toContain(VIRGINIA);
    process.kill(pidOf(VIRGINIA), 'SIGCONT');
    await untilWell();
  });

  it('a witness watches from a third place', async () => {
    used.add('witness');
    const regions = clusterFile().regions.flatMap(({ id, url }) => ['--region', `${id}=${url}`]);
    const witness = start(['witness', ...regions, '--secret-file', join(data, 'secret'), '--json']);
    const told = await until(() => witness.out(), (out) => out.endsWith('\n'), PATIENCE_MS);
    expect(JSON.parse(told)).toMatchObject({ pid: witness.process.pid });
    witness.process.kill('SIGTERM');
    expect((await witness.ended).code).toBe(0);
  });

  it('a region must take no part: fenced it refuses, and is well when it was returned', async () => {
    expect(stateIn(await done('topology fence <region>', [VIRGINIA]), VIRGINIA)).toBe('fenced');
    await until(() => at('put', 'demo', 'fenced', 'v', '--region', VIRGINIA, '--timeout', '2s'), ({ code }) => code !== 0, PATIENCE_MS);
    expect(stateIn(await done('topology return <region>', [VIRGINIA]), VIRGINIA)).toBe('active');
    await untilWell();
    await until(() => at('put', 'demo', 'fenced', 'v', '--region', VIRGINIA), ({ code }) => code === 0, PATIENCE_MS);
  });

  it('the control region is lost for good, and comes back after all: its stranded writes are a group, accepted in one collection and restored in another', async () => {
    await at('collection', 'create', 'other');
    for (const peer of [FRANKFURT, VIRGINIA]) expect((await at('replication', 'pause', SEOUL, peer)).code).toBe(0);
    for (const collection of ['demo', 'other']) await put('stranded', 'of Seoul', SEOUL, collection);
    await put('alone', 'of Seoul', SEOUL);
    process.kill(pidOf(SEOUL), 'SIGSTOP');

    expect((JSON.parse(await done('topology show')) as Shown).control).toBe(SEOUL);
    expect((JSON.parse(await done('topology promote <another region>', [FRANKFURT])) as Shown).control).toBe(FRANKFURT);
    expect(stateIn(await done('topology lose <region> --yes', [SEOUL]), SEOUL)).toBe('lost');
    for (const collection of ['demo', 'other']) await put('stranded', 'of Frankfurt', FRANKFURT, collection);
    expect(JSON.parse(await done('reconcile'))).toMatchObject({ agreed: true });

    const pid = pidOf(SEOUL);
    process.kill(pid, 'SIGKILL'); // its supervisor starts it with its data
    await until(() => pidOf(SEOUL), (now) => now !== pid && now !== 0, PATIENCE_MS);
    for (const peer of [FRANKFURT, VIRGINIA]) await until(() => at('replication', 'resume', SEOUL, peer, '--timeout', '2s'), ({ code }) => code === 0, PATIENCE_MS);
    expect(stateIn(await done('topology return <region>', [SEOUL]), SEOUL)).toBe('active');
    for (const [pk, value] of [['alone', 'of Seoul'], ['stranded', 'of Frankfurt']] as const) await everywhere(pk, value);

    const listed = await until(() => runbook('conflicts list <collection>', ['demo'], ['--json']), ({ out }) => out.includes('"group"'), PATIENCE_MS);
    const group = (JSON.parse(listed.out) as { items: { group?: string }[] }).items.find((item) => item.group !== undefined)?.group as string;
    expect(group).toMatch(/^ap-northeast-2~/);
    const ofGroup = async (collection: string): Promise<string[]> => (JSON.parse(await done('conflicts list <collection> --group <group>', [collection, group])) as { items: { pk: string }[] }).items.map(({ pk }) => pk);
    expect([await ofGroup('demo'), await ofGroup('other')]).toEqual([['stranded'], ['stranded']]);
    await done('conflicts accept <collection> --group <group>', ['demo', group]);
    await done('conflicts restore <collection> --group <group>', ['other', group]);
    await everywhere('stranded', 'of Frankfurt');
    await everywhere('stranded', 'of Seoul', 'other');
    expect([await ofGroup('demo'), await ofGroup('other')]).toEqual([[], []]);
    await untilWell();
  });

  it('nothing else stands in them: but drills, which scripts/drills.ts runs, and a command that was run with more', () => {
    const isRun = (command: string): boolean => [...used].some((each) => each === command || each.startsWith(`${command} `));
    expect(written.filter((command) => !command.startsWith('drill run ') && !isRun(command))).toEqual([]);
  });
});
