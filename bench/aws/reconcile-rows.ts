// P12: what a reconciliation reads, in read units as the emulator counts them. Equal regions are compared by the scans of
// the daily run: digests that are kept with the writes are not built on AWS. Policies, which it reads besides, it may have at hand
// or not: counted is what is read of the one partition that holds the items.

import { itemBytes } from '../../src/adapters/aws/units.ts';
import { partitionPrefix } from '../../src/core/keys/item-key.ts';
import { FRESH_MS } from '../../functions/commons/mirror.ts';
import type { Figure } from '../lib/results.ts';
import { valueOf } from './cost-rows.ts';
import { EU, keyOf, tableOf, US, type Stage } from './stage.ts';

const VALUE_BYTES = 900;
const PARTITION = 0;
/** What an eventually consistent read of 4 KiB takes. */
const READ_UNITS = 0.5;
const READ_BYTES = 4_096;

/** On a stage of its own: what else lies in its tables would be read too. All items in one partition, and 255 empty ones besides. */
export async function reconcileRows(stage: Stage, quick: boolean): Promise<Figure[]> {
  const items = quick ? 200 : 1_000;
  await known();
  const idle = await compared(stage);
  let bytes = 0;
  for (let at = 0, found = 0; found < items; at++) {
    const pk = `item-${at}`;
    if (keyOf(pk).encoded[4] !== PARTITION) continue;
    found++;
    await stage.put(EU, pk, valueOf(pk, at, VALUE_BYTES));
    await stage.fanOut(EU, [await stage.image(EU, pk)]);
    await stage.drain(US);
    bytes += itemBytes(await stage.item(EU, pk));
  }
  const { partition } = await compared(stage);
  const bare = (READ_UNITS * bytes) / READ_BYTES;
  return [
    { name: 'equal regions, read units for 10,000 keys and region', value: (10_000 * partition) / items, unit: '', goal: 1, better: 'lower' },
    { name: 'deep check of a partition', value: partition / bare, unit: 'x', yardstick: `n/8: ${bare.toFixed(0)} read units for ${items} items`, goal: 1.02, better: 'lower' },
    { name: 'of a region without an item', value: idle.all, unit: '', yardstick: 'read units, 256 partitions and the system’s', better: 'lower' },
  ];
}

/** Environments have been warm for longer than what they know of collections is good for: each knows the group of the items by now. */
const known = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, FRESH_MS + 500));

/** Read units of a region, on average of both. */
async function compared(stage: Stage): Promise<{ readonly all: number; readonly partition: number }> {
  stage.meter.reset();
  const result = await stage.reconcile(EU, { what: 'deep', peers: [US] });
  const [pair] = result.pairs;
  if (pair === undefined || pair.differing !== 0) throw new Error(`The regions differ: ${JSON.stringify(result)}`);
  const PK = partitionPrefix(keyOf('item').group, PARTITION);
  const average = (unitsOf: (table: string) => number): number => (unitsOf(tableOf(EU)) + unitsOf(tableOf(US))) / 2;
  return { all: average((table) => stage.meter.of(table).readUnits), partition: average((table) => stage.meter.queried(table, PK)) };
}
