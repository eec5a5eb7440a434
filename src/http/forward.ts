// A request that belongs to another region is passed on: any region answers for any key. The request travels whole, with
// its Authorization, over the signed link between regions; the other region checks it as if the client had come there.

import { ByteReader, ByteWriter, utf8, utf8Text } from '../core/bytes.ts';
import { ArchipelError, isArchipelError } from '../core/errors.ts';
import { EDGE_ATTEMPT_MS, EDGE_ATTEMPTS_MAX } from '../core/limits.ts';
import { routeOrder, type Place } from '../core/routing/nearest.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Region } from '../engine/region.ts';
import { uuidV7 } from '../ports/random.ts';
import type { HttpEnvironment } from './call.ts';
import { Reply } from './reply.ts';

interface Head {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
}

interface AnswerHead {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
}

/** Fields that belong to one connection; and the length, which whoever sends a body knows better (a GET may have named one). */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te', 'trailer', 'proxy-authorization', 'proxy-connection', 'host', 'expect', 'content-length']);

export const endToEnd = (headers: Iterable<readonly [string, string]>): (readonly [string, string])[] => [...headers].filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase()));

function encode(head: Head | AnswerHead, body: Uint8Array): Uint8Array {
  return new ByteWriter(body.length + 512).block(utf8(JSON.stringify(head))).bytes(body).finish();
}

function decode<T>(bytes: Uint8Array): { readonly head: T; readonly body: Uint8Array } {
  const reader = new ByteReader(bytes);
  const head = JSON.parse(utf8Text(reader.block()) ?? '') as T;
  return { head, body: reader.bytes(reader.left) };
}

/** The answering side: runs the request through the region's own routes. */
export async function answerForwarded(bytes: Uint8Array, fetch: (request: Request, environment: HttpEnvironment) => Response | Promise<Response>): Promise<Uint8Array> {
  const { head, body } = decode<Head>(bytes);
  const headers = new Headers(head.headers.map(([name, value]): [string, string] => [name, value]));
  if (body.length > 0) headers.set('content-length', String(body.length));
  const init = { method: head.method, headers, ...(head.method === 'GET' || head.method === 'HEAD' ? {} : { body: body.slice() }) };
  const response = await fetch(new Request('http://region/', init), { rawTarget: head.target, forwarded: true });
  return encode({ status: response.status, headers: endToEnd(response.headers) }, new Uint8Array(await response.arrayBuffer()));
}

export interface Passed {
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** Where a viewer is: the fields of CloudFront, or `?lat=&lon=` for trying things out on loopback. */
export function viewerOf(headers: Headers, target: string): Place | undefined {
  const search = new URLSearchParams(target.split('?')[1] ?? '');
  const lat = Number.parseFloat(headers.get('cloudfront-viewer-latitude') ?? search.get('lat') ?? '');
  const lon = Number.parseFloat(headers.get('cloudfront-viewer-longitude') ?? search.get('lon') ?? '');
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? { lat, lon } : undefined;
}

/**
 * Passes a request to the nearest of these regions that answers. Tried again in the next one it carries the same
 * operation id, so that a write which was done there and a write which is done here merge as one.
 * @throws ArchipelError `no-region-available`, or `write-outcome-unknown` when a write may have been done
 */
export async function passOn(region: Region, holders: readonly RegionId[], passed: Passed): Promise<Response | Reply> {
  const headers = new Headers(endToEnd(passed.headers).map(([name, value]): [string, string] => [name, value]));
  const isWrite = passed.method !== 'GET' && passed.method !== 'HEAD';
  if (isWrite && !headers.has('idempotency-key')) headers.set('idempotency-key', uuidV7(region.parts.random, region.time.nowMs()));
  const { self } = region.catalog;
  const order = routeOrder({ holders, regions: region.catalog.topology.regions, viewer: self, isHealthy: (id) => region.links.get(id)?.isUp() === true && region.health.seen(id)?.verdict !== 'down' });
  const question = encode({ method: passed.method, target: passed.target, headers: [...headers] }, passed.body);
  let isUnknown = false;
  for (const { id } of order.slice(0, EDGE_ATTEMPTS_MAX)) {
    try {
      const link = region.links.get(id);
      if (link === undefined) continue;
      const { head, body } = decode<AnswerHead>(await link.ask('forward', question, EDGE_ATTEMPT_MS));
      if (head.status === 421) continue;
      // mark: passed on to a region that holds the item
      if (isUnknown && head.status >= 400) break; // perhaps refused because the first one took it
      const empty = head.status === 204 || head.status === 304 || body.length === 0;
      const fields = Object.fromEntries(head.headers);
      // A HEAD's answer has no body either way, and does not say that it is empty.
      return passed.method === 'HEAD' ? new Response(null, { status: head.status, headers: fields }) : new Reply(head.status, fields, empty ? null : body);
    } catch (error) {
      if (isArchipelError(error, 'peer-unreachable')) isUnknown = isWrite;
    }
  }
  // mark if (isUnknown): passed on, outcome unknown
  if (isUnknown) throw new ArchipelError('write-outcome-unknown', 'The region that holds the item took the write, or did not: its answer is lost. Retry with the same Idempotency-Key.');
  throw new ArchipelError('no-region-available', `None of the regions that hold this item can be reached (${holders.join(', ')}).`);
}

