// What concurrent writes left behind: the ledger, siblings, why an item has its value.

import { beforeEach, describe, expect, test } from 'vitest';
import { AP, EU, startThree, US, type TestCluster, type TestRegion } from './harness.ts';

interface Conflict {
  readonly id: string;
  readonly kind: string;
  readonly pk: string;
  readonly sk?: string;
  readonly rule: string;
  readonly loser: { readonly value?: unknown; readonly valueBase64?: string; readonly contentType: string; readonly dot: string; readonly region: string; readonly deleted?: true };
  readonly winner: string;
  readonly at: string;
  readonly regions: readonly string[];
  readonly group?: string;
}
interface Page {
  readonly items: readonly Conflict[];
  readonly cursor?: string;
}

const ITEM = '/v1/c/demo/items/alice/cart';
const JSON_TYPE = { 'content-type': 'application/json' };

let cluster: TestCluster;
let eu: TestRegion;
let us: TestRegion;
beforeEach(async () => {
  cluster = await startThree();
  [eu, us] = [cluster.at(EU), cluster.at(US)];
});

/** The same item written on both sides of a cut, then healed. `us` writes last and wins. */
async function collide(target: string, mine: string, theirs: string, headers: Record<string, string> = JSON_TYPE): Promise<void> {
  cluster.cut(EU, US);
  await eu.put(target, mine, headers);
  await cluster.clock.advance(20);
  await us.put(target, theirs, headers);
  cluster.heal();
  await cluster.converge(5_000);
}

const lost = async (region: TestRegion, query = ''): Promise<Page> => (await region.get(`/v1/c/demo/conflicts${query}`)).json<Page>();

