// Drills in the simulation, with fewer requests than a person would run them with. `.ci/run` runs all of them as they are.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseDrill, type ControlName, type Drill } from '../../src/drill/drill.ts';
import { drillPage } from '../../src/drill/page.ts';
import { drillInSimulation } from '../../src/testing/drill-place.ts';
import { archipel } from '../cli/support.ts';

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
    expect(report.hints.flat().some((hints) => (hints ?? 0) > 0)).toBe(true);
    expect(report.queued.flat().every((items, at) => (items ?? 0) >= (report.hints.flat()[at] ?? 0))).toBe(true); // what waits on disk waits
    expect(Math.max(...report.queued.flat().map((items) => items ?? 0))).toBeGreaterThan(5);
    expect(report.oldestMs).toBeGreaterThan(5_000);
    expect(report.divergedAtHealing).toBeGreaterThanOrEqual(0);
    expect(report.certificates).toHaveLength(3);
    expect(report.certificates.every(({ after, digest }) => after !== undefined && digest === report.certificates[0]?.digest)).toBe(true);
    expect(await drillInSimulation(drill, 1)).toEqual(report);
    const page = drillPage({ ...report, notes: ['</script><b>'] });
    expect(page).not.toMatch(/(src|href)=|@import|url\(/);
    expect(page).toContain('&lt;/script&gt;&lt;b&gt;');
    expect([...page.matchAll(/class="plot" id="([a-z-]+)"/g)].map(([, id]) => id)).toEqual([...page.matchAll(/\nplot\('([a-z-]+)'/g)].map(([, id]) => id));
    expect(page).toContain('id="queued"');
    expect(page.split('</script>')).toHaveLength(3);
  });

  it('two of three lost: each is asked at its own loss, and no step waits for one that is away', async () => {
    const drill = calm('two-of-three-lost', 40);
    const { passed, measured, events, owed } = await drillInSimulation(drill, 1);
    expect(passed).toBe(true);
    expect(measured.losses).toHaveLength(2);
    for (const [at, { region, atMs, live, real }] of measured.losses.entries()) {
      expect([region, Math.round(atMs)]).toEqual([['ap-northeast-2', 'eu-central-1'][at], drill.steps[at]?.atMs]);
      expect(real).toBeLessThanOrEqual(live ?? Number.NaN);
    }
    expect(measured.rpoLive).toBe(measured.losses.reduce((sum, { live = Number.NaN }) => sum + live, 0));
    expect(events.find(({ what }) => what.startsWith('start'))?.atMs).toBeLessThan(14_500); // a survivor is asked, not one that is away
    // Each second has its own figures: the first region is away from 5 s to 14 s.
    expect([4, 6, 12, 17].map((second) => owed[second]?.[0] !== undefined)).toEqual([true, false, false, true]);
  });

  it('behind slow links a region owes much when it is lost, and has said so; clients send as many as the steps say', async () => {
    const drill = calm('lost-with-debts', 40);
    const { passed, measured, seconds } = await drillInSimulation(drill, 1);
    expect(passed).toBe(true);
    expect(measured.losses).toMatchObject([{ region: 'ap-northeast-2' }]);
    expect(measured.rpoReal).toBeGreaterThan(5);
    expect(measured.losses[0]?.oldestMs).toBeGreaterThan(0);
    expect([4, 9, 15].map((second) => Math.round((seconds[second]?.requests ?? 0) / 10))).toEqual([4, 40, 20]);
  });

  it.each([
    ['rolling-restart', 'bad seconds <= 2'],
    ['slow-region', 'rto < 6s'],
    ['flapping', 'share after return < 40 %'],
    ['drain-and-return', 'asked while drained <= 20'],
    ['paused', 'share after return < 60 %'],
    ['fenced-while-paused', 'answered while fenced = 0'],
    ['away-too-long', 'rebuilt >= 1'],
    ['clock-jump', 'stamps ahead < 1s'],
    ['declared-lost', 'stranded >= 1'],
    ['edge-dies', 'errors < 15 %'],
    ['long-outage', 'converged within 30s'],
    ['one-way-cut', 'converged within 30s'],
  ])('%s fails with its known bug by what it is about: %s', async (name, expectation) => {
    const drill = calm(name, 40);
    const verdict = async (control?: ControlName): Promise<boolean | undefined> => (await drillInSimulation(drill, 2, { control })).verdicts.find((each) => each.expectation === expectation)?.holds;
    expect([await verdict(), await verdict(drill.control)]).toEqual([true, false]);
  });

  it.each([
    ['region-lost-under-load', 'clients-do-not-fail-over'],
    ['split-brain', 'ledger-not-read'],
    ['long-outage', 'never-healed'],
    ['edge-dies', 'never-healed'],
    ['flapping', 'record-overlooked'],
    ['lost-with-debts', 'owed-not-asked'],
  ] as const)('%s fails with the known bug %s', async (name, control) => {
    const { passed, control: told } = await drillInSimulation(calm(name, 20), 1, { control });
    expect(told).toBe(control);
    expect(passed).toBe(false);
  });
});

