// How many writes were given up for a peer: the hint queue was full, so nothing remembers them but this number, until a
// reconciliation proves that the peer has everything. It is durable before the log may be trimmed past such a write;
// forgotten over a restart, the live RPO would claim to be exact and be too low.

import type { RegionId } from '../core/version/dot.ts';
import type { Table } from '../ports/table.ts';
import { keepDocument, readDocument } from './documents.ts';

interface Note {
  readonly count: number;
}

const NONE: Note = { count: 0 };

export class Behind {
  readonly #table: Table;
  readonly #name: string;
  #note: Note = NONE;
  #turn = 0;
  /** Of the count, what belongs to a document that is not in force yet: a comparison goes by the one that is, and proves nothing of it. */
  #coming = 0;

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

  /** Another one whenever a write is given up: clocks of two regions, or of one that was put back, say nothing of before and after. */
  get turn(): number {
    return this.#turn;
  }

  /** Durable when it resolves. */
  async add(count: number): Promise<void> {
    this.#turn++;
    this.#note = { count: this.#note.count + count };
    await this.#save();
  }

  /** As `add`, of what the peer comes to hold under a document that is being put in force. */
  addComing(count: number): Promise<void> {
    this.#coming += count;
    return this.add(count);
  }

  /** The document is in force, or was not taken. A look from before, of what both held then, proves nothing of what has come. */
  hasCome(): void {
    if (this.#coming > 0) this.#turn++;
    this.#coming = 0;
  }

  /** Everything that had been given up at this turn, and that both hold by now, is proved to be there. */
  async caughtUp(turn: number): Promise<void> {
    if (this.#note.count === this.#coming || this.#turn !== turn) return;
    // mark: certificate ends being behind
    this.#note = { count: this.#coming };
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
