// Records in memory, so that a write need not read the one that it replaces. Those used lately are whole and decoded. Of many
// more there is what is stored beside the bytes of their values, a tenth of the room: nearly every write asks for no more.
//
//   read                    whole
//   written                 whole, where it was one or is written again; else without bytes
//   not used for a while    without bytes, then not at all
//
// What stands here is the durable record; a name stands in one of the two, or in none.

import { EMPTY } from '../../core/bytes.ts';
import { Recent } from '../../core/recent.ts';
import type { Value } from '../../core/version/record.ts';
import type { Change, Decision } from '../../ports/table.ts';
import { decodeRecord, encodeRecord, nameOf, type StoredRecord } from './layout.ts';

const WHOLE_BYTES_MAX = 12 * 1024 * 1024;
/** Of the objects around the bytes of one. */
const WHOLE_OVERHEAD_BYTES = 800;
/** In each of two generations; at 200 bytes. */
const LEAN_MAX = 80_000;

class BytesAbsent extends Error {
  override readonly name = 'BytesAbsent';
}

export interface KeptBounds {
  readonly wholeBytesMax: number;
  readonly leanMax: number;
}

export class KeptRecords {
  readonly #whole: Recent<string, StoredRecord>;
  readonly #leanMax: number;
  /** As they are stored, in text: of many small arrays each would be some objects more. */
  #lean = new Map<string, string>();
  #oldLean = new Map<string, string>();

  constructor({ wholeBytesMax, leanMax }: KeptBounds = { wholeBytesMax: WHOLE_BYTES_MAX, leanMax: LEAN_MAX }) {
    this.#whole = new Recent(wholeBytesMax, (name, record) => this.#keepLean(name, record));
    this.#leanMax = leanMax;
  }

  whole(name: string): StoredRecord | undefined {
    return this.#whole.get(name);
  }

  /** To read the bytes of one of its values throws. */
  lean(name: string): StoredRecord | undefined {
    const text = this.#lean.get(name) ?? this.#oldLean.get(name);
    return text === undefined ? undefined : withoutBytes(decodeRecord(Buffer.from(text, 'latin1')));
  }

  /** @param bytes how many it has as it is stored */
  wasRead(name: string, record: StoredRecord, bytes: number): void {
    this.#dropLean(name);
    this.#whole.set(name, record, WHOLE_OVERHEAD_BYTES + bytes);
  }

  /** It is durable now. */
  wasWritten(name: string, record: StoredRecord, bytes: number): void {
    if (this.#whole.replace(name, record, WHOLE_OVERHEAD_BYTES + bytes)) return;
    if (this.#lean.has(name) || this.#oldLean.has(name)) this.wasRead(name, record, bytes);
    else this.#keepLean(name, record);
  }

  #keepLean(name: string, record: StoredRecord): void {
    const { state } = record;
    const { row } = encodeRecord({ ...record, state: { ...state, values: state.values.map(({ dot, value }) => ({ dot, value: { ...value, bytes: EMPTY } })) } });
    if (this.#lean.size >= this.#leanMax) {
      this.#oldLean = this.#lean;
      this.#lean = new Map();
    }
    this.#lean.set(name, nameOf(row));
  }

  #dropLean(name: string): void {
    if (!this.#lean.delete(name)) this.#oldLean.delete(name);
  }

  delete(name: string): void {
    this.#whole.delete(name);
    this.#dropLean(name);
  }

  clear(): void {
    this.#whole.clear();
    this.#lean.clear();
    this.#oldLean.clear();
  }
}

const withoutBytes = (record: StoredRecord): StoredRecord => ({ ...record, state: { ...record.state, values: record.state.values.map(({ dot, value }) => ({ dot, value: valueWithoutBytes(value) })) } });

/** An own property, so that a copy of it throws too. */
const valueWithoutBytes = ({ contentType, hash, expiresMs }: Value): Value => ({
  get bytes(): Uint8Array {
    throw new BytesAbsent('This record stands in memory without the bytes of its values.');
  },
  contentType,
  hash,
  ...(expiresMs === undefined ? {} : { expiresMs }),
});

/** What is decided on a record without bytes, where it holds on the whole one: a commit that keeps and loses none of its values. */
export function decidedWithoutBytes<R>({ decide }: Change<R>, lean: StoredRecord): Decision<R> | undefined {
  let decision: Decision<R>;
  try {
    decision = decide(lean);
  } catch (error) {
    if (error instanceof BytesAbsent) return undefined;
    throw error;
  }
  const { commit, losses = [] } = decision;
  if (commit === undefined || losses.length > 0) return undefined;
  const held = new Set(lean.state.values.map(({ value }) => value));
  return commit.state.values.some(({ value }) => held.has(value)) ? undefined : decision;
}
