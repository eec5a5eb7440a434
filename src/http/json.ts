// JSON that strangers send. JSON.parse is not strict enough for a store: it recurses as deep as it is told to, takes the
// last of two members with one name (another parser on the way took the first), and turns a number that it cannot hold
// into another one (12345678901234567890 into ...8000, 1e999 into null when it is printed again).

import { utf8Text } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { JSON_DEPTH_MAX } from '../core/limits.ts';

const bad = (message: string): ArchipelError => new ArchipelError('bad-request', message);

/** UTF-8 without a mark, not nested deeper than JSON_DEPTH_MAX. @throws ArchipelError `bad-request` */
export function parseJson(bytes: Uint8Array): unknown {
  return parsed(checkedText(bytes));
}

/**
 * For JSON that is to be printed again: a number that JavaScript cannot hold becomes an object that JSON.stringify prints
 * as it was written. @throws ArchipelError `bad-request`
 */
export function parseExactJson(bytes: Uint8Array): unknown {
  return parsed(checkedText(bytes), exactNumber);
}

/** For JSON that is understood: exact, and no object may name a member twice. @throws ArchipelError `bad-request` */
export function parseUnambiguousJson(bytes: Uint8Array): unknown {
  const value = parseExactJson(bytes);
  const name = repeatedMember(checkedText(bytes));
  if (name !== undefined) throw bad(`An object of the JSON names ${JSON.stringify(name.slice(0, 64))} twice.`);
  return value;
}

function checkedText(bytes: Uint8Array): string {
  const text = utf8Text(bytes);
  if (text === undefined) throw bad('The JSON is not UTF-8.');
  if (isTooDeep(bytes)) throw bad(`The JSON is nested deeper than ${JSON_DEPTH_MAX} levels.`);
  return text;
}

type Reviver = (name: string, value: unknown, context: { readonly source?: string }) => unknown;

function parsed(text: string, reviver?: Reviver): unknown {
  try {
    return JSON.parse(text, reviver as Parameters<typeof JSON.parse>[1]) as unknown;
  } catch (error) {
    throw bad(`The body is not JSON: ${error instanceof Error ? error.message : ''}`);
  }
}

/** Counts brackets outside of strings, before a recursive parser sees them. */
function isTooDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (inString) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > JSON_DEPTH_MAX) return true;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return false;
}

// Numbers -------------------------------------------------------------------------------------------------------------------

/** ECMAScript's raw JSON: Node has it since version 21, TypeScript's library does not name it yet. */
const raw = JSON as unknown as { rawJSON(text: string): object; isRawJSON(value: unknown): boolean };

export const isRawNumber = (value: unknown): boolean => raw.isRawJSON(value);

const exactNumber: Reviver = (_name, value, { source }) =>
  typeof value === 'number' && source !== undefined && decimalOf(source) !== decimalOf(JSON.stringify(value)) ? raw.rawJSON(source) : value;

/** One text for all ways to write a number: sign, digits without zeros at either end, exponent of ten. */
function decimalOf(source: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(source) ?? [source];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  return significant === '' ? `${sign}0` : `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}

// Names ---------------------------------------------------------------------------------------------------------------------

/** The first name that an object has twice, in text that is known to be JSON. */
function repeatedMember(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{') open.push(new Set());
    else if (character === '[') open.push(undefined);
    else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      const end = stringEnd(text, at);
      const names = open.at(-1);
      if (names !== undefined && isName(text, end)) {
        const name = JSON.parse(text.slice(at, end)) as string;
        if (names.has(name)) return name;
        names.add(name);
      }
      at = end - 1;
    }
  }
  return undefined;
}

/** A colon follows a name, and nothing else. */
function isName(text: string, end: number): boolean {
  let at = end;
  while (' \t\r\n'.includes(text[at] ?? ':')) at++;
  return text[at] === ':';
}

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
