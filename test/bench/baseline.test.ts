import { describe, expect, it } from 'vitest';
import { besideTheCode, compare, keep, medians, otherMachine, printedComparison, unjudged, worseRows, type Baseline, type Machine } from '../../bench/lib/baseline.ts';
import { missingPackage } from '../../bench/lib/before.ts';
import { asked, HELP, MODES, type Asked } from '../../bench/lib/options.ts';
import type { Figure, Row } from '../../bench/lib/results.ts';

const here: Machine = { processor: 'Xeon', processors: 2, memoryGb: 24, system: 'linux x64', node: '24' };
const run = { machine: here, size: 'quick', date: '2026-11-30', commit: 'abc1234' } as const;
const share = (value: number): Figure => ({ name: 'share', value, unit: 'x', better: 'higher' });
const bytes = (value: number): Figure => ({ name: 'bytes', value, unit: 'B', better: 'lower' });
const lost = (value: number): Figure => ({ name: 'lost', value, unit: '', better: 'lower' });
const time = (value: number): Figure => ({ name: 'p99', value, unit: 'ms', better: 'lower' });
const row = (id: string, ...figures: readonly Figure[]): Row => ({ id, title: id, figures, attempts: 1, neighbours: undefined });

/** Three quiet runs of these figures. */
const kept = (...runs: readonly (readonly Row[])[]): Baseline => runs.reduce<Baseline | undefined>((baseline, rows) => keep(baseline, rows, run), undefined) as Baseline;
const steady = kept(...[0.6, 0.62, 0.61].map((value) => [row('P1', share(value)), row('P9', bytes(100), lost(0)), row('P6', time(5))]));
const verdicts = (rows: readonly Row[], machine = here): string[] => compare(steady, rows, machine).map(({ verdict }) => verdict);

describe('a run beside the baseline', () => {
  it('is worse when it is more than 15 % behind the median of the kept runs, whichever way is better', () => {
    expect(verdicts([row('P1', share(0.54)), row('P9', bytes(114), lost(0))])).toEqual(['same', 'same', 'same']);
    expect(verdicts([row('P1', share(0.52)), row('P9', bytes(116), lost(0))])).toEqual(['worse', 'worse', 'same']);
    expect(verdicts([row('P1', share(0.8)), row('P9', bytes(50), lost(0))])).toEqual(['better', 'better', 'same']);
    expect(worseRows(compare(steady, [row('P1', share(0.52)), row('P9', bytes(116), lost(1))], here))).toEqual(['P1', 'P9']);
  });

  it('is worse when there is something where nothing was, and where nothing could be measured', () => {
    expect(verdicts([row('P9', lost(1))])).toEqual(['worse']);
    expect(verdicts([row('P1', share(Number.NaN))])).toEqual(['worse']);
  });

  it('on another machine is printed and not judged', () => {
    const other = { ...here, processors: 8 };
    expect(otherMachine(here, here)).toBeUndefined();
    expect(otherMachine(here, other)).toBe('processors 8, there 2');
    expect(verdicts([row('P1', share(0.1))], other)).toEqual(['printed']);
    expect(printedComparison(compare(steady, [row('P1', share(0.1))], other))).toContain('printed: processors 8, there 2');
  });

  it('prints a time, and what the baseline does not know', () => {
    expect(verdicts([row('P6', time(500))])).toEqual(['printed']);
    expect(verdicts([row('P1', { ...share(0.1), name: 'new one' }), row('P77', share(0.1))])).toEqual(['printed', 'printed']);
  });

  it('prints what swings by itself, with the range of the quiet runs', () => {
    const swinging = kept([row('P2', share(0.3))], [row('P2', share(0.47))], [row('P2', share(0.4))]);
    expect(swinging.figures['P2']?.['share']?.unjudged).toBe('0.3 to 0.47 in 3 quiet runs');
    expect(compare(swinging, [row('P2', share(0.1))], here)).toMatchObject([{ verdict: 'printed', why: '0.3 to 0.47 in 3 quiet runs' }]);
  });

  it('is counted by the median of its attempts when it is measured again', () => {
    const again = medians([0.6, 0.61, 0.5].map((value) => [row('P1', share(value))]));
    expect(again).toMatchObject([{ id: 'P1', attempts: 3, figures: [{ value: 0.6 }] }]);
    expect(worseRows(compare(steady, again, here))).toEqual([]);
    expect(worseRows(compare(steady, medians([0.5, 0.4, 0.61].map((value) => [row('P1', share(value))])), here))).toEqual(['P1']);
  });

  it('beside the code of the baseline is worse than that code only, in what the baseline judges', () => {
    const runs = (...values: readonly number[]): Row[][] => values.map((value) => [row('P1', share(value))]);
    const judged = (then: readonly number[], now: readonly number[]): string[] => besideTheCode(steady, runs(...then), runs(...now)).map(({ verdict }) => verdict);
    expect(judged([0.4, 0.41, 0.4], [0.38, 0.36, 0.4])).toEqual(['same']);
    expect(judged([0.6, 0.61, 0.59], [0.5, 0.49, 0.51])).toEqual(['worse']);
    const swinging = kept([row('P2', share(0.3))], [row('P2', share(0.47))], [row('P2', share(0.4))]);
    const twice = (value: number): Row[][] => [1, 2, 3].map(() => [row('P2', share(value))]);
    expect(besideTheCode(swinging, twice(0.6), twice(0.3))).toMatchObject([{ verdict: 'printed', why: '0.3 to 0.47 in 3 quiet runs' }]);
  });

  it('is not worse than that code by its median alone: nearly every pair of runs has to show it', () => {
    const runs = (...values: readonly number[]): Row[][] => values.map((value) => [row('P1', share(value))]);
    expect(besideTheCode(steady, runs(0.6, 0.4, 0.61, 0.45, 0.6), runs(0.5, 0.6, 0.5, 0.5, 0.48))).toMatchObject([{ verdict: 'printed', why: 'worse in 13 of 25 pairs' }]);
    expect(besideTheCode(steady, runs(0.6, 0.62, 0.61, 0.49, 0.6), runs(0.5, 0.48, 0.5, 0.47, 0.48))).toMatchObject([{ verdict: 'worse' }]);
    expect(besideTheCode(steady, runs(0.6, 0.6), runs(0.3, 0.3))).toMatchObject([{ verdict: 'printed' }]);
  });

  it('needs the packages of that code in their versions, and may have more', () => {
    const lock = (packages: Readonly<Record<string, string>>): { packages: Record<string, { version: string }> } => ({ packages: Object.fromEntries(Object.entries(packages).map(([path, version]) => [path, { version }])) });
    expect(missingPackage(lock({ '': '1.0.0', 'node_modules/hono': '4.0.0' }), lock({ '': '1.1.0', 'node_modules/hono': '4.0.0', 'node_modules/zod': '4.0.0' }))).toBeUndefined();
    expect(missingPackage(lock({ 'node_modules/hono': '4.0.0' }), lock({ 'node_modules/hono': '4.0.1' }))).toBe('node_modules/hono');
    expect(missingPackage(lock({ 'node_modules/hono': '4.0.0' }), lock({}))).toBe('node_modules/hono');
  });
});

