// One item, line by line of the contract.

import { beforeEach, describe, expect, test } from 'vitest';
import { toBase64Url, utf8 } from '../../src/core/bytes.ts';
import { CONTENT_TYPE_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, ITEM_BYTES_MAX, JSON_DEPTH_MAX, PK_BYTES_MAX, SK_BYTES_MAX, VALUE_BYTES_HARD_MAX } from '../../src/core/limits.ts';
import { EU, startRegion, type Answer, type TestRegion } from './harness.ts';

let eu: TestRegion;
beforeEach(async () => {
  eu = await startRegion();
});

const ITEM = '/v1/c/demo/items/alice';
const TEXT = { 'content-type': 'text/plain' };
const base64url = (text: string | Uint8Array): string => toBase64Url(typeof text === 'string' ? utf8(text) : text);

describe('items: reading and writing', () => {
  test('PUT creates with 201 and Location, replaces with 204; GET gives content type and bytes as they came', async () => {
    const created = await eu.put(ITEM, '{"a": 1}', { 'content-type': 'application/json; charset=utf-8' });
    expect(created.status).toBe(201);
    expect(created.field('location')).toBe(ITEM);
    expect(created.field('write-outcome')).toBe('stored');
    const replaced = await eu.put(ITEM, '{"a":  2}', { 'content-type': 'application/vnd.thing+json' });
    expect([replaced.status, replaced.text, replaced.field('location')]).toEqual([204, '', undefined]);

    const got = await eu.get(ITEM);
    expect([got.status, got.text, got.field('content-type')]).toEqual([200, '{"a":  2}', 'application/vnd.thing+json']);
    expect(got.field('etag')).toBe(replaced.field('etag'));
    expect(got.field('etag')).not.toBe(created.field('etag'));
    expect(got.field('causal-context')).toBe(replaced.field('causal-context'));
  });

  test('every answer tells who served it, who wrote it and how old it is', async () => {
    await eu.put(ITEM, 'x');
    await eu.clock.advance(140);
    const got = await eu.get(ITEM);
    expect(got.field('served-by')).toBe(`${EU}; origin=${EU}; age-ms=140`);
    expect(got.field('server-timing')).toMatch(/^total;dur=[0-9]+\.[0-9]{2}$/);
    const missing = await eu.get('/v1/c/demo/items/nobody');
    expect(missing.field('served-by')).toBe(EU);
    expect(missing.field('server-timing')).toMatch(/^total;dur=/);
  });

  test('any bytes are kept, also none; without a Content-Type they are application/octet-stream', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    await eu.put(ITEM, bytes);
    const got = await eu.get(ITEM);
    expect([...got.bytes]).toEqual([...bytes]);
    expect(got.field('content-type')).toBe('application/octet-stream');
    expect((await eu.put('/v1/c/demo/items/empty', '')).status).toBe(201);
    expect((await eu.get('/v1/c/demo/items/empty')).bytes).toHaveLength(0);
  });

  test('HEAD is GET without the body', async () => {
    await eu.put(ITEM, 'hello', TEXT);
    const [head, get] = [await eu.ask('HEAD', ITEM), await eu.get(ITEM)];
    expect([head.status, head.bytes.length]).toEqual([200, 0]);
    for (const name of ['etag', 'content-type', 'causal-context', 'served-by']) expect(head.field(name)).toBe(get.field(name));
    expect((await eu.ask('HEAD', '/v1/c/demo/items/nobody')).status).toBe(404);
  });

  test('DELETE answers 204 and then 404 with a context; what is not there is 404 and writes nothing', async () => {
    await eu.put(ITEM, 'x');
    const before = await eu.stored();
    expect((await eu.delete('/v1/c/demo/items/nobody')).code).toBe('not-found');
    expect(await eu.stored()).toBe(before);
    const deleted = await eu.delete(ITEM);
    expect([deleted.status, deleted.field('write-outcome'), deleted.field('etag')]).toEqual([204, 'stored', undefined]);
    const gone = await eu.get(ITEM);
    expect([gone.status, gone.code]).toEqual([404, 'not-found']);
    expect(gone.field('causal-context')).toBe(deleted.field('causal-context'));
    expect((await eu.get('/v1/c/demo/items/nobody')).field('causal-context')).toBeUndefined();
    expect((await eu.delete(ITEM)).status).toBe(404);
    expect((await eu.put(ITEM, 'again')).status).toBe(201);
  });

  test('a collection that is not known is 404, a name of the system 403', async () => {
    expect((await eu.get('/v1/c/nothing/items/a')).code).toBe('collection-not-found');
    expect((await eu.put('/v1/c/nothing/items/a', 'x')).code).toBe('collection-not-found');
    expect((await eu.get('/v1/c/_keys/items/a')).code).toBe('forbidden');
  });

  test('a method that an item does not have is 405 with Allow', async () => {
    const answer = await eu.send('POST', ITEM, { body: 'x' });
    expect([answer.status, answer.code, answer.field('allow')]).toEqual([405, 'method-not-allowed', 'GET, HEAD, PUT, PATCH, DELETE']);
  });
});

