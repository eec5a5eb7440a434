// A drill against a cluster that runs: by its addresses, with a command for the step that HTTP cannot do.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DrillReport } from '../../src/drill/report.ts';
import type { ClusterFile } from '../../src/local/cluster-file.ts';
import { freePorts, start, type Program } from '../cli/programs.ts';
import { archipel, until, type Outcome } from '../cli/support.ts';

const PATIENCE_MS = 60_000;
const DRILL = `
drill: drained-and-killed
about: The nearest region is drained and killed, is started again by its supervisor, and returned.
load: { rate: 50, reads: 0.5, keys: 50, through: edge }
steps:
  - { at: 3s, drain: first }
  - { at: 5s, kill: first }
  - { at: 6s, start: first }
  - { at: 8s, return: first }
end: 10s
expect:
  - lost = 0
  - conflicts <= 20
  - converged within 30s
  - copies equal
control: record-overlooked
`;

let folder: string;
let cluster: Program;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'archipel-given-'));
  writeFileSync(join(folder, 'drill.yaml'), DRILL);
  cluster = start(['up', '--data', join(folder, 'data'), '--port', String(await freePorts(4)), '--reconcile-every', 'off', '--json']);
  await Promise.race([until(() => cluster.out(), (out) => out.endsWith('\n'), PATIENCE_MS), cluster.ended.then(({ err }) => Promise.reject(new Error(err)))]);
}, PATIENCE_MS);

afterAll(async () => {
  cluster.process.kill('SIGINT');
  await cluster.ended;
  rmSync(folder, { recursive: true });
}, PATIENCE_MS);

const clusterFile = (): ClusterFile => JSON.parse(readFileSync(join(folder, 'data', 'cluster.json'), 'utf8')) as ClusterFile;

/** Its supervisor starts what was killed, so that `start` has nothing to do. */
const STEP = `const { regions } = JSON.parse(require('fs').readFileSync(process.argv[1], 'utf8')); const [,, verb, region] = process.argv; require('fs').appendFileSync(process.argv[1] + '.steps', verb + ' ' + region + '\\n'); if (verb === 'kill') process.kill(regions.find(({ id }) => id === region).pid, 'SIGKILL')`;

function run(...more: readonly string[]): Promise<Outcome> {
  const { edge, regions, adminKey } = clusterFile();
  const command = `'${process.execPath}' -e "${STEP}" '${join(folder, 'data', 'cluster.json')}' {verb} {region}`;
  return archipel(['drill', 'run', join(folder, 'drill.yaml'), '--on', [edge.url, ...regions.map(({ url }) => url)].join(), '--key', adminKey as string, '--do', command, ...more]);
}

it('drained, killed by the command, returned: passed, twice, on what the first run left', { timeout: 4 * PATIENCE_MS }, async () => {
  const { pid } = clusterFile().regions[0] as { pid: number };
  const first = await run('--report', folder);
  expect(first).toMatchObject({ code: 0 });
  expect(clusterFile().regions[0]?.pid).not.toBe(pid);
  expect(readFileSync(join(folder, 'data', 'cluster.json.steps'), 'utf8')).toBe('kill ap-northeast-2\nstart ap-northeast-2\n'); // the others are done by HTTP
  const report = JSON.parse(readFileSync(join(folder, 'drained-and-killed.json'), 'utf8')) as DrillReport;
  expect(report).toMatchObject({ place: 'given', regions: ['ap-northeast-2', 'eu-central-1', 'us-east-1'], passed: true, measured: { lost: 0, copiesEqual: true } });
  expect(report.measured.acknowledged).toBeGreaterThan(100);
  expect(await run()).toMatchObject({ code: 0 });
  const { out } = await archipel(['scan', 'drill', '--all', '--json', '--data', join(folder, 'data')]);
  const values = out.split('\n').slice(0, -1).map((line) => Buffer.from((JSON.parse(line) as { valueBase64: string }).valueBase64, 'base64').toString());
  expect(values.length).toBeGreaterThan(20);
  expect(values.filter((value) => !/^[0-9a-f]{8}-w\d+$/.test(value))).toEqual([]); // each says which run wrote it
});

it('with its known bug it fails; a command that fails ends it, with a sentence', { timeout: 4 * PATIENCE_MS }, async () => {
  expect(await run('--control')).toMatchObject({ code: 2 });
  const { code, err } = await run('--do', 'exit 3');
  expect(code).toBe(1);
  expect(err).toContain('The command of --do did not do "exit 3": it ended with 3.');
});
