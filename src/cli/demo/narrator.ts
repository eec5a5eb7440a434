// How the demo is told: a step has a title, a sentence, requests as curl lines with what came back, and claims that were
// checked. For people as it happens; with --json as one document at the end.

import { STATUS_CODES } from 'node:http';
import type { Attempt, TransportAnswer } from '../../client/exchange.ts';
import { utf8Text } from '../../core/bytes.ts';
import { duration, printable, shellWord, shortened, type Style } from '../output.ts';
import type { Channel } from '../terminal.ts';

export interface ToldRequest {
  readonly curl: string;
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** It was asked this often until it answered so. */
  readonly tries: number;
  readonly ms: number;
}

export interface Claim {
  readonly what: string;
  readonly holds: boolean;
}

export interface ToldStep {
  readonly title: string;
  readonly requests: ToldRequest[];
  readonly claims: Claim[];
  ms: number;
}

/** Of requests: what says something. The key, the operation id and the length say nothing here. */
const SHOWN_SENT = ['content-type', 'causal-context', 'region'];
const SHOWN_RECEIVED = ['served-by', 'write-outcome', 'etag', 'causal-context', 'retry-after'];
const TOKEN_CHARACTERS = 16;
const BODY_CHARACTERS = 400;

export function toldRequest({ url, request, answer }: Attempt, tries: number, ms: number): ToldRequest {
  const body = answer === undefined ? undefined : bodyText(answer);
  return {
    curl: curlOf(url, request),
    method: request.method,
    url: url + request.target,
    status: answer?.status ?? 0,
    headers: answer === undefined ? {} : shownHeaders(answer),
    ...(body === undefined ? {} : { body }),
    tries,
    ms: Math.round(ms),
  };
}

/** The context of siblings is what resolves them; any other answer's is one token more to look past. */
function shownHeaders({ status, headers }: TransportAnswer): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const name of SHOWN_RECEIVED) {
    const value = headers[name];
    if (value !== undefined && (name !== 'causal-context' || status === 300)) shown[name] = value;
  }
  return shown;
}

const token = (text: string): string => (text.length > TOKEN_CHARACTERS ? `${text.slice(0, TOKEN_CHARACTERS)}…` : text);

function curlOf(url: string, { method, target, headers, body }: Attempt['request']): string {
  const fields = SHOWN_SENT.flatMap((name) => (headers[name] === undefined ? [] : [`-H ${shellWord(`${titled(name)}: ${name === 'causal-context' ? token(headers[name]) : headers[name]}`)}`]));
  const data = body === undefined ? [] : [`-d ${shellWord(utf8Text(body) ?? '…')}`];
  return ['curl', ...(method === 'GET' ? [] : [`-X ${method}`]), ...fields, ...data, shellWord(url + target)].join(' ');
}

const titled = (name: string): string => name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase()).replace('Etag', 'ETag');

function bodyText({ body, headers }: TransportAnswer): string | undefined {
  const text = body.length === 0 ? undefined : utf8Text(body);
  if (text === undefined) return undefined;
  return /json/.test(headers['content-type'] ?? '') ? text.replace(/"context":"([A-Za-z0-9_-]+)"/g, (_, context: string) => `"context":"${token(context)}"`) : text;
}

export interface Narrator {
  begin(lines: readonly string[]): Promise<void>;
  step(number: number, title: string, tells: string): Promise<void>;
  request(told: ToldRequest): Promise<void>;
  claim(claim: Claim): Promise<void>;
  end(verdict: string, isGood: boolean): Promise<void>;
}

export const SILENT: Narrator = {
  begin: () => Promise.resolve(),
  step: () => Promise.resolve(),
  request: () => Promise.resolve(),
  claim: () => Promise.resolve(),
  end: () => Promise.resolve(),
};

const MARGIN = '   ';

export class TerminalNarrator implements Narrator {
  readonly #out: Channel;
  readonly #style: Style;

  constructor(out: Channel, style: Style) {
    this.#out = out;
    this.#style = style;
  }

  #lines(...lines: readonly string[]): Promise<void> {
    return this.#out.write(lines.map((line) => `${line.trimEnd()}\n`).join(''));
  }

  begin(lines: readonly string[]): Promise<void> {
    const [first = '', ...rest] = lines;
    return this.#lines('', this.#style.bold(first), ...rest);
  }

  step(number: number, title: string, tells: string): Promise<void> {
    return this.#lines('', '', `${this.#style.accent(String(number).padStart(2))} ${this.#style.bold(title)}`, ...wrapped(tells, Math.min(96, this.#out.columns - 4)).map((line) => MARGIN + line));
  }

  request({ curl, status, headers, body, tries, ms }: ToldRequest): Promise<void> {
    const { dim, good, warn } = this.#style;
    const code = `${status} ${STATUS_CODES[status] ?? ''}`.trim();
    const fields = Object.entries(headers).map(([name, value]) => `${titled(name)}: ${name === 'causal-context' ? token(value) : value}`);
    const waited = tries === 1 ? [] : [`asked ${tries} times in ${duration(ms)}`];
    const text = body === undefined ? [] : [`${MARGIN}  ${shortened(printable(body), BODY_CHARACTERS)}`];
    return this.#lines('', `${MARGIN}${dim('$')} ${curl}`, `${MARGIN}  ${[status < 300 ? good(code) : warn(code), ...fields, ...waited].join(dim(' · '))}`, ...text);
  }

  claim({ what, holds }: Claim): Promise<void> {
    return this.#lines(`${MARGIN}${holds ? this.#style.good('✓') : this.#style.bad('✗')} ${what}`);
  }

  end(verdict: string, isGood: boolean): Promise<void> {
    return this.#lines('', '', `${isGood ? this.#style.good('✓') : this.#style.bad('✗')}  ${this.#style.bold(verdict)}`, '');
  }
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length + 1 <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