describe('drill compare and schedule', () => {
  it('two reports side by side; what is worse in the second is seen, and two drills are not compared', async () => {
    const drill = calm('split-brain', 20);
    const folder = mkdtempSync(join(tmpdir(), 'archipel-compare-'));
    const [good, bad] = [join(folder, 'good.json'), join(folder, 'bad.json')];
    writeFileSync(good, JSON.stringify(await drillInSimulation(drill, 1)));
    writeFileSync(bad, JSON.stringify(await drillInSimulation(drill, 1, { control: drill.control })));
    const compared = await archipel(['drill', 'compare', good, bad, '--json']);
    expect(compared.code).toBe(2);
    const { passed, figures } = JSON.parse(compared.out) as { passed: boolean[]; figures: { name: string; before: number; after: number }[] };
    expect(passed).toEqual([true, false]);
    expect(figures.find(({ name }) => name === 'without account')).toMatchObject({ before: 0 });
    expect(figures.find(({ name }) => name === 'without account')?.after).toBeGreaterThan(0);
    expect((await archipel(['drill', 'compare', good, good])).code).toBe(0);
    writeFileSync(bad, JSON.stringify({ ...(JSON.parse(readFileSync(good, 'utf8')) as object), drill: 'another' }));
    expect((await archipel(['drill', 'compare', good, bad])).err).toContain('These are two drills, split-brain and another.');
    expect((await archipel(['drill', 'schedule', 'split-brain'])).out).toContain('npx archipel drill run split-brain --report reports');
    expect((await archipel(['drill', 'schedule', 'no-such-drill'])).code).toBe(1);
    rmSync(folder, { recursive: true });
  });

  it('a path with anything in it is one word for the shell, in the workflow and in the line for cron', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'archipel-schedule-'));
    const path = join(folder, "it's $HOME, 50 % & more.yaml");
    writeFileSync(path, readFileSync(new URL('../../drills/split-brain.yaml', import.meta.url)));
    const { workflow, cron } = JSON.parse((await archipel(['drill', 'schedule', path, '--json'])).out) as { workflow: string; cron: string };
    const { jobs } = parse(workflow) as { jobs: { drill: { steps: { run?: string }[] } } };
    const asked = (command: string): string => execFileSync('sh', ['-c', command.replace('npx archipel drill run', 'printf "%s\\n"')], { encoding: 'utf8' }).split('\n')[0] ?? '';
    expect(asked(jobs.drill.steps.find(({ run }) => run?.includes('drill run'))?.run ?? '')).toBe(path);
    const command = /npx archipel drill run .* --report reports/.exec(cron)?.[0] ?? '';
    expect(command).not.toMatch(/[^\\]%/);
    expect(asked(command.replaceAll('\\%', '%'))).toBe(path);
    rmSync(folder, { recursive: true });
  });
});