describe('items: names', () => {
  const FORMS: readonly (readonly [string, string, string])[] = [
    ['text', '/v1/c/demo/items/a%20b/c%2Fd', `/v1/c/demo/items?pk=a%20b&sk=c%2Fd`],
    ['beyond ASCII', `/v1/c/demo/items/${encodeURIComponent('Zürich 🇨🇭')}`, `/v1/c/demo/items?pk=${encodeURIComponent('Zürich 🇨🇭')}`],
    ['a NUL', '/v1/c/demo/items/%00', '/v1/c/demo/items?pk=%00&keys=text'],
    ['a percent sign that was encoded', '/v1/c/demo/items/%25zz', '/v1/c/demo/items?pk=%25zz'],
    ['what URLs allow as it is', "/v1/c/demo/items/a+b;c=d@e!$&'()*,:~", "/v1/c/demo/items?pk=a%2Bb;c%3Dd@e!$%26'()*,:~"],
  ];

  test.each(FORMS)('%s: path, query and base64url name the same item', async (_, path, query) => {
    const put = await eu.put(path, 'x');
    expect(put.status).toBe(201);
    expect((await eu.get(query)).text).toBe('x');
    const [pk = '', sk] = path.slice('/v1/c/demo/items/'.length).split('/').map(decodeURIComponent);
    const encoded = `/v1/c/demo/items?pk=${base64url(pk)}${sk === undefined ? '' : `&sk=${base64url(sk)}`}&keys=base64url`;
    expect((await eu.get(encoded)).text).toBe('x');
    expect((await eu.get(put.field('location') as string)).text).toBe('x');
  });

  test('names that cannot travel in a path travel in base64url, and Location uses it', async () => {
    for (const name of [utf8('.'), utf8('..'), Uint8Array.of(0xff), Uint8Array.of(0xc3), utf8('plain')]) {
      const target = `/v1/c/demo/items?pk=${base64url(name)}&sk=${base64url(name)}&keys=base64url`;
      const put = await eu.put(target, name);
      expect(put.status).toBe(201);
      expect([...(await eu.get(put.field('location') as string)).bytes]).toEqual([...name]);
    }
    expect((await eu.get('/v1/c/demo/items/plain/plain')).text).toBe('plain');
  });

  test('nothing is normalised: names that look alike are different items', async () => {
    const names = ['a', 'A', 'a%20', '%20a', 'a%2F', 'a%252F', 'a%00', encodeURIComponent('\u00e9'), encodeURIComponent('e\u0301'), '%2e%2e%2e', 'a+b', 'a%20b'];
    for (const [at, name] of names.entries()) expect((await eu.put(`/v1/c/demo/items/${name}`, String(at))).status).toBe(201);
    for (const [at, name] of names.entries()) expect((await eu.get(`/v1/c/demo/items/${name}`)).text).toBe(String(at));
    expect((await eu.get('/v1/c/demo/items/a')).text).toBe((await eu.get('/v1/c/demo/items/%61')).text);
  });

  test.each(['%', '%2', '%zz', 'a%', '%ff', '%c3', '%c0%af', '%e0%80%af', '%ed%a0%80', '%f4%90%80%80', '.', '..', '%2e', '%2E%2e', '.%2e', '', 'a/', '/a', 'a//b', 'a/b/c', 'a#b', 'a\\b', 'a b', 'é'])(
    'a path that names no key, %j, is 400',
    async (rest) => {
      const answer = await eu.send('PUT', `/v1/c/demo/items/${rest}`, { body: 'x' });
      expect([answer.status, answer.code]).toEqual([400, 'key-invalid']);
    },
  );

  test.each(['', '?pk=', '?sk=a', '?pk=%zz', '?pk=YQ==&keys=base64url', '?pk=YR&keys=base64url', '?pk=a b&keys=base64url', '?pk=&keys=base64url', '?pk=a%ff'])('a query that names no key, %j, is 400', async (query) => {
    const answer = await eu.send('GET', `/v1/c/demo/items${query}`);
    expect([answer.status, answer.code]).toEqual([400, 'key-invalid']);
  });

  test.each(['?pk=a&pk=b', '?pk=a&x=1', '?pk=a&keys=hex', '?pk=a&%zz=1'])('a query that is not understood, %j, is 400', async (query) => {
    const answer = await eu.send('GET', `/v1/c/demo/items${query}`);
    expect([answer.status, answer.code]).toEqual([400, 'bad-request']);
  });

  test('a name in the path takes no other from the query', async () => {
    expect((await eu.send('GET', '/v1/c/demo/items/a?pk=b')).code).toBe('bad-request');
    expect((await eu.send('PUT', '/v1/c/demo/items/a?sk=b', { body: 'x' })).code).toBe('bad-request');
    await eu.put('/v1/c/demo/items/a', 'x');
    expect((await eu.get('/v1/c/demo/items/a?lat=50&lon=8')).status).toBe(200);
  });

  test('lengths at their edge: pk 512, sk 400, then 414', async () => {
    const [pk, sk] = ['p'.repeat(PK_BYTES_MAX), 's'.repeat(SK_BYTES_MAX)];
    expect((await eu.put(`/v1/c/demo/items/${pk}/${sk}`, 'x')).status).toBe(201);
    expect((await eu.get(`/v1/c/demo/items/${pk}/${sk}`)).text).toBe('x');
    for (const target of [`${pk}p`, `a/${sk}s`, `${'%C3%A9'.repeat(PK_BYTES_MAX / 2)}a`]) {
      expect(await eu.put(`/v1/c/demo/items/${target}`, 'x')).toMatchObject({ status: 414, code: 'key-too-long' });
      expect((await eu.get(`/v1/c/demo/items/${target}`)).status).toBe(414);
    }
  });
});

