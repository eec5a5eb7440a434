// Where things lie in the one ordered key space of a region's LevelDB. The first byte says what a row is:
//
//   r <physical key>                         record: envelope, then the encoded state
//   s <n collection> <physical key>          the item holds several values (index of conflicts)
//   e <u48 ms> <physical key>                a value of the item expires then (index of the sweep)
//   t <physical key>                         the item has no value, or only such as expire (index of reaping)
//   l <u48 position>                         change log: what one group commit changed
//   z <id>                                   loss row
//   x <physical key>                         the item's newest losers and what they cover
//   w <u16 length> <physical key> <dot> <id> loss rows of an item
//   y <n collection> <u48 ms> <id>           loss rows of a collection in the order of their writing
//   h <n queue> <message key>                queued message (hints)
//   d <n queue> <u48 id>                     dead letter
//   m <name>                                 document
//   n <name>                                 the store's own notes: checkpoint, reader's position
//   k <group> <partition>                    checkpointed digest
//
// Everything is written in one keyspace, not in sublevels, so that one group commit is one atomic batch.

import { ByteReader, ByteWriter, concatBytes, keyText, Slab, utf8 } from '../../core/bytes.ts';
import { isZeroSum, type Sum } from '../../core/merkle/digest.ts';
import type { GroupId, PartitionId } from '../../core/keys/item-key.ts';
import { partitionPrefix } from '../../core/keys/item-key.ts';
import { decodeState, MalformedError, writeState } from '../../core/version/codec.ts';
import type { Dot } from '../../core/version/dot.ts';
import type { LossRow } from '../../core/version/loss-row.ts';
import type { CommitKind, Record } from '../../core/version/record.ts';

const prefix = (letter: string): number => letter.charCodeAt(0);

const writer = new ByteWriter(16 * 1024);

const row = (letter: string): ByteWriter => writer.reset().u8(prefix(letter));

const u48 = (out: ByteWriter, value: number): ByteWriter => out.u16(Math.floor(value / 2 ** 32)).u32(value % 2 ** 32);

export const readU48 = (reader: ByteReader): number => reader.u16() * 2 ** 32 + reader.u32();

const named = (letter: string, name: string): ByteWriter => {
  const bytes = utf8(name);
  return row(letter).u8(bytes.length).bytes(bytes);
};

/**
 * Keys and records, each in pieces of its own: what waits to be sent keeps records, and no keys. LevelDB reads both in native
 * code, for which V8 first moves a small array out of its own heap, at six times the price of a piece of a larger one.
 */
const keySlab = new Slab();
const recordSlab = new Slab();

const rowOf = (out: ByteWriter): Uint8Array => keySlab.copyOf(out.view());

export const rows = {
  record: (key: Uint8Array): Uint8Array => rowOf(row('r').bytes(key)),
  sibling: (collection: string, key: Uint8Array): Uint8Array => rowOf(named('s', collection).bytes(key)),
  expiry: (ms: number, key: Uint8Array): Uint8Array => rowOf(u48(row('e'), ms).bytes(key)),
  tombstone: (key: Uint8Array): Uint8Array => rowOf(row('t').bytes(key)),
  log: (position: number): Uint8Array => rowOf(u48(row('l'), position)),
  losers: (key: Uint8Array): Uint8Array => rowOf(row('x').bytes(key)),
  lossesOf: (key: Uint8Array): Uint8Array => rowOf(row('w').u16(key.length).bytes(key)),
  lossOf: (key: Uint8Array, { dot, id }: Pick<LossRow, 'dot' | 'id'>): Uint8Array => rowOf(row('w').u16(key.length).bytes(key).u64(dot.stamp).text(dot.actor).bytes(utf8(id))),
  lossTimes: (collection: string): Uint8Array => rowOf(named('y', collection)),
  lossTime: (collection: string, ms: number, id: string): Uint8Array => rowOf(u48(named('y', collection), ms).bytes(utf8(id))),
  loss: (id: string): Uint8Array => rowOf(row('z').bytes(utf8(id))),
  queue: (queue: string): Uint8Array => rowOf(named('h', queue)),
  message: (queue: string, key: Uint8Array): Uint8Array => rowOf(named('h', queue).bytes(key)),
  deadLetters: (queue: string): Uint8Array => rowOf(named('d', queue)),
  deadLetter: (queue: string, id: number): Uint8Array => rowOf(u48(named('d', queue), id)),
  document: (name: string): Uint8Array => rowOf(row('m').bytes(utf8(name))),
  note: (name: string): Uint8Array => rowOf(row('n').bytes(utf8(name))),
  digest: (group: GroupId, partition: PartitionId): Uint8Array => concatBytes(Uint8Array.of(prefix('k')), partitionPrefix(group, partition)),
  all: (letter: 'r' | 's' | 'e' | 't' | 'l' | 'w' | 'x' | 'y' | 'z' | 'h' | 'd' | 'm' | 'n' | 'k'): Uint8Array => Uint8Array.of(prefix(letter)),
} as const;

