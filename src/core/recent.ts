// What was used lately, within a bound of weight. Two generations: what is used again moves to the young one; when the
// young one has its share of the weight it becomes the old one, and the old one is forgotten. Nearly as good as least recently
// used, at the price of one look-up.
//
// Where somebody wants what is forgotten, there is a third generation, of which two leave with each that comes: so it is
// empty before the next one follows, and nobody waits for a whole generation to leave.

interface Held<V> {
  value: V;
  weight: number;
}

const LEAVE_AT_ONCE = 2;

export class Recent<K, V> {
  readonly #share: number;
  readonly #forgotten: ((key: K, value: V) => void) | undefined;
  #young = new Map<K, Held<V>>();
  #old = new Map<K, Held<V>>();
  #leaving = new Map<K, Held<V>>();
  #weight = 0;

  /**
   * Holds at most this much. What alone weighs more than a generation's share of it is not held.
   * @param forgotten is given what was not used for long; not what is deleted, or does not fit
   */
  constructor(weightMax: number, forgotten?: (key: K, value: V) => void) {
    this.#share = weightMax / (forgotten === undefined ? 2 : 3);
    this.#forgotten = forgotten;
  }

  get(key: K): V | undefined {
    const held = this.#young.get(key);
    if (held !== undefined) return held.value;
    const again = this.#old.get(key) ?? this.#leaving.get(key);
    if (again === undefined) return undefined;
    this.#drop(key);
    this.#add(key, again);
    return again.value;
  }

  /** Held, without counting as a use. */
  has(key: K): boolean {
    return this.#young.has(key) || this.#old.has(key) || this.#leaving.has(key);
  }

  set(key: K, value: V, weight = 1): void {
    this.delete(key);
    if (weight <= this.#share) this.#add(key, { value, weight });
  }

  /** Takes the place of what is held under this key. False: nothing was. */
  replace(key: K, value: V, weight = 1): boolean {
    const held = this.#young.get(key);
    const weightAfter = this.#weight + weight - (held?.weight ?? 0);
    if (held === undefined || weightAfter > this.#share) {
      if (!this.has(key)) return false;
      this.set(key, value, weight);
      return true;
    }
    this.#weight = weightAfter;
    held.value = value;
    held.weight = weight;
    return true;
  }

  #add(key: K, held: Held<V>): void {
    if (this.#weight + held.weight > this.#share) {
      this.#leave(Number.POSITIVE_INFINITY);
      if (this.#forgotten !== undefined) this.#leaving = this.#old;
      this.#old = this.#young;
      this.#young = new Map();
      this.#weight = 0;
    }
    this.#young.set(key, held);
    this.#weight += held.weight;
    if (this.#leaving.size > 0) this.#leave(LEAVE_AT_ONCE);
  }

  #leave(count: number): void {
    let left = count;
    for (const [key, { value }] of this.#leaving) {
      if (left-- === 0) return;
      this.#leaving.delete(key);
      this.#forgotten?.(key, value);
    }
  }

  delete(key: K): void {
    const held = this.#young.get(key);
    if (held !== undefined) {
      this.#weight -= held.weight;
      this.#young.delete(key);
    } else this.#drop(key);
  }

  #drop(key: K): void {
    if (!this.#old.delete(key)) this.#leaving.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#leaving.clear();
    this.#weight = 0;
  }

  get size(): number {
    return this.#young.size + this.#old.size + this.#leaving.size;
  }
}
