// npm run deploy  -- [--config FILE] [--regions N|id,id,…] [--name NAME] [--ephemeral]
// npm run destroy -- the same
//
// With the credentials of the environment, through the CDK's own command line: the regions' stacks at the same time, the
// edge's last, because it asks them for their addresses; removed the other way round. The CDK asks before it changes a
// right or removes a stack.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { synth, withDeployment, type DeploymentFlags } from './lib/synth.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const AT_A_TIME = 8;

const [, , verb = ''] = process.argv;
const flags = withDeployment(new Command(verb)).parse(process.argv.slice(3), { from: 'user' }).opts<DeploymentFlags>();

try {
  if (verb !== 'deploy' && verb !== 'destroy') throw new Error('Say deploy or destroy.');
  const out = join(root, 'cdk.out');
  const stacks = await synth(flags, out);
  console.log(`${verb}: ${stacks.join(', ')}`);
  const how = verb === 'deploy' ? ['--concurrency', String(AT_A_TIME)] : [];
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules/aws-cdk/bin/cdk'), '--app', out, verb, '--all', ...how], { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
