// How the command line looks: colours, tables, figures with units, a progress line.

import { stripVTControlCharacters, styleText } from 'node:util';
import type { Channel } from './terminal.ts';

type Format = Parameters<typeof styleText>[0];

export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly accent: (text: string) => string;
}

export function styleFor({ colours }: Pick<Channel, 'colours'>): Style {
  const paint = (format: Format) => (text: string) => (colours ? styleText(format, text, { validateStream: false }) : text);
  return { bold: paint('bold'), dim: paint('dim'), good: paint('green'), bad: paint('red'), warn: paint('yellow'), accent: paint('cyan') };
}

// Text ------------------------------------------------------------------------------------------------------------------------

/** What others have stored must not steer the terminal: control characters are shown, not sent. */
export const printable = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

const WIDE = /\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Emoji_Presentation}|[\uff01-\uff60]/u;

/** Columns that the text takes: East Asian characters take two. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of stripVTControlCharacters(text)) width += /\p{Mark}/u.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return width;
}

export function shortened(text: string, most: number): string {
  if (widthOf(text) <= most) return text;
  let short = '';
  for (const character of text) {
    if (widthOf(short + character) >= most) break;
    short += character;
  }
  return `${short}…`;
}

/** Paragraphs broken between words; what is indented (a list, a command to paste) stays as it is. */
export function reflowed(text: string, columns: number): string {
  return text.replace(/^\S.*(?:\n\S.*)*/gm, (paragraph) => {
    const lines = [''];
    for (const word of paragraph.split(/\s+/)) {
      const last = lines.at(-1) as string;
      if (last !== '' && widthOf(last) + 1 + widthOf(word) > columns) lines.push(word);
      else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
    }
    return lines.join('\n');
  });
}

/** For pasting into a shell. */
export const shellWord = (text: string): string => (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

// Tables ----------------------------------------------------------------------------------------------------------------------

export interface Column {
  readonly title: string;
  readonly right?: boolean;
}

export function table(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style, indent = '  '): string {
  const widths = columns.map(({ title }, at) => Math.max(widthOf(title), ...rows.map((row) => widthOf(row[at] ?? ''))));
  const line = (cells: readonly string[]): string => {
    const padded = columns.map(({ right }, at) => {
      const cell = cells[at] ?? '';
      const space = ' '.repeat((widths[at] as number) - widthOf(cell));
      return right === true ? space + cell : cell + space;
    });
    return `${indent}${padded.join('  ')}`.trimEnd();
  };
  return [line(columns.map(({ title }) => style.dim(title))), ...rows.map(line)].map((text) => `${text}\n`).join('');
}

// Figures ---------------------------------------------------------------------------------------------------------------------

export const count = (value: number): string => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');

export const plural = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`;

export function bytes(value: number): string {
  if (value < 1_024) return `${value} B`;
  const unit = value < 1_024 ** 2 ? 'KiB' : value < 1_024 ** 3 ? 'MiB' : 'GiB';
  const scaled = value / (unit === 'KiB' ? 1_024 : unit === 'MiB' ? 1_024 ** 2 : 1_024 ** 3);
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${unit}`;
}

/** The two largest units at most: `0.4 ms`, `140 ms`, `3.2 s`, `4 min`, `2 h`, `5 d`. */
export function duration(ms: number): string {
  if (ms < 1) return `${Math.max(0, ms).toFixed(1)} ms`;
  if (ms < 1_000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`;
}

export const ago = (iso: string, nowMs: number): string => {
  const ms = nowMs - Date.parse(iso);
  return ms < 1_000 ? 'now' : `${duration(ms)} ago`;
};

// Progress --------------------------------------------------------------------------------------------------------------------

const BAR = 24;
const EVERY_MS = 80;

/** A line that is written over; only on a terminal, so that nothing of it gets into a file. */
export class Progress {
  readonly #channel: Channel;
  #shownMs = Number.NEGATIVE_INFINITY;
  #isShown = false;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** @param part from 0 to 1, where it is known */
  show(text: string, part?: number): void {
    const nowMs = performance.now();
    if (!this.#channel.isTty || nowMs - this.#shownMs < EVERY_MS) return;
    this.#shownMs = nowMs;
    this.#isShown = true;
    void this.#channel.write(`\r\x1b[2K${shortened(`  ${part === undefined ? '' : `${bar(part)} `}${text}`, this.#channel.columns - 1)}`);
  }

  clear(): void {
    if (this.#isShown) void this.#channel.write('\r\x1b[2K');
    this.#isShown = false;
    this.#shownMs = Number.NEGATIVE_INFINITY;
  }
}

function bar(part: number): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * BAR);
  return `${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${String(Math.floor(Math.min(1, Math.max(0, part)) * 100)).padStart(3)} %`;
}
