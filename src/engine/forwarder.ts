// Sends what the hints of one lane stand for, while the peer takes it: hints are received in the order of their keys, their
// records read, packed into messages, and several messages kept under way.
//
//   receive ──▶ read ──▶ pack ──▶ send ──▶ acknowledge the hints            what was not taken waits, longer each time
//                                     └── peer gone ──▶ give all of it back
//
// A message no longer counts as under way when it is answered: that its hints are durably gone is awaited beside the next
// ones, and before the run ends.

import { isArchipelError } from '../core/errors.ts';
import { MESSAGE_BYTES_PACKED } from '../core/limits.ts';
import { SendWindow } from '../core/routing/send-window.ts';
import type { Delivery } from '../ports/queue.ts';
import { isFinal, sentBytes, type Receipt, type SentRecord } from './envelope.ts';
import { HintedRecords, type Hinted } from './hinted.ts';
import type { LaneParts } from './lane.ts';

/** Messages in flight to one peer: there is much to send. */
const IN_FLIGHT_MAX = 8;
const RECEIVED_MAX = 512;
/** Read in one go. Between two of them answers are heard and messages leave. */
const READ_MAX = 64;
export const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 60_000;
/** A peer that takes nothing (a full disk) is asked this often, and knows within so long that there is room. */
const PAUSE_MAX_MS = 5_000;
/** A record that failed there alone. */
const RETRY_FAILED_MAX_MS = 10_000;

export interface ForwarderLane {
  isOpen(): boolean;
  push(records: readonly SentRecord[]): Promise<readonly Receipt[]>;
  /** Tries again. */
  wake(): void;
  readonly stats: { forwarded: number; refused: number };
}

export class Forwarder {
  readonly #parts: LaneParts;
  readonly #lane: ForwarderLane;
  readonly #records: HintedRecords;
  readonly #window = new SendWindow();
  /** The next time at which the lane is to be woken. */
  #wakesMs = Number.POSITIVE_INFINITY;
  /** Since the peer took nothing of a message: for how long, and until when, nothing is forwarded. */
  #pauseMs = 0;
  #pausedUntilMs = 0;

  constructor(parts: LaneParts, lane: ForwarderLane) {
    this.#parts = parts;
    this.#lane = lane;
    this.#records = new HintedRecords({ catalog: parts.catalog, table: parts.table, peer: parts.link.id });
  }

  /** Until there is none left to send, or the peer is gone. */
  async run(): Promise<void> {
    const { hints, clock } = this.#parts;
    if (clock.monotonicMs() < this.#pausedUntilMs) return;
    const run = new Run(this.#lane, this.#window, (message) => this.#send(message), (message) => this.#giveBack(message));
    try {
      while (run.goesOn() && (await hints.depth()) > 0) {
        const deliveries = await hints.receive(RECEIVED_MAX); // not those that are on their way
        if (deliveries.length === 0 && !(await run.isToGoOn())) break;
        for (let from = 0; from < deliveries.length; from += READ_MAX) {
          const some = deliveries.slice(from, from + READ_MAX);
          if (run.goesOn()) await run.take(await this.#read(some));
          else await this.#giveBack(some.map((delivery) => ({ delivery })));
        }
      }
    } finally {
      await run.end();
    }
  }

  /** What cannot be sent now is put back, what nobody needs is done. */
  async #read(deliveries: readonly Delivery[]): Promise<readonly Hinted[]> {
    const { hints } = this.#parts;
    const records = await this.#records.of(deliveries.map(({ body }) => body));
    const found: Hinted[] = [];
    const gone: string[] = [];
    for (const [at, delivery] of deliveries.entries()) {
      const record = records[at];
      if (record === 'later') await hints.retryLater(delivery.receipt, RETRY_FIRST_MS);
      else if (record === 'unreadable') await this.#retryRefused(delivery);
      else if (record === undefined) gone.push(delivery.receipt);
      else found.push({ delivery, record });
    }
    if (gone.length > 0) await hints.acknowledge(gone);
    return found;
  }

  async #send(message: readonly Hinted[]): Promise<Outcome> {
    const { clock, log, link } = this.#parts;
    const startMs = clock.monotonicMs();
    this.#window.left(message.length);
    try {
      const receipts = await this.#lane.push(message.map(({ record }) => record));
      this.#window.answered(message.length, clock.monotonicMs() - startMs);
      if (receipts.every((receipt) => receipt === 'failed')) return await this.#hold(message);
      this.#pauseMs = 0;
      return { settle: () => this.#settle(message, receipts), isUp: true };
    } catch (error) {
      this.#window.failed(message.length);
      if (!isArchipelError(error)) log.write('warn', 'forward.failed', { peer: link.id, error: String(error) });
      await this.#giveBack(message);
      // One answer that was lost among others that came is no reason to wait; the breaker judges when it is.
      return { isUp: isArchipelError(error, 'peer-unreachable') && this.#lane.isOpen() };
    }
  }

  async #settle(message: readonly Hinted[], receipts: readonly Receipt[]): Promise<void> {
    const isDone = (at: number): boolean => isFinal(receipts[at] ?? 'failed');
    const done = message.filter((_, at) => isDone(at));
    await this.#parts.hints.acknowledge(done.map(({ delivery }) => delivery.receipt));
    this.#lane.stats.forwarded += done.length;
    for (const [at, { delivery }] of message.entries()) if (!isDone(at)) await this.#retryRefused(delivery, receipts[at]);
  }

  /** Nothing of it was taken, and as a rule nothing else would be: all hints wait together, and not each longer and longer for itself. */
  async #hold(message: readonly Hinted[]): Promise<Outcome> {
    const { clock, hints } = this.#parts;
    const nowMs = clock.monotonicMs();
    // mark: a peer took nothing of a message of hints
    if (nowMs >= this.#pausedUntilMs) {
      this.#pauseMs = Math.min(PAUSE_MAX_MS, Math.max(RETRY_FIRST_MS, 2 * this.#pauseMs));
      this.#pausedUntilMs = nowMs + this.#pauseMs;
    }
    this.#lane.stats.refused += message.length;
    for (const { delivery } of message) await hints.retryLater(delivery.receipt, this.#pauseMs);
    this.#wakeIn(this.#pauseMs);
    return { isUp: false };
  }

  async #giveBack(message: readonly { readonly delivery: Delivery }[]): Promise<void> {
    // mark: peer gone while hints were forwarded
    for (const { delivery } of message) await this.#parts.hints.retryLater(delivery.receipt, 0);
    this.#wakeIn(RETRY_FIRST_MS);
  }

  /** A record that the peer will not take now (drift, a later format) waits longer each time. */
  async #retryRefused(delivery: Delivery, receipt?: Receipt): Promise<void> {
    // mark: refused hint waits longer
    this.#lane.stats.refused++;
    const delayMs = Math.min(receipt === 'failed' ? RETRY_FAILED_MAX_MS : RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(delivery.received - 1, 20));
    await this.#parts.hints.retryLater(delivery.receipt, delayMs);
    this.#wakeIn(delayMs);
  }

