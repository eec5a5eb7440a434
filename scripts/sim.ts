// `npm run sim`: the cluster in a seed. One seed with its trace, or many.

import { createWriteStream } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isFailure, sweep, type Outcome } from '../src/testing/pool.ts';
import { runSeed } from '../src/testing/run.ts';
import { CONTROLS } from '../src/testing/controls.ts';

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string' },
    minutes: { type: 'string' },
    jobs: { type: 'string' },
    trace: { type: 'string' },
    control: { type: 'string' },
    controls: { type: 'boolean' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});

const HELP = `npm run sim -- --seed N [--trace FILE]     one seed
npm run sim -- --seeds N [--from N]        so many, one after the other
npm run sim -- --minutes N                 fresh ones for so long
             [--jobs N] [--json]
npm run sim -- --control NAME | --controls  with a known bug put in: it must be caught
`;

/** A control that so many seeds do not catch is not caught. */
const CONTROL_SEEDS_MAX = 400;

const number = (name: string, text: string | undefined, otherwise: number): number => {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} takes a number, not ${text ?? ''}.`);
  return value;
};

const say = (text: string): void => void process.stderr.write(text);

async function oneSeed(seed: number): Promise<boolean> {
  const file = flags.trace === undefined ? undefined : createWriteStream(flags.trace);
  const result = await runSeed(seed, file === undefined ? {} : { trace: (line) => void file.write(`${line}\n`), stacks: true });
  file?.end();
  say(`seed ${seed}\n${JSON.stringify(result.swarm)}\n`);
  for (const { rule, what } of result.violations) say(`  VIOLATED: ${rule}\n    ${what}\n`);
  say(`  ${result.operations} operations, ${result.requests} requests, faults ${JSON.stringify(result.faults)}, ${(result.virtualMs / 1_000).toFixed(1)} s of virtual time, trace ${result.traceHash.slice(0, 16)}\n`);
  if (flags.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
  return result.violations.length === 0;
}

function report(outcome: Outcome): void {
  if (isFailure(outcome)) say(`\nseed ${outcome.seed} failed: ${outcome.error}\n`);
  else {
    const [first] = outcome.violations;
    if (first === undefined) return;
    say(`\nseed ${outcome.seed} VIOLATED: ${first.rule}\n  ${first.what.slice(0, 600)}\n`);
  }
  say(`  npm run sim -- --seed ${outcome.seed} --trace trace.txt\n`);
}

function* from(first: number, count: number, untilMs: number): Generator<number> {
  for (let at = 0; at < count && Date.now() < untilMs; at++) yield first + at;
}

async function many(seeds: Iterable<number>, jobs: number): Promise<boolean> {
  const startedMs = performance.now();
  let done = 0;
  let operations = 0;
  let violations = 0;
  await sweep({
    seeds,
    jobs,
    onResult: (outcome) => {
      done++;
      report(outcome);
      if (isFailure(outcome) || outcome.violations.length > 0) violations++;
      if (!isFailure(outcome)) operations += outcome.operations;
      if (process.stderr.isTTY && done % 10 === 0) say(`\r${done} seeds, ${violations} violations `);
      return true;
    },
  });
  const seconds = (performance.now() - startedMs) / 1_000;
  say(`\n${done} seeds in ${seconds.toFixed(1)} s on ${jobs} threads: ${violations} violations, ${operations} operations, ${Math.round(operations / seconds)} a second\n`);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ seeds: done, violations, operationsPerSecond: Math.round(operations / seconds), marksMissing: [] })}\n`);
  return violations === 0;
}

/** Tries seeds until one catches the bug. */
async function caught(control: string, first: number, jobs: number): Promise<number | null> {
  let seed: number | null = null;
  await sweep({
    seeds: from(first, CONTROL_SEEDS_MAX, Number.POSITIVE_INFINITY),
    jobs,
    control,
    onResult: (outcome) => {
      if (isFailure(outcome) && outcome.error.includes('not once')) throw new Error(outcome.error);
      if (isFailure(outcome) || outcome.violations.length > 0) seed ??= outcome.seed;
      return seed === null;
    },
  });
  return seed;
}

async function controls(names: readonly string[], first: number, jobs: number): Promise<boolean> {
  const found: Record<string, number | null> = {};
  for (const name of names) {
    const seed = (found[name] = await caught(name, first, jobs));
    say(`${seed === null ? 'NOT CAUGHT' : `caught by ${seed} (${seed - first + 1})`.padEnd(10)}  ${name}\n`);
  }
  if (flags.json === true) process.stdout.write(`${JSON.stringify(found)}\n`);
  return Object.values(found).every((seed) => seed !== null);
}

async function main(): Promise<boolean> {
  const jobs = number('jobs', flags.jobs, Math.min(2, availableParallelism()));
  const fresh = Math.floor(Math.random() * 2 ** 40);
  const first = number('from', flags.from, fresh);
  if (flags.help === true) say(HELP);
  else if (flags.seed !== undefined) return oneSeed(number('seed', flags.seed, 0));
  else if (flags.control !== undefined) return controls([flags.control], first, jobs);
  else if (flags.controls === true) return controls(CONTROLS.map(({ name }) => name), first, jobs);
  else if (flags.minutes !== undefined) return many(from(first, Number.MAX_SAFE_INTEGER, Date.now() + number('minutes', flags.minutes, 0) * 60_000), jobs);
  else return many(from(first, number('seeds', flags.seeds, 100), Number.POSITIVE_INFINITY), jobs);
  return true;
}

process.exitCode = (await main()) ? 0 : 1;
