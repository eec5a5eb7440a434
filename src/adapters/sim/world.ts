// Virtual time. One heap of events, ordered by time and then by the order in which they were planned; an event runs, and
// everything that waits only for promises with it, before the next begins. Nothing else moves time, so a run of hours
// takes as long as its work, and the same seed gives the same run.
//
// Code inside the run that asks the machine for time, randomness, timers or the network is told so by an error
// (forbid.ts); it finds them by the ports.

import { AsyncLocalStorage } from 'node:async_hooks';
import { nextTick } from 'node:process';
import { setImmediate } from 'node:timers';
import type { Cancel } from '../../ports/clock.ts';
import { SeededRandom } from './random.ts';

interface Event {
  readonly atMs: number;
  readonly order: number;
  task: (() => void) | undefined;
}

/** Far more than a busy instant has. */
const STEPS_AT_ONCE_MAX = 100_000;

const STEPS_BETWEEN_OTHERS = 256;

/** Who runs now, across its promises: `forbid` asks it. */
export const inSimulation = new AsyncLocalStorage<true>();

export type TraceSink = (line: string) => void;

export class World {
  readonly seed: number;
  readonly random: SeededRandom;
  #nowMs = 0;
  #order = 0;
  #events: Event[] = [];
  #sink: TraceSink | undefined;
  #failure: Error | undefined;
  /** The time as the trace shows it: many lines have the same. */
  #stamp = '';
  #stampedMs = -1;
  /** Events in a row at this instant. */
  #stands = 0;
  /** Events run so far. */
  steps = 0;
  /** How often what was to be exercised was: an option that is drawn and never bites proves nothing. */
  readonly counts = new Map<string, number>();

  constructor(seed: number, sink?: TraceSink) {
    this.seed = seed;
    this.random = new SeededRandom(seed, 'world');
    this.#sink = sink;
  }

  /** Milliseconds since the run began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  trace(place: string, what: string): void {
    if (this.#sink === undefined) return;
    if (this.#nowMs !== this.#stampedMs) {
      this.#stampedMs = this.#nowMs;
      this.#stamp = this.#nowMs.toFixed(3).padStart(12);
    }
    this.#sink(`${this.#stamp} ${place.padEnd(16)} ${what}`);
  }

  /** Answers true, so that it can stand in a condition. */
  count(what: string, by = 1): true {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
    return true;
  }

  /** The run ends with this error after the current event. */
  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(JSON.stringify(error));
  }

  /**
   * Runs the task so much later, to the microsecond, rounded up: a delay that is lost in the last bits of the sum would be no
   * delay, and who waits for such a remainder would wait for ever at one instant.
   */
  after(delayMs: number, task: () => void): Cancel {
    const event: Event = { atMs: delayMs > 0 ? (Math.floor((this.#nowMs + delayMs) * 1_000) + 1) / 1_000 : this.#nowMs, order: this.#order++, task };
    this.#push(event);
    return () => {
      event.task = undefined;
    };
  }

  /** Resolves when so much virtual time has passed. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Runs until `isDone` or the time is over. Answers whether it was done. */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<boolean> {
    return inSimulation.run(true, async () => {
      await letOthersRun(); // from here on the loop runs in a microtask: only seen from there is the next tick behind all of them
      while (!isDone()) {
        this.#throwFailure();
        const event = this.#pop(untilMs);
        if (event === undefined) {
          this.#nowMs = Math.max(this.#nowMs, untilMs);
          return isDone();
        }
        if (event.task === undefined) continue;
        this.#stands = event.atMs === this.#nowMs ? this.#stands + 1 : 0;
        if (this.#stands > STEPS_AT_ONCE_MAX) throw new Error(`Time stands still at ${this.#nowMs} ms: something waits for no time, over and over.`);
        this.#nowMs = event.atMs;
        this.steps++;
        event.task();
        await drain();
        if (this.steps % STEPS_BETWEEN_OTHERS === 0) await letOthersRun();
      }
      this.#throwFailure();
      return true;
    });
  }

  #throwFailure(): void {
    if (this.#failure === undefined) return;
    const failure = this.#failure;
    this.#failure = undefined;
    throw failure;
  }

  // A binary heap ------------------------------------------------------------------------------------------------------------

  #push(event: Event): void {
    const heap = this.#events;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(untilMs: number): Event | undefined {
    const heap = this.#events;
    const [first] = heap;
    if (first === undefined || first.atMs > untilMs) return undefined;
    const last = heap.pop() as Event;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!isBefore(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/**
 * Everything that waits only for promises has run when the next tick comes, seen from a microtask. Coming round in the event
 * loop costs four times as much.
 */
const drain = (): Promise<void> => new Promise((resolve) => nextTick(resolve));

/** Whoever else lives on this thread; all microtasks as well, seen from anywhere. */
const letOthersRun = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
