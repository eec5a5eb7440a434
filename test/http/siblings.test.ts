// Several values of one item: how they are shown, chosen and resolved.

import { beforeEach, describe, expect, test } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { utf8Text } from '../../src/core/bytes.ts';
import { SIBLINGS_SOFT_MAX } from '../../src/core/limits.ts';
import type { Dot } from '../../src/core/version/dot.ts';
import { siblingsMultipart } from '../../src/http/representation.ts';
import { A, dot, several } from '../contract/make.ts';
import { EU, startRegion, type Answer, type TestRegion } from './harness.ts';

const CART = '/v1/c/carts/items/alice';
const JSON_TYPE = { 'content-type': 'application/json' };

interface Listed {
  readonly siblings: readonly { readonly value?: unknown; readonly valueBase64?: string; readonly contentType: string; readonly dot: string; readonly region: string; readonly writtenAt: string; readonly expires?: string }[];
  readonly context: string;
}

let eu: TestRegion;
let first: Answer;
let second: Answer;
beforeEach(async () => {
  eu = await startRegion();
  first = await eu.put(CART, '["milk"]', JSON_TYPE);
  await eu.clock.advance(10);
  second = await eu.put(CART, 'bread', { 'content-type': 'text/plain' });
});

describe('siblings: writing', () => {
  test('PUT without a context adds one, and its answer tells no context that would cover the others', () => {
    expect([first.status, first.field('write-outcome')]).toEqual([201, 'stored']);
    expect(first.field('causal-context')).toBeDefined();
    expect([second.status, second.field('write-outcome'), second.field('causal-context')]).toEqual([204, 'sibling', undefined]);
    expect(second.field('etag')).toMatch(/^"2-[A-Za-z0-9_-]{22}"$/);
  });

  test('PUT with the context of the 300 resolves', async () => {
    const { headers } = await eu.get(CART);
    const resolved = await eu.put(CART, '["milk","bread"]', { ...JSON_TYPE, 'causal-context': headers.get('causal-context') as string });
    expect([resolved.status, resolved.field('write-outcome')]).toEqual([204, 'stored']);
    expect((await eu.get(CART)).text).toBe('["milk","bread"]');
    const stale = await eu.put(CART, 'late', { 'causal-context': headers.get('causal-context') as string });
    expect(stale.field('write-outcome')).toBe('sibling');
  });

  test('PUT with the context of one value supersedes that value alone', async () => {
    const answer = await eu.put(CART, '["milk","eggs"]', { ...JSON_TYPE, 'causal-context': first.field('causal-context') as string });
    expect(answer.field('write-outcome')).toBe('sibling');
    const { siblings } = (await eu.get(CART)).json<Listed>();
    expect(siblings.map(({ value, valueBase64 }) => value ?? valueBase64)).toEqual(['YnJlYWQ=', ['milk', 'eggs']]);
  });

  test('If-Match takes the tag of the set, with or without the name of a representation', async () => {
    const tag = (await eu.get(CART)).field('etag') as string;
    expect(tag).toBe(`${(second.field('etag') as string).slice(0, -1)};json"`);
    expect((await eu.put(CART, 'x', { 'if-match': first.field('etag') as string })).status).toBe(412);
    expect((await eu.put(CART, 'x', { 'if-match': second.field('etag') as string })).status).toBe(204);
    expect((await eu.put(CART, 'y', { 'if-match': tag })).status).toBe(412);
    expect((await eu.put(CART, 'y', { 'if-match': (await eu.get(CART)).field('etag') as string })).status).toBe(204);
  });

  test('DELETE without a context removes what the region holds now, with one what it covers', async () => {
    expect((await eu.delete(CART, { 'causal-context': first.field('causal-context') as string })).status).toBe(204);
    expect((await eu.get(CART)).text).toBe('bread');
    await eu.put(CART, 'eggs');
    expect((await eu.delete(CART)).status).toBe(204);
    const gone = await eu.get(CART);
    expect([gone.status, typeof gone.field('causal-context')]).toEqual([404, 'string']);
  });

  test('a retry of a sibling is a duplicate with the tag of that one value', async () => {
    const key = { 'idempotency-key': 'op' };
    await eu.put(CART, 'eggs', key);
    const again = await eu.put(CART, 'eggs', key);
    expect([again.field('write-outcome'), again.field('causal-context')]).toEqual(['duplicate', undefined]);
    expect((await eu.get(CART)).json<Listed>().siblings).toHaveLength(3);
  });

  test('one more than 16 is 409 and changes nothing; resolving goes on', async () => {
    for (let at = 2; at < SIBLINGS_SOFT_MAX; at++) expect((await eu.put(CART, String(at))).field('write-outcome')).toBe('sibling');
    const before = await eu.stored();
    const refused = await eu.put(CART, 'one too many');
    expect(refused).toMatchObject({ status: 409, code: 'too-many-siblings' });
    expect(await eu.stored()).toBe(before);
    const { siblings, context } = refused.json<Listed>();
    expect({ siblings, context }).toEqual((await eu.get(CART)).json());
    expect(siblings).toHaveLength(SIBLINGS_SOFT_MAX);
    expect(refused.field('causal-context')).toBe(context);
    expect((await eu.put(CART, 'merged', { 'causal-context': context })).field('write-outcome')).toBe('stored');
  });

  test('what there is to merge is told to nobody who may not read, nor who asked for little', async () => {
    for (let at = 2; at < SIBLINGS_SOFT_MAX; at++) await eu.put(CART, String(at));
    const { key } = (await eu.post('/v1/keys', { scopes: ['write'] })).json<{ key: string }>();
    for (const headers of [{ authorization: `Bearer ${key}` }, { prefer: 'return=minimal' }]) {
      const refused = await eu.put(CART, 'one too many', headers);
      expect([refused.status, refused.field('causal-context'), refused.json<Partial<Listed>>().siblings]).toEqual([409, undefined, undefined]);
    }
    const { results } = (await eu.post('/v1/c/carts/batch', { operations: [{ op: 'put', pk: 'alice', value: 1 }] })).json<{ results: Record<string, unknown>[] }>();
    expect(results).toMatchObject([{ status: 409, problem: { status: 409 } }]);
    expect(JSON.stringify(results)).not.toContain('siblings":');
  });

  test('expired siblings are not shown', async () => {
    await eu.put(CART, 'brief', { 'item-ttl': '1' });
    expect((await eu.get(CART)).json<Listed>().siblings.map(({ expires }) => expires)).toEqual([undefined, undefined, new Date(eu.clock.wallMs() + 1_000).toISOString()]);
    await eu.clock.advance(1_000);
    expect((await eu.get(CART)).json<Listed>().siblings).toHaveLength(2);
  });
});

