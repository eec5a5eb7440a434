// The guard against becoming slower: the run beside a kept baseline, and a new baseline where one is asked for.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { root } from '../../scripts/lib/cluster.ts';
import type { Table } from '../table.ts';
import { Before } from './before.ts';
import { besideTheCode, compare, keep, medians, otherMachine, printedComparison, thisMachine, TURNS_MIN, worseRows, type Baseline } from './baseline.ts';
import type { Row } from './results.ts';

export interface GuardFiles {
  readonly against: string | undefined;
  readonly keep: string | undefined;
}

/** What is not measured again by then is printed: the step has an end. */
const AGAIN_UNTIL_MS = 190_000;
const TURNS = 5;

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
  return again(table, baseline, suspects, isLate);
}

/** The suspects once more, in turns with the code of the baseline, so that the hour of the machine meets both. */
async function again(table: Table, baseline: Baseline, suspects: readonly string[], isLate: () => boolean): Promise<boolean> {
  const before = Before.unpack(baseline.commit);
  if (typeof before === 'string') {
    console.log(`Not judged: ${suspects.join(', ')}. The code of the baseline cannot be measured beside this one (${before}).`);
    return true;
  }
  try {
    console.log(`Measured again, in turns with the code of ${baseline.commit}: ${suspects.join(', ')}.`);
    const [then, now]: [Row[][], Row[][]] = [[], []];
    while (now.length < TURNS && (now.length < TURNS_MIN || !isLate())) {
      const measure = async (isNow: boolean): Promise<unknown> => (isNow ? now.push(await table.again(new Set(suspects))) : before.during(async () => then.push(await table.again(new Set(suspects)))));
      // Whoever is measured second has the warmer machine: each is, in its turn.
      const isNowFirst = now.length % 2 === 1;
      await measure(isNowFirst);
      await measure(!isNowFirst);
    }
    // What is measured in this process is of this code both times: it stands beside the kept figures alone.
    const second = [...besideTheCode(baseline, then, now).filter(({ id }) => !table.isInProcess(id)), ...compare(baseline, medians(now), baseline.machine).filter(({ id }) => table.isInProcess(id))];
    console.log(printedComparison(second));
    const worse = worseRows(second);
    console.log(worse.length === 0 ? 'Not worse than that code.' : `Worse than the code of the baseline beside it: ${worse.join(', ')}.`);
    return worse.length === 0;
  } finally {
    before.end();
  }
}
