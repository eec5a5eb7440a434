// npm run test:aws [-- --full]: the deployment on an emulated AWS, from the first `cdk bootstrap` to `cdk destroy`. Three regions are
// deployed, written to, cut apart and healed, updated, joined by a fourth, and deleted. Each step says how long it took;
// a step that does not end in time fails, and the first failure of a deployment ends the run. Where Python, or a package of
// PyPI, cannot be had, it says so and ends well: nothing was tested, and nothing failed.

import { parseArgs } from 'node:util';
import { splitAndHeal } from '../lib/stories/split.ts';
import { DEPLOYMENT } from './local-aws.ts';
import { lintTemplates } from './lint.ts';
import { operate } from './operating.ts';
import { begin } from './run.ts';
import { account, cities, conflicts, CONVERGE_MS, drills, functionsFail, items, reconcile } from './stories.ts';
import { changeTemplate } from './templates.ts';

const { values: { full } } = parseArgs({ options: { full: { type: 'boolean', default: false } } });
const KEYS = 20;
const DIFFERENCES = 100;
const CITIES = full ? 10_000 : 200;
const ANOTHER_ALARM = 'another-alarm';
const DOWN_SECONDS = full ? 60 : 10;
const ACCOUNT_ROUNDS = full ? 3 : 1;

const { aws, report, folder, end } = await begin({
  title: 'AWS, emulated: deployed by the CDK, written to, cut and healed, updated, deleted',
  folder: '.archipel-aws-test',
  minutesMax: full ? 60 : 13,
  ports: 8, // a fourth region joins
  before: async (told) => told.check('cfn-lint finds nothing in the templates of 1, 2, 3 and 5 regions', true, `${await lintTemplates()} templates`),
});
const [a] = aws.regions as [string];
try {
  await items(aws, report);
  await conflicts(aws, report);
  await splitAndHeal(aws, report, { keys: KEYS, width: 4, convergeMs: CONVERGE_MS });
  await functionsFail(aws, report, DOWN_SECONDS);
  await account(aws, report, ACCOUNT_ROUNDS);
  await reconcile(aws, report, DIFFERENCES);
  if (full) await drills(aws, report); // not finished: docs/drills.md
  await operate(aws, report, folder);
  await cities(aws, report, CITIES);
  await update();
  await remove();
} finally {
  await aws.stop();
}
end();

async function update(): Promise<void> {
  changeTemplate(aws.out, `${DEPLOYMENT}-${a}`, (template) => {
    const api = Object.entries(template.Resources).find(([, { Type, Properties }]) => Type === 'AWS::Lambda::Function' && Properties['FunctionName'] === `${DEPLOYMENT}-api-${a}`);
    if (api === undefined) throw new Error('the template has no api');
    api[1].Properties['MemorySize'] = 1_536;
    const alarm = Object.values(template.Resources).find(({ Type }) => Type === 'AWS::CloudWatch::Alarm');
    if (alarm === undefined) throw new Error('the template has no alarm');
    (template.Resources as Record<string, unknown>)['Another'] = { ...alarm, Properties: { ...alarm.Properties, AlarmName: ANOTHER_ALARM } };
  });
  await aws.deploy([a]);
  report.check('a new alarm is there', (await aws.alarms(a)).includes(ANOTHER_ALARM), (await aws.alarms(a)).length);
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
