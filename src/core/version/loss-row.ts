// A row of the loss ledger, and how it travels. A row is what is left of a write that lost, and one region alone may have it:
// a late operation is written nowhere, and a write that is beaten before it was sent never leaves its region. So the region
// where that happens sends the row to the others that hold the item, on the way that its writes go. A row never changes.
//
// On the way it stands in a state's place, under the item's key. Its first byte, where a state has its format version, is one
// that no state will ever have: to a reader that knows nothing of rows it is a later format, which stays with its sender.

import { ByteReader, ByteWriter, keyText, textKey } from '../bytes.ts';
import { decodeKey, type ItemKey } from '../keys/item-key.ts';
import { decodeState, encodeState, MalformedError, NewerFormatError } from './codec.ts';
import { asRegionId, formatDot, parseDot, type Dot, type RegionId } from './dot.ts';
import type { LossRule } from './lww.ts';
import { NO_OPERATIONS } from './operations.ts';
import type { Value } from './record.ts';
import type { VersionVector } from './version-vector.ts';

/** One write that lost, for ever (on AWS 90 days by default). */
export interface LossRow {
  /** Hash of collection, key and the loser's dot: the same loss found in three regions has one id. */
  readonly id: string;
  readonly key: ItemKey;
  readonly rule: LossRule;
  readonly dot: Dot;
  /** Absent when a delete lost. */
  readonly value?: Value;
  readonly context: VersionVector;
  readonly winner?: Dot;
  /** When the row was written in this region's ledger. */
  readonly atMs: number;
  /** Where the write was found to have lost. */
  readonly region: RegionId;
  /** Of a row that is being written: it goes out to the others that hold the item. A table need not remember it. */
  readonly isSent?: true;
}

/** States begin with 1 and count on from there; rows count on from here. A new rule needs a new version. */
export const LOSS_FORMAT = 0x81;

const RULES: readonly LossRule[] = ['lww', 'sibling-cap', 'late-operation', 'late', 'policy-changed'];

/** Of what stands in a state's place. */
export const isLossRow = (bytes: Uint8Array): boolean => (bytes[0] ?? 0) >= LOSS_FORMAT;

export function encodeLossRow(loss: LossRow): Uint8Array {
  const state = encodeState({ values: loss.value === undefined ? [] : [{ dot: loss.dot, value: loss.value }], context: loss.context, operations: NO_OPERATIONS });
  const out = new ByteWriter(state.length + 256).u8(LOSS_FORMAT).text(loss.id).block(loss.key.encoded).u8(RULES.indexOf(loss.rule));
  out.text(formatDot(loss.dot)).text(loss.winner === undefined ? '' : formatDot(loss.winner)).varint(loss.atMs).text(loss.region);
  return out.bytes(state).finish();
}

/** Values are views into the bytes. @throws NewerFormatError, MalformedError */
export function decodeLossRow(bytes: Uint8Array): LossRow {
  const version = bytes[0] ?? 0;
  if (version > LOSS_FORMAT) throw new NewerFormatError(version);
  if (version < LOSS_FORMAT) throw new MalformedError(`Not a row of the ledger: it begins with ${version}.`);
  try {
    return readLossRow(new ByteReader(bytes, 1));
  } catch (error) {
    if (error instanceof MalformedError || error instanceof NewerFormatError) throw error;
    throw new MalformedError(`Not a row of the ledger: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readLossRow(reader: ByteReader): LossRow {
  const id = reader.text();
  const key = decodeKey(reader.block());
  const rule = RULES[reader.u8()];
  const dot = parseDot(reader.text());
  const winner = parseDot(reader.text());
  const atMs = reader.varint();
  const region = asRegionId(reader.text());
  const state = decodeState(reader.bytes(reader.left));
  if (key === undefined || rule === undefined || dot === undefined) throw new MalformedError('Not a row of the ledger.');
  const value = state.values[0]?.value;
  return { id, key, rule, dot, context: state.context, atMs, region, ...(value === undefined ? {} : { value }), ...(winner === undefined ? {} : { winner }) };
}

const NAME = /^loss ([0-9a-f]{24})$/;

/** Of a row in the log, the lanes and the hints, as `keyText` is of a physical key. None is the other: a key of this length names no collection. */
export const lossName = (id: string): string => `loss ${id}`;

export const lossNameBytes = (id: string): Uint8Array => textKey(lossName(id));

/** The id, where these bytes name a row. */
export const lossIdIn = (name: Uint8Array): string | undefined => NAME.exec(keyText(name))?.[1];
