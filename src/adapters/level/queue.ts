// A durable queue on LevelDB, for hints: one row per message key, so that a key waits at most once however often it was
// written. The value is a version, raised by every send: acknowledging a delivery removes the row only when no newer
// message of the key has come in between. Deliveries in flight are remembered in memory; a restart delivers them again.

import { afterPrefix, ByteReader, ByteWriter, concatBytes, toHex } from '../../core/bytes.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DeadLetter, DeadLetters, Delivery, Message, Queue } from '../../ports/queue.ts';
import { DEAD_LETTERS_PER_PEER_MAX, MESSAGE_BYTES_MAX } from '../../core/limits.ts';
import { readU48, rows } from './layout.ts';
import type { LevelStore } from './store.ts';

export const VISIBILITY_MS = 10_000;

interface Waiting {
  /** Version of the row, durable or about to be. */
  version: number;
  received: number;
  hiddenUntilMs: number;
}

export class LevelQueue implements Queue {
  readonly supports = { deduplicates: true, exactDepth: true, messageBytesMax: MESSAGE_BYTES_MAX } as const;
  readonly #store: LevelStore;
  readonly #clock: Clock;
  readonly #name: string;
  /** Messages sent or delivered by this process and not yet gone, by key in hexadecimal. */
  readonly #touched = new Map<string, Waiting>();
  #depth = 0;
  #version = 1;
  /** Where the next receive goes on: deleted rows at the head would be skipped one by one otherwise. */
  #cursor: Uint8Array | undefined;

  private constructor(store: LevelStore, clock: Clock, name: string) {
    this.#store = store;
    this.#clock = clock;
    this.#name = name;
  }

  /** Counts the rows: a million take about a second. */
  static async open(store: LevelStore, clock: Clock, name: string): Promise<LevelQueue> {
    const queue = new LevelQueue(store, clock, name);
    const prefix = rows.queue(name);
    for await (const [, value] of store.database.iterator({ gte: prefix, lt: afterPrefix(prefix) as Uint8Array })) {
      queue.#depth++;
      queue.#version = Math.max(queue.#version, versionOf(value) + 1);
    }
    return queue;
  }

