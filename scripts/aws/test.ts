// npm run test:aws: the deployment on an emulated AWS, from the first `cdk bootstrap` to `cdk destroy`. Three regions are
// deployed, written to, cut apart and healed, updated, joined by a fourth, and deleted. Each step says how long it took;
// a step that does not end in time fails, and the first failure of a deployment ends the run. Where Python, or a package of
// PyPI, cannot be had, it says so and ends well: nothing was tested, and nothing failed.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, root } from '../lib/cluster.ts';
import { until } from '../lib/http.ts';
import { ms, Report } from '../lib/report.ts';
import { losersOf, splitAndHeal } from '../lib/stories/split.ts';
import type { ReconcileResult } from '../../functions/reconcile.ts';
import { DEPLOYMENT, LocalAws } from './local-aws.ts';
import { lintTemplates } from './lint.ts';
import { installMiniStack } from './ministack.ts';
import { changeTemplate } from './templates.ts';
import { skipIfUnavailable } from './venv.ts';

/** Of the whole run; what hangs must not look like what is slow. */
const RUN_MS_MAX = 13 * 60_000;
const CONVERGE_MS = 120_000;
const KEYS = 20;

const folder = join(root, '.archipel-aws-test');
rmSync(folder, { recursive: true, force: true });
const report = new Report('AWS, emulated: deployed by the CDK, written to, cut and healed, updated, deleted');
const say = (step: string, seconds: number): void => report.note(`${seconds.toFixed(1).padStart(6)} s  ${step}`);
const overdue = setTimeout(() => {
  console.error(`not within ${RUN_MS_MAX / 60_000} minutes`);
  process.exit(1);
}, RUN_MS_MAX);

try {
  report.check('cfn-lint finds nothing in the templates of 1, 2, 3 and 5 regions', true, `${await lintTemplates()} templates`);
  await installMiniStack();
} catch (error) {
  skipIfUnavailable(error);
  process.exit(process.exitCode);
}
const port = await freePorts(8); // the front, four regions, the emulator
const aws = await LocalAws.start({ regions: '3', port, emulatorPort: port + 7, folder, say });
const [a, b, c] = aws.regions as [string, string, string];
try {
  await items();
  await conflicts();
  await splitAndHeal(aws, report, { keys: KEYS, width: 4, convergeMs: CONVERGE_MS });
  await functionsFail();
  await reconcile();
  await update();
  await remove();
} finally {
  await aws.stop();
}
clearTimeout(overdue);
report.end();

async function items(): Promise<void> {
  const put = await aws.put('edge', 'demo', 'greeting', 'hello');
  report.check('a PUT at the front is answered 201', put.status === 201, `${put.status} by ${put.headers['served-by'] ?? ''}`);
  const tookMs = await everywhere('greeting', 'hello');
  report.check('and read in every region, through stream, fan-out, inbox and apply', true, ms(tookMs));
  const gone = await aws.ask('edge', '/v1/c/demo/items/greeting', { method: 'DELETE' });
  await until('the delete is everywhere', async () => (await Promise.all(aws.regions.map((id) => aws.get(id, 'demo', 'greeting')))).every(({ status }) => status === 404), CONVERGE_MS);
  report.check('a DELETE at the front, too', gone.status === 204, gone.status);
}

function everywhere(pk: string, value: string): Promise<number> {
  return until(`${pk} is everywhere`, async () => (await Promise.all(aws.regions.map((id) => aws.get(id, 'demo', pk)))).every((answer) => answer.text() === value), CONVERGE_MS);
}

/** One item at a time, so that what is seen can be told. */
async function conflicts(): Promise<void> {
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
  await everywhere('title', (await aws.get(b, 'demo', 'title')).text());
  await until('the loser is in the ledger', async () => (await losersOf(aws, 'demo')).size > 0, CONVERGE_MS);
  const losers = [...(await losersOf(aws, 'demo')).values()];
  report.check('lww: the loser is in the ledger, once', losers.length === 1 && losers[0]?.['rule'] === 'lww', JSON.stringify(losers.map(({ pk, rule }) => [pk, rule])));
}

