// What a row of the table is, how it is judged, and how it is printed and written.

import { median } from './numbers.ts';
import { NEIGHBOURS_MAX } from './processes.ts';

/** What lies beside and behind a median. */
export interface Tails {
  readonly of: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What the value was measured against, in the same run. */
  readonly yardstick?: string;
  readonly floor?: number;
  readonly goal?: number;
  readonly better: 'higher' | 'lower';
  /** Printed below it; nothing is asked of them. */
  readonly tails?: Tails;
  /** No part of the row's value in what is written: for the guard, because it swings less than what is asked. */
  readonly aside?: true;
}

export type Met = 'goal' | 'floor' | 'none' | 'measured';

export interface Row {
  readonly id: string;
  readonly title: string;
  readonly figures: readonly Figure[];
  /** How often it was measured before it was as this says. */
  readonly attempts: number;
  /** How much of the processors others took meanwhile, where the system tells. */
  readonly neighbours: number | undefined;
}

const reaches = ({ value, better }: Figure, line: number | undefined): boolean => line !== undefined && (better === 'higher' ? value >= line : value <= line);

/** `measured`: nothing is asked of it. */
export function judge(figure: Figure): Met {
  if (figure.floor === undefined && figure.goal === undefined) return 'measured';
  if (reaches(figure, figure.goal)) return 'goal';
  return figure.floor === undefined || reaches(figure, figure.floor) ? 'floor' : 'none';
}

const RANK: readonly Met[] = ['none', 'floor', 'goal', 'measured'];

/** As its worst figure. */
export const judgeRow = ({ figures }: Pick<Row, 'figures'>): Met => figures.map(judge).reduce<Met>((worst, met) => (RANK.indexOf(met) < RANK.indexOf(worst) ? met : worst), 'measured');

export const isDisturbed = ({ neighbours }: Pick<Row, 'neighbours'>): boolean => (neighbours ?? 0) > NEIGHBOURS_MAX;

/** Times of the clock, which tell of the machine and its hour. */
export const TIMES: ReadonlySet<string> = new Set(['us', 'ms', 's']);

export const missed = (row: Pick<Row, 'figures'>): boolean => judgeRow(row) === 'none';

/**
 * Need a row be measured no more? A first attempt at its floor settles it; after a miss it is what most attempts show. The
 * last one then agrees with most, so its figures are those to print.
 */
export function isDecided(reached: readonly boolean[], attemptsMax: number): boolean {
  const good = reached.filter(Boolean).length;
  return reached[0] === true || Math.max(good, reached.length - good) > attemptsMax / 2;
}

export interface Verdict {
  readonly below: readonly Row[];
  /** Those below their floor that nobody has named as open. */
  readonly failing: readonly Row[];
  /** Named as open, and at their floor all the same. */
  readonly reached: readonly Row[];
}

export function verdictOn(rows: readonly Row[], open: ReadonlySet<string>): Verdict {
  const below = rows.filter(missed);
  return { below, failing: below.filter(({ id }) => !open.has(id)), reached: rows.filter((row) => open.has(row.id) && !missed(row)) };
}

const number = (value: number | undefined): string => (value === undefined ? '-' : Number.isNaN(value) ? '?' : Math.abs(value) >= 1_000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3))));

const COLUMNS = [5, 58, 14, 48, 10, 10, 0] as const;

const line = (cells: readonly string[]): string => cells.map((cell, at) => cell.padEnd(COLUMNS[at] ?? 0)).join(' ').trimEnd();

export const heading = (): string => line(['', 'what', 'value', 'yardstick, in the same run', 'floor', 'goal', 'met']);

const told = ({ of, p50Ms, p99Ms, p999Ms }: Tails): string => `${of}: p50 ${number(p50Ms)}, p99 ${number(p99Ms)}, p99.9 ${number(p999Ms)} ms`;

/** Of some rounds: the median of each. */
export const tailsOf = (of: string, rounds: readonly Omit<Tails, 'of'>[]): Tails => ({ of, p50Ms: median(rounds.map(({ p50Ms }) => p50Ms)), p99Ms: median(rounds.map(({ p99Ms }) => p99Ms)), p999Ms: median(rounds.map(({ p999Ms }) => p999Ms)) });

export function printed(row: Row): string {
  const remarks = [...(row.attempts > 1 ? [`measured ${row.attempts} times`] : []), ...(isDisturbed(row) ? [`others took ${Math.round((row.neighbours ?? 0) * 100)} % of the processors`] : [])];
  const again = remarks.length === 0 ? '' : ` (${remarks.join('; ')})`;
  return row.figures
    .flatMap((figure, at) => [line([at === 0 ? row.id : '', at === 0 && row.figures.length === 1 ? row.title : `${at === 0 ? `${row.title}: ` : '  '}${figure.name}`, `${number(figure.value)} ${figure.unit}`.trim(), figure.yardstick ?? '-', number(figure.floor), number(figure.goal), judge(figure) + (at === 0 ? again : '')]), ...(figure.tails === undefined ? [] : [line(['', `    ${told(figure.tails)}`])])])
    .join('\n');
}

interface Written {
  readonly tails?: readonly Tails[];
  readonly value: unknown;
  readonly yardstick: unknown;
  readonly floor: unknown;
  readonly goal: unknown;
  readonly met: 'goal' | 'floor' | 'none';
}

/** A row of one figure as numbers, of several as objects with a name for each. What nothing is asked of meets its goal. */
export function written(row: Row): Written {
  const met = judgeRow(row);
  const figures = row.figures.filter(({ aside }) => aside !== true);
  const [only] = figures;
  const tails = row.figures.flatMap((figure) => figure.tails ?? []);
  const pick = <T>(take: (figure: Figure) => T): unknown => (figures.length === 1 && only !== undefined ? take(only) : Object.fromEntries(figures.map((figure) => [figure.name, take(figure)])));
  return {
    value: pick(({ value }) => (Number.isNaN(value) ? null : value)),
    yardstick: pick(({ yardstick }) => yardstick ?? null),
    floor: pick(({ floor }) => floor ?? null),
    goal: pick(({ goal }) => goal ?? null),
    met: met === 'measured' ? 'goal' : met,
    ...(tails.length === 0 ? {} : { tails }),
  };
}
