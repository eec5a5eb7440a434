// What the writer of the crash test writes, so that a copy of its folder tells its own story: every value names its item,
// its number and the number that it replaced, so the record and the ledger rows of an item form one chain without a gap.

import { sha256, hmacSha256, deriveKey } from '../../../src/adapters/node/crypto.ts';
import { EMPTY, utf8, utf8Text } from '../../../src/core/bytes.ts';
import { itemKey, type ItemKey } from '../../../src/core/keys/item-key.ts';
import { groupOf } from '../../../src/core/placement/placement.ts';
import { asRegionId, makeActor, type Dot } from '../../../src/core/version/dot.ts';
import type { Value } from '../../../src/core/version/record.ts';
import { asStamp } from '../../../src/core/version/stamp.ts';
import { lossId } from '../../../src/engine/ledger.ts';
import type { LossRow } from '../../../src/ports/table.ts';

export const COLLECTION = 'demo';
export const QUEUE = 'hints eu-central-1';
export const DOCUMENT = 'note';
export const ITEMS = 60;
export const REGION = asRegionId('eu-central-1');
/** Writes the chain; the other's writes lose at once and leave a ledger row only. */
export const ACTOR = makeActor(REGION, 'a1');
export const LATE_ACTOR = makeActor(asRegionId('us-east-1'), 'b1');
export const GROUP = groupOf({ regions: 'all', replicas: 3 }, sha256);
export const digestHash = hmacSha256(deriveKey(utf8('of the crash test'), 'digest'));

export const nameOf = (at: number): string => `item-${at}`;
export const keyOf = (name: string): ItemKey => itemKey(GROUP, { collection: COLLECTION, pk: utf8(name), sk: EMPTY }, sha256);
export const dotOf = (number: number, actor = ACTOR): Dot => ({ actor, stamp: asStamp(BigInt(number)) });

/** Up to 20 KB, so that logs and tables of the store change while it is watched. */
const lengthOf = (number: number): number => (Math.imul(number, 0x9e3779b1) >>> 0) % 20_000;

export const textOf = (name: string, number: number, after: number): string => `${name} ${number} after ${after} ${'.'.repeat(lengthOf(number))}`;

export function valueOf(name: string, number: number, after: number, expiresMs?: number): Value {
  const bytes = utf8(textOf(name, number, after));
  const plain = { bytes, contentType: 'text/plain', hash: sha256(bytes).slice(0, 8) };
  return expiresMs === undefined ? plain : { ...plain, expiresMs };
}

/** The number that a value says it replaced; undefined when it is not, to the byte, what was written. */
export function afterOf(name: string, { actor, stamp }: Dot, value: Value): number | undefined {
  const number = Number(stamp);
  const after = Number(/ after (\d+) /.exec(utf8Text(value.bytes) ?? '')?.[1]);
  const whole = valueOf(name, number, after);
  const isWhole = utf8Text(value.bytes) === utf8Text(whole.bytes) && Buffer.compare(value.hash, whole.hash) === 0;
  return isWhole && (actor === ACTOR || actor === LATE_ACTOR) ? after : undefined;
}

export function lossOf(key: ItemKey, dot: Dot, value: Value, atMs: number): LossRow {
  const rule = dot.actor === ACTOR ? 'lww' : 'late-operation';
  return { id: lossId(key, dot, sha256), key, rule, dot, value, context: new Map([[dot.actor, dot.stamp]]), atMs, region: REGION };
}
