// What is done with a deployment on the emulated AWS, and claimed of it, whatever else is tested with it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReconcileResult } from '../../functions/reconcile.ts';
import { parseDrill } from '../../src/drill/drill.ts';
import type { DrillReport } from '../../src/drill/report.ts';
import { takeAccount } from '../lib/account.ts';
import { root } from '../lib/cluster.ts';
import { sleep, until } from '../lib/http.ts';
import { inParallel, ms, type Report } from '../lib/report.ts';
import { run } from '../lib/run.ts';
import { Workload } from '../lib/workload.ts';
import { losersOf } from '../lib/stories/split.ts';
import { drillOn } from './drill-place.ts';
import type { LocalAws } from './local-aws.ts';

/** Clients of an emulator that answers some hundred invocations a second. */
const CLIENTS = 4;

export const CONVERGE_MS = 120_000;

export async function items(aws: LocalAws, report: Report): Promise<void> {
  const put = await aws.put('edge', 'demo', 'greeting', 'hello');
  report.check('a PUT at the front is answered 201', put.status === 201, `${put.status} by ${put.headers['served-by'] ?? ''}`);
  const tookMs = await everywhere(aws, 'greeting', 'hello');
  report.check('and read in every region, through stream, fan-out, inbox and apply', true, ms(tookMs));
  const gone = await aws.ask('edge', '/v1/c/demo/items/greeting', { method: 'DELETE' });
  await until('the delete is everywhere', async () => (await Promise.all(aws.regions.map((id) => aws.get(id, 'demo', 'greeting')))).every(({ status }) => status === 404), CONVERGE_MS);
  report.check('a DELETE at the front, too', gone.status === 204, gone.status);
}

function everywhere(aws: LocalAws, pk: string, value: string): Promise<number> {
  return until(`${pk} is everywhere`, async () => (await Promise.all(aws.regions.map((id) => aws.get(id, 'demo', pk)))).every((answer) => answer.text() === value), CONVERGE_MS);
}

/** One item at a time, so that what is seen can be told. */
export async function conflicts(aws: LocalAws, report: Report): Promise<void> {
  const [a, b, c] = aws.regions as [string, string, string];
  await aws.collection('carts', { conflict: 'siblings' }, CONVERGE_MS);
  await aws.cut();
  for (const region of [a, b]) {
    await aws.put(region, 'carts', 'alice', `from ${region}`);
    await aws.put(region, 'demo', 'title', `from ${region}`);
  }
  await aws.heal();
  const siblings = async (): Promise<boolean> => (await Promise.all(aws.regions.map((id) => aws.get(id, 'carts', 'alice')))).every(({ status }) => status === 300);
  report.check('siblings: two concurrent PUTs are both there, in every region', true, ms(await until('siblings everywhere', siblings, CONVERGE_MS)));
  const merged = await aws.get(c, 'carts', 'alice');
  const put = await aws.put(c, 'carts', 'alice', 'merged', { 'causal-context': merged.headers['causal-context'] ?? '' });
  const isMerged = async (): Promise<boolean> => (await Promise.all(aws.regions.map((id) => aws.get(id, 'carts', 'alice')))).every((answer) => answer.text() === 'merged');
  report.check('siblings: a PUT with their context in a third region replaces both, everywhere', put.status < 300, `${put.status}, ${ms(await until('merged everywhere', isMerged, CONVERGE_MS))}`);
  await everywhere(aws, 'title', (await aws.get(b, 'demo', 'title')).text());
  await until('the loser is in the ledger', async () => (await losersOf(aws, 'demo')).size > 0, CONVERGE_MS);
  const losers = [...(await losersOf(aws, 'demo')).values()];
  report.check('lww: the loser is in the ledger, once', losers.length === 1 && losers[0]?.['rule'] === 'lww', JSON.stringify(losers.map(({ pk, rule }) => [pk, rule])));
}

