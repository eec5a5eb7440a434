// `npm run sim`: the cluster in a seed. One seed with its trace, or many.

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { World } from '../src/adapters/sim/world.ts';
import { isCaughtByTest } from '../src/testing/caught-by-test.ts';
import { CONTROL_SEEDS_MAX, controlNamed, CONTROLS, KNOWN_SEEDS_MAX, type Control } from '../src/testing/controls.ts';
import { missingMarks } from '../src/testing/marks.ts';
import { isFailure, sweep, Thread, type Outcome } from '../src/testing/pool.ts';
import { RARE_OPTIONS, type RareOption } from '../src/testing/rare.ts';
import { STALE } from '../src/testing/sabotage.ts';
import { CALMS, parseNumbers, type Excerpt } from '../src/testing/script.ts';
import { replayCommand, ruleOf, smaller } from '../src/testing/smaller.ts';
import { drawSwarm, REGIONS_DRAWN } from '../src/testing/swarm.ts';

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
    regions: { type: 'string' },
    faults: { type: 'string' },
    clients: { type: 'string' },
    operations: { type: 'string' },
    calm: { type: 'string' },
    rare: { type: 'string' },
    'no-shrink': { type: 'boolean' },
    'shrink-seconds': { type: 'string' },
    known: { type: 'boolean' },
    within: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});

const HELP = `npm run sim -- --seed N [--trace FILE]     one seed
             [--regions R] [--faults LIST] [--clients LIST] [--operations LIST] [--calm ${CALMS.join(',')}]
                                            less of it: no more regions, of the rest only what the lists (1-3,7) name
npm run sim -- --seeds N [--from N]        so many, one after the other
npm run sim -- --minutes N                 fresh ones for so long
             [--jobs N] [--json]
             [--regions R]                 of those seeds only that draw a cluster of so many
             [--rare LIST]                 with these options in any case (src/testing/rare.ts)
npm run sim -- --control NAME | --controls  with a known bug put in: it must be caught
             [--known]                     by the seed that is known to, or one of the ${KNOWN_SEEDS_MAX} from there; by its test, where it has one
             [--within N]                  by one of so many (default ${CONTROL_SEEDS_MAX}), from a fresh one or --from N (then without its test)
npm run sim -- --control NAME --seed N      one seed with it
A seed that fails is made smaller for at most 60 s: [--shrink-seconds N] [--no-shrink]
`;

const SHRINK_SECONDS = 60;
/** A longer trace is printed by its end. */
const LINES_MAX = 200;

