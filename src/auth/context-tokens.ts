// Causal contexts as clients hold them: opaque, bound to their item, authenticated by a key that all regions share, so
// that a token of one region is good in every other. Anything else is refused: the context of another item sent with a PUT
// would delete values that nobody saw, and a forged maximum would suppress a region's future writes.
//
//   u8 version · u8 key · u8 entries · (actor text, u64 stamp)* · [from version 2: u8 operations, + 128 when some were evicted,
//   (8 id, u8 entry of its actor, u64 stamp)*, [u64 evicted]] · 16 bytes of HMAC-SHA-256 over (physical key, the rest)
//
// The operations are those of the writes that the context covers (operations.ts says why); without any it is of version 1.

import { ByteReader, ByteWriter, fromBase64Url, fromHex, keyText, sameInConstantTime, toBase64Url, toHex } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { CONTEXT_TOKEN_BYTES_MAX } from '../core/limits.ts';
import { parseActor, type ActorId } from '../core/version/dot.ts';
import { asOperationHash, coveredOperations, NO_OPERATIONS, type OperationEntry, type Operations } from '../core/version/operations.ts';
import type { State } from '../core/version/record.ts';
import { asStamp, STAMP_ZERO, type Stamp } from '../core/version/stamp.ts';
import type { HashFunction } from '../core/version/tag.ts';
import { vectorEntries, type VersionVector } from '../core/version/version-vector.ts';

const VERSION = 1;
const VERSION_WITH_OPERATIONS = 2;
const HAS_EVICTED = 0x80;
const MAC_BYTES = 16;

const writer = new ByteWriter(256);
const signed = new ByteWriter(2048);

export class ContextTokens {
  readonly #macs: readonly HashFunction[];

  /** @param macs the current key's and, while tokens of it may be about, the previous one's */
  constructor(macs: readonly HashFunction[]) {
    this.#macs = macs;
  }

  mint(key: ItemKey, { context, operations }: Pick<State, 'context' | 'operations'>): string {
    const covered = operations === NO_OPERATIONS ? NO_OPERATIONS : coveredOperations(operations, context);
    const hasOperations = covered.entries.length > 0 || covered.evicted > STAMP_ZERO;
    writer.reset().u8(hasOperations ? VERSION_WITH_OPERATIONS : VERSION).u8(0).u8(context.size);
    const actors = context.size === 1 ? [...context.keys()] : vectorEntries(context).map(({ actor }) => actor);
    for (const actor of actors) writer.text(actor).u64(context.get(actor) as Stamp);
    if (hasOperations) writeOperations(covered, actors);
    const body = writer.finish();
    return toBase64Url(writer.bytes(this.#mac(0, key, body)).view());
  }

  #mac(at: number, key: ItemKey, body: Uint8Array): Uint8Array {
    return (this.#macs[at] as HashFunction)(signed.reset().bytes(key.encoded).bytes(body).view()).slice(0, MAC_BYTES);
  }

  /** @throws ArchipelError `context-invalid` */
  read(key: ItemKey, token: string): { readonly context: VersionVector; readonly seen: Operations } {
    const bytes = token.length <= CONTEXT_TOKEN_BYTES_MAX ? fromBase64Url(token) : undefined;
    if (bytes === undefined || bytes.length <= MAC_BYTES + 3) throw invalid();
    const body = bytes.subarray(0, bytes.length - MAC_BYTES);
    const mac = bytes.subarray(bytes.length - MAC_BYTES);
    const isAuthentic = this.#macs.some((_, at) => sameInConstantTime(keyText(this.#mac(at, key, body)), keyText(mac)));
    if (!isAuthentic || (body[0] !== VERSION && body[0] !== VERSION_WITH_OPERATIONS)) throw invalid();
    return decode(body);
  }

  /** For other tokens under the same keys: a MAC of a digest, which no context can be mistaken for. */
  seal(digest: Uint8Array, length: number): Uint8Array {
    return (this.#macs[0] as HashFunction)(digest).subarray(0, length);
  }

  isSealed(digest: Uint8Array, mac: Uint8Array): boolean {
    return this.#macs.some((each) => sameInConstantTime(keyText(each(digest).subarray(0, mac.length)), keyText(mac)));
  }
}

function writeOperations({ entries, evicted }: Operations, actors: readonly ActorId[]): void {
  writer.u8(entries.length | (evicted > STAMP_ZERO ? HAS_EVICTED : 0));
  for (const { id, dot } of entries) writer.bytes(fromHex(id) as Uint8Array).u8(actors.indexOf(dot.actor)).u64(dot.stamp);
  if (evicted > STAMP_ZERO) writer.u64(evicted);
}

function readOperations(reader: ByteReader, actors: readonly ActorId[]): Operations {
  const count = reader.u8();
  const entries = Array.from({ length: count & ~HAS_EVICTED }, (): OperationEntry => {
    const id = asOperationHash(toHex(reader.bytes(8)));
    const actor = actors[reader.u8()];
    if (actor === undefined) throw new RangeError('Not an entry.');
    return { id, dot: { actor, stamp: asStamp(reader.u64()) } };
  });
  return { entries, evicted: (count & HAS_EVICTED) === 0 ? STAMP_ZERO : asStamp(reader.u64()) };
}

function decode(body: Uint8Array): { readonly context: VersionVector; readonly seen: Operations } {
  try {
    const reader = new ByteReader(body, 2);
    const context = new Map<ActorId, Stamp>();
    for (let left = reader.u8(); left > 0; left--) {
      const actor = parseActor(reader.text());
      if (actor === undefined) throw new RangeError('Not an actor.');
      context.set(actor, asStamp(reader.u64()));
    }
    return { context, seen: body[0] === VERSION ? NO_OPERATIONS : readOperations(reader, [...context.keys()]) };
  } catch {
    throw invalid();
  }
}

const invalid = (): ArchipelError => new ArchipelError('context-invalid', 'This is not a context of this item. Send back the Causal-Context of the answer that you read the item with.');
