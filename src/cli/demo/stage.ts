// What the story is told on: the regions, the clients, the steps as they are taken. Every request that is shown was sent,
// and every claim that is made was checked; the first one that does not hold ends the story.

import type { Client } from '../../client/client.ts';
import type { Attempt } from '../../client/exchange.ts';
import type { Place } from '../../client/types.ts';
import { ArchipelError, isArchipelError } from '../../core/errors.ts';
import { Interrupted } from '../exit.ts';
import { toldRequest, type Narrator, type ToldStep } from './narrator.ts';

export interface Actor {
  readonly id: string;
  readonly city: string;
  /** As somebody there would: through the edge, where there is one. */
  readonly viewer: { readonly client: Client; readonly options: { readonly viewer?: Place } };
  /** Straight to the region. */
  readonly region: Client;
}

/** A claim did not hold. */
export class NotShown extends Error {}

const DEADLINE_MS = 10_000;
const POLL_FIRST_MS = 5;
const POLL_MAX_MS = 200;

export class Stage {
  readonly steps: ToldStep[] = [];
  readonly #narrator: Narrator;
  readonly #signal: AbortSignal;

  constructor(narrator: Narrator, signal: AbortSignal) {
    this.#narrator = narrator;
    this.#signal = signal;
  }

  get signal(): AbortSignal {
    return this.#signal;
  }

  get #current(): ToldStep {
    return this.steps.at(-1) as ToldStep;
  }

  async step(title: string, tells: string, act: () => Promise<void>): Promise<void> {
    this.#assertGoing();
    const startedMs = performance.now();
    this.steps.push({ title, requests: [], claims: [], ms: 0 });
    await this.#narrator.step(this.steps.length, title, tells);
    try {
      await act();
    } finally {
      this.#current.ms = Math.round(performance.now() - startedMs);
    }
  }

  #assertGoing(): void {
    if (this.#signal.aborted) throw new Interrupted();
  }

  /** Sends one request, and shows it. */
  async ask<T>(client: Client, call: (client: Client) => Promise<T>): Promise<T> {
    return this.until(client, call, () => true);
  }

  /** Asks until the answer is as expected, at most DEADLINE_MS, and shows the last one. */
  async until<T>(client: Client, call: (client: Client) => Promise<T>, isExpected: (answer: T) => boolean): Promise<T> {
    const { answer, last, tries, ms } = await this.#poll(client, call, isExpected);
    if (last !== undefined) await this.#show(last, tries, ms);
    return answer;
  }

  /** The same behind the scenes. */
  async quietly<T>(client: Client, call: (client: Client) => Promise<T>, isExpected: (answer: T) => boolean = () => true): Promise<T> {
    return (await this.#poll(client, call, isExpected)).answer;
  }

  async #poll<T>(client: Client, call: (client: Client) => Promise<T>, isExpected: (answer: T) => boolean): Promise<{ readonly answer: T; readonly last: Attempt | undefined; readonly tries: number; readonly ms: number }> {
    const startedMs = performance.now();
    let last: Attempt | undefined;
    const watched = client.with({ keysIn: 'path', onAttempt: (attempt) => (last = attempt) });
    for (let tries = 1, waitMs = POLL_FIRST_MS; ; tries++) {
      this.#assertGoing();
      try {
        const answer = await call(watched);
        const ms = performance.now() - startedMs;
        if (isExpected(answer) || ms > DEADLINE_MS) return { answer, last, tries, ms };
      } catch (error) {
        if (last?.answer !== undefined && isArchipelError(error)) await this.#show(last, tries, performance.now() - startedMs);
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      waitMs = Math.min(POLL_MAX_MS, waitMs * 2);
    }
  }

  async #show(attempt: Attempt, tries: number, ms: number): Promise<void> {
    const told = toldRequest(attempt, tries, ms);
    this.#current.requests.push(told);
    await this.#narrator.request(told);
  }

  /** Says what was shown. @throws NotShown when it was not */
  async claim(what: string, holds: boolean): Promise<void> {
    const claim = { what, holds };
    this.#current.claims.push(claim);
    await this.#narrator.claim(claim);
    if (!holds) throw new NotShown(what);
  }
}

export function assertRegions(count: number): void {
  if (count < 2) throw new ArchipelError('bad-request', 'The demo needs a cluster of at least two regions.');
}
