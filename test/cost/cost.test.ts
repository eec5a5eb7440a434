// What `archipel cost` says, and that docs/cost.md says the same.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { estimate, total } from '../../src/cost/estimate.ts';
import { PRICES, PRICES_DATE } from '../../src/cost/prices.ts';
import { distinctPart, itemOf, KEYS, type Workload } from '../../src/cost/workload.ts';
import { archipel } from '../cli/support.ts';

const BUSY: Workload = { regions: 3, replicas: 3, writesPerSecond: 100_000, readsPerSecond: 0, valueBytes: 512, skew: 0, gatherSeconds: 1, compressesTo: 0.4 };
const ratio = (more: Partial<Workload>): number => {
  const { writes, globalWrites } = estimate({ ...BUSY, ...more });
  return total(writes) / total(globalWrites);
};

describe('units of an operation', () => {
  it('do not grow: a value of half a KiB, a write unit for each region; of 2 KiB, three', () => {
    expect(itemOf(BUSY).units).toEqual({ get: { read: 1, write: 0 }, put: { read: 0, write: 1 }, decided: { read: 1, write: 1 }, apply: { read: 0, write: 1 }, replaced: { read: 1, write: 9 }, beaten: { read: 1, write: 7 } });
    expect(itemOf({ ...BUSY, valueBytes: 2_048 }).units).toEqual({ get: { read: 1, write: 0 }, put: { read: 0, write: 3 }, decided: { read: 1, write: 3 }, apply: { read: 0, write: 3 }, replaced: { read: 1, write: 19 }, beaten: { read: 1, write: 13 } });
  });

  it('nor does what fields of ours add to an item of three regions', () => {
    const { storedBytes, bareBytes } = itemOf(BUSY);
    expect(storedBytes - bareBytes).toBeLessThanOrEqual(120);
  });
});

describe('the estimate', () => {
  it('beside a global table of the same copies: busy, and busy with few keys', () => {
    expect(ratio({})).toBeLessThan(1.03);
    expect(ratio({ compressesTo: 1 })).toBeLessThan(1.05);
    expect(ratio({ skew: 0.99 })).toBeLessThan(0.85);
  });

  it('what is sent is deflated, and gathered: less of it, and in fewer messages', () => {
    expect(ratio({ compressesTo: 0.3 })).toBeLessThan(ratio({ compressesTo: 0.9 }));
    expect(ratio({ compressesTo: 0.95 })).toBe(ratio({ compressesTo: 1 })); // does not pay: it is sent as it is
    expect(ratio({ writesPerSecond: 100, gatherSeconds: 5 })).toBeLessThan(ratio({ writesPerSecond: 100 }));
    expect(ratio({ writesPerSecond: 100, gatherSeconds: 0 })).toBeGreaterThan(ratio({ writesPerSecond: 100 }));
  });

  it('a deployment that gathers less pays more for each write, and never less than its table', () => {
    expect(ratio({ writesPerSecond: 10 })).toBeGreaterThan(ratio({ writesPerSecond: 1_000 }));
    expect(ratio({ writesPerSecond: 1_000 })).toBeGreaterThan(ratio({}));
  });

  it('one region sends nothing', () => {
    const { writes, apart } = estimate({ ...BUSY, regions: 1, replicas: 1 });
    expect(writes.slice(1).map(({ dollars }) => dollars)).toEqual([0, 0, 0, 0, 0]);
    expect(apart[0]?.dollars).toBe(0);
  });

  it('what is left of a batch when the newest of each key is sent is what a count over all keys says', () => {
    expect(distinctPart(100, 0)).toBe(1);
    expect(distinctPart(1, 1.2)).toBe(1);
    for (const skew of [0.5, 0.99, 1.5]) {
      const weights = Array.from({ length: KEYS }, (_, at) => (at + 1) ** -skew);
      const sum = weights.reduce((a, b) => a + b, 0);
      const exact = weights.reduce((distinct, weight) => distinct + 1 - (1 - weight / sum) ** 200, 0) / 200;
      expect(distinctPart(200, skew)).toBeCloseTo(exact, 3);
    }
  });
});

it('every price has its unit and its source, and all have one date', () => {
  expect(PRICES_DATE).toMatch(/^20\d\d-\d\d-\d\d$/);
  for (const { dollars, per, unit, source, certainty } of Object.values(PRICES)) {
    expect(dollars).toBeGreaterThan(0);
    expect(per).toBeGreaterThan(0);
    expect(unit).not.toBe('');
    expect(source).toMatch(/^aws\.amazon\.com\//);
    expect(['seen', 'recalled']).toContain(certainty);
  }
});

describe('docs/cost.md', () => {
  const page = readFileSync(new URL('../../docs/cost.md', import.meta.url), 'utf8');
  const shown = [...page.matchAll(/^```\n\$ npx archipel (.*)\n([\s\S]*?)^```$/gm)].map(([, command = '', output = '']) => [command, output] as const);

  it('shows 2, 3 and 5 regions', () => {
    const commands = shown.map(([command]) => command).join('\n');
    for (const regions of [2, 3, 5]) expect(commands).toContain(`--regions ${regions}`);
  });

  it.each(shown)('what it shows of `%s` is what the command says', async (command, output) => {
    expect(await archipel(command.split(' '))).toEqual({ code: 0, err: '', out: output });
  });

  it('lists every price as it is reckoned with', () => {
    for (const { dollars, per, unit, certainty } of Object.values(PRICES)) expect(page).toContain(`| ${unit} | $${dollars}${per === 1 ? '' : ' a million'} | ${certainty} |`);
    expect(page).toContain(PRICES_DATE);
  });

  it('with --json the same, with its prices', async () => {
    const { out } = await archipel(['cost', '--json']);
    expect(JSON.parse(out)).toMatchObject({ workload: { regions: 3, replicas: 3 }, prices: { date: PRICES_DATE, writeUnit: { dollars: 0.625 } } });
  });
});
