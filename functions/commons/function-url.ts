// Function URLs: payload 2.0 as a Request, a Response as the answer. The target is kept as it was sent (`rawPath` is not
// decoded), because keys are read from it strictly; a framework's URL would already have changed some.

import type { APIGatewayProxyStructuredResultV2, LambdaFunctionURLEvent } from 'aws-lambda';
import { ArchipelError } from '../../src/core/errors.ts';
import { assertPathAsSent } from './sent-path.ts';

export interface Arrived {
  readonly request: Request;
  readonly rawTarget: string;
}

/** @throws ArchipelError `bad-request`, `key-invalid` for what can be no request, or is not the one that was sent */
export function requestOf({ rawPath, rawQueryString, headers: fields, requestContext, body, isBase64Encoded }: LambdaFunctionURLEvent): Arrived {
  const { method } = requestContext.http;
  const headers = headersOf(Object.entries(fields));
  assertPathAsSent(rawPath, headers);
  const bytes = body === undefined || body === '' ? undefined : Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');
  assertWhole(bytes?.length ?? 0, headers.get('content-length'));
  return { request: newRequest(method, headers, bytes), rawTarget: rawQueryString === '' ? rawPath : `${rawPath}?${rawQueryString}` };
}

export function headersOf(fields: Iterable<readonly [string, string | undefined]>): Headers {
  const headers = new Headers();
  try {
    for (const [name, value] of fields) if (value !== undefined) headers.append(name, value);
  } catch (error) {
    throw new ArchipelError('bad-request', 'A header field is not valid.', {}, error);
  }
  return headers;
}

/** A body of GET means nothing and is dropped, with the field that would announce it to the next server. */
export function newRequest(method: string, headers: Headers, body: Uint8Array<ArrayBuffer> | undefined): Request {
  const hasBody = body !== undefined && method !== 'GET' && method !== 'HEAD';
  if (!hasBody) headers.delete('content-length');
  try {
    return new Request('https://region/', { method, headers, ...(hasBody ? { body } : {}) });
  } catch (error) {
    throw new ArchipelError('method-not-allowed', `${method} is not allowed here.`, {}, error);
  }
}

/** A front that takes a body for text replaces what is not UTF-8: stored like that it would be another value. */
function assertWhole(received: number, sent: string | null): void {
  if (sent === null || Number(sent) === received) return;
  throw new ArchipelError('bad-request', 'The body was changed on its way: it is not valid in its content type. Send it as application/octet-stream.');
}

export async function resultOf(response: Response): Promise<APIGatewayProxyStructuredResultV2> {
  const body = Buffer.from(await response.arrayBuffer());
  const headers = Object.fromEntries(response.headers);
  return { statusCode: response.status, headers, ...(body.length === 0 ? {} : { body: body.toString('base64'), isBase64Encoded: true }) };
}
