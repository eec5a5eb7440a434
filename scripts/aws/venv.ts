// Programs from PyPI, pinned to the last of their parts, in a virtual environment of their own that git ignores.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../lib/cluster.ts';
import { run } from '../lib/run.ts';

export interface Venv {
  /** Of the repository. */
  readonly folder: string;
  /** Beside this file. */
  readonly requirements: string;
  /** Of the sentence for whoever has no Python. */
  readonly what: string;
}

export const programOf = ({ folder }: Venv, name: string): string => join(root, folder, 'bin', name);

/** Nothing is wrong with what was to be tested: it cannot be tested here. The message says what is missing, in one sentence. */
export class Unavailable extends Error {}

/** For a check that is one of several: says why it is left out, and lets the others go on. Anything else is thrown on. */
export function skipIfUnavailable(error: unknown): void {
  if (!(error instanceof Unavailable)) throw error;
  console.log(`  SKIPPED: ${error.message}`);
}

/** @throws Unavailable where there is no Python, or no package index within reach */
export async function install(venv: Venv): Promise<void> {
  const requirements = fileURLToPath(new URL(venv.requirements, import.meta.url));
  const wanted = readFileSync(requirements, 'utf8');
  // What is installed lies beside it, so that a change installs again.
  const installed = join(root, venv.folder, 'requirements.txt');
  if (existsSync(installed) && readFileSync(installed, 'utf8') === wanted) return;
  try {
    await run('python3', ['-m', 'venv', '--clear', join(root, venv.folder)]);
  } catch (error) {
    throw new Unavailable(`${venv.what} needs Python 3.10 or newer with its venv module: install python3 (and python3-venv where it is a package of its own), then try again.`, { cause: error });
  }
  try {
    await run(programOf(venv, 'python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--requirement', requirements]);
  } catch (error) {
    throw new Unavailable(`${venv.what} needs packages of PyPI that could not be installed: ${lastLine(error)}`, { cause: error });
  }
  writeFileSync(installed, wanted);
}

const lastLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).trim().split('\n').at(-1) ?? '';
