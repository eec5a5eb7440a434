// How many writes were given up for a peer: the hint queue was full, so nothing remembers them but this number, until a
// reconciliation proves that the peer has everything. It is durable before the log may be trimmed past such a write;
// forgotten over a restart, the live RPO would claim to be exact and be too low.

import type { RegionId } from '../core/version/dot.ts';
import type { Table } from '../ports/table.ts';
import { keepDocument, readDocument } from './documents.ts';

interface Note {
  readonly count: number;
  /** Wall time of the last write that was given up. */
  readonly lastMs: number;
}

const NONE: Note = { count: 0, lastMs: 0 };

export class Behind {
  readonly #table: Table;
  readonly #name: string;
  #note: Note = NONE;

  constructor(table: Table, peer: RegionId) {
    this.#table = table;
    this.#name = `behind/${peer}`;
  }

  get count(): number {
    return this.#note.count;
  }

  async load(): Promise<void> {
    this.#note = (await readDocument<Note>(this.#table, this.#name)) ?? NONE;
  }

  /** Durable when it resolves. */
  async add(count: number, nowMs: number): Promise<void> {
    this.#note = { count: this.#note.count + count, lastMs: nowMs };
    await this.#save();
  }

  /** Everything that was written before this time is proved to be there. */
  async caughtUp(provedMs: number): Promise<void> {
    if (this.#note.count === 0 || this.#note.lastMs >= provedMs) return;
    // mark: certificate ends being behind
    this.#note = NONE;
    await this.#save();
  }

  /** Nobody is there to catch up any more. */
  async forget(): Promise<void> {
    if (this.#note.count === 0) return;
    this.#note = NONE;
    await this.#save();
  }

  #save(): Promise<void> {
    return keepDocument(this.#table, this.#name, () => this.#note);
  }
}
