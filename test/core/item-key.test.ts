import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { compareBytes, EMPTY, toHex, utf8 } from '../../src/core/bytes.ts';
import { ArchipelError } from '../../src/core/errors.ts';
import {
  asGroupId, checkName, decodeKey, hashOf, hasRightHash, isCollectionName, isSystemCollection, itemKey, partitionOf, partitionPrefix, pkPrefix, type ItemName,
} from '../../src/core/keys/item-key.ts';
import { COLLECTION_NAME_BYTES_MAX, ENCODED_KEY_BYTES_MAX, PK_BYTES_MAX, SK_BYTES_MAX } from '../../src/core/limits.ts';
import { GROUP } from '../contract/make.ts';

const name = (pk: Uint8Array, sk: Uint8Array = EMPTY, collection = 'demo'): ItemName => ({ collection, pk, sk });
const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(0x61);
const code = (run: () => void): string => {
  try {
    run();
    return 'fine';
  } catch (error) {
    return error instanceof ArchipelError ? error.code : String(error);
  }
};

describe('item keys', () => {
  // Keys never change their place, so this line can never change either.
  it('the encoding, byte by byte', () => {
    const key = itemKey(asGroupId('0a0b0c0d'), name(utf8('user:1'), utf8('order:7'), 'shop'), sha256);
    const hash = toHex(sha256(Uint8Array.of(4, ...utf8('shop'), 0, 6, ...utf8('user:1'))).subarray(0, 8));
    expect(toHex(key.encoded)).toBe(`0a0b0c0d${hash}04${toHex(utf8('shop'))}0006${toHex(utf8('user:1'))}${toHex(utf8('order:7'))}`);
    expect(toHex(hashOf('shop', utf8('user:1'), sha256))).toBe(hash);
    expect(partitionOf(key.encoded)).toBe(Number.parseInt(hash.slice(0, 2), 16));
    expect(decodeKey(key.encoded)).toEqual(key);
  });

  it('limits hold at their edges', () => {
    const check = (pk: number, sk: number): string => code(() => checkName(name(bytes(pk), bytes(sk))));
    expect(check(0, 0)).toBe('key-invalid');
    expect(check(1, 0)).toBe('fine');
    expect(check(PK_BYTES_MAX, SK_BYTES_MAX)).toBe('fine');
    expect(check(PK_BYTES_MAX + 1, 0)).toBe('key-too-long');
    expect(check(1, SK_BYTES_MAX + 1)).toBe('key-too-long');
    expect(code(() => itemKey(GROUP, name(bytes(PK_BYTES_MAX + 1)), sha256))).toBe('key-too-long');
  });

  it('the longest name fits the encoded limit, and that fits a DynamoDB sort key', () => {
    const longest = itemKey(GROUP, name(bytes(PK_BYTES_MAX), bytes(SK_BYTES_MAX), 'c'.repeat(COLLECTION_NAME_BYTES_MAX)), sha256);
    expect(longest.encoded.length).toBe(991);
    expect(longest.encoded.length).toBeLessThanOrEqual(ENCODED_KEY_BYTES_MAX);
    expect(decodeKey(longest.encoded)).toEqual(longest);
  });

  it.each([
    ['', false], ['a', true], ['A.b_c-9', true], ['_policies', true], ['c'.repeat(64), true], ['c'.repeat(65), false], ['a b', false], ['a/b', false], ['a\n', false], ['caf\u00e9', false],
  ])('collection name %j: %s', (text, valid) => {
    expect(isCollectionName(text)).toBe(valid);
  });

  it('a leading underscore is the system\'s', () => {
    expect(['_keys', 'keys_', 'keys'].map(isSystemCollection)).toEqual([true, false, false]);
  });

  it('a group id is 8 hexadecimal digits', () => {
    expect(asGroupId('0a0b0c0d')).toBe('0a0b0c0d');
    for (const text of ['', '0a0b0c0', '0A0B0C0D', '0a0b0c0d0', '0a0b0c0g']) expect(() => asGroupId(text), text).toThrow(TypeError);
  });

  it('names that could be taken for each other are not', () => {
    const names = [
      name(utf8('ab'), utf8('c')), name(utf8('a'), utf8('bc')), name(utf8('abc')),
      name(utf8('b'), EMPTY, 'demoa'), name(utf8('ab'), EMPTY, 'demo'), name(utf8('a\u0000'), utf8('b')), name(utf8('a'), utf8('\u0000b')),
    ];
    expect(new Set(names.map((each) => toHex(itemKey(GROUP, each, sha256).encoded))).size).toBe(names.length);
    const colliding = (): Uint8Array => new Uint8Array(32);
    expect(new Set(names.map((each) => toHex(itemKey(GROUP, each, colliding).encoded))).size).toBe(names.length);
  });

  it('prefixes', () => {
    const key = itemKey(GROUP, name(utf8('a'), utf8('b')), sha256);
    expect(key.encoded.subarray(0, 5)).toEqual(partitionPrefix(GROUP, partitionOf(key.encoded)));
    expect(compareBytes(key.encoded.subarray(0, -1), pkPrefix(GROUP, 'demo', utf8('a'), sha256))).toBe(0);
  });

  it('a sender that lies about the hash is found', () => {
    const key = itemKey(GROUP, name(utf8('a')), sha256);
    expect(hasRightHash(key, sha256)).toBe(true);
    const encoded = key.encoded.slice();
    encoded[11] = (encoded[11] as number) ^ 1;
    const decoded = decodeKey(encoded);
    expect(decoded && hasRightHash(decoded, sha256)).toBe(false);
  });

  it.each([
    ['nothing', EMPTY],
    ['no name', new Uint8Array(12)],
    ['an empty collection', new Uint8Array(20)],
    ['an empty pk', Uint8Array.of(...new Uint8Array(12), 1, 0x61, 0, 0, 0x61)],
    ['a pk longer than the rest', Uint8Array.of(...new Uint8Array(12), 1, 0x61, 0, 2, 0x61)],
    ['a collection of other characters', Uint8Array.of(...new Uint8Array(12), 1, 0x2f, 0, 1, 0x61)],
    ['a pk above its limit', Uint8Array.of(...new Uint8Array(12), 1, 0x61, 2, 1, ...bytes(PK_BYTES_MAX + 1))],
    ['an sk above its limit', Uint8Array.of(...new Uint8Array(12), 1, 0x61, 0, 1, 0x61, ...bytes(SK_BYTES_MAX + 1))],
    ['more than the encoded limit', bytes(ENCODED_KEY_BYTES_MAX + 1)],
  ])('%s is no key', (_, encoded) => {
    expect(decodeKey(encoded)).toBeUndefined();
  });
});
