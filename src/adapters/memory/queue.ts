// A queue in memory, for tests: keeps no order that anyone could come to rely on.

import { toHex } from '../../core/bytes.ts';
import { MESSAGE_BYTES_MAX } from '../../core/limits.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DeadLetter, DeadLetters, Delivery, Message, Queue } from '../../ports/queue.ts';

interface Waiting {
  readonly message: Message;
  received: number;
  hiddenUntilMs: number;
}

export class MemoryQueue implements Queue {
  readonly supports = { deduplicates: true, exactDepth: true, messageBytesMax: MESSAGE_BYTES_MAX } as const;
  readonly #clock: Clock;
  readonly #visibilityMs: number;
  readonly #waiting = new Map<string, Waiting>();
  #sent = 0;

  constructor(clock: Clock, visibilityMs = 10_000) {
    this.#clock = clock;
    this.#visibilityMs = visibilityMs;
  }

  async send(messages: readonly Message[]): Promise<{ readonly refused: readonly number[] }> {
    const refused: number[] = [];
    for (const [at, message] of messages.entries()) {
      if (message.body.length > MESSAGE_BYTES_MAX) refused.push(at);
      else this.#replace(message);
    }
    return { refused };
  }

  #replace(message: Message): void {
    if (message.key !== undefined) {
      const name = toHex(message.key);
      for (const [id, { message: other }] of this.#waiting) if (other.key !== undefined && toHex(other.key) === name) this.#waiting.delete(id);
    }
    this.#waiting.set(String(++this.#sent), { message, received: 0, hiddenUntilMs: 0 });
  }

  async receive(limit: number): Promise<readonly Delivery[]> {
    const nowMs = this.#clock.monotonicMs();
    const visible = [...this.#waiting].filter(([, { hiddenUntilMs }]) => hiddenUntilMs <= nowMs).slice(0, limit);
    return visible.map(([id, waiting]) => {
      waiting.received++;
      waiting.hiddenUntilMs = nowMs + this.#visibilityMs;
      return { ...waiting.message, receipt: id, received: waiting.received };
    });
  }

  async acknowledge(receipts: readonly string[]): Promise<void> {
    for (const receipt of receipts) this.#waiting.delete(receipt);
  }

  async retryLater(receipt: string, delayMs: number): Promise<void> {
    const waiting = this.#waiting.get(receipt);
    if (waiting !== undefined) waiting.hiddenUntilMs = this.#clock.monotonicMs() + delayMs;
  }

  async depth(): Promise<number> {
    return this.#waiting.size;
  }

  has(key: Uint8Array): boolean {
    const name = toHex(key);
    return [...this.#waiting.values()].some(({ message }) => message.key !== undefined && toHex(message.key) === name);
  }
}

export class MemoryDeadLetters implements DeadLetters {
  readonly #letters = new Map<string, DeadLetter>();
  #next = 1;

  async add(letters: readonly Omit<DeadLetter, 'id'>[]): Promise<void> {
    for (const letter of letters) {
      const id = String(this.#next++);
      this.#letters.set(id, { ...letter, id });
    }
  }

  async list(limit: number, after?: string): Promise<readonly DeadLetter[]> {
    return [...this.#letters.values()].filter(({ id }) => after === undefined || Number(id) > Number(after)).slice(0, limit);
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#letters.delete(id);
  }

  async count(): Promise<number> {
    return this.#letters.size;
  }
}