describe('siblings: a context covers only what its reader was shown', () => {
  test('a DELETE that knew of one value leaves the other, and its answer tells no context that would cover that', async () => {
    const deleted = await eu.delete(CART, { 'causal-context': first.field('causal-context') as string });
    expect([deleted.status, deleted.field('causal-context')]).toEqual([204, undefined]);
    expect((await eu.get(CART)).text).toBe('bread');
  });

  test('a retry that finds the one value of somebody else: a duplicate without a context', async () => {
    const key = { 'idempotency-key': 'one', 'content-type': 'text/plain' };
    const item = '/v1/c/carts/items/bob';
    expect((await eu.put(item, 'mine', key)).field('causal-context')).toBeDefined();
    await eu.put(item, 'theirs', { 'causal-context': (await eu.get(item)).field('causal-context') as string });
    const again = await eu.put(item, 'mine', key);
    expect([again.field('write-outcome'), again.field('causal-context')]).toEqual(['duplicate', undefined]);
  });

  test('a retry that finds its own value alone: its context', async () => {
    const key = { 'idempotency-key': 'one', 'content-type': 'text/plain' };
    await eu.put('/v1/c/carts/items/bob', 'mine', key);
    const again = await eu.put('/v1/c/carts/items/bob', 'mine', key);
    expect([again.field('write-outcome'), typeof again.field('causal-context')]).toEqual(['duplicate', 'string']);
  });
});

