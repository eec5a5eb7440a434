// Ranges over the sort keys of one pk, scans, dumps.

import { beforeEach, describe, expect, test } from 'vitest';
import { toBase64Url, utf8 } from '../../src/core/bytes.ts';
import { PAGE_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX } from '../../src/core/limits.ts';
import { AP, EU, startCluster, startRegion, US, type TestRegion } from './harness.ts';

interface Item {
  readonly pk?: string;
  readonly pkBase64?: string;
  readonly sk?: string;
  readonly skBase64?: string;
  readonly etag: string;
  readonly value?: unknown;
  readonly valueBase64?: string;
  readonly siblings?: readonly unknown[];
  readonly context?: string;
}
interface Page {
  readonly items: readonly Item[];
  readonly cursor?: string;
}

let eu: TestRegion;
beforeEach(async () => {
  eu = await startRegion();
});

/** All pages from here on, and how many there were. */
async function all(target: string): Promise<{ readonly items: Item[]; readonly pages: number }> {
  const items: Item[] = [];
  let pages = 0;
  for (let cursor: string | undefined = ''; cursor !== undefined; pages++) {
    const next: string = cursor === '' ? target : `${target}${target.includes('?') ? '&' : '?'}cursor=${cursor}`;
    const page = (await eu.get(next)).json<Page>();
    items.push(...page.items);
    cursor = page.cursor;
  }
  return { items, pages };
}

const names = (items: readonly Item[]): (string | undefined)[] => items.map(({ sk }) => sk);

