// The clients of a drill. They know nothing of it: they send at a fixed rate, whether or not the last requests were
// answered, give each its deadline, retry under the same operation id, and log what they were promised and shown.

import type { Client } from '../client/client.ts';
import { utf8Text } from '../core/bytes.ts';
import { isArchipelError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import { unit, type Random } from '../ports/random.ts';
import type { LoggedWrite } from './account.ts';
import type { Load } from './drill.ts';
import type { Sample } from './measure.ts';

export const COLLECTION = 'drill';
/** Longer than the edge takes to try three regions. */
const DEADLINE_MS = 5_000;
/** Bounds what waits for answers when nothing answers. */
const UNDER_WAY_MAX = 4_000;

export interface LoadParts {
  readonly setting: Load;
  readonly clients: readonly Client[];
  readonly clock: Clock;
  readonly random: Random;
  /** What every value begins with: of one load after another they stay apart. */
  readonly name?: string;
}

export class Clients {
  readonly #parts: LoadParts;
  readonly samples: Sample[] = [];
  readonly writes: LoggedWrite[] = [];
  /** Requests that were not sent, because too many waited for an answer: failures, all of them. */
  skipped = 0;
  /** Per key: when the newest of the acknowledged writes was sent. */
  readonly #known = new Map<string, number>();
  readonly #byValue = new Map<string, LoggedWrite>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #originMs: number;
  #everyMs: number;
  #isStopping = false;
  #next = 0;

  constructor(parts: LoadParts) {
    this.#parts = parts;
    this.#originMs = parts.clock.monotonicMs();
    this.#everyMs = 1_000 / parts.setting.rate;
  }

  nowMs(): number {
    return this.#parts.clock.monotonicMs() - this.#originMs;
  }

  start(): void {
    let dueMs = 0;
    const tick = (): void => {
      if (this.#isStopping) return;
      for (; dueMs <= this.nowMs(); dueMs += this.#everyMs) this.#send(dueMs);
      this.#parts.clock.after(Math.max(1, dueMs - this.nowMs()), tick);
    };
    tick();
  }

  /** Requests a second, from the next one on. */
  setRate(rate: number): void {
    this.#everyMs = 1_000 / rate;
  }

  /** Resolves when the last request is answered or given up. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#underWay);
  }

  #send(dueMs: number): void {
    const { setting, clients, random } = this.#parts;
    const client = clients[this.#next % clients.length] as Client;
    const pk = `k${Math.floor(unit(random) * setting.keys)}`;
    const isRead = unit(random) < setting.reads;
    if (this.#underWay.size >= UNDER_WAY_MAX) {
      this.skipped++;
      this.samples.push({ atMs: dueMs, tookMs: DEADLINE_MS, isRead, isGood: false, servedBy: undefined, attempts: 0, isStale: false });
      return;
    }
    const done: Promise<void> = (isRead ? this.#read(client, pk, dueMs) : this.#write(client, pk, dueMs, this.#next)).finally(() => this.#underWay.delete(done));
    this.#next++;
    this.#underWay.add(done);
  }

  async #read(client: Client, pk: string, atMs: number): Promise<void> {
    const knownMs = this.#known.get(pk);
    const tries = triesOf(client);
    try {
      const answer = await tries.client.get({ collection: COLLECTION, pk }, { timeoutMs: DEADLINE_MS });
      const value = answer.type === 'value' ? utf8Text(answer.bytes) : undefined;
      // Of two writes that overlapped either may stand: stale is only what had ended before a newer one was sent.
      const shownMs = value === undefined ? Number.NEGATIVE_INFINITY : (this.#byValue.get(value)?.endedMs ?? Number.POSITIVE_INFINITY);
      this.#sample({ atMs, isRead: true, isGood: true, servedBy: answer.servedBy.region, attempts: tries.count(), isStale: knownMs !== undefined && shownMs < knownMs });
    } catch {
      this.#sample({ atMs, isRead: true, isGood: false, servedBy: undefined, attempts: tries.count(), isStale: false });
    }
  }

  async #write(client: Client, pk: string, atMs: number, number: number): Promise<void> {
    const write: LoggedWrite = { pk, value: `${this.#parts.name ?? ''}w${number}`, outcome: 'unknown', attempts: 1, startedMs: this.nowMs(), endedMs: Number.POSITIVE_INFINITY };
    this.writes.push(write);
    this.#byValue.set(write.value, write);
    const tries = triesOf(client);
    try {
      const { etag, outcome, attempts, servedBy } = await tries.client.put({ collection: COLLECTION, pk }, write.value, { timeoutMs: DEADLINE_MS });
      write.outcome = 'acknowledged';
      write.attempts = attempts;
      write.servedBy = servedBy.region;
      if (etag?.includes('@') === true && outcome !== 'superseded') write.dot = etag;
      this.#known.set(pk, Math.max(this.#known.get(pk) ?? 0, write.startedMs));
      this.#sample({ atMs, isRead: false, isGood: true, servedBy: servedBy.region, attempts: tries.count(), isStale: false });
    } catch (error) {
      // Refused by everybody who was asked: no region took it. Anything else may have been done.
      if (isArchipelError(error) && !isArchipelError(error, 'write-outcome-unknown')) write.outcome = 'refused';
      this.#sample({ atMs, isRead: false, isGood: false, servedBy: undefined, attempts: tries.count(), isStale: false });
    }
    write.endedMs = this.nowMs();
  }

  #sample(sample: Omit<Sample, 'tookMs'>): void {
    this.samples.push({ ...sample, tookMs: this.nowMs() - sample.atMs });
  }
}

/** For one request: how often the client has sent it. What an edge repeats by itself is not among them. */
function triesOf(client: Client): { readonly client: Client; readonly count: () => number } {
  let count = 0;
  return { client: client.with({ onAttempt: () => count++ }), count: () => count };
}
