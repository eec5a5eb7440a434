// Who may: a table over the OpenAPI document, so that a new route is covered by itself. Every operation but the four
// public ones refuses everybody who is not meant, before it looks at anything else, and changes nothing.

import { beforeAll, describe, expect, test } from 'vitest';
import { toBase64Url, utf8 } from '../../src/core/bytes.ts';
import { operationsOf, type Named, type OpenApi } from './document.ts';
import { AP, EU, startCluster, type Answer, type TestRegion } from './harness.ts';

const PUBLIC = ['/docs', '/livez', '/openapi.json', '/readyz'];

/** Operations that show a key what it may see: the list of its collections, the policy of one, each entry of a batch. */
const OWN_COLLECTIONS = 'listCollections';
const OF_ANY_SCOPE = [OWN_COLLECTIONS, 'showCollection', 'batch'];
const OF_ANY_PREFIX = [OWN_COLLECTIONS, 'showCollection', 'batch'];

let eu: TestRegion;
let document: OpenApi;
let guarded: readonly Named[];
let lostId: string;

beforeAll(async () => {
  const cluster = await startCluster({ regions: [AP, EU] });
  eu = cluster.at(EU);
  await eu.collection('demo');
  await eu.collection('other');
  await eu.put('/v1/c/demo/items/alice/cart', '{}', { 'content-type': 'application/json' });
  // A lost write, for restore.
  cluster.cut(EU, AP);
  await eu.put('/v1/c/demo/items/alice', '1');
  await cluster.clock.advance(10);
  await cluster.at(AP).put('/v1/c/demo/items/alice', '2');
  cluster.heal();
  await cluster.converge(5_000);
  lostId = (await eu.get('/v1/c/demo/conflicts')).json<{ items: { id: string }[] }>().items[0]?.id as string;
  document = (await eu.send('GET', '/openapi.json')).json<OpenApi>();
  guarded = operationsOf(document).filter(({ path }) => !PUBLIC.includes(path));
});

interface Trial {
  readonly named: Named;
  readonly target: string;
  readonly scopes: readonly string[];
  readonly body: string | undefined;
}

/** A request of this operation that a key of everything could make. */
function trialOf(named: Named): Trial {
  const values: Readonly<Record<string, string>> = { collection: 'demo', pk: 'alice', sk: 'cart', id: lostId, peer: AP };
  const path = named.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? 'x');
  const needsPk = (named.operation.parameters ?? []).some((parameter) => parameter.in === 'query' && parameter.name === 'pk' && parameter.required === true);
  const scopes = named.operation.security.flatMap((requirement) => requirement['bearer'] ?? []);
  const body = named.operation.operationId === 'batch' ? '{"operations":[{"op":"put","pk":"alice","value":1},{"op":"get","pk":"alice"},{"op":"delete","pk":"alice"}]}' : named.operation.requestBody === undefined ? undefined : '{}';
  return { named, target: needsPk ? `${path}?pk=alice` : path, scopes, body };
}

const trials = (): Trial[] => guarded.map(trialOf);

const ask = ({ named, target, body }: Trial, key: string | null, headers: Record<string, string> = {}): Promise<Answer> =>
  eu.send(named.method, target, { key, headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers }, ...(body === undefined ? {} : { body }) });

/** What every one of these requests is answered; nothing is stored by any of them. */
async function refused(status: number, key: string | null, which: (trial: Trial) => boolean = () => true, headers: Record<string, string> = {}): Promise<number> {
  const before = await eu.stored();
  const answers: [string, number][] = [];
  for (const trial of trials().filter(which)) answers.push([trial.named.operation.operationId, (await ask(trial, key, headers)).status]);
  expect(answers).toEqual(answers.map(([operation]) => [operation, status]));
  expect(await eu.stored()).toBe(before);
  return answers.length;
}