describe('ranges', () => {
  const RANGE = '/v1/c/demo/ranges/KR';
  beforeEach(async () => {
    for (const name of ['Busan', 'Seo', 'Seongnam', 'Seoul', 'Suwon', 'a', 'ä']) await eu.put(`/v1/c/demo/items/KR/${encodeURIComponent(name)}`, `"${name}"`, { 'content-type': 'application/json' });
    await eu.put('/v1/c/demo/items/KR', 'without sk');
    await eu.put('/v1/c/demo/items/KS/Other', 'x');
    await eu.put('/v1/c/carts/items/KR/Other', 'x');
  });

  const CASES: readonly (readonly [string, (string | undefined)[]])[] = [
    ['', [undefined, 'Busan', 'Seo', 'Seongnam', 'Seoul', 'Suwon', 'a', 'ä']],
    ['?order=desc', ['ä', 'a', 'Suwon', 'Seoul', 'Seongnam', 'Seo', 'Busan', undefined]],
    ['?ge=Seo&le=Seoul', ['Seo', 'Seongnam', 'Seoul']],
    ['?gt=Seo&lt=Seoul', ['Seongnam']],
    ['?ge=Seoul', ['Seoul', 'Suwon', 'a', 'ä']],
    ['?lt=Busan', [undefined]],
    ['?gt=', ['Busan', 'Seo', 'Seongnam', 'Seoul', 'Suwon', 'a', 'ä']],
    ['?prefix=Se', ['Seo', 'Seongnam', 'Seoul']],
    ['?prefix=Se&order=desc', ['Seoul', 'Seongnam', 'Seo']],
    ['?prefix=Se&order=desc&limit=1', ['Seoul', 'Seongnam', 'Seo']],
    ['?prefix=', [undefined, 'Busan', 'Seo', 'Seongnam', 'Seoul', 'Suwon', 'a', 'ä']],
    ['?prefix=ww&keys=base64url', ['ä']],
    ['?ge=b', ['ä']],
    ['?ge=z&le=a', []],
    ['?limit=3', [undefined, 'Busan', 'Seo', 'Seongnam', 'Seoul', 'Suwon', 'a', 'ä']],
    ['?ge=Seo&lt=a&limit=2&order=desc', ['Suwon', 'Seoul', 'Seongnam', 'Seo']],
    [`?ge=${toBase64Url(utf8('Seoul'))}&le=${toBase64Url(Uint8Array.of(0xff))}&keys=base64url`, ['Seoul', 'Suwon', 'a', 'ä']],
  ];
  test.each(CASES)('ranges/KR%s, page by page', async (query, expected) => {
    expect(names((await all(RANGE + query)).items)).toEqual(expected);
    const byQuery = query.includes('base64url') ? `pk=${toBase64Url(utf8('KR'))}` : 'pk=KR';
    expect(names((await all(`/v1/c/demo/ranges?${byQuery}${query.replace('?', '&')}`)).items)).toEqual(expected);
  });

  test('an item of a page has its key, tag and value as written', async () => {
    const got = await eu.get('/v1/c/demo/items/KR/Seoul');
    const [item] = (await eu.get(`${RANGE}?prefix=Seoul`)).json<Page>().items;
    expect(item).toMatchObject({ pk: 'KR', sk: 'Seoul', value: 'Seoul', contentType: 'application/json', region: EU });
    expect(`"${item?.etag}"`).toBe(got.field('etag'));
    const [bare] = (await eu.get(`${RANGE}?limit=1`)).json<Page>().items;
    expect(bare).toMatchObject({ pk: 'KR', valueBase64: 'd2l0aG91dCBzaw==', contentType: 'application/octet-stream' });
    expect(bare).not.toHaveProperty('sk');
  });

  test('keys that are not UTF-8 come as base64, siblings as a list with a context', async () => {
    await eu.put(`/v1/c/carts/items?pk=_w&sk=_v8&keys=base64url`, 'one');
    await eu.put(`/v1/c/carts/items?pk=_w&sk=_v8&keys=base64url`, 'two');
    const [item] = (await eu.get('/v1/c/carts/ranges?pk=_w&keys=base64url')).json<Page>().items;
    expect(item).toMatchObject({ pkBase64: '/w==', skBase64: '/v8=', siblings: [{ valueBase64: 'b25l' }, { valueBase64: 'dHdv' }] });
    const resolved = await eu.put('/v1/c/carts/items?pk=_w&sk=_v8&keys=base64url', 'both', { 'causal-context': item?.context as string });
    expect(resolved.field('write-outcome')).toBe('stored');
  });

  test('deleted and expired items are not listed', async () => {
    await eu.delete('/v1/c/demo/items/KR/Seo');
    await eu.put('/v1/c/demo/items/KR/Seoul', 'x', { 'item-ttl': '1' });
    await eu.clock.advance(1_000);
    expect(names((await all(`${RANGE}?prefix=Se&limit=1`)).items)).toEqual(['Seongnam']);
  });

  test.each(['ge=a&gt=a', 'le=a&lt=a', 'prefix=a&ge=a', 'prefix=a&le=b', 'order=up', 'limit=0', 'limit=-1', 'limit=1001', 'limit=ten', 'limit=', 'limit=1e2', 'cursor=', 'cursor=x', 'cursor=AAAA', 'x=1', 'ge=a&ge=b'])('ranges?%s is 400', async (query) => {
    expect((await eu.get(`${RANGE}?${query}`)).code).toBe('bad-request');
  });

  test.each(['', '?pk=', '?pk=%zz', '/', '/a/b', '/%zz', '/..', '?pk=a&ge=%zz', '?pk=a&prefix=%C3', '?pk=YQ&keys=base64url&ge=!'])('ranges%s names no key: 400', async (rest) => {
    expect((await eu.send('GET', `/v1/c/demo/ranges${rest}`)).code).toBe('key-invalid');
  });

  test('a pk longer than 512 bytes is 414', async () => {
    expect((await eu.get(`/v1/c/demo/ranges/${'p'.repeat(512)}`)).status).toBe(200);
    expect((await eu.get(`/v1/c/demo/ranges/${'p'.repeat(513)}`)).code).toBe('key-too-long');
  });

  test('a cursor is good in its own listing alone, whatever the size of a page', async () => {
    const cursorOf = async (target: string): Promise<string> => (await eu.get(target)).json<Page>().cursor as string;
    const cursor = await cursorOf(`${RANGE}?ge=Seo&limit=1`);
    expect(names((await eu.get(`${RANGE}?ge=Seo&limit=2&cursor=${cursor}`)).json<Page>().items)).toEqual(['Seongnam', 'Seoul']);
    const forged = toBase64Url(Uint8Array.from([...Buffer.from(cursor, 'base64url')].map((byte, at) => (at === 1 ? byte ^ 1 : byte))));
    for (const other of [`${RANGE}?limit=1`, `${RANGE}?gt=Seo`, `${RANGE}?ge=Seoul`, `${RANGE}?ge=Seo&order=desc`, `${RANGE}?ge=Seo&le=a`, '/v1/c/demo/ranges/KS?ge=Seo', '/v1/c/carts/ranges/KR?ge=Seo', '/v1/c/demo/scan?limit=1', '/v1/c/demo/dump?limit=1', '/v1/c/demo/conflicts?limit=1']) {
      expect((await eu.get(`${other}&cursor=${cursor}`.replace('KR&', 'KR?'))).code).toBe('bad-request');
    }
    expect((await eu.get(`${RANGE}?ge=Seo&cursor=${forged}`)).code).toBe('bad-request');
    expect((await eu.get(`${RANGE}?ge=Seo&cursor=${cursor}A`)).code).toBe('bad-request');
  });

  test('a page has 100 items unless asked, at most 1,000, and at most 256 KiB', async () => {
    for (let at = 0; at < PAGE_ITEMS_MAX + 1; at++) await eu.send('PUT', `/v1/c/demo/items/many/${String(at).padStart(4, '0')}`, { body: 'x' });
    expect((await eu.get('/v1/c/demo/ranges/many')).json<Page>().items).toHaveLength(PAGE_ITEMS_DEFAULT);
    const most = (await eu.get(`/v1/c/demo/ranges/many?limit=${PAGE_ITEMS_MAX}`)).json<Page>();
    expect([most.items.length, typeof most.cursor]).toEqual([PAGE_ITEMS_MAX, 'string']);
    const rest = (await eu.get(`/v1/c/demo/ranges/many?limit=${PAGE_ITEMS_MAX}&cursor=${most.cursor}`)).json<Page>();
    expect([rest.items.length, rest.cursor]).toEqual([1, undefined]);

    for (let at = 0; at < 40; at++) await eu.put(`/v1/c/demo/items/wide/${at}`, new Uint8Array(10_000), { 'content-type': 'text/plain' });
    const first = await eu.get('/v1/c/demo/ranges/wide');
    expect(first.bytes.length).toBeLessThan(2 * PAGE_BYTES_MAX);
    const wide = await all('/v1/c/demo/ranges/wide');
    expect([wide.items.length, wide.pages > 1]).toEqual([40, true]);
  });
});