/** What is sent meanwhile waits; the front goes on with the other regions. */
async function functionsFail(): Promise<void> {
  await aws.setFunctions(a, false);
  const put = await aws.put('edge', 'demo', 'while-a-is-down', 'x', { 'cloudfront-viewer-latitude': '37.6', 'cloudfront-viewer-longitude': '127' });
  report.check(`with every function of ${a} refused, the front writes in another region`, put.status === 201 && put.headers['served-by']?.startsWith(a) === false, `${put.status} by ${put.headers['served-by'] ?? ''}`);
  await aws.setFunctions(a, true);
  report.check('and it is everywhere when they are back', true, ms(await everywhere('while-a-is-down', 'x')));
}

/** Messages that an inbox lost: nobody knows of them any more, but the copies differ. */
async function reconcile(): Promise<void> {
  const lost = ['lost-1', 'lost-2', 'lost-3'];
  await aws.cut();
  for (const pk of lost) await aws.put(a, 'demo', pk, 'x');
  await until('the messages lie in the inbox', async () => (await aws.inboxDepth(c)) > 0, CONVERGE_MS);
  await until('the stream has been read', async () => (await aws.inboxDepth(b)) === (await aws.inboxDepth(c)), CONVERGE_MS);
  await aws.purgeInbox(c);
  await aws.heal();
  await aws.quiet();
  const before = await Promise.all(lost.map(async (pk) => (await aws.get(c, 'demo', pk)).status));
  const { pairs, error } = (await aws.invoke('reconcile', a, { what: 'deep', peers: [c] })) as ReconcileResult;
  const [pair] = pairs;
  const after = await Promise.all(lost.map(async (pk) => (await aws.get(c, 'demo', pk)).status));
  report.check('an inbox that lost messages: reconciliation moves these, and nothing else', pair?.differing === before.filter((status) => status === 404).length && pair.differing > 0 && after.every((status) => status === 200), `${before.join(' ')} -> ${after.join(' ')}, ${pair?.differing} differed, ${pair?.pushed} pushed${error === undefined ? '' : `, ${error}`}`);
  report.check('and leaves a certificate, which both regions show', pair?.certificate?.deep === true && (await certificatesOf(a)) > 0 && (await certificatesOf(c)) > 0, `${pair?.compared} partitions`);
}

async function certificatesOf(region: string): Promise<number> {
  return (await aws.ask(region, '/v1/certificates', { timeoutMs: 30_000 })).json<{ certificates: unknown[] }>().certificates.length;
}

async function update(): Promise<void> {
  changeTemplate(aws.out, `${DEPLOYMENT}-${a}`, (template) => {
    const api = Object.entries(template.Resources).find(([, { Type, Properties }]) => Type === 'AWS::Lambda::Function' && Properties['FunctionName'] === `${DEPLOYMENT}-api-${a}`);
    if (api === undefined) throw new Error('the template has no api');
    api[1].Properties['MemorySize'] = 1_536;
  });
  await aws.deploy([a]);
  const { MemorySize } = await aws.functionOf('api', a);
  const answer = await aws.get(a, 'demo', 'title');
  report.check('updated in place: more memory for api, and its items are still there', MemorySize === 1_536 && answer.status === 200, `${MemorySize} MB, ${answer.status}`);
  await aws.grow('4');
  const fourth = aws.regions[3] as string;
  const ready = await aws.ask(fourth, '/readyz');
  report.check(`a fourth region is deployed (${fourth}), the others updated`, ready.status === 200, ready.status);
}

async function remove(): Promise<void> {
  const stacks = await aws.destroy();
  report.check('every stack is deleted', stacks.length === 0, stacks.join(' '));
}