test('all but four operations want a key, and say which scope', () => {
  const open = operationsOf(document).filter(({ operation }) => operation.security.length === 0);
  expect(open.map(({ path }) => path).sort()).toEqual(PUBLIC);
  for (const { path } of open) expect(path).not.toContain('/v1/');
  expect(guarded.length).toBeGreaterThan(30);
  for (const { operation } of guarded) for (const requirement of operation.security) expect([['read'], ['write'], ['admin']]).toContainEqual(requirement['bearer']);
});

test('a key of everything is let in everywhere', async () => {
  const everything = await eu.key(['read', 'write', 'admin']);
  for (const trial of trials().filter(({ named }) => named.method === 'GET')) expect([trial.named.operation.operationId, [401, 403].includes((await ask(trial, everything)).status)]).toEqual([trial.named.operation.operationId, false]);
});

describe('who may: 401', () => {
  test('no key', async () => {
    expect(await refused(401, null)).toBe(guarded.length);
  });

  test('a wrong key', async () => {
    const { adminKey } = eu;
    const last = adminKey.at(-1) === 'A' ? 'B' : 'A';
    for (const key of [adminKey.slice(0, -1) + last, adminKey.slice(0, -1), `${adminKey}A`, 'ak_admin_', 'ak_nobody_000000000000000000000000', '']) await refused(401, key);
  });

  const FORMS: readonly (readonly [string, (key: string) => string])[] = [
    ['no scheme', (key) => key],
    ['Basic', (key) => `Basic ${btoa(`${key}:`)}`],
    ['Token', (key) => `Token ${key}`],
    ['two keys', (key) => `Bearer ${key} ${key}`],
    ['a list', (key) => `Bearer ${key}, Bearer ${key}`],
    ['two spaces', (key) => `Bearer  ${key}`],
    ['quotes', (key) => `Bearer "${key}"`],
    ['upper case', (key) => `Bearer ${key.toUpperCase()}`],
    ['much else', (key) => `Bearer ${key}${'x'.repeat(5_000)}`],
  ];
  test.each(FORMS)('a key that is given wrongly: %s', async (_, form) => {
    await refused(401, null, () => true, { authorization: form(eu.adminKey) });
  });

  test('no key but in another place', async () => {
    for (const header of ['cookie', 'x-api-key', 'proxy-authorization', 'x-authorization']) await refused(401, null, ({ named }) => named.operation.operationId === 'readItem', { [header]: `Bearer ${eu.adminKey}` });
    expect((await eu.send('GET', `/v1/c/demo/items/alice?key=${eu.adminKey}&authorization=${eu.adminKey}`, { key: null })).status).toBe(401);
  });

  test('an expired key, from the moment on that it names', async () => {
    const key = await eu.key(['read', 'write', 'admin'], { expires: new Date(eu.clock.wallMs() + 1_000).toISOString() });
    await eu.clock.advance(999);
    expect((await eu.send('GET', '/v1/c', { key })).status).toBe(200);
    await eu.clock.advance(1);
    expect(await refused(401, key)).toBe(guarded.length);
  });

  test('a revoked key', async () => {
    const key = await eu.key(['read', 'write', 'admin']);
    expect((await eu.send('GET', '/v1/c', { key })).status).toBe(200);
    await eu.delete(`/v1/keys/${key.split('_')[1]}`);
    expect(await refused(401, key)).toBe(guarded.length);
  });

  test('the answer says how to do it, and the same for every key that is none', async () => {
    const [missing, wrong] = [await eu.send('GET', '/v1/c', { key: null }), await eu.send('GET', '/v1/c', { key: 'ak_admin_000000000000000000000000' })];
    for (const answer of [missing, wrong]) expect([answer.code, answer.field('www-authenticate'), answer.field('cache-control')]).toEqual(['unauthenticated', 'Bearer realm="archipel"', 'no-store']);
    const unknown = await eu.send('GET', '/v1/c', { key: 'ak_nobody_000000000000000000000000' });
    expect(unknown.json()['detail']).toBe(wrong.json()['detail']);
  });
});