describe('siblings: reading', () => {
  test('300 with the list as JSON: values, who wrote them and when, and a context', async () => {
    const answer = await eu.get(CART);
    expect([answer.status, answer.field('content-type'), answer.field('conflicts')]).toEqual([300, 'application/json', '2']);
    const { siblings, context } = answer.json<Listed>();
    expect(context).toBe(answer.field('causal-context'));
    expect(siblings).toMatchObject([
      { value: ['milk'], contentType: 'application/json', region: EU },
      { valueBase64: 'YnJlYWQ=', contentType: 'text/plain', region: EU },
    ]);
    for (const { dot, writtenAt } of siblings) {
      expect(dot).toMatch(/^eu-central-1~k1@[0-9a-f]{12}\.[0-9a-f]{4}$/);
      expect(Math.abs(Date.parse(writtenAt) - eu.clock.wallMs())).toBeLessThan(100);
    }
  });

  test('300 as multipart/mixed holds each value as it came', async () => {
    const answer = await eu.get(CART, { accept: 'multipart/mixed' });
    const boundary = /^multipart\/mixed; boundary=([0-9a-f]+)$/.exec(answer.field('content-type') as string)?.[1] as string;
    expect(answer.status).toBe(300);
    expect(answer.text.endsWith(`\r\n--${boundary}--\r\n`)).toBe(true);
    const parts = `\r\n${answer.text}`.split(`\r\n--${boundary}`).slice(1, -1);
    expect(parts.map((part) => part.split('\r\n\r\n')[1])).toEqual(['["milk"]', 'bread']);
    const fields = parts.map((part) => part.split('\r\n\r\n')[0]);
    expect(fields[1]).toMatch(/^\r\nContent-Type: text\/plain\r\nETag: "eu-central-1~k1@[0-9a-f.]{17}"\r\nServed-By: eu-central-1\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  });

  test('a value that contains the boundary does not end its part', () => {
    const at = (stamp: number, text: string): [Dot, string] => [dot(A, stamp), text];
    const state = several(at(1, 'x'), at(2, 'y'));
    const { boundary } = siblingsMultipart(state.values, state, sha256);
    const hostile = several(at(1, `x\r\n--${boundary}--\r\n`), at(2, 'y'));
    const chosen = siblingsMultipart(hostile.values, hostile, sha256);
    expect(utf8Text(chosen.body)?.split(`--${chosen.boundary}`)).toHaveLength(4);
  });

  const ACCEPTS: readonly (readonly [string | undefined, number, string])[] = [
    [undefined, 300, 'application/json'],
    ['*/*', 300, 'application/json'],
    ['application/*', 300, 'application/json'],
    ['multipart/*', 300, 'multipart/mixed'],
    ['text/html, multipart/mixed;q=0.5, */*;q=0.1', 300, 'multipart/mixed'],
    ['application/json;q=0.4, multipart/mixed;q=0.5', 300, 'multipart/mixed'],
    ['application/json, multipart/mixed', 300, 'application/json'],
    ['multipart/mixed;q=0, */*', 300, 'application/json'],
    ['application/json;q=0, */*', 300, 'multipart/mixed'],
    ['text/plain', 406, 'application/problem+json'],
    ['application/json;q=0', 406, 'application/problem+json'],
  ];
  test.each(ACCEPTS)('Accept: %s is answered %i %s', async (accept, status, type) => {
    const answer = await eu.get(CART, accept === undefined ? {} : { accept });
    expect([answer.status, answer.field('content-type')?.split(';')[0]]).toEqual([status, type]);
  });

  test('Prefer: siblings=winner is 200 with the last writer, siblings=all 200 with the list', async () => {
    const winner = await eu.get(CART, { prefer: 'siblings=winner' });
    expect([winner.status, winner.text, winner.field('content-type'), winner.field('conflicts'), winner.field('preference-applied')]).toEqual([200, 'bread', 'text/plain', '2', 'siblings=winner']);
    const all = await eu.get(CART, { prefer: 'siblings=all' });
    expect([all.status, all.field('conflicts'), all.field('preference-applied'), all.json<Listed>().siblings.length]).toEqual([200, '2', 'siblings=all', 2]);
    const ignored = await eu.get(CART, { prefer: 'siblings=some' });
    expect([ignored.status, ignored.field('preference-applied')]).toEqual([300, undefined]);
  });

  test('one value is 200 whatever is preferred', async () => {
    await eu.put('/v1/c/carts/items/bob', 'x');
    for (const prefer of ['siblings=all', 'siblings=winner']) {
      const answer = await eu.get('/v1/c/carts/items/bob', { prefer });
      expect([answer.status, answer.text, answer.field('conflicts'), answer.field('preference-applied')]).toEqual([200, 'x', undefined, undefined]);
    }
  });

  test('each representation has a tag of its own, and 304 is about that one', async () => {
    const [json, multipart, winner] = await Promise.all([eu.get(CART), eu.get(CART, { accept: 'multipart/mixed' }), eu.get(CART, { prefer: 'siblings=winner' })]);
    const tags = [json, multipart, winner].map((answer) => answer.field('etag') as string);
    expect(tags.map((tag) => tag.split(';')[1])).toEqual(['json"', 'multipart"', 'winner"']);
    expect(new Set(tags.map((tag) => tag.split(';')[0])).size).toBe(1);
    const asked = [{}, { accept: 'multipart/mixed' }, { prefer: 'siblings=winner' }];
    for (const [at, headers] of asked.entries()) {
      for (const [other, tag] of tags.entries()) {
        const { status } = await eu.get(CART, { ...headers, 'if-none-match': tag });
        expect(status === 304).toBe(at === other);
      }
      // The answer to a PUT names the set, not what a reader of it would get.
      expect((await eu.get(CART, { ...headers, 'if-none-match': second.field('etag') as string })).status).not.toBe(304);
    }
  });

  test('numbers and members are listed as they were written', async () => {
    const value = '{"n":12345678901234567890, "e":1e999, "n":0}';
    await eu.put(CART, value, JSON_TYPE);
    expect((await eu.get(CART)).text).toContain(`"value":${value}`);
  });

  test('HEAD of siblings is 300 without a body', async () => {
    const head = await eu.ask('HEAD', CART);
    expect([head.status, head.bytes.length, head.field('conflicts')]).toEqual([300, 0, '2']);
  });
});
