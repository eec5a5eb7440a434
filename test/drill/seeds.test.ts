// Seeds from which a drill has failed once, as it is run by people. `npm run test:long`.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseDrill } from '../../src/drill/drill.ts';
import { drillInSimulation } from '../../src/testing/drill-place.ts';

it.each([
  // A region that was lost was made active on its word that it had a certificate with every replica, before one of those had heard of it:
  // that replica went on owing it everything.
  ['declared-lost', 54],
] as const)('%s passes from seed %i', async (name, seed) => {
  const { verdicts, notes } = await drillInSimulation(parseDrill(readFileSync(new URL(`../../drills/${name}.yaml`, import.meta.url), 'utf8'), name), seed);
  expect({ fails: verdicts.filter(({ holds }) => !holds), notes }).toMatchObject({ fails: [] });
});
