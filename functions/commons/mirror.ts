// What an environment knows of policies and keys, read by need. There is no log in the process that would keep the
// catalog up to date: an item that a request or a message depends on is read before, one consistent read each, and is
// good for FRESH_MS. A key that is revoked, or a policy that is changed, in another environment counts here after that.

import type { KeyRing } from '../../src/auth/keys.ts';
import { utf8Text } from '../../src/core/bytes.ts';
import type { ItemKey } from '../../src/core/keys/item-key.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import type { State } from '../../src/core/version/record.ts';
import { COLLECTIONS, KEYS, type Catalog } from '../../src/engine/catalog.ts';
import { percentDecodeText } from '../../src/http/target.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Table } from '../../src/ports/table.ts';

export const FRESH_MS = 10_000;
/** Names remembered as looked up; then all are forgotten. Strangers can name as many as they like. */
const NAMES_MAX = 10_000;
/** Partitions of the system's group read at a time. */
const SCANS = 16;

type System = typeof COLLECTIONS | typeof KEYS;

export interface MirrorParts {
  readonly catalog: Catalog;
  readonly keys: KeyRing | undefined;
  readonly table: Table;
  readonly clock: Clock;
}

export class Mirror {
  readonly #parts: MirrorParts;
  readonly #readMs = new Map<string, number>();
  #allReadMs = Number.NEGATIVE_INFINITY;

  constructor(parts: MirrorParts) {
    this.#parts = parts;
  }

  /** A record of the system's collections, read or committed by this process. */
  learn(key: ItemKey, state: State): void {
    if (key.group !== this.#parts.catalog.systemGroup) return;
    const name = utf8Text(key.pk) ?? '';
    if (key.collection === COLLECTIONS) this.#parts.catalog.learn(key, state);
    if (key.collection === KEYS) this.#parts.keys?.learn(name, state);
    if (this.#readMs.size >= NAMES_MAX) this.#readMs.clear();
    this.#readMs.set(`${key.collection}/${name}`, this.#parts.clock.monotonicMs());
  }

  /** Before items of these collections are placed or merged. */
  async collections(names: Iterable<string>): Promise<void> {
    await Promise.all([...new Set(names)].map((name) => this.#read(COLLECTIONS, name)));
  }

  /** Before records under these keys are placed or merged. */
  collectionsOf(keys: readonly ItemKey[]): Promise<void> {
    return this.collections(keys.filter(({ group }) => group !== this.#parts.catalog.systemGroup).map(({ collection }) => collection));
  }

  /** Before a request is answered: the key that it shows, and what its path names. */
  async request(target: string, authorization: string | null): Promise<void> {
    const [path = ''] = target.split('?');
    const [, version, what, name] = path.split('/');
    const isOfItems = version === 'v1' && what === 'c' && name !== undefined;
    const isOfAll = version === 'v1' && !isOfItems && (what === 'c' || what === 'topology' || what === 'keys');
    await Promise.all([this.#key(authorization), isOfItems ? this.#collection(name) : undefined, isOfAll ? this.everything() : undefined]);
  }

  async #key(authorization: string | null): Promise<void> {
    const id = /^bearer ak_([a-z0-9]{1,32})_/i.exec(authorization ?? '')?.[1];
    if (id !== undefined && this.#parts.keys?.isGiven(id) !== true) await this.#read(KEYS, id);
  }

  /** A name that is none is refused by the route. */
  async #collection(segment: string): Promise<void> {
    try {
      await this.#read(COLLECTIONS, percentDecodeText(segment));
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'key-invalid') throw error;
    }
  }

  async #read(system: System, name: string): Promise<void> {
    const readMs = this.#readMs.get(`${system}/${name}`);
    if (readMs !== undefined && this.#parts.clock.monotonicMs() - readMs < FRESH_MS) return;
    const key = this.#parts.catalog.systemKey(system, name);
    const record = await this.#parts.table.get(key);
    if (record !== undefined) this.learn(key, record.state); // one that is not there may be made at any moment
  }

  /** All policies and keys: for lists, and for what is done once an hour. */
  async everything(): Promise<void> {
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - this.#allReadMs < FRESH_MS) return;
    const left = Array.from({ length: PARTITIONS }, (_, partition) => partition);
    const scan = async (): Promise<void> => {
      for (let partition = left.pop(); partition !== undefined; partition = left.pop()) await this.#scan(partition);
    };
    await Promise.all(Array.from({ length: SCANS }, scan));
    this.#allReadMs = nowMs;
  }

  async #scan(partition: number): Promise<void> {
    for (let after: Uint8Array | undefined; ; ) {
      const page = await this.#parts.table.scan({ group: this.#parts.catalog.systemGroup, partition, limit: 100, bytesMax: 1 << 20, ...(after === undefined ? {} : { after }) });
      for (const { key, record } of page.items) this.learn(key, record.state);
      if (page.cursor === undefined) return;
      after = page.cursor;
    }
  }
}
