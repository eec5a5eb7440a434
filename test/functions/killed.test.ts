// `fan-out` killed between send and checkpoint, `apply` between commit and acknowledgement: what was done is delivered again,
// and the account is empty: every copy is the same, every loser is in the ledger once, nothing is dead.

import { readFileSync } from 'node:fs';
import type { LambdaFunctionURLEvent } from 'aws-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { names } from '../../src/adapters/aws/names.ts';
import { formatState } from '../../src/core/version/format.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { AP, EU, key, US } from '../contract/make.ts';
import { DEPLOYMENT, FakeAws, REGIONS } from './fake-aws.ts';

/** 200 in `.ci/run`. */
const ROUNDS = Number(process.env['KILLS'] ?? 20);

if (!hasDynoxide) console.log(`killed functions: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide)('killed', () => {
  let aws: FakeAws;
  beforeAll(async () => {
    aws = await FakeAws.start();
    for (const region of [AP, EU, US]) await aws.region(region);
    expect(await put(EU, '/v1/c/demo', { conflict: 'lww' })).toBe(201);
  }, 30_000);
  afterAll(() => aws.stop());

  async function put(region: typeof EU, rawPath: string, body: unknown): Promise<number> {
    const { api } = await aws.region(region);
    const event = JSON.parse(readFileSync(new URL('fixtures/url-get.json', import.meta.url), 'utf8')) as LambdaFunctionURLEvent;
    const http = { ...event.requestContext.http, method: 'PUT' };
    return (await api({ ...event, rawPath, body: Buffer.from(JSON.stringify(body)).toString('base64'), isBase64Encoded: true, headers: { ...event.headers, 'content-type': 'application/json' }, requestContext: { ...event.requestContext, http } })).statusCode ?? 0;
  }

  /** Sent, and sent again: the first run ended before the stream's mapping took note of it. */
  async function fanOutKilled(region: typeof EU, pk: string): Promise<void> {
    const { fanOut } = await aws.region(region);
    const event = await aws.streamed(region, key(pk));
    await fanOut(event);
    await fanOut(event);
  }

  /** Merged, and merged again: the first run ended before its messages were deleted. */
  async function applyKilled(region: typeof EU): Promise<void> {
    const { apply } = await aws.region(region);
    for (;;) {
      const event = await aws.delivered(region, names.inbox(DEPLOYMENT, region));
      if (event.Records.length === 0) return;
      expect(await apply(event)).toEqual({ batchItemFailures: [] });
      expect(await apply(event)).toEqual({ batchItemFailures: [] });
    }
  }

  it(`${ROUNDS} times, with concurrent writes in two regions -> three equal copies, each loser in the ledger of each region once`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const pk = `item-${round}`;
      expect(await Promise.all([EU, US].map((region) => put(region, `/v1/c/demo/items/${pk}`, `${region} ${round}`)))).toEqual([201, 201]);
      for (const region of [EU, US]) await fanOutKilled(region, pk);
      for (const region of REGIONS) await applyKilled(region);
      const copies = await Promise.all(REGIONS.map(async (region) => (await aws.table(region).get(key(pk)))?.state));
      expect(new Set(copies.map((state) => (state === undefined ? 'nothing' : formatState(state)))).size).toBe(1);
      const losers = await Promise.all(REGIONS.map(async (region) => (await aws.table(region).lossesOf(key(pk))).map(({ id }) => id)));
      expect(losers.map(({ length }) => length)).toEqual([1, 1, 1]);
      expect(new Set(losers.flat()).size).toBe(1);
    }
    for (const region of REGIONS) expect(await aws.take(region, names.dead(DEPLOYMENT, region))).toEqual([]);
  }, 600_000);
});
