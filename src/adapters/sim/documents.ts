// The documents of a simulated table: each changed by compare-and-set, and told of only when it is durable.

import type { StoredDocument } from '../../ports/table.ts';
import type { SimStore } from './store.ts';

export const documentCell = (name: string): string => `d ${name}`;

export type DocumentWatcher = (name: string, bytes: Uint8Array) => void;

export class SimDocuments {
  readonly #store: SimStore;
  readonly #kept: DocumentWatcher;
  readonly #newest = new Map<string, StoredDocument>();
  readonly #durable = new Map<string, StoredDocument>();
  readonly #writing = new Map<string, Promise<void>>();

  constructor(store: SimStore, kept: DocumentWatcher = () => undefined) {
    this.#store = store;
    this.#kept = kept;
  }

  load(name: string, document: StoredDocument): void {
    this.#newest.set(name, document);
    this.#durable.set(name, document);
  }

  get(name: string): StoredDocument | undefined {
    return this.#durable.get(name);
  }

  async put(name: string, bytes: Uint8Array, expected: number | undefined): Promise<boolean> {
    const before = this.#newest.get(name);
    if (before?.revision !== expected) {
      await this.#writing.get(name)?.catch(() => undefined); // nothing that is not durable is told of
      return false;
    }
    const document: StoredDocument = { bytes: bytes.slice(), revision: (before?.revision ?? 0) + 1 };
    const written = this.#store.write([{ name: documentCell(name), value: document }], { frees: true });
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
    this.#kept(name, document.bytes);
    return true;
  }
}