describe('items: sizes', () => {
  test('key and value together at their edge: 10 KiB, then 413', async () => {
    const name = 'four';
    expect((await eu.put(`/v1/c/demo/items/${name}`, new Uint8Array(ITEM_BYTES_MAX - name.length))).status).toBe(201);
    expect(await eu.put(`/v1/c/demo/items/${name}`, new Uint8Array(ITEM_BYTES_MAX - name.length + 1))).toMatchObject({ status: 413, code: 'too-large' });
    expect((await eu.put(`/v1/c/demo/items/${name}/sk`, new Uint8Array(ITEM_BYTES_MAX - name.length - 1))).status).toBe(413);
  });

  test('an lww collection may raise it up to 256 KiB; nothing larger is read', async () => {
    await eu.collection('large', { maxValueBytes: VALUE_BYTES_HARD_MAX });
    expect((await eu.put('/v1/c/large/items/a', new Uint8Array(VALUE_BYTES_HARD_MAX - 1))).status).toBe(201);
    expect((await eu.put('/v1/c/large/items/a', new Uint8Array(VALUE_BYTES_HARD_MAX))).status).toBe(413);
    expect((await eu.put('/v1/c/large/items/a', new Uint8Array(VALUE_BYTES_HARD_MAX + 1))).status).toBe(413);
    // Neither the declared length nor the lack of one is trusted.
    expect((await eu.send('PUT', '/v1/c/large/items/a', { body: new Uint8Array(VALUE_BYTES_HARD_MAX + 1), headers: { 'content-length': '5' } })).status).toBe(413);
    expect((await eu.send('PUT', '/v1/c/large/items/a', { body: 'x', headers: { 'content-length': 'many' } })).status).toBe(400);
  });

  test('JSON is refused when it is not: bad, not UTF-8, nested deeper than 64', async () => {
    const json = { 'content-type': 'application/json' };
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    for (const body of ['{', '', '{"a":1}}', "{'a':1}", 'NaN', '\u{feff}1', new Uint8Array([0x22, 0xff, 0x22]), nested(JSON_DEPTH_MAX + 1)]) {
      expect(await eu.put(ITEM, body, json)).toMatchObject({ status: 400, code: 'bad-request' });
    }
    expect((await eu.put(ITEM, nested(JSON_DEPTH_MAX), json)).status).toBe(201);
    expect((await eu.put(ITEM, '"' + '['.repeat(100) + '\\""', json)).status).toBe(204);
    expect((await eu.put(ITEM, '{', TEXT)).status).toBe(204);
  });

  test('bytes that stand for others are refused: a coding, a part', async () => {
    expect(await eu.put(ITEM, 'x', { 'content-encoding': 'gzip' })).toMatchObject({ status: 415, code: 'unsupported-media-type' });
    expect(await eu.put(ITEM, 'x', { 'content-range': 'bytes 0-0/5' })).toMatchObject({ status: 400, code: 'bad-request' });
    expect((await eu.put(ITEM, 'x', { 'content-encoding': 'identity' })).status).toBe(201);
  });

  test('a content type has at most 255 printable characters', async () => {
    expect((await eu.put(ITEM, 'x', { 'content-type': `text/${'x'.repeat(CONTENT_TYPE_BYTES_MAX - 5)}` })).status).toBe(201);
    expect((await eu.put(ITEM, 'x', { 'content-type': `text/${'x'.repeat(CONTENT_TYPE_BYTES_MAX - 4)}` })).status).toBe(400);
    expect((await eu.put(ITEM, 'x', { 'content-type': 'text/\u00e9' })).status).toBe(400);
  });
});

