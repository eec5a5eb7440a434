// Records in memory, so that a write need not read the one that it replaces. Those read lately are whole and decoded. Of many
// more there is what is stored beside the bytes of their values: nearly every write asks for no more.
//
//   read                    whole
//   written                 whole, where it was one; else without bytes
//   not used for a while    without bytes, then not at all
//
// What stands here is the durable record; a name stands in one of the two, or in none.

import { Recent } from '../../core/recent.ts';
import { decodeState } from '../../core/version/codec.ts';
import type { State } from '../../core/version/record.ts';
import type { Change, Decision } from '../../ports/table.ts';
import type { StoredRecord } from './layout.ts';
import { ABSENT, LeanRecords } from './lean-records.ts';

const WHOLE_BYTES_MAX = 12 * 1024 * 1024;
/** Of the objects around the bytes of one. */
const WHOLE_OVERHEAD_BYTES = 800;
/** In each of two generations; at 150 bytes with its name. */
const LEAN_MAX = 80_000;

export interface KeptBounds {
  readonly wholeBytesMax: number;
  readonly leanMax: number;
}

export class KeptRecords {
  readonly #whole: Recent<string, StoredRecord>;
  #lean: LeanRecords;
  /** Where a name stands in both, the younger one counts. */
  #oldLean: LeanRecords;

  constructor({ wholeBytesMax, leanMax }: KeptBounds = { wholeBytesMax: WHOLE_BYTES_MAX, leanMax: LEAN_MAX }) {
    this.#whole = new Recent(wholeBytesMax, (name, record) => this.#keepLean(name, record));
    this.#lean = new LeanRecords(leanMax);
    this.#oldLean = new LeanRecords(leanMax);
  }

  whole(name: string): StoredRecord | undefined {
    return this.#whole.get(name);
  }

  /** To look into the bytes of one of its values throws. */
  lean(name: string): StoredRecord | undefined {
    return this.#lean.get(name) ?? this.#oldLean.get(name);
  }

  /** @param bytes how many it has as it is stored */
  wasRead(name: string, record: StoredRecord, bytes: number): void {
    this.#dropLean(name);
    this.#whole.set(name, record, WHOLE_OVERHEAD_BYTES + bytes);
  }

  /**
   * It is durable now.
   * @param image its state as it is stored
   */
  wasWritten(name: string, record: StoredRecord, image: Uint8Array): void {
    if (this.#whole.has(name)) this.#whole.replace(name, { ...record, state: withOwnBytes(record.state, image) }, WHOLE_OVERHEAD_BYTES + image.length);
    else this.#keepLean(name, record);
  }

  #keepLean(name: string, record: StoredRecord): void {
    if (this.#lean.isFull && !this.#lean.has(name)) {
      [this.#lean, this.#oldLean] = [this.#oldLean, this.#lean];
      this.#lean.clear();
    }
    this.#lean.set(name, record);
  }

  #dropLean(name: string): void {
    this.#lean.delete(name);
    this.#oldLean.delete(name);
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

/**
 * A state that was written is a view of what it came with, and its row one of a piece with many others: what is kept has bytes
 * of its own.
 */
function withOwnBytes(state: State, image: Uint8Array): State {
  const [only] = state.values;
  if (only === undefined || state.values.length > 1) return only === undefined ? state : decodeState(new Uint8Array(image));
  const { bytes, hash } = only.value;
  return { ...state, values: [{ dot: only.dot, value: { ...only.value, bytes: new Uint8Array(bytes), hash: new Uint8Array(hash) } }] };
}

/**
 * What is decided on a record without bytes, where it holds on the whole one: a commit that keeps and loses none of its values.
 * What fails is made again on the whole one, and fails there if it was for another reason.
 */
export function decidedWithoutBytes<R>({ decide }: Change<R>, lean: StoredRecord): Decision<R> | undefined {
  let decision: Decision<R>;
  try {
    decision = decide(lean);
  } catch {
    return undefined;
  }
  const { commit, losses = [] } = decision;
  if (commit === undefined || losses.length > 0) return undefined;
  return commit.state.values.some(({ value }) => value.bytes === ABSENT) ? undefined : decision;
}