describe('scan', () => {
  test('all items of the collection and no others, in pages, each once', async () => {
    const written: string[] = [];
    for (let at = 0; at < 60; at++) {
      const pk = `item-${at}`;
      await eu.put(`/v1/c/demo/items/${pk}/s`, 'x');
      await eu.put(`/v1/c/carts/items/${pk}/s`, 'y');
      written.push(pk);
    }
    await eu.delete('/v1/c/demo/items/item-7/s');
    const { items, pages } = await all('/v1/c/demo/scan?limit=7');
    expect(items.map(({ pk }) => pk).sort()).toEqual(written.filter((pk) => pk !== 'item-7').sort());
    expect(pages).toBeGreaterThan(8);
    expect((await all('/v1/c/demo/scan')).items).toHaveLength(59);
  });

  test('an empty collection is one empty page', async () => {
    const answer = await eu.get('/v1/c/demo/scan');
    expect(answer.text).toBe('{"items":[]}');
  });

  test('what is not understood is 400, what is not known 404', async () => {
    for (const query of ['limit=0', 'limit=1001', 'cursor=x', 'prefix=a', 'pk=a']) expect((await eu.get(`/v1/c/demo/scan?${query}`)).code).toBe('bad-request');
    expect((await eu.get('/v1/c/nothing/scan')).code).toBe('collection-not-found');
  });

  test('partitions that are held elsewhere are asked there, and a cursor of one region is good in another', async () => {
    const cluster = await startCluster({ regions: [AP, EU, US] });
    eu = cluster.at(EU);
    await eu.collection('spread', { replicas: 1 });
    await cluster.converge();
    for (let at = 0; at < 30; at++) await eu.put(`/v1/c/spread/items/item-${at}`, 'x');
    const found: (string | undefined)[] = [];
    let page: Page = { items: [], cursor: '' };
    for (let turn = 0; page.cursor !== undefined; turn++) {
      const region = cluster.regions[turn % 3] as TestRegion;
      page = (await region.get(`/v1/c/spread/scan?limit=5${page.cursor === '' ? '' : `&cursor=${page.cursor}`}`)).json<Page>();
      found.push(...page.items.map(({ pk }) => pk));
    }
    expect(found.sort()).toEqual(Array.from({ length: 30 }, (_, at) => `item-${at}`).sort());
  });
});

