// npm run bench: starts clusters by itself, in temporary folders on loopback, and prints what the goals name, each figure
// beside its yardstick from the same run.
//
//   --quick        everything in a small size, in less than 100 s on two cores
//   --only P1,P2   these rows
//   --open P2,P3   these are known not to have reached their floor yet: printed, but no reason to fail
//   --json FILE    writes {"P1":{"value","yardstick","floor","goal","met"},…}
//
// Ends with 1 when a floor is missed, whoever else used the machine: a miss is never explained away. A row that misses its
// floor is measured again until most of its attempts agree, and the output says so; it also says when others took more
// than a little of the processors, and waits for them before it measures again.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Neighbours, quietMachine } from './lib/processes.ts';
import { heading, isDecided, judgeRow, missed, printed, verdictOn, written, type Row } from './lib/results.ts';
import { FULL, QUICK, type Scenario } from './lib/scenario.ts';
import { alone } from './rows/alone.ts';
import { comparing } from './rows/comparing.ts';
import { keeping } from './rows/keeping.ts';
import { trio } from './rows/trio.ts';

/** Odd, so that there is a majority. A small run scatters more, and as a gate it must not close by chance. */
const ATTEMPTS_MAX = { full: 3, quick: 5 };
/** How long a measurement waits for a machine that others use; then it measures all the same. */
const QUIET_WAIT_MS = 30_000;
const SCENARIOS: readonly Scenario[] = [alone, trio, comparing, keeping];

const TITLES: Readonly<Record<string, string>> = {
  P1: 'GET, 64 connections, over hono with a constant 1 KB',
  P2: 'durable PUT, 64 connections, over hono reading and dropping',
  P3: 'a durable PUT alone, p50, over fdatasync and a hello',
  P4: 'replicated writes, three synced copies, over the hono of P2',
  P5: 'CPU of the whole cluster per replicated write',
  P6: 'replication lag',
  P7: 'after an outage, until all is there',
  P8: 'kill -9 of a region',
  P9: 'anti-entropy',
  P10: 'digests',
  P14: 'memory',
  P15: 'disk over payload, compacted',
};

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, only: { type: 'string' }, open: { type: 'string', default: '' }, json: { type: 'string' } } });
const wanted = new Set(values.only?.split(',') ?? Object.keys(TITLES));
// Rows that are known not to have reached their floor yet, named by whoever calls: printed as loudly, but not news.
const open = new Set(values.open.split(',').filter((id) => id !== ''));
for (const id of [...wanted, ...open]) {
  if (TITLES[id] !== undefined) continue;
  console.error(`There is no row ${id}. Rows: ${Object.keys(TITLES).join(', ')}.`);
  process.exit(2);
}
const size = values.quick ? QUICK : FULL;
const startedMs = performance.now();
const rows = new Map<string, Row>();

console.log(heading());
for (const scenario of SCENARIOS) await measure(scenario);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(Object.fromEntries([...rows].map(([id, row]) => [id, written(row)])), undefined, 2)}\n`);
const again = [...rows.values()].filter(({ attempts }) => attempts > 1);
const verdict = verdictOn([...rows.values()], open);
const names = (all: readonly Row[]): string => all.map(({ id }) => id).join(', ');
console.log(`\n${[...rows.values()].filter((row) => judgeRow(row) === 'goal').length} of ${rows.size} rows reach their goal${verdict.below.length === 0 ? ', none misses its floor' : `; below the floor: ${names(verdict.below)}`}.${again.length === 0 ? '' : ` Measured again: ${again.map(({ id, attempts }) => `${id} (${attempts} times)`).join(', ')}.`} ${((performance.now() - startedMs) / 1_000).toFixed(0)} s.`);
if (open.size > 0) console.log(`Open, whatever they show: ${[...open].join(', ')}.${verdict.reached.length === 0 ? '' : ` At their floor now: ${names(verdict.reached)}; they need not be open any more.`}`);
process.exitCode = verdict.failing.length === 0 ? 0 : 1;

async function measure(scenario: Scenario): Promise<void> {
  const outcomes = new Map<string, boolean[]>();
  const most = ATTEMPTS_MAX[size.quick ? 'quick' : 'full'];
  let asked = new Set(scenario.rows.filter((id) => wanted.has(id)));
  for (let attempt = 1; asked.size > 0; attempt++) {
    if (attempt > 1) await quietMachine(QUIET_WAIT_MS);
    const neighbours = new Neighbours();
    const figures = await scenario.measure(size, asked);
    const share = neighbours.share();
    for (const id of asked) {
      const row: Row = { id, title: TITLES[id] as string, figures: figures[id] ?? [], attempts: attempt, neighbours: share };
      rows.set(id, row);
      outcomes.set(id, [...(outcomes.get(id) ?? []), !missed(row)]);
    }
    // One that is open is known to miss: it is measured once, and is no reason to measure anything again.
    const unsure = [...asked].filter((id) => !open.has(id) && !isDecided(outcomes.get(id) ?? [], most));
    for (const id of asked) if (!unsure.includes(id)) console.log(printed(rows.get(id) as Row));
    if (unsure.length > 0) console.log(`      measured again: ${unsure.join(', ')} (${unsure.map((id) => (rows.get(id) as Row).figures.map(({ value }) => value.toPrecision(3)).join(' / ')).join('; ')})`);
    asked = new Set(unsure);
  }
}
