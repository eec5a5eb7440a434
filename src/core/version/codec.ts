// The one form in which a state is stored, sent and kept aside. Layout of version 1:
//
//   u8 version · u8 flags · actors: u8 count, (text)* · context: u8 count, (u8 actor, u64 stamp)*
//   · [deleted: u8 actor, u64 stamp] · [removed: u8 count, (u8 actor, u64 stamp)*] · operations: u8 count, (8 id, u8 actor, u64 stamp)*, [8 payload of the first],
//   u64 evicted when there are any · values: u8 count, (u8 actor, u64 stamp, u8 flags, [varint expires], content type,
//   8 hash, block)*
//
// Actors are named once and then by number, because their text is longer than a stamp. Common content types are one
// byte. The values come last, so that a reader of bytes touches little before them. The encoding is canonical: equal
// states have equal bytes, so two regions can be compared with `diff`.

import { ByteReader, ByteWriter, fromHex, toHex } from '../bytes.ts';
import { ACTORS_PER_RECORD_MAX } from '../limits.ts';
import { invariant } from '../errors.ts';
import { parseActor, type ActorId, type Dot } from './dot.ts';
import { asOperationHash, NO_OPERATIONS, type OperationEntry, type Operations } from './operations.ts';
import type { DottedValue, State, Value } from './record.ts';
import { asStamp, STAMP_ZERO, type Stamp } from './stamp.ts';
import { vectorEntries } from './version-vector.ts';

/** Of states, messages, cursors, tokens and digests. An unknown newer one is left where it is, never dropped. */
export const FORMAT_VERSION = 1;

/** These bytes are of a later release: keep them, do not judge them. */
export class NewerFormatError extends Error {
  override readonly name = 'NewerFormatError';
  readonly version: number;
  constructor(version: number) {
    super(`Format version ${version} is newer than ${FORMAT_VERSION}, the newest known here.`);
    this.version = version;
  }
}

/** These bytes are no state of any version known here: a dead letter. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
}

const HAS_DELETED = 1;
const HAS_OPERATIONS = 2;
const HAS_PAYLOAD = 4;
const HAS_REMOVED = 8;
const FLAGS = HAS_DELETED | HAS_OPERATIONS | HAS_PAYLOAD | HAS_REMOVED;
const VALUE_EXPIRES = 1;
/** What one byte can count. */
const COUNT_MAX = 0xff;

/** Stored as one byte. Append only: the position is the code, and 0 means that the text follows. */
const CONTENT_TYPES = ['', 'application/json', 'application/octet-stream', 'text/plain', 'text/plain; charset=utf-8', 'application/json; charset=utf-8'];

const writer = new ByteWriter(16 * 1024);

export const encodeState = (state: State): Uint8Array => writeState(writer.reset(), state).finish();

/** The same behind what was written before. */
export function writeState(out: ByteWriter, state: State): ByteWriter {
  const actors = actorsOf(state);
  // A count that wrapped would be a record that nobody can read again.
  invariant(actors.length <= ACTORS_PER_RECORD_MAX, 'a record names more actors than one byte can count');
  invariant(state.values.length <= COUNT_MAX && state.operations.entries.length <= COUNT_MAX, 'a record holds more than one byte can count');
  const dot = ({ actor, stamp }: Dot): void => void out.u8(actors.indexOf(actor)).u64(stamp); // three or four: quicker than a map
  const { entries, evicted } = state.operations;
  const hasOperations = entries.length > 0 || evicted > STAMP_ZERO;
  const payload = entries[0]?.payload;
  const { removed } = state;

  out.u8(FORMAT_VERSION);
  out.u8((state.deleted === undefined ? 0 : HAS_DELETED) | (hasOperations ? HAS_OPERATIONS : 0) | (payload === undefined ? 0 : HAS_PAYLOAD) | (removed === undefined ? 0 : HAS_REMOVED));
  out.u8(actors.length);
  for (const actor of actors) out.text(actor);
  out.u8(state.context.size);
  if (state.context.size === 1) for (const [actor, stamp] of state.context) dot({ actor, stamp });
  else for (const entry of vectorEntries(state.context)) dot(entry);
  if (state.deleted !== undefined) dot(state.deleted);
  if (removed !== undefined) {
    out.u8(removed.length);
    for (const each of removed) dot(each);
  }
  if (hasOperations) {
    out.u8(entries.length);
    for (const entry of entries) {
      out.bytes(hex8(entry.id));
      dot(entry.dot);
    }
    if (payload !== undefined) out.bytes(hex8(payload));
    out.u64(evicted);
  }
  out.u8(state.values.length);
  for (const { dot: held, value } of state.values) {
    dot(held);
    encodeValue(out, value);
  }
  return out;
}

function actorsOf(state: State): readonly ActorId[] {
  const alone = onlyActor(state);
  if (alone !== undefined) return [alone];
  const actors = new Set<ActorId>(state.context.keys());
  for (const { dot } of state.values) actors.add(dot.actor);
  if (state.deleted !== undefined) actors.add(state.deleted.actor);
  for (const { dot } of state.operations.entries) actors.add(dot.actor);
  for (const { actor } of state.removed ?? []) actors.add(actor);
  return [...actors].sort();
}

