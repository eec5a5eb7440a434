// A nonce is taken once: the window behind it, against the plainest twin (a set of everything ever taken).

import { describe, expect, test } from 'vitest';
import { BOOTS_MAX, NONCE_WINDOW, NonceWindow } from '../../src/auth/signature.ts';
import { seededRandom } from './harness.ts';

const BOOT = '0123456789abcdef';

describe('nonce window', () => {
  test('a counter is taken once, in any order within the window', () => {
    const window = new NonceWindow();
    for (const counter of [10, 7, 12, 11, 8, 9]) expect(window.take(BOOT, counter, 0)).toBe(true);
    for (const counter of [7, 8, 9, 10, 11, 12]) expect(window.take(BOOT, counter, 0)).toBe(false);
    expect(window.take(BOOT, 6, 0)).toBe(true);
  });

  test('the edge of the window: the last one inside is told apart, what is older is refused', () => {
    const window = new NonceWindow();
    window.take(BOOT, 1, 0);
    window.take(BOOT, 1 + NONCE_WINDOW, 0);
    expect(window.take(BOOT, 1, 0)).toBe(false);
    expect(window.take(BOOT, 2, 0)).toBe(true);
    expect(window.take(BOOT, 2, 0)).toBe(false);
    expect(window.take(BOOT, 2 + NONCE_WINDOW, 0)).toBe(true);
    expect(window.take(BOOT, 2, 0)).toBe(false);
  });

  test('a jump over the whole window forgets no refusal and makes none up', () => {
    for (const jump of [NONCE_WINDOW - 1, NONCE_WINDOW, NONCE_WINDOW + 1, 3 * NONCE_WINDOW + 5]) {
      const window = new NonceWindow();
      for (let counter = 1; counter <= 100; counter++) window.take(BOOT, counter, 0);
      expect(window.take(BOOT, 100 + jump, 0)).toBe(true);
      expect(window.take(BOOT, 100 + jump, 0)).toBe(false);
      for (let counter = 1; counter <= 100; counter++) expect(window.take(BOOT, counter, 0)).toBe(false);
      for (let counter = 101 + jump - Math.min(jump, NONCE_WINDOW); counter < 100 + jump; counter++) expect(window.take(BOOT, counter, 0)).toBe(true);
    }
  });

  test('a sender that starts again has a boot id and counters of its own', () => {
    const window = new NonceWindow();
    expect(window.take(BOOT, 5, 0)).toBe(true);
    expect(window.take('fedcba9876543210', 5, 0)).toBe(true);
    expect(window.take('fedcba9876543210', 5, 0)).toBe(false);
    expect(window.take(BOOT, 5, 0)).toBe(false);
  });

  test('looking takes nothing', () => {
    const window = new NonceWindow();
    expect([window.has(BOOT, 5), window.size]).toEqual([false, 0]);
    window.take(BOOT, 5, 0);
    expect([window.has(BOOT, 5), window.has(BOOT, 4), window.has(BOOT, 6), window.has(BOOT, 5 - NONCE_WINDOW)]).toEqual([true, false, false, true]);
    expect(window.take(BOOT, 6, 0)).toBe(true);
  });

  test('the number of windows is bounded: the silent go first, and one that is heard stays', () => {
    const window = new NonceWindow();
    const boot = (at: number): string => at.toString(16).padStart(16, '0');
    for (let at = 0; at < 10 * BOOTS_MAX; at++) {
      expect(window.take(boot(at + 1), 1, at * 1_000)).toBe(true);
      expect(window.take(BOOT, at, at * 1_000)).toBe(true);
      expect(window.size).toBeLessThanOrEqual(BOOTS_MAX);
    }
    for (let at = 0; at < 10 * BOOTS_MAX; at++) expect(window.take(BOOT, at, 10 * BOOTS_MAX * 1_000)).toBe(false);
  });

  test('20,000 counters, shuffled and repeated: as the twin says, or refused as too old', () => {
    const random = seededRandom(1);
    const below = (limit: number): number => {
      const [a = 0, b = 0] = random.bytes(2);
      return (a * 256 + b) % limit;
    };
    const window = new NonceWindow();
    const taken = new Set<number>();
    let next = 1;
    let highest = 0;
    for (let turn = 0; turn < 20_000; turn++) {
      next += below(50) === 0 ? below(2 * NONCE_WINDOW) : 1;
      const counter = Math.max(0, next - (below(3) === 0 ? below(2 * NONCE_WINDOW) : 0));
      const expected = !taken.has(counter) && counter > highest - NONCE_WINDOW;
      if (window.take(BOOT, counter, 0) !== expected) expect.fail(`turn ${turn}: counter ${counter} should ${expected ? '' : 'not '}have been taken`);
      taken.add(counter);
      highest = Math.max(highest, expected ? counter : 0);
    }
  });
});
