// Requests that are about more than one region: waiting for others, and items that are held elsewhere.

import { beforeEach, describe, expect, test } from 'vitest';
import { AP, EU, startCluster, startThree, US, type TestCluster, type TestRegion } from './harness.ts';

const ITEM = '/v1/c/demo/items/alice';

describe('regions: Replicate-To', () => {
  let cluster: TestCluster;
  let eu: TestRegion;
  beforeEach(async () => {
    cluster = await startThree();
    eu = cluster.at(EU);
  });

  test('a number waits for so many others, a list for these; Replicated-To tells', async () => {
    const two = await eu.put(ITEM, 'x', { 'replicate-to': '2' });
    expect([two.status, [...(two.field('replicated-to') as string).matchAll(/"([^"]+)"/g)].map(([, id]) => id).sort()]).toEqual([201, [AP, US]]);
    for (const id of [AP, US]) expect((await cluster.at(id).get(ITEM)).text).toBe('x');
    const listed = await eu.put(ITEM, 'y', { 'replicate-to': `("${US}" "${EU}" "${US}")` });
    expect([listed.status, listed.field('replicated-to')]).toEqual([204, `("${US}")`]);
    expect((await cluster.at(US).get(ITEM)).text).toBe('y');
    expect((await eu.delete(ITEM, { 'replicate-to': '2' })).status).toBe(204);
    expect((await cluster.at(US).get(ITEM)).status).toBe(404);
  });

  test('more than hold the item, or one that does not, is 400 before anything is written', async () => {
    expect((await eu.put(ITEM, 'x', { 'replicate-to': '3' })).code).toBe('bad-request');
    expect((await eu.put(ITEM, 'x', { 'replicate-to': '("mars-1")' })).code).toBe('bad-request');
    expect((await eu.get(ITEM)).status).toBe(404);
  });

  test('202 with the truth when time is up; Prefer: wait sets the time', async () => {
    cluster.cut(EU, US);
    const waiting = eu.put(ITEM, 'x', { 'replicate-to': '2', prefer: 'wait=2' });
    await cluster.clock.advance(2_000);
    const answer = await waiting;
    expect([answer.status, answer.field('write-outcome'), answer.field('replicated-to'), answer.field('preference-applied')]).toEqual([202, 'stored', `("${AP}")`, 'wait=2']);
    expect((await eu.get(ITEM)).text).toBe('x');
    cluster.heal();
    await cluster.converge();
    expect((await cluster.at(US).get(ITEM)).text).toBe('x');
  });

  test('a retry waits for the others anew', async () => {
    cluster.cut(EU, US);
    const key = { 'idempotency-key': 'op', 'replicate-to': `("${US}")`, prefer: 'wait=0' };
    const first = eu.put(ITEM, 'x', key);
    await cluster.clock.advance(0);
    expect((await first).status).toBe(202);
    cluster.heal();
    await cluster.converge();
    const again = await eu.put(ITEM, 'x', { ...key, prefer: 'wait=1' });
    expect([again.status, again.field('write-outcome'), again.field('replicated-to')]).toEqual([204, 'duplicate', `("${US}")`]);
  });
});

describe('regions: items held elsewhere', () => {
  let cluster: TestCluster;
  let eu: TestRegion;
  beforeEach(async () => {
    cluster = await startCluster({ regions: [AP, EU, US] });
    await cluster.at(US).collection('there', { regions: [US], replicas: 1 });
    await cluster.converge();
    eu = cluster.at(EU);
  });
  const THERE = '/v1/c/there/items/alice';

  test('any region answers for any key: reads, writes, ranges, batches, explain go to one that holds it', async () => {
    const put = await eu.put(THERE, 'x', { 'content-type': 'text/plain' });
    expect([put.status, put.field('served-by')]).toEqual([201, `${US}; origin=${US}; age-ms=0`]);
    expect((await eu.get(THERE)).text).toBe('x');
    expect((await eu.ask('HEAD', THERE)).status).toBe(200);
    expect((await eu.get('/v1/c/there/ranges/alice')).json<{ items: unknown[] }>().items).toHaveLength(1);
    expect((await eu.get('/v1/c/there/scan')).json<{ items: unknown[] }>().items).toHaveLength(1);
    expect((await eu.get('/v1/c/there/explain/alice')).field('served-by')).toBe(US);
    const batch = await eu.post('/v1/c/there/batch', { operations: [{ op: 'get', pk: 'alice' }] });
    expect(batch.json()).toMatchObject({ results: [{ status: 200, valueBase64: 'eA==', servedBy: `${US}; origin=${US}; age-ms=0` }] });
    expect((await eu.delete(THERE)).status).toBe(204);
    expect(await eu.stored()).not.toContain('there 616c696365');
  });

  test('Forward: never is answered 421 with the address of a region that holds it', async () => {
    const answer = await eu.get(THERE, { forward: 'never' });
    expect([answer.status, answer.code, answer.field('location')]).toEqual([421, 'wrong-region', `http://${US}.test${THERE}`]);
    expect((await eu.get(THERE, { forward: 'sometimes' })).code).toBe('bad-request');
    expect((await eu.put(THERE, 'x', { forward: 'never' })).status).toBe(421);
    expect((await cluster.at(US).get(THERE)).status).toBe(404);
    expect((await eu.post('/v1/c/there/batch', { operations: [{ op: 'get', pk: 'alice' }] }, { forward: 'never' })).json()).toMatchObject({ results: [{ status: 421, problem: { status: 421 } }] });
  });

  test('a refusal is made here, before anything is passed on', async () => {
    cluster.cut(EU, US);
    const reader = await eu.key(['read'], { collections: ['there'] });
    expect((await eu.ask('PUT', THERE, { key: reader, body: 'x' })).status).toBe(403);
    expect((await eu.ask('GET', '/v1/c/elsewhere/items/a', { key: reader })).status).toBe(403);
  });

  test('no region that holds it can be reached: 503, and 504 for a write that may have been done', async () => {
    cluster.cut(EU, US);
    expect(await eu.get(THERE)).toMatchObject({ status: 503, code: 'no-region-available' });
    const put = await eu.put(THERE, 'x');
    expect([put.status, put.code, put.json()['retryable']]).toEqual([504, 'write-outcome-unknown', true]);
  });

  test('a retry in another region is the same write', async () => {
    const key = { 'idempotency-key': 'op' };
    const first = await eu.put(THERE, 'x', key);
    const again = await cluster.at(AP).put(THERE, 'x', key);
    expect([again.field('write-outcome'), again.field('etag')]).toEqual(['duplicate', first.field('etag')]);
  });
});

describe('regions: hot items', () => {
  test('what is asked for most is named with its share, in the list and in the metrics', async () => {
    const cluster = await startThree();
    const eu = cluster.at(EU);
    for (let at = 0; at < 80; at++) await eu.put(at % 5 !== 0 ? '/v1/c/demo/items/hot/sk' : `/v1/c/demo/items/cold${at}`, 'x');
    const { hot } = (await eu.get('/v1/replication')).json<{ hot: { collection: string; pk: string; sk?: string; share: number }[] }>();
    expect(hot[0]).toEqual({ collection: 'demo', pk: 'hot', sk: 'sk', share: 0.8 });
    expect(hot.map(({ share }) => share)).toEqual([0.8, 0.1, 0.1]);
    const metrics = (await eu.get('/metrics')).text;
    for (const { pk, sk, share } of hot.slice(0, 5)) {
      const labels = `collection="demo",pk="${pk}"${sk === undefined ? '' : `,sk="${sk}"`}`;
      expect(Number(new RegExp(`^archipel_hot_key_share\\{${labels}\\} (\\S+)$`, 'm').exec(metrics)?.[1])).toBeCloseTo(share, 2);
    }
    expect((await cluster.at(US).get('/v1/replication')).json<{ hot: unknown[] }>().hot).toEqual([]);
  });
});
