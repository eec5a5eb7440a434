// Small named documents with compare-and-set: all in memory, each change durable before it is answered. The decision is
// synchronous, so two contenders for a lease cannot both see the old revision.

import { ByteReader, ByteWriter, concatBytes, utf8Text } from '../../core/bytes.ts';
import { afterPrefix } from '../../core/bytes.ts';
import type { StoredDocument } from '../../ports/table.ts';
import { rows } from './layout.ts';
import type { LevelStore } from './store.ts';

export class Documents {
  readonly #store: LevelStore;
  /** The newest of each, durable or not: what the next compare-and-set is judged by. */
  readonly #newest = new Map<string, StoredDocument>();
  readonly #durable = new Map<string, StoredDocument>();
  /** Under way, by name: the last of each. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(store: LevelStore) {
    this.#store = store;
  }

  /** At start, and when the database was opened again: a change that failed may have been written. */
  async load(): Promise<void> {
    this.#newest.clear();
    this.#durable.clear();
    const prefix = rows.document('');
    for await (const [row, value] of this.#store.database.iterator({ gte: prefix, lt: afterPrefix(prefix) as Uint8Array })) {
      const reader = new ByteReader(value);
      const revision = reader.varint();
      const document = { bytes: new Uint8Array(reader.bytes(reader.left)), revision };
      const name = utf8Text(row.subarray(prefix.length)) as string;
      this.#newest.set(name, document);
      this.#durable.set(name, document);
    }
  }

  get(name: string): StoredDocument | undefined {
    return this.#durable.get(name);
  }

  async put(name: string, bytes: Uint8Array, expected: number | undefined): Promise<boolean> {
    const before = this.#newest.get(name);
    if (before?.revision !== expected) {
      // Told only when what it lost to is durable: who tries again at once finds it then, and does not spin until the disk
      // is done, which it would keep from ever getting its turn.
      await this.#writing.get(name)?.catch(() => undefined);
      return false;
    }
    const document: StoredDocument = { bytes: new Uint8Array(bytes), revision: (before?.revision ?? 0) + 1 };
    const value = concatBytes(new ByteWriter(8).varint(document.revision).finish(), bytes);
    const written = this.#store.write({ operations: [{ type: 'put', key: rows.document(name), value }] }, true);
    this.#newest.set(name, document);
    this.#writing.set(name, written);
    try {
      await written;
    } catch (error) {
      const durable = this.#durable.get(name);
      if (durable === undefined) this.#newest.delete(name);
      else this.#newest.set(name, durable);
      throw error;
    }
    this.#durable.set(name, document);
    if (this.#writing.get(name) === written) this.#writing.delete(name);
    return true;
  }
}
