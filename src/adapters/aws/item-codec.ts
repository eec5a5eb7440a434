// A record as the attributes of one item, and back. The layout is written down in layout.ts.

import { ByteReader, ByteWriter, concatBytes, fromHex, toHex } from '../../core/bytes.ts';
import { invariant } from '../../core/errors.ts';
import { decodeKey, type ItemKey } from '../../core/keys/item-key.ts';
import { ACTORS_PER_RECORD_MAX } from '../../core/limits.ts';
import { decodeState, encodeState, MalformedError } from '../../core/version/codec.ts';
import { parseActor, type ActorId, type Dot } from '../../core/version/dot.ts';
import { asOperationHash, type OperationEntry, type Operations } from '../../core/version/operations.ts';
import { headDot, type CommitKind, type Record, type State, type Value } from '../../core/version/record.ts';
import { asStamp, STAMP_ZERO, type Stamp } from '../../core/version/stamp.ts';
import { vectorEntries } from '../../core/version/version-vector.ts';
import { binary, bytesIn, stampBytes, stampIn, text, textIn, whole, wholeIn, type Item } from './layout.ts';

/** Everything that a state may occupy; what a new state does not use of it must go. */
export const STATE_ATTRIBUTES = ['r', 'h', 'c', 'v', 'q', 't', 'x', 'o', 'a', 'p', 'e', 's'] as const;

const COMMON_CONTENT_TYPE = 'application/json';
const KIND_LETTERS = { local: 'l', applied: 'a' } as const satisfies { readonly [kind in CommitKind]: string };

/** The state and the kind of its commit, without key and revision. */
export function attributesOf(state: State, kind: CommitKind): Item {
  const head = wholeWriteDot(state);
  const k = text(KIND_LETTERS[kind]);
  if (head === undefined) return { k, s: binary(encodeState(state)) };
  const others = otherActors(state, head.actor);
  const [value] = state.values;
  return {
    k,
    r: text(head.actor),
    h: binary(stampBytes(head.stamp)),
    ...(others.length === 0 ? {} : { c: binary(encodeOthers(others)) }),
    ...(value === undefined ? {} : valueAttributes(value.value)),
    ...operationAttributes(state.operations, [head.actor, ...others.map(({ actor }) => actor)]),
  };
}

/**
 * The dot of the one write that the state is, if the attributes can say all of it: one value or one delete, its own dot
 * the newest of its actor, no entry that says nothing, and a payload for the newest operation alone.
 */
export function wholeWriteDot(state: State): Dot | undefined {
  const head = headDot(state);
  const { entries } = state.operations;
  const isWhole =
    head !== undefined &&
    state.removed === undefined &&
    state.values.length + (state.deleted === undefined ? 0 : 1) === 1 &&
    state.context.get(head.actor) === head.stamp &&
    [...state.context.values()].every((stamp) => stamp > STAMP_ZERO) &&
    entries.every(({ payload }, at) => at === 0 || payload === undefined);
  return isWhole ? head : undefined;
}

/** The context without the head's own entry, then, with stamp zero, actors that only an operation names. */
function otherActors(state: State, own: ActorId): Dot[] {
  const others = vectorEntries(state.context).filter(({ actor }) => actor !== own);
  const known = new Set<ActorId>([own, ...others.map(({ actor }) => actor)]);
  for (const { dot } of state.operations.entries) {
    if (known.has(dot.actor)) continue;
    known.add(dot.actor);
    others.push({ actor: dot.actor, stamp: STAMP_ZERO });
  }
  invariant(known.size <= ACTORS_PER_RECORD_MAX, 'a record names more actors than one byte can count');
  return others;
}

function encodeOthers(others: readonly Dot[]): Uint8Array {
  const out = new ByteWriter(32 * others.length);
  for (const { actor, stamp } of others) out.text(actor).u64(stamp);
  return out.finish();
}

function valueAttributes(value: Value): Item {
  return {
    v: binary(value.bytes),
    q: binary(value.hash),
    ...(value.contentType === COMMON_CONTENT_TYPE ? {} : { t: text(value.contentType) }),
    ...(value.expiresMs === undefined ? {} : { x: whole(value.expiresMs) }),
  };
}

