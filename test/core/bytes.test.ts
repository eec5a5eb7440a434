import { describe, expect, it } from 'vitest';
import {
  afterPrefix, ByteReader, ByteWriter, compareBytes, concatBytes, EMPTY, equalBytes, fromBase64Url, fromHex, toBase64Url, toHex, utf8, utf8Text,
} from '../../src/core/bytes.ts';

const of = (...bytes: number[]): Uint8Array => Uint8Array.of(...bytes);

describe('bytes', () => {
  it('compare as unsigned, a prefix before what it begins', () => {
    const inOrder = [EMPTY, of(0), of(0, 0), of(0, 255), of(1), of(127), of(128), of(255), of(255, 0)];
    for (const [i, a] of inOrder.entries()) {
      for (const [j, b] of inOrder.entries()) {
        expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(i - j));
        expect(equalBytes(a, b)).toBe(i === j);
      }
    }
  });

  it('UTF-8 is strict: what is not UTF-8 is no text, and a byte order mark is text', () => {
    expect(utf8Text(of(0xc3, 0x28))).toBeUndefined();
    expect(utf8Text(of(0xed, 0xa0, 0x80))).toBeUndefined(); // half a surrogate pair
    expect(utf8Text(of(0xc0, 0x80))).toBeUndefined(); // an overlong NUL
    expect(utf8Text(utf8('\ufeffa'))).toBe('\ufeffa');
    expect(utf8Text(EMPTY)).toBe('');
  });

  it('the end of a prefix', () => {
    expect(afterPrefix(of(1, 2))).toEqual(of(1, 3));
    expect(afterPrefix(of(1, 255))).toEqual(of(2));
    expect(afterPrefix(of(255, 255))).toBeUndefined();
    expect(afterPrefix(EMPTY)).toBeUndefined();
    const prefix = of(7);
    afterPrefix(prefix);
    expect(prefix).toEqual(of(7));
  });

  it('join', () => {
    expect(concatBytes(of(1), EMPTY, of(2, 3))).toEqual(of(1, 2, 3));
    expect(concatBytes()).toEqual(EMPTY);
  });

  it('hexadecimal', () => {
    expect(toHex(of(0, 15, 255))).toBe('000fff');
    expect(fromHex('000fFF')).toEqual(of(0, 15, 255));
    for (const text of ['0', '0g', '0x', ' 00', '00\n']) expect(fromHex(text), JSON.stringify(text)).toBeUndefined();
  });

  it.each(['A', 'AA=', 'AA==', 'AB', 'AAB', 'A+', 'A/', 'A A', 'AA\n', 'A\u00e9', 'A\u{1f600}', 'AAAAA'])('%j is no strict base64url', (text) => {
    expect(fromBase64Url(text)).toBeUndefined();
  });

  it('base64url', () => {
    expect(toBase64Url(of(0xfb, 0xff))).toBe('-_8');
    expect(fromBase64Url('-_8')).toEqual(of(0xfb, 0xff));
    expect(fromBase64Url('')).toEqual(EMPTY);
  });
});

describe('writer and reader', () => {
  it('numbers of all widths', () => {
    const bytes = new ByteWriter(1).u8(255).u16(65_535).u32(4_294_967_295).u64(2n ** 64n - 1n).finish();
    const reader = new ByteReader(bytes);
    expect([reader.u8(), reader.u16(), reader.u32(), reader.u64(), reader.left]).toEqual([255, 65_535, 4_294_967_295, 2n ** 64n - 1n, 0]);
    expect(new ByteWriter().u16(1).finish()).toEqual(of(0, 1));
  });

  it.each([
    [0, [0]],
    [127, [127]],
    [128, [128, 1]],
    [16_383, [255, 127]],
    [2 ** 31, [128, 128, 128, 128, 8]],
    [2 ** 53 - 1, [255, 255, 255, 255, 255, 255, 255, 15]],
  ])('varint %d', (value, bytes) => {
    expect(new ByteWriter().varint(value).finish()).toEqual(of(...bytes));
    expect(new ByteReader(of(...bytes)).varint()).toBe(value);
  });

  it.each([
    ['2^53', [128, 128, 128, 128, 128, 128, 128, 16]],
    ['more than 8 bytes', [128, 128, 128, 128, 128, 128, 128, 128, 1]],
    ['cut off', [128]],
    ['nothing', []],
  ])('varint of %s is refused', (_, bytes) => {
    expect(() => new ByteReader(of(...bytes)).varint()).toThrow(RangeError);
  });

  it('nothing is read past the end', () => {
    const reader = new ByteReader(of(1, 2, 3), 1);
    expect([reader.offset, reader.left]).toEqual([1, 2]);
    expect(() => reader.u32()).toThrow(RangeError);
    expect(() => reader.u64()).toThrow(RangeError);
    expect(() => reader.bytes(3)).toThrow(RangeError);
    expect(reader.u16()).toBe(0x0203);
    expect(() => reader.u8()).toThrow(RangeError);
    expect(reader.bytes(0)).toEqual(EMPTY);
  });

  it('text that is not UTF-8 is refused', () => {
    expect(() => new ByteReader(of(2, 0xc3, 0x28)).text()).toThrow(RangeError);
    expect(new ByteReader(new ByteWriter().text('caf\u00e9').finish()).text()).toBe('caf\u00e9');
  });

  it('ByteWriter: numbers before and after it grew', () => {
    expect(new ByteWriter(2).u16(1).u64(2n).bytes(of(9, 9)).u32(3).finish()).toEqual(of(0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 9, 9, 0, 0, 0, 3));
  });

  it('ByteWriter.done: what fills its capacity is not copied, and what does not is cut', () => {
    const full = new ByteWriter(3).u8(1).u16(2);
    expect(full.done()).toEqual(of(1, 0, 2));
    expect(full.done()).toBe(full.done());
    expect(new ByteWriter(8).u8(7).done()).toEqual(of(7));
  });

  it('what was finished does not change when the writer is used again', () => {
    const writer = new ByteWriter(4);
    const first = writer.bytes(of(1, 2, 3, 4, 5)).finish();
    expect(writer.reset().u8(9).finish()).toEqual(of(9));
    expect(first).toEqual(of(1, 2, 3, 4, 5));
  });

  it('reads a view into a larger buffer', () => {
    expect(new ByteReader(of(9, 9, 0, 7, 9).subarray(2, 4)).u16()).toBe(7);
  });
});
