// Many seeds on several threads: each has a whole simulation of its own, and its own globals to forbid.

import { Worker } from 'node:worker_threads';
import type { RareOption } from './rare.ts';
import type { RunResult } from './run.ts';
import type { Excerpt } from './script.ts';
import type { Sizes } from './shrink.ts';

export interface Failure {
  readonly seed: number;
  readonly error: string;
}

/** One run, when it is more than its seed. */
export interface SeedRequest {
  readonly seed: number;
  readonly excerpt?: Excerpt | undefined;
  /** The answer brings the lines of the trace. */
  readonly isTraced?: boolean;
}

export interface SeedAnswer {
  readonly outcome: Outcome;
  readonly trace: readonly string[];
  /** Of the whole run, where an excerpt was asked for. */
  readonly sizes?: Sizes | undefined;
}

export type Outcome = RunResult | Failure;

export const isFailure = (outcome: Outcome): outcome is Failure => 'error' in outcome;

export interface SweepOptions {
  readonly seeds: Iterable<number>;
  readonly jobs: number;
  /** The name of a known bug to put in (controls.ts). */
  readonly control?: string;
  /** Options that each of them has in any case. */
  readonly rare?: readonly RareOption[];
  /** Told of each result, in the order in which they come in; false ends the sweep. */
  readonly onResult: (outcome: Outcome) => boolean;
}

/** Resolves when every seed was run, or `onResult` ended it. */
export async function sweep({ seeds, jobs, control, rare, onResult }: SweepOptions): Promise<void> {
  const queue = seeds[Symbol.iterator]();
  let isOver = false;
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      const thread = new Thread(control, rare);
      try {
        for (let next = queue.next(); next.done !== true && !isOver; next = queue.next()) {
          if (!onResult(await thread.run(next.value))) isOver = true;
        }
      } finally {
        await thread.end();
      }
    }),
  );
}

export class Thread {
  readonly #worker: Worker;
  #seed = 0;
  #settle: (answer: SeedAnswer) => void = () => undefined;
  #death: string | undefined;

  constructor(control?: string, rare: readonly RareOption[] = []) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: { control, rare }, resourceLimits: { maxYoungGenerationSizeMb: 64 } });
    this.#worker.on('message', (answer: SeedAnswer) => this.#settle(answer));
    this.#worker.on('error', (error) => this.#died(error instanceof Error ? (error.stack ?? error.message) : String(error)));
    this.#worker.on('exit', (code) => this.#died(`The thread ended with ${code}.`));
  }

  #died(error: string): void {
    this.#death ??= error;
    this.#settle({ outcome: { seed: this.#seed, error: this.#death }, trace: [] });
  }

  async run(seed: number): Promise<Outcome> {
    return (await this.ask({ seed })).outcome;
  }

  ask(request: SeedRequest): Promise<SeedAnswer> {
    this.#seed = request.seed;
    return new Promise((resolve) => {
      this.#settle = resolve;
      if (this.#death !== undefined) resolve({ outcome: { seed: request.seed, error: this.#death }, trace: [] });
      else this.#worker.postMessage(request);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
