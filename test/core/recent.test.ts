import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Recent } from '../../src/core/recent.ts';

describe('what was used lately', () => {
  it('is never more than the bound, and always what was set last', () => {
    const step = fc.record({ key: fc.integer({ min: 0, max: 20 }), weight: fc.integer({ min: 1, max: 7 }), act: fc.constantFrom('get', 'set', 'replace', 'delete') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const recent = new Recent<number, { readonly at: number; readonly weight: number }>(12);
        const all = new Map<number, { readonly at: number; readonly weight: number }>();
        for (const [at, { key, weight, act }] of steps.entries()) {
          if (act === 'delete') {
            recent.delete(key);
            all.delete(key);
          } else if (act === 'set') {
            recent.set(key, { at, weight }, weight);
            all.set(key, { at, weight });
          } else if (act === 'replace') {
            const isHeld = recent.has(key);
            recent.replace(key, { at, weight }, weight);
            if (isHeld) all.set(key, { at, weight });
            else expect(recent.has(key)).toBe(false);
          }
          const found = recent.get(key);
          if (found !== undefined) expect(found).toEqual(all.get(key));
          const held = [...all].filter(([each]) => recent.has(each)).reduce((sum, [, { weight: each }]) => sum + each, 0);
          expect(held).toBeLessThanOrEqual(12);
        }
      }),
    );
  });

  it('what is forgotten is told once, as it was last, and never what was deleted', () => {
    const step = fc.record({ key: fc.integer({ min: 0, max: 60 }), weight: fc.constantFrom(1, 1, 1, 1, 1, 1, 25), act: fc.constantFrom('get', 'set', 'set', 'set', 'replace', 'delete') });
    fc.assert(
      fc.property(fc.array(step, { minLength: 200, maxLength: 400 }), (steps) => {
        const all = new Map<number, number>();
        const recent = new Recent<number, number>(90, (key, value) => {
          expect([value, recent.has(key)]).toEqual([all.get(key), false]);
          all.delete(key);
        });
        for (const [at, { key, weight, act }] of steps.entries()) {
          if (act === 'get') expect(recent.get(key)).toBe(all.get(key));
          else if (act === 'delete') {
            recent.delete(key);
            all.delete(key);
          } else {
            const isHeld = all.has(key);
            if (act === 'set' || isHeld) all.set(key, at);
            if (act === 'set') recent.set(key, at, weight);
            else expect(recent.replace(key, at, weight)).toBe(isHeld);
          }
          expect(recent.size).toBe(all.size);
        }
      }),
    );
  });

  it('what is used again outlives what is not', () => {
    const recent = new Recent<string, number>(4);
    recent.set('hot', 1);
    for (let at = 0; at < 50; at++) {
      recent.set(`cold ${at}`, at);
      expect(recent.get('hot')).toBe(1);
    }
    expect(recent.has('cold 0')).toBe(false);
    recent.clear();
    expect(recent.size).toBe(0);
  });

  it('what weighs more than half of the bound is not held, and replaces what was', () => {
    const recent = new Recent<string, number>(10);
    recent.set('a', 1, 5);
    recent.set('a', 2, 6);
    expect(recent.get('a')).toBeUndefined();
  });

  it('what is replaced by something heavier makes room for it', () => {
    const recent = new Recent<string, number>(12);
    for (const name of ['a', 'b', 'c', 'd']) recent.set(name, 1, 3);
    recent.replace('c', 2, 6);
    recent.replace('d', 2, 6);
    recent.replace('e', 2, 1);
    expect(['a', 'b', 'c', 'd', 'e'].filter((name) => recent.has(name))).toEqual(['c', 'd']);
    expect([recent.get('c'), recent.get('d')]).toEqual([2, 2]);
  });
});
