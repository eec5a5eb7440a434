// Routes about the store as a whole: topology, replication, reconciliation, keys, health, metrics.

import { beforeEach, describe, expect, test } from 'vitest';
import { encodeRecords } from '../../src/engine/envelope.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import { escapeLabel, renderMetrics } from '../../src/http/openmetrics.ts';
import { AP, EU, startCluster, startThree, US, type Answer, type TestCluster, type TestRegion } from './harness.ts';
import { parseOpenMetrics } from './openmetrics.ts';

let cluster: TestCluster;
let eu: TestRegion;
beforeEach(async () => {
  cluster = await startThree();
  eu = cluster.at(EU);
});

interface Replication {
  readonly region: string;
  readonly items: Readonly<Record<string, number>>;
  readonly peers: readonly { readonly id: string; readonly state: string; readonly unreplicatedItems: number; readonly hints: number; readonly dead: number; readonly paused: boolean; readonly breaker: string }[];
}

const peersOf = async (region: TestRegion): Promise<Replication['peers']> => (await region.get('/v1/replication')).json<Replication>().peers;
const peer = async (region: TestRegion, id: string): Promise<Replication['peers'][number] | undefined> => (await peersOf(region)).find((each) => each.id === id);

describe('topology', () => {
  test('regions, states, groups and who holds each of the 256 partitions', async () => {
    await eu.collection('there', { regions: [US, EU], replicas: 1 });
    const topology = (await eu.get('/v1/topology')).json<{ term: number; epoch: number; partitions: number; regions: { id: string; state: string; url: string }[]; groups: { id: string; regions: unknown; replicas: number; partitions: string[][] }[] }>();
    expect(topology).toMatchObject({ term: 1, epoch: 1, partitions: PARTITIONS });
    expect(topology.regions.map(({ id, state, url }) => [id, state, url])).toEqual([AP, EU, US].map((id) => [id, 'active', `http://${id}.test`]));
    const group = (await eu.get('/v1/c/there')).json()['group'];
    const there = topology.groups.find(({ id }) => id === group);
    expect(there).toMatchObject({ regions: [EU, US], replicas: 1 });
    for (const { partitions } of topology.groups) expect(partitions).toHaveLength(PARTITIONS);
    expect(new Set(there?.partitions.flat())).toEqual(new Set([EU, US]));
  });
});

