// Which keys are asked for most, in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi: Efficient computation of
// frequent and top-k elements in data streams, 2005). A key that makes up more than 1/capacity of what was counted is never
// missed; its count is too high by at most `error`.
//
// Old days weigh less: when enough was counted, all counts are halved.

export interface Hot<V> {
  readonly value: V;
  readonly count: number;
  /** The count may be too high by this much. */
  readonly error: number;
}

interface Counter<V> {
  value: V;
  count: number;
  error: number;
}

export class HotKeys<V> {
  readonly #capacity: number;
  readonly #halveAt: number;
  readonly #counters = new Map<string, Counter<V>>();
  #total = 0;

  /** @param halveAt so many counted: all counts are halved */
  constructor(capacity = 64, halveAt = 4_096) {
    this.#capacity = capacity;
    this.#halveAt = halveAt;
  }

  /** What the counts add up to; a share is a count over this. */
  get total(): number {
    return this.#total;
  }

  /** `make` is asked when the name is not counted yet. */
  add(name: string, make: () => V): void {
    if (++this.#total >= this.#halveAt) this.#halve();
    const known = this.#counters.get(name);
    if (known !== undefined) {
      known.count++;
      return;
    }
    if (this.#counters.size < this.#capacity) {
      this.#counters.set(name, { value: make(), count: 1, error: 0 });
      return;
    }
    let least: readonly [string, Counter<V>] | undefined;
    for (const entry of this.#counters) if (least === undefined || entry[1].count < least[1].count) least = entry;
    const [oldest, { count }] = least as readonly [string, Counter<V>];
    this.#counters.delete(oldest);
    this.#counters.set(name, { value: make(), count: count + 1, error: count });
  }

  #halve(): void {
    this.#total = 0;
    for (const [name, counter] of this.#counters) {
      counter.count = Math.floor(counter.count / 2);
      counter.error = Math.floor(counter.error / 2);
      this.#total += counter.count;
      if (counter.count === 0) this.#counters.delete(name);
    }
  }

  /** The most frequent first. */
  top(most: number): Hot<V>[] {
    return [...this.#counters.values()].sort((a, b) => b.count - b.error - (a.count - a.error)).slice(0, most);
  }
}