describe('items: conditions', () => {
  let tag: string;
  beforeEach(async () => {
    tag = (await eu.put(ITEM, 'one', TEXT)).field('etag') as string;
  });

  test('If-None-Match of a read: 304 with the fields and without a body', async () => {
    for (const known of [tag, `W/${tag}`, `"x", ${tag}`, '*']) {
      const answer = await eu.get(ITEM, { 'if-none-match': known });
      expect([answer.status, answer.bytes.length, answer.field('etag')]).toEqual([304, 0, tag]);
      expect(answer.field('causal-context')).toBeDefined();
    }
    expect((await eu.get(ITEM, { 'if-none-match': '"x"' })).status).toBe(200);
    await eu.put(ITEM, 'two', TEXT);
    expect((await eu.get(ITEM, { 'if-none-match': tag })).text).toBe('two');
  });

  test('If-Match: compare and set, 412 names the tag and the region that judged', async () => {
    expect((await eu.put(ITEM, 'two', { 'if-match': tag })).status).toBe(204);
    const refused = await eu.put(ITEM, 'three', { 'if-match': tag });
    const current = (await eu.get(ITEM)).field('etag');
    expect([refused.status, refused.code, refused.field('etag')]).toEqual([412, 'precondition-failed', current]);
    expect(refused.field('served-by')).toMatch(new RegExp(`^${EU}; origin=${EU}`));
    expect((await eu.get(ITEM)).text).toBe('two');
    expect((await eu.delete(ITEM, { 'if-match': tag })).status).toBe(412);
    expect((await eu.delete(ITEM, { 'if-match': `"other", ${current}` })).status).toBe(204);
  });

  test('If-Match is compared strongly, may name any version with *, and holds for reads as well', async () => {
    expect((await eu.put(ITEM, 'two', { 'if-match': `W/${tag}` })).status).toBe(412);
    expect((await eu.get(ITEM, { 'if-match': tag })).status).toBe(200);
    expect((await eu.get(ITEM, { 'if-match': '"x"' })).status).toBe(412);
    expect((await eu.put(ITEM, 'two', { 'if-match': '*' })).status).toBe(204);
    expect((await eu.put('/v1/c/demo/items/nobody', 'x', { 'if-match': '*' })).status).toBe(412);
  });

  test('If-None-Match of a write: create only, or not over this version', async () => {
    expect((await eu.put(ITEM, 'two', { 'if-none-match': '*' })).status).toBe(412);
    expect((await eu.put('/v1/c/demo/items/bob', 'x', { 'if-none-match': '*' })).status).toBe(201);
    expect((await eu.put(ITEM, 'two', { 'if-none-match': tag })).status).toBe(412);
    expect((await eu.put(ITEM, 'two', { 'if-none-match': `W/${tag}` })).status).toBe(412);
    expect((await eu.put(ITEM, 'two', { 'if-none-match': '"x"' })).status).toBe(204);
  });

  test.each(['', 'x', '"x', 'x"', '"a" "b"', '"a",', '*, "a"', 'w/"a"', '"a"b"'])('a tag that is none, %j, is 400', async (field) => {
    expect((await eu.put(ITEM, 'x', { 'if-match': field })).code).toBe('bad-request');
    expect((await eu.get(ITEM, { 'if-none-match': field })).code).toBe('bad-request');
  });

  test('a deleted or expired item has no tag', async () => {
    await eu.delete(ITEM);
    expect((await eu.put(ITEM, 'x', { 'if-match': tag })).status).toBe(412);
    expect((await eu.put(ITEM, 'x', { 'if-none-match': '*', 'item-ttl': '1' })).status).toBe(201);
    await eu.clock.advance(1_000);
    expect((await eu.put(ITEM, 'x', { 'if-none-match': '*' })).status).toBe(201);
  });
});