const number = (name: string, text: string | undefined, otherwise: number): number => {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} takes a number, not ${text ?? ''}.`);
  return value;
};

/** Options that every seed has. */
const rare: readonly RareOption[] = (flags.rare ?? '').split(',').filter((name) => name !== '').map((name) => {
  const option = RARE_OPTIONS.find((each) => each === name);
  if (option === undefined) throw new TypeError(`--rare takes ${RARE_OPTIONS.join(', ')}, not ${name}.`);
  return option;
});

const say = (text: string): void => void process.stderr.write(text);

/** Undefined when nothing is left out. */
function excerptAsked(): Excerpt | undefined {
  const { regions, faults, clients, operations, calm } = flags;
  if ([regions, faults, clients, operations, calm].every((flag) => flag === undefined)) return undefined;
  const calms = CALMS.filter((each) => calm?.split(',').includes(each));
  return {
    ...(regions === undefined ? {} : { regions: number('regions', regions, 0) }),
    ...(faults === undefined ? {} : { faults: parseNumbers(faults) }),
    ...(clients === undefined ? {} : { clients: parseNumbers(clients) }),
    ...(operations === undefined ? {} : { operations: parseNumbers(operations) }),
    calm: calms,
  };
}

async function oneSeed(seed: number, control: string | undefined): Promise<boolean> {
  const excerpt = excerptAsked();
  const thread = new Thread(control, rare);
  const { outcome, trace } = await thread.ask({ seed, excerpt, isTraced: flags.trace !== undefined });
  await thread.end();
  if (flags.trace !== undefined) writeFileSync(flags.trace, trace.map((line) => `${line}\n`).join(''));
  say(`seed ${seed}\n`);
  if (isFailure(outcome)) say(`  FAILED: ${outcome.error}\n`);
  else {
    say(`${JSON.stringify(outcome.swarm)}\n`);
    for (const { rule, what } of outcome.violations) say(`  VIOLATED: ${rule}\n    ${what}\n`);
    say(`  ${outcome.operations} operations, ${outcome.requests} requests, faults ${JSON.stringify(outcome.faults)}, ${(outcome.virtualMs / 1_000).toFixed(1)} s of virtual time, trace ${outcome.traceHash.slice(0, 16)}\n`);
  }
  if (flags.json === true) process.stdout.write(`${JSON.stringify(outcome)}\n`);
  const rule = ruleOf(outcome);
  if (rule !== undefined && excerpt === undefined) await makeSmaller(seed, rule, control);
  return rule === undefined;
}

/** Prints the smallest run that still fails by the rule, and how to run it again. */
async function makeSmaller(seed: number, rule: string, control?: string): Promise<void> {
  if (flags['no-shrink'] === true) return;
  const seconds = number('shrink-seconds', flags['shrink-seconds'], SHRINK_SECONDS);
  const untilMs = performance.now() + seconds * 1_000;
  say(`\nmaking seed ${seed} smaller, for at most ${seconds} s\n`);
  const found = await smaller({ seed, rule, control, rare, isLate: () => performance.now() > untilMs });
  if (found === undefined) return say('  no smaller run fails in the same way\n');
  const { excerpt, outcome, trace, runs } = found;
  const shown = trace.filter((line) => !/^ *[\d.]+ \S+ +debug /.test(line));
  if (shown.length > LINES_MAX) say(`  … ${shown.length - LINES_MAX} lines before these\n`);
  for (const line of shown.slice(-LINES_MAX)) say(`${line}\n`);
  say(`\nafter ${runs} runs: ${excerpt.regions ?? '?'} regions, ${excerpt.faults?.length ?? '?'} faults, ${excerpt.operations?.length ?? '?'} operations left\n`);
  if (!isFailure(outcome)) say(`  VIOLATED: ${outcome.violations[0]?.rule}\n    ${outcome.violations[0]?.what.slice(0, 600)}\n`);
  say(`  ${replayCommand(seed, excerpt, control, rare)}\n`);
}

function report(outcome: Outcome): void {
  if (isFailure(outcome)) say(`\nseed ${outcome.seed} failed: ${outcome.error}\n`);
  else {
    const [first] = outcome.violations;
    if (first === undefined) return;
    say(`\nseed ${outcome.seed} VIOLATED: ${first.rule}\n  ${first.what.slice(0, 600)}\n`);
  }
  say(`  ${replayCommand(outcome.seed, undefined, undefined, rare)} --trace trace.txt\n`);
}

function* from(first: number, count: number, untilMs: number): Generator<number> {
  for (let at = 0; at < count && Date.now() < untilMs; at++) yield first + at;
}

/** Of these seeds those that draw so many regions. */
function* ofSize(regions: number, seeds: Iterable<number>): Generator<number> {
  for (const seed of seeds) if (drawSwarm(new World(seed).random.stream('swarm'), rare).regions === regions) yield seed;
}

function* atMost(count: number, seeds: Iterable<number>): Generator<number> {
  let left = count;
  for (const seed of seeds) {
    if (left-- <= 0) return;
    yield seed;
  }
}

async function many(seeds: Iterable<number>, jobs: number): Promise<boolean> {
  const startedMs = performance.now();
  let done = 0;
  let operations = 0;
  let violations = 0;
  let first: Outcome | undefined;
  const reached = new Set<string>();
  await sweep({
    seeds,
    jobs,
    rare,
    onResult: (outcome) => {
      done++;
      report(outcome);
      if (ruleOf(outcome) !== undefined) {
        violations++;
        first ??= outcome;
      }
      if (!isFailure(outcome)) operations += outcome.operations;
      if (!isFailure(outcome)) for (const mark of outcome.marks) reached.add(mark);
      if (process.stderr.isTTY && done % 10 === 0) say(`\r${done} seeds, ${violations} violations `);
      return true;
    },
  });
  const marksMissing = missingMarks(reached);
  const seconds = (performance.now() - startedMs) / 1_000;
  const rule = first === undefined ? undefined : ruleOf(first);
  if (first !== undefined && rule !== undefined) await makeSmaller(first.seed, rule);
  say(`\n${done} seeds in ${seconds.toFixed(1)} s on ${jobs} threads: ${violations} violations, ${operations} operations, ${Math.round(operations / seconds)} a second\n`);
  if (marksMissing.length > 0) say(`  never met: ${marksMissing.join('; ')}\n`);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ seeds: done, violations, operationsPerSecond: Math.round(operations / seconds), marksMissing })}\n`);
  return violations === 0;
}

