// Makes the templates of a deployment, offline and without credentials: runs the CDK app as the CDK's command line does,
// without that program.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { deploymentFrom, type Deployment } from '../../cdk/deployment.ts';
import { run } from './run.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What every command about a deployment can be told: over the configuration file, if there is one. */
export interface DeploymentFlags {
  readonly config?: string;
  readonly name?: string;
  /** `3`, or `eu-central-1,us-east-1`. */
  readonly regions?: string;
  readonly ephemeral?: true;
}

export const withDeployment = (command: Command): Command =>
  command
    .option('--config <file>', 'the configuration of the deployment, JSON')
    .option('--name <name>', 'what the names of all resources begin with')
    .option('--regions <list>', 'how many regions, or which')
    .option('--ephemeral', 'for trials: tables go with their stacks, unprotected');

/** What the CDK is told of how to make templates, whatever they are of. */
export const contextOf = (): Readonly<Record<string, unknown>> => (JSON.parse(readFileSync(join(root, 'cdk.json'), 'utf8')) as { context: Record<string, unknown> }).context;

/** By the names of the CDK's context. */
const said = ({ config, name, regions, ephemeral }: DeploymentFlags): Readonly<Record<string, unknown>> => ({ config: config === undefined ? undefined : resolve(config), deployment: name, regions, ephemeral });

/** By what the CDK app checks it by; there, what is wrong is told after a stack of calls. @throws as `deploymentFrom` */
export function checked(flags: DeploymentFlags): Deployment {
  const context = said(flags);
  return deploymentFrom((name) => context[name]);
}

/** Answers the names of the stacks, in the folder `out`. @throws Error with what is wrong, or what the CDK said */
export async function synth(flags: DeploymentFlags, out: string, app = 'cdk/app.ts'): Promise<readonly string[]> {
  checked(flags);
  await run(process.execPath, [app], { CDK_OUTDIR: out, CDK_CONTEXT_JSON: JSON.stringify({ ...contextOf(), ...said(flags) }) });
  const manifest = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as { artifacts: Readonly<Record<string, { readonly type: string }>> };
  return Object.entries(manifest.artifacts).flatMap(([id, { type }]) => (type === 'aws:cloudformation:stack' ? [id] : []));
}
