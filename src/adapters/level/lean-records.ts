// Of many records what is stored beside the bytes of their values. Nearly all have one form: one value, of one region's writing,
// and nothing else. Such a one is a row of a few columns of numbers, 39 bytes and its name, which the garbage collector need
// not look at; to write one costs a tenth of encoding it. Others stand as the text of what is stored.

import { EMPTY, word } from '../../core/bytes.ts';
import type { ActorId } from '../../core/version/dot.ts';
import { NO_OPERATIONS } from '../../core/version/operations.ts';
import type { State, Value } from '../../core/version/record.ts';
import { asStamp } from '../../core/version/stamp.ts';
import { decodeRecord, encodeRecord, KINDS, nameOfRow, type StoredRecord } from './layout.ts';

/** In place of the bytes of a value: whoever looks into it is thrown at. Inherited by a copy of the value. */
export const ABSENT: Uint8Array = new Proxy(EMPTY, {
  get(): never {
    throw new TypeError('This record stands in memory without the bytes of its values.');
  },
});

const HASH_BYTES = 8;
const NEVER_EXPIRES = -1;
/** What one byte can number: actors and content types beyond that are text. */
const NUMBERED_MAX = 256;

/** The same few, by number. */
class Numbered<T> {
  readonly #numbers = new Map<T, number>();
  readonly #all: T[] = [];

  /** -1: it has none, and there is none left. */
  of(one: T): number {
    const known = this.#numbers.get(one);
    if (known !== undefined || this.#all.length === NUMBERED_MAX) return known ?? -1;
    this.#numbers.set(one, this.#all.length);
    return this.#all.push(one) - 1;
  }

  at(number: number): T {
    return this.#all[number] as T;
  }
}

export class LeanRecords {
  readonly #most: number;
  /** The place of a row, or a text. */
  readonly #places = new Map<string, number | string>();
  #used = 0;
  readonly #stamps: BigUint64Array;
  readonly #expires: Float64Array;
  /** Two words each of the hash and of the element, and the revision. */
  readonly #words: Uint32Array;
  readonly #actors: Uint8Array;
  readonly #types: Uint8Array;
  readonly #kinds: Uint8Array;
  readonly #actorsByNumber = new Numbered<ActorId>();
  readonly #typesByNumber = new Numbered<string>();

  /** Holds at most so many. */
  constructor(most: number) {
    this.#most = most;
    this.#stamps = new BigUint64Array(most);
    this.#expires = new Float64Array(most);
    this.#words = new Uint32Array(WORDS * most);
    this.#actors = new Uint8Array(most);
    this.#types = new Uint8Array(most);
    this.#kinds = new Uint8Array(most);
  }

  get isFull(): boolean {
    return this.#used === this.#most;
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  /** Looking into the bytes of its values throws. */
  get(name: string): StoredRecord | undefined {
    const place = this.#places.get(name);
    if (place === undefined) return undefined;
    return typeof place === 'string' ? withoutBytes(decodeRecord(Buffer.from(place, 'latin1'))) : this.#read(place);
  }

  /** Not when it is full, of a name that is not here. */
  set(name: string, record: StoredRecord): void {
    const before = this.#places.get(name);
    const place = typeof before === 'number' ? before : this.#used;
    const isRow = this.#write(place, record);
    this.#places.set(name, isRow ? place : textOf(record));
    if (before === undefined || (isRow && typeof before === 'string')) this.#used++;
  }

  delete(name: string): void {
    this.#places.delete(name);
  }

  clear(): void {
    this.#places.clear();
    this.#used = 0;
  }

  /** False: it has not that form. */
  #write(place: number, { state, revision, kind, element }: StoredRecord): boolean {
    const [only] = state.values;
    if (only === undefined || !isPlain(state) || revision > 0xffff_ffff) return false;
    const { dot, value } = only;
    const actor = this.#actorsByNumber.of(dot.actor);
    const type = this.#typesByNumber.of(value.contentType);
    if (actor < 0 || type < 0 || place >= this.#most) return false;
    this.#stamps[place] = dot.stamp;
    this.#expires[place] = value.expiresMs ?? NEVER_EXPIRES;
    this.#actors[place] = actor;
    this.#types[place] = type;
    this.#kinds[place] = KINDS.indexOf(kind);
    const at = WORDS * place;
    this.#words[at] = word(value.hash, 0);
    this.#words[at + 1] = word(value.hash, 4);
    this.#words[at + 2] = element.high;
    this.#words[at + 3] = element.low;
    this.#words[at + 4] = revision;
    return true;
  }

  #read(place: number): StoredRecord {
    const actor = this.#actorsByNumber.at(this.#actors[place] as number);
    const stamp = asStamp(this.#stamps[place] as bigint);
    const contentType = this.#typesByNumber.at(this.#types[place] as number);
    const expiresMs = this.#expires[place] as number;
    const at = WORDS * place;
    const words = this.#words;
    const hash = new Uint8Array(HASH_BYTES);
    setWord(hash, 0, words[at] as number);
    setWord(hash, 4, words[at + 1] as number);
    const value: Value = expiresMs === NEVER_EXPIRES ? { bytes: ABSENT, contentType, hash } : { bytes: ABSENT, contentType, hash, expiresMs };
    const context = new Map<ActorId, typeof stamp>();
    context.set(actor, stamp);
    return {
      state: { values: [{ dot: { actor, stamp }, value }], context, operations: NO_OPERATIONS },
      revision: words[at + 4] as number,
      kind: KINDS[this.#kinds[place] as number] as StoredRecord['kind'],
      element: { high: words[at + 2] as number, low: words[at + 3] as number },
    };
  }
}

const WORDS = 5;

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** One value, and a context that covers no more. */
function isPlain({ values, context, deleted, operations, removed }: State): boolean {
  const dot = values[0]?.dot;
  return values.length === 1 && context.size === 1 && dot !== undefined && context.get(dot.actor) === dot.stamp && operations === NO_OPERATIONS && deleted === undefined && removed === undefined;
}

const withValues = (record: StoredRecord, valueOf: (value: Value) => Value): StoredRecord => ({ ...record, state: { ...record.state, values: record.state.values.map(({ dot, value }) => ({ dot, value: valueOf(value) })) } });

const withoutBytes = (record: StoredRecord): StoredRecord => withValues(record, (value) => ({ ...value, bytes: ABSENT }));

const textOf = (record: StoredRecord): string => nameOfRow(encodeRecord(withValues(record, (value) => ({ ...value, bytes: EMPTY }))).row);
