// The most frequent keys of a stream, against a count of all of them.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HotKeys } from '../../src/core/hot-keys.ts';

describe('hot keys', () => {
  it('with room for all, the counts are exact', () => {
    const hot = new HotKeys<number>(10);
    for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) hot.add(key, () => key.charCodeAt(0));
    expect(hot.top(2)).toEqual([{ value: 97, count: 3, error: 0 }, { value: 98, count: 2, error: 0 }]);
    expect(hot.total).toBe(6);
  });

  it('whatever comes: nothing that is frequent is missed, and no count is wrong by more than it says', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(30), { maxLength: 400 }), fc.integer({ min: 1, max: 8 }), (stream, capacity) => {
        const hot = new HotKeys<number>(capacity, Number.POSITIVE_INFINITY);
        const exact = new Map<number, number>();
        for (const key of stream) {
          hot.add(String(key), () => key);
          exact.set(key, (exact.get(key) ?? 0) + 1);
        }
        const found = new Map(hot.top(capacity).map((each) => [each.value, each]));
        for (const { value, count, error } of found.values()) {
          expect(count).toBeGreaterThanOrEqual(exact.get(value) ?? 0);
          expect(count - error).toBeLessThanOrEqual(exact.get(value) ?? 0);
        }
        for (const [key, count] of exact) if (count > stream.length / capacity) expect(found.has(key)).toBe(true);
        expect(found.size).toBeLessThanOrEqual(capacity);
      }),
    );
  });

  it('old days weigh less: what was hot and is no more goes down, and away', () => {
    const hot = new HotKeys<string>(4, 100);
    for (let at = 0; at < 90; at++) hot.add('old', () => 'old');
    for (let at = 0; at < 150; at++) hot.add('new', () => 'new');
    expect(hot.top(1)[0]?.value).toBe('new');
    for (let at = 0; at < 600; at++) hot.add('new', () => 'new');
    expect(hot.top(4).map(({ value }) => value)).toEqual(['new']);
    expect(hot.total).toBeLessThan(100);
  });
});
