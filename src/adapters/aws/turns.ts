// Turns: writers of one item in this process wait for each other. A condition that fails costs a write unit all the
// same, so only writers of other processes are left to meet at the table.

export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  async take<T>(name: string, task: () => Promise<T>): Promise<T> {
    const mine = this.#last.get(name)?.then(task, task) ?? task();
    this.#last.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name);
    }
  }
}
