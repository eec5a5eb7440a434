// What a kept baseline says of a figure, and of a run of today beside it. Only what tells of our code is judged:
//
//   1. on the machine type of the baseline, for another processor has other ratios;
//   2. ratios and counts, for a time of the clock tells of the machine and of its hour;
//   3. what was steady between the quiet runs of the baseline: what swings by itself would fail by chance.
//
// All else is printed, with the reason that the baseline file gives.

import { arch, cpus, platform, totalmem } from 'node:os';
import { TIMES, type Figure, type Row } from './results.ts';

/** A figure is worse when it is so much worse than the median of the kept runs; steady when these differ by no more. */
export const WORSE = 1.15;
/** Of fewer nobody knows how much a figure swings. */
export const RUNS_MIN = 3;

export interface Machine {
  readonly processor: string;
  readonly processors: number;
  readonly memoryGb: number;
  readonly system: string;
  /** The major version alone. */
  readonly node: string;
}

export interface Kept {
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** One of each quiet run. */
  readonly values: readonly number[];
  /** Why it is printed and not judged; absent where it is judged. */
  readonly unjudged?: string;
}

export interface Baseline {
  readonly machine: Machine;
  readonly size: 'quick' | 'full';
  readonly date: string;
  readonly commit: string;
  /** By row and name of the figure. */
  readonly figures: Readonly<Record<string, Readonly<Record<string, Kept>>>>;
}

export const thisMachine = (): Machine => ({ processor: cpus()[0]?.model.trim() ?? '?', processors: cpus().length, memoryGb: Math.round(totalmem() / 2 ** 30), system: `${platform()} ${arch()}`, node: process.versions.node.split('.')[0] as string });

/** 1. Undefined where the two are of one type. */
export function otherMachine(one: Machine, other: Machine): string | undefined {
  const differing = (Object.keys(one) as (keyof Machine)[]).filter((name) => one[name] !== other[name]);
  return differing.length === 0 ? undefined : differing.map((name) => `${name} ${other[name]}, there ${one[name]}`).join('; ');
}

const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;

const short = (value: number): string => String(Number(value.toPrecision(3)));

/** 2 and 3, and that anything was measured at all. */
export function unjudged({ unit, values }: Pick<Kept, 'unit' | 'values'>): string | undefined {
  if (values.length < RUNS_MIN) return `${values.length} quiet runs, and ${RUNS_MIN} are needed`;
  if (TIMES.has(unit)) return 'a time tells of the machine and its hour';
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (!values.every(Number.isFinite)) return 'not measured in every quiet run';
  if (least !== most && most > least * WORSE) return `${short(least)} to ${short(most)} in ${values.length} quiet runs`;
  return undefined;
}

/** The baseline with the figures of one more run. Of another commit, size or machine only this run is kept. */
export function keep(baseline: Baseline | undefined, rows: readonly Row[], run: Omit<Baseline, 'figures'>): Baseline {
  const isMore = baseline !== undefined && baseline.commit === run.commit && baseline.size === run.size && otherMachine(baseline.machine, run.machine) === undefined;
  const kept = ({ id }: Row, { name, unit, better, value }: Figure): Kept => {
    const values = [...((isMore ? baseline.figures[id]?.[name]?.values : undefined) ?? []), Number(value.toPrecision(6))];
    const why = unjudged({ unit, values });
    return { unit, better, values, ...(why === undefined ? {} : { unjudged: why }) };
  };
  return { ...run, figures: Object.fromEntries(rows.map((row) => [row.id, Object.fromEntries(row.figures.map((figure) => [figure.name, kept(row, figure)]))])) };
}

export interface Compared {
  readonly id: string;
  readonly name: string;
  readonly value: number;
  readonly kept: number;
  /** How many times worse than the kept median; below 1 it is better. Nothing at all where something is asked is endlessly worse. */
  readonly times: number;
  readonly verdict: 'same' | 'better' | 'worse' | 'printed';
  readonly why?: string;
}

