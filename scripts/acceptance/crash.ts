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

for (const [durability, share] of [['sync', 0.75], ['relaxed', 0.25]] as const) {
  const result = await crashCopies({ copies: Math.ceil(copies * share), durability, seed });
  const how = durability === 'sync' ? 'a power cut' : 'kill -9 in relaxed durability';
  report.check(`${how}: everything acknowledged is there, nothing is torn`, result.wrong.length === 0, `${result.copies} copies, ${result.acknowledged} acknowledgements`);
  for (const wrong of result.wrong.slice(0, 10)) report.note(wrong);
  report.note(`${result.withTables} copies hold tables`);
  if (durability === 'sync') report.note(`${result.cuts} copies lost ${result.bytesCut} bytes that no sync covered`);
}

const CONTROL_COPIES_MAX = 60;
for (const { name, edit } of CRASH_CONTROLS) {
  const { wrong, copies: made } = await crashCopies({ copies: CONTROL_COPIES_MAX, durability: 'sync', seed, edits: [edit] });
  report.check(`a known bug is seen: ${name}`, wrong.length > 0, `by copy ${made}`);
}
report.end();