describe('replication', () => {
  test('per peer: what a loss of this region would lose, and back to nothing', async () => {
    expect(await peersOf(eu)).toMatchObject([{ id: AP, state: 'up', unreplicatedItems: 0, hints: 0, dead: 0, paused: false, breaker: 'closed' }, { id: US }]);
    await eu.post(`/v1/replication/${US}/pause`);
    for (const name of ['a', 'b', 'a']) await eu.put(`/v1/c/demo/items/${name}`, name);
    await cluster.converge();
    expect(await peer(eu, US)).toMatchObject({ state: 'paused', paused: true, unreplicatedItems: 2, hints: 2 });
    expect(await peer(eu, AP)).toMatchObject({ state: 'up', unreplicatedItems: 0 });
    expect((await cluster.at(US).get('/v1/c/demo/items/a')).status).toBe(404);
    await eu.post(`/v1/replication/${US}/resume`);
    await cluster.converge();
    expect(await peer(eu, US)).toMatchObject({ state: 'up', paused: false, unreplicatedItems: 0, hints: 0 });
    expect((await cluster.at(US).get('/v1/c/demo/items/a')).text).toBe('a');
    expect((await eu.get('/v1/replication')).json<Replication>().items).toEqual({ carts: 0, demo: 2 });
    expect((await eu.get('/v1/replication')).json<unknown>()).toMatchObject({ reaping: { proposed: 0, refused: 0, reaped: 0 }, late: { asked: 0, kept: 0, dropped: 0, ledgered: 0, held: 0 } });
  });

  test('pause holds back both directions on this side', async () => {
    expect((await eu.post(`/v1/replication/${US}/pause`)).status).toBe(204);
    await cluster.at(US).put('/v1/c/demo/items/theirs', 'x');
    await cluster.converge();
    expect((await eu.get('/v1/c/demo/items/theirs')).status).toBe(404);
    expect(await peer(cluster.at(US), EU)).toMatchObject({ paused: false, unreplicatedItems: 1 });
    await eu.post(`/v1/replication/${US}/resume`);
    await cluster.converge(120_000);
    expect((await eu.get('/v1/c/demo/items/theirs')).text).toBe('x');
  });

  test('a peer that is none is 404', async () => {
    for (const verb of ['pause', 'resume', 'dead/replay']) expect((await eu.post(`/v1/replication/mars-1/${verb}`)).code).toBe('not-found');
    expect((await eu.post(`/v1/replication/${EU}/pause`)).code).toBe('not-found');
    expect((await eu.get('/v1/replication/mars-1/dead')).code).toBe('not-found');
    expect((await eu.send('POST', '/v1/replication/%zz/pause')).code).toBe('key-invalid');
  });

  test('dead letters: listed with the reason, page by page, and replayed', async () => {
    const poison = (at: number): { key: Uint8Array; state: Uint8Array } => ({ key: utf8(`no key ${at}`), state: utf8('no state') });
    await eu.region.applier.apply(US, [poison(1), poison(2), poison(3)]);
    expect(await peer(eu, US)).toMatchObject({ dead: 3 });
    const dead = `/v1/replication/${US}/dead`;
    const first = (await eu.get(`${dead}?limit=2`)).json<{ items: { id: string; reason: string; at: string; bytes: number }[]; cursor: string }>();
    expect(first.items).toMatchObject([{ reason: 'Not a physical key.', bytes: encodeRecords([poison(1)]).length }, {}]);
    const rest = (await eu.get(`${dead}?limit=2&cursor=${first.cursor}`)).json<{ items: unknown[]; cursor?: string }>();
    expect([rest.items.length, rest.cursor]).toEqual([1, undefined]);
    expect((await eu.get(`/v1/replication/${AP}/dead?cursor=${first.cursor}`)).code).toBe('bad-request');
    expect((await eu.get(`${dead}?cursor=1`)).code).toBe('bad-request');
    expect((await eu.get(`${dead}?limit=0`)).code).toBe('bad-request');
    expect((await eu.post(`${dead}/replay`)).json()).toEqual({ merged: 0 });
    expect(await peer(eu, US)).toMatchObject({ dead: 3 });
  });
});

describe('reconciliation', () => {
  interface Run {
    readonly id: string;
    readonly state: string;
    readonly pairs: readonly { readonly peer: string; readonly differing: number; readonly pushed: number; readonly equal: boolean; readonly differingKeys: readonly object[]; readonly certificate?: { readonly regions: readonly string[]; readonly digest: string } }[];
  }
  const finished = async (started: Answer): Promise<Run> => {
    expect([started.status, started.field('location')]).toEqual([202, `/v1/reconcile/${String(started.json()['id'])}`]);
    await cluster.converge(20_000);
    return (await eu.get(started.field('location') as string)).json<Run>();
  };

  test('202 with where its result will be; then what differed, what moved, and a certificate', async () => {
    await eu.post(`/v1/replication/${US}/pause`);
    await eu.put('/v1/c/demo/items/alice/cart', 'x');
    await cluster.converge(5_000);
    const run = await finished(await eu.post('/v1/reconcile', { peers: [US] }));
    expect(run).toMatchObject({ state: 'done', pairs: [{ peer: US, differing: 1, pushed: 1, equal: true, differingKeys: [{ collection: 'demo', pk: 'alice', sk: 'cart' }] }] });
    const { certificates } = (await eu.get('/v1/certificates')).json<{ certificates: { regions: string[]; digest: string }[] }>();
    expect(certificates[0]).toEqual(run.pairs[0]?.certificate);
    expect((await cluster.at(US).get('/v1/certificates')).json<{ certificates: unknown[] }>().certificates[0]).toEqual(certificates[0]);
    expect((await cluster.at(US).get('/v1/c/demo/items/alice/cart')).text).toBe('x');
  });

  test('without a body all peers; deep, and of one collection', async () => {
    expect((await finished(await eu.ask('POST', '/v1/reconcile'))).pairs.map(({ peer: id }) => id)).toEqual([AP, US]);
    expect((await finished(await eu.post('/v1/reconcile', { deep: true, collection: 'demo', peers: [AP] }))).state).toBe('done');
  });

  test('records of the system that differ are counted, not named', async () => {
    await eu.post(`/v1/replication/${US}/pause`);
    cluster.cut(EU, US);
    await eu.post('/v1/keys', { scopes: ['read'] });
    await cluster.converge(5_000);
    cluster.heal();
    const run = await finished(await eu.post('/v1/reconcile', { peers: [US] }));
    expect(run.pairs[0]).toMatchObject({ differing: 1, differingKeys: [{ collection: '_keys' }] });
    expect(Object.keys(run.pairs[0]?.differingKeys[0] as object)).toEqual(['collection']);
  });

  test('what is not understood is 400, what is not known 404', async () => {
    for (const body of ['{"peers":[]}', '{"peers":["mars-1"]}', '{"peers":["A B"]}', '{"deep":1}', '{"x":1}', '[]', '{']) expect((await eu.post('/v1/reconcile', body)).code).toBe('bad-request');
    expect((await eu.post('/v1/reconcile', { collection: 'nothing' })).code).toBe('collection-not-found');
    expect((await eu.get('/v1/reconcile/000000000000')).code).toBe('not-found');
  });
});

