// Something made once per environment: begun when the function is loaded, so that a cold start uses the time that it has
// anyway. When that has failed, the invocation that finds it so makes it again: it was begun before there was anybody to
// fail for. What fails within an invocation, fails it.

export class Once<T> {
  readonly #make: () => Promise<T>;
  #made: Promise<T> | undefined;
  #isOfLoading = true;

  constructor(make: () => Promise<T>) {
    this.#make = make;
    this.#begin().catch(() => undefined);
  }

  async get(): Promise<T> {
    const isOfLoading = this.#isOfLoading;
    this.#isOfLoading = false;
    try {
      return await (this.#made ?? this.#begin());
    } catch (error) {
      if (!isOfLoading) throw error;
      return this.#made ?? this.#begin();
    }
  }

  #begin(): Promise<T> {
    this.#made = (async () => this.#make())().catch((error: unknown) => {
      this.#made = undefined;
      throw error;
    });
    return this.#made;
  }
}
