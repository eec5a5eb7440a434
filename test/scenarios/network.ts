// The links between the regions of a scenario, moved by hand. A message is a question and its answer; a link can be cut,
// lose the answers, or hold the questions until the test delivers them: late, twice, or in another order.

import type { ManualClock } from '../../src/adapters/memory/clock.ts';
import { ArchipelError } from '../../src/core/errors.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { Peer, PeerMethod } from '../../src/ports/peer.ts';

/** Who answers at a region, while it lives. */
export interface Door {
  readonly isAlive: () => boolean;
  answer(method: PeerMethod, question: Uint8Array): Promise<Uint8Array>;
}

export interface HeldMessage {
  readonly from: RegionId;
  readonly to: RegionId;
  readonly method: PeerMethod;
  readonly question: Uint8Array;
  /** Lets it arrive, as often as it is called; the first answer goes back to the asker, if that still waits. */
  deliver(): Promise<void>;
}

type Mode = 'open' | 'cut' | 'answers-lost';

/** What happens just before and just after a question is answered. */
export interface Interference {
  readonly method: PeerMethod;
  readonly before?: () => void | Promise<void>;
  readonly after?: () => void | Promise<void>;
  /** The answer is on the wire already: it arrives though who gave it is gone. */
  readonly isSent?: boolean;
}

export class Network {
  readonly #clock: ManualClock;
  readonly #doors = new Map<RegionId, Door>();
  readonly #modes = new Map<string, Mode>();
  readonly #holding = new Map<string, ReadonlySet<PeerMethod>>();
  readonly #once = new Map<string, Interference>();
  /** Questions held back, oldest first. */
  readonly held: HeldMessage[] = [];
  /** Every question that was sent, as `from>to method`. */
  readonly sent: string[] = [];

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  connect(id: RegionId, door: Door): void {
    this.#doors.set(id, door);
  }

  /** The peer `to` as the region `from` sees it, while `isAlive` says that it lives. */
  peer(from: RegionId, to: RegionId, isAlive: () => boolean): Peer {
    return { id: to, ask: (method, question, timeoutMs) => this.#ask({ from, to, method, question }, timeoutMs, isAlive) };
  }

  // Moved by the test -----------------------------------------------------------------------------------------------------

  /** No message passes between the two. */
  cut(a: RegionId, b: RegionId): void {
    this.#modes.set(link(a, b), 'cut').set(link(b, a), 'cut');
  }

  /** What `from` asks `to` arrives, but `from` never hears the answer. */
  loseAnswers(from: RegionId, to: RegionId): void {
    this.#modes.set(link(from, to), 'answers-lost');
  }

  hold(from: RegionId, to: RegionId, methods: readonly PeerMethod[] = ['inbox']): void {
    this.#holding.set(link(from, to), new Set(methods));
  }

  once(from: RegionId, to: RegionId, interference: Interference): void {
    this.#once.set(`${link(from, to)} ${interference.method}`, interference);
  }

  /** All links are as new. What is held stays held. */
  heal(): void {
    this.#modes.clear();
    this.#holding.clear();
  }

  count(from: RegionId, to: RegionId, method: PeerMethod): number {
    return this.sent.filter((each) => each === `${link(from, to)} ${method}`).length;
  }

  // ---------------------------------------------------------------------------------------------------------------------

  #ask(message: Omit<HeldMessage, 'deliver'>, timeoutMs: number, isAlive: () => boolean): Promise<Uint8Array> {
    const { from, to, method, question } = message;
    return new Promise((resolve, reject) => {
      if (!isAlive()) return; // a process that is gone hears nothing, not even that
      this.sent.push(`${link(from, to)} ${method}`);
      const fail = (why: string): void => reject(new ArchipelError('peer-unreachable', why));
      const cancel = this.#clock.after(timeoutMs, () => isAlive() && fail(`${to} gave no answer in time.`));
      const deliver = async (): Promise<void> => {
        const door = this.#doors.get(to);
        if (this.#modes.get(link(from, to)) === 'cut' || door?.isAlive() !== true) return isAlive() ? fail(`${to} cannot be reached.`) : undefined;
        const interference = this.#take(from, to, method);
        await interference?.before?.();
        if (!door.isAlive()) return;
        const answer = await door.answer(method, question);
        await interference?.after?.();
        if ((!door.isAlive() && interference?.isSent !== true) || !isAlive()) return;
        cancel();
        const mode = this.#modes.get(link(from, to));
        if (mode === undefined || mode === 'open') resolve(answer);
        else fail(`The answer of ${to} is lost.`);
      };
      if (this.#holding.get(link(from, to))?.has(method) === true) this.held.push({ ...message, deliver });
      else void deliver();
    });
  }

  #take(from: RegionId, to: RegionId, method: PeerMethod): Interference | undefined {
    const name = `${link(from, to)} ${method}`;
    const found = this.#once.get(name);
    this.#once.delete(name);
    return found;
  }
}

const link = (from: RegionId, to: RegionId): string => `${from}>${to}`;