/** What is sent meanwhile waits; the front goes on with the other regions. */
export async function functionsFail(aws: LocalAws, report: Report, seconds = 0): Promise<void> {
  const [a] = aws.regions as [string];
  await aws.setFunctions(a, false);
  const endsMs = performance.now() + seconds * 1_000;
  const pks: string[] = [];
  const servedBy = new Set<string>();
  do {
    const pk = `while-a-is-down-${pks.length}`;
    const put = await aws.put('edge', 'demo', pk, 'x', { 'cloudfront-viewer-latitude': '37.6', 'cloudfront-viewer-longitude': '127' });
    servedBy.add(`${put.status} by ${put.headers['served-by']?.split(';')[0] ?? ''}`);
    pks.push(pk);
  } while (performance.now() < endsMs);
  const isElsewhere = [...servedBy].every((said) => said.startsWith('201 by ') && !said.includes(a));
  report.check(`with every function of ${a} refused${seconds > 0 ? ` for ${seconds} s` : ''}, the front writes in another region`, isElsewhere, `${pks.length} writes: ${[...servedBy].join(', ')}`);
  await aws.setFunctions(a, true);
  let tookMs = 0;
  for (const pk of pks) tookMs += await everywhere(aws, pk, 'x');
  report.check('and all of it is everywhere when they are back', true, ms(tookMs));
}

const DRILL = 'region-lost-under-load';
const OF_TIME = /^(rto|detection|stale reads|converged)/;

const ROUNDS = 5;
const FAULT_MS = 2_000;
/** What a killed process held comes again when its queue no longer hides it, after three minutes; then it has to be merged. */
const HIDDEN_MS = 300_000;
const HOT_KEYS = 8;
const NAMES = { lww: 'win-account', siblings: 'sib-account' };

/**
 * Clients write hot keys in all regions, and retry in others, while requests come twice and answers are lost, a region's
 * mappings are off, its functions fail, and the processes that run `fan-out` and `apply` are killed in the middle.
 */
export async function account(aws: LocalAws, report: Report, rounds = 1): Promise<void> {
  for (const [conflict, name] of Object.entries(NAMES)) await aws.collection(name, { conflict }, CONVERGE_MS);
  const pks = (prefix: string): string[] => Array.from({ length: HOT_KEYS }, (_, at) => `${prefix}${at}`);
  const workload = new Workload({ urls: aws.regions.map((id) => aws.url(id)), key: aws.key, clients: CLIENTS, lww: { collection: NAMES.lww, pks: pks('l') }, siblings: { collection: NAMES.siblings, pks: pks('s') } });
  workload.start();
  aws.setHostile(true);
  const killed = { 'fan-out': 0, apply: 0 };
  for (let round = 0; round < rounds; round++) {
    const region = aws.regions[round % aws.regions.length] as string;
    await aws.setDelivery(region, false);
    await sleep(FAULT_MS);
    await aws.setDelivery(region, true);
    await aws.setFunctions(region, false);
    await sleep(FAULT_MS);
    await aws.setFunctions(region, true);
    for (const what of ['fan-out', 'apply'] as const) killed[what] += await killInTheMiddle(aws, what);
  }
  aws.setHostile(false);
  await sleep(FAULT_MS);
  await workload.stop();
  await aws.quiet(HIDDEN_MS);
  let taken = await takeAccount(aws, NAMES, workload.writes);
  // What a stream still holds cannot be seen, so it is waited for.
  await until('the dumps are equal', async () => (taken = await takeAccount(aws, NAMES, workload.writes)).dumpsEqual, CONVERGE_MS, 2_000).catch(() => undefined);
  const { missing, acknowledged, unknown, ledgerRows, reissued, dumpsEqual, differing } = taken;
  report.check(`account: requests twice, answers lost, mappings off, functions refused, ${killed['fan-out']} kills of fan-out and ${killed.apply} of apply: no acknowledged write is missing`, missing.length === 0 && killed['fan-out'] >= ROUNDS && killed.apply >= ROUNDS, `${acknowledged} acknowledged, ${unknown} unknown, ${ledgerRows} in ledgers${missing.length === 0 ? '' : `, missing ${JSON.stringify(missing[0])}`}`);
  report.check('account: no dot was issued twice, and all copies are equal', reissued.length === 0 && dumpsEqual, differing ?? reissued[0] ?? '');
  report.note(`statuses ${JSON.stringify(Object.fromEntries([...workload.stats.statuses].sort()))}, retries ${workload.stats.retries}, broken connections ${workload.stats.failures}`);
}

/** Whichever region's runs: under load somewhere one does. */
async function killInTheMiddle(aws: LocalAws, what: 'fan-out' | 'apply'): Promise<number> {
  let killed = 0;
  await until(`${what} was killed ${ROUNDS} times`, async () => (killed += aws.regions.reduce((sum, region) => sum + Math.min(1, aws.killWorkers(what, region)), 0)) >= ROUNDS, CONVERGE_MS, 300);
  return killed;
}

