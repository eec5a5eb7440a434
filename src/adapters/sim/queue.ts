// Queues of a simulated region: hints (durable, by key) and dead letters, on the simulated disk. At least once, in any
// order; a delivery that is not settled in time is delivered again.

import { keyText } from '../../core/bytes.ts';
import { DEAD_LETTERS_PER_PEER_MAX, MESSAGE_BYTES_MAX } from '../../core/limits.ts';
import type { DeadLetter, DeadLetters, Delivery, Message, Queue } from '../../ports/queue.ts';
import type { Process } from './machine.ts';
import type { SeededRandom } from './random.ts';
import type { SimStore } from './store.ts';

interface Stored {
  readonly message: Message;
  readonly version: number;
}

interface Waiting extends Stored {
  isDurable: boolean;
  /** Acknowledged, and not durably gone. */
  isLeaving?: boolean;
  received: number;
  hiddenUntilMs: number;
}

export const VISIBILITY_MS = 10_000;

export class SimQueue implements Queue {
  readonly supports = { deduplicates: true, exactDepth: true, messageBytesMax: MESSAGE_BYTES_MAX } as const;
  readonly #process: Process;
  readonly #store: SimStore;
  readonly #random: SeededRandom;
  readonly #prefix: string;
  readonly #waiting = new Map<string, Waiting>();
  readonly #visibilityMs: number;
  #version = 0;

  constructor(process: Process, store: SimStore, random: SeededRandom, name: string, visibilityMs = VISIBILITY_MS) {
    this.#visibilityMs = visibilityMs;
    this.#process = process;
    this.#store = store;
    this.#random = random;
    this.#prefix = `q ${name} `;
    for (const [cell, value] of process.machine.disk.entries()) {
      if (!cell.startsWith(this.#prefix)) continue;
      const stored = value as Stored;
      this.#waiting.set(cell.slice(this.#prefix.length), { ...stored, isDurable: true, received: 0, hiddenUntilMs: 0 });
      this.#version = Math.max(this.#version, stored.version);
    }
  }

  async send(messages: readonly Message[]): Promise<{ readonly refused: readonly number[] }> {
    this.#process.assertCapacity(this.#random);
    const refused = messages.flatMap(({ body }, at) => (body.length > MESSAGE_BYTES_MAX ? [at] : []));
    const accepted = messages.filter((_, at) => !refused.includes(at));
    if (accepted.length === 0) return { refused };
    const added = accepted.map((message) => {
      const version = ++this.#version;
      return { name: keyText(message.key ?? new TextEncoder().encode(String(version))), stored: { message, version } };
    });
    const written = this.#store.write(added.map(({ name, stored }) => ({ name: this.#prefix + name, value: stored })), { frees: true });
    const replaced = added.map(({ name, stored }) => {
      const before = this.#waiting.get(name);
      this.#waiting.set(name, { ...stored, isDurable: before?.isDurable === true && before.isLeaving !== true, received: 0, hiddenUntilMs: 0 });
      return before;
    });
    try {
      await written;
    } catch (error) {
      for (const [at, { name, stored }] of added.entries()) {
        if (this.#waiting.get(name)?.version !== stored.version) continue;
        const before = replaced[at];
        if (before?.isDurable === true && before.isLeaving !== true) this.#waiting.set(name, before);
        else this.#waiting.delete(name);
      }
      throw error;
    }
    for (const { name, stored } of added) {
      const waiting = this.#waiting.get(name);
      if (waiting?.version === stored.version) waiting.isDurable = true;
    }
    return { refused };
  }

  async receive(limit: number): Promise<readonly Delivery[]> {
    this.#process.assertCapacity(this.#random);
    const nowMs = this.#process.clock.monotonicMs();
    const visible = [...this.#waiting].filter(([, waiting]) => waiting.isDurable && waiting.isLeaving !== true && waiting.hiddenUntilMs <= nowMs);
    const start = visible.length === 0 ? 0 : this.#random.between(0, visible.length - 1);
    return [...visible.slice(start), ...visible.slice(0, start)].slice(0, limit).map(([name, waiting]) => {
      if (++waiting.received > 1) this.#process.world.count('hint delivered again');
      waiting.hiddenUntilMs = nowMs + this.#visibilityMs;
      return { ...waiting.message, receipt: `${waiting.version} ${name}`, received: waiting.received };
    });
  }

  #delivered(receipt: string): { readonly name: string; readonly waiting: Waiting } | undefined {
    const at = receipt.indexOf(' ');
    const name = receipt.slice(at + 1);
    const waiting = this.#waiting.get(name);
    return waiting === undefined || waiting.version !== Number(receipt.slice(0, at)) ? undefined : { name, waiting };
  }

  /** Counted until it is durably gone. */
  async acknowledge(receipts: readonly string[]): Promise<void> {
    const done = receipts.flatMap((receipt) => this.#delivered(receipt) ?? []);
    if (done.length === 0) return;
    for (const { waiting } of done) waiting.isLeaving = true;
    try {
      await this.#store.write(done.map(({ name }) => ({ name: this.#prefix + name, value: undefined })), { frees: true });
    } catch (error) {
      for (const { waiting } of done) waiting.isLeaving = false;
      throw error;
    }
    for (const { name, waiting } of done) if (this.#waiting.get(name) === waiting) this.#waiting.delete(name);
  }

  async retryLater(receipt: string, delayMs: number): Promise<void> {
    const delivered = this.#delivered(receipt);
    if (delivered !== undefined) delivered.waiting.hiddenUntilMs = this.#process.clock.monotonicMs() + delayMs;
  }

  async depth(): Promise<number> {
    return this.#waiting.size;
  }

  has(key: Uint8Array): boolean {
    return this.#waiting.has(keyText(key));
  }
}

export class SimDeadLetters implements DeadLetters {
  readonly #store: SimStore;
  readonly #prefix: string;
  readonly #letters = new Map<string, DeadLetter>();
  #next = 1;

  constructor(process: Process, store: SimStore, peer: string) {
    this.#store = store;
    this.#prefix = `a ${peer} `;
    for (const [cell, value] of process.machine.disk.entries()) {
      if (!cell.startsWith(this.#prefix)) continue;
      const letter = value as DeadLetter;
      this.#letters.set(letter.id, letter);
      this.#next = Math.max(this.#next, Number(letter.id) + 1);
    }
  }

  async add(letters: readonly Omit<DeadLetter, 'id'>[]): Promise<void> {
    const added = letters.map((letter): DeadLetter => ({ ...letter, id: String(this.#next++).padStart(9, '0') }));
    await this.#store.write(added.map((letter) => ({ name: this.#prefix + letter.id, value: letter })));
    for (const letter of added) this.#letters.set(letter.id, letter);
    const tooMany = [...this.#letters.keys()].sort().slice(0, Math.max(0, this.#letters.size - DEAD_LETTERS_PER_PEER_MAX));
    if (tooMany.length > 0) await this.remove(tooMany);
  }

  async list(limit: number, after?: string): Promise<readonly DeadLetter[]> {
    return [...this.#letters.values()].filter(({ id }) => after === undefined || id > after).sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit);
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#letters.delete(id);
    await this.#store.write(ids.map((id) => ({ name: this.#prefix + id, value: undefined })), { frees: true });
  }

  async count(): Promise<number> {
    return this.#letters.size;
  }
}