/** Bytes as text, for use as a key of a Map. To look into a small array from outside V8 moves it, as above. */
export const nameOf = (bytes: Uint8Array): string => (bytes.length <= IN_HEAP_BYTES_MAX ? keyText(bytes) : nameOfRow(bytes));

const IN_HEAP_BYTES_MAX = 64;

/** The same of what lies outside of V8's heap already. */
export const nameOfRow = (row: Uint8Array): string => latin1.call(row, 0, row.length);

const latin1 = (Buffer.prototype as unknown as { readonly latin1Slice: (this: Uint8Array, from: number, to: number) => string }).latin1Slice;

/** To look one up at once: until the next row is made. A view of memory that is there saves the allocation of a key. */
export const recordRow = (key: Uint8Array): Uint8Array => row('r').bytes(key).view();

/** Of the physical key within a record's row. */
export const RECORD_PREFIX_BYTES = 1;

export interface StoredRecord extends Record {
  /** What the item adds to its leaf, as accounted for in the digests: see digests.ts. */
  readonly element: Sum;
}

const ENVELOPE_VERSION = 1;
export const KINDS: readonly CommitKind[] = ['local', 'applied'];

/** u8 version · u8 kind · 8 element · varint revision · state. The image, which is what is sent, is a part of the row. */
export function encodeRecord({ kind, element, revision, state }: StoredRecord): { readonly row: Uint8Array; readonly image: Uint8Array } {
  writer.reset().u8(ENVELOPE_VERSION).u8(KINDS.indexOf(kind)).u32(element.high).u32(element.low).varint(revision);
  const from = writer.length;
  const row = recordSlab.copyOf(writeState(writer, state).view());
  return { row, image: row.subarray(from) };
}

/** The state's bytes as stored, for sending, without decoding them. */
export const stateBytesOf = (bytes: Uint8Array): Uint8Array => readEnvelope(bytes).stateBytes;

function readEnvelope(bytes: Uint8Array): Omit<StoredRecord, 'state'> & { readonly stateBytes: Uint8Array } {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  const kind = KINDS[reader.u8()];
  if (version !== ENVELOPE_VERSION || kind === undefined) throw new MalformedError('Not a record of this store.');
  const element = { high: reader.u32(), low: reader.u32() };
  const revision = reader.varint();
  return { kind, element, revision, stateBytes: reader.bytes(reader.left) };
}

export function decodeRecord(bytes: Uint8Array): StoredRecord {
  const { kind, element, revision, stateBytes } = readEnvelope(bytes);
  return { kind, element, revision, state: decodeState(stateBytes) };
}

/**
 * What one commit of one record did, in a row of the change log. `swept` only took an expired value out of the digest; `lost`
 * wrote a row of the ledger that is to be sent, whose name stands in place of the key.
 */
export interface LoggedChange {
  readonly key: Uint8Array;
  readonly kind: CommitKind | 'swept' | 'lost';
  /** Xor of the item's old and new element: replaying it brings a checkpointed digest up to date. */
  readonly delta: Sum;
  /** -1, 0 or 1: did the item's values come or go? */
  readonly itemsDelta: number;
}

const LOG_KINDS: readonly LoggedChange['kind'][] = ['local', 'applied', 'swept', 'lost'];

export function encodeLogRow(changes: readonly LoggedChange[], largest: readonly Dot[]): Uint8Array {
  const out = new ByteWriter(64 * (changes.length + largest.length) + 16);
  out.u8(1).varint(largest.length);
  for (const { actor, stamp } of largest) out.text(actor).u64(stamp);
  out.varint(changes.length);
  for (const { key, kind, delta, itemsDelta } of changes) {
    out.u8(LOG_KINDS.indexOf(kind) | ((itemsDelta + 1) << 4) | (isZeroSum(delta) ? 0x80 : 0));
    if (!isZeroSum(delta)) out.u32(delta.high).u32(delta.low);
    out.block(key);
  }
  return out.finish();
}

export function decodeLogRow(bytes: Uint8Array): { readonly changes: readonly LoggedChange[]; readonly largest: readonly (readonly [actor: string, stamp: bigint])[] } {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== 1) throw new MalformedError('Not a row of this change log.');
  const largest = Array.from({ length: reader.varint() }, () => [reader.text(), reader.u64()] as const);
  const changes = Array.from({ length: reader.varint() }, (): LoggedChange => {
    const flags = reader.u8();
    const delta = (flags & 0x80) === 0 ? { high: reader.u32(), low: reader.u32() } : { high: 0, low: 0 };
    const kind = LOG_KINDS[flags & 0x0f];
    if (kind === undefined) throw new MalformedError('Unknown kind of change.');
    return { key: reader.block(), kind, delta, itemsDelta: ((flags >> 4) & 3) - 1 };
  });
  return { changes, largest };
}
