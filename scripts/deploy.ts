// npm run deploy  -- [--config FILE] [--regions N|id,id,…] [--name NAME] [--ephemeral] [--only id,…,edge] [--yes]
// npm run destroy -- the same, without --only
//
// With the credentials of the environment, through the CDK's own command line (lib/deploy.ts).

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { Deployment } from '../cdk/deployment.ts';
import { addressesIn, tellAddresses } from './lib/addresses.ts';
import { askOnTerminal, cdk, deploy, type DeployFlags, type Verb } from './lib/deploy.ts';
import { synth, withDeployment } from './lib/synth.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const tell = (deployment: Deployment, file: string): Promise<void> => tellAddresses(deployment, addressesIn(file, deployment));

async function run(verb: Verb, flags: DeployFlags): Promise<void> {
  try {
    process.exitCode = await deploy(verb, flags, { out: join(root, 'cdk.out'), synth, cdk, ask: process.stdin.isTTY ? askOnTerminal : undefined, say: console.log, tell });
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

const program = new Command('deploy');
for (const verb of ['deploy', 'destroy'] as const) {
  const command = withDeployment(program.command(verb)).option('--yes', 'do it without asking');
  if (verb === 'deploy') command.option('--only <list>', 'the stacks of these regions, or edge, and no others');
  command.action((flags: DeployFlags) => run(verb, flags));
}
await program.parseAsync();