describe('who may: 403', () => {
  test('of another scope: exactly the operations that want this one are open', async () => {
    for (const scope of ['read', 'write', 'admin']) {
      const key = await eu.key([scope]);
      const closed = await refused(403, key, ({ scopes }) => !scopes.includes(scope));
      expect(closed).toBeGreaterThan(10);
    }
    expect(trials().filter(({ scopes }) => scopes.length > 1).map(({ named }) => named.operation.operationId).sort()).toEqual([...OF_ANY_SCOPE].sort());
  });

  test('of another collection', async () => {
    for (const collections of [['other'], ['dem', 'demo2', 'demo.*', 'Demo'], ['_*', 'd']]) {
      await refused(403, await eu.key(['read', 'write', 'admin'], { collections }), ({ named }) => named.operation.operationId !== OWN_COLLECTIONS);
    }
    const key = await eu.key(['read', 'write', 'admin'], { collections: ['oth*'] });
    const own = (await eu.send('GET', '/v1/c', { key })).json<{ collections: { name: string }[] }>();
    expect(own.collections.map(({ name }) => name)).toEqual(['other']);
    for (const allowed of ['GET /v1/c/other', 'GET /v1/c/other/scan', 'GET /v1/c/other/dump', 'GET /v1/c/other/conflicts']) expect((await eu.send(...(allowed.split(' ') as [string, string]), { key })).status).toBe(200);
  });

  test('of another key prefix', async () => {
    for (const prefixes of [['bob'], ['alicE', 'alice2', 'lice'], ['\u00e1lice']]) {
      const key = await eu.key(['read', 'write', 'admin'], { prefixes });
      await refused(403, key, ({ named }) => !OF_ANY_PREFIX.includes(named.operation.operationId));
      const before = await eu.stored();
      const [batch] = trials().filter(({ named }) => named.operation.operationId === 'batch');
      const results = (await ask(batch as Trial, key)).json<{ results: { status: number }[] }>().results;
      expect(results.map(({ status }) => status)).toEqual([403, 403, 403]);
      expect(await eu.stored()).toBe(before);
    }
  });

  test('of its own key prefix: the items, their ranges and reasons, and nothing of all items', async () => {
    const key = await eu.key(['read', 'write', 'admin'], { collections: ['demo'], prefixes: ['ali', 'x/'] });
    const status = async (method: string, target: string, body?: string): Promise<number> => (await eu.send(method, target, { key, ...(body === undefined ? {} : { body }) })).status;
    expect(await status('PUT', '/v1/c/demo/items/alix', 'x')).toBe(201);
    expect(await status('PUT', '/v1/c/demo/items/x%2Fy', 'x')).toBe(201);
    expect(await status('GET', `/v1/c/demo/items?pk=${toBase64Url(utf8('alix'))}&keys=base64url`)).toBe(200);
    expect(await status('GET', '/v1/c/demo/ranges/alix')).toBe(200);
    expect(await status('GET', '/v1/c/demo/explain/alix')).toBe(200);
    expect(await status('DELETE', '/v1/c/demo/items/alix')).toBe(204);
    expect(await status('POST', `/v1/c/demo/conflicts/${lostId}/restore`)).toBe(200);
    for (const other of ['al', 'xy', 'x', 'ALI']) expect(await status('GET', `/v1/c/demo/items/${other}`)).toBe(403);
    expect(await status('GET', `/v1/c/demo/items?pk=${toBase64Url(Uint8Array.of(0x61, 0x6c, 0x69, 0xff))}&keys=base64url`)).toBe(403);
    for (const list of ['scan', 'dump', 'conflicts']) expect(await status('GET', `/v1/c/demo/${list}`)).toBe(403);
  });

  test('an admin of one collection cannot make itself one of all', async () => {
    const key = await eu.key(['read', 'write', 'admin'], { collections: ['demo'] });
    for (const [method, target] of [['POST', '/v1/keys'], ['GET', '/v1/keys'], ['POST', '/v1/reconcile'], ['GET', '/v1/replication'], ['GET', '/metrics'], ['POST', `/v1/replication/${AP}/pause`]] as const) {
      expect((await eu.send(method, target, { key, ...(method === 'POST' ? { body: { scopes: ['admin'] } } : {}) })).status).toBe(403);
    }
    const prefixed = await eu.key(['admin'], { prefixes: ['a'] });
    expect((await eu.send('POST', '/v1/keys', { key: prefixed, body: { scopes: ['admin'] } })).status).toBe(403);
  });
});

