// Whole regions of this release and of the next side by side, by the real handlers: what one of the next writes waits, in
// queues or where it was written, until the others are upgraded. Nothing is lost, and nothing is dead.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { names } from '../../src/adapters/aws/names.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { formatState } from '../../src/core/version/format.ts';
import { EMPTY_STATE } from '../../src/core/version/record.ts';
import type { ReconcilePair } from '../../functions/reconcile.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { AP, EU, key, texts, US } from '../contract/make.ts';
import { ask, type Asked } from './ask.ts';
import { deliverAll } from './event-sources.ts';
import { DEPLOYMENT, FakeAws, metricsOf, REGIONS } from './fake-aws.ts';

/** What was given back comes again within a quarter of an hour. */
const AGAIN_MS = 900_000;
const DAY_MS = 24 * 3_600_000;

if (!hasDynoxide) console.log(`two releases: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide)('two releases', () => {
  let aws: FakeAws;
  beforeAll(async () => {
    aws = await FakeAws.start();
    for (const region of REGIONS) await aws.region(region);
    expect((await ask(aws, EU, 'PUT', '/v1/c/demo', { conflict: 'lww' })).status).toBe(201);
    expect((await ask(aws, EU, 'PUT', '/v1/c/carts', { conflict: 'siblings' })).status).toBe(201);
    for (const pk of ['changed', 'deleted', 'contested']) expect((await put(EU, pk, 'before')).status).toBe(201);
    await settle();
    aws.builds.upgrade(US);
  }, 60_000);
  afterAll(() => aws.stop());

  const put = (region: RegionId, pk: string, value: unknown = pk, more: Readonly<Record<string, string>> = {}, collection = 'demo'): Promise<Asked> => ask(aws, region, 'PUT', `/v1/c/${collection}/items/${pk}`, value, more);
  const values = (pk: string, collection = 'demo'): Promise<string[]> => Promise.all(REGIONS.map(async (region) => texts((await aws.table(region).get(key(pk, '', collection)))?.state).sort().join()));
  const lines = (pk: string): Promise<string[]> => Promise.all(REGIONS.map(async (region) => formatState((await aws.table(region).get(key(pk)))?.state ?? EMPTY_STATE)));
  const inAll = (value: string): string[] => REGIONS.map(() => value);

  async function fanOut(region: RegionId): Promise<void> {
    const Records = (await aws.stream(region)).filter(({ dynamodb }) => dynamodb?.NewImage?.['k']?.S === 'l');
    if (Records.length > 0) await (await aws.region(region)).fanOut({ Records });
  }

  /** Everything that can be read has arrived. Answers how many messages stay, of inboxes and of hints. */
  async function settle(): Promise<{ readonly inbox: number; readonly hints: number }> {
    const left = { inbox: 0, hints: 0 };
    await metricsOf(async () => {
      for (const region of REGIONS) await fanOut(region);
      for (const region of REGIONS) {
        const { forward } = await aws.region(region);
        for (const peer of REGIONS.filter((each) => each !== region)) left.hints += await deliverAll(aws, region, names.hints(DEPLOYMENT, region, peer), forward);
      }
      for (const region of REGIONS) left.inbox += await deliverAll(aws, region, names.inbox(DEPLOYMENT, region), (await aws.region(region)).apply);
    });
    return left;
  }

  async function deep(region: RegionId, peer: RegionId): Promise<ReconcilePair | undefined> {
    let pairs: readonly ReconcilePair[] = [];
    await metricsOf(async () => ({ pairs } = await (await aws.region(region)).reconcile({ what: 'deep', peers: [peer] })));
    return pairs[0];
  }

  async function expectNothingDead(): Promise<void> {
    for (const region of REGIONS) expect(await aws.waiting(region, names.dead(DEPLOYMENT, region))).toBe(0);
  }

  it('by hints: `forward` sends them, and they wait in the inbox of the other', async () => {
    await aws.loseQueue(EU, names.inbox(DEPLOYMENT, EU));
    expect((await put(US, 'hinted')).status).toBe(201);
    await metricsOf(() => fanOut(US));
    await aws.findQueue(EU, names.inbox(DEPLOYMENT, EU));
    expect(await aws.waiting(US, names.hints(DEPLOYMENT, US, EU))).toBe(1);
    aws.pass(AGAIN_MS);
    const { inbox, hints } = await settle();
    expect([inbox > 0, hints]).toEqual([true, 0]);
    expect(await values('hinted')).toEqual(['', '', '"hinted"']);
    await expectNothingDead();
  });

  it('by stream and queues: what this release writes is in all regions, what the next writes waits in the inboxes of the others', async () => {
    for (const region of REGIONS) expect((await put(region, `of-${region}`, region)).status).toBe(201);
    expect((await put(US, 'changed', 'by the next')).status).toBe(204);
    expect((await ask(aws, US, 'DELETE', '/v1/c/demo/items/deleted')).status).toBe(204);
    expect(await Promise.all([EU, US].map(async (region) => (await put(region, 'contested', region)).status))).toEqual([204, 204]);
    expect(await Promise.all([EU, US].map(async (region) => (await put(region, 'cart', region, {}, 'carts')).status))).toEqual([201, 201]);
    expect((await settle()).inbox).toBeGreaterThan(0);
    for (const region of [AP, EU]) expect(await values(`of-${region}`)).toEqual(inAll(`"${region}"`));
    expect(await values(`of-${US}`)).toEqual(['', '', `"${US}"`]);
    expect(await values('changed')).toEqual(['"before"', '"before"', '"by the next"']);
    expect(await values('cart', 'carts')).toEqual([`"${EU}"`, `"${EU}"`, [EU, US].map((each) => `"${each}"`).join()]);
    expect(aws.builds.tooNew).toBeGreaterThan(0);
    await expectNothingDead();
  });

  it('by questions: a write that is to be held by the others is answered 202 with nobody, a request that is passed on is served', async () => {
    expect(await put(US, 'awaited', 'awaited', { 'replicate-to': '1' })).toMatchObject({ status: 202 });
    expect((await put(EU, 'awaited-of-this', 1, { 'replicate-to': `("${US}")` })).status).toBe(201);
    for (const region of REGIONS) expect((await ask(aws, region, 'GET', '/v1/c/demo/items/changed')).status).toBe(200);
    await metricsOf(async () => {
      for (const region of REGIONS) await (await aws.region(region)).heartbeat();
    });
    await settle();
    expect(await values('awaited-of-this')).toEqual(inAll('1'));
  });

  it('by a deep check, whichever begins it: what this release holds is taken, what the next holds stays there, and nothing is proved', async () => {
    aws.pass(DAY_MS);
    for (const [region, peer] of [[EU, US], [US, AP]] as const) {
      const pair = await deep(region, peer);
      expect(pair?.differing).toBeGreaterThan(0);
      expect(pair?.certificate).toBeUndefined();
    }
    expect(await deep(AP, EU)).toMatchObject({ certificate: { deep: true } });
    expect(await values(`of-${US}`)).toEqual(['', '', `"${US}"`]);
    await expectNothingDead();
  });

  it('the others are upgraded, one by one -> everything that waited arrives, and every pair is proved equal', async () => {
    aws.builds.upgrade(AP);
    aws.pass(AGAIN_MS);
    expect((await settle()).inbox).toBeGreaterThan(0); // of the last one
    expect(await values('changed')).toEqual(['"by the next"', '"before"', '"by the next"']);
    aws.builds.upgrade(EU);
    aws.pass(AGAIN_MS);
    expect(await settle()).toEqual({ inbox: 0, hints: 0 });
    for (const pk of ['hinted', 'awaited']) expect(await values(pk)).toEqual(inAll(`"${pk}"`));
    expect(await values(`of-${US}`)).toEqual(inAll(`"${US}"`));
    expect(await values('changed')).toEqual(inAll('"by the next"'));
    expect(await values('deleted')).toEqual(inAll(''));
    expect(await values('cart', 'carts')).toEqual(inAll([EU, US].map((each) => `"${each}"`).join()));
    expect(new Set(await values('contested')).size).toBe(1);
    const ledgers = await Promise.all(REGIONS.map(async (region) => (await aws.table(region).lossesOf(key('contested'))).map(({ id }) => id)));
    expect(ledgers).toEqual(REGIONS.map(() => [ledgers[0]?.[0]]));
    for (const pk of ['contested', 'deleted']) expect(new Set(await lines(pk)).size).toBe(1);
    aws.pass(DAY_MS);
    for (const [region, peer] of [[EU, US], [AP, US], [AP, EU]] as const) expect(await deep(region, peer)).toMatchObject({ differing: 0, certificate: { deep: true } });
    await expectNothingDead();
    for (const region of REGIONS) for (const name of aws.queues(region)) expect([name, await aws.waiting(region, name)]).toEqual([name, 0]);
  });
});
