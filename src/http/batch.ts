// Up to a hundred gets, puts and deletes in one request, each as its own route would do it: no atomicity between them.
// They are run one after the other, so that a later operation sees an earlier one on the same item. What is wrong with
// one operation is told in its own result: those before it have been done.

import type { z } from '@hono/zod-openapi';
import { toHex, utf8, utf8Text } from '../core/bytes.ts';
import { ArchipelError, isArchipelError } from '../core/errors.ts';
import { BATCH_OPERATIONS_MAX, IDEMPOTENCY_KEY_BYTES_MAX } from '../core/limits.ts';
import type { Call, HttpEnvironment } from './call.ts';
import { isJsonType, parseIdempotencyKey } from './fields.ts';
import { problemResponse } from './problem.ts';
import { toBase64 } from './representation.ts';
import type { batchRequest } from './schemas.ts';
import type { Service } from './service.ts';

export type BatchOperation = z.output<typeof batchRequest>['operations'][number];

export type Fetch = (request: Request, environment: HttpEnvironment) => Response | Promise<Response>;

/** The body of the answer. Values are embedded as they were written, not parsed and printed again. */
export async function batchAnswer(call: Call, operations: readonly BatchOperation[], fetch: Fetch, service: Service): Promise<string> {
  const outer = call.asked.headers();
  const id = parseIdempotencyKey(call.field('idempotency-key'));
  const results: string[] = [];
  for (const [index, operation] of operations.entries()) {
    try {
      const { target, request } = requestOf(call.collectionName, operation, outer, id === undefined ? undefined : operationId(id, index, service));
      results.push(await resultText(await fetch(request, { rawTarget: target, forwarded: call.isForwarded })));
    } catch (error) {
      if (!isArchipelError(error)) throw error;
      results.push(await resultText(problemResponse(error, { instance: toHex(service.region.parts.random.bytes(8)), region: service.region.id })));
    }
  }
  return `{"results":[${results.join(',')}]}`;
}

const INDEX_CHARACTERS = String(BATCH_OPERATIONS_MAX).length + 1;

/** The same for a retry of the batch in any region; behind a UUIDv7, so that it carries the time as well. */
function operationId(id: string, index: number, service: Service): string {
  const short = id.length + INDEX_CHARACTERS > IDEMPOTENCY_KEY_BYTES_MAX ? toHex(service.hash(utf8(id))) : id;
  return `${short}/${index}`;
}

/** One operation as the request that its own route takes. @throws ArchipelError `bad-request`, `key-invalid` */
function requestOf(collection: string, operation: BatchOperation, outer: Headers, id: string | undefined): { readonly target: string; readonly request: Request } {
  const headers = new Headers();
  for (const name of ['authorization', 'consistency', 'traceparent', 'forward']) setField(headers, name, outer.get(name) ?? undefined);
  if (operation.op !== 'get') setField(headers, 'idempotency-key', id);
  setField(headers, 'if-match', tagText(operation.ifMatch));
  setField(headers, 'if-none-match', tagText(operation.ifNoneMatch));
  setField(headers, 'causal-context', operation.context);
  setField(headers, 'item-ttl', operation.ttlSeconds === undefined ? undefined : String(operation.ttlSeconds));
  setField(headers, 'prefer', operation.op === 'get' ? 'siblings=all' : 'return=minimal');
  const body = operation.op === 'put' ? bodyOf(operation, headers) : undefined;
  const target = `/v1/c/${encodeURIComponent(collection)}/items?pk=${keyText(operation.pk)}${operation.sk === undefined ? '' : `&sk=${keyText(operation.sk)}`}`;
  const method = { get: 'GET', put: 'PUT', delete: 'DELETE' }[operation.op];
  return { target, request: new Request(`http://region${target}`, body === undefined ? { method, headers } : { method, headers, body: body as Uint8Array<ArrayBuffer> }) };
}

function setField(headers: Headers, name: string, value: string | undefined): void {
  if (value === undefined) return;
  try {
    headers.set(name, value);
  } catch (error) {
    throw new ArchipelError('bad-request', `What is given for ${name} is no value of a header field.`, {}, error);
  }
}

function keyText(key: string): string {
  if (!key.isWellFormed()) throw new ArchipelError('key-invalid', 'The key is not Unicode text.');
  return encodeURIComponent(key);
}

/** In JSON a tag may come without its quotes. */
const tagText = (tag: string | undefined): string | undefined => (tag === undefined || tag === '*' || tag.includes('"') ? tag : `"${tag}"`);

function bodyOf(operation: BatchOperation, headers: Headers): Uint8Array {
  if ((operation.value === undefined) === (operation.valueBase64 === undefined)) throw new ArchipelError('bad-request', 'A put has either a value or a valueBase64.');
  setField(headers, 'content-type', operation.contentType ?? (operation.value === undefined ? 'application/octet-stream' : 'application/json'));
  const bytes = operation.value === undefined ? fromBase64(operation.valueBase64 as string) : utf8(JSON.stringify(operation.value));
  headers.set('content-length', String(bytes.length));
  return bytes;
}

function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw new ArchipelError('bad-request', 'valueBase64 is not base64.');
  }
}

const FIELDS = { etag: 'etag', 'causal-context': 'context', 'write-outcome': 'outcome', 'served-by': 'servedBy', sunset: 'expires' } as const;

/** The answer of a single route as an entry of the list. */
async function resultText(response: Response): Promise<string> {
  const parts = [`"status":${response.status}`];
  for (const [name, field] of Object.entries(FIELDS)) {
    const value = response.headers.get(name);
    if (value !== null) parts.push(`"${field}":${JSON.stringify(name === 'sunset' ? new Date(value).toISOString() : value)}`);
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  const type = response.headers.get('content-type') ?? '';
  const text = isJsonType(type) ? utf8Text(bytes) : undefined;
  if (type === 'application/problem+json') parts.push(`"problem":${text}`);
  else if (response.headers.has('conflicts')) parts.push(`"siblings":${siblingsOf(text ?? '')}`);
  else if (response.status === 200) parts.push(text === undefined ? `"valueBase64":"${toBase64(bytes)}"` : `"value":${text}`, `"contentType":${JSON.stringify(type)}`);
  return `{${parts.join(',')}}`;
}

/** The list within `{"siblings":[…],"context":"…"}`: a context has no brackets. */
const siblingsOf = (text: string): string => text.slice(text.indexOf('['), text.lastIndexOf(']') + 1);
