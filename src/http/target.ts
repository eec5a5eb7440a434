// Keys in URLs. They are bytes; in a path they travel as percent-encoded UTF-8 and are decoded here, strictly, from the
// target as it was sent: frameworks decode leniently (`%zz` and `%25zz` become one key), normalise (`/a/../b`), or replace
// what is not UTF-8, and each of these makes two different keys one. What a proxy on the way may rewrite (empty segments,
// `.` and `..`, encoded or not) is refused with a pointer to the other form, `?pk=&sk=` with `keys=base64url`.

import { EMPTY, fromBase64Url, utf8 } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';

const invalid = (message: string): ArchipelError => new ArchipelError('key-invalid', message);

const HINT = 'Give such a key as ?pk=&sk= with keys=base64url.';

export function splitTarget(raw: string): { readonly path: string; readonly search: string } {
  const at = raw.indexOf('?');
  return at === -1 ? { path: raw, search: '' } : { path: raw.slice(0, at), search: raw.slice(at + 1) };
}

function hexValue(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 65 && code <= 70) return code - 55;
  return code >= 97 && code <= 102 ? code - 87 : -1;
}

/** Bytes of one percent-encoded piece. @throws ArchipelError `key-invalid` for a bad escape or a character that must be escaped */
export function percentDecode(text: string): Uint8Array {
  if (!text.includes('%')) return asciiBytes(text);
  const bytes = new Uint8Array(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code !== 37) {
      bytes[length++] = asciiOf(code);
      continue;
    }
    const high = hexValue(text.charCodeAt(i + 1));
    const low = hexValue(text.charCodeAt(i + 2));
    if (high < 0 || low < 0) throw invalid(`Bad escape in the key: ${JSON.stringify(text.slice(i, i + 3))}. ${HINT}`);
    bytes[length++] = high * 16 + low;
    i += 2;
  }
  return bytes.slice(0, length);
}

/** Besides what no URL may hold: a hash sign, after which proxies cut, and a backslash, of which they make a slash. */
function asciiOf(code: number): number {
  if (code <= 32 || code >= 127 || code === 35 || code === 92) throw invalid(`Hash signs, backslashes and characters that are not printable ASCII must be percent-encoded. ${HINT}`);
  return code;
}

function asciiBytes(text: string): Uint8Array {
  for (let i = 0; i < text.length; i++) asciiOf(text.charCodeAt(i));
  return utf8(text);
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A piece that must be UTF-8 text. */
export function percentDecodeText(text: string): string {
  if (PLAIN.test(text)) return text;
  try {
    return strict.decode(percentDecode(text));
  } catch (error) {
    throw error instanceof ArchipelError ? error : invalid(`Not UTF-8: ${JSON.stringify(text.slice(0, 40))}. ${HINT}`);
  }
}

/** Stands for itself, and begins with nothing that makes it a dot segment. */
const PLAIN = /^[A-Za-z0-9_~-][A-Za-z0-9_.~-]*$/;

/** One path segment as key bytes: UTF-8, not empty, nothing that a proxy would normalise. */
export function keyFromSegment(segment: string): Uint8Array {
  if (segment === '') throw invalid(`An empty path segment is no key. ${HINT}`);
  if (PLAIN.test(segment)) return utf8(segment);
  const text = percentDecodeText(segment);
  if (text === '.' || text === '..') throw invalid(`The key ${text} cannot travel in a path. ${HINT}`);
  return segment.includes('%') ? utf8(text) : asciiBytes(segment);
}

/** Each name once; `+` is a plus, not a space. */
export function parseQuery(search: string): Map<string, string> {
  const query = new Map<string, string>();
  if (search === '') return query;
  for (const pair of search.split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = queryText(at === -1 ? pair : pair.slice(0, at));
    if (query.has(name)) throw new ArchipelError('bad-request', `The query names ${name} twice.`);
    query.set(name, at === -1 ? '' : pair.slice(at + 1));
  }
  return query;
}

export function queryText(raw: string): string {
  try {
    return percentDecodeText(raw);
  } catch (error) {
    throw new ArchipelError('bad-request', error instanceof Error ? error.message : 'Bad query.');
  }
}

/** A key given in the query, as text or, with `keys=base64url`, as bytes. */
export function keyFromQuery(raw: string, encoding: string | undefined): Uint8Array {
  if (encoding === undefined || encoding === 'text') return raw === '' ? EMPTY : utf8(percentDecodeText(raw));
  if (encoding !== 'base64url') throw new ArchipelError('bad-request', 'keys is text or base64url.');
  const bytes = fromBase64Url(raw);
  if (bytes === undefined) throw invalid('Not base64url without padding.');
  return bytes;
}

/** The other way round: a key as one path segment. Undefined when it cannot travel in a path. */
export function segmentFromKey(key: Uint8Array): string | undefined {
  try {
    const text = strict.decode(key);
    return text === '' || text === '.' || text === '..' ? undefined : encodeURIComponent(text);
  } catch {
    return undefined;
  }
}