/** Of a state with one value and nothing else, as most are in which one region writes. */
function onlyActor({ values, context, deleted, operations, removed }: State): ActorId | undefined {
  if (values.length !== 1 || context.size !== 1 || deleted !== undefined || operations.entries.length > 0 || removed !== undefined) return undefined;
  const actor = values[0]?.dot.actor;
  return actor !== undefined && context.has(actor) ? actor : undefined;
}

function hex8(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  invariant(bytes?.length === 8, 'an operation hash has 8 bytes');
  return bytes;
}

function encodeValue(out: ByteWriter, value: Value): void {
  out.u8(value.expiresMs === undefined ? 0 : VALUE_EXPIRES);
  if (value.expiresMs !== undefined) {
    invariant(Number.isSafeInteger(value.expiresMs) && value.expiresMs >= 0, 'an expiry is a whole number of milliseconds');
    out.varint(value.expiresMs);
  }
  const code = CONTENT_TYPES.indexOf(value.contentType, 1);
  if (code > 0) out.u8(code);
  else out.u8(0).text(value.contentType);
  invariant(value.hash.length === 8, 'a value hash has 8 bytes');
  out.bytes(value.hash).block(value.bytes);
}

/** The version byte, which every later format keeps in the first place. */
export const formatVersionOf = (bytes: Uint8Array): number => bytes[0] ?? 0;

/**
 * The state in these bytes. Values are views into them, not copies.
 * @throws NewerFormatError for a later format, MalformedError for bytes that are no state.
 */
export function decodeState(bytes: Uint8Array): State {
  const version = formatVersionOf(bytes);
  if (version > FORMAT_VERSION) throw new NewerFormatError(version);
  if (version !== FORMAT_VERSION) throw new MalformedError(`Not a state: it begins with ${version}.`);
  try {
    return readState(bytes);
  } catch (error) {
    if (error instanceof MalformedError) throw error;
    throw new MalformedError(`Not a state: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readState(bytes: Uint8Array): State {
  const reader = new ByteReader(bytes, 1);
  const flags = knownFlags(reader.u8(), FLAGS);
  const actors = Array.from({ length: reader.u8() }, () => actorOf(reader.text()));
  const readDot = (): Dot => {
    const actor = actors[reader.u8()];
    if (actor === undefined) throw new MalformedError('Unknown actor number.');
    return { actor, stamp: asStamp(reader.u64()) };
  };
  const context = new Map<ActorId, Stamp>();
  for (let left = reader.u8(); left > 0; left--) {
    const { actor, stamp } = readDot();
    context.set(actor, stamp);
  }
  const deleted = (flags & HAS_DELETED) === 0 ? undefined : readDot();
  const removed = (flags & HAS_REMOVED) === 0 ? undefined : Array.from({ length: reader.u8() }, readDot);
  const operations = (flags & HAS_OPERATIONS) === 0 ? NO_OPERATIONS : readOperations(reader, readDot, (flags & HAS_PAYLOAD) !== 0);
  const values: DottedValue[] = [];
  for (let left = reader.u8(); left > 0; left--) values.push({ dot: readDot(), value: readValue(reader) });
  if (reader.left !== 0) throw new MalformedError('Bytes left over.');
  return { values, context, operations, ...(deleted === undefined ? {} : { deleted }), ...(removed === undefined ? {} : { removed }) };
}

/** A flag that is not known announces bytes that are not known. */
function knownFlags(flags: number, known: number): number {
  if ((flags & ~known) !== 0) throw new MalformedError(`Unknown flags ${flags}.`);
  return flags;
}

function actorOf(text: string): ActorId {
  const actor = parseActor(text);
  if (actor === undefined) throw new MalformedError(`Not an actor: ${text}`);
  return actor;
}

function readOperations(reader: ByteReader, readDot: () => Dot, hasPayload: boolean): Operations {
  const entries: OperationEntry[] = Array.from({ length: reader.u8() }, () => ({ id: asOperationHash(toHex(reader.bytes(8))), dot: readDot() }));
  const [newest] = entries;
  if (hasPayload && newest === undefined) throw new MalformedError('A payload without an operation.');
  if (hasPayload && newest !== undefined) entries[0] = { ...newest, payload: toHex(reader.bytes(8)) };
  return { entries, evicted: asStamp(reader.u64()) };
}

function readValue(reader: ByteReader): Value {
  const flags = knownFlags(reader.u8(), VALUE_EXPIRES);
  const expiresMs = (flags & VALUE_EXPIRES) === 0 ? undefined : reader.varint();
  const code = reader.u8();
  const contentType = code === 0 ? reader.text() : CONTENT_TYPES[code];
  if (contentType === undefined) throw new MalformedError(`Unknown content type ${code}.`);
  const hash = reader.bytes(8);
  const bytes = reader.block();
  return expiresMs === undefined ? { bytes, contentType, hash } : { bytes, contentType, hash, expiresMs };
}
