// What a drill is on an emulated AWS.

import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseDrill, type Drill } from '../../src/drill/drill.ts';
import { awsRefusalOf, emptiesQueues, KEYS_MIN, RATE_MAX, scaledForAws } from '../../src/drill/on-aws.ts';
import { archipel } from '../cli/support.ts';

const folder = new URL('../../drills/', import.meta.url);
const shipped: readonly Drill[] = readdirSync(folder).filter((name) => name.endsWith('.yaml')).sort().map((name) => parseDrill(readFileSync(new URL(name, folder), 'utf8'), name));
const named = (name: string): Drill => shipped.find((drill) => drill.name === name) as Drill;

it('twelve of those that come with Archipel run there; each of the others is refused with a sentence that says why', () => {
  const refused = new Map(shipped.map((drill) => [drill.name, awsRefusalOf(drill)] as const).filter(([, why]) => why !== undefined));
  expect(shipped.map(({ name }) => name).filter((name) => !refused.has(name))).toEqual(['edge-dies', 'flapping', 'long-outage', 'lost-with-debts', 'no-edge', 'one-way-cut', 'paused', 'region-lost-under-load', 'rolling-restart', 'slow-region', 'split-brain', 'two-of-three-lost']);
  expect(refused.get('clock-jump')).toMatch(/^A step of clock-jump is not there on aws-local \(clock of the first region .*\): the clock of a function is not ours to set\. Run it on local or sim\.$/);
  expect(refused.get('lost-for-good')).toContain('a table belongs to a stack');
  expect(refused.get('disk-full')).toContain('has no disk');
  for (const name of ['drain-and-return', 'declared-lost', 'edge-without-source', 'fenced-while-paused']) expect(refused.get(name)).toContain('a topology is read when an environment begins');
  expect(refused.get('away-too-long')).toContain('rebuilding is not built on AWS');
  expect(refused.get('hint-overflow')).toContain('SQS has no such bound');
});

it('and each of the twelve with its known bug: queues are emptied where hints are not to be kept', () => {
  const ours = shipped.filter((drill) => awsRefusalOf(drill) === undefined);
  expect(ours.filter((drill) => awsRefusalOf(drill, drill.control) !== undefined)).toEqual([]);
  expect(ours.filter(({ control }) => emptiesQueues(control)).map(({ name }) => name)).toEqual(['long-outage', 'one-way-cut']);
  expect(awsRefusalOf({ ...named('long-outage'), hints: 1 }, 'clients-do-not-fail-over')).toContain('SQS has no such bound');
});

it('the command refuses it too, before anything is started', async () => {
  const { code, out, err } = await archipel(['drill', 'run', 'clock-jump', '--on', 'aws-local']);
  expect([code, out]).toEqual([1, '']);
  expect(err).toContain('is not there on aws-local');
});

it('the load is scaled down to what the emulator answers, steps with it, and the report is told; a small one is left as it is', () => {
  const { drill, remarks } = scaledForAws(named('lost-with-debts'));
  expect(drill.load).toEqual({ rate: RATE_MAX / 2, reads: 0.1, keys: KEYS_MIN, through: 'edge' });
  expect(drill.steps.flatMap(({ action }) => (action.verb === 'rate' ? [action.rate] : []))).toEqual([RATE_MAX, RATE_MAX / 2]);
  expect(drill.steps.map(({ atMs }) => atMs)).toEqual(named('lost-with-debts').steps.map(({ atMs }) => atMs));
  expect(remarks).toEqual([expect.stringContaining('of 200 on 500: the emulator answers about 140 invocations a second')]);
  const small = { ...named('split-brain'), load: { rate: 4, reads: 0.5, keys: 4, through: 'edge' as const } };
  expect(scaledForAws(small)).toEqual({ drill: small, remarks: [] });
});
