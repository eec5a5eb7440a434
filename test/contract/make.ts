// Small builders for records and keys, so that tests read as sentences.

import { deriveKey, hmacSha256, sha256 } from '../../src/adapters/node/crypto.ts';
import { EMPTY, utf8 } from '../../src/core/bytes.ts';
import { itemKey, pkPrefix, type GroupId, type ItemKey } from '../../src/core/keys/item-key.ts';
import { groupOf } from '../../src/core/placement/placement.ts';
import { asRegionId, makeActor, type ActorId, type Dot } from '../../src/core/version/dot.ts';
import type { Loss } from '../../src/core/version/lww.ts';
import { NO_OPERATIONS, asOperationHash, type OperationHash } from '../../src/core/version/operations.ts';
import type { State, Value } from '../../src/core/version/record.ts';
import { asStamp } from '../../src/core/version/stamp.ts';
import type { LossRow } from '../../src/ports/table.ts';

export const EU = asRegionId('eu-central-1');
export const US = asRegionId('us-east-1');
export const AP = asRegionId('ap-northeast-2');

export const A = makeActor(AP, 'a1');
export const B = makeActor(EU, 'b1');
export const C = makeActor(US, 'c1');

export const GROUP: GroupId = groupOf({ regions: 'all', replicas: 3 }, sha256);
export const keyedHash = hmacSha256(deriveKey(utf8('a test'), 'digest'));

export const bytes = (text: string): Uint8Array => utf8(text);
export const key = (pk: string, sk = '', collection = 'demo', group = GROUP): ItemKey =>
  itemKey(group, { collection, pk: bytes(pk), sk: sk === '' ? EMPTY : bytes(sk) }, sha256);
export const prefix = (pk: string, collection = 'demo'): Uint8Array => pkPrefix(GROUP, collection, bytes(pk), sha256);

export const dot = (actor: ActorId, stamp: number): Dot => ({ actor, stamp: asStamp(BigInt(stamp)) });
export const operation = (name: string): OperationHash => asOperationHash(Buffer.from(sha256(bytes(name))).toString('hex').slice(0, 16));

export function value(text: string, expiresMs?: number): Value {
  const content = bytes(text);
  const plain = { bytes: content, contentType: 'text/plain', hash: sha256(content).slice(0, 8) };
  return expiresMs === undefined ? plain : { ...plain, expiresMs };
}

export const vector = (...dots: readonly Dot[]): ReadonlyMap<ActorId, Dot['stamp']> => new Map(dots.map(({ actor, stamp }) => [actor, stamp]));

/** One whole write, as `lww` keeps it; `past` is what it superseded. */
export const written = (at: Dot, text: string, past: readonly Dot[] = [], expiresMs?: number): State => ({
  values: [{ dot: at, value: value(text, expiresMs) }],
  context: vector(...past, at),
  operations: NO_OPERATIONS,
});

export const deleted = (at: Dot, past: readonly Dot[] = []): State => ({ values: [], deleted: at, context: vector(...past, at), operations: NO_OPERATIONS });

export const several = (...writes: readonly (readonly [Dot, string])[]): State => ({
  values: writes.map(([at, text]) => ({ dot: at, value: value(text) })),
  context: vector(...writes.map(([at]) => at)),
  operations: NO_OPERATIONS,
});

export const texts = (state: State | undefined): string[] => (state?.values ?? []).map(({ value: { bytes: content } }) => Buffer.from(content).toString());

export function lossRow(item: ItemKey, at: Dot, text: string, more: Partial<LossRow> = {}): LossRow {
  const id = Buffer.from(sha256(bytes(`${item.collection} ${Buffer.from(item.encoded).toString('hex')} ${at.actor} ${at.stamp}`))).toString('hex').slice(0, 24);
  return { id, key: item, rule: 'lww', dot: at, value: value(text), context: vector(at), winner: dot(C, 999), atMs: 1_000, region: EU, ...more };
}

export const losers = (losses: readonly Loss[]): string[] => losses.map(({ loser }) => (loser.value === undefined ? 'deleted' : Buffer.from(loser.value.bytes).toString()));
