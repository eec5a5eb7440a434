// Collections and their policies.

import { beforeEach, describe, expect, test } from 'vitest';
import { COLLECTION_NAME_BYTES_MAX, VALUE_BYTES_HARD_MAX } from '../../src/core/limits.ts';
import { AP, EU, startCluster, startRegion, startThree, US, type TestRegion } from './harness.ts';

let eu: TestRegion;
beforeEach(async () => {
  eu = await startRegion();
});

describe('collections: creating', () => {
  test('201 with the policy as it stands; the same again 200; another one 409', async () => {
    const created = await eu.put('/v1/c/new', { conflict: 'siblings', replicas: 2, ttlSeconds: 60 });
    expect([created.status, created.field('location')]).toEqual([201, '/v1/c/new']);
    expect(created.json()).toEqual({ name: 'new', conflict: 'siblings', regions: 'all', replicas: 2, ttlSeconds: 60, group: expect.stringMatching(/^[0-9a-f]{8}$/) as string, created: expect.any(String) as string, state: 'active' });
    const again = await eu.put('/v1/c/new', { ttlSeconds: 60, replicas: 2, conflict: 'siblings' });
    expect([again.status, again.json()]).toEqual([200, created.json()]);
    expect(await eu.put('/v1/c/new', { conflict: 'lww' })).toMatchObject({ status: 409, code: 'collection-exists' });
    expect((await eu.get('/v1/c/new')).json()).toEqual(created.json());
  });

  test('without a body it is lww, everywhere, with the replicas of the cluster', async () => {
    expect((await eu.put('/v1/c/plain')).json()).toMatchObject({ conflict: 'lww', regions: 'all', replicas: 3 });
    expect((await eu.ask('PUT', '/v1/c/plainer')).status).toBe(201);
  });

  test('names: 1 to 64 of letters, digits, _ . -, not of the system, not . or ..', async () => {
    for (const name of ['a', 'A.b-c_9', 'x'.repeat(COLLECTION_NAME_BYTES_MAX), '...', '-']) expect((await eu.put(`/v1/c/${name}`, {})).status).toBe(201);
    for (const name of ['x'.repeat(COLLECTION_NAME_BYTES_MAX + 1), 'a%20b', 'a%2Fb', '%C3%A9', '.', '..', '%2e%2e', 'a%00']) expect((await eu.send('PUT', `/v1/c/${name}`, { body: {} })).code).toBe('bad-request');
    for (const name of ['_mine', '_keys', '%5Fmine']) expect((await eu.put(`/v1/c/${name}`, {})).code).toBe('forbidden');
    expect((await eu.send('PUT', '/v1/c/%zz', { body: {} })).code).toBe('key-invalid');
  });

  test('a policy that is not understood, or not built, is 400 with a pointer and makes nothing', async () => {
    const before = await eu.stored();
    const bad: readonly (readonly [string, readonly string[]])[] = [
      ['{"conflict":"counter"}', ['/conflict']],
      ['{"regions":[]}', ['/regions']],
      ['{"regions":["mars-1"]}', ['/regions']],
      ['{"replicas":0}', ['/replicas']],
      ['{"replicas":1.5}', ['/replicas']],
      ['{"replicas":1e999}', ['/replicas']],
      [`{"regions":["${EU}"],"replicas":2}`, ['/replicas']],
      ['{"ttlSeconds":0}', ['/ttlSeconds']],
      [`{"maxValueBytes":${VALUE_BYTES_HARD_MAX + 1}}`, ['/maxValueBytes']],
      ['{"conflict":"siblings","maxValueBytes":20000}', ['/maxValueBytes']],
      ['{"colour":"red","name":"x"}', ['/colour', '/name']],
      ['{"__proto__":{"conflict":"siblings"}}', ['/__proto__']],
    ];
    for (const [body, pointers] of bad) {
      const answer = await eu.put('/v1/c/new', body);
      expect([body, answer.status, answer.json<{ errors: { pointer: string }[] }>().errors.map(({ pointer }) => pointer)]).toEqual([body, 400, pointers]);
    }
    expect((await eu.put('/v1/c/new', '{"replicas":1,"replicas":2}')).code).toBe('bad-request');
    expect((await eu.put('/v1/c/new', '{}', { 'content-type': 'text/yaml' })).code).toBe('unsupported-media-type');
    expect((await eu.put('/v1/c/new', '{}'.padEnd(65_537))).code).toBe('too-large');
    expect(await eu.stored()).toBe(before);
  });

  test('202 while a region does not know it; until then items are 503 collection-pending, then all is well', async () => {
    const cluster = await startCluster({ regions: [AP, EU, US] });
    cluster.cut(EU, US);
    const pending = await cluster.at(EU).put('/v1/c/new', {});
    expect([pending.status, pending.json()['state']]).toEqual([202, 'pending']);
    for (const region of [EU, AP]) {
      const refused = await cluster.at(region).put('/v1/c/new/items/a', 'x');
      expect([refused.status, refused.code, refused.field('retry-after'), refused.json()['retryable']]).toEqual([503, 'collection-pending', '1', true]);
      for (const target of ['/v1/c/new/items/a', '/v1/c/new/ranges/a', '/v1/c/new/scan', '/v1/c/new/explain/a', '/v1/c/new/conflicts']) expect((await cluster.at(region).get(target)).code).toBe('collection-pending');
      expect((await cluster.at(region).post('/v1/c/new/batch', { operations: [{ op: 'get', pk: 'a' }] })).code).toBe('collection-pending');
      expect((await cluster.at(region).patch('/v1/c/new', { ttlSeconds: 5 }, { 'content-type': 'application/json' })).code).toBe('collection-pending');
      expect((await cluster.at(region).get('/v1/c/new')).json()).toMatchObject({ state: 'pending' });
    }
    expect((await cluster.at(US).get('/v1/c/new/items/a')).code).toBe('collection-not-found');
    cluster.heal();
    await cluster.converge(20_000);
    for (const region of cluster.regions) expect((await region.put('/v1/c/new/items/a', 'x')).status).toBeLessThan(300);
  });
});

