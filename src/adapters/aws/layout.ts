// Where things lie in the one DynamoDB table of a region, and in which attributes. Both keys are binary: PK and SK.
//
//   PK                           SK                               what
//   <4 group> <1 partition>      <7 hash> <collection> <pk> <sk>  record: the physical key, cut after its fifth byte
//   sibling/<collection>         <physical key>                   the item holds several values (index of conflicts)
//   loss/<collection>            <u48 ms> <id>                    loss row, in the order of writing
//   loss-id/<id>                 0                                where the loss row of this id lies
//   loss-of/<physical key>       <u64 stamp> <actor> [/ <id>]     the losers of an item and what they cover
//   document/<name>              0                                document
//   milestone/<slot> · passed/<slot>  0                           how far the stream has been handed on (milestones.ts)
//
// A loss row that goes out to other regions has the attribute `k` of a local record, by which the stream is filtered.
//
// A record's PK has exactly five bytes and every other has more, so they cannot meet, whatever a group's bytes are.
//
// Attributes of a record, one letter each, because names are billed with every write. A state that is one whole write
// (what `lww` keeps) lies in attributes that conditions can judge without reading (conditions.ts), and that a write which
// stands above it can leave as they are, or add to, without knowing them (blind.ts):
//
//   n N  revision; absent: 1                    k S  last commit: `l` local, `a` applied (the stream is filtered by it)
//   h B  stamp of the standing write, 8 bytes, most significant first: the largest in the item
//   <actor> B  the context, an attribute for each actor (actors.ts): its largest stamp; whose is `h`, wrote it
//   v B  the value; absent: the standing write is a delete
//   q B  hash of the value, 8 bytes             t S  its content type, unless it is application/json
//   x N  milliseconds since 1970 at which it expires, if it does
//   o L  operations, newest first, each an id of 8 bytes and a dot (stamp, actor)
//   p B  payload hash of the newest operation   e B  largest evicted stamp, 8 bytes, or the dot that it was of
//
// Any other state (siblings, odd shapes, later formats) lies whole in `s` B, as core/version/codec.ts encodes it, with no
// `h`: conditions on that fail, and the write takes the path that reads. Stamps are binary and not numbers: a byte or two
// less, all 64 bits exact, the same order, and no client can round them.
//
// What an item costs besides pk, sk and value (DynamoDB counts names and values): PK 7 · SK 2 + 7 + 1 + collection + 2 ·
// k 2 · h 9 · its actor 15 · v 1 · q 9 · o 28 · p 9. With the collection `demo`: 96 bytes. Each further region that has
// written the item adds 15, each further operation 24, a revision 3. So key and value of 880 bytes and three regions stay
// below 1,024 bytes, one write unit.

import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { ByteReader, ByteWriter, concatBytes, utf8 } from '../../core/bytes.ts';
import { MalformedError } from '../../core/version/codec.ts';
import type { LossRow } from '../../core/version/loss-row.ts';
import { asStamp, type Stamp } from '../../core/version/stamp.ts';

export interface Item {
  readonly [name: string]: AttributeValue;
}

export interface Place extends Item {
  readonly PK: AttributeValue.BMember;
  readonly SK: AttributeValue.BMember;
}

/** The part of a physical key that is the record's PK. */
export const RECORD_PK_BYTES = 5;

/** Time to live, in seconds since 1970: only loss rows have it. The table's TTL must be set to this attribute. */
export const TTL_ATTRIBUTE = 'z';

const ONLY = Uint8Array.of(0);

export const binary = (bytes: Uint8Array): AttributeValue.BMember => ({ B: bytes });
export const text = (value: string): AttributeValue.SMember => ({ S: value });
/** Of whole numbers below 2^53: revisions and times. Never of a stamp. */
export const whole = (value: number): AttributeValue.NMember => ({ N: String(value) });

const place = (PK: Uint8Array, SK: Uint8Array): Place => ({ PK: binary(PK), SK: binary(SK) });

export const partitionKeys = {
  siblings: (collection: string): Uint8Array => utf8(`sibling/${collection}`),
  losses: (collection: string): Uint8Array => utf8(`loss/${collection}`),
  lossesOf: (encoded: Uint8Array): Uint8Array => concatBytes(utf8('loss-of/'), encoded),
} as const;

export const places = {
  record: (encoded: Uint8Array): Place => place(encoded.subarray(0, RECORD_PK_BYTES), encoded.subarray(RECORD_PK_BYTES)),
  sibling: (collection: string, encoded: Uint8Array): Place => place(partitionKeys.siblings(collection), encoded),
  loss: (collection: string, atMs: number, id: string): Place => place(partitionKeys.losses(collection), concatBytes(timeBytes(atMs), utf8(id))),
  lossId: (id: string): Place => place(utf8(`loss-id/${id}`), ONLY),
  /** Nothing makes the dot of a late operation its own: the id tells two of them apart. */
  loser: (encoded: Uint8Array, { dot, rule, id }: Pick<LossRow, 'dot' | 'rule' | 'id'>): Place => place(partitionKeys.lossesOf(encoded), concatBytes(stampBytes(dot.stamp), utf8(rule === 'late-operation' ? `${dot.actor}/${id}` : dot.actor))),
  document: (name: string): Place => place(utf8(`document/${name}`), ONLY),
  milestone: (slot: number): Place => place(utf8(`milestone/${slot}`), ONLY),
  passed: (slot: number): Place => place(utf8(`passed/${slot}`), ONLY),
} as const;

export const stampBytes = (stamp: Stamp): Uint8Array => new ByteWriter(8).u64(stamp).finish();

/** 48 bits, most significant first, so that times sort as bytes. */
export const timeBytes = (ms: number): Uint8Array =>
  new ByteWriter(6)
    .u16(Math.floor(ms / 2 ** 32))
    .u32(ms % 2 ** 32)
    .finish();

// Reading: an attribute that is missing, or of another type, makes the item malformed; nothing is guessed.

export function bytesIn(item: Item, name: string): Uint8Array {
  const bytes = item[name]?.B;
  if (bytes === undefined) throw new MalformedError(`An item of the table has no binary ${name}.`);
  return bytes;
}

export function textIn(item: Item, name: string): string {
  const value = item[name]?.S;
  if (value === undefined) throw new MalformedError(`An item of the table has no text ${name}.`);
  return value;
}

export function wholeIn(item: Item, name: string): number {
  const value = Number(item[name]?.N);
  if (!Number.isSafeInteger(value)) throw new MalformedError(`An item of the table has no whole number ${name}.`);
  return value;
}

export function stampIn(item: Item, name: string): Stamp {
  const reader = new ByteReader(bytesIn(item, name));
  if (reader.left !== 8) throw new MalformedError(`An item of the table has no stamp ${name}.`);
  return asStamp(reader.u64());
}
