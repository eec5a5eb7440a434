import { describe, expect, it } from 'vitest';
import { asStamp, formatStamp, makeStamp, maxStamp, nextStamp, parseStamp, raiseAbove, STAMP_ZERO, stampMs } from '../../src/core/version/stamp.ts';

describe('stamp', () => {
  it('orders by milliseconds, then by counter', () => {
    const inOrder = [makeStamp(0), makeStamp(0, 1), makeStamp(0, 0xffff), makeStamp(1), makeStamp(1, 1), makeStamp(2 ** 48 - 1, 0xffff)];
    for (const [at, stamp] of inOrder.entries()) for (const later of inOrder.slice(at + 1)) expect(stamp < later).toBe(true);
  });

  it('carries a full counter into the milliseconds and never wraps', () => {
    expect(nextStamp(makeStamp(100, 0xffff))).toBe(makeStamp(101, 0));
    expect(() => nextStamp(asStamp(2n ** 64n - 1n))).toThrow(RangeError);
  });

  it('keeps 64 bits exactly: stamps that a JavaScript number would round together stay apart', () => {
    const stamp = makeStamp(1_760_000_000_000, 1);
    expect(Number(stamp)).toBe(Number(stamp - 1n));
    expect(stamp === makeStamp(1_760_000_000_000, 0)).toBe(false);
    expect(parseStamp(formatStamp(stamp))).toBe(stamp);
    expect(stampMs(stamp)).toBe(1_760_000_000_000);
    expect(stampMs(asStamp(2n ** 64n - 1n))).toBe(2 ** 48 - 1);
  });

  it.each([
    [-1, 0],
    [2 ** 48, 0],
    [1.5, 0],
    [Number.NaN, 0],
    [0, -1],
    [0, 0x1_0000],
    [0, 0.5],
  ])('refuses %d ms with counter %d', (ms, counter) => {
    expect(() => makeStamp(ms, counter)).toThrow(TypeError);
  });

  it('refuses what has no 64 bits', () => {
    expect(() => asStamp(-1n)).toThrow(RangeError);
    expect(() => asStamp(2n ** 64n)).toThrow(RangeError);
    expect(asStamp(2n ** 64n - 1n)).toBe(2n ** 64n - 1n);
  });

  it('is raised only where the floor is not below it', () => {
    expect(raiseAbove(makeStamp(5), makeStamp(4))).toBe(makeStamp(5));
    expect(raiseAbove(makeStamp(5), makeStamp(5))).toBe(makeStamp(5, 1));
    expect(raiseAbove(makeStamp(5), makeStamp(9, 3))).toBe(makeStamp(9, 4));
    expect(maxStamp(STAMP_ZERO, makeStamp(0, 1))).toBe(makeStamp(0, 1));
  });

  it('prints on one line and sorts as text like the number', () => {
    expect(formatStamp(STAMP_ZERO)).toBe('000000000000.0000');
    expect(formatStamp(makeStamp(0x0199_a2b3_c4d5, 1))).toBe('0199a2b3c4d5.0001');
  });

  it.each(['', '0199a2b3c4d5', '0199a2b3c4d5.001', '0199A2B3C4D5.0001', ' 0199a2b3c4d5.0001', '0199a2b3c4d5.0001\n', '0x99a2b3c4d5.0001'])('does not read %j as a stamp', (text) => {
    expect(parseStamp(text)).toBeUndefined();
  });
});
