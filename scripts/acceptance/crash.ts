// The data folder of a region, copied while it is written and opened as a start does: 200 copies, with --quick too. Then
// the same with known bugs in the store, each of which a copy has to tell of.
//
//   npx node scripts/acceptance/crash.ts [--copies N] [--seed N]

import { parseArgs } from 'node:util';
import { CRASH_CONTROLS } from '../lib/crash/controls.ts';
import { crashCopies } from '../lib/crash/copies.ts';
import { Report } from '../lib/report.ts';

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean' }, copies: { type: 'string', default: '200' }, seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) } } });
const copies = Number(flags.copies);
const seed = Number(flags.seed);
const report = new Report(`crash: ${copies} copies of a live data folder, seed ${seed}`);

const WAYS = [
  ['a power cut', 'sync', 'power', 0.6],
  ['kill -9', 'sync', 'process', 0.2],
  ['kill -9 in relaxed durability', 'relaxed', 'process', 0.2],
] as const;

for (const [how, durability, ends, share] of WAYS) {
  const result = await crashCopies({ copies: Math.ceil(copies * share), durability, ends, seed });
  report.check(`${how}: everything acknowledged is there, nothing is torn`, result.wrong.length === 0, `${result.copies} copies, ${result.acknowledged} acknowledgements`);
  for (const wrong of result.wrong.slice(0, 10)) report.note(wrong);
  report.note(`${result.withTables} copies hold tables`);
  if (ends === 'power') report.note(`${result.cuts} copies lost ${result.bytesCut} bytes that no sync covered`);
}

const CONTROL_COPIES_MAX = 60;
for (const { name, edit, ends = 'power' } of CRASH_CONTROLS) {
  const { wrong, copies: made } = await crashCopies({ copies: CONTROL_COPIES_MAX, durability: 'sync', ends, seed, edits: [edit] });
  report.check(`a known bug is seen: ${name}`, wrong.length > 0, `by copy ${made}`);
}
report.end();
