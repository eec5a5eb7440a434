// Keys and values as they are typed and shown.

import { extname } from 'node:path';
import { isJsonType } from '../http/fields.ts';
import { fromBase64Url, toBase64Url, utf8, utf8Text } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import type { Item } from '../client/types.ts';
import { parseJsonExactly } from './json.ts';
import { bytes as inBytes, printable, shortened } from './output.ts';

export interface KeyFlags {
  readonly sk?: string;
  readonly base64urlKeys?: boolean;
}

/** @throws ArchipelError `bad-request` */
export function keyPart(what: string, text: string, isBase64Url: boolean): Uint8Array {
  const bytes = isBase64Url ? fromBase64Url(text) : utf8(text);
  if (bytes === undefined) throw new ArchipelError('bad-request', `${what} is not base64url without padding: ${JSON.stringify(text)}.`);
  return bytes;
}

export function itemOf(collection: string, pk: string, flags: KeyFlags): Item {
  const isBase64Url = flags.base64urlKeys === true;
  return { collection, pk: keyPart('The pk', pk, isBase64Url), ...(flags.sk === undefined ? {} : { sk: keyPart('The sk', flags.sk, isBase64Url) }) };
}

const keyField = (name: 'pk' | 'sk', key: Uint8Array): Record<string, string> => {
  const text = utf8Text(key);
  return text === undefined ? { [`${name}Base64`]: Buffer.from(key).toString('base64') } : { [name]: text };
};

/** As the answers of the HTTP interface name an item. */
export function keyFields({ pk, sk }: Item): Record<string, string> {
  const bytesOf = (part: string | Uint8Array): Uint8Array => (typeof part === 'string' ? utf8(part) : part);
  return { ...keyField('pk', bytesOf(pk)), ...(sk === undefined ? {} : keyField('sk', bytesOf(sk))) };
}

export interface NamedKey {
  readonly pk?: string | undefined;
  readonly pkBase64?: string | undefined;
  readonly sk?: string | undefined;
  readonly skBase64?: string | undefined;
}

/** One key of a listing, for people; what is not text as --base64url-keys would take it. */
export const showKey = (text: string | undefined, base64: string | undefined): string =>
  text === undefined ? (base64 === undefined ? '' : `base64url:${toBase64Url(Buffer.from(base64, 'base64'))}`) : printable(text);

export const showName = ({ pk, pkBase64, sk, skBase64 }: NamedKey): string => [showKey(pk, pkBase64), showKey(sk, skBase64)].filter((part) => part !== '').join(' ');

export interface ValueLike {
  readonly value?: unknown;
  readonly valueBase64?: string | undefined;
  readonly contentType?: string | undefined;
}

/** The value of a listing on one line. */
export function showValue({ value, valueBase64, contentType = '' }: ValueLike, most = 60): string {
  if (valueBase64 === undefined) return shortened(printable(JSON.stringify(value) ?? ''), most);
  const content = Buffer.from(valueBase64, 'base64');
  const text = utf8Text(content);
  return text === undefined ? `${inBytes(content.length)} of ${contentType}` : shortened(printable(text), most);
}

/** A value as the answers of the HTTP interface hold it; what is text, also as text. */
export function valueFields(content: Uint8Array, contentType: string): ValueLike & { readonly text?: string } {
  const text = utf8Text(content);
  if (text !== undefined && isJsonType(contentType)) return { contentType, value: parseJsonExactly(text) };
  return { contentType, ...(text === undefined ? {} : { text }), valueBase64: Buffer.from(content).toString('base64') };
}

// Content types ---------------------------------------------------------------------------------------------------------------

const TEXT = 'text/plain; charset=utf-8';
const SHORT: Readonly<Record<string, string>> = { json: 'application/json', text: TEXT, bytes: 'application/octet-stream' };
const BY_EXTENSION: Readonly<Record<string, string>> = {
  '.json': 'application/json',
  '.txt': TEXT,
  '.md': 'text/markdown; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.xml': 'application/xml',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
  '.pdf': 'application/pdf',
};

/** What --type says, else what the source tells: an argument is text, a file goes by its name, a pipe is bytes. */
export function contentTypeOf(type: string | undefined, source: { readonly file?: string | undefined; readonly argument?: boolean }): string {
  if (type !== undefined) return SHORT[type] ?? type;
  if (source.argument === true) return TEXT;
  return (source.file === undefined ? undefined : BY_EXTENSION[extname(source.file).toLowerCase()]) ?? 'application/octet-stream';
}
