// Something made once per environment: begun when the function is loaded, so that a cold start uses the time that it has
// anyway; when that failed, made again by the next invocation.

export class Once<T> {
  readonly #make: () => Promise<T>;
  #made: Promise<T> | undefined;

  constructor(make: () => Promise<T>) {
    this.#make = make;
    this.get().catch(() => undefined);
  }

  get(): Promise<T> {
    this.#made ??= this.#make().catch((error: unknown) => {
      this.#made = undefined;
      throw error;
    });
    return this.#made;
  }
}