describe('who may: what a refusal tells', () => {
  test('nothing of what exists: the answers for what is there and what is not are the same', async () => {
    const keys = { other: await eu.key(['read', 'write'], { collections: ['other'] }), prefix: await eu.key(['read', 'write'], { prefixes: ['bob'] }), scope: await eu.key(['write']) };
    const pairs: readonly (readonly [keyof typeof keys, string, string])[] = [
      ['other', '/v1/c/demo/items/alice', '/v1/c/nothing/items/alice'],
      ['other', '/v1/c/demo/scan', '/v1/c/nothing/scan'],
      ['other', '/v1/c/demo', '/v1/c/nothing'],
      ['prefix', '/v1/c/demo/items/alice/cart', '/v1/c/demo/items/alice/nothing'],
      ['prefix', '/v1/c/demo/items/alice', '/v1/c/nothing/items/alice'],
      ['prefix', '/v1/c/demo/ranges/alice', '/v1/c/nothing/ranges/alice'],
      ['scope', '/v1/c/demo/items/alice', '/v1/c/nothing/items/nothing'],
      ['scope', '/v1/c/demo/conflicts', '/v1/c/nothing/conflicts?x=1'],
    ];
    for (const [which, there, missing] of pairs) {
      const answers = await Promise.all([there, missing].map((target) => eu.send('GET', target, { key: keys[which] })));
      expect([which, there, ...answers.map(({ status }) => status)]).toEqual([which, there, 403, 403]);
      const [a, b] = answers.map((answer) => ({ ...answer.json(), instance: '', detail: String(answer.json()['detail']).replace(/demo|nothing/, '*') }));
      expect(a).toEqual(b);
    }
    const restores = await Promise.all([lostId, '0'.repeat(24)].map((id) => eu.send('POST', `/v1/c/demo/conflicts/${id}/restore`, { key: keys.prefix })));
    expect(restores.map(({ status }) => status)).toEqual([403, 403]);
  });

  test('it comes before the body is read, and before what is wrong with the request', async () => {
    const reader = await eu.key(['read']);
    let pulled = 0;
    const body = new ReadableStream<Uint8Array>({ pull: (controller) => { pulled++; controller.enqueue(new Uint8Array(1_000)); } }, { highWaterMark: 0 });
    for (const trial of trials().filter(({ body: sent }) => sent !== undefined)) {
      for (const key of [null, reader]) {
        if (key === reader && trial.scopes.includes('read')) continue;
        const answer = await ask({ ...trial, target: `${trial.target}${trial.target.includes('?') ? '&' : '?'}nonsense=1`, body: '{{{' }, key, { 'content-type': 'text/nonsense', consistency: 'strong', 'if-match': 'nonsense' });
        expect([trial.named.operation.operationId, answer.status]).toEqual([trial.named.operation.operationId, key === null ? 401 : 403]);
      }
    }
    const request = new Request('http://region/', { method: 'PUT', headers: { authorization: `Bearer ${reader}` }, body, duplex: 'half' });
    expect((await eu.app.fetch(request, { rawTarget: '/v1/c/demo/items/alice' })).status).toBe(403);
    expect(pulled).toBe(0);
  });
});