describe('conflicts: the ledger', () => {
  test('a lost write is listed with loser, winner and rule, under one id everywhere', async () => {
    await collide(ITEM, '{"n":12345678901234567890}', '"theirs"');
    const [got, other] = [(await lost(eu)).items, (await lost(us)).items];
    expect(got).toHaveLength(1);
    expect(got[0]).toMatchObject({ kind: 'lost', pk: 'alice', sk: 'cart', rule: 'lww', loser: { contentType: 'application/json', region: EU }, regions: [EU] });
    expect(other[0]?.id).toBe(got[0]?.id);
    expect((await eu.get('/v1/c/demo/conflicts')).text).toContain('"value":{"n":12345678901234567890}');
    const current = (await eu.get(ITEM)).field('etag');
    expect(`"${got[0]?.winner}"`).toBe(current);
    expect(got[0]?.loser.dot).toMatch(/^eu-central-1~k1@/);
    expect(Date.parse(got[0]?.at as string)).toBeLessThanOrEqual(cluster.clock.wallMs());
  });

  test('bytes that are not JSON come as base64, a delete as deleted', async () => {
    await eu.put(ITEM, 'x');
    await cluster.converge();
    cluster.cut(EU, US);
    await eu.delete(ITEM);
    await cluster.clock.advance(20);
    await us.put(ITEM, 'y');
    cluster.heal();
    await cluster.converge(5_000);
    await collide('/v1/c/demo/items/bob', 'mine', 'theirs', { 'content-type': 'text/plain' });
    const losers = (await lost(eu)).items.map(({ loser }) => loser);
    expect(losers).toMatchObject([{ deleted: true, region: EU }, { valueBase64: 'bWluZQ==', contentType: 'text/plain' }]);
  });

  test('pages, since, and cursors of another listing', async () => {
    for (const name of ['a', 'b', 'c']) await collide(`/v1/c/demo/items/${name}`, '1', '2');
    const since = cluster.clock.wallMs();
    await cluster.clock.advance(1_000);
    await collide('/v1/c/demo/items/d', '1', '2');
    const [first, rest] = [await lost(eu, '?limit=3'), (cursor: string) => lost(eu, `?limit=3&cursor=${cursor}`)];
    expect(first.items.map(({ pk }) => pk)).toEqual(['a', 'b', 'c']);
    expect((await rest(first.cursor as string)).items.map(({ pk }) => pk)).toEqual(['d']);
    expect((await lost(eu, `?since=${since}`)).items.map(({ pk }) => pk)).toEqual(['d']);
    expect((await lost(eu, `?since=${new Date(since).toISOString()}`)).items).toHaveLength(1);
    for (const query of [`state=siblings&cursor=${first.cursor}`, `since=1&cursor=${first.cursor}`, 'cursor=x', 'state=won', 'since=yesterday', 'limit=0', 'x=1']) expect((await eu.get(`/v1/c/demo/conflicts?${query}`)).code).toBe('bad-request');
    expect((await eu.get(`/v1/c/carts/conflicts?cursor=${first.cursor}`)).code).toBe('bad-request');
    expect((await eu.get('/v1/c/nothing/conflicts')).code).toBe('collection-not-found');
  });

  test('restore writes the lost value as the current one, in all regions', async () => {
    await collide(ITEM, '"mine"', '"theirs"');
    const [row] = (await lost(eu)).items;
    const restored = await eu.post(`/v1/c/demo/conflicts/${row?.id}/restore`);
    expect([restored.status, restored.json()['outcome']]).toEqual([200, 'stored']);
    expect(`"${String(restored.json()['etag'])}"`).toBe((await eu.get(ITEM)).field('etag'));
    await cluster.converge();
    for (const region of cluster.regions) expect((await region.get(ITEM)).text).toBe('"mine"');
    expect((await lost(us)).items).toHaveLength(1); // what it replaced had been seen: no new loss
  });

  test('a lost value that has expired meanwhile is not restored: it would take what stands with it', async () => {
    await collide(ITEM, '"mine"', '"theirs"', { ...JSON_TYPE, 'item-ttl': '60' });
    await us.put(ITEM, '"forever"', JSON_TYPE);
    await cluster.converge();
    await cluster.clock.advance(60_000);
    const [row] = (await lost(eu)).items;
    expect(await eu.post(`/v1/c/demo/conflicts/${row?.id}/restore`)).toMatchObject({ status: 404, code: 'not-found' });
    expect((await eu.get(ITEM)).text).toBe('"forever"');
    const key = { headers: { 'idempotency-key': 'op' } };
    await collide('/v1/c/demo/items/bob', '"mine"', '"theirs"', { ...JSON_TYPE, 'item-ttl': '60' });
    const path = `/v1/c/demo/conflicts/${(await lost(eu)).items.find(({ pk }) => pk === 'bob')?.id}/restore`;
    const first = (await eu.ask('POST', path, key)).json();
    await cluster.clock.advance(60_000);
    expect((await eu.ask('POST', path, key)).json()).toEqual({ ...first, outcome: 'duplicate' }); // done in time
  });

  test('restore under an operation id is one write: again, here or elsewhere, it does not write over what came after', async () => {
    await collide(ITEM, '"mine"', '"theirs"');
    const path = `/v1/c/demo/conflicts/${(await lost(eu)).items[0]?.id}/restore`;
    const key = { headers: { 'idempotency-key': 'op' } };
    const first = (await eu.ask('POST', path, key)).json();
    expect(first['outcome']).toBe('stored');
    expect((await eu.get('/v1/c/demo/explain/alice/cart')).json<{ candidates: unknown[] }>().candidates).toMatchObject([{ operation: expect.any(String) as string }]);
    await eu.put(ITEM, '"later"', JSON_TYPE);
    await cluster.converge();
    for (const region of [eu, us]) expect((await region.ask('POST', path, key)).json()).toEqual({ ...first, outcome: 'duplicate' });
    expect((await eu.get(ITEM)).text).toBe('"later"');
    expect((await eu.put(ITEM, '"mine"', { ...JSON_TYPE, 'idempotency-key': 'op' })).code).toBe('idempotency-key-reused');
    expect((await eu.ask('POST', path, { headers: { 'idempotency-key': '' } })).code).toBe('bad-request');
  });

  test('restore of what is not there, or of another collection, is 404', async () => {
    await collide(ITEM, '1', '2');
    const [row] = (await lost(eu)).items;
    const before = await eu.stored();
    expect((await eu.post(`/v1/c/carts/conflicts/${row?.id}/restore`)).code).toBe('not-found');
    expect((await eu.post('/v1/c/demo/conflicts/000000000000000000000000/restore')).code).toBe('not-found');
    expect((await eu.post('/v1/c/demo/conflicts/%zz/restore')).code).toBe('key-invalid');
    expect(await eu.stored()).toBe(before);
  });
});