function operationAttributes({ entries, evicted }: Operations, actors: readonly ActorId[]): Item {
  const numbers = Uint8Array.from(entries, ({ dot }) => actors.indexOf(dot.actor));
  const payload = entries[0]?.payload;
  return {
    ...(entries.length === 0 ? {} : { o: binary(operationBytes(entries)) }),
    ...(numbers.every((number) => number === 0) ? {} : { a: binary(numbers) }),
    ...(payload === undefined ? {} : { p: binary(hex8(payload)) }),
    ...(evicted === STAMP_ZERO ? {} : { e: binary(stampBytes(evicted)) }),
  };
}

const OPERATION_BYTES = 16;

/** The same for the same operations in every item, so that conditions can compare it as a whole. */
export function operationBytes(entries: readonly OperationEntry[]): Uint8Array {
  const out = new ByteWriter(OPERATION_BYTES * entries.length);
  for (const { id, dot } of entries) out.u64(dot.stamp).bytes(hex8(id));
  return out.finish();
}

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
  return { state, kind: letter === 'l' ? 'local' : 'applied', revision: wholeIn(item, 'n') };
}

/** The physical key of a record's item. */
export function keyOf(item: Item): ItemKey {
  const key = decodeKey(concatBytes(bytesIn(item, 'PK'), bytesIn(item, 'SK')));
  if (key === undefined) throw new MalformedError('An item of the table lies under no physical key.');
  return key;
}

function wholeWrite(item: Item): State {
  const head: Dot = { actor: actorOf(textIn(item, 'r')), stamp: stampIn(item, 'h') };
  const others = item['c'] === undefined ? [] : decodeOthers(bytesIn(item, 'c'));
  const known = others.filter(({ stamp }) => stamp > STAMP_ZERO);
  const context = new Map<ActorId, Stamp>([head, ...known].map(({ actor, stamp }) => [actor, stamp]));
  const operations = operationsIn(item, [head.actor, ...others.map(({ actor }) => actor)]);
  if (item['v'] === undefined) return { values: [], deleted: head, context, operations };
  return { values: [{ dot: head, value: valueIn(item) }], context, operations };
}

function actorOf(name: string): ActorId {
  const actor = parseActor(name);
  if (actor === undefined) throw new MalformedError(`Not an actor: ${name}`);
  return actor;
}

function decodeOthers(bytes: Uint8Array): Dot[] {
  const reader = new ByteReader(bytes);
  const others: Dot[] = [];
  while (reader.left > 0) others.push({ actor: actorOf(reader.text()), stamp: asStamp(reader.u64()) });
  return others;
}

function valueIn(item: Item): Value {
  const contentType = item['t'] === undefined ? COMMON_CONTENT_TYPE : textIn(item, 't');
  const value = { bytes: bytesIn(item, 'v'), contentType, hash: bytesIn(item, 'q') };
  return item['x'] === undefined ? value : { ...value, expiresMs: wholeIn(item, 'x') };
}

function operationsIn(item: Item, actors: readonly ActorId[]): Operations {
  const evicted = item['e'] === undefined ? STAMP_ZERO : stampIn(item, 'e');
  if (item['o'] === undefined) return { entries: [], evicted };
  const bytes = bytesIn(item, 'o');
  const numbers = item['a'] === undefined ? undefined : bytesIn(item, 'a');
  const payload = item['p'] === undefined ? undefined : toHex(bytesIn(item, 'p'));
  const reader = new ByteReader(bytes);
  const entries = Array.from({ length: bytes.length / OPERATION_BYTES }, (_, at): OperationEntry => {
    const actor = actors[numbers?.[at] ?? 0];
    if (actor === undefined) throw new MalformedError('An operation of an unknown actor.');
    const dot: Dot = { actor, stamp: asStamp(reader.u64()) };
    const id = asOperationHash(toHex(reader.bytes(8)));
    return at === 0 && payload !== undefined ? { id, dot, payload } : { id, dot };
  });
  return { entries, evicted };
}
