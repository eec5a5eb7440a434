// A shopping cart that several devices of one household change, each in the region nearest to it. The collection keeps
// concurrent carts as siblings; who reads several of them merges them and writes the result over all that were read.

import type { Client } from 'archipel/testing';

export interface Line {
  readonly item: string;
  readonly count: number;
}

export interface CartValue {
  /** By an id of its own: adding twice is two lines. */
  readonly lines: Readonly<Record<string, Line>>;
  /** Ids of lines that were taken out. */
  readonly removed: readonly string[];
}

export type Merge = (carts: readonly CartValue[]) => CartValue;

/**
 * What comes to mind first, and what Amazon's own cart did (DeCandia et al. 2007, section 4.4): nothing that was added may
 * get lost, so everything that any cart holds is kept. A line that one device took out while another changed the cart
 * stands in the other's copy, and is back.
 */
export const mergeByUnion: Merge = (carts) => ({ lines: Object.assign({}, ...carts.map(({ lines }) => lines)) as CartValue['lines'], removed: [] });

/** The fix: that a line was taken out is kept too, and counts for more than that somebody still has it. */
export const mergeWithRemovals: Merge = (carts) => {
  const removed = new Set(carts.flatMap((cart) => cart.removed));
  const lines = carts.flatMap((cart) => Object.entries(cart.lines)).filter(([id]) => !removed.has(id));
  return { lines: Object.fromEntries(lines), removed: [...removed].sort() };
};

const EMPTY: CartValue = { lines: {}, removed: [] };

export class Cart {
  readonly #client: Client;
  readonly #item: { readonly collection: 'carts'; readonly pk: string };
  readonly #merge: Merge;

  constructor(client: Client, owner: string, merge: Merge) {
    this.#client = client;
    this.#item = { collection: 'carts', pk: owner };
    this.#merge = merge;
  }

  add(id: string, line: Line): Promise<void> {
    return this.#change(({ lines, removed }) => ({ lines: { ...lines, [id]: line }, removed }));
  }

  remove(id: string): Promise<void> {
    return this.#change(({ lines, removed }) => ({ lines: Object.fromEntries(Object.entries(lines).filter(([each]) => each !== id)), removed: [...removed, id] }));
  }

  async lines(): Promise<Readonly<Record<string, Line>>> {
    return (await this.#read()).cart.lines;
  }

  async #change(edit: (cart: CartValue) => CartValue): Promise<void> {
    const { cart, context } = await this.#read();
    await this.#client.put(this.#item, JSON.stringify(edit(cart)), { contentType: 'application/json', ...(context === undefined ? {} : { context }) });
  }

  async #read(): Promise<{ readonly cart: CartValue; readonly context: string | undefined }> {
    const read = await this.#client.get(this.#item);
    if (read.type === 'absent') return { cart: EMPTY, context: read.context };
    if (read.type === 'value') return { cart: JSON.parse(new TextDecoder().decode(read.bytes)) as CartValue, context: read.context };
    return { cart: this.#merge(read.siblings.map(({ value }) => value as CartValue)), context: read.context };
  }
}