describe('items: context', () => {
  test('requireContext: a write on an existing item brings a context or a condition, else 428', async () => {
    await eu.collection('careful', { requireContext: true });
    const item = '/v1/c/careful/items/a';
    const first = await eu.put(item, 'one');
    expect(first.status).toBe(201);
    expect(await eu.put(item, 'two')).toMatchObject({ status: 428, code: 'context-required' });
    expect((await eu.delete(item)).status).toBe(428);
    expect((await eu.put(item, 'two', { 'causal-context': first.field('causal-context') as string })).status).toBe(204);
    expect((await eu.put(item, 'three', { 'if-match': '*' })).status).toBe(204);
    expect((await eu.delete(item, { 'if-match': '*' })).status).toBe(204);
  });

  test("another item's context, a forged or a broken one is 400 and changes nothing", async () => {
    const token = (await eu.put(ITEM, 'x')).field('causal-context') as string;
    const other = (await eu.put('/v1/c/demo/items/bob', 'x')).field('causal-context') as string;
    const sameNameElsewhere = (await eu.put('/v1/c/carts/items/alice', 'x')).field('causal-context') as string;
    const before = await eu.stored();
    const flipped = (at: number): string => token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
    for (const context of [other, sameNameElsewhere, '', 'x', 'AQAB', token.slice(1), token.slice(0, -1), `${token}A`, `${token}=`, flipped(0), flipped(9), flipped(token.length - 2), 'A'.repeat(9_000)]) {
      expect(await eu.put(ITEM, 'y', { 'causal-context': context })).toMatchObject({ status: 400, code: 'context-invalid' });
      expect((await eu.delete(ITEM, { 'causal-context': context })).status).toBe(400);
    }
    expect(await eu.stored()).toBe(before);
  });
});

describe('items: expiry', () => {
  test('Item-TTL: Sunset tells when, then it is gone', async () => {
    const put = await eu.put(ITEM, 'x', { 'item-ttl': '3600' });
    const sunset = new Date(eu.clock.wallMs() + 3_600_000).toUTCString();
    expect([put.field('sunset'), (await eu.get(ITEM)).field('sunset')]).toEqual([sunset, sunset]);
    await eu.clock.advance(3_599_000);
    expect((await eu.get(ITEM)).status).toBe(200);
    await eu.clock.advance(1_000);
    expect((await eu.get(ITEM)).code).toBe('not-found');
    expect((await eu.delete(ITEM)).status).toBe(404);
    expect((await eu.put(ITEM, 'y')).status).toBe(201);
    expect((await eu.get(ITEM)).field('sunset')).toBeUndefined();
  });

  test("the collection's time to live is for items that bring none", async () => {
    await eu.collection('brief', { ttlSeconds: 60 });
    await eu.put('/v1/c/brief/items/a', 'x');
    await eu.put('/v1/c/brief/items/b', 'x', { 'item-ttl': '120' });
    await eu.clock.advance(60_000);
    expect([(await eu.get('/v1/c/brief/items/a')).status, (await eu.get('/v1/c/brief/items/b')).status]).toEqual([404, 200]);
  });

  test.each(['0', '-1', '1.5', 'soon', '', '315360001', '1e3', '999999999999'])('Item-TTL: %j is 400', async (ttl) => {
    expect((await eu.put(ITEM, 'x', { 'item-ttl': ttl })).code).toBe('bad-request');
  });

  test('Item-TTL at its edge: ten years', async () => {
    expect((await eu.put(ITEM, 'x', { 'item-ttl': '315360000' })).status).toBe(201);
  });
});