export function compare(baseline: Baseline, rows: readonly Row[], machine: Machine): Compared[] {
  const elsewhere = otherMachine(baseline.machine, machine);
  return rows.flatMap(({ id, figures }) =>
    figures.flatMap(({ name, value }) => {
      const kept = baseline.figures[id]?.[name];
      if (kept === undefined) return [{ id, name, value, kept: Number.NaN, times: Number.NaN, verdict: 'printed' as const, why: 'new: the baseline does not know it' }];
      const times = timesWorse(kept, value);
      const why = elsewhere ?? kept.unjudged;
      const verdict = why !== undefined ? 'printed' : times > WORSE ? 'worse' : times < 1 / WORSE ? 'better' : 'same';
      return [{ id, name, value, kept: middle(kept.values), times, verdict, ...(why === undefined ? {} : { why }) }];
    }),
  );
}

/** Fewer turns than this tell nothing of two builds. */
export const TURNS_MIN = 3;
/** Of all pairs of one run of each build: by chance, of five turns, this many are worse once in sixty times. */
const PAIRS_WORSE = 0.9;

/**
 * The same figures of both builds, measured in turns: only what the baseline judges, and only beside the other build. Worse
 * is a figure whose median is, and that is so in nearly every pair (the U of Mann and Whitney, 1947): medians of a few runs
 * differ by a sixth by themselves.
 */
export function besideTheCode(baseline: Baseline, then: readonly (readonly Row[])[], now: readonly (readonly Row[])[]): Compared[] {
  const before = medians(then);
  const figures = Object.fromEntries(before.map((row) => [row.id, Object.fromEntries(row.figures.map(({ name, unit, better, value }): [string, Kept] => {
    const why = baseline.figures[row.id]?.[name]?.unjudged;
    return [name, { unit, better, values: [value], ...(why === undefined ? {} : { unjudged: why }) }];
  }))]));
  return compare({ ...baseline, figures }, medians(now), baseline.machine).map((each) => {
    if (each.verdict !== 'worse') return each;
    const [was, is] = [valuesOf(then, each), valuesOf(now, each)];
    const better = figures[each.id]?.[each.name]?.better === 'higher' ? 1 : -1;
    const pairs = was.flatMap((one) => is.map((other) => !(better * (other - one) >= 0)));
    const worse = pairs.filter(Boolean).length;
    return was.length < TURNS_MIN || worse < pairs.length * PAIRS_WORSE ? { ...each, verdict: 'printed', why: `worse in ${worse} of ${pairs.length} pairs` } : each;
  });
}

const valuesOf = (runs: readonly (readonly Row[])[], { id, name }: Pick<Compared, 'id' | 'name'>): number[] => runs.flat().flatMap((row) => (row.id === id ? row.figures.flatMap((figure) => (figure.name === name ? [figure.value] : [])) : []));

function timesWorse({ better, values }: Kept, value: number): number {
  const before = middle(values);
  if (value === before) return 1;
  const times = better === 'higher' ? before / value : value / before;
  return Number.isNaN(times) ? Number.POSITIVE_INFINITY : times;
}

/** The rows of some attempts, each figure the median of its own. */
export function medians(attempts: readonly (readonly Row[])[]): Row[] {
  const byId = Map.groupBy(attempts.flat(), ({ id }) => id);
  return [...byId.values()].map((rows) => {
    const last = rows.at(-1) as Row;
    return { ...last, attempts: rows.length, neighbours: Math.max(...rows.map(({ neighbours = 0 }) => neighbours)), figures: last.figures.map((figure) => ({ ...figure, value: middle(valuesOf([rows], { id: last.id, name: figure.name })) })) };
  });
}

/** The rows to be measured again, and after that the rows that have become worse. */
export const worseRows = (compared: readonly Compared[]): string[] => [...new Set(compared.filter(({ verdict }) => verdict === 'worse').map(({ id }) => id))];

const times = (each: Compared): string => (Number.isFinite(each.times) ? `${each.times >= 1 ? `${short(each.times)} x worse` : `${short(1 / each.times)} x better`}` : 'worse');

export function printedComparison(compared: readonly Compared[]): string {
  const line = (each: Compared): string => `  ${each.id.padEnd(4)} ${each.name.padEnd(36)} ${short(each.value).padStart(9)} ${Number.isNaN(each.kept) ? '' : `kept ${short(each.kept)}`.padEnd(16)} ${each.verdict === 'same' ? '' : each.verdict === 'printed' ? `printed: ${each.why}` : times(each)}`;
  return compared.map((each) => line(each).trimEnd()).join('\n');
}
