// How many retries the calls of one process may take together. A call retries on its own until it gives up; when everything
// fails, all calls do so at once, and the service that is short of capacity gets five times the load. So a retry has its price,
// a call that succeeds earns a little of it, and who cannot pay is told at once. (The SDK has the same; its retries are off,
// because this layer knows which writes may be repeated.)

/** Twenty retries in a row, then one for every five calls that succeed. */
export const RETRY_BUDGET = 100;
export const RETRY_PRICE = 5;

export class RetryBudget {
  #left = RETRY_BUDGET;

  /** False: there is nothing left. */
  take(): boolean {
    if (this.#left < RETRY_PRICE) return false;
    this.#left -= RETRY_PRICE;
    return true;
  }

  /** A call succeeded, or was answered with what it did not hope for: the service works. */
  earn(): void {
    this.#left = Math.min(RETRY_BUDGET, this.#left + 1);
  }
}
