// The guard against becoming slower: the run beside a kept baseline, and a new baseline where one is asked for.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { root } from '../../scripts/lib/cluster.ts';
import type { Table } from '../table.ts';
import { compare, failing, keep, medians, otherMachine, printedComparison, thisMachine, worseRows, type Baseline } from './baseline.ts';
import type { Row } from './results.ts';

export interface GuardFiles {
  readonly against: string | undefined;
  readonly keep: string | undefined;
}

/** What is not measured again by then is printed: the step has an end. */
const AGAIN_UNTIL_MS = 190_000;
/** Of a row that is no median of rounds by itself. */
const ATTEMPTS = 5;

const read = (file: string): Baseline => JSON.parse(readFileSync(file, 'utf8')) as Baseline;

/** False when a row has become worse. */
export async function guard(table: Table, files: GuardFiles, startedMs: number): Promise<boolean> {
  const rows = [...table.rows.values()];
  const size = table.size.quick ? 'quick' : 'full';
  if (files.keep !== undefined) {
    const before = existsSync(files.keep) ? read(files.keep) : undefined;
    const run = { machine: thisMachine(), size, date: new Date().toISOString().slice(0, 10), commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim() } as const;
    writeFileSync(files.keep, `${JSON.stringify(keep(before, rows, run), undefined, 1)}\n`);
    console.log(`\nKept in ${files.keep}.`);
  }
  return files.against === undefined ? true : against(table, read(files.against), startedMs);
}

async function against(table: Table, baseline: Baseline, startedMs: number): Promise<boolean> {
  const machine = thisMachine();
  console.log(`\nBeside the baseline of ${baseline.date}, commit ${baseline.commit}:`);
  if (baseline.size !== (table.size.quick ? 'quick' : 'full')) {
    console.log(`  It was measured in another size (${baseline.size}): nothing is compared.`);
    return true;
  }
  const elsewhere = otherMachine(baseline.machine, machine);
  if (elsewhere !== undefined) console.log(`  Another machine: ${elsewhere}. All is printed, nothing is judged.`);
  const isLate = (): boolean => performance.now() - startedMs > AGAIN_UNTIL_MS;
  const first = compare(baseline, [...table.rows.values()], machine);
  console.log(printedComparison(first));
  const suspects = worseRows(first);
  if (suspects.length === 0) {
    console.log('Nothing that is judged has become worse.');
    return true;
  }
  if (isLate()) {
    console.log(`No time to measure again, so not judged: ${suspects.join(', ')}.`);
    return true;
  }
  console.log(`Measured again, five rounds of each: ${suspects.join(', ')}.`);
  const attempts: Row[][] = [];
  for (let left: readonly string[] = suspects; left.length > 0 && attempts.length < ATTEMPTS && (attempts.length === 0 || !isLate()); left = left.filter((id) => !table.isInRounds(id))) attempts.push(await table.again(new Set(left)));
  const rows = medians(attempts);
  const second = compare(baseline, rows, machine);
  console.log(printedComparison(second));
  return verdict(rows, worseRows(second));
}

function verdict(rows: readonly Row[], worse: readonly string[]): boolean {
  const failed = failing(rows, worse);
  const excused = worse.filter((id) => !failed.includes(id));
  if (excused.length > 0) console.log(`Others used the processors meanwhile, so not judged: ${excused.join(', ')}.`);
  console.log(failed.length === 0 ? 'Not worse, measured again.' : `Worse than the baseline, twice: ${failed.join(', ')}.`);
  return failed.length === 0;
}
