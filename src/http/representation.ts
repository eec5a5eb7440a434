// Items as clients see them: one value as its own bytes, several as a list, in lists as JSON.

import { compareBytes, toBase64Url, toHex, utf8, utf8Text } from '../core/bytes.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { actorRegion, compareDots, formatDot, type Dot } from '../core/version/dot.ts';
import { distinctValues, type DottedValue, type State } from '../core/version/record.ts';
import { stampMs } from '../core/version/stamp.ts';
import { canonicalDot, tagOf, type HashFunction } from '../core/version/tag.ts';
import { isJsonType } from './fields.ts';

export const isoOf = (ms: number): string => new Date(ms).toISOString();

export const toBase64 = (bytes: Uint8Array): string => {
  const text = toBase64Url(bytes).replaceAll('-', '+').replaceAll('_', '/');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
};

/** The winner shown for `siblings=winner`: the largest (stamp, actor), the same everywhere. */
export const winnerOf = (values: readonly DottedValue[]): DottedValue | undefined => [...values].sort((a, b) => compareDots(b.dot, a.dot))[0];

/** JSON values are embedded as they were written, not parsed and printed again. */
export function listedValue({ dot, value }: DottedValue, state: State): string {
  const fields: string[] = [];
  const text = isJsonType(value.contentType) ? utf8Text(value.bytes) : undefined;
  fields.push(text === undefined ? `"valueBase64":"${toBase64(value.bytes)}"` : `"value":${text}`);
  fields.push(`"contentType":${JSON.stringify(value.contentType)}`, dotFields(canonicalDot(state.operations, dot)));
  if (value.expiresMs !== undefined) fields.push(`"expires":"${isoOf(value.expiresMs)}"`);
  return fields.join(',');
}

const dotFields = (dot: Dot): string => `"dot":"${formatDot(dot)}","region":"${actorRegion(dot.actor)}","writtenAt":"${isoOf(stampMs(dot.stamp))}"`;

export function keyFields(key: Pick<ItemKey, 'pk' | 'sk'>): string {
  return key.sk.length === 0 ? keyField('pk', key.pk) : `${keyField('pk', key.pk)},${keyField('sk', key.sk)}`;
}

function keyField(name: string, bytes: Uint8Array): string {
  const text = utf8Text(bytes);
  return text === undefined ? `"${name}Base64":"${toBase64(bytes)}"` : `"${name}":${JSON.stringify(text)}`;
}

/** The same as an object, where a value is not embedded. */
export function keyObject(key: Pick<ItemKey, 'pk' | 'sk'>): Record<string, string> {
  return JSON.parse(`{${keyFields(key)}}`) as Record<string, string>;
}

/** One item of a page; undefined when nothing of it is live. */
export function listedItem(key: ItemKey, state: State, nowMs: number, hash: HashFunction, context: () => string): string | undefined {
  const values = distinctValues(state, nowMs);
  const [only] = values;
  if (only === undefined) return undefined;
  const etag = `"etag":${JSON.stringify(tagOf(state, nowMs, hash))}`;
  if (values.length === 1) return `{${keyFields(key)},${etag},${listedValue(only, state)}}`;
  return `{${keyFields(key)},${etag},"siblings":[${values.map((value) => `{${listedValue(value, state)}}`).join(',')}],"context":"${context()}"}`;
}

export function siblingsJson(values: readonly DottedValue[], state: State, context: string): string {
  return `{"siblings":[${values.map((value) => `{${listedValue(value, state)}}`).join(',')}],"context":"${context}"}`;
}

/** RFC 2046. The boundary is a hash of the parts, lengthened until no part contains it. */
export function siblingsMultipart(values: readonly DottedValue[], state: State, hash: HashFunction): { readonly body: Uint8Array; readonly boundary: string } {
  const dots = values.map(({ dot }) => formatDot(canonicalDot(state.operations, dot)));
  let boundary = toHex(hash(utf8(dots.join(' ')))).slice(0, 32);
  while (values.some(({ value }) => includes(value.bytes, utf8(boundary)))) boundary += toHex(hash(utf8(boundary))).slice(0, 8);
  const parts: Uint8Array[] = [];
  for (const [at, { dot, value }] of values.entries()) {
    const written = new Date(stampMs(dot.stamp)).toUTCString();
    parts.push(utf8(`--${boundary}\r\nContent-Type: ${value.contentType}\r\nETag: "${dots[at]}"\r\nServed-By: ${actorRegion(dot.actor)}\r\nDate: ${written}\r\n\r\n`), value.bytes, utf8('\r\n'));
  }
  parts.push(utf8(`--${boundary}--\r\n`));
  const body = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return { body, boundary };
}

function includes(bytes: Uint8Array, part: Uint8Array): boolean {
  for (let at = 0; at + part.length <= bytes.length; at++) if (compareBytes(bytes.subarray(at, at + part.length), part) === 0) return true;
  return false;
}
