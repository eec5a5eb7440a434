// Keys through the fronts of AWS: every spelling is stored under the key that it means, or refused; never under another.

import { readFileSync } from 'node:fs';
import type { LambdaFunctionURLEvent } from 'aws-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requestOf as atTheEdge } from '../../functions/commons/origin-request.ts';
import type { CloudFrontRequestEvent } from 'aws-lambda';
import { PARTITIONS } from '../../src/core/limits.ts';
import { utf8Text } from '../../src/core/bytes.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { AP, EU, GROUP, US } from '../contract/make.ts';
import { FakeAws } from './fake-aws.ts';

interface Spelling {
  /** The segments after `items/`, on the wire. */
  readonly sent: string;
  /** Where it is stored; missing where it is refused. */
  readonly pk?: string;
  /** What a front makes of it that decodes, and tidies. */
  readonly decoded?: string;
}

const fixture = <T>(name: string): T => JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), 'utf8')) as T;
const SPELLINGS = fixture<Spelling[]>('keys');
const kept = SPELLINGS.filter(({ pk }) => pk !== undefined) as Required<Spelling>[];
const refused = SPELLINGS.filter(({ pk }) => pk === undefined);
const ITEMS = '/v1/c/demo/items';

if (!hasDynoxide) console.log(`keys through function URLs: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide)('a function URL', () => {
  let aws: FakeAws;
  beforeAll(async () => {
    aws = await FakeAws.start();
    for (const region of [AP, EU, US]) await aws.region(region);
    expect((await put('/v1/c/demo', {}, '{"conflict":"lww"}')).status).toBe(201);
  }, 30_000);
  afterAll(() => aws.stop());

  async function put(rawPath: string, headers: LambdaFunctionURLEvent['headers'] = {}, body = '1', rawQueryString = ''): Promise<{ readonly status: number; readonly detail: string }> {
    const { api } = await aws.region(EU);
    const event = fixture<LambdaFunctionURLEvent>('url-get');
    const answer = await api({ ...event, rawPath, rawQueryString, body: Buffer.from(body).toString('base64'), isBase64Encoded: true, headers: { ...event.headers, 'content-type': 'application/json', ...headers }, requestContext: { ...event.requestContext, http: { ...event.requestContext.http, method: 'PUT' } } });
    return { status: answer.statusCode ?? 0, detail: Buffer.from(answer.body ?? '', 'base64').toString() };
  }

  /** All keys of the region's copy: `a/b`, with a sort key `a|b`. */
  async function keys(): Promise<string[]> {
    const pages = await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => aws.table(EU).scan({ group: GROUP, partition, limit: 100, bytesMax: 1_000_000 })));
    return pages.flatMap(({ items }) => items.filter(({ key }) => key.collection === 'demo').map(({ key: { pk, sk } }) => [pk, sk].map((part) => utf8Text(part) ?? '?').filter((part) => part !== '').join('|')));
  }

  it('refuses what it cannot tell from another key, with the way to give it, and stores nothing', async () => {
    for (const { sent } of refused) {
      const { status, detail } = await put(`${ITEMS}/${sent}`);
      expect([sent, status, detail]).toEqual([sent, 400, expect.stringContaining('?pk=&sk=')]);
    }
    expect(await keys()).toEqual([]);
  });

  it('of a path that was decoded on its way nothing is stored when the sender has said what it sent', async () => {
    for (const { sent, decoded } of kept.filter(({ sent: as, decoded: to }) => as !== to)) {
      const { status, detail } = await put(`${ITEMS}/${decoded}`, { 'path-as-sent': `${ITEMS}/${sent}` });
      expect([sent, status, detail]).toEqual([sent, 400, expect.stringContaining('?pk=&sk= with keys=base64url')]);
    }
    expect(await keys()).toEqual([]);
  });

  it('stores each key under what it means, once, whether as a path or as ?pk=', async () => {
    for (const { sent } of kept) expect([sent, (await put(`${ITEMS}/${sent}`, { 'path-as-sent': `${ITEMS}/${sent}` })).status]).toEqual([sent, 201]);
    const wanted = kept.map(({ pk }) => pk).sort();
    expect((await keys()).sort()).toEqual(wanted);
    for (const { pk } of kept) expect([pk, (await put(ITEMS, {}, '2', `pk=${Buffer.from(pk).toString('base64url')}&keys=base64url`)).status]).toEqual([pk, 204]);
    for (const { sent } of kept) expect([sent, (await put(ITEMS, {}, '3', `pk=${sent}`)).status]).toEqual([sent, 204]);
    expect((await keys()).sort()).toEqual(wanted);
  });
});

describe('CloudFront', () => {
  const request = (uri: string, sent?: string): ReturnType<typeof atTheEdge> => {
    const [record] = fixture<CloudFrontRequestEvent>('origin-request-put').Records;
    if (record === undefined) throw new TypeError('no record');
    const { headers, ...rest } = record.cf.request;
    return atTheEdge({ ...rest, uri, headers: { ...headers, ...(sent === undefined ? {} : { 'path-as-sent': [{ key: 'Path-As-Sent', value: sent }] }) } });
  };

  it.each(SPELLINGS)('keeps $sent as it is for the region to judge, and refuses what it has changed', ({ sent, decoded }) => {
    expect(request(`${ITEMS}/${sent}`).rawTarget).toBe(`${ITEMS}/${sent}`);
    if (decoded === undefined || decoded === sent) return;
    expect(() => request(`${ITEMS}/${decoded}`, `${ITEMS}/${sent}`)).toThrow('?pk=&sk= with keys=base64url');
  });
});