describe('items: operations', () => {
  const key = { 'idempotency-key': '01890a5d-ac96-774b-bcce-b302099a8057' };

  test('a retry is a duplicate with the first tag, also after another write and under a condition that no longer holds', async () => {
    const first = await eu.put(ITEM, 'one', key);
    const again = await eu.put(ITEM, 'one', key);
    expect([again.status, again.field('write-outcome'), again.field('etag')]).toEqual([204, 'duplicate', first.field('etag')]);
    await eu.put(ITEM, 'two');
    const late = await eu.put(ITEM, 'one', { ...key, 'if-none-match': '*' });
    expect([late.field('write-outcome'), late.field('etag')]).toEqual(['duplicate', first.field('etag')]);
    expect((await eu.get(ITEM)).text).toBe('two');
  });

  test('a retried DELETE is a duplicate, not 404', async () => {
    await eu.put(ITEM, 'one');
    expect((await eu.delete(ITEM, key)).field('write-outcome')).toBe('stored');
    const again = await eu.delete(ITEM, key);
    expect([again.status, again.field('write-outcome')]).toEqual([204, 'duplicate']);
  });

  test('the same key with another request is 422', async () => {
    await eu.put(ITEM, 'one', key);
    for (const other of [eu.put(ITEM, 'two', key), eu.delete(ITEM, key), eu.put(ITEM, 'one', { ...key, 'item-ttl': '5' }), eu.put(ITEM, 'one', { ...key, ...TEXT })]) {
      expect(await other).toMatchObject({ status: 422, code: 'idempotency-key-reused' });
    }
    expect((await eu.get(ITEM)).text).toBe('one');
    expect((await eu.put('/v1/c/demo/items/bob', 'two', key)).status).toBe(201);
  });

  test('the key is bare or a quoted string, 1 to 255 printable characters', async () => {
    await eu.put(ITEM, 'one', { 'idempotency-key': '"abc"' });
    expect((await eu.put(ITEM, 'one', { 'idempotency-key': 'abc' })).field('write-outcome')).toBe('duplicate');
    expect((await eu.put(ITEM, 'one', { 'idempotency-key': 'k'.repeat(IDEMPOTENCY_KEY_BYTES_MAX) })).status).toBe(204);
    for (const bad of ['', '""', 'a b', 'é', 'k'.repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1)]) expect((await eu.put(ITEM, 'one', { 'idempotency-key': bad })).code).toBe('bad-request');
  });

  test('a retry that is older than what is remembered: superseded in the ledger under lww, 409 under siblings or a condition', async () => {
    const uuid = (at: number): string => `${(eu.clock.wallMs() + at).toString(16).padStart(12, '0').replace(/^(.{8})/, '$1-')}-7000-8000-000000000000`;
    const old = { 'idempotency-key': uuid(-5_000) };
    for (const collection of ['demo', 'carts']) {
      for (let at = 0; at < 10; at++) {
        await eu.clock.advance(10);
        const context = (await eu.get(`/v1/c/${collection}/items/busy`)).field('causal-context');
        await eu.put(`/v1/c/${collection}/items/busy`, String(at), { 'idempotency-key': uuid(0), ...(context === undefined ? {} : { 'causal-context': context }) });
      }
    }
    const late = await eu.put('/v1/c/demo/items/busy', 'late', old);
    expect([late.status, late.field('write-outcome'), late.field('etag'), late.field('causal-context')]).toEqual([204, 'superseded', undefined, undefined]);
    expect((await eu.get('/v1/c/demo/items/busy')).text).toBe('9');
    expect((await eu.get('/v1/c/demo/conflicts')).json<{ items: { rule: string }[] }>().items.map(({ rule }) => rule)).toEqual(['late-operation']);
    expect(await eu.put('/v1/c/demo/items/busy', 'late', { ...old, 'if-match': '*' })).toMatchObject({ status: 409, code: 'operation-expired' });
    expect((await eu.put('/v1/c/carts/items/busy', 'late', old)).code).toBe('operation-expired');
  });
});

describe('items: digests', () => {
  // echo -n hello | openssl dgst -sha256 -binary | base64
  const HELLO = 'sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:';

  test('Content-Digest is checked on PUT', async () => {
    expect((await eu.put(ITEM, 'hello', { 'content-digest': HELLO })).status).toBe(201);
    expect((await eu.put(ITEM, 'hello', { 'content-digest': `sha-512=:AAAA:, ${HELLO}` })).status).toBe(204);
    expect((await eu.put(ITEM, 'hullo', { 'content-digest': HELLO })).code).toBe('bad-request');
    for (const bad of ['', 'sha-256', 'sha-256=x', 'sha-256=:AAAA:', 'sha-512=:AAAA:', HELLO.slice(0, -1), `${HELLO}x`]) expect((await eu.put(ITEM, 'hello', { 'content-digest': bad })).status).toBe(400);
    expect((await eu.get(ITEM)).text).toBe('hello');
  });

  test('an answer brings it when it is wanted', async () => {
    await eu.put(ITEM, 'hello');
    expect((await eu.get(ITEM)).field('content-digest')).toBeUndefined();
    expect((await eu.get(ITEM, { 'want-content-digest': 'sha-256=1' })).field('content-digest')).toBe(HELLO);
    const returned = await eu.put(ITEM, 'hello', { 'want-content-digest': 'sha-256=1', prefer: 'return=representation' });
    expect([returned.status, returned.field('content-digest')]).toEqual([200, HELLO]);
  });
});

