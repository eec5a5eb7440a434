// How often a region has agreed that something be reaped: counted on its disk before it says so, and remembered by whoever reaps
// with it before anything goes. A disk that is put back to a time from before has counted fewer than its peers remember, also
// where its region has written nothing since: it holds values that it has agreed to forget, and may not vouch for them.

import type { RegionId } from '../core/version/dot.ts';
import type { Table } from '../ports/table.ts';
import { keepDocument, readDocument } from './documents.ts';

const DOCUMENT = 'agreements';

interface Note {
  /** Of this region, ever. */
  readonly own: number;
  readonly heard: Readonly<Record<string, number>>;
}

export class Agreements {
  readonly #table: Table;
  /** A table that is made anew whenever it is put back (`largestStamps` is not told) does not need it. */
  readonly #isCounted: boolean;
  #own = 0;
  /** Durable: no more than this is told. */
  #told = 0;
  /** As this life found it. */
  #stored = 0;
  readonly #heard = new Map<RegionId, number>();
  /** Lives of each peer that have asked how often it has agreed. */
  readonly #lives = new Map<RegionId, number>();

  constructor(table: Table) {
    this.#table = table;
    this.#isCounted = table.largestStamps !== undefined;
  }

  async load(): Promise<void> {
    if (!this.#isCounted) return;
    const { own, heard } = (await readDocument<Note>(this.#table, DOCUMENT)) ?? { own: 0, heard: {} };
    this.#own = this.#told = this.#stored = own;
    for (const [peer, count] of Object.entries(heard)) this.#heard.set(peer as RegionId, count);
  }

  /** What every message tells. */
  get news(): { readonly agreed?: number } {
    return this.#told === 0 ? {} : { agreed: this.#told };
  }

  heard(peer: RegionId, agreed = 0): void {
    if (agreed > this.of(peer)) this.#heard.set(peer, agreed);
  }

  of(peer: RegionId): number {
    return this.#heard.get(peer) ?? 0;
  }

  /** This region has agreed so often by the word of a peer: more often than its disk knew at the start? */
  isForgotten(agreed: number): boolean {
    return this.#isCounted && agreed > this.#stored;
  }

  /** Durable when it resolves: one more of this region, and what was heard of the others. Only then may it be said. */
  async agree(): Promise<void> {
    if (!this.#isCounted) return;
    const count = ++this.#own;
    await this.keep();
    this.#told = Math.max(this.#told, count);
  }

  /** Durable when it resolves: what was heard of the others. Only then may go what they have agreed to. */
  async keep(): Promise<void> {
    if (this.#isCounted) await keepDocument(this.#table, DOCUMENT, (): Note => ({ own: this.#own, heard: Object.fromEntries(this.#heard) }));
  }

  /** Durable when it resolves: so often at least, by the word of a peer. What comes is counted on from there. */
  async raise(agreed: number): Promise<void> {
    if (agreed <= this.#own || !this.#isCounted) return;
    this.#own = agreed;
    await this.keep();
    this.#told = Math.max(this.#told, agreed);
  }

  /** A peer asks how often it has agreed: it has started, and what an earlier life of it agreed to may be forgotten. */
  begins(peer: RegionId): void {
    this.#lives.set(peer, this.life(peer) + 1);
  }

  life(peer: RegionId): number {
    return this.#lives.get(peer) ?? 0;
  }
}
