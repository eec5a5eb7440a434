// npm run bench:aws: what the goals say of AWS (P11 to P13), by the bundles that would be deployed, on emulators that count
// as DynamoDB bills. Nothing is deployed, and no account is asked.
//
//   --quick        a small size
//   --json FILE    writes {"P11":{"value","yardstick","floor","goal","met"},…}, as `npm run bench`
//
// Prints what is reached and what is not; ends with 1 only when nothing could be measured, or the emulators disagree.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePorts } from '../scripts/lib/cluster.ts';
import { installMiniStack, MiniStack } from '../scripts/aws/ministack.ts';
import { skipIfUnavailable } from '../scripts/aws/venv.ts';
import { hasDynoxide, NO_DYNOXIDE, startDynoxide } from '../test/contract/emulators.ts';
import { agreement, counted } from './aws/agreement.ts';
import { bundleRows } from './aws/bundle-rows.ts';
import { costRows } from './aws/cost-rows.ts';
import { reconcileRows } from './aws/reconcile-rows.ts';
import { Stage } from './aws/stage.ts';
import { heading, judgeRow, printed, written, type Figure, type Row } from './lib/results.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } } });
if (!hasDynoxide) {
  console.log(`SKIPPED: ${NO_DYNOXIDE}`);
  process.exit(0);
}

const rows: Row[] = [];
console.log(heading());
await measured('P11', 'cost at list price', async () => [...(await on(dynoxide, (stage) => costRows(stage, values.quick))), ...(await agreed())]);
await measured('P12', 'reconciliation', () => on(dynoxide, (stage) => reconcileRows(stage, values.quick)));
await measured('P13', 'bundles', () => bundleRows(values.quick));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(Object.fromEntries(rows.map((row) => [row.id, written(row)])), undefined, 2)}\n`);
const short = rows.filter((row) => judgeRow(row) !== 'goal').map(({ id }) => id);
console.log(`\n${rows.length - short.length} of ${rows.length} rows reach their goal${short.length === 0 ? '' : `; not: ${short.join(', ')}`}.`);
process.exit();

async function measured(id: string, title: string, work: () => Promise<Figure[]>): Promise<void> {
  const row: Row = { id, title, figures: await work(), attempts: 1, neighbours: undefined };
  rows.push(row);
  console.log(printed(row));
}

interface Emulated {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

async function on<T>(start: () => Promise<Emulated>, work: (stage: Stage) => Promise<T>): Promise<T> {
  const emulator = await start();
  const stage = await Stage.on(emulator.url);
  try {
    return await work(stage);
  } finally {
    await stage.stop();
    await emulator.stop();
  }
}

async function dynoxide(): Promise<Emulated> {
  const emulator = await startDynoxide();
  return { url: emulator.endpoint, stop: () => emulator.stop() };
}

async function ministack(): Promise<Emulated> {
  const folder = mkdtempSync(join(tmpdir(), 'archipel-bench-ministack-'));
  const emulator = await MiniStack.start(await freePorts(1), join(folder, 'ministack.log'));
  return {
    url: emulator.url,
    stop: async () => {
      await emulator.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function agreed(): Promise<Figure[]> {
  try {
    await installMiniStack();
  } catch (error) {
    skipIfUnavailable(error);
    return [];
  }
  const [one, other] = [await on(dynoxide, counted), await on(ministack, counted)];
  if (one !== other) process.exitCode = 1;
  return [agreement(one, other)];
}