describe('keys', () => {
  interface Listed {
    readonly keys: readonly { readonly id: string; readonly scopes: readonly string[]; readonly collections: readonly string[]; readonly prefixes?: readonly string[]; readonly expires?: string }[];
  }

  test('made with the secret shown once, listed without it, revoked everywhere at once', async () => {
    const expires = new Date(cluster.clock.wallMs() + 60_000).toISOString();
    const made = await eu.post('/v1/keys', { scopes: ['read', 'write'], collections: ['demo'], prefixes: ['alice'], expires });
    const { id, key } = made.json<{ id: string; key: string }>();
    expect([made.status, made.field('location')]).toEqual([201, `/v1/keys/${id}`]);
    expect(key).toMatch(new RegExp(`^ak_${id}_[A-Za-z0-9_-]{32}$`));
    const listed = await eu.get('/v1/keys');
    expect(listed.json<Listed>().keys).toMatchObject([{ id, scopes: ['read', 'write'], collections: ['demo'], prefixes: ['alice'], expires }]);
    expect(listed.text).not.toContain(key.slice(key.lastIndexOf('_') + 1));
    expect(listed.text).not.toContain('hash');
    for (const region of cluster.regions) expect((await region.ask('GET', '/v1/c/demo/items/alice', { key })).status).toBe(404);
    expect((await cluster.at(AP).delete(`/v1/keys/${id}`)).status).toBe(204);
    for (const region of cluster.regions) expect((await region.ask('GET', '/v1/c/demo/items/alice', { key })).status).toBe(401);
    expect((await eu.delete(`/v1/keys/${id}`)).code).toBe('not-found');
    expect((await eu.get('/v1/keys')).json<Listed>().keys).toEqual([]);
  });

  test('what is not understood is 400', async () => {
    const bad = ['{}', '{"scopes":[]}', '{"scopes":["root"]}', '{"scopes":["read"],"collections":[]}', '{"scopes":["read"],"collections":["a*b"]}', '{"scopes":["read"],"collections":[""]}', '{"scopes":["read"],"prefixes":[]}', '{"scopes":["read"],"prefixes":[""]}', '{"scopes":["read"],"prefixes":["\\ud83d"]}', '{"scopes":["read"],"expires":"soon"}', '{"scopes":["read"],"secret":"x"}', '{"scopes":["read"],"scopes":["admin"]}', '{"scopes":["read"],"constructor":{}}'];
    const before = await eu.stored();
    for (const body of bad) expect((await eu.post('/v1/keys', body)).code).toBe('bad-request');
    expect(await eu.stored()).toBe(before);
  });

  test('the admin key of the process is no key of the list', async () => {
    expect((await eu.delete('/v1/keys/admin')).code).toBe('not-found');
  });
});

