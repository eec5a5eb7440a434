// Keys. An item is named by its collection, a partition key of 1 to 512 bytes and an optional sort key of up to 400.
//
// Physical order, everywhere: (group, partition, hash, collection, pk, sk). `hash` is the first 64 bits of SHA-256 over
// the length-prefixed collection and pk, and the partition is its first byte; so all items of one pk, one Merkle leaf of
// any depth, one partition and one placement group are each one contiguous range:
//
//   4 group · 8 hash (first byte = partition, next ten bits = leaf) · 1 + n collection · 2 + n pk · sk to the end
//
// The lengths before collection and pk make the encoding injective; the sk, last and bare, keeps its byte order.

import { ByteReader, ByteWriter, compareBytes, concatBytes, EMPTY, fromHex, toHex, utf8Text } from '../bytes.ts';
import { ArchipelError } from '../errors.ts';
import { COLLECTION_NAME_BYTES_MAX, ENCODED_KEY_BYTES_MAX, PK_BYTES_MAX, SK_BYTES_MAX } from '../limits.ts';
import type { HashFunction } from '../version/tag.ts';

declare const groupBrand: unique symbol;
/** 8 hexadecimal digits: the first 4 bytes of the hash of a placement. */
export type GroupId = string & { readonly [groupBrand]: true };

export type PartitionId = number;

export interface ItemName {
  readonly collection: string;
  readonly pk: Uint8Array;
  /** Empty when the item has none. */
  readonly sk: Uint8Array;
}

export interface ItemKey extends ItemName {
  readonly group: GroupId;
  /** The physical key. */
  readonly encoded: Uint8Array;
}

const GROUP_BYTES = 4;
const HASH_BYTES = 8;
const HASH_END = GROUP_BYTES + HASH_BYTES;
const COLLECTION = /^[A-Za-z0-9_.-]{1,64}$/;

/** `_policies`, `_keys` and the like replicate as any item does, but no client reaches them as items. */
export const isSystemCollection = (name: string): boolean => name.startsWith('_');

export const isCollectionName = (name: string): boolean => COLLECTION.test(name) && name.length <= COLLECTION_NAME_BYTES_MAX;

export function asGroupId(text: string): GroupId {
  if (!/^[0-9a-f]{8}$/.test(text)) throw new TypeError(`Not a group id: ${text}`);
  return text as GroupId;
}

const writer = new ByteWriter(1024);

/** @throws ArchipelError `key-invalid` for an empty pk, `key-too-long` above a limit. */
export function checkName(name: ItemName): void {
  if (name.pk.length === 0) throw new ArchipelError('key-invalid', 'The partition key is empty.');
  if (name.pk.length > PK_BYTES_MAX) throw new ArchipelError('key-too-long', `The partition key has ${name.pk.length} bytes; at most ${PK_BYTES_MAX} are allowed.`);
  if (name.sk.length > SK_BYTES_MAX) throw new ArchipelError('key-too-long', `The sort key has ${name.sk.length} bytes; at most ${SK_BYTES_MAX} are allowed.`);
}

/** The first 64 bits that decide everything about where an item lives. */
export function hashOf(collection: string, pk: Uint8Array, hash: HashFunction): Uint8Array {
  return hash(writeName(writer.reset(), collection, pk).view()).slice(0, HASH_BYTES);
}

/** A name of a collection has at most 64 bytes: its length is one byte. */
const writeName = (out: ByteWriter, collection: string, pk: Uint8Array): ByteWriter => out.text(collection).u16(pk.length).bytes(pk);

export function itemKey(group: GroupId, name: ItemName, hash: HashFunction): ItemKey {
  checkName(name);
  const encoded = writePrefix(group, name.collection, name.pk, hash).bytes(name.sk).finish();
  if (encoded.length > ENCODED_KEY_BYTES_MAX) {
    throw new ArchipelError('key-too-long', `The encoded key has ${encoded.length} bytes; at most ${ENCODED_KEY_BYTES_MAX} are allowed.`);
  }
  return { ...name, group, encoded };
}

/** The prefix that all items of one pk share, and no other item. */
export const pkPrefix = (group: GroupId, collection: string, pk: Uint8Array, hash: HashFunction): Uint8Array => writePrefix(group, collection, pk, hash).finish();

function writePrefix(group: GroupId, collection: string, pk: Uint8Array, hash: HashFunction): ByteWriter {
  const head = hashOf(collection, pk, hash);
  return writeName(writer.reset().u32(Number.parseInt(group, 16)).bytes(head), collection, pk);
}

export const groupBytes = (group: GroupId): Uint8Array => fromHex(group) as Uint8Array;

/** The prefix of all items of one partition of a group. */
export const partitionPrefix = (group: GroupId, partition: PartitionId): Uint8Array => concatBytes(groupBytes(group), Uint8Array.of(partition));

export const partitionOf = (encoded: Uint8Array): PartitionId => encoded[GROUP_BYTES] as number;

/** Undefined for bytes that are not a physical key. */
export function decodeKey(encoded: Uint8Array): ItemKey | undefined {
  if (encoded.length > ENCODED_KEY_BYTES_MAX || encoded.length < HASH_END) return undefined;
  try {
    const reader = new ByteReader(encoded, HASH_END);
    const collection = utf8Text(reader.bytes(reader.u8()));
    const pk = reader.bytes(reader.u16());
    const sk = reader.left === 0 ? EMPTY : reader.bytes(reader.left);
    if (collection === undefined || !isCollectionName(collection) || pk.length === 0) return undefined;
    if (pk.length > PK_BYTES_MAX || sk.length > SK_BYTES_MAX) return undefined;
    return { group: toHex(encoded.subarray(0, GROUP_BYTES)) as GroupId, collection, pk, sk, encoded };
  } catch {
    return undefined;
  }
}

/** Are the hash bytes those of the name? A sender that lies about them would hide an item from its partition. */
export const hasRightHash = (key: ItemKey, hash: HashFunction): boolean =>
  compareBytes(key.encoded.subarray(GROUP_BYTES, HASH_END), hashOf(key.collection, key.pk, hash)) === 0;
