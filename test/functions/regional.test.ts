// Each function of a region, called with a recorded event, on emulated AWS.

import { readFileSync } from 'node:fs';
import type { DynamoDBStreamEvent, LambdaFunctionURLEvent, SQSEvent } from 'aws-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openapiDocument } from '../../cdk/openapi.ts';
import { fromBase64 } from '../../src/adapters/aws/base64.ts';
import type { PeerEvent } from '../../src/adapters/aws/lambda-peer.ts';
import { TTL_ATTRIBUTE } from '../../src/adapters/aws/layout.ts';
import { names } from '../../src/adapters/aws/names.ts';
import { readMessage } from '../../src/adapters/aws/sqs-queue.ts';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { utf8Text } from '../../src/core/bytes.ts';
import { decodeKey } from '../../src/core/keys/item-key.ts';
import { groupOf } from '../../src/core/placement/placement.ts';
import { decodeState } from '../../src/core/version/codec.ts';
import { decodeReceipts, decodeRecords, unseal } from '../../src/engine/envelope.ts';
import { lossId } from '../../src/engine/ledger.ts';
import type { LossRow } from '../../src/ports/table.ts';
import { expanded } from '../../src/adapters/aws/compressed.ts';
import { decodeHints } from '../../functions/commons/messages.ts';
import { keepAddresses } from '../../functions/commons/addresses.ts';
import { whenOpen } from '../../functions/commons/batch.ts';
import { Once } from '../../functions/commons/once.ts';
import { FRESH_MS } from '../../functions/commons/mirror.ts';
import type { ReconcileEvent } from '../../functions/reconcile.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { A, AP, B, bytes, dot, EU, key, lossRow, texts, US } from '../contract/make.ts';
import { DEPLOYMENT, FakeAws, LEDGER_DAYS, metricsOf } from './fake-aws.ts';

const fixture = <T>(name: string): T => JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), 'utf8')) as T;

