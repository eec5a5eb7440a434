// The deployment once more, where the emulator enforces the rights of every role: what works, works with exactly these
// rights. Each right that a role has was used, or docs/operating/rights.md says why it is there; a right that is taken away
// is refused. Wrong names and missing rights are what fails at a first deployment.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../lib/cluster.ts';
import { sleep, until } from '../lib/http.ts';
import { splitAndHeal } from '../lib/stories/split.ts';
import { DEPLOYMENT, RIGHTS_LOG } from './local-aws.ts';
import { ACCOUNT } from './ministack.ts';
import { begin } from './run.ts';
import { conflicts, CONVERGE_MS, functionsFail, items, reconcile } from './stories.ts';
import { changeTemplate, without } from './templates.ts';

/** By then every environment has heard of a pause. */
const PAUSE_KNOWN_MS = 11_000;

const { aws, report, folder, end } = await begin({ title: 'AWS, emulated, with the rights of every role enforced', folder: '.archipel-aws-rights', minutesMax: 10, ports: 6, enforcesRights: true });
const [a, b] = aws.regions as [string, string];
try {
  await items(aws, report);
  await conflicts(aws, report);
  await splitAndHeal(aws, report, { keys: 5, width: 4, convergeMs: CONVERGE_MS });
  await functionsFail(aws, report);
  await reconcile(aws, report);
  await rest();
  judge();
  await takenAway();
} finally {
  await aws.stop();
}
end();

/** What the others do not touch: poison, an inbox that is gone, reconciliation by HTTP, reaping, heartbeats. */
async function rest(): Promise<void> {
  for (const region of aws.regions) await aws.invoke('heartbeat', region, {});
  for (const region of aws.regions) await aws.poison(region);
  await aws.quiet();
  const begun = await aws.ask(a, '/v1/reconcile', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ peers: [b] }) });
  const { id } = begun.json<{ id: string }>();
  await until('the reconciliation is done', async () => (await aws.ask(a, `/v1/reconcile/${id}`)).json<{ state: string }>().state === 'done', CONVERGE_MS, 500);
  report.check('a reconciliation that is asked for by HTTP is begun, and told', begun.status === 202, begun.status);
  const replication = await aws.ask(a, '/v1/replication');
  report.check('what waits for each peer is told', replication.status === 200, replication.status);
  await aws.setHintsOnly(a, true);
  await sleep(PAUSE_KNOWN_MS);
  await aws.put(a, 'demo', 'hinted', 'x');
  await until('it is hinted', async () => (await aws.hints(a)) > 0, CONVERGE_MS, 200);
  await aws.setHintsOnly(a, false);
  await until('it is forwarded', async () => (await aws.get(b, 'demo', 'hinted')).status === 200, CONVERGE_MS, 500);
  report.check('dead letters are listed', (await aws.ask(a, `/v1/replication/${b}/dead`)).json<{ items: unknown[] }>().items.length > 0);
  await aws.bury(a, b);
  const replayed = await aws.ask(a, `/v1/replication/${b}/dead/replay`, { method: 'POST' });
  report.check('one that can be read by now is merged, and gone', replayed.json<{ merged: number }>().merged === 1, replayed.text());
  report.check('while replication is paused a write is hinted; resumed, it arrives', true);
}

type Judged = readonly [principal: string, action: string, resource: string, decision: string];

/** A role may run under a session's name: `arn:aws:sts::…:assumed-role/<role>/<session>`. */
function roleOf(principal: string): string {
  return /(?:assumed-role|role)\/([^/]+)/.exec(principal)?.[1] ?? principal;
}

/** The rows of docs/operating/rights.md are for any region; the story is told in all, so what one of them used counts. */
function judge(): void {
  const regions = aws.regions.join('|');
  const open = (text: string): string => text.replaceAll(new RegExp(`(?:${regions})`, 'g'), '*').replaceAll(DEPLOYMENT, '{name}').replaceAll(ACCOUNT, '{account}').replace(/^arn:aws:/, '');
  const log = readFileSync(join(folder, RIGHTS_LOG), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Judged);
  const used = new Set(log.filter(([, , , decision]) => decision === 'Allow').map(([principal, action, resource]) => `${open(roleOf(principal))} ${action.replace(/Batch$/, '')} ${lastOf(open(resource))}`));
  const refused = log.filter(([principal, , , decision]) => decision !== 'Allow' && roleOf(principal).startsWith(`${DEPLOYMENT}-`));
  report.check('nothing that a function asked for was refused', refused.length === 0, [...new Set(refused.map(([principal, action]) => `${roleOf(principal)} ${action}`))].slice(0, 5).join(', '));
  const page = readFileSync(join(root, 'docs/operating/rights.md'), 'utf8');
  const unsaid: string[] = [];
  let seen = 0;
  for (const [, role = '', on = '', actions = '', why = ''] of page.matchAll(/^\| `([^`]*)` \| `([^`]*)` \| ([^|]*) \| ([^|]*) \|$/gm)) {
    const any = (text: string): string => text.replaceAll(/\{(?:region|peer)\}/g, '*');
    for (const action of actions.split(', ')) {
      // Reading parameters the emulator judges by no name.
      if (used.has(`${any(role)} ${action} ${action.startsWith('ssm:') ? '*' : lastOf(any(on))}`)) seen++;
      else if (!why.includes(action) && !why.startsWith('all:')) unsaid.push(`${role} ${action} on ${on}`);
    }
  }
  report.check('every right of every role was used, or docs/operating/rights.md says why it is there', unsaid.length === 0 && seen > 0, unsaid.length === 0 ? `${seen} used` : `${unsaid.length}: ${unsaid.slice(0, 40).join('; ')}`);
}

/** A table, queue, function or parameter is told by the end of its ARN. */
function lastOf(resource: string): string {
  return resource.replace(/^.*(?::|table\/|parameter(?=\/))/, '');
}

async function takenAway(): Promise<void> {
  changeTemplate(aws.out, `${DEPLOYMENT}-${b}`, (template) => without(template, `${DEPLOYMENT}-api-${b}`, 'dynamodb:UpdateItem'));
  await aws.deploy([b]);
  const put = await aws.put(b, 'demo', 'not-allowed', 'x');
  const got = await aws.get(b, 'demo', 'title');
  report.check('a right that is taken away is refused: api may not write over, and reads on', put.status >= 500 && got.status === 200, `PUT ${put.status}, GET ${got.status}`);
}
