// Many operations in one request, each as its own route would do it.

import { beforeEach, describe, expect, test } from 'vitest';
import { BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX } from '../../src/core/limits.ts';
import { startRegion, type TestRegion } from './harness.ts';

interface Result {
  readonly status: number;
  readonly etag?: string;
  readonly context?: string;
  readonly outcome?: string;
  readonly value?: unknown;
  readonly valueBase64?: string;
  readonly contentType?: string;
  readonly siblings?: readonly unknown[];
  readonly problem?: { readonly type: string; readonly status: number };
}

let eu: TestRegion;
beforeEach(async () => {
  eu = await startRegion();
});

async function batch(operations: readonly object[], headers: Record<string, string> = {}, collection = 'demo'): Promise<readonly Result[]> {
  return (await eu.post(`/v1/c/${collection}/batch`, { operations }, headers)).json<{ results: Result[] }>().results;
}

const codes = (results: readonly Result[]): (string | undefined)[] => results.map(({ problem }) => problem?.type.slice(problem.type.lastIndexOf('/') + 1));

describe('batch', () => {
  test('gets, puts and deletes one after the other, each with what its route would say', async () => {
    await eu.put('/v1/c/demo/items/a/s', 'text', { 'content-type': 'text/plain' });
    const results = await batch([
      { op: 'get', pk: 'a', sk: 's' },
      { op: 'put', pk: 'b', value: { x: [1, null] } },
      { op: 'get', pk: 'b' },
      { op: 'put', pk: 'c', valueBase64: '/w==', contentType: 'image/png', ttlSeconds: 60 },
      { op: 'get', pk: 'c' },
      { op: 'put', pk: 'b', value: 2 },
      { op: 'delete', pk: 'b' },
      { op: 'get', pk: 'b' },
      { op: 'delete', pk: 'nobody' },
    ]);
    expect(results.map(({ status }) => status)).toEqual([200, 201, 200, 201, 200, 204, 204, 404, 404]);
    expect(results[0]).toMatchObject({ valueBase64: 'dGV4dA==', contentType: 'text/plain' });
    expect(results[1]).toMatchObject({ outcome: 'stored', etag: expect.any(String) as string, context: expect.any(String) as string });
    expect(results[2]).toMatchObject({ value: { x: [1, null] }, contentType: 'application/json', etag: results[1]?.etag });
    expect(results[4]).toMatchObject({ valueBase64: '/w==', contentType: 'image/png', expires: new Date(eu.clock.wallMs() + 60_000).toISOString() });
    expect(codes(results).slice(7)).toEqual(['not-found', 'not-found']);
    expect((await eu.get('/v1/c/demo/items/c')).field('sunset')).toBeDefined();
  });

  test('conditions and contexts are of the single operation; a tag may come without quotes', async () => {
    const [put] = await batch([{ op: 'put', pk: 'a', value: 1 }]);
    const results = await batch([
      { op: 'put', pk: 'a', value: 2, ifMatch: 'other' },
      { op: 'put', pk: 'a', value: 2, ifMatch: put?.etag },
      { op: 'put', pk: 'a', value: 3, ifNoneMatch: '*' },
      { op: 'put', pk: 'a', value: 3, context: 'forged' },
      { op: 'put', pk: 'a', value: 3, context: put?.context },
      { op: 'get', pk: 'a', ifNoneMatch: '*' },
      { op: 'get', pk: 'a' },
    ]);
    expect(results.map(({ status }) => status)).toEqual([412, 204, 412, 400, 204, 304, 200]);
    expect(results.at(-1)?.value).toBe(3);
  });

  test('siblings come as a list with a context that resolves them', async () => {
    const written = await batch([{ op: 'put', pk: 'a', value: ']' }, { op: 'put', pk: 'a', valueBase64: 'eA==' }, { op: 'get', pk: 'a' }], {}, 'carts');
    expect(written.map(({ status }) => status)).toEqual([201, 204, 200]);
    expect(written[2]).toMatchObject({ siblings: [{ value: ']' }, { valueBase64: 'eA==' }] });
    const resolved = await batch([{ op: 'put', pk: 'a', value: 'both', context: written[2]?.context }], {}, 'carts');
    expect(resolved[0]).toMatchObject({ status: 204, outcome: 'stored' });
  });

  test('values go in and come out as they were written', async () => {
    const value = '{"n":12345678901234567890,"e":1e999,"z":-0,"__proto__":{"x":1},"s":"\\ud800"}';
    const put = await eu.post('/v1/c/demo/batch', `{"operations":[{"op":"put","pk":"a","value":${value}}]}`);
    expect(put.json()).toMatchObject({ results: [{ status: 201 }] });
    expect((await eu.get('/v1/c/demo/items/a')).text).toBe(value);
    await eu.put('/v1/c/demo/items/b', '{"a":1, "n":12345678901234567890,"a":2}', { 'content-type': 'application/json' });
    expect((await eu.post('/v1/c/demo/batch', { operations: [{ op: 'get', pk: 'b' }] })).text).toContain('"value":{"a":1, "n":12345678901234567890,"a":2},');
  });

  test('a retry with the same key is a duplicate, operation by operation', async () => {
    const key = { 'idempotency-key': '01890a5d-ac96-774b-bcce-b302099a8057' };
    const operations = [{ op: 'put', pk: 'a', value: 1 }, { op: 'put', pk: 'a', value: 2 }, { op: 'put', pk: 'b', value: 1 }];
    const first = await batch(operations, key);
    const again = await batch(operations, key);
    expect(again.map(({ outcome, etag }) => [outcome, etag])).toEqual(first.map(({ etag }) => ['duplicate', etag]));
    const changed = await batch([{ op: 'put', pk: 'a', value: 1 }, { op: 'put', pk: 'a', value: 3 }], key);
    expect([changed[1]?.status, codes(changed)[1]]).toEqual([422, 'idempotency-key-reused']);
    for (const long of ['k'.repeat(252), 'k'.repeat(255)]) {
      expect((await batch([{ op: 'put', pk: long, value: 1 }], { 'idempotency-key': long }))[0]?.status).toBe(201);
      expect((await batch([{ op: 'put', pk: long, value: 1 }], { 'idempotency-key': long }))[0]?.outcome).toBe('duplicate');
    }
  });

  test('an operation of a batch carries the time of the key: one too old is told from a retry', async () => {
    const stamp = eu.clock.wallMs().toString(16).padStart(12, '0');
    const old = { 'idempotency-key': `${stamp.slice(0, 8)}-${stamp.slice(8)}-7000-8000-000000000000` };
    await eu.clock.advance(1_000);
    for (let at = 0; at < 10; at++) await eu.put('/v1/c/demo/items/a', String(at), { 'idempotency-key': `op-${at}` });
    expect((await batch([{ op: 'put', pk: 'a', value: 1 }], old))[0]?.outcome).toBe('superseded');
  });

  test('what is wrong with one operation is told in its result, and the others are done', async () => {
    const results = await batch([
      { op: 'put', pk: 'a', value: 1 },
      { op: 'put', pk: 'b' },
      { op: 'put', pk: 'b', value: 1, valueBase64: 'eA==' },
      { op: 'put', pk: 'b', valueBase64: '!' },
      { op: 'put', pk: '', value: 1 },
      { op: 'put', pk: '\ud800', value: 1 },
      { op: 'put', pk: 'b', sk: '\udfff', value: 1 },
      { op: 'put', pk: 'p'.repeat(513), value: 1 },
      { op: 'put', pk: 'b', value: 1, contentType: 'a\nb: c' },
      { op: 'put', pk: 'b', value: 1, ifMatch: '\u{1f600}' },
      { op: 'put', pk: 'b', value: 1, context: 'x\r\nauthorization: y' },
      { op: 'put', pk: 'b', value: 'x'.repeat(20_000) },
      { op: 'get', pk: 'a' },
    ]);
    expect(results.map(({ status }) => status)).toEqual([201, 400, 400, 400, 400, 400, 400, 414, 400, 400, 400, 413, 200]);
    expect(codes(results)).toEqual([undefined, 'bad-request', 'bad-request', 'bad-request', 'key-invalid', 'key-invalid', 'key-invalid', 'key-too-long', 'bad-request', 'bad-request', 'bad-request', 'too-large', undefined]);
    expect((await eu.get('/v1/c/demo/items/b')).status).toBe(404);
  });

  test('a body that is not understood is 400 with a pointer to each fault, and nothing is done', async () => {
    const before = await eu.stored();
    const bad: readonly (readonly [string, readonly string[]])[] = [
      ['{}', ['/operations']],
      ['{"operations":[]}', ['/operations']],
      ['{"operations":[{"op":"put","pk":"a","value":1},{"op":"incr","pk":1}]}', ['/operations/1/op', '/operations/1/pk']],
      ['{"operations":[{"op":"get","pk":"a","if~/x":1}],"also":2}', ['/operations/0/if~0~1x', '/also']],
      ['{"operations":[{"op":"get","pk":"a","__proto__":{}}]}', ['/operations/0/__proto__']],
      ['[]', ['']],
      ['null', ['']],
    ];
    for (const [body, pointers] of bad) {
      const answer = await eu.post('/v1/c/demo/batch', body);
      expect([answer.status, answer.json<{ errors: { pointer: string }[] }>().errors.map(({ pointer }) => pointer)]).toEqual([400, pointers]);
    }
    for (const body of ['', '{', '{"operations":[{"op":"put","pk":"a","value":1}],"operations":[]}', '\ufeff{}', `{"operations":${'['.repeat(70)}${']'.repeat(70)}}`]) expect((await eu.post('/v1/c/demo/batch', body)).code).toBe('bad-request');
    expect((await eu.post('/v1/c/demo/batch', '{"operations":[{"op":"get","pk":"a"}]}', { 'content-type': 'text/plain' })).code).toBe('unsupported-media-type');
    expect(await eu.stored()).toBe(before);
  });

  test('at most 100 operations and 1 MiB', async () => {
    const many = (count: number): object[] => Array.from({ length: count }, (_, at) => ({ op: 'get', pk: `p${at}` }));
    expect(await batch(many(BATCH_OPERATIONS_MAX))).toHaveLength(BATCH_OPERATIONS_MAX);
    expect((await eu.post('/v1/c/demo/batch', { operations: many(BATCH_OPERATIONS_MAX + 1) })).code).toBe('bad-request');
    const body = JSON.stringify({ operations: [{ op: 'get', pk: 'a' }] });
    expect((await eu.post('/v1/c/demo/batch', body.padEnd(BATCH_BYTES_MAX))).status).toBe(200);
    expect(await eu.post('/v1/c/demo/batch', body.padEnd(BATCH_BYTES_MAX + 1))).toMatchObject({ status: 413, code: 'too-large' });
  });

  test('a collection that is not known is 404 for the whole', async () => {
    expect((await eu.post('/v1/c/nothing/batch', { operations: [{ op: 'get', pk: 'a' }] })).code).toBe('collection-not-found');
  });
});