describe('dump', () => {
  async function dump(target: string): Promise<string[]> {
    const lines: string[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const answer = await eu.get(cursor === '' ? target : `${target}&cursor=${cursor}`);
      expect(answer.field('content-type')).toBe('text/plain; charset=utf-8');
      lines.push(...answer.text.split('\n').slice(0, -1));
      cursor = answer.field('next-cursor');
    }
    return lines;
  }

  test('every record in physical order, deleted ones too, in the one-line form', async () => {
    await eu.put('/v1/c/demo/items/alice/a%20b', 'x', { 'content-type': 'text/plain' });
    await eu.put('/v1/c/demo/items/bob', '1', { 'content-type': 'application/json' });
    await eu.delete('/v1/c/demo/items/bob');
    await eu.put('/v1/c/carts/items/alice', 'other');
    for (let at = 0; at < 20; at++) await eu.put(`/v1/c/demo/items/item-${at}`, 'x');
    const lines = await dump('/v1/c/demo/dump?limit=3');
    expect(lines).toHaveLength(22);
    expect(lines).toEqual([...lines].sort());
    expect(lines.find((line) => line.includes('alice'))).toMatch(/^[0-9a-f]{24} demo "alice" "a b" \{eu-central-1~k1@[0-9a-f.]{17} "x" text\/plain\} ctx /);
    expect(lines.find((line) => line.includes('bob'))).toMatch(/^[0-9a-f]{24} demo "bob" \{eu-central-1~k1@[0-9a-f.]{17} deleted\} ctx /);
    expect(await dump('/v1/c/demo/dump?limit=1000')).toEqual(lines);
  });

  test('an admin of the whole store sees the records of the system', async () => {
    await eu.key(['read']);
    expect((await dump('/v1/c/_collections/dump?limit=100')).map((line) => line.split(' ')[2]).sort()).toEqual(['"carts"', '"demo"']);
    const keys = await dump('/v1/c/_keys/dump?limit=100');
    expect(keys).toHaveLength(1);
    expect(keys[0]).not.toContain('hash');
  });

  test('what is not understood is 400, what is not known 404', async () => {
    expect((await eu.get('/v1/c/nothing/dump')).code).toBe('collection-not-found');
    expect((await eu.get('/v1/c/_nothing/dump')).code).toBe('collection-not-found');
    expect((await eu.send('GET', '/v1/c/%zz/dump')).code).toBe('key-invalid');
    for (const query of ['cursor=x', 'limit=0', 'x=1']) expect((await eu.get(`/v1/c/demo/dump?${query}`)).code).toBe('bad-request');
  });
});
