// The same writes on two emulators that others wrote: what each counts must be the same. Where one of them cannot be had,
// that is said, and there is nothing to agree with.

import type { Figure } from '../lib/results.ts';
import { valueOf } from './cost-rows.ts';
import { EU, REGIONS, tableOf, US, type Stage } from './stage.ts';

/** First writes, writes over, a full list of operations, conflicts; of sizes around whole units. */
export async function counted(stage: Stage): Promise<string> {
  stage.meter.reset();
  for (const [at, size] of [100, 600, 880, 900, 1_000, 1_900, 5_000].entries()) {
    for (let again = 0; again < 12; again++) {
      await stage.put(EU, `agree-${at}`, valueOf(`agree-${at}`, again, size));
      if (again % 3 > 0) continue;
      await stage.fanOut(EU, [await stage.image(EU, `agree-${at}`)]);
      for (const region of REGIONS) await stage.drain(region);
    }
    for (const region of [EU, US]) await stage.put(region, `rival-${at}`, valueOf(`rival-${at}`, at, size));
    for (const region of [EU, US]) await stage.fanOut(region, [await stage.image(region, `rival-${at}`)]);
    for (const region of REGIONS) await stage.drain(region);
  }
  return REGIONS.map((region) => stage.meter.of(tableOf(region)).writeUnits).join(' + ');
}

export const agreement = (one: string, other: string): Figure => ({ name: 'write units of one trace, Dynoxide and MiniStack', value: one === other ? 1 : 0, unit: one === other ? `(${one})` : `(${one}; ${other})`, goal: 1, better: 'higher' });
