// Two copies that differ, made equal by `reconcile`, on emulated AWS: what differs is moved, nothing else, and there is a
// certificate.

import { readFileSync } from 'node:fs';
import type { LambdaFunctionURLEvent } from 'aws-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { AP, EU, key, texts, US } from '../contract/make.ts';
import { FakeAws, metricsOf } from './fake-aws.ts';

const KEYS = 30;
const LACKING = ['item-3', 'item-11', 'item-27'];

if (!hasDynoxide) console.log(`reconcile: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide)('reconcile', () => {
  let aws: FakeAws;
  beforeAll(async () => {
    aws = await FakeAws.start();
    for (const region of [AP, EU, US]) await aws.region(region); // loading takes longer than a peer waits for an answer
    expect(await call(EU, 'PUT', '/v1/c/demo', { conflict: 'lww' })).toMatchObject({ status: 201 });
    for (let at = 0; at < KEYS; at++) expect(await call(EU, 'PUT', `/v1/c/demo/items/item-${at}`, at)).toMatchObject({ status: 201 });
    aws.pass(60_000); // a difference that is younger may be on its way
  }, 60_000);
  afterAll(() => aws.stop());

  async function call(region: typeof EU, method: string, rawPath: string, body?: unknown): Promise<{ readonly status: number; readonly body: string }> {
    const { api } = await aws.region(region);
    const event = JSON.parse(readFileSync(new URL('fixtures/url-get.json', import.meta.url), 'utf8')) as LambdaFunctionURLEvent;
    const content = body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)).toString('base64'), isBase64Encoded: true };
    const answer = await api({ ...event, ...content, rawPath, headers: { ...event.headers, 'content-type': 'application/json' }, requestContext: { ...event.requestContext, http: { ...event.requestContext.http, method } } });
    return { status: answer.statusCode ?? 0, body: Buffer.from(answer.body ?? '', 'base64').toString() };
  }

  const deep = async (region: typeof EU, peer: typeof EU): Promise<unknown> => (await aws.region(region)).reconcile({ what: 'deep', peers: [peer] });
  const certificates = async (region: typeof EU): Promise<unknown[]> => (JSON.parse((await call(region, 'GET', '/v1/certificates')).body) as { certificates: unknown[] }).certificates;

  it('a copy that lacks everything is sent everything; then both have the certificate', async () => {
    const result = await deep(EU, US);
    expect(result).toMatchObject({ pairs: [{ peer: US, differing: KEYS, pushed: KEYS, pulled: 0, corrupt: 0, certificate: { deep: true, regions: [EU, US] } }] });
    expect(texts((await aws.table(US).get(key('item-3')))?.state)).toEqual(['3']);
    expect([await certificates(EU), await certificates(US)]).toEqual([[expect.objectContaining({ deep: true })], [expect.objectContaining({ deep: true })]]);
  });

  it('of thirty items three differ, on both sides -> these are moved, nothing else', async () => {
    for (const pk of LACKING.slice(0, 2)) expect((await call(EU, 'PUT', `/v1/c/demo/items/${pk}`, 'eu')).status).toBe(204);
    for (const pk of LACKING.slice(2)) expect((await call(US, 'PUT', `/v1/c/demo/items/${pk}`, 'us')).status).toBe(204);
    aws.pass(60_000);
    expect(await deep(US, EU)).toMatchObject({ pairs: [{ peer: EU, differing: 3, pushed: 3, pulled: 3, certificate: { deep: true } }] });
    const both = await Promise.all([EU, US].map((region) => Promise.all(LACKING.map(async (pk) => texts((await aws.table(region).get(key(pk)))?.state).join()))));
    expect(both).toEqual([['"eu"', '"eu"', '"us"'], ['"eu"', '"eu"', '"us"']]);
  });

  it('the two are equal -> nothing is moved', async () => {
    expect(await deep(EU, US)).toMatchObject({ pairs: [{ differing: 0, pushed: 0, pulled: 0, certificate: { deep: true } }] });
  });

  it('the age of the proof is told every hour by the first of the pair; after more than a day it is none', async () => {
    const tidied = async (region: typeof EU): Promise<string[]> => metricsOf(async () => (await aws.region(region)).reconcile({ what: 'tidy' }));
    expect(await tidied(EU)).toEqual([expect.stringMatching(/^CertificateAge us-east-1 [0-9]{1,3}$/), 'PairsUnproved 0']);
    aws.pass(27 * 3_600_000);
    expect(await tidied(EU)).toEqual([expect.stringMatching(/^CertificateAge us-east-1 97[0-9]{3}$/), 'PairsUnproved 1']);
    expect(await tidied(AP)).toEqual(['PairsUnproved 2']); // it has never compared
    expect(await tidied(US)).toEqual(['PairsUnproved 0']); // others compare with it
  });
});