/** Messages that an inbox lost: nobody knows of them any more, but the copies differ. */
export async function reconcile(aws: LocalAws, report: Report, count = 3): Promise<void> {
  const [a, b, c] = aws.regions as [string, string, string];
  const lost = Array.from({ length: count }, (_, at) => `lost-${at}`);
  await aws.cut();
  await inParallel(lost, 4, async (pk) => void (await aws.put(a, 'demo', pk, 'x')));
  await until('the messages lie in the inbox', async () => (await aws.inboxDepth(c)) > 0, CONVERGE_MS);
  await until('the stream has been read', async () => (await aws.inboxDepth(b)) === (await aws.inboxDepth(c)), CONVERGE_MS);
  await aws.purgeInbox(c);
  await aws.heal();
  await aws.quiet();
  const statuses = async (): Promise<number[]> => {
    const found = new Map<string, number>();
    await inParallel(lost, 4, async (pk) => void found.set(pk, (await aws.get(c, 'demo', pk)).status));
    return [...found.values()];
  };
  const before = await statuses();
  const { pairs, error } = (await aws.invoke('reconcile', a, { what: 'deep', peers: [c] })) as ReconcileResult;
  const [pair] = pairs;
  const after = await statuses();
  report.check('an inbox that lost messages: reconciliation moves these, and nothing else', pair?.differing === before.filter((status) => status === 404).length && pair.differing > 0 && after.every((status) => status === 200), `${before.filter((status) => status === 404).length} of ${count} were missing, ${after.filter((status) => status === 404).length} are, ${pair?.differing} differed, ${pair?.pushed} pushed${error === undefined ? '' : `, ${error}`}`);
  report.check('and leaves a certificate, which both regions show', pair?.certificate?.deep === true && (await certificatesOf(aws, a)) > 0 && (await certificatesOf(aws, c)) > 0, `${pair?.compared} partitions`);
}

async function certificatesOf(aws: LocalAws, region: string): Promise<number> {
  return (await aws.ask(region, '/v1/certificates', { timeoutMs: 30_000 })).json<{ certificates: unknown[] }>().certificates.length;
}

/** The world's cities, each from its own place, by the example itself; it ends well only when every region holds all of them. */
export async function cities(aws: LocalAws, report: Report, limit: number): Promise<void> {
  const startedMs = performance.now();
  const said = await run(process.execPath, ['examples/cities/main.ts', '--url', aws.url('edge'), '--key', aws.key, '--limit', String(limit), '--writers', String(CLIENTS), '--json']).catch(String);
  report.check(`${limit} cities, each from its own place: every region holds all, and all pairs are equal`, said.includes('"rootsEqual":true'), `${ms(performance.now() - startedMs)}, ${said.slice(-300).trim()}`);
}

/** A file that runs in the simulation and on processes too, by the same steps and checks; and with its known bug, with which it has to fail. */
export async function drills(aws: LocalAws, report: Report): Promise<void> {
  const drill = parseDrill(readFileSync(join(root, 'drills', `${DRILL}.yaml`), 'utf8'), DRILL);
  const told = ({ verdicts, notes }: DrillReport): string => [...verdicts.filter(({ holds }) => !holds).map(({ expectation, found }) => `${expectation}: ${found}`), ...notes].join('; ');
  const outcome = await drillOn(aws, drill);
  const { rpoLive, rpoReal, acknowledged, rtoMs, convergedMs } = outcome.measured;
  // Times are those of the emulator, beside whatever else this machine does.
  const bad = outcome.verdicts.filter(({ holds, expectation }) => !holds && !OF_TIME.test(expectation));
  report.check(`drill ${DRILL}: nothing is lost, and no more than it said it owed is missing meanwhile`, bad.length === 0, `${acknowledged} acknowledged, real RPO ${rpoReal ?? '?'} of ${rpoLive ?? '?'}, RTO ${rtoMs === undefined ? '?' : ms(rtoMs)}, converged in ${convergedMs === undefined ? '?' : ms(convergedMs)}${outcome.passed ? '' : `, ${told(outcome)}`}`);
  const control = await drillOn(aws, drill, { control: drill.control });
  report.check(`and with the known bug ${drill.control} it fails`, control.verdicts.some(({ holds, expectation }) => !holds && !OF_TIME.test(expectation)), told(control));
}