const hasFailed = (outcome: Outcome): boolean => isFailure(outcome) || outcome.violations.length > 0;

async function isClean(seed: number): Promise<boolean> {
  let clean = true;
  await sweep({ seeds: [seed], jobs: 1, onResult: (outcome) => (clean = !hasFailed(outcome)) });
  return clean;
}

/** Tries seeds until one catches the bug: fails with it, and does not without. */
async function caught(control: string, first: number, count: number): Promise<number | null> {
  for (let next = first; next < first + count; ) {
    let seed: number | undefined;
    await sweep({
      seeds: from(next, first + count - next, Number.POSITIVE_INFINITY),
      jobs: 1,
      control,
      onResult: (outcome) => {
        if (isFailure(outcome) && outcome.error.includes(STALE)) throw new Error(outcome.error);
        if (hasFailed(outcome)) seed = outcome.seed;
        return seed === undefined;
      },
    });
    if (seed === undefined) return null;
    if (await isClean(seed)) return seed;
    next = seed + 1;
  }
  return null;
}

async function controls(chosen: readonly Control[], jobs: number): Promise<boolean> {
  const within = number('within', flags.within, flags.known === true ? KNOWN_SEEDS_MAX : CONTROL_SEEDS_MAX);
  const fresh = number('from', flags.from, Math.floor(Math.random() * 2 ** 40));
  const found = new Map<string, number | string | null>();
  const left = [...chosen];
  const work = async (): Promise<void> => {
    for (let control = left.shift(); control !== undefined; control = left.shift()) {
      if (control.test !== undefined && (flags.known === true || flags.from === undefined)) {
        const isCaught = await isCaughtByTest(control);
        found.set(control.name, isCaught ? control.test.file : null);
        say(`${(isCaught ? 'caught by its test' : 'NOT CAUGHT by its test').padEnd(32)} ${control.name}\n`);
        continue;
      }
      const first = flags.known === true ? (control.seed ?? fresh) : fresh;
      const seed = await caught(control.name, first, within);
      found.set(control.name, seed);
      say(`${(seed === null ? `NOT CAUGHT by ${within}` : `caught by ${seed}, the ${seed - first + 1}.`).padEnd(32)} ${control.name}\n`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const catchers = Object.fromEntries([...found.keys()].sort().map((name) => [name, found.get(name) ?? null]));
  if (flags.json === true) process.stdout.write(`${JSON.stringify(catchers)}\n`);
  return Object.values(catchers).every((catcher) => catcher !== null);
}

async function main(): Promise<boolean> {
  const jobs = number('jobs', flags.jobs, Math.min(2, availableParallelism()));
  const start = number('from', flags.from, Math.floor(Math.random() * 2 ** 40));
  const regions = flags.regions === undefined ? undefined : number('regions', flags.regions, 0);
  if (regions !== undefined && flags.seed === undefined && !REGIONS_DRAWN.includes(regions)) throw new TypeError(`--regions takes one of ${[...new Set(REGIONS_DRAWN)].join(', ')}, not ${regions}.`);
  const seedsUntil = (untilMs: number): Iterable<number> => {
    const all = from(start, Number.MAX_SAFE_INTEGER, untilMs);
    return regions === undefined ? all : ofSize(regions, all);
  };
  if (flags.help === true) say(HELP);
  else if (flags.seed !== undefined) return oneSeed(number('seed', flags.seed, 0), flags.control);
  else if (flags.control !== undefined) return controls([controlNamed(flags.control)], jobs);
  else if (flags.controls === true) return controls(CONTROLS, jobs);
  else if (flags.minutes !== undefined) return many(seedsUntil(Date.now() + number('minutes', flags.minutes, 0) * 60_000), jobs);
  else return many(atMost(number('seeds', flags.seeds, 100), seedsUntil(Number.POSITIVE_INFINITY)), jobs);
  return true;
}

process.exitCode = (await main()) ? 0 : 1;
