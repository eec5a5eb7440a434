// A durable queue on LevelDB, for hints: one row per message key, so that a key waits at most once however often it was
// written. The value is a version, raised by every send: acknowledging a delivery removes the row only when no newer
// message of the key has come in between. Deliveries in flight are remembered in memory; a restart delivers them again.

import { afterPrefix, ByteReader, ByteWriter, concatBytes, keyText, textKey } from '../../core/bytes.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DeadLetter, DeadLetters, Delivery, Message, Queue } from '../../ports/queue.ts';
import { DEAD_LETTERS_PER_PEER_MAX, MESSAGE_BYTES_MAX } from '../../core/limits.ts';
import { readU48, rows } from './layout.ts';
import type { LevelStore } from './store.ts';

export const VISIBILITY_MS = 10_000;

/**
 * One message of a key. A newer one takes its place before it is durable, and gives it back when it does not become so.
 *
 *   waiting ──acknowledged──▶ leaving ──the row is durably gone──▶ gone       (a failed write: waiting again)
 */
interface Waiting {
  /** Of the row, durable or about to be. */
  readonly version: number;
  received: number;
  hiddenUntilMs: number;
  state: 'waiting' | 'leaving' | 'gone';
  /** What this one replaces, until it is durable itself. */
  before: Waiting | undefined;
}

export class LevelQueue implements Queue {
  readonly supports = { deduplicates: true, exactDepth: true, messageBytesMax: MESSAGE_BYTES_MAX } as const;
  readonly #store: LevelStore;
  readonly #clock: Clock;
  readonly #name: string;
  /** Messages sent or delivered by this process and not yet gone, by `keyText` of their key. */
  readonly #touched = new Map<string, Waiting>();
  #depth = 0;
  #version = 1;
  /** Where the next receive goes on: deleted rows at the head would be skipped one by one otherwise. */
  #cursor: Uint8Array | undefined;
  /** A scan reads the rows as they were when it began: of these names, the rows have been replaced or removed since. */
  readonly #changedSince = new Set<string>();
  #scans = 0;

  private constructor(store: LevelStore, clock: Clock, name: string) {
    this.#store = store;
    this.#clock = clock;
    this.#name = name;
  }

