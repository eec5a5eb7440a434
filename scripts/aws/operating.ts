// Every command of docs/operating/aws.md, run against the local AWS as it is written there. `aws lambda invoke` and `curl` go
// through our own clients, with the names and the payload that the page gives; deploying is what the other steps do.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FUNCTIONS, names } from '../../src/adapters/aws/names.ts';
import { asRegionId } from '../../src/core/version/dot.ts';
import { root } from '../lib/cluster.ts';
import type { Report } from '../lib/report.ts';
import { run } from '../lib/run.ts';
import { DEPLOYMENT, type LocalAws } from './local-aws.ts';

/** Those are made, changed and removed by the CDK in every run; `npm run deploy` and `destroy` call it in the same way. */
const BY_THE_RUN_ITSELF = /^np(?:m run (?:synth|deploy|destroy|test:aws)|x cdk bootstrap)\b/;

export async function operate(aws: LocalAws, report: Report, folder: string): Promise<void> {
  const page = readFileSync(join(root, 'docs/operating/aws.md'), 'utf8');
  // Between fences, every second part; one that names a language is no command.
  const blocks = page.split(/^```/m).flatMap((part, at) => (at % 2 === 1 && part.startsWith('\n') ? part.replaceAll(/\\\n\s*/g, '').split('\n').filter((line) => line !== '') : []));
  const inline = [...page.matchAll(/`((?:npx|npm run) [^`\n]+)`/g)].map(([, command = '']) => command);
  for (const command of [...blocks, ...inline]) {
    if (BY_THE_RUN_ITSELF.test(command)) continue;
    const failed = await execute(aws, command, folder).then(() => '', String);
    report.check(`docs/operating: ${command.slice(0, 90)}`, failed === '', failed);
    if (failed === '' && command.includes('replication pause')) await execute(aws, command.replace('pause', 'resume'), folder);
  }
}

async function execute(aws: LocalAws, command: string, folder: string): Promise<void> {
  if (command.startsWith('npx archipel ')) return void (await run(process.execPath, [join(root, 'bin/archipel.js'), ...command.split(' ').slice(2), '--data', folder]));
  if (command.startsWith('aws lambda invoke ')) return invoke(aws, command);
  if (command.startsWith('curl ')) return curl(aws, command);
  throw new Error('a command that nobody here runs');
}

async function invoke(aws: LocalAws, command: string): Promise<void> {
  const [, region = ''] = /--region (\S+)/.exec(command) ?? [];
  const [, name = ''] = /--function-name (\S+)/.exec(command) ?? [];
  const [, payload = ''] = /--payload '([^']+)'/.exec(command) ?? [];
  const what = FUNCTIONS.find((each) => names.function(DEPLOYMENT, each, asRegionId(region)) === name);
  if (what === undefined) throw new Error(`There is no function ${name}.`);
  const answer = (await aws.invoke(what, region, JSON.parse(payload))) as { readonly error?: string } | null;
  if (answer?.error !== undefined) throw new Error(answer.error);
}

async function curl(aws: LocalAws, command: string): Promise<void> {
  const [, path = ''] = /https:\/\/<host of the region>(\S+)/.exec(command) ?? [];
  const [, method = 'GET'] = /-X (\S+)/.exec(command) ?? [];
  const peer = aws.regions.find((id) => path.includes(id));
  const region = aws.regions.find((id) => id !== peer) ?? '';
  const answer = await aws.ask(region, path, { method, timeoutMs: 30_000 });
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text()}`);
}