  async send(messages: readonly Message[]): Promise<{ readonly refused: readonly number[] }> {
    const refused = messages.flatMap((message, at) => (message.body.length > MESSAGE_BYTES_MAX ? [at] : []));
    const taken = messages.filter((_, at) => !refused.includes(at));
    if (taken.length === 0) return { refused };
    const version = this.#version++;
    const operations = taken.map(({ body, key }) => ({ type: 'put' as const, key: this.#row(key ?? body), value: encodeMessage(version, body) }));
    const names = taken.map(({ body, key }) => toHex(key ?? body));
    const added = taken.filter(({ body, key }, at) => this.#noteSent(names[at] as string, key ?? body, version)).length;
    try {
      await this.#store.write({ operations });
    } catch (error) {
      this.#depth -= added;
      this.#forget(names, version);
      throw error;
    }
    this.#forget(names, version);
    this.#cursor = undefined;
    return { refused };
  }

  #row(key: Uint8Array): Uint8Array {
    return rows.message(this.#name, key);
  }

  /** Counted before it is durable: the depth may be too high for a moment, never too low. True for a key that did not wait yet. */
  #noteSent(name: string, key: Uint8Array, version: number): boolean {
    const known = this.#touched.get(name);
    if (known !== undefined) {
      known.version = version;
      known.hiddenUntilMs = 0;
      return false;
    }
    const isNew = this.#store.getSync(this.#row(key)) === undefined;
    if (isNew) this.#depth++;
    this.#touched.set(name, { version, received: 0, hiddenUntilMs: 0 });
    return isNew;
  }

  /** The row says it all from now on, unless a delivery of the key is in flight. */
  #forget(names: readonly string[], version: number): void {
    for (const name of names) {
      const waiting = this.#touched.get(name);
      if (waiting?.version === version && waiting.received === 0) this.#touched.delete(name);
    }
  }

  async receive(limit: number): Promise<readonly Delivery[]> {
    await this.#store.ready();
    const nowMs = this.#clock.monotonicMs();
    const found = await this.#scan(limit, nowMs, this.#cursor);
    if (found.length > 0 || this.#cursor === undefined) return found;
    this.#cursor = undefined;
    return this.#scan(limit, nowMs, undefined);
  }

  async #scan(limit: number, nowMs: number, after: Uint8Array | undefined): Promise<Delivery[]> {
    const prefix = rows.queue(this.#name);
    const bounds = after === undefined ? { gte: prefix } : { gt: after };
    const found: Delivery[] = [];
    for await (const [row, value] of this.#store.database.iterator({ ...bounds, lt: afterPrefix(prefix) as Uint8Array })) {
      const key = row.subarray(prefix.length);
      const name = toHex(key);
      const version = versionOf(value);
      const waiting = this.#touched.get(name) ?? { version, received: 0, hiddenUntilMs: 0 };
      if (waiting.hiddenUntilMs > nowMs || waiting.version !== version) continue; // hidden, or replaced by one that is not durable yet
      waiting.received++;
      waiting.hiddenUntilMs = nowMs + VISIBILITY_MS;
      this.#touched.set(name, waiting);
      found.push({ body: bodyOf(value), key, receipt: `${version}:${name}`, received: waiting.received });
      this.#cursor = row;
      if (found.length === limit) break;
    }
    return found;
  }

  async acknowledge(receipts: readonly string[]): Promise<void> {
    const done = receipts.flatMap((receipt) => {
      const { version, name } = parseReceipt(receipt);
      const waiting = this.#touched.get(name);
      if (waiting === undefined || waiting.version !== version) {
        // A newer message of the key came while this one was being handled: it is not handled yet, and not to wait.
        if (waiting !== undefined) [waiting.received, waiting.hiddenUntilMs] = [0, 0];
        return [];
      }
      this.#touched.delete(name);
      this.#depth--;
      return [name];
    });
    if (done.length === 0) return;
    await this.#store.write({ operations: done.map((name) => ({ type: 'del' as const, key: this.#row(Buffer.from(name, 'hex')) })) }, true);
  }

  async retryLater(receipt: string, delayMs: number): Promise<void> {
    const { name } = parseReceipt(receipt);
    const waiting = this.#touched.get(name);
    if (waiting !== undefined) waiting.hiddenUntilMs = this.#clock.monotonicMs() + delayMs;
    this.#cursor = undefined;
  }

  /** Is a message of this key waiting? For counting distinct items. */
  has(key: Uint8Array): boolean {
    return this.#depth > 0 && (this.#touched.has(toHex(key)) || this.#store.getSync(this.#row(key)) !== undefined);
  }

  get size(): number {
    return this.#depth;
  }

  async depth(): Promise<number> {
    return this.#depth;
  }
}

const encodeMessage = (version: number, body: Uint8Array): Uint8Array => concatBytes(new ByteWriter(8).varint(version).finish(), body);
const versionOf = (value: Uint8Array): number => new ByteReader(value).varint();

function bodyOf(value: Uint8Array): Uint8Array {
  const reader = new ByteReader(value);
  reader.varint();
  return reader.bytes(reader.left);
}

function parseReceipt(receipt: string): { version: number; name: string } {
  const at = receipt.indexOf(':');
  return { version: Number(receipt.slice(0, at)), name: receipt.slice(at + 1) };
}

export class LevelDeadLetters implements DeadLetters {
  readonly #store: LevelStore;
  readonly #name: string;
  #next = 1;
  #count = 0;
  /** Letters given up because DEAD_LETTERS_PER_PEER_MAX were waiting. */
  dropped = 0;

  private constructor(store: LevelStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  static async open(store: LevelStore, name: string): Promise<LevelDeadLetters> {
    const letters = new LevelDeadLetters(store, name);
    for (const { id } of await letters.list(Number.MAX_SAFE_INTEGER)) {
      letters.#next = Number(id) + 1;
      letters.#count++;
    }
    return letters;
  }

  async add(letters: readonly Omit<DeadLetter, 'id'>[]): Promise<void> {
    const surplus = Math.max(0, this.#count + letters.length - DEAD_LETTERS_PER_PEER_MAX);
    const oldest = surplus === 0 ? [] : await this.list(surplus);
    const operations = letters.map((letter) => ({ type: 'put' as const, key: rows.deadLetter(this.#name, this.#next++), value: encodeLetter(letter) }));
    await this.#store.write({ operations }, true);
    this.#count += letters.length;
    this.dropped += oldest.length;
    await this.remove(oldest.map(({ id }) => id));
  }

  async list(limit: number, after?: string): Promise<readonly DeadLetter[]> {
    const prefix = rows.deadLetters(this.#name);
    const bounds = after === undefined ? { gte: prefix } : { gt: rows.deadLetter(this.#name, Number(after)) };
    const found: DeadLetter[] = [];
    for await (const [row, value] of this.#store.database.iterator({ ...bounds, lt: afterPrefix(prefix) as Uint8Array })) {
      if (found.length >= limit) break;
      found.push({ id: String(readU48(new ByteReader(row, prefix.length))), ...decodeLetter(value) });
    }
    return found;
  }

  async remove(ids: readonly string[]): Promise<void> {
    const keys = ids.map((id) => rows.deadLetter(this.#name, Number(id))).filter((key) => this.#store.getSync(key) !== undefined);
    if (keys.length === 0) return;
    this.#count -= keys.length;
    await this.#store.write({ operations: keys.map((key) => ({ type: 'del' as const, key })) }, true);
  }

  async count(): Promise<number> {
    return this.#count;
  }
}

const encodeLetter = ({ reason, atMs, body }: Omit<DeadLetter, 'id'>): Uint8Array => new ByteWriter(body.length + 64).text(reason).varint(atMs).bytes(body).finish();

function decodeLetter(value: Uint8Array): Omit<DeadLetter, 'id'> {
  const reader = new ByteReader(value);
  return { reason: reader.text(), atMs: reader.varint(), body: reader.bytes(reader.left) };
}
