// Clients that write a few hot keys in all regions, retry elsewhere with the same operation id, and keep a log of what was
// promised to them. They know nothing of what is done to the cluster meanwhile.

import { randomBytes } from 'node:crypto';
import { ask, type Answer, type Ask } from './cluster.ts';

export type Outcome = 'acknowledged' | 'refused' | 'unknown';

export interface LoggedWrite {
  readonly collection: string;
  readonly pk: string;
  readonly kind: 'put' | 'delete';
  /** Unique text. */
  readonly value: string;
  outcome: Outcome;
  /** From the ETag, where it names a single dot. */
  dot?: string;
  /** Values that the writer had read and wrote over, by the context that it sent. */
  readonly superseded: readonly string[];
  readonly blind: boolean;
  /** More than one: it may have been executed twice, as one write. */
  attempts: number;
  readonly startedMs: number;
  /** When its outcome was known, or it was given up. */
  endedMs: number;
}

export interface WorkloadSetting {
  readonly urls: readonly string[];
  readonly key: string;
  readonly clients: number;
  readonly lww: { readonly collection: string; readonly pks: readonly string[] };
  readonly siblings: { readonly collection: string; readonly pks: readonly string[] };
}

const DEADLINE_MS = 10_000;

function uuidV7(): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T;

export class Workload {
  readonly #setting: WorkloadSetting;
  readonly writes: LoggedWrite[] = [];
  readonly stats = { reads: 0, retries: 0, failures: 0, statuses: new Map<number, number>() };
  #stopping = false;
  #running: Promise<void>[] = [];
  #next = 0;
  /** Regions that clients may talk to now. */
  urls: readonly string[];

  constructor(setting: WorkloadSetting) {
    this.#setting = setting;
    this.urls = setting.urls;
  }

  start(): void {
    this.#running = Array.from({ length: this.#setting.clients }, () => this.#client());
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
  }

  async #client(): Promise<void> {
    while (!this.#stopping) {
      await (Math.random() < 0.5 ? this.#stepLww() : this.#stepSiblings());
    }
  }

  #value(): string {
    return `w${this.#next++}`;
  }

  // What clients do -----------------------------------------------------------------------------------------------------------

  async #stepLww(): Promise<void> {
    const { collection, pks } = this.#setting.lww;
    const pk = pick(pks);
    const dice = Math.random();
    if (dice < 0.15) return void (await this.#read(collection, pk));
    if (dice < 0.25) return this.#write({ collection, pk, kind: 'delete', value: this.#value(), superseded: [], blind: true }, {});
    if (dice < 0.5) {
      const read = await this.#read(collection, pk);
      const tag = read?.headers['etag'];
      if (read === undefined || tag === undefined) return;
      return this.#write({ collection, pk, kind: 'put', value: this.#value(), superseded: [read.text()], blind: false }, { 'if-match': tag });
    }
    return this.#write({ collection, pk, kind: 'put', value: this.#value(), superseded: [], blind: true }, {});
  }

  async #stepSiblings(): Promise<void> {
    const { collection, pks } = this.#setting.siblings;
    const pk = pick(pks);
    const dice = Math.random();
    if (dice < 0.3) return this.#write({ collection, pk, kind: 'put', value: this.#value(), superseded: [], blind: true }, {});
    const read = await this.#read(collection, pk);
    const context = read?.headers['causal-context'];
    if (read === undefined || context === undefined) return;
    const values = valuesOf(read);
    const kind = dice > 0.9 && values.length > 0 ? 'delete' : 'put';
    return this.#write({ collection, pk, kind, value: this.#value(), superseded: values, blind: false }, { 'causal-context': context });
  }

  async #read(collection: string, pk: string): Promise<Answer | undefined> {
    this.stats.reads++;
    try {
      const answer = await this.#ask(pick(this.urls), collection, pk, { headers: { accept: 'application/json' } });
      return answer.status < 500 ? answer : undefined;
    } catch {
      return undefined;
    }
  }

  async #ask(url: string, collection: string, pk: string, how: Ask): Promise<Answer> {
    const answer = await ask(url, `/v1/c/${collection}/items/${pk}`, { timeoutMs: 3_000, ...how, headers: { authorization: `Bearer ${this.#setting.key}`, ...how.headers } });
    this.stats.statuses.set(answer.status, (this.stats.statuses.get(answer.status) ?? 0) + 1);
    return answer;
  }

  /** Tries until the outcome is definite, in one region after another, always as the same operation. */
  async #write(base: Omit<LoggedWrite, 'outcome' | 'attempts' | 'startedMs' | 'endedMs'>, headers: Record<string, string>): Promise<void> {
    const write: LoggedWrite = { ...base, outcome: 'unknown', attempts: 0, startedMs: performance.now(), endedMs: Number.POSITIVE_INFINITY };
    this.writes.push(write);
    await this.#attempt(write, headers);
    write.endedMs = performance.now();
  }

  async #attempt(write: LoggedWrite, headers: Record<string, string>): Promise<void> {
    const how: Ask = {
      method: write.kind === 'put' ? 'PUT' : 'DELETE',
      headers: { 'idempotency-key': uuidV7(), 'content-type': 'text/plain', ...headers },
      ...(write.kind === 'put' ? { body: write.value } : {}),
    };
    const endMs = performance.now() + DEADLINE_MS;
    let isMaybeDone = false;
    while (performance.now() < endMs) {
      write.attempts++;
      try {
        const answer = await this.#ask(pick(this.urls), write.collection, write.pk, how);
        if (answer.status >= 200 && answer.status < 300) return this.#acknowledged(write, answer);
        if (answer.status >= 500) {
          isMaybeDone ||= answer.status === 504 || answer.status === 500;
          this.stats.retries++;
          await new Promise((resolve) => setTimeout(resolve, 20));
          continue;
        }
        // 404, 409, 412: definite for this region; but an earlier attempt may have been taken elsewhere.
        write.outcome = isMaybeDone ? 'unknown' : 'refused';
        return;
      } catch (error) {
        this.stats.failures++;
        // A refused connection carried nothing; after anything else the write may have been done.
        if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') isMaybeDone = true;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    write.outcome = isMaybeDone ? 'unknown' : 'refused';
  }

  #acknowledged(write: LoggedWrite, answer: Answer): void {
    write.outcome = 'acknowledged';
    const tag = /^"([^";]+)/.exec(answer.headers['etag'] ?? '')?.[1];
    if (tag !== undefined && tag.includes('@') && answer.headers['write-outcome'] !== 'superseded') write.dot = tag;
  }
}

/** The values that an answer shows, one or several. */
export function valuesOf(answer: Answer): string[] {
  if (answer.status === 200) return [answer.text()];
  if (answer.status !== 300) return [];
  return answer.json<{ siblings: { valueBase64?: string; value?: string }[] }>().siblings.map(({ valueBase64, value }) => (valueBase64 === undefined ? String(value) : Buffer.from(valueBase64, 'base64').toString()));
}
