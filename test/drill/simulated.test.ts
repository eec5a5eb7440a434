// Drills in the simulation, with fewer requests than a person would run them with. `.ci/run` runs all of them as they are.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseDrill, type Drill } from '../../src/drill/drill.ts';
import { drillPage } from '../../src/drill/page.ts';
import { drillInSimulation } from '../../src/testing/drill-place.ts';

const calm = (name: string, rate: number): Drill => {
  const drill = parseDrill(readFileSync(new URL(`../../drills/${name}.yaml`, import.meta.url), 'utf8'), name);
  return { ...drill, load: { ...drill.load, rate, keys: Math.min(drill.load.keys, 50) } };
};

describe('drills in the simulation', () => {
  it('a region lost under load: passes, the same report twice, and a page that needs nothing from elsewhere', async () => {
    const drill = calm('region-lost-under-load', 20);
    const report = await drillInSimulation(drill, 1);
    expect(report.notes.join('\n')).toBe('');
    expect(report.passed).toBe(true);
    expect(report.measured.acknowledged).toBeGreaterThan(100);
    expect(report.measured.rpoLive).toBeGreaterThanOrEqual(report.measured.rpoReal ?? Number.NaN);
    expect(await drillInSimulation(drill, 1)).toEqual(report);
    const page = drillPage({ ...report, notes: ['</script><b>'] });
    expect(page).not.toMatch(/(src|href)=|@import|url\(/);
    expect(page).toContain('&lt;/script&gt;&lt;b&gt;');
    expect(page.split('</script>')).toHaveLength(3);
  });

  it.each([
    ['region-lost-under-load', 'clients-do-not-fail-over'],
    ['split-brain', 'ledger-not-read'],
    ['long-outage', 'never-healed'],
    ['flapping', 'record-overlooked'],
  ] as const)('%s fails with the known bug %s', async (name, control) => {
    const { passed, control: told } = await drillInSimulation(calm(name, 20), 1, { control });
    expect(told).toBe(control);
    expect(passed).toBe(false);
  });
});
