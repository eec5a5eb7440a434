// What was used lately, within a bound of weight. Two generations: what is used again moves to the young one; when the
// young one has half of the weight it becomes the old one, and the old one is forgotten. Nearly as good as least recently
// used, at the price of one look-up.

interface Held<V> {
  value: V;
  weight: number;
}

export class Recent<K, V> {
  readonly #half: number;
  #young = new Map<K, Held<V>>();
  #old = new Map<K, Held<V>>();
  #weight = 0;

  /** Holds at most this much. What alone weighs more than half of it is not held. */
  constructor(weightMax: number) {
    this.#half = weightMax / 2;
  }

  get(key: K): V | undefined {
    const held = this.#young.get(key);
    if (held !== undefined) return held.value;
    const again = this.#old.get(key);
    if (again === undefined) return undefined;
    this.#old.delete(key);
    this.#add(key, again);
    return again.value;
  }

  /** Held, without counting as a use. */
  has(key: K): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  set(key: K, value: V, weight = 1): void {
    this.delete(key);
    if (weight <= this.#half) this.#add(key, { value, weight });
  }

  /** Takes the place of what is held under this key; where nothing is, nothing happens. */
  replace(key: K, value: V, weight = 1): void {
    const held = this.#young.get(key);
    const weightAfter = this.#weight + weight - (held?.weight ?? 0);
    if (held === undefined || weightAfter > this.#half) {
      if (this.has(key)) this.set(key, value, weight);
      return;
    }
    this.#weight = weightAfter;
    held.value = value;
    held.weight = weight;
  }

  #add(key: K, held: Held<V>): void {
    if (this.#weight + held.weight > this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#weight = 0;
    }
    this.#young.set(key, held);
    this.#weight += held.weight;
  }

  delete(key: K): void {
    const held = this.#young.get(key);
    if (held !== undefined) {
      this.#weight -= held.weight;
      this.#young.delete(key);
    } else this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#weight = 0;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