describe('conflicts: siblings', () => {
  test('items with several values are listed, with the regions that wrote them', async () => {
    await collide('/v1/c/carts/items/alice', '1', '2');
    await collide('/v1/c/carts/items/bob', '1', '2');
    await eu.put('/v1/c/carts/items/carol', '1');
    const { items, cursor } = (await eu.get('/v1/c/carts/conflicts?state=siblings&limit=1')).json<Page>();
    const more = (await eu.get(`/v1/c/carts/conflicts?state=siblings&limit=5&cursor=${cursor}`)).json<Page>();
    expect([...items, ...more.items].map(({ kind, pk, regions }) => [kind, pk, [...regions].sort()]).sort()).toEqual([
      ['sibling', 'alice', [EU, US]],
      ['sibling', 'bob', [EU, US]],
    ]);
    expect((await eu.get('/v1/c/demo/conflicts?state=siblings')).json<Page>().items).toEqual([]);
  });
});

describe('explain', () => {
  interface Explanation {
    readonly candidates: readonly { readonly dot: string; readonly stamp: string; readonly region: string; readonly operation?: string; readonly verdict: string; readonly because: string }[];
    readonly context: Readonly<Record<string, string>>;
    readonly policy: string;
    readonly losers: readonly { readonly id: string; readonly dot: string; readonly rule: string; readonly winner: string }[];
  }

  test('the winner, its operation, the context and the losers', async () => {
    cluster.cut(EU, US);
    await eu.put(ITEM, '1', JSON_TYPE);
    await cluster.clock.advance(20);
    await us.put(ITEM, '2', { ...JSON_TYPE, 'idempotency-key': 'op' });
    cluster.heal();
    await cluster.converge(5_000);
    const explained = (await eu.get('/v1/c/demo/explain/alice/cart')).json<Explanation>();
    const [row] = (await lost(eu)).items;
    expect(explained.policy).toBe('lww');
    expect(explained.candidates).toMatchObject([{ region: US, verdict: 'stands', operation: expect.stringMatching(/^[0-9a-f]{16}$/) as string, because: 'its (stamp, actor) is the largest' }]);
    expect(explained.context).toHaveProperty('us-east-1~k1');
    expect(explained.losers).toMatchObject([{ id: row?.id, dot: row?.loser.dot, rule: 'lww', winner: explained.candidates[0]?.dot }]);
    expect((await eu.get('/v1/c/demo/explain?pk=alice&sk=cart')).json()).toEqual(explained);
  });

  test('siblings all stand; a deleted and an expired value are told as such; what is not known is 404', async () => {
    await collide('/v1/c/carts/items/alice', '1', '2');
    expect((await eu.get('/v1/c/carts/explain/alice')).json<Explanation>().candidates.map(({ verdict }) => verdict)).toEqual(['stands', 'stands']);
    await eu.put('/v1/c/demo/items/a', 'x');
    await eu.delete('/v1/c/demo/items/a');
    expect((await eu.get('/v1/c/demo/explain/a')).json<Explanation>().candidates.map(({ verdict }) => verdict)).toEqual(['deleted']);
    await eu.put('/v1/c/demo/items/b', 'x', { 'item-ttl': '1' });
    await cluster.clock.advance(1_000);
    expect((await eu.get('/v1/c/demo/explain/b')).json<Explanation>().candidates.map(({ verdict }) => verdict)).toEqual(['expired']);
    expect((await eu.get('/v1/c/demo/explain/nobody')).code).toBe('not-found');
    expect((await eu.get('/v1/c/nothing/explain/a')).code).toBe('collection-not-found');
    expect((await eu.send('GET', '/v1/c/demo/explain/a/b/c')).code).toBe('key-invalid');
    expect((await eu.send('GET', '/v1/c/demo/explain')).code).toBe('key-invalid');
    expect((await eu.get('/v1/c/demo/explain/a?x=1')).code).toBe('bad-request');
  });

  test('in another region the answer is the same', async () => {
    await collide('/v1/c/carts/items/alice', '1', '2');
    expect((await cluster.at(AP).get('/v1/c/carts/explain/alice')).json<Explanation>().candidates).toEqual((await eu.get('/v1/c/carts/explain/alice')).json<Explanation>().candidates);
  });
});