describe('who may: the collections of the system', () => {
  const SYSTEM = ['_keys', '_collections', '%5Fkeys', '%5fkeys', '_keys%00', '_', '_nothing'];
  /** Ids of keys and names of collections are what is stored there. */
  const secrets = async (): Promise<string[]> => ['hash', 'createdMs', ...(await eu.get('/v1/keys')).json<{ keys: { id: string }[] }>().keys.map(({ id }) => id)];

  test('no key reads or writes them by any road; an admin of everything may dump them', async () => {
    const everything = await eu.key(['read', 'write', 'admin']);
    const reader = await eu.key(['read'], { collections: ['*', '_*', '_keys'] });
    const [id] = (await secrets()).slice(2);
    const before = await eu.stored();
    const words = await secrets();
    for (const key of [reader, everything, eu.adminKey]) {
      for (const name of SYSTEM) {
        const roads: readonly (readonly [string, string, string?])[] = [
          ['GET', `/v1/c/${name}/items/${id}`],
          ['HEAD', `/v1/c/${name}/items/${id}`],
          ['GET', `/v1/c/${name}/items?pk=${id}`],
          ['GET', `/v1/c/${name}/items?pk=${toBase64Url(utf8(id as string))}&keys=base64url`],
          ['GET', `/v1/c/${name}/ranges/${id}`],
          ['GET', `/v1/c/${name}/ranges?pk=${id}`],
          ['GET', `/v1/c/${name}/scan`],
          ['GET', `/v1/c/${name}/explain/${id}`],
          ['GET', `/v1/c/${name}/explain?pk=${id}`],
          ['GET', `/v1/c/${name}/conflicts`],
          ['GET', `/v1/c/${name}/conflicts?state=siblings`],
          ['GET', `/v1/c/${name}`],
          ['PUT', `/v1/c/${name}`, '{}'],
          ['PATCH', `/v1/c/${name}`, '{}'],
          ['PUT', `/v1/c/${name}/items/${id}`, 'x'],
          ['DELETE', `/v1/c/${name}/items/${id}`],
          ['PATCH', `/v1/c/${name}/items/${id}`, '{}'],
          ['POST', `/v1/c/${name}/batch`, `{"operations":[{"op":"get","pk":"${id}"}]}`],
          ['POST', `/v1/c/${name}/conflicts/${lostId}/restore`],
        ];
        for (const [method, target, body] of roads) {
          const answer = await eu.send(method, target, { key, headers: { 'content-type': 'application/json' }, ...(body === undefined ? {} : { body }) });
          expect([method, target, answer.status]).toEqual([method, target, 403]);
          for (const word of words) expect(answer.text.replace(id as string, '')).not.toContain(word);
        }
        if (key === reader) expect((await eu.send('GET', `/v1/c/${name}/dump`, { key })).status).toBe(403);
      }
    }
    expect(await eu.stored()).toBe(before);
    const admin = await eu.key(['admin'], { collections: ['demo', '_*'] });
    expect((await eu.send('GET', '/v1/c/_keys/dump', { key: admin })).status).toBe(403);
    expect((await eu.send('GET', '/v1/c/_keys/dump', { key: await eu.key(['admin'], { prefixes: ['a'] }) })).status).toBe(403);
    expect((await eu.send('GET', '/v1/c/_keys/dump', { key: everything })).status).toBe(200);
  });

  test('a read key of the whole store sees neither ids of keys nor hashes anywhere', async () => {
    const reader = await eu.key(['read']);
    const words = await secrets();
    for (const trial of trials().filter(({ named, scopes }) => named.method === 'GET' && scopes.includes('read'))) {
      const { text } = await ask(trial, reader);
      for (const word of words) expect([trial.named.operation.operationId, text.includes(word)]).toEqual([trial.named.operation.operationId, false]);
    }
  });
});
