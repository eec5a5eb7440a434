// CloudFront's origin-request event as a Request, and a Response as the answer that is generated in the origin's place.
//
// CloudFront answers 502 in our name when a generated answer has a field that is its own, or is larger than 1 MB; and it
// cuts a request's body after 1 MB. So such fields are taken off, and what is too large is refused here, in our words.

import type { CloudFrontHeaders, CloudFrontRequest, CloudFrontResultResponse } from 'aws-lambda';
import { ArchipelError } from '../../src/core/errors.ts';
import { headersOf, newRequest, type Arrived } from './function-url.ts';
import { assertPathAsSent } from './sent-path.ts';

/** Of a generated answer, fields and body together, in CloudFront's own arithmetic 1,048,576; some of it for the fields. */
export const ANSWER_BYTES_MAX = 1_000_000;

const FORBIDDEN = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'x-cache',
  'x-forwarded-proto',
  'x-real-ip',
]);
const FORBIDDEN_BEGINNING = /^(?:x-accel-|x-amz-cf-|x-amzn-|x-edge-)/;

/** @throws ArchipelError `too-large` for a body that CloudFront has cut, `key-invalid` for a path that it has changed */
export function requestOf({ method, uri, querystring, headers: fields, body }: CloudFrontRequest): Arrived {
  if (body?.inputTruncated === true) throw new ArchipelError('too-large', 'Bodies of more than 1 MB do not pass through here; send it to a region itself.');
  const headers = headersOf(Object.entries(fields).flatMap(([name, values]) => values.map(({ value }) => [name, value] as const)));
  assertPathAsSent(uri, headers);
  const bytes = body === undefined || body.data === '' ? undefined : Buffer.from(body.data, body.encoding === 'base64' ? 'base64' : 'utf8');
  return { request: newRequest(method, headers, bytes), rawTarget: querystring === '' ? uri : `${uri}?${querystring}` };
}

/** @throws ArchipelError `too-large` */
export async function resultOf(response: Response): Promise<CloudFrontResultResponse> {
  const body = Buffer.from(await response.arrayBuffer()).toString('base64');
  if (body.length > ANSWER_BYTES_MAX) throw new ArchipelError('too-large', 'The answer is larger than CloudFront passes on; ask for less at a time, or ask a region itself.');
  const plain = { status: String(response.status), headers: allowed(response.headers) };
  return body === '' ? plain : { ...plain, body, bodyEncoding: 'base64' };
}

function allowed(headers: Headers): CloudFrontHeaders {
  const fields = [...headers].filter(([name]) => !FORBIDDEN.has(name) && !FORBIDDEN_BEGINNING.test(name));
  return Object.fromEntries(fields.map(([key, value]) => [key, [{ key, value }]]));
}
