// What `npm run deploy` and `npm run destroy` do: check what they are told, make the templates, ask once, and hand over to
// the CDK's command line.
//
//   deploy    the regions' stacks at the same time, the edge's last: it asks them for their addresses; then every region is told
//             those of all
//   destroy   the other way round
//
// The CDK finds that order in the templates: the edge's stack depends on the others, and they on nothing. It cannot ask while
// it does several things at a time, so it is asked here, before it begins, and told to go on.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import type { Deployment } from '../../cdk/deployment.ts';
import { checked, type DeploymentFlags } from './synth.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const AT_A_TIME = 8;
const EDGE = 'edge';

export type Verb = 'deploy' | 'destroy';

export interface DeployFlags extends DeploymentFlags {
  /** `eu-central-1,edge`: one region after the other, for an upgrade. */
  readonly only?: string;
  readonly yes?: true;
}

export interface DeployParts {
  /** Where the templates go. */
  readonly out: string;
  /** Answers the names of the stacks. */
  readonly synth: (flags: DeploymentFlags, out: string) => Promise<readonly string[]>;
  /** The CDK's command line; answers its exit code. */
  readonly cdk: (args: readonly string[]) => Promise<number>;
  /** Missing where nobody can be asked. */
  readonly ask?: ((question: string) => Promise<boolean>) | undefined;
  readonly say: (line: string) => void;
  /** Every region of the deployment, of what the stacks have said of themselves in a file. */
  readonly tell: (deployment: Deployment, file: string) => Promise<void>;
}

/** Beside the templates. */
const OUTPUTS = 'outputs.json';

/** Answers the exit code. @throws Error with a sentence for people, before anything was done */
export async function deploy(verb: Verb, { only, yes, ...flags }: DeployFlags, { out, synth, cdk, ask, say, tell }: DeployParts): Promise<number> {
  const deployment = checked(flags);
  const some = stacksOf(deployment, only);
  if (yes !== true && ask === undefined) throw new Error(`Nobody can be asked here. To ${verb} without: --yes.`);
  const all = await synth(flags, out);
  const stacks = some ?? all;
  say(`${verb}: ${stacks.join(', ')}`);
  const which = some === undefined ? ['--all'] : [...some, '--exclusively'];
  if (yes !== true && ask !== undefined) {
    // A change that cannot be shown is not made; of what is deleted there is nothing to show.
    const shown = verb === 'deploy' ? await cdk(['--app', out, 'diff', ...which]) : 0;
    if (shown !== 0) return shown;
    if (!(await ask(verb === 'deploy' ? 'Deploy this?' : `Delete ${stacks.join(', ')}?`))) {
      say('Nothing was changed.');
      return 1;
    }
  }
  const file = join(out, OUTPUTS);
  const asked = verb === 'deploy' ? ['--require-approval', 'never', '--outputs-file', file] : ['--force'];
  const code = await cdk(['--app', out, verb, ...which, '--concurrency', String(AT_A_TIME), ...asked]);
  // Some stacks alone are deployed over those that are there: a region keeps its address.
  if (code === 0 && verb === 'deploy' && some === undefined) await told(deployment, file, tell);
  return code;
}

async function told(deployment: Deployment, file: string, tell: DeployParts['tell']): Promise<void> {
  try {
    await tell(deployment, file);
  } catch (error) {
    throw new Error(`All stacks are deployed, but not every region was told where the others are reached (${error instanceof Error ? error.message : String(error)}). Deploy again.`, { cause: error });
  }
}

/** Undefined for all. @throws TypeError for what is no part of the deployment */
function stacksOf({ name, regions }: Deployment, only: string | undefined): readonly string[] | undefined {
  if (only === undefined) return undefined;
  const parts = only.split(',').map((part) => part.trim());
  const bad = parts.find((part) => part !== EDGE && !(regions as readonly string[]).includes(part));
  if (bad !== undefined) throw new TypeError(`--only takes ${regions.join(', ')} and ${EDGE}, not ${JSON.stringify(bad)}.`);
  return parts.map((part) => `${name}-${part}`);
}

/** On this terminal: it shows what changes, and how far it is. */
export const cdk = (args: readonly string[]): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'node_modules/aws-cdk/bin/cdk'), ...args], { cwd: root, stdio: 'inherit' });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });

export async function askOnTerminal(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(?:es)?$/i.test((await terminal.question(`${question} (y/n) `)).trim());
  } finally {
    terminal.close();
  }
}
