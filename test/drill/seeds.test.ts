// Seeds from which a drill has failed once, as it is run by people. `npm run test:long`.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseDrill } from '../../src/drill/drill.ts';
import { drillInSimulation } from '../../src/testing/drill-place.ts';

it.each([
  // A region that was lost was made active on its word that it had a certificate with every replica, before one of those had heard of it:
  // that replica went on owing it everything.
  ['declared-lost', 54],
  // What the region owes was answered after 1,018 ms, over slow links, and the drill had given up at 900: its RPO was "not measured".
  ['fenced-while-paused', 33],
] as const)('%s passes from seed %i', async (name, seed) => {
  const { verdicts, notes } = await drillInSimulation(parseDrill(readFileSync(new URL(`../../drills/${name}.yaml`, import.meta.url), 'utf8'), name), seed);
  expect({ fails: verdicts.filter(({ holds }) => !holds), notes }).toMatchObject({ fails: [] });
});