describe('collections: showing', () => {
  test('one, all, and what is not known', async () => {
    expect((await eu.get('/v1/c/demo')).json()).toMatchObject({ name: 'demo', conflict: 'lww', state: 'active' });
    expect((await eu.get('/v1/c')).json<{ collections: { name: string }[] }>().collections.map(({ name }) => name)).toEqual(['carts', 'demo']);
    expect((await eu.get('/v1/c/nothing')).code).toBe('collection-not-found');
    expect((await eu.get('/v1/c?x=1')).code).toBe('bad-request');
  });

  test('removing one is for later: 405', async () => {
    const answer = await eu.send('DELETE', '/v1/c/demo');
    expect([answer.code, answer.field('allow')]).toEqual(['method-not-allowed', 'PUT, GET, HEAD, PATCH']);
  });
});

describe('collections: changing', () => {
  const json = { 'content-type': 'application/json' };

  test('the time to live and the limits', async () => {
    const changed = await eu.patch('/v1/c/demo', { ttlSeconds: 60, maxValueBytes: 20_000, requireContext: true });
    expect([changed.status, changed.json()]).toEqual([200, expect.objectContaining({ ttlSeconds: 60, maxValueBytes: 20_000, requireContext: true })]);
    expect((await eu.put('/v1/c/demo/items/a', new Uint8Array(19_000))).field('sunset')).toBe(new Date(eu.clock.wallMs() + 60_000).toUTCString());
    expect((await eu.put('/v1/c/demo/items/a', 'x')).code).toBe('context-required');
    expect((await eu.patch('/v1/c/demo', { maxValueBytes: 10 }, json)).json()).toMatchObject({ ttlSeconds: 60, maxValueBytes: 10 });
  });

  test('null takes the time to live, or the limit, away again', async () => {
    const before = (await eu.get('/v1/c/demo')).json();
    await eu.patch('/v1/c/demo', { ttlSeconds: 60, maxValueBytes: 20_000 });
    const changed = await eu.patch('/v1/c/demo', { ttlSeconds: null, maxValueBytes: null });
    expect([changed.status, changed.json()]).toEqual([200, before]);
    expect((await eu.put('/v1/c/demo/items/a', 'x')).field('sunset')).toBeUndefined();
    expect((await eu.patch('/v1/c/carts', { maxValueBytes: null })).status).toBe(200);
  });

  test('anything else is 409; naming what it is already is no change', async () => {
    const before = (await eu.get('/v1/c/demo')).json();
    for (const patch of [{ conflict: 'siblings' }, { regions: [EU] }, { replicas: 1 }, { ttlSeconds: 5, replicas: 2 }]) expect(await eu.patch('/v1/c/demo', patch)).toMatchObject({ status: 409, code: 'policy-change-refused' });
    expect((await eu.get('/v1/c/demo')).json()).toEqual(before);
    expect((await eu.patch('/v1/c/demo', { conflict: 'lww', regions: 'all', replicas: 3 })).json()).toEqual(before);
    expect((await eu.patch('/v1/c/demo', {})).json()).toEqual(before);
    expect((await eu.patch('/v1/c/carts', { conflict: 'siblings' })).status).toBe(200);
    for (const bad of ['{"colour":1}', '{"ttlSeconds":-1}', '[]', '{']) expect((await eu.patch('/v1/c/demo', bad)).code).toBe('bad-request');
    expect((await eu.patch('/v1/c/carts', { maxValueBytes: 20_000 })).code).toBe('bad-request');
    expect((await eu.patch('/v1/c/nothing', {})).code).toBe('collection-not-found');
  });

  test('siblings -> lww: the largest stands, what it drops is in the ledger of every region under one id, and can be restored', async () => {
    const cluster = await startThree();
    eu = cluster.at(EU);
    for (const value of ['one', 'two', 'three']) await eu.put('/v1/c/carts/items/alice', value, { 'content-type': 'text/plain' });
    await eu.put('/v1/c/carts/items/bob', 'only');
    await cluster.converge();
    expect((await eu.patch('/v1/c/carts', { conflict: 'lww' })).json()).toMatchObject({ conflict: 'lww' });
    await cluster.converge(5_000);
    const ids = new Set<string>();
    for (const region of cluster.regions) {
      expect((await region.get('/v1/c/carts')).json()).toMatchObject({ conflict: 'lww' });
      expect((await region.get('/v1/c/carts/items/alice')).text).toBe('three');
      const { items } = (await region.get('/v1/c/carts/conflicts')).json<{ items: { id: string; rule: string; loser: { valueBase64: string } }[] }>();
      expect(items.map(({ rule, loser }) => [rule, Buffer.from(loser.valueBase64, 'base64').toString()]).sort()).toEqual([['policy-changed', 'one'], ['policy-changed', 'two']]);
      for (const { id } of items) ids.add(id);
    }
    expect(ids.size).toBe(2);
    expect((await eu.post(`/v1/c/carts/conflicts/${[...ids].sort()[0]}/restore`)).status).toBe(200);
    expect(['one', 'two']).toContain((await eu.get('/v1/c/carts/items/alice')).text);
    expect((await eu.put('/v1/c/carts/items/alice', 'next')).field('write-outcome')).toBe('stored');
    expect((await eu.get('/v1/c/carts/items/bob')).text).toBe('only');
  });
});
