// Durations in logarithmic classes, eight to a doubling (9 % wide): small, constant memory, quantiles good to that width.

const PER_DOUBLING = 8;
const CLASSES = 30 * PER_DOUBLING;
/** The smallest duration told apart, in milliseconds. */
const FIRST_MS = 0.01;

export class Histogram {
  readonly #counts = new Uint32Array(CLASSES);
  #count = 0;
  #sum = 0;
  #max = 0;

  record(ms: number): void {
    const value = Math.max(0, ms);
    const at = value <= FIRST_MS ? 0 : Math.min(CLASSES - 1, Math.ceil(Math.log2(value / FIRST_MS) * PER_DOUBLING));
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#count++;
    this.#sum += value;
    this.#max = Math.max(this.#max, value);
  }

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  get max(): number {
    return this.#max;
  }

  /** The upper bound of the class in which the quantile lies, at most the maximum; 0 when empty. */
  quantile(q: number): number {
    const rank = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    for (let at = 0; at < CLASSES; at++) {
      seen += this.#counts[at] as number;
      if (seen >= rank) return Math.min(this.#max, FIRST_MS * 2 ** (at / PER_DOUBLING));
    }
    return 0;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#count = this.#sum = this.#max = 0;
  }
}
