// The network of a simulation: calls between processes, each a message there and a message back, and each of the two may
// be lost, late, twice, or overtaken. A link can be cut one way. A machine without a process refuses at once; a cut
// answers nothing.

import { ArchipelError } from '../../core/errors.ts';
import type { Machine, Process } from './machine.ts';
import type { SeededRandom } from './random.ts';

export interface NetworkFaults {
  /** Mean one-way delay, and that of the slow ones. */
  readonly delayMs: number;
  readonly slowDelays: number;
  readonly slowDelayMs: number;
  readonly lostQuestions: number;
  readonly lostAnswers: number;
  readonly twice: number;
  /** Each link draws from a stream of its own, so that a message less on one changes nothing on the others. */
  readonly apart?: boolean;
  /** Of questions that carry states: delivered once more, long after. */
  readonly recorded?: number;
}

/** Longer than any answer takes here; a comparison that trusts no digest may ask for minutes. */
const DEAD_CONNECTION_MS = 30_000;
/** Mean time until a recorded message is delivered again. */
const RECORDED_MS = 8_000;

export const CALM: NetworkFaults = { delayMs: 1, slowDelays: 0, slowDelayMs: 0, lostQuestions: 0, lostAnswers: 0, twice: 0 };

export interface CallSetting<T> {
  readonly from: Process;
  readonly to: Machine;
  readonly timeoutMs: number;
  /** On one connection, which delivers once or not at all: what clients have. Between regions copies happen. */
  readonly once?: boolean;
  /** It may be kept by somebody and delivered again when all is forgotten. */
  readonly mayBeRecorded?: boolean;
  /** What the other process does; runs there. */
  readonly handle: (process: Process) => Promise<T>;
}

export class Network {
  readonly #random: SeededRandom;
  faults: NetworkFaults;
  readonly #cuts = new Set<string>();
  readonly #slow = new Map<string, number>();
  readonly #links = new Map<string, SeededRandom>();
  /** When the last message that was sent until now arrives. */
  lastArrivalMs = 0;
  readonly stats = { messages: 0, lost: 0, twice: 0, refused: 0, recorded: 0 };

  constructor(random: SeededRandom, faults: NetworkFaults) {
    this.#random = random;
    this.faults = faults;
  }

  /** Nothing passes from one to the other any more, what is under way included. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`);
  }

  /** Every message from one to the other takes so much longer. */
  slow(from: string, to: string, byMs: number): void {
    this.#slow.set(`${from} ${to}`, byMs);
  }

  heal(from?: string, to?: string): void {
    if (from === undefined) {
      this.#cuts.clear();
      this.#slow.clear();
    } else this.#cuts.delete(`${from} ${to}`);
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from} ${to}`);
  }

  /** Nobody waits for the answer any more. */
  #record<T>(to: Machine, handle: (process: Process) => Promise<T>): void {
    const { recorded = 0 } = this.faults;
    if (recorded === 0 || !this.#random.chance(recorded)) return;
    to.world.after(this.#random.around(RECORDED_MS), () => {
      const { process } = to;
      if ((this.faults.recorded ?? 0) === 0 || process === undefined) return;
      this.stats.recorded++;
      to.world.trace('network', `an old message arrives at ${to.id}`);
      process.post(0, () => void handle(process).catch(() => undefined));
    });
  }

  #randomOf(from: Machine, to: Machine): SeededRandom {
    if (this.faults.apart !== true) return this.#random;
    const name = `link ${from.id} ${to.id}`;
    const random = this.#links.get(name) ?? this.#random.stream(name);
    this.#links.set(name, random);
    return random;
  }

  #delay(random: SeededRandom): number {
    const { delayMs, slowDelays, slowDelayMs } = this.faults;
    return random.around(random.chance(slowDelays) ? slowDelayMs : delayMs);
  }

  #carry(from: Machine, to: Machine, { loss, once }: { readonly loss: number; readonly once: boolean }, arrive: () => void): void {
    const random = this.#randomOf(from, to);
    const copies = random.chance(once ? 0 : this.faults.twice) ? 2 : 1;
    if (copies === 2) this.stats.twice++;
    for (let copy = 0; copy < copies; copy++) {
      this.stats.messages++;
      if (random.chance(loss)) {
        this.stats.lost++;
        continue;
      }
      const slowMs = this.#slow.size === 0 ? 0 : (this.#slow.get(`${from.id} ${to.id}`) ?? 0);
      const delayMs = this.#delay(random) + slowMs;
      this.lastArrivalMs = Math.max(this.lastArrivalMs, from.world.nowMs + delayMs);
      from.world.after(delayMs, () => {
        if (this.isCut(from.id, to.id)) this.stats.lost++;
        else arrive();
      });
    }
  }

  /**
   * Rejects with `peer-unreachable`: `details.unsent` is true when the other machine refused the connection, so that
   * certainly nothing arrived there.
   */
  call<T>({ from, to, timeoutMs, once = false, mayBeRecorded = false, handle }: CallSetting<T>): Promise<T> {
    if (mayBeRecorded) this.#record(to, handle);
    return new Promise<T>((resolve, reject) => {
      const fail = (unsent: boolean): void => reject(new ArchipelError('peer-unreachable', `${to.id} cannot be reached.`, { unsent }));
      // Nothing comes for a while on a connection: it is given up, whatever the caller would have waited.
      const cancel = from.post(Math.min(timeoutMs, DEAD_CONNECTION_MS), () => fail(false));
      const back = (settle: () => void): void =>
        this.#carry(to, from.machine, { loss: this.faults.lostAnswers, once }, () =>
          from.enter(() => {
            cancel();
            settle();
          }),
        );
      let wasHandled = false;
      this.#carry(from.machine, to, { loss: this.faults.lostQuestions, once }, () => {
        const { process } = to;
        if (process === undefined) {
          this.stats.refused++;
          const unsent = !wasHandled;
          back(() => fail(unsent));
          return;
        }
        wasHandled = true;
        process.enter(() => {
          handle(process).then(
            (answer) => back(() => resolve(answer)),
            (error: unknown) => back(() => reject(error instanceof Error ? error : new Error(String(error)))),
          );
        });
      });
    });
  }
}
