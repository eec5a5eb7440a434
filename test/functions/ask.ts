// A request with the admin key, as a function URL delivers it.

import { readFileSync } from 'node:fs';
import type { LambdaFunctionURLEvent } from 'aws-lambda';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { FakeAws } from './fake-aws.ts';

export interface Asked {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** Of JSON; an empty object of nothing. */
  readonly body: Record<string, unknown>;
}

const EVENT = JSON.parse(readFileSync(new URL('fixtures/url-get.json', import.meta.url), 'utf8')) as LambdaFunctionURLEvent;

export async function ask(aws: FakeAws, region: RegionId, method: string, rawPath: string, body?: unknown, more: Readonly<Record<string, string>> = {}): Promise<Asked> {
  const { api } = await aws.region(region);
  const content = body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)).toString('base64'), isBase64Encoded: true };
  const { requestContext } = EVENT;
  const answer = await api({ ...EVENT, ...content, rawPath, headers: { ...EVENT.headers, 'content-type': 'application/json', ...more }, requestContext: { ...requestContext, http: { ...requestContext.http, method } } });
  const text = Buffer.from(answer.body ?? '', 'base64').toString();
  return { status: answer.statusCode ?? 0, headers: answer.headers ?? {}, text, get body() { return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>); } };
}