  /** One at a time: each run that fails asks for several, and each of these would begin a run. The region's heartbeat wakes the lane too. */
  #wakeIn(delayMs: number): void {
    const atMs = this.#parts.clock.monotonicMs() + delayMs;
    if (this.#wakesMs <= atMs) return;
    this.#wakesMs = atMs;
    this.#parts.clock.after(delayMs, () => {
      if (this.#wakesMs === atMs) this.#wakesMs = Number.POSITIVE_INFINITY;
      this.#lane.wake();
    });
  }
}

interface Outcome {
  /** What is left to do with the hints of a message that was answered. */
  readonly settle?: () => Promise<void>;
  /** Worth going on. */
  readonly isUp: boolean;
}

/** One run: what waits to fill a message, what is under way, and what is answered and not yet durably done with. */
class Run {
  readonly #lane: ForwarderLane;
  readonly #window: SendWindow;
  readonly #send: (message: readonly Hinted[]) => Promise<Outcome>;
  readonly #giveBack: (message: readonly Hinted[]) => Promise<void>;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #settling = new Set<Promise<void>>();
  #message: Hinted[] = [];
  #bytes = 0;
  #isUp = true;
  #hasGivenBack = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(lane: ForwarderLane, window: SendWindow, send: (message: readonly Hinted[]) => Promise<Outcome>, giveBack: (message: readonly Hinted[]) => Promise<void>) {
    this.#lane = lane;
    this.#window = window;
    this.#send = send;
    this.#giveBack = giveBack;
  }

  goesOn(): boolean {
    return this.#isUp && this.#failure === undefined && this.#lane.isOpen();
  }

  /** Sends each message that is full; with nothing under way, also the one that is not. */
  async take(records: readonly Hinted[]): Promise<void> {
    for (const hinted of records) {
      const bytes = sentBytes(hinted.record);
      if (this.#message.length > 0 && this.#bytes + bytes > MESSAGE_BYTES_PACKED) await this.#leave();
      this.#message.push(hinted);
      this.#bytes += bytes;
    }
    if (this.#inFlight.size === 0) await this.#leave();
  }

  async #leave(): Promise<void> {
    const message = this.#message;
    if (message.length === 0) return;
    [this.#message, this.#bytes] = [[], 0];
    while (this.#inFlight.size >= IN_FLIGHT_MAX || !this.#window.hasRoomFor(message.length)) await Promise.race(this.#inFlight);
    if (!this.#isUp) return this.#giveBack(message);
    const sent: Promise<void> = this.#send(message).then(({ settle, isUp }) => {
      this.#inFlight.delete(sent);
      this.#isUp &&= isUp;
      if (settle === undefined) this.#hasGivenBack = true;
      else this.#settleBeside(settle);
    });
    this.#inFlight.add(sent);
  }

  /** None is left to be received: is there again, when all that is under way has been answered or given up? */
  async isToGoOn(): Promise<boolean> {
    await this.#leave();
    await Promise.all(this.#inFlight);
    const hasGivenBack = this.#hasGivenBack;
    this.#hasGivenBack = false;
    return hasGivenBack;
  }

  #settleBeside(settle: () => Promise<void>): void {
    const settling: Promise<void> = settle().then(
      () => void this.#settling.delete(settling),
      (error: unknown) => {
        this.#settling.delete(settling);
        this.#failure ??= { error };
      },
    );
    this.#settling.add(settling);
  }

  /** @throws what kept hints from being durably done with: they are delivered again */
  async end(): Promise<void> {
    await this.#leave();
    while (this.#inFlight.size > 0 || this.#settling.size > 0) await Promise.all([...this.#inFlight, ...this.#settling]);
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
