import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterPrefix, ByteReader, ByteWriter, compareBytes, concatBytes, equalBytes, fromBase64Url, fromHex, toBase64Url, toHex, utf8, utf8Text } from '../../src/core/bytes.ts';

const RUNS = { numRuns: 1_000 };
const some = fc.uint8Array({ maxLength: 40 });

describe('bytes, against Buffer', () => {
  it('base64url and hexadecimal', () => {
    fc.assert(
      fc.property(some, (bytes) => {
        const buffer = Buffer.from(bytes);
        expect(toBase64Url(bytes)).toBe(buffer.toString('base64url'));
        expect(fromBase64Url(buffer.toString('base64url'))).toEqual(bytes);
        expect(toHex(bytes)).toBe(buffer.toString('hex'));
        expect(fromHex(buffer.toString('hex'))).toEqual(bytes);
      }),
      RUNS,
    );
  });

  it('one byte string has one base64url text: what is read is written as it was', () => {
    const text = fc.oneof(fc.string({ maxLength: 12 }), fc.stringMatching(/^[A-Za-z0-9_-]{0,12}$/), fc.stringMatching(/^[A-Za-z0-9_+/=-]{0,12}$/));
    fc.assert(
      fc.property(text, (each) => {
        const bytes = fromBase64Url(each);
        const isStrict = Buffer.from(each, 'base64url').toString('base64url') === each;
        expect(bytes !== undefined).toBe(isStrict);
        if (bytes !== undefined) expect(toBase64Url(bytes)).toBe(each);
      }),
      { numRuns: 3_000 },
    );
  });

  it('order, equality and joining', () => {
    fc.assert(
      fc.property(some, some, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b));
        expect(equalBytes(a, b)).toBe(Buffer.from(a).equals(b));
        expect(concatBytes(a, b, a)).toEqual(Uint8Array.from(Buffer.concat([a, b, a])));
      }),
      RUNS,
    );
  });

  it('UTF-8 is read exactly where it is UTF-8', () => {
    fc.assert(
      fc.property(fc.oneof(some, fc.string({ unit: 'binary' }).map(utf8)), (bytes) => {
        const text = utf8Text(bytes);
        const isUtf8 = Buffer.from(Buffer.from(bytes).toString('utf8')).equals(bytes);
        expect(text !== undefined).toBe(isUtf8);
        if (text !== undefined) expect(utf8(text)).toEqual(bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  it('the end of a prefix is the smallest above all that begin with it', () => {
    const short = fc.array(fc.constantFrom(0, 1, 254, 255), { maxLength: 4 }).map((bytes) => Uint8Array.from(bytes));
    fc.assert(
      fc.property(short, short, (prefix, other) => {
        const end = afterPrefix(prefix);
        const begins = equalBytes(other.subarray(0, prefix.length), prefix);
        const isWithin = compareBytes(other, prefix) >= 0 && (end === undefined || compareBytes(other, end) < 0);
        expect(isWithin).toBe(begins);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('writer and reader', () => {
  it('what is written is read again, in one piece with what stands around it', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.nat(0xffff), fc.nat({ max: 0xffff_ffff }), fc.bigInt(0n, 2n ** 64n - 1n), fc.maxSafeNat(), some, fc.string(), (a, b, c, d, e, f, g) => {
        const bytes = new ByteWriter(1).u8(a).u16(b).u32(c).u64(d).varint(e).block(f).text(g).bytes(f).finish();
        const reader = new ByteReader(bytes);
        expect([reader.u8(), reader.u16(), reader.u32(), reader.u64(), reader.varint()]).toEqual([a, b, c, d, e]);
        expect(reader.block()).toEqual(f);
        expect(reader.text()).toBe(g);
        expect(reader.bytes(f.length)).toEqual(f);
        expect(reader.left).toBe(0);
      }),
      RUNS,
    );
  });

  it('a varint of any bytes is a safe number or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 10 }), (bytes) => {
        let value: number;
        try {
          value = new ByteReader(bytes).varint();
        } catch (error) {
          return void expect(error).toBeInstanceOf(RangeError);
        }
        expect(Number.isSafeInteger(value) && value >= 0).toBe(true);
      }),
      RUNS,
    );
  });
});
