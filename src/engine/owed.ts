// Items whose newest local change a peer has not acknowledged and no hint covers yet.

import { textKey } from '../core/bytes.ts';
import type { Queue } from '../ports/queue.ts';

interface Entry {
  position: number;
  readonly sinceMs: number;
}

export class Owed {
  readonly #entries = new Map<string, Entry>();

  add(name: string, position: number, nowMs: number): void {
    const known = this.#entries.get(name);
    if (known === undefined) this.#entries.set(name, { position, sinceMs: nowMs });
    else known.position = Math.max(known.position, position);
  }

  /** A change at this position, or a later one, is with the peer or in a hint. */
  settle({ name, position }: { readonly name: string; readonly position: number }): void {
    const known = this.#entries.get(name);
    if (known !== undefined && known.position <= position) this.#entries.delete(name);
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** How many items, those in the queue once. */
  async countWith(hints: Queue): Promise<number> {
    const depth = await hints.depth();
    let both = 0;
    if (depth > 0 && hints.has !== undefined) for (const name of this.#entries.keys()) if (hints.has(textKey(name))) both++;
    return this.#entries.size + depth - both;
  }

  oldestMs(): number | undefined {
    const [oldest] = this.#entries.values();
    return oldest?.sinceMs;
  }
}