  /** Counts the rows: a million take about a second. */
  static async open(store: LevelStore, clock: Clock, name: string): Promise<LevelQueue> {
    const queue = new LevelQueue(store, clock, name);
    await queue.#load();
    store.onReopened(() => queue.#load());
    return queue;
  }

  /** Deliveries in flight are forgotten, and made again. */
  async #load(): Promise<void> {
    const prefix = rows.queue(this.#name);
    this.#touched.clear();
    this.#cursor = undefined;
    let depth = 0;
    for await (const [, value] of this.#store.database.iterator({ gte: prefix, lt: afterPrefix(prefix) as Uint8Array })) {
      depth++;
      this.#version = Math.max(this.#version, versionOf(value) + 1);
    }
    this.#depth = depth;
  }

  async send(messages: readonly Message[]): Promise<{ readonly refused: readonly number[] }> {
    const refused = messages.flatMap((message, at) => (message.body.length > MESSAGE_BYTES_MAX ? [at] : []));
    const taken = messages.filter((_, at) => !refused.includes(at));
    if (taken.length === 0) return { refused };
    const version = this.#version++;
    const operations = taken.map(({ body, key }) => ({ type: 'put' as const, key: this.#row(key ?? body), value: encodeMessage(version, body) }));
    const sent = taken.map(({ body, key }) => this.#noteSent(key ?? body, version));
    try {
      await this.#store.write({ operations });
    } catch (error) {
      for (const { name, waiting } of sent) this.#takeBack(name, waiting);
      throw error;
    }
    for (const { name, waiting } of sent) this.#settle(name, waiting);
    this.#cursor = undefined;
    return { refused };
  }

  #row(key: Uint8Array): Uint8Array {
    return rows.message(this.#name, key);
  }

  /** Counted before it is durable: the depth may be too high for a moment, never too low. */
  #noteSent(key: Uint8Array, version: number): { readonly name: string; readonly waiting: Waiting } {
    const name = keyText(key);
    const before = this.#touched.get(name);
    if (before === undefined && this.#store.getSync(this.#row(key)) === undefined) this.#depth++;
    const waiting: Waiting = { version, received: before?.received ?? 0, hiddenUntilMs: 0, state: 'waiting', before };
    this.#touched.set(name, waiting);
    return { name, waiting };
  }

  /** It did not become durable: what it replaced stands again, if that is not gone by now. */
  #takeBack(name: string, waiting: Waiting): void {
    waiting.state = 'gone';
    this.#noteChanged(name);
    if (this.#touched.get(name) !== waiting) return;
    let standing = waiting.before;
    while (standing?.state === 'gone') standing = standing.before;
    if (standing !== undefined) return void this.#touched.set(name, standing);
    this.#touched.delete(name);
    if (this.#store.getSync(this.#row(textKey(name))) === undefined) this.#depth--;
  }

  /** Durable: the row says it all from now on, unless a delivery of the key is in flight. */
  #settle(name: string, waiting: Waiting): void {
    waiting.before = undefined;
    this.#noteChanged(name);
    if (this.#touched.get(name) === waiting && waiting.received === 0) this.#touched.delete(name);
  }

  #noteChanged(name: string): void {
    if (this.#scans > 0) this.#changedSince.add(name);
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
    this.#scans++;
    try {
      await this.#store.scannable();
      return await this.#found(limit, nowMs, after);
    } finally {
      if (--this.#scans === 0) this.#changedSince.clear();
    }
  }

  async #found(limit: number, nowMs: number, after: Uint8Array | undefined): Promise<Delivery[]> {
    const prefix = rows.queue(this.#name);
    const bounds = after === undefined ? { gte: prefix } : { gt: after };
    const found: Delivery[] = [];
    const iterator = this.#store.database.iterator({ ...bounds, lt: afterPrefix(prefix) as Uint8Array });
    try {
      while (found.length < limit) {
        const entries = await iterator.nextv(limit - found.length); // one by one, each row would be waited for
        if (entries.length === 0) break;
        for (const [row, value] of entries) this.#take(row, value, prefix.length, nowMs, found);
      }
    } finally {
      await iterator.close();
    }
    return found;
  }

  #take(row: Uint8Array, read: Uint8Array, prefixBytes: number, nowMs: number, found: Delivery[]): void {
    const key = row.subarray(prefixBytes);
    const name = keyText(key);
    // Delivered as it was read, a row that was replaced would stand in the way of the newer one, and one that is gone be counted twice.
    const value = this.#changedSince.has(name) ? this.#store.getSync(row) : read;
    if (value === undefined) return;
    const version = versionOf(value);
    const waiting = this.#touched.get(name) ?? { version, received: 0, hiddenUntilMs: 0, state: 'waiting', before: undefined };
    if (waiting.hiddenUntilMs > nowMs || waiting.version !== version || waiting.state === 'leaving') return; // hidden, or replaced by one that is not durable yet
    waiting.received++;
    waiting.hiddenUntilMs = nowMs + VISIBILITY_MS;
    this.#touched.set(name, waiting);
    found.push({ body: bodyOf(value), key, receipt: `${version}:${name}`, received: waiting.received });
    this.#cursor = row;
  }

  async acknowledge(receipts: readonly string[]): Promise<void> {
    const leaving = receipts.flatMap((receipt) => {
      const { version, name } = parseReceipt(receipt);
      const waiting = this.#touched.get(name);
      if (waiting === undefined || waiting.state === 'leaving') return [];
      if (waiting.version !== version) {
        // A newer message of the key came while this one was being handled: it is not handled yet, and not to wait.
        [waiting.received, waiting.hiddenUntilMs] = [0, 0];
        return [];
      }
      waiting.state = 'leaving';
      return [{ name, waiting }];
    });
    if (leaving.length === 0) return;
    try {
      await this.#store.write({ operations: leaving.map(({ name }) => ({ type: 'del' as const, key: this.#row(textKey(name)) })) }, true);
    } catch (error) {
      for (const { waiting } of leaving) waiting.state = 'waiting';
      throw error;
    }
    for (const { name, waiting } of leaving) this.#gone(name, waiting);
  }

  /** Counted until it is durably gone, unless a newer message of the key has taken over its place. */
  #gone(name: string, waiting: Waiting): void {
    waiting.state = 'gone';
    this.#noteChanged(name);
    if (this.#touched.get(name) !== waiting) return;
    this.#touched.delete(name);
    this.#depth--;
  }

  async retryLater(receipt: string, delayMs: number): Promise<void> {
    const { name } = parseReceipt(receipt);
    const waiting = this.#touched.get(name);
    if (waiting !== undefined) waiting.hiddenUntilMs = this.#clock.monotonicMs() + delayMs;
    this.#cursor = undefined;
  }

  /** Is a message of this key waiting? For counting distinct items. */
  has(key: Uint8Array): boolean {
    return this.#depth > 0 && (this.#touched.has(keyText(key)) || this.#store.getSync(this.#row(key)) !== undefined);
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
  /** Of the letters kept, oldest first; at most DEAD_LETTERS_PER_PEER_MAX. */
  #ids: number[] = [];
  /** Letters given up because DEAD_LETTERS_PER_PEER_MAX were waiting. */
  dropped = 0;

  private constructor(store: LevelStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  static async open(store: LevelStore, name: string): Promise<LevelDeadLetters> {
    const letters = new LevelDeadLetters(store, name);
    await letters.#load();
    store.onReopened(() => letters.#load());
    return letters;
  }

  async #load(): Promise<void> {
    const prefix = rows.deadLetters(this.#name);
    const ids: number[] = [];
    for await (const row of this.#store.database.keys({ gte: prefix, lt: afterPrefix(prefix) as Uint8Array })) ids.push(readU48(new ByteReader(row, prefix.length)));
    this.#ids = ids;
    this.#next = Math.max(this.#next, (ids.at(-1) ?? 0) + 1);
  }

  /** What makes room is taken out in the same batch, and noted before it is durable: several are added at a time. */
  async add(letters: readonly Omit<DeadLetter, 'id'>[]): Promise<void> {
    const added = letters.map((letter) => ({ id: this.#next++, letter }));
    this.#ids.push(...added.map(({ id }) => id));
    const oldest = this.#ids.splice(0, Math.max(0, this.#ids.length - DEAD_LETTERS_PER_PEER_MAX));
    const puts = added.map(({ id, letter }) => ({ type: 'put' as const, key: this.#row(id), value: encodeLetter(letter) }));
    try {
      await this.#store.write({ operations: [...puts, ...this.#deletions(oldest)] }, true);
    } catch (error) {
      const failed = new Set(added.map(({ id }) => id));
      this.#ids = [...oldest, ...this.#ids.filter((id) => !failed.has(id))];
      throw error;
    }
    this.dropped += oldest.length;
  }

  #row(id: number): Uint8Array {
    return rows.deadLetter(this.#name, id);
  }

  #deletions(ids: readonly number[]): { readonly type: 'del'; readonly key: Uint8Array }[] {
    return ids.map((id) => ({ type: 'del', key: this.#row(id) }));
  }

  async list(limit: number, after?: string): Promise<readonly DeadLetter[]> {
    await this.#store.scannable();
    const prefix = rows.deadLetters(this.#name);
    const bounds = after === undefined ? { gte: prefix } : { gt: this.#row(Number(after)) };
    const found: DeadLetter[] = [];
    for await (const [row, value] of this.#store.database.iterator({ ...bounds, lt: afterPrefix(prefix) as Uint8Array })) {
      if (found.length >= limit) break;
      found.push({ id: String(readU48(new ByteReader(row, prefix.length))), ...decodeLetter(value) });
    }
    return found;
  }

  async remove(ids: readonly string[]): Promise<void> {
    const asked = new Set(ids.map(Number));
    const kept = this.#ids.filter((id) => asked.has(id));
    if (kept.length === 0) return;
    await this.#store.write({ operations: this.#deletions(kept) }, true);
    this.#ids = this.#ids.filter((id) => !asked.has(id));
  }

  async count(): Promise<number> {
    return this.#ids.length;
  }
}

const encodeLetter = ({ reason, atMs, body }: Omit<DeadLetter, 'id'>): Uint8Array => new ByteWriter(body.length + 64).text(reason).varint(atMs).bytes(body).finish();

function decodeLetter(value: Uint8Array): Omit<DeadLetter, 'id'> {
  const reader = new ByteReader(value);
  return { reason: reader.text(), atMs: reader.varint(), body: reader.bytes(reader.left) };
}