describe('items: preferences and requirements', () => {
  const applied = (answer: Answer): unknown[] => [answer.status, answer.text, answer.field('preference-applied')];

  test('return=representation gives the value back, return=minimal does not, and Preference-Applied names what was done', async () => {
    expect(applied(await eu.put(ITEM, 'one', { ...TEXT, prefer: 'return=representation' }))).toEqual([201, 'one', 'return=representation']);
    expect(applied(await eu.put(ITEM, 'two', { ...TEXT, prefer: 'return=representation; x=1, wait=5' }))).toEqual([200, 'two', 'return=representation']);
    expect(applied(await eu.put(ITEM, 'two', { prefer: 'RETURN="minimal", return=representation' }))).toEqual([204, '', 'return=minimal']);
    expect(applied(await eu.put(ITEM, 'two', { prefer: 'siblings=all, handling=lenient' }))).toEqual([204, '', undefined]);
    const retried = { prefer: 'return=representation', 'idempotency-key': 'a' };
    await eu.put(ITEM, 'three', retried);
    expect(applied(await eu.put(ITEM, 'three', retried))).toEqual([204, '', undefined]);
  });

  test('Consistency: eventual is done and echoed, levels of later issues are 501, others 400', async () => {
    await eu.put(ITEM, 'x');
    for (const answer of [await eu.get(ITEM, { consistency: 'eventual' }), await eu.put(ITEM, 'x', { consistency: 'eventual' }), await eu.get('/v1/c/demo/scan', { consistency: 'eventual' })]) {
      expect(answer.field('consistency')).toBe('eventual');
    }
    expect((await eu.get(ITEM)).field('consistency')).toBeUndefined();
    const before = await eu.stored();
    for (const level of ['session', 'quorum;r=2;w=2', 'strong', 'bounded;max-staleness=5']) {
      for (const target of [ITEM, '/v1/c/demo/ranges/alice', '/v1/c/demo/scan', '/v1/c/demo/explain/alice', '/v1/c/demo/conflicts']) expect(await eu.get(target, { consistency: level })).toMatchObject({ status: 501, code: 'consistency-unsupported' });
      expect((await eu.put(ITEM, 'y', { consistency: level })).status).toBe(501);
      expect((await eu.post('/v1/c/demo/batch', { operations: [{ op: 'put', pk: 'a', value: 1 }] }, { consistency: level })).status).toBe(501);
    }
    for (const level of ['', 'some', 'eventual;x', 'Eventual']) expect((await eu.get(ITEM, { consistency: level })).code).toBe('bad-request');
    expect(await eu.stored()).toBe(before);
  });

  test('Replicate-To is refused where it cannot be met', async () => {
    const before = await eu.stored();
    expect((await eu.put(ITEM, 'x', { 'replicate-to': '1' })).json()).toMatchObject({ type: '/docs/problems/bad-request', detail: 'No other region holds this item.' });
    expect((await eu.put(ITEM, 'x', { 'replicate-to': '("us-east-1")' })).code).toBe('bad-request');
    for (const bad of ['', 'x', '-1', '1.5', '("A B")', '()', '"us-east-1"', '("us-east-1" x)', '(us-east-1)', '100']) expect((await eu.put(ITEM, 'x', { 'replicate-to': bad })).code).toBe('bad-request');
    expect((await eu.get(ITEM, { 'replicate-to': '1' })).code).toBe('bad-request');
    expect((await eu.post('/v1/c/demo/batch', { operations: [{ op: 'put', pk: 'a', value: 1 }] }, { 'replicate-to': '1' })).code).toBe('bad-request');
    expect(await eu.stored()).toBe(before);
    const none = await eu.put(ITEM, 'x', { 'replicate-to': '0' });
    expect([none.status, none.field('replicated-to')]).toEqual([201, '()']);
  });

  test('traceparent is passed on when it is one', async () => {
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    expect((await eu.put(ITEM, 'x', { traceparent: trace })).field('traceparent')).toBe(trace);
    for (const bad of ['x', `${trace}-x`, trace.toUpperCase(), `ff${trace.slice(2)}`]) expect((await eu.get(ITEM, { traceparent: bad })).field('traceparent')).toBeUndefined();
  });
});

