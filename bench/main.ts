// npm run bench: starts clusters by itself, in temporary folders on loopback, and prints what the goals name, each figure
// beside its yardstick from the same run.

import { writeFileSync } from 'node:fs';
import { curves } from './curves.ts';
import { peers } from './peers.ts';
import { layers } from './layers.ts';
import { ROWS, Table } from './table.ts';
import { tails } from './tails.ts';
import { asked, HELP, type Asked } from './lib/options.ts';
import { guard, type GuardFiles } from './lib/guard.ts';
import { verdictOn, written, type Row } from './lib/results.ts';
import { FULL, QUICK } from './lib/scenario.ts';

const options = asked(process.argv.slice(2), Object.keys(ROWS));
if (typeof options === 'string') {
  console.error(options);
  process.exit(2);
}
if (options.help) {
  console.log(HELP);
  process.exit(0);
}
if (options.mode === 'layers') await layers(options);
else if (options.mode === 'tails') await tails(options);
else if (options.mode === 'curves') await curves(options);
else if (options.mode === 'peers') await peers(options);
else await rows(options);

async function rows({ quick, only, open, json, against, keep }: Asked): Promise<void> {
  const startedMs = performance.now();
  const table = new Table(quick ? QUICK : FULL, open);
  await table.measure(only);
  const all = [...table.rows.values()];
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(Object.fromEntries(all.map((row) => [row.id, written(row)])), undefined, 2)}\n`);
  const verdict = verdictOn(all, open);
  const again = all.filter(({ attempts }) => attempts > 1);
  const names = (some: readonly Row[]): string => some.map(({ id }) => id).join(', ');
  console.log(`\n${all.length - table.short.length} of ${all.length} rows reach their goal${verdict.below.length === 0 ? ', none misses its floor' : `; below the floor: ${names(verdict.below)}`}.${again.length === 0 ? '' : ` Measured again: ${again.map(({ id, attempts }) => `${id} (${attempts} times)`).join(', ')}.`} ${((performance.now() - startedMs) / 1_000).toFixed(0)} s.`);
  if (open.size > 0) console.log(`Open, whatever they show: ${[...open].join(', ')}.${verdict.reached.length === 0 ? '' : ` At their floor now: ${names(verdict.reached)}; they need not be open any more.`}`);
  const files: GuardFiles = { against, keep };
  const hasHeld = await guard(table, files, startedMs);
  process.exitCode = verdict.failing.length === 0 && hasHeld ? 0 : 1;
}