if (!hasDynoxide) console.log(`functions of a region: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide).each(['sources', 'bundles'] as const)('functions of a region, from %s', (code) => {
  let aws: FakeAws;
  beforeAll(async () => {
    aws = await FakeAws.start({ code });
    for (const region of [AP, EU, US]) await aws.region(region); // loading takes longer than a peer waits for an answer
    for (const [name, spec] of [['demo', { conflict: 'lww' }], ['staff', { conflict: 'lww', regions: [EU], replicas: 1 }]] as const) {
      expect((await call('PUT', `/v1/c/${name}`, spec)).status).toBe(201);
    }
  }, 120_000);
  afterAll(() => aws.stop());

  /** A request as a function URL delivers it. */
  async function call(method: string, rawPath: string, body?: unknown): Promise<{ readonly status: number; readonly body: string }> {
    const { api } = await aws.region(EU);
    const event = fixture<LambdaFunctionURLEvent>('url-get');
    const content = body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)).toString('base64'), isBase64Encoded: true };
    const http = { ...event.requestContext.http, method };
    const answer = await api({ ...event, ...content, rawPath, headers: { ...event.headers, 'content-type': 'application/json' }, requestContext: { ...event.requestContext, http } });
    return { status: answer.statusCode ?? 0, body: Buffer.from(answer.body ?? '', 'base64').toString() };
  }

  const stored = async (region: typeof EU, item = key('alice')): Promise<string[]> => texts((await aws.table(region).get(item))?.state);

  /** The records that lie in an inbox: `alice={"n":2}`. */
  async function inbox(region: typeof EU): Promise<string[]> {
    const messages = await aws.take(region, names.inbox(DEPLOYMENT, region));
    return messages.flatMap(({ Body = '' }) => {
      const { envelope, body } = unseal(expanded(readMessage(Body)?.body ?? bytes('')));
      expect(envelope.from).toBe(EU);
      return decodeRecords(body).map((record) => `${utf8Text(decodeKey(record.key)?.pk ?? bytes('?'))}=${texts(decodeState(record.state)).join()}`);
    });
  }

  /** The keys that lie in this region's queue of hints for a peer. */
  async function hints(peer: typeof EU): Promise<string[]> {
    const messages = await aws.take(EU, names.hints(DEPLOYMENT, EU, peer));
    return messages.flatMap(({ Body = '' }) => decodeHints(readMessage(Body)?.body ?? bytes('')).map(({ key: { pk } }) => utf8Text(pk) ?? '?'));
  }

  describe('api', () => {
    it('shows the document of its interface, as it was made', async () => {
      expect(await call('GET', '/openapi.json')).toEqual({ status: 200, body: await openapiDocument() });
    });

    it('says what a request cost when it is asked, as units of the table; else nothing', async () => {
      const { api } = await aws.region(EU);
      const event = fixture<LambdaFunctionURLEvent>('url-put');
      const costOf = async (more: LambdaFunctionURLEvent['headers'], rawPath = '/v1/c/demo/items/cost'): Promise<unknown> => (await api({ ...event, rawPath, headers: { ...event.headers, ...more } })).headers?.['request-cost'];
      await api({ ...event, rawPath: '/v1/c/demo/items/cost' }); // reads the policy, which is good for a while
      // The record is not read, and the admin key lies in no table.
      expect(await costOf({ 'request-cost': '?1', 'idempotency-key': 'another' })).toBe('read=0, write=1');
      expect(await costOf({ 'request-cost': '?1', 'idempotency-key': 'another' })).toBe('read=0, write=0'); // the same write again: a condition that fails brings what is stored
      expect(await costOf({ 'request-cost': '?1', authorization: '' })).toBe('read=0, write=0'); // refused
      expect(await costOf({ 'request-cost': '?0' })).toBeUndefined();
      expect(await costOf({})).toBeUndefined();
    });

    it('stores a PUT with bytes that are no text, and a GET gives them back, under the key that the raw path names', async () => {
      const { api } = await aws.region(EU);
      const put = await api(fixture('url-put'));
      expect(put).toMatchObject({ statusCode: 201, headers: { 'write-outcome': 'stored' } });
      const got = await api(fixture('url-get'));
      expect(got).toMatchObject({ statusCode: 200, isBase64Encoded: true, headers: { 'content-type': 'application/octet-stream', etag: put.headers?.['etag'] } });
      expect(got.body).toBe(fixture<LambdaFunctionURLEvent>('url-put').body);
      expect((await aws.table(EU).get(key('café/menu')))?.kind).toBe('local');
    });

    it('takes the same PUT again, as a front that retries sends it, for the same operation', async () => {
      const { api } = await aws.region(EU);
      expect((await api(fixture('url-put'))).headers).toMatchObject({ 'write-outcome': 'duplicate' });
    });

    it('refuses a body that the front has changed, and stores nothing', async () => {
      const { api } = await aws.region(EU);
      const event = fixture<LambdaFunctionURLEvent>('url-put');
      const changed = { ...event, rawPath: '/v1/c/demo/items/changed', body: '\uFFFD\uFFFD\uFFFD\uFFFDzx\n', isBase64Encoded: false };
      expect((await api(changed)).statusCode).toBe(400);
      expect(await stored(EU, key('changed'))).toEqual([]);
    });

    it('answers a stranger 401', async () => {
      const { api } = await aws.region(EU);
      const event = fixture<LambdaFunctionURLEvent>('url-get');
      const { authorization: _, ...headers } = event.headers;
      expect((await api({ ...event, headers })).statusCode).toBe(401);
      for (const rawPath of ['/v1/reconcile', `/v1/replication/${US}/pause`]) {
        expect((await api({ ...event, headers, rawPath, requestContext: { ...event.requestContext, http: { ...event.requestContext.http, method: 'POST' } } })).statusCode).toBe(401);
      }
      expect(await call('GET', '/metrics')).toMatchObject({ status: 200 });
    });

    it('learns of a collection that another environment has made', async () => {
      const before = await call('GET', '/v1/c/later');
      expect(before.status).toBe(404);
      const us = await aws.region(US);
      const event = fixture<LambdaFunctionURLEvent>('url-get');
      const made = await us.api({ ...event, rawPath: '/v1/c/later', requestContext: { ...event.requestContext, http: { ...event.requestContext.http, method: 'PUT' } } });
      expect(made.statusCode).toBe(201);
      expect((await call('GET', '/v1/c/later')).status).toBe(200);
      expect(JSON.parse((await call('GET', '/v1/c')).body)).toMatchObject({ collections: [{ name: 'demo' }, { name: 'later' }, { name: 'staff' }] });
    });

    it('passes a request on to a region that holds the item, through its peer', async () => {
      const us = await aws.region(US);
      const event = fixture<LambdaFunctionURLEvent>('url-put');
      const put = await us.api({ ...event, rawPath: '/v1/c/staff/items/mallory' });
      expect(put).toMatchObject({ statusCode: 201, headers: { 'served-by': expect.stringContaining(EU) as string } });
      const item = key('mallory', '', 'staff', groupOf({ regions: [EU], replicas: 1 }, sha256));
      expect([await stored(EU, item), await stored(US, item)].map(({ length }) => length)).toEqual([1, 0]);
    });
  });

  describe('fan-out', () => {
    it('sends what was written here, coalesced, to the regions that hold it; what it cannot read it hints', async () => {
      const { fanOut } = await aws.region(EU);
      await fanOut(fixture<DynamoDBStreamEvent>('stream-batch'));
      for (const peer of [US, AP]) {
        // `carol` lives in Europe alone, `erin` arrived from elsewhere, `dave` has a state of a later format.
        expect((await inbox(peer)).sort()).toEqual(['alice={"n":2}', 'bob={"items":[]}']);
        expect(await hints(peer)).toEqual(['dave']);
      }
    });

    it('hints what an inbox does not take, and does not delay the other peer', async () => {
      const { fanOut } = await aws.region(EU);
      await aws.loseQueue(US, names.inbox(DEPLOYMENT, US));
      expect(await metricsOf(() => fanOut(fixture<DynamoDBStreamEvent>('stream-batch')))).toEqual([`InboxRefused ${US} 1`]);
      expect((await hints(US)).sort()).toEqual(['alice', 'bob', 'dave']);
      expect(await inbox(AP)).toHaveLength(2);
      await aws.findQueue(US, names.inbox(DEPLOYMENT, US));
    });

    it('throws when not even the hint is durable, so that the stream delivers the batch again', async () => {
      const { fanOut } = await aws.region(EU);
      const lost = [[US, names.inbox(DEPLOYMENT, US)], [EU, names.hints(DEPLOYMENT, EU, US)]] as const;
      for (const [region, name] of lost) await aws.loseQueue(region, name);
      await expect(fanOut(fixture<DynamoDBStreamEvent>('stream-batch'))).rejects.toThrow();
      for (const [region, name] of lost) await aws.findQueue(region, name);
    });
  });

  describe('apply', () => {
    it('merges what it can, sets poison aside with its reason, and gives back what has to wait', async () => {
      const { apply } = await aws.region(EU);
      const event = fixture<SQSEvent>('inbox-batch');
      const { batchItemFailures } = await apply(event);
      expect(batchItemFailures).toEqual([{ itemIdentifier: event.Records[3]?.messageId }]); // a stamp from the future: only its clock can help
      expect([await stored(EU), await stored(EU, key('bob', 'cart')), await stored(EU, key('frank'))]).toEqual([['{"from":"us"}'], ['{"items":[1]}'], ['{"n":1}']]);
      expect((await aws.table(EU).get(key('alice')))?.kind).toBe('applied');
      expect(await stored(EU, key('heidi'))).toEqual([]);
      expect(await stored(EU, key('ivan', '', 'unknown'))).toEqual(['{"n":1}']); // its policy is on its way: kept
      const letters = await aws.take(EU, names.dead(DEPLOYMENT, EU));
      expect(letters.map(({ MessageAttributes }) => MessageAttributes?.['reason']?.StringValue).sort()).toEqual([expect.stringMatching(/base64/), expect.stringMatching(/./)]);
    });

    it('a table that does not answer -> all messages come again, after a second, not after minutes', async () => {
      const name = names.hints(DEPLOYMENT, EU, AP);
      await aws.give(EU, name, 'x');
      const event = await aws.delivered(EU, name);
      const never = new Once(() => Promise.reject(new Error('the table does not answer')));
      expect(await whenOpen(never, event, () => Promise.reject(new Error('not called')))).toEqual({ batchItemFailures: event.Records.map(({ messageId }) => ({ itemIdentifier: messageId })) });
      expect(await aws.take(EU, name)).toEqual([]);
      aws.pass(1_000);
      expect(await aws.take(EU, name)).toHaveLength(event.Records.length);
    });

    it('may be called with the same batch again', async () => {
      const { apply } = await aws.region(EU);
      const before = await aws.table(EU).get(key('alice'));
      await apply(fixture('inbox-batch'));
      expect(await aws.table(EU).get(key('alice'))).toEqual(before);
      expect(await aws.take(EU, names.dead(DEPLOYMENT, EU))).toHaveLength(2);
    });
  });

  describe('forward', () => {
    const event = fixture<SQSEvent>('hints-batch');

    it('sends the records of hinted keys as they are now, to the peer that holds them now', async () => {
      const { forward } = await aws.region(EU);
      expect(await forward(event)).toEqual({ batchItemFailures: [] });
      expect(await inbox(US)).toEqual(['alice={"from":"us"}']); // not `carol`, whom only Europe may hold
    });

    it('gives the hints back while the peer cannot be reached', async () => {
      const { forward } = await aws.region(EU);
      await aws.loseQueue(US, names.inbox(DEPLOYMENT, US));
      expect(await forward(event)).toEqual({ batchItemFailures: [{ itemIdentifier: event.Records[0]?.messageId }] });
      await aws.findQueue(US, names.inbox(DEPLOYMENT, US));
    });
  });

  describe('from region to region', () => {
    it('what is written in Europe is read in America, by what the stream and the queue deliver', async () => {
      const [eu, us] = [await aws.region(EU), await aws.region(US)];
      await eu.api(fixture('url-put'));
      await aws.take(US, names.inbox(DEPLOYMENT, US));
      await eu.fanOut(await aws.streamed(EU, key('café/menu')));
      expect(await us.apply(await aws.delivered(US, names.inbox(DEPLOYMENT, US)))).toEqual({ batchItemFailures: [] });
      const got = await us.api(fixture('url-get'));
      expect(got).toMatchObject({ statusCode: 200, headers: { 'served-by': expect.stringContaining(`${US}; origin=${EU}`) as string } });
      expect(got.body).toBe(fixture<LambdaFunctionURLEvent>('url-put').body);
      // It arrived there, it was not written there: the filter of the stream does not even call the function.
      expect((await aws.streamed(US, key('café/menu'))).Records[0]?.dynamodb?.NewImage?.['k']).toEqual({ S: 'a' });
    });

    it('a row of the ledger that only Europe could tell of is in America\'s, also after a hint; one that America finds by itself is not sent', async () => {
      const [eu, us] = [await aws.region(EU), await aws.region(US)];
      const rows = [lossRow(key('alice'), dot(B, 7), 'told', { isSent: true }), lossRow(key('alice'), dot(A, 9), 'found everywhere')].map((row): LossRow => ({ ...row, id: lossId(row.key, row.dot, sha256) }));
      const [told] = rows as [LossRow];
      await aws.table(EU).update(key('alice'), { decide: () => ({ result: undefined, losses: rows }) });
      const streamed = await aws.streamedRows(EU, rows);
      expect(streamed.Records.map(({ dynamodb }) => dynamodb?.NewImage?.['k'])).toEqual([{ S: 'l' }, undefined]);
      await aws.take(US, names.inbox(DEPLOYMENT, US));
      await aws.take(EU, names.hints(DEPLOYMENT, EU, US));
      await aws.loseQueue(US, names.inbox(DEPLOYMENT, US));
      await eu.fanOut(streamed);
      await aws.findQueue(US, names.inbox(DEPLOYMENT, US));
      expect(await eu.forward(await aws.delivered(EU, names.hints(DEPLOYMENT, EU, US)))).toEqual({ batchItemFailures: [] });
      expect(await us.apply(await aws.delivered(US, names.inbox(DEPLOYMENT, US)))).toEqual({ batchItemFailures: [] });
      const arrived = await aws.table(US).lossesOf(key('alice'));
      expect(arrived.map(({ id, region }) => [id, region])).toEqual([[told.id, EU]]);
      const [row] = (await aws.streamedRows(US, arrived)).Records;
      expect(row?.dynamodb?.NewImage?.['k']).toBeUndefined(); // not sent on
      expect(row?.dynamodb?.NewImage?.[TTL_ATTRIBUTE]).toEqual({ N: String(Math.ceil((arrived[0] as LossRow).atMs / 1_000) + LEDGER_DAYS * 86_400) }); // as the stack says
    });

    it('a key that is revoked in one region opens no other, at the latest when what is known of it is too old', async () => {
      const us = await aws.region(US);
      const { key: bearer, id } = JSON.parse((await call('POST', '/v1/keys', { scopes: ['read'], collections: ['*'] })).body) as { key: string; id: string };
      const event = fixture<LambdaFunctionURLEvent>('url-get');
      const asOther = { ...event, headers: { ...event.headers, authorization: `Bearer ${bearer}` } };
      expect((await us.api(asOther)).statusCode).toBe(200);
      expect((await call('DELETE', `/v1/keys/${id}`)).status).toBe(204);
      aws.pass(FRESH_MS);
      expect((await us.api(asOther)).statusCode).toBe(401);
    });
  });

  describe('addresses', () => {
    it('are what a deployment has written, in /v1/topology and where a request is sent elsewhere, once an environment begins; they contradict nobody', async () => {
      const shown = async (): Promise<(string | undefined)[]> => (JSON.parse((await call('GET', '/v1/topology')).body) as { regions: { url?: string }[] }).regions.map(({ url }) => url);
      expect(await shown()).toEqual([undefined, undefined, undefined]);
      await keepAddresses(aws.table(US), { [AP]: 'https://ap.example', [EU]: 'https://eu.example', [US]: 'https://us.example' });
      await keepAddresses(aws.table(EU), { [AP]: 'https://ap.example', [EU]: 'https://eu.example', [US]: 'https://us.example' });
      aws.endEnvironments(US);
      aws.endEnvironments(EU);
      await aws.region(EU); // whoever says hello does not wait until it is loaded
      await metricsOf(async () => expect(await (await aws.region(US)).heartbeat()).toMatchObject({ topology: '1.1', peers: { [AP]: 'up', [EU]: 'up' } }));
      expect(await shown()).toEqual(['https://ap.example', 'https://eu.example', 'https://us.example']);
      const event = fixture<LambdaFunctionURLEvent>('url-get');
      const refused = await (await aws.region(US)).api({ ...event, rawPath: '/v1/c/staff/items/mallory', headers: { ...event.headers, forward: 'never' } });
      expect(refused).toMatchObject({ statusCode: 421, headers: { location: 'https://eu.example/v1/c/staff/items/mallory' } });
      expect(aws.logged.filter(({ event: logged }) => logged.startsWith('topology.'))).toEqual([]);
    });
  });

  describe('peer', () => {
    it('merges what another region asks it to, and says so under its envelope', async () => {
      const { peer } = await aws.region(EU);
      const { answer } = await peer(fixture<PeerEvent>('peer-merge'));
      const { envelope, body } = unseal(fromBase64(answer) ?? bytes(''));
      expect([envelope.from, envelope.refused, decodeReceipts(body, 1)]).toEqual([EU, undefined, ['applied']]);
      expect(await stored(EU)).toEqual(['{"merged":true}']);
    });

    it('refuses what is no question of a comparison', async () => {
      const { peer } = await aws.region(EU);
      const { answer } = await peer({ ...fixture<PeerEvent>('peer-merge'), method: 'digest' });
      expect(unseal(fromBase64(answer) ?? bytes('')).envelope.refused).toBeDefined();
    });

    it('fails for what is no question', async () => {
      const { peer } = await aws.region(EU);
      await expect(peer({ method: 'merge', question: 'not base64' })).rejects.toThrow('Not a question');
    });
  });

  describe('schedules', () => {
    it('reconcile compares nothing by the hour', async () => {
      const { reconcile } = await aws.region(EU);
      expect(await reconcile(fixture<ReconcileEvent>('schedule'))).toEqual({ what: 'tidy', policiesFinished: [], itemsSettled: 0, pairs: [], units: { read: expect.any(Number) as number, write: 1 } }); // it notes that the table is whole
    });

    it('reconcile finishes a policy that a region could not be told of', async () => {
      const { reconcile } = await aws.region(EU);
      aws.down.add(AP);
      expect((await call('PUT', '/v1/c/pending', { conflict: 'lww' })).status).toBe(202);
      expect((await call('PUT', '/v1/c/pending/items/a', 1)).status).toBe(503);
      aws.down.delete(AP);
      aws.pass(FRESH_MS);
      expect(await reconcile(fixture<ReconcileEvent>('schedule'))).toMatchObject({ policiesFinished: ['pending'] });
    });

    it('heartbeat says who answers', async () => {
      const { heartbeat } = await aws.region(EU);
      aws.down.add(AP);
      expect(await heartbeat()).toMatchObject({ region: EU, clock: 'safe', sameTable: true, peers: { [AP]: 'down', [US]: 'up' } });
      expect(await metricsOf(heartbeat)).toEqual(['ClockUnsafe 0', 'TableReplaced 0', `PeerDown ${AP} 1`, `PeerDown ${US} 0`]);
      aws.down.delete(AP);
    });
  });
});
