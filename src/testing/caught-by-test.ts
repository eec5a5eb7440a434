// A known bug that hardly a seed meets is caught by a test instead: it must fail with the bug put in. (That it passes without
// is what the tests are run for.) Vitest loads the source through a plugin that puts the bug in (vitest.config.ts).

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Control } from './controls.ts';
import { STALE } from './sabotage.ts';

/** The environment of a run of the tests names the control by this. */
export const CONTROL_VARIABLE = 'ARCHIPEL_CONTROL';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Report {
  readonly testResults: readonly { readonly assertionResults: readonly { readonly status: string; readonly failureMessages?: readonly string[] }[] }[];
}

/** Failed, but not for want of time; a file that could not be loaded has no tests, and catches nothing. */
function hasFailed(report: Report): boolean {
  return report.testResults.some(({ assertionResults }) => assertionResults.some(({ status, failureMessages = [] }) => status === 'failed' && !failureMessages.some((message) => message.includes('timed out'))));
}

/** @throws Error when the control is stale */
export async function isCaughtByTest({ name, test }: Control): Promise<boolean> {
  if (test === undefined) return false;
  const pattern = test.name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const folder = mkdtempSync(join(tmpdir(), 'archipel-control-'));
  try {
    const file = join(folder, 'report.json');
    const output = await run(['vitest', 'run', test.file, '-t', pattern, '--reporter=json', `--outputFile=${file}`, '--maxWorkers=1'], { [CONTROL_VARIABLE]: name });
    if (!existsSync(file)) throw new Error(`${test.file} was not run:\n${output}`);
    const report = readFileSync(file, 'utf8');
    if (report.includes(STALE) || output.includes(STALE)) throw new Error(`${STALE} ${name}, says ${test.file}.`);
    return hasFailed(JSON.parse(report) as Report);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const run = (words: readonly string[], more: Readonly<Record<string, string>>): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn('npx', words, { cwd: ROOT, env: { ...process.env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