describe('health', () => {
  test('livez and readyz, without a key and without details', async () => {
    for (const target of ['/livez', '/readyz']) {
      const answer = await eu.ask('GET', target, { key: null });
      expect([answer.status, answer.text, answer.field('content-type')]).toEqual([200, 'ok\n', 'text/plain; charset=utf-8']);
    }
    await eu.region.stop();
    expect((await eu.ask('GET', '/livez', { key: null })).status).toBe(200);
    expect(await eu.ask('GET', '/readyz', { key: null })).toMatchObject({ status: 503, text: 'not ready\n' });
    expect((await eu.get('/v1/c/demo/items/a')).code).toBe('overloaded');
  });

  test('an unsafe clock: writes are 503 clock-unsafe with Retry-After, reads go on', async () => {
    await eu.put('/v1/c/demo/items/a', 'x');
    cluster.clock.stepWall(3_600_000);
    const put = await eu.put('/v1/c/demo/items/a', 'y');
    expect([put.status, put.code, put.field('retry-after'), put.json()]).toEqual([503, 'clock-unsafe', '1', expect.objectContaining({ retryable: true, region: EU })]);
    expect((await eu.delete('/v1/c/demo/items/a')).code).toBe('clock-unsafe');
    expect((await eu.put('/v1/c/new', {})).code).toBe('clock-unsafe');
    expect((await eu.post('/v1/keys', { scopes: ['read'] })).code).toBe('clock-unsafe');
    expect((await eu.get('/v1/c/demo/items/a')).text).toBe('x');
    await cluster.converge();
    expect((await eu.put('/v1/c/demo/items/a', 'y')).status).toBe(204);
  });

  test('with --no-auth a request without a key may do everything, but one with a wrong key nothing, and the system stays closed', async () => {
    const open = (await startCluster({ noAuth: true })).regions[0] as TestRegion;
    expect((await open.ask('PUT', '/v1/c/demo', { key: null, body: '{}' })).status).toBe(201);
    expect((await open.ask('PUT', '/v1/c/demo/items/a', { key: null, body: 'x' })).status).toBe(201);
    expect((await open.ask('POST', '/v1/c/demo/batch', { key: null, body: { operations: [{ op: 'get', pk: 'a' }] } })).json()).toMatchObject({ results: [{ status: 200 }] });
    expect((await open.ask('GET', '/v1/c/demo/items/a', { key: 'ak_x_00000000000000000000' })).status).toBe(401);
    expect((await open.ask('GET', '/v1/c/_keys/items/a', { key: null })).status).toBe(403);
  });
});

describe('metrics', () => {
  test('are OpenMetrics, and count', async () => {
    await eu.put('/v1/c/demo/items/a', 'x');
    await eu.get('/v1/c/demo/items/a');
    await cluster.converge();
    const answer = await eu.get('/metrics');
    expect(answer.field('content-type')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    const families = parseOpenMetrics(answer.text);
    const value = (family: string, labels: Record<string, string>): number | undefined => families.get(`archipel_${family}`)?.samples.find((sample) => JSON.stringify(sample.labels) === JSON.stringify(labels))?.value;
    expect(value('requests', { what: 'writes' })).toBeGreaterThan(0);
    expect(value('unreplicated_items', { peer: US })).toBe(0);
    expect(value('items', { collection: 'demo' })).toBe(1);
    expect(value('clock_safe', {})).toBe(1);
    for (const [name, { help }] of families) expect([name, help.length > 5]).toEqual([name, true]);
  });

  test('labels are escaped, and what is no number is NaN', () => {
    const text = renderMetrics([{ name: 'x', type: 'gauge', help: 'A thing.', samples: [{ labels: { a: 'say "hi"\\\n' }, value: Number.NaN }] }]);
    expect([...parseOpenMetrics(text).get('archipel_x')?.samples ?? []]).toEqual([{ name: 'archipel_x', labels: { a: 'say \\"hi\\"\\\\\\n' }, value: Number.NaN }]);
    expect(escapeLabel('a"b')).toBe('a\\"b');
  });

  test('the parser of these tests is strict', () => {
    const bad = ['', '# EOF', 'x 1\n# EOF\n', '# TYPE x gauge\nx 1\n', '# TYPE x gauge\nx  1\n# EOF\n', '# TYPE x gauge\nx one\n# EOF\n', '# TYPE x counter\nx 1\n# EOF\n', '# TYPE x counter\nx_total -1\n# EOF\n', '# TYPE x gauge\nx 1\nx 2\n# EOF\n', '# TYPE x gauge\nx{a="1",a="2"} 1\n# EOF\n', '# TYPE x gauge\nx{a="1" 1\n# EOF\n', '# TYPE x gauge\n# TYPE y gauge\nx 1\n# EOF\n', '# TYPE x gauge\n# TYPE x gauge\n# EOF\n', '# TYPE x gauge\n\nx 1\n# EOF\n', '# TYPE x_total counter\n# EOF\n'];
    for (const text of bad) expect(() => parseOpenMetrics(text), text).toThrow();
  });
});
