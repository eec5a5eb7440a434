import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { afterPrefix, compareBytes, equalBytes, toHex, utf8 } from '../../src/core/bytes.ts';
import { asGroupId, decodeKey, hashOf, hasRightHash, itemKey, partitionOf, pkPrefix, type ItemKey } from '../../src/core/keys/item-key.ts';
import { leafOf } from '../../src/core/merkle/digest.ts';

const RUNS = { numRuns: 1_000 };
const group = fc.constantFrom('00000000', '0000ffff', 'ff000000').map(asGroupId);
const collection = fc.oneof(fc.constantFrom('a', 'b', 'aa', '_x'), fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/));
/** Few bytes and short, so that one is often the beginning of another; sometimes anything. */
const piece = (most: number): fc.Arbitrary<Uint8Array> => fc.oneof(fc.array(fc.constantFrom(0, 1, 255), { maxLength: 3 }).map((bytes) => Uint8Array.from(bytes)), fc.uint8Array({ maxLength: most }));
const pk = piece(512).filter(({ length }) => length > 0);
const key: fc.Arbitrary<ItemKey> = fc.record({ group, collection, pk, sk: piece(400) }).map((name) => itemKey(name.group, name, sha256));
/** A hash with only a few outcomes, so that different names meet under one hash. */
const poorHash = (bytes: Uint8Array): Uint8Array => sha256(Uint8Array.of((sha256(bytes)[0] as number) % 2));

describe('item keys', () => {
  it('are read again as they were written', () => {
    fc.assert(
      fc.property(key, (each) => {
        expect(decodeKey(each.encoded)).toEqual(each);
        expect(hasRightHash(each, sha256)).toBe(true);
        expect(partitionOf(each.encoded)).toBe(hashOf(each.collection, each.pk, sha256)[0]);
        expect(leafOf(each.encoded)).toBe(new DataView(each.encoded.buffer, each.encoded.byteOffset).getUint16(5) >> 6);
      }),
      RUNS,
    );
  });

  it('different names have different keys, even where their hashes meet', () => {
    const name = fc.record({ group, collection, pk, sk: piece(4) });
    fc.assert(
      fc.property(name, name, fc.constantFrom(sha256, poorHash), (a, b, hash) => {
        const isSame = a.group === b.group && a.collection === b.collection && equalBytes(a.pk, b.pk) && equalBytes(a.sk, b.sk);
        expect(equalBytes(itemKey(a.group, a, hash).encoded, itemKey(b.group, b, hash).encoded)).toBe(isSame);
      }),
      { numRuns: 2_000 },
    );
  });

  it('byte order is the order of (group, hash, collection, pk, sk)', () => {
    const near = fc.tuple(key, key, fc.constantFrom('as they are', 'one group', 'one pk')).map(([a, b, how]): [ItemKey, ItemKey] => {
      if (how === 'as they are') return [a, b];
      return [a, how === 'one group' ? itemKey(a.group, b, sha256) : itemKey(a.group, { ...a, sk: b.sk }, sha256)];
    });
    const parts = (each: ItemKey): Uint8Array[] => [utf8(each.group), hashOf(each.collection, each.pk, sha256), utf8(each.collection), each.pk, each.sk];
    fc.assert(
      fc.property(near, ([a, b]) => {
        const [mine, theirs] = [parts(a), parts(b)];
        const at = mine.findIndex((part, i) => !equalBytes(part, theirs[i] as Uint8Array));
        const order = at < 0 ? 0 : compareBytes(mine[at] as Uint8Array, theirs[at] as Uint8Array);
        expect(Math.sign(compareBytes(a.encoded, b.encoded))).toBe(Math.sign(order));
      }),
      { numRuns: 2_000 },
    );
  });

  it('the prefix of a pk begins exactly the keys of its items, even where hashes meet', () => {
    const name = fc.record({ group, collection, pk });
    fc.assert(
      fc.property(name, name, piece(8), fc.constantFrom(sha256, poorHash), (a, b, sk, hash) => {
        const prefix = pkPrefix(a.group, a.collection, a.pk, hash);
        const { encoded } = itemKey(b.group, { ...b, sk }, hash);
        const isSame = a.group === b.group && a.collection === b.collection && equalBytes(a.pk, b.pk);
        expect(equalBytes(encoded.subarray(0, prefix.length), prefix)).toBe(isSame);
        const end = afterPrefix(prefix);
        expect(compareBytes(encoded, prefix) >= 0 && (end === undefined || compareBytes(encoded, end) < 0)).toBe(isSame);
      }),
      { numRuns: 2_000 },
    );
  });

  it('random bytes are no key, or one that is written as these bytes but for its hash', () => {
    const almost = fc.tuple(key, fc.nat(), fc.nat(255), fc.boolean()).map(([{ encoded }, at, to, cut]) => {
      if (cut) return encoded.slice(0, at % encoded.length);
      const changed = encoded.slice();
      changed[at % changed.length] = to;
      return changed;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 1_010 }), almost), (bytes) => {
        const decoded = decodeKey(bytes);
        if (decoded === undefined) return;
        const again = itemKey(decoded.group, decoded, sha256).encoded;
        expect(again.length).toBe(bytes.length);
        expect(toHex(again.subarray(12))).toBe(toHex(bytes.subarray(12)));
        expect(equalBytes(again, bytes)).toBe(hasRightHash(decoded, sha256));
      }),
      { numRuns: 2_000 },
    );
  });

  it('the hash spreads keys that resemble each other evenly over partitions and leaves', () => {
    const count = 25_600;
    const most = (slots: number, slotOf: (each: Uint8Array) => number, name: (at: number) => string): number => {
      const filled = new Uint32Array(slots);
      for (let at = 0; at < count; at++) {
        const slot = slotOf(hashOf('demo', utf8(name(at)), sha256));
        filled[slot] = (filled[slot] as number) + 1;
      }
      return Math.max(...filled);
    };
    for (const name of [(at: number) => `user-${at}`, (at: number) => `${at}`, (at: number) => 'a'.repeat(1 + (at % 500)) + at]) {
      // 100 expected in a partition, 25 in a leaf: six standard deviations more are never seen.
      expect(most(256, (hash) => hash[0] as number, name)).toBeLessThanOrEqual(160);
      expect(most(1_024, (hash) => ((hash[1] as number) << 2) | ((hash[2] as number) >> 6), name)).toBeLessThanOrEqual(55);
    }
  });
});
