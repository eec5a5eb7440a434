// The header fields of the interface: reading what clients send, writing what they get.

import { ArchipelError } from '../core/errors.ts';
import { CONTENT_TYPE_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX } from '../core/limits.ts';
import { isRegionId, type RegionId } from '../core/version/dot.ts';
import type { TagCondition } from '../core/version/write.ts';
import type { ReplicationTarget } from '../engine/coordinate.ts';

const bad = (message: string): ArchipelError => new ArchipelError('bad-request', message);

/** The entity tags that a field names, as sent, without quotes; `*` for any. */
function parseTags(field: string, name: string, weak: 'kept' | 'left-out'): '*' | readonly string[] {
  const text = field.trim();
  if (text === '*') return '*';
  const tags: string[] = [];
  let rest = text;
  do {
    const match = /^(W\/)?"([\x21\x23-\x7e]*)"\s*(?:,\s*(?=\S)|$)/.exec(rest);
    if (match === null) throw bad(`${name} is * or a list of entity tags in double quotes.`);
    if (match[1] === undefined || weak === 'kept') tags.push(match[2] as string);
    rest = rest.slice(match[0].length);
  } while (rest !== '');
  return tags;
}

/** `"tag;json"`: what follows the semicolon names the representation; conditions on the item are about the tag alone. */
const bare = (condition: TagCondition): TagCondition => (condition === '*' ? '*' : condition.map((tag) => tag.split(';')[0] as string));

/** Compared strongly (RFC 9110): a weak tag matches nothing. */
export const parseIfMatch = (field: string | undefined): TagCondition | undefined => (field === undefined ? undefined : bare(parseTags(field, 'If-Match', 'left-out')));

/** Before a write: compared weakly. */
export const parseIfNoneMatch = (field: string | undefined): TagCondition | undefined => (field === undefined ? undefined : bare(parseTags(field, 'If-None-Match', 'kept')));

/** Does `If-None-Match` of a read name this very representation? */
export function isNotModified(field: string | undefined, tag: string, representation?: string): boolean {
  if (field === undefined) return false;
  const known = parseTags(field, 'If-None-Match', 'kept');
  return known === '*' || known.includes(representation === undefined ? tag : `${tag};${representation}`);
}

export const quoted = (tag: string, representation?: string): string => (representation === undefined ? `"${tag}"` : `"${tag};${representation}"`);

/** `Idempotency-Key`: a structured string in quotes, or the bare text. */
export function parseIdempotencyKey(field: string | undefined): string | undefined {
  if (field === undefined) return undefined;
  const text = /^"([^"]*)"$/.exec(field.trim())?.[1] ?? field.trim();
  if (text.length > IDEMPOTENCY_KEY_BYTES_MAX || !/^[\x21\x23-\x7e]+$/.test(text)) {
    throw bad(`Idempotency-Key has 1 to ${IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters, a double quote not among them.`);
  }
  return text;
}

/** `Replicate-To: 2`, or `("eu-central-1" "us-east-1")`. */
export function parseReplicateTo(field: string | undefined): ReplicationTarget | undefined {
  if (field === undefined) return undefined;
  const text = field.trim();
  if (/^[0-9]{1,2}$/.test(text)) return { type: 'count', count: Number(text) };
  const inner = /^\(([^()]*)\)$/.exec(text)?.[1];
  const regions = inner?.match(/"[^"]*"/g)?.map((each) => each.slice(1, -1));
  if (regions === undefined || regions.length === 0 || inner?.replace(/"[^"]*"/g, '').trim() !== '' || !regions.every(isRegionId)) {
    throw bad('Replicate-To is a number of regions or a list like ("eu-central-1" "us-east-1").');
  }
  return { type: 'regions', regions: [...new Set(regions)] as RegionId[] };
}

/** Whole seconds from 1 to ten years. */
export function parseTtl(field: string | undefined): number | undefined {
  if (field === undefined) return undefined;
  const seconds = /^[0-9]{1,9}$/.test(field.trim()) ? Number(field) : 0;
  if (seconds < 1 || seconds > 315_360_000) throw bad('Item-TTL is a number of seconds from 1 to 315360000.');
  return seconds;
}

export interface Preferences {
  readonly return: 'minimal' | 'representation' | undefined;
  readonly siblings: 'winner' | 'all' | undefined;
  readonly waitSeconds: number | undefined;
}

const NO_PREFERENCES: Preferences = { return: undefined, siblings: undefined, waitSeconds: undefined };

/** RFC 7240: of a preference that is given twice the first counts, and what is not known is ignored. */
export function parsePrefer(field: string | undefined): Preferences {
  if (field === undefined) return NO_PREFERENCES;
  const asked = new Map<string, string>();
  for (const part of field.toLowerCase().split(',')) {
    const [name = '', value = ''] = (part.split(';')[0] as string).split('=').map((side) => side.trim().replace(/^"(.*)"$/, '$1'));
    if (!asked.has(name)) asked.set(name, value);
  }
  const chosen = <T extends string>(name: string, ...values: readonly T[]): T | undefined => values.find((value) => value === asked.get(name));
  const wait = asked.get('wait') ?? '';
  return {
    return: chosen('return', 'minimal', 'representation'),
    siblings: chosen('siblings', 'winner', 'all'),
    waitSeconds: /^[0-9]{1,4}$/.test(wait) ? Number(wait) : undefined,
  };
}

/** The level that is given, for the answer to say. Levels of later issues are refused, not ignored: a requirement may not be. */
export function checkConsistency(field: string | undefined): 'eventual' | undefined {
  if (field === undefined) return undefined;
  const level = field.split(';')[0]?.trim() ?? '';
  if (['session', 'quorum', 'strong', 'bounded'].includes(level)) throw new ArchipelError('consistency-unsupported', `Consistency: ${level} is not built yet; eventual is.`);
  if (field.trim() !== 'eventual') throw bad('Consistency is eventual (session, quorum, strong and bounded come later).');
  return 'eventual';
}

export function checkContentType(field: string | undefined): string {
  const type = field?.trim() ?? '';
  if (type === '') return 'application/octet-stream';
  if (type.length > CONTENT_TYPE_BYTES_MAX || !/^[\x20-\x7e]+$/.test(type)) throw bad(`Content-Type has at most ${CONTENT_TYPE_BYTES_MAX} printable ASCII characters.`);
  return type;
}

export const isJsonType = (contentType: string): boolean => /^application\/(?:[a-z0-9.+-]+\+)?json(?:\s*;|$)/i.test(contentType);

/** The digest of `Content-Digest: sha-256=:…:`, as base64; undefined when there is none. RFC 9530. */
export function parseContentDigest(field: string | undefined): string | undefined {
  if (field === undefined) return undefined;
  const match = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*(?:,|$)/.exec(field);
  if (match === null) throw bad('Content-Digest has to hold sha-256=:…: (RFC 9530).');
  return match[1];
}

/** How much the media ranges of `Accept` want this type, from 0 to 1; the closest range counts. RFC 9110. */
export function quality(field: string | undefined, type: string): number {
  if (field === undefined || field.trim() === '') return 1;
  const closeness = ['*/*', `${type.split('/')[0]}/*`, type];
  let [best, weight] = [-1, 0];
  for (const range of field.toLowerCase().split(',')) {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim());
    const close = closeness.indexOf(name);
    if (close <= best) continue;
    const given = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1';
    [best, weight] = [close, /^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(given) ? Number(given) : 0];
  }
  return weight;
}
