// What travels through queues, in two kinds.
//
//   inbox   states for another region, under the envelope of every question between regions: `seal(envelope, records)`,
//           compressed where that pays (compressed.ts)
//   hints   keys of this region's own records that a peer has yet to be sent, or names of rows of its ledger under the keys
//           of their items: u8 version · records without a state, or with a name in its place
//
// SQS bills by 64 KiB of text and takes base64 from us: 45,000 bytes become 60,000 characters.

import { expanded } from '../../src/adapters/aws/compressed.ts';
import { ByteReader, concatBytes } from '../../src/core/bytes.ts';
import { decodeKey, type ItemKey } from '../../src/core/keys/item-key.ts';
import { MESSAGE_BYTES_PACKED } from '../../src/core/limits.ts';
import { FORMAT_VERSION, MalformedError, NewerFormatError } from '../../src/core/version/codec.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { lossIdIn, lossNameBytes } from '../../src/core/version/loss-row.ts';
import type { PeerMethod } from '../../src/ports/peer.ts';
import { chunks } from '../../src/engine/descent.ts';
import { decodeRecords, encodeRecords, sentBytes, unseal, type SentRecord } from '../../src/engine/envelope.ts';

export const PACKED_BYTES_MAX = (MESSAGE_BYTES_PACKED / 4) * 3;

/** In messages of so many bytes; a larger record travels alone. */
export function packed(records: readonly SentRecord[], bytesMax = PACKED_BYTES_MAX): SentRecord[][] {
  const messages: SentRecord[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const record of records) {
    bytes += sentBytes(record);
    const last = messages.at(-1);
    if (last !== undefined && bytes <= bytesMax) last.push(record);
    else {
      messages.push([record]);
      bytes = sentBytes(record);
    }
  }
  return messages;
}

const NO_STATE = new Uint8Array(0);

export const hintOf = (key: Uint8Array): SentRecord => ({ key, state: NO_STATE });

/** So that the number of messages says how many keys wait at most. */
export const HINTS_PER_MESSAGE_MAX = 100;

/** In messages as `packed`, and of so many hints. */
export const packedHints = (hints: readonly SentRecord[]): SentRecord[][] => [...chunks(hints, HINTS_PER_MESSAGE_MAX)].flatMap((some) => packed(some));

export const encodeHints = (hints: readonly SentRecord[]): Uint8Array => concatBytes(Uint8Array.of(FORMAT_VERSION), encodeRecords(hints));

/** The same of a row of the ledger. */
export const lossHintOf = (key: Uint8Array, id: string): SentRecord => ({ key, state: lossNameBytes(id) });

export interface Hint {
  readonly key: ItemKey;
  /** The id of a row of the ledger; without it the record is meant. */
  readonly loss?: string;
}

/** @throws NewerFormatError, MalformedError */
export function decodeHints(body: Uint8Array): Hint[] {
  const version = body[0] ?? 0;
  if (version > FORMAT_VERSION) throw new NewerFormatError(version);
  if (version < FORMAT_VERSION) throw new MalformedError('Not a message of hints.');
  return recordsIn(body.subarray(1)).map(({ key: encoded, state }) => {
    const key = decodeKey(encoded);
    const loss = state.length === 0 ? undefined : lossIdIn(state);
    if (key === undefined || (state.length > 0 && loss === undefined)) throw new MalformedError('A hint for no physical key.');
    return loss === undefined ? { key } : { key, loss };
  });
}

function recordsIn(body: Uint8Array): SentRecord[] {
  try {
    return decodeRecords(body);
  } catch {
    throw new MalformedError('Not a list of records.');
  }
}

/** Questions that bring states to be merged; before those of `tombstone` stands a time. */
const MERGING: readonly PeerMethod[] = ['merge', 'fetch', 'tombstone'];

/** The keys whose policies a question depends on; none where it cannot be read, which its answer will say. */
export function keysOf(method: PeerMethod, sealed: Uint8Array): readonly ItemKey[] {
  if (!MERGING.includes(method)) return [];
  try {
    const body = opened(sealed);
    return decodable(recordsIn(method === 'tombstone' ? withoutTime(body) : body));
  } catch {
    return [];
  }
}

function withoutTime(body: Uint8Array): Uint8Array {
  const reader = new ByteReader(body);
  reader.varint();
  return reader.bytes(reader.left);
}

const decodable = (records: readonly SentRecord[]): ItemKey[] => records.flatMap(({ key }) => decodeKey(key) ?? []);

export interface SealedRecords {
  readonly records: readonly SentRecord[];
  /** Of those that lie under a physical key; the others are refused one by one, where they are merged. */
  readonly keys: readonly ItemKey[];
}

/** What a sealed message speaks of, before it is answered. @throws NewerFormatError, MalformedError */
export function recordsOf(sealed: Uint8Array): SealedRecords {
  const records = recordsIn(opened(sealed));
  return { records, keys: decodable(records) };
}

/** A message that SQS moved from the inbox to the dead letters, as it lay there: whose records it holds. */
export function sealedLetter(message: Uint8Array): { readonly from: RegionId; readonly body: Uint8Array } | undefined {
  try {
    const { envelope, body } = unseal(expanded(message));
    return { from: envelope.from, body };
  } catch {
    return undefined;
  }
}

function opened(sealed: Uint8Array): Uint8Array {
  try {
    return unseal(sealed).body;
  } catch (error) {
    throw error instanceof NewerFormatError ? error : new MalformedError('Not a message between regions.');
  }
}
