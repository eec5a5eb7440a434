// A record as the attributes of one item, and back. The layout is written down in layout.ts.

import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { ByteReader, ByteWriter, concatBytes, fromHex, toHex } from '../../core/bytes.ts';
import { invariant } from '../../core/errors.ts';
import { decodeKey, type ItemKey } from '../../core/keys/item-key.ts';
import { OPERATIONS_MAX } from '../../core/limits.ts';
import { decodeState, encodeState, MalformedError } from '../../core/version/codec.ts';
import type { ActorId, Dot } from '../../core/version/dot.ts';
import { asOperationHash, type OperationEntry, type Operations } from '../../core/version/operations.ts';
import { headDot, type CommitKind, type Record, type State, type Value } from '../../core/version/record.ts';
import { asStamp, STAMP_ZERO, type Stamp } from '../../core/version/stamp.ts';
import { boundVector, vectorEntries } from '../../core/version/version-vector.ts';
import { actorName, actorNamed, readActor, writeActor } from './actors.ts';
import { binary, bytesIn, stampBytes, stampIn, text, textIn, whole, wholeIn, type Item } from './layout.ts';

const COMMON_CONTENT_TYPE = 'application/json';
const KIND_LETTERS = { local: 'l', applied: 'a' } as const satisfies { readonly [kind in CommitKind]: string };

/** The state and the kind of its commit, without key and revision. */
export function attributesOf(state: State, kind: CommitKind): Item {
  const head = wholeWriteDot(state);
  const k = text(KIND_LETTERS[kind]);
  if (head === undefined) return { k, s: binary(encodeState(state)) };
  const [value] = state.values;
  return {
    k,
    h: binary(stampBytes(head.stamp)),
    ...Object.fromEntries(vectorEntries(state.context).map(({ actor, stamp }) => [actorName(actor), binary(stampBytes(stamp))])),
    ...(value === undefined ? {} : valueAttributes(value.value)),
    ...operationAttributes(state.operations),
  };
}

/**
 * The dot of the one write that the state is, if the attributes can say all of it: one value or one delete, its own dot
 * the newest of its actor, no other stamp as large, and a payload for the newest operation alone.
 */
export function wholeWriteDot(state: State): Dot | undefined {
  const head = headDot(state);
  const { entries, evicted } = state.operations;
  const isWhole =
    head !== undefined &&
    state.removed === undefined &&
    state.values.length + (state.deleted === undefined ? 0 : 1) === 1 &&
    state.context.get(head.actor) === head.stamp &&
    [...state.context].every(([actor, stamp]) => stamp > STAMP_ZERO && (actor === head.actor || stamp < head.stamp)) &&
    entries.length <= OPERATIONS_MAX &&
    entries.every(({ dot, payload }, at) => dot.stamp <= head.stamp && (at === 0 || payload === undefined)) &&
    evicted < head.stamp;
  return isWhole ? head : undefined;
}

export function valueAttributes(value: Value): Item {
  return {
    v: binary(value.bytes),
    q: binary(value.hash),
    ...(value.contentType === COMMON_CONTENT_TYPE ? {} : { t: text(value.contentType) }),
    ...(value.expiresMs === undefined ? {} : { x: whole(value.expiresMs) }),
  };
}

function operationAttributes({ entries, evicted }: Operations): Item {
  const payload = entries[0]?.payload;
  return {
    ...(entries.length === 0 ? {} : { o: operationList(entries) }),
    ...(payload === undefined ? {} : { p: binary(hex8(payload)) }),
    ...(evicted === STAMP_ZERO ? {} : { e: binary(stampBytes(evicted)) }),
  };
}

/** The same for the same operations in every item, so that conditions can compare it as a whole. */
export const operationList = (entries: readonly OperationEntry[]): AttributeValue.LMember => ({ L: entries.flatMap(({ id, dot }) => [binary(hex8(id)), binary(dotBytes(dot))]) });