describe('conflicts: stranded writes', () => {
  const path = (n: string): string => `/v1/c/demo/items/${n}`;
  let group: string;
  /** `us` is not the control region; it writes alone, is declared lost, and is taken back. */
  beforeEach(async () => {
    group = us.region.actor;
    const control = eu.region.catalog.topology.control;
    cluster.cut(US, EU);
    cluster.cut(US, AP);
    for (const n of ['a', 'b', 'c']) await us.put(path(n), `us ${n}`, n === 'b' ? { 'item-ttl': '400' } : {});
    expect((await cluster.at(control).post(`/v1/regions/${US}/lose`)).status).toBe(200);
    await cluster.converge();
    for (const n of ['a', 'b']) await eu.put(path(n), `eu ${n}`);
    await cluster.converge();
    cluster.heal();
    await cluster.converge();
    expect((await us.put(path('d'), 'x')).status).toBe(503);
    for (const state of ['joining', 'active']) {
      expect((await cluster.at(control).post(`/v1/regions/${US}/return`)).json<{ regions: { id: string; state: string }[] }>().regions.find(({ id }) => id === US)?.state).toBe(state);
      await cluster.converge(70_000);
    }
    expect((await us.get(path('c'))).text).toBe('us c');
  });

  test('are listed as a group, page by page; another group, and siblings of one, are none', async () => {
    const { items } = await lost(eu, `?group=${group}`);
    expect(items.map(({ pk, group: each }) => [pk, each]).sort()).toEqual([['a', group], ['b', group]]);
    const first = await lost(eu, `?group=${group}&limit=1`);
    const second = await lost(eu, `?group=${group}&limit=1&cursor=${first.cursor}`);
    expect([...first.items, ...second.items].map(({ id }) => id).sort()).toEqual(items.map(({ id }) => id).sort());
    expect((await lost(eu, `?group=${US}~none0`)).items).toEqual([]);
    expect((await lost(eu, `?group=${EU}~k1`)).items).toEqual([]);
    for (const wrong of ['?group=us', `?state=siblings&group=${group}`]) expect((await eu.get(`/v1/c/demo/conflicts${wrong}`)).code).toBe('bad-request');
  });

  test('rejected: all are current again in every region, and are a group no more', async () => {
    expect((await eu.post(`/v1/c/demo/stranded/${group}/restore`)).json()).toEqual({ group, writes: 2, restored: 2, overtaken: 0, refused: 0 });
    await cluster.converge();
    for (const region of [eu, us, cluster.at(AP)]) expect([(await region.get(path('a'))).text, (await region.get(path('b'))).text]).toEqual(['us a', 'us b']);
    expect((await us.post(`/v1/c/demo/stranded/${group}/restore`)).json()).toMatchObject({ writes: 2, restored: 2 }); // the same writes
    await cluster.converge();
    expect((await us.get('/v1/c/demo/conflicts')).json<Page>().items.filter(({ loser }) => loser.valueBase64 !== undefined).map(({ pk }) => pk).sort()).toEqual(['a', 'b']);
    for (const region of [eu, us]) expect((await lost(region, `?group=${group}`)).items).toEqual([]);
  });

  test('rejected when one has expired: what stands there stays', async () => {
    await cluster.clock.advance(400_000);
    expect((await eu.post(`/v1/c/demo/stranded/${group}/restore`)).json()).toEqual({ group, writes: 2, restored: 1, overtaken: 1, refused: 0 });
    expect([(await eu.get(path('a'))).text, (await eu.get(path('b'))).text]).toEqual(['us a', 'eu b']);
  });

  test('accepted: nothing changes, the rows stay, the group goes', async () => {
    expect((await eu.post(`/v1/c/demo/stranded/${group}/accept`)).json()).toEqual({ group, writes: 2, restored: 0, overtaken: 0, refused: 0 });
    expect((await eu.get(path('a'))).text).toBe('eu a');
    expect((await lost(eu, `?group=${group}`)).items).toEqual([]);
    const { items } = await lost(eu);
    expect([items.length, items.filter((item) => item.group !== undefined)]).toEqual([2, []]);
    expect((await eu.post(`/v1/c/demo/stranded/${group}/restore`)).json()).toMatchObject({ writes: 0 });
  });

  test('who may, and what is none', async () => {
    const target = `/v1/c/demo/stranded/${group}/restore`;
    expect((await eu.ask('POST', target, { key: await eu.key(['read']) })).status).toBe(403);
    expect((await eu.post(`/v1/c/demo/stranded/${EU}~k1/restore`)).code).toBe('not-found');
    expect((await eu.post('/v1/c/demo/stranded/nonsense/accept')).code).toBe('not-found');
    expect((await eu.post(`/v1/c/none/stranded/${group}/accept`)).code).toBe('collection-not-found');
  });
});
