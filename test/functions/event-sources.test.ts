// The real handlers behind mappings that keep AWS's documented rules: what fails is tried again, cut smaller, given up and
// told; nothing that can be read waits behind what cannot; and what the stream forgot, a deep check finds.

import type { DynamoDBRecord, SQSBatchResponse } from 'aws-lambda';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { toBase64 } from '../../src/adapters/aws/base64.ts';
import { places } from '../../src/adapters/aws/layout.ts';
import { names } from '../../src/adapters/aws/names.ts';
import { readMessage } from '../../src/adapters/aws/sqs-queue.ts';
import { toHex } from '../../src/core/bytes.ts';
import { encodeState, FORMAT_VERSION } from '../../src/core/version/codec.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { formatState } from '../../src/core/version/format.ts';
import { passQuestion } from '../../src/testing/formats.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { AP, EU, key, texts, US } from '../contract/make.ts';
import { ask } from './ask.ts';
import { deliverAll, failuresIn, StreamMapping, type StreamSetting } from './event-sources.ts';
import { DEPLOYMENT, FakeAws, metricsOf, REGIONS } from './fake-aws.ts';
import type { DynamoFault } from './table-front.ts';

if (!hasDynoxide) console.log(`event sources: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide).each(['sources', 'bundles'] as const)('event sources, from %s', (code) => {
  let aws: FakeAws;
  beforeAll(async () => {
    aws = await FakeAws.start({ code });
    for (const region of REGIONS) await aws.region(region);
    expect((await ask(aws, EU, 'PUT', '/v1/c/demo', { conflict: 'lww' })).status).toBe(201);
    await settle();
  }, 120_000);
  afterEach(() => (aws.tables.fault = () => undefined));
  afterAll(() => aws.stop());

  const put = async (region: RegionId, pk: string, value: unknown = pk): Promise<number> => (await ask(aws, region, 'PUT', `/v1/c/demo/items/${pk}`, value)).status;
  const inboxOf = (region: RegionId): string => names.inbox(DEPLOYMENT, region);
  const values = (pk: string): Promise<string[]> => Promise.all(REGIONS.map(async (region) => texts((await aws.table(region).get(key(pk)))?.state).join()));
  /** How many there are; they are gone then. */
  const dead = async (region: RegionId): Promise<number> => {
    const letters = await aws.delivered(region, names.dead(DEPLOYMENT, region));
    await aws.done(region, names.dead(DEPLOYMENT, region), letters);
    return letters.Records.length;
  };

  async function mapping(region: RegionId, setting: Partial<StreamSetting> = {}): Promise<StreamMapping> {
    const { fanOut } = await aws.region(region);
    return new StreamMapping(fanOut, (ms) => aws.pass(ms), setting);
  }

  const fanOut = async (region: RegionId, records?: readonly DynamoDBRecord[]): Promise<StreamMapping> => {
    const stream = await mapping(region);
    await metricsOf(async () => stream.drain(records ?? (await aws.stream(region))));
    return stream;
  };

  const apply = async (region: RegionId): Promise<number> => deliverAll(aws, region, inboxOf(region), (await aws.region(region)).apply);

  /** Everything that can arrive has arrived. */
  async function settle(): Promise<void> {
    for (const region of REGIONS) await fanOut(region);
    for (const region of REGIONS) {
      const { forward } = await aws.region(region);
      for (const peer of REGIONS.filter((each) => each !== region)) await deliverAll(aws, region, names.hints(DEPLOYMENT, region, peer), forward);
    }
    for (const region of REGIONS) await apply(region);
  }

  describe('the stream', () => {
    it('records that nobody can read among others -> one call, the others are sent, what has a key is hinted', async () => {
      for (let at = 0; at < 6; at++) await put(EU, `among-${at}`);
      const records = await aws.stream(EU);
      const [broken, later, strange] = [records[1], records[3], records[4]].map((record) => record?.dynamodb?.NewImage as Record<string, unknown>);
      Object.assign(broken as object, { PK: { S: 'no key of ours' } });
      for (const name of ['r', 'h', 'v', 'q']) delete later?.[name];
      Object.assign(later as object, { s: { B: toBase64(Uint8Array.of(9, 9, 9)) } });
      Object.assign(strange as object, { h: { N: '12' } });
      const stream = await fanOut(EU, records);
      expect([stream.calls, stream.givenUp]).toEqual([1, []]);
      for (const peer of [AP, US]) {
        await apply(peer);
        expect((await aws.take(EU, names.hints(DEPLOYMENT, EU, peer))).length).toBe(1);
      }
      expect(await Promise.all([0, 2, 5].map(async (at) => (await values(`among-${at}`)).every((value) => value === `"among-${at}"`)))).toEqual([true, true, true]);
      aws.pass(60_000);
      for (const peer of [AP, US]) await metricsOf(async () => (await aws.region(EU)).reconcile({ what: 'deep', peers: [peer] })); // for the next test
    });

    it('neither inboxes nor hints take anything for an hour -> the batch is cut and tried until they do, and nothing is missing', async () => {
      const pks = Array.from({ length: 8 }, (_, at) => `hour-${at}`);
      for (const pk of pks) await put(EU, pk);
      const records = await aws.stream(EU);
      const lost = [...[AP, US].map((peer) => [peer, inboxOf(peer)] as const), ...[AP, US].map((peer) => [EU, names.hints(DEPLOYMENT, EU, peer)] as const)];
      for (const [region, name] of lost) await aws.loseQueue(region, name);
      const { fanOut: handler } = await aws.region(EU);
      let calls = 0;
      const stream = new StreamMapping(async (event) => {
        if (++calls === 20) for (const [region, name] of lost) await aws.findQueue(region, name);
        return handler(event);
      }, (ms) => aws.pass(ms));
      await metricsOf(() => stream.drain(records));
      expect(stream.givenUp).toEqual([]);
      expect(stream.calls).toBeGreaterThan(20);
      await settle();
      for (const pk of pks) expect(await values(pk)).toEqual(Array.from({ length: 3 }, () => `"${pk}"`));
    });

    it('for longer than its retries, or than 20 hours -> given up, record by record, and the mapping goes on; a deep check moves what is missing', async () => {
      await put(EU, 'given-up');
      await put(EU, 'behind-it');
      const records = await aws.stream(EU);
      const { fanOut: handler } = await aws.region(EU);
      const poison = records[0]?.dynamodb?.SequenceNumber;
      /** As one that ends the process each time. */
      const dies = (event: Parameters<typeof handler>[0]): Promise<unknown> => (event.Records.some(({ dynamodb }) => dynamodb?.SequenceNumber === poison) ? Promise.reject(new Error('Runtime exited')) : handler(event));
      const aged = new StreamMapping(dies, (ms) => aws.pass(ms));
      await aged.drain(records);
      expect(aged.givenUp).toEqual([{ condition: 'RecordAgeExceeded', batchSize: 1, startSequenceNumber: poison, endSequenceNumber: poison }]);
      const tried = new StreamMapping(dies, (ms) => aws.pass(ms), { retriesMax: 3 });
      await tried.drain(records);
      expect(tried.givenUp).toMatchObject([{ condition: 'RetryAttemptsExhausted', batchSize: 1 }]);
      await settle();
      expect([await values('behind-it'), await values('given-up')]).toEqual([['"behind-it"', '"behind-it"', '"behind-it"'], ['', '"given-up"', '']]);
      for (const peer of [AP, US]) {
        let result: unknown;
        await metricsOf(async () => (result = await (await aws.region(EU)).reconcile({ what: 'deep', peers: [peer] })));
        expect(result).toMatchObject({ pairs: [{ peer, differing: 1, pushed: 1, certificate: { deep: true } }] });
      }
      expect(await values('given-up')).toEqual(['"given-up"', '"given-up"', '"given-up"']);
    });

    it('forgot what was written before it was read (24 hours) -> the next deep check moves all of it, and names it', async () => {
      const pks = ['forgotten-1', 'forgotten-2', 'forgotten-3'];
      for (const pk of pks) await put(EU, pk);
      await aws.stream(EU); // read by nobody
      aws.pass(25 * 3_600_000);
      await put(EU, 'after-it');
      await settle();
      const { headers } = await ask(aws, EU, 'POST', '/v1/reconcile', { deep: true });
      await metricsOf(() => aws.settled());
      const { pairs } = (await ask(aws, EU, 'GET', String(headers['location']))).body as { pairs: { differing: number; pushed: number; differingKeys: { pk: string }[] }[] };
      expect(pairs).toHaveLength(2);
      for (const { differing, pushed, differingKeys } of pairs) expect([differing, pushed, differingKeys.map(({ pk }) => pk).sort()]).toEqual([3, 3, pks]);
      for (const pk of pks) expect(await values(pk)).toEqual(Array.from({ length: 3 }, () => `"${pk}"`));
      expect(aws.logged.filter(({ event }) => event === 'reconcile.differed').slice(-2)).toMatchObject([{ peer: AP, differing: 3 }, { peer: US, differing: 3 }]);
    });

    it('with partial batch responses as without: what the function answers means that all is done, what it throws that all is tried again', async () => {
      await put(EU, 'partial');
      const stream = await mapping(EU, { isPartial: true });
      const records = await aws.stream(EU);
      await stream.drain(records);
      expect([stream.calls, stream.givenUp]).toEqual([1, []]);
      await settle();
      expect(await values('partial')).toEqual(['"partial"', '"partial"', '"partial"']);
    });

    it('a row that the time to live took, and a record that was reaped, are no news: filtered, and ignored where they come all the same', async () => {
      await put(EU, 'ttl');
      const [record] = await aws.stream(EU);
      const { NewImage, ...rest } = record?.dynamodb ?? {};
      const removed: DynamoDBRecord = { ...record, eventName: 'REMOVE', userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' }, dynamodb: { ...rest, ...(NewImage === undefined ? {} : { OldImage: NewImage }) } };
      const stream = await fanOut(EU, [removed]);
      expect(stream.calls).toBe(0);
      const { fanOut: handler } = await aws.region(EU);
      await handler({ Records: [removed] });
      for (const peer of [AP, US]) expect(await aws.take(peer, inboxOf(peer))).toEqual([]);
      await fanOut(EU, record === undefined ? [] : [record]);
      await settle();
    });
  });

  describe('queues', () => {
    it('what apply answers is always an answer: of all that waits, and of nothing else', async () => {
      const { apply: handler } = await aws.region(EU);
      await put(US, 'valid');
      await fanOut(US);
      const [good] = await aws.take(EU, inboxOf(EU));
      const sealed = readMessage(good?.Body ?? '')?.body ?? new Uint8Array(0);
      const bodies = [good?.Body ?? '', good?.Body ?? '', 'no base64 !', toBase64(Uint8Array.of(1, 2, 3)), toBase64(passQuestion('inbox', sealed, 'next', 'this').message)];
      for (const body of bodies) await aws.give(EU, inboxOf(EU), body);
      aws.pass(60_000);
      const event = await aws.delivered(EU, inboxOf(EU));
      const answer: SQSBatchResponse = await handler(event);
      const failures = failuresIn(answer) ?? [];
      expect(failures.every((identifier) => event.Records.some(({ messageId }) => messageId === identifier))).toBe(true);
      const kept = event.Records.filter(({ messageId }) => failures.includes(messageId)).map(({ body }) => body);
      expect(kept).toEqual([bodies[4]]); // of a later release
      expect(await dead(EU)).toBe(2);
      await aws.done(EU, inboxOf(EU), event);
      await settle();
    });

    it('answers that are none: an empty identifier, none at all, a field of another name', () => {
      for (const answer of [{ batchItemFailures: [{ itemIdentifier: '' }] }, { batchItemFailures: [{}] }, { batchItemFailures: [{ itemIdentifer: 'x' }] }, { batchItemFailures: [{ itemIdentifier: null }] }]) expect(failuresIn(answer)).toBeUndefined();
      for (const answer of [undefined, null, {}, { batchItemFailures: [] }, { batchItemFailures: null }]) expect(failuresIn(answer)).toEqual([]);
    });
  });

  describe('the table', () => {
    const throttled: DynamoFault = { type: 'ProvisionedThroughputExceededException' };
    const conflict: DynamoFault = { type: 'TransactionCanceledException', more: { CancellationReasons: [{ Code: 'TransactionConflict' }, { Code: 'None' }] } };

    it('throttles every third call -> every write is done, and arrives', async () => {
      let calls = 0;
      aws.tables.fault = () => (++calls % 3 === 0 ? throttled : undefined);
      for (let at = 0; at < 12; at++) expect(await put(EU, `slow-${at}`)).toBe(201);
      await settle();
      aws.tables.fault = () => undefined;
      await settle();
      for (let at = 0; at < 12; at++) expect(await values(`slow-${at}`)).toEqual(Array.from({ length: 3 }, () => `"slow-${at}"`));
      for (const region of REGIONS) expect(await dead(region)).toBe(0);
    });

    it('throttles everything for a while -> clients are told to come again, messages come again, nothing is dead', async () => {
      await put(US, 'later');
      await fanOut(US);
      aws.tables.fault = () => throttled;
      expect((await ask(aws, EU, 'PUT', '/v1/c/demo/items/refused', 1)).status).toBe(503);
      expect(await apply(EU)).toBe(1);
      aws.tables.fault = () => undefined;
      aws.pass(60_000);
      expect(await apply(EU)).toBe(0);
      await settle();
      expect(await values('later')).toEqual(['"later"', '"later"', '"later"']);
      expect(await dead(EU)).toBe(0);
    });

    it('other transactions hold the item -> the loser has its row all the same, once', async () => {
      expect(await Promise.all([EU, US].map((region) => put(region, 'both', region)))).toEqual([201, 201]);
      let transactions = 0;
      aws.tables.fault = (operation) => (operation === 'TransactWriteItems' && ++transactions <= 3 ? conflict : undefined);
      await settle();
      expect(transactions).toBeGreaterThan(3);
      expect(new Set(await values('both')).size).toBe(1);
      expect(await Promise.all(REGIONS.map(async (region) => (await aws.table(region).lossesOf(key('both'))).length))).toEqual([1, 1, 1]);
    });
  });

  describe('the clock', () => {
    it('AWS says another time -> no stamps are issued, reads go on, and writes are taken again when it agrees', async () => {
      await put(EU, 'clock');
      aws.tables.aheadOfUsMs = -10_000;
      await ask(aws, EU, 'GET', '/v1/c/demo/items/clock');
      expect((await ask(aws, EU, 'PUT', '/v1/c/demo/items/clock', 2)).body).toMatchObject({ status: 503, type: '/docs/problems/clock-unsafe' });
      expect(await ask(aws, EU, 'GET', '/v1/c/demo/items/clock')).toMatchObject({ status: 200, text: '"clock"' });
      const { heartbeat } = await aws.region(EU);
      expect(await metricsOf(heartbeat)).toContain('ClockUnsafe 1');
      aws.tables.aheadOfUsMs = 0;
      await ask(aws, EU, 'GET', '/v1/c/demo/items/clock');
      expect(await put(EU, 'clock', 3)).toBe(204);
      await settle();
      expect(await values('clock')).toEqual(['3', '3', '3']);
    });
  });

  describe('messages', () => {
    it('many records of JSON travel as one compressed message where they would have been several, and arrive', async () => {
      const value = { name: 'x'.repeat(200), tags: Array.from({ length: 40 }, (_, at) => `tag ${at}`) };
      const pks = Array.from({ length: 80 }, (_, at) => `many-${at}`);
      for (const pk of pks) await put(EU, pk, value);
      await fanOut(EU);
      const messages = await aws.delivered(US, inboxOf(US));
      expect(messages.Records).toHaveLength(1);
      expect(messages.Records[0]?.body.length).toBeLessThan(40_000);
      expect(await (await aws.region(US)).apply(messages)).toEqual({ batchItemFailures: [] });
      await aws.done(US, inboxOf(US), messages);
      expect((await Promise.all(pks.map((pk) => aws.table(US).get(key(pk))))).every((record) => record?.kind === 'applied')).toBe(true);
      await settle();
    });
  });

  describe('a region that went back to this release', () => {
    it('answers 500 for what the next has stored, writes nothing over it and sends nothing of it, serves all else, and proves nothing; upgraded again, it has lost nothing', async () => {
      await put(EU, 'this');
      const { state } = (await aws.table(EU).get(key('this'))) ?? {};
      if (state === undefined) throw new TypeError('not stored');
      const item = (B: Uint8Array): Parameters<FakeAws['store']>[1][number] => ({ ...places.record(key('unread').encoded), k: { S: 'l' }, s: { B } });
      const [readable, later] = [encodeState(state), encodeState(state)];
      later[0] = FORMAT_VERSION + 1;
      await aws.store(EU, [item(later)]);

      for (const method of ['GET', 'PUT', 'DELETE']) expect([method, (await ask(aws, EU, method, '/v1/c/demo/items/unread', method === 'PUT' ? 1 : undefined)).status]).toEqual([method, 500]);
      expect((await aws.copy(EU)).filter(({ s }) => s?.B !== undefined && toHex(s.B) === toHex(later))).toHaveLength(1);
      expect((await ask(aws, EU, 'GET', '/v1/c/demo/items/this')).text).toBe('"this"');
      await settle();
      expect(await Promise.all([AP, US].map((region) => aws.table(region).get(key('unread'))))).toEqual([undefined, undefined]);
      await metricsOf(async () => expect(await (await aws.region(EU)).reconcile({ what: 'deep', peers: [US] })).toMatchObject({ error: expect.stringContaining('Format version 2 is newer than 1') as string }));

      await aws.store(EU, [item(readable)]);
      aws.pass(900_000);
      await settle();
      expect(await values('unread')).toEqual(['"this"', '"this"', '"this"']);
      for (const region of REGIONS) expect(await dead(region)).toBe(0);
    });
  });

  describe('a table that was restored from an older copy', () => {
    it('has a new incarnation, serves nothing before it has what its peers hold, and loses nothing of that', async () => {
      await metricsOf(async () => (await aws.region(EU)).reconcile({ what: 'tidy' })); // it has noted that the table is whole
      for (const pk of ['old', 'changed', 'deleted']) await put(EU, pk, 'before');
      await settle();
      const copy = await aws.copy(EU);
      await put(EU, 'changed', 'after');
      await put(EU, 'new', 'after');
      await ask(aws, EU, 'DELETE', '/v1/c/demo/items/deleted');
      await settle();
      await put(EU, 'held-by-one', 'after');
      await fanOut(EU);
      await aws.done(US, inboxOf(US), await aws.delivered(US, inboxOf(US))); // lost on its way there
      await settle();
      expect(await values('held-by-one')).toEqual(['"after"', '"after"', '']);
      const before = (await aws.table(EU).get(key('changed')))?.state.values[0]?.dot.actor;
      await aws.restore(EU, copy);

      expect(await ask(aws, EU, 'GET', '/v1/c/demo/items/changed')).toMatchObject({ status: 503, body: { type: '/docs/problems/region-recovering' } });
      expect(await put(EU, 'changed', 'over what it does not know')).toBe(503);
      await put(US, 'meanwhile');
      await settle();
      aws.down.add(AP);
      await metricsOf(async () => expect(await (await aws.region(EU)).reconcile({ what: 'tidy' })).toMatchObject({ isWhole: false }));
      expect(await put(EU, 'changed', 'too early')).toBe(503);
      aws.down.delete(AP);
      aws.pass(60_000);
      await metricsOf(async () => expect(await (await aws.region(EU)).reconcile({ what: 'tidy' })).not.toHaveProperty('isWhole'));
      aws.pass(10_000);
      expect(await Promise.all(['old', 'changed', 'new', 'held-by-one', 'meanwhile'].map(async (pk) => (await ask(aws, EU, 'GET', `/v1/c/demo/items/${pk}`)).text))).toEqual(['"before"', '"after"', '"after"', '"after"', '"meanwhile"']);
      expect((await ask(aws, EU, 'GET', '/v1/c/demo/items/deleted')).status).toBe(404);
      expect(await put(EU, 'changed', 'again')).toBe(204);
      const after = (await aws.table(EU).get(key('changed')))?.state.values[0]?.dot.actor;
      expect([before, after].map((actor) => actor?.startsWith(`${EU}~`))).toEqual([true, true]);
      expect(after).not.toBe(before);
      await settle();
      await metricsOf(async () => (await aws.region(EU)).reconcile({ what: 'deep', peers: [US] }));
      expect(await values('held-by-one')).toEqual(['"after"', '"after"', '"after"']);
      const copies = await Promise.all(REGIONS.map(async (region) => (await aws.table(region).get(key('changed')))?.state));
      expect(new Set(copies.map((state) => (state === undefined ? '' : formatState(state)))).size).toBe(1);
    });
  });
});