describe('items: PATCH', () => {
  const json = { 'content-type': 'application/json' };

  test('RFC 7396, the example of its section 3', async () => {
    await eu.put(ITEM, '{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"This will be unchanged"}', json);
    const patched = await eu.patch(ITEM, '{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}', { prefer: 'return=representation' });
    expect(patched.status).toBe(200);
    expect(patched.json()).toEqual({ title: 'Hello!', author: { givenName: 'John' }, tags: ['example'], content: 'This will be unchanged', phoneNumber: '+01-123-456-7890' });
    expect((await eu.get(ITEM)).text).toBe(patched.text);
    expect((await eu.get(ITEM)).field('content-type')).toBe('application/json');
  });

  // RFC 7396, appendix A.
  const CASES: readonly (readonly [string, string, string])[] = [
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', '{}'],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['["a","b"]', '["c","d"]', '["c","d"]'],
    ['{"a":"b"}', '["c"]', '["c"]'],
    ['{"a":"foo"}', 'null', 'null'],
    ['{"a":"foo"}', '"bar"', '"bar"'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
    ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
    // Ours: members that are none of an object's own, and numbers that JavaScript cannot hold.
    ['{}', '{"__proto__":{"polluted":1},"constructor":null}', '{"__proto__":{"polluted":1}}'],
    ['{"__proto__":1,"toString":2}', '{"toString":null}', '{"__proto__":1}'],
    ['{"n":12345678901234567890,"m":1e400,"z":-0}', '{"a":0.1000000000000000055511151231257827}', '{"n":12345678901234567890,"m":1e400,"z":-0,"a":0.1000000000000000055511151231257827}'],
  ];

  test.each(CASES)('%s patched with %s is %s', async (target, patch, result) => {
    await eu.put(ITEM, target, json);
    expect((await eu.patch(ITEM, patch)).status).toBe(204);
    expect((await eu.get(ITEM)).text).toBe(result);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('If-Match is judged on the state that is merged', async () => {
    const tag = (await eu.put(ITEM, '{"a":1}', json)).field('etag') as string;
    expect((await eu.patch(ITEM, '{"b":2}', { 'if-match': `"x", ${tag}` })).status).toBe(204);
    expect(await eu.patch(ITEM, '{"c":3}', { 'if-match': tag })).toMatchObject({ status: 412, code: 'precondition-failed' });
    expect((await eu.patch(ITEM, '{"c":3}', { 'if-none-match': '*' })).status).toBe(412);
    expect((await eu.patch(ITEM, '{"c":3}', { 'if-match': '*' })).status).toBe(204);
    expect((await eu.get(ITEM)).text).toBe('{"a":1,"b":2,"c":3}');
  });

  test('patches at once are all in the outcome, also under If-Match: *', async () => {
    await eu.put(ITEM, '{}', json);
    const answers = await Promise.all(Array.from({ length: 8 }, (_, at) => eu.patch(ITEM, `{"m${at}":${at}}`, { 'if-match': '*' })));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 204));
    expect(Object.keys((await eu.get(ITEM)).json()).sort()).toEqual(answers.map((_, at) => `m${at}`));
  });

  test('a retry is a duplicate, also when the item is gone or no longer JSON', async () => {
    const key = { 'idempotency-key': 'op' };
    await eu.put(ITEM, '{"n":1}', json);
    const first = await eu.patch(ITEM, '{"n":2}', key);
    await eu.put(ITEM, 'text', TEXT);
    const again = await eu.patch(ITEM, '{"n":2}', key);
    expect([again.status, again.field('write-outcome'), again.field('etag')]).toEqual([204, 'duplicate', first.field('etag')]);
    await eu.delete(ITEM);
    expect((await eu.patch(ITEM, '{"n":2}', key)).field('write-outcome')).toBe('duplicate');
    await eu.put(ITEM, '{"n":1}', json);
    await eu.patch(ITEM, '{"n":3}', { 'idempotency-key': 'other' });
    expect((await eu.patch(ITEM, '{"n":4}', { 'idempotency-key': 'other' })).status).toBe(422);
  });

  test('it keeps the time at which the item expires, unless it names another', async () => {
    await eu.put(ITEM, '{"n":0}', { ...json, 'item-ttl': '10' });
    for (let n = 1; n < 25; n++) {
      await eu.clock.advance(400);
      expect((await eu.patch(ITEM, `{"n":${n}}`)).status).toBe(204);
    }
    await eu.clock.advance(400);
    expect((await eu.get(ITEM)).status).toBe(404);
    await eu.put(ITEM, '{}', { ...json, 'item-ttl': '10' });
    const patched = await eu.patch(ITEM, '{}', { 'item-ttl': '20' });
    expect(patched.field('sunset')).toBe(new Date(eu.clock.wallMs() + 20_000).toUTCString());
  });

  test('what cannot be patched: siblings and other media types 415, nothing 404, no JSON 400, too much 413, a wrong digest 400', async () => {
    await eu.put(ITEM, '{}', json);
    expect(await eu.patch('/v1/c/carts/items/a', '{}')).toMatchObject({ status: 415, code: 'unsupported-media-type' });
    expect((await eu.patch(ITEM, '{}', { 'content-type': 'application/json-patch+json' })).status).toBe(415);
    expect((await eu.patch(ITEM, '{}', json)).status).toBe(204);
    expect((await eu.patch('/v1/c/demo/items/nobody', '{}')).code).toBe('not-found');
    await eu.put('/v1/c/demo/items/text', 'x', TEXT);
    expect((await eu.patch('/v1/c/demo/items/text', '{}')).status).toBe(415);
    for (const bad of ['', '{', '{"a":1,"a":2}', '{"a":{"b":1,"\\u0062":2}}', '['.repeat(65) + ']'.repeat(65)]) expect((await eu.patch(ITEM, bad)).code).toBe('bad-request');
    expect((await eu.patch(ITEM, JSON.stringify({ a: 'x'.repeat(ITEM_BYTES_MAX) }))).code).toBe('too-large');
    expect((await eu.patch(ITEM, '{}', { 'content-digest': 'sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:' })).code).toBe('bad-request');
  });
});