describe('the baseline', () => {
  it('judges nothing before three quiet runs', () => {
    expect(unjudged({ unit: 'x', values: [1, 1] })).toBe('2 quiet runs, and 3 are needed');
    expect(unjudged({ unit: 'x', values: [1, 1, 1.15] })).toBeUndefined();
    expect(unjudged({ unit: 'x', values: [1, 1, 1.16] })).toBe('1 to 1.16 in 3 quiet runs');
    expect(unjudged({ unit: '', values: [0, 0, 0] })).toBeUndefined();
    expect(unjudged({ unit: '', values: [0, 0, 1] })).toBe('0 to 1 in 3 quiet runs');
    expect(unjudged({ unit: 'x', values: [1, 1, Number.NaN] })).toBe('not measured in every quiet run');
  });

  it('gathers the runs of one commit on one machine, and begins anew with another', () => {
    expect(steady.figures['P1']?.['share']).toEqual({ unit: 'x', better: 'higher', values: [0.6, 0.62, 0.61] });
    const values = (baseline: Baseline): readonly number[] | undefined => baseline.figures['P1']?.['share']?.values;
    expect(values(keep(steady, [row('P1', share(0.7))], { ...run, commit: 'def5678' }))).toEqual([0.7]);
    expect(values(keep(steady, [row('P1', share(0.7))], { ...run, machine: { ...here, node: '26' } }))).toEqual([0.7]);
    expect(values(keep(steady, [row('P1', share(0.7))], { ...run, size: 'full' }))).toEqual([0.7]);
    expect(values(keep(steady, [row('P1', share(0.7))], { ...run, date: '2026-12-01' }))).toHaveLength(4);
  });
});

describe('npm run bench is asked', () => {
  const rows = ['P1', 'P2'];

  it('for help, and names every option there', () => {
    expect(asked(['--help'], rows)).toMatchObject({ help: true });
    const options = [...Object.keys(asked([], rows) as Asked).filter((name) => name !== 'mode'), ...MODES];
    expect(options.filter((name) => !HELP.includes(`--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`))).toEqual([]);
  });

  it('wrongly, and says so', () => {
    expect(asked(['--fast'], rows)).toBe("Unknown option '--fast'. What there is: npm run bench -- --help");
    expect(asked(['--only', 'P9'], rows)).toBe('There is no row P9. Rows: P1, P2.');
    expect(asked(['--layers', '--tails'], rows)).toBe('One at a time: --layers, --tails.');
    expect(asked(['--open', 'P9'], rows)).toBe('There is no row P9. Rows: P1, P2.');
  });
});