export const dotBytes = ({ actor, stamp }: Dot): Uint8Array => writeActor(new ByteWriter(16).u64(stamp), actor).finish();

export function hex8(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  invariant(bytes?.length === 8, 'a hash in a record has 8 bytes');
  return bytes;
}

/** @throws NewerFormatError for a state of a later format, MalformedError for an item that is no record. */
export function recordOf(item: Item): Record {
  const letter = textIn(item, 'k');
  if (letter !== 'l' && letter !== 'a') throw new MalformedError(`Unknown kind of commit: ${letter}`);
  const state = item['s'] === undefined ? wholeWrite(item) : decodeState(bytesIn(item, 's'));
  return { state, kind: letter === 'l' ? 'local' : 'applied', revision: item['n'] === undefined ? 1 : wholeIn(item, 'n') };
}

/** The physical key of a record's item. */
export function keyOf(item: Item): ItemKey {
  const key = decodeKey(concatBytes(bytesIn(item, 'PK'), bytesIn(item, 'SK')));
  if (key === undefined) throw new MalformedError('An item of the table lies under no physical key.');
  return key;
}

function wholeWrite(item: Item): State {
  const stamp = stampIn(item, 'h');
  const known = Object.keys(item).flatMap((name): Dot[] => {
    const actor = isOurs(name) ? undefined : actorNamed(name);
    return actor === undefined ? [] : [{ actor, stamp: stampIn(item, name) }];
  });
  // The newest of all, so it is one.
  const [head, ...more] = known.filter((dot) => dot.stamp === stamp);
  if (head === undefined || more.length > 0) throw new MalformedError('An item of the table does not say who wrote it.');
  const context = boundVector(new Map<ActorId, Stamp>(known.map((dot) => [dot.actor, dot.stamp])), [head]);
  const operations = operationsIn(item);
  if (item['v'] === undefined) return { values: [], deleted: head, context, operations };
  return { values: [{ dot: head, value: valueIn(item) }], context, operations };
}

/** One letter, or a key of the table. */
const isOurs = (name: string): boolean => name.length < 2 || name === 'PK' || name === 'SK';

function valueIn(item: Item): Value {
  const contentType = item['t'] === undefined ? COMMON_CONTENT_TYPE : textIn(item, 't');
  const value = { bytes: bytesIn(item, 'v'), contentType, hash: bytesIn(item, 'q') };
  return item['x'] === undefined ? value : { ...value, expiresMs: wholeIn(item, 'x') };
}

function operationsIn(item: Item): Operations {
  // What a full list gave up unread is a whole dot: its stamp comes first.
  const evicted = item['e'] === undefined ? STAMP_ZERO : stampAt(new ByteReader(bytesIn(item, 'e')));
  const list = item['o']?.L ?? [];
  if (item['o'] !== undefined && (item['o'].L === undefined || list.length % 2 === 1)) throw new MalformedError('The operations of an item are no list of ids and dots.');
  const payload = item['p'] === undefined ? undefined : toHex(bytesIn(item, 'p'));
  const entries = Array.from({ length: list.length / 2 }, (_, at): OperationEntry => {
    const [id, dot] = [list[2 * at]?.B, list[2 * at + 1]?.B];
    if (id === undefined || dot === undefined) throw new MalformedError('An operation of an item is not in two parts.');
    const entry = { id: asOperationHash(toHex(id)), dot: dotIn(dot) };
    return at === 0 && payload !== undefined ? { ...entry, payload } : entry;
  });
  return { entries, evicted };
}

function dotIn(bytes: Uint8Array): Dot {
  const reader = new ByteReader(bytes);
  const stamp = stampAt(reader);
  return { actor: readActor(reader), stamp };
}

function stampAt(reader: ByteReader): Stamp {
  if (reader.left < 8) throw new MalformedError('An item of the table has half a stamp.');
  return asStamp(reader.u64());
}
