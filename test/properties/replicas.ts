// Replicas of one item, driven through core as the engine drives it: a local commit is sent, whole, to every other
// replica, an applied one is not. Messages lie in a bag and are delivered in any order, some of them twice; one that was
// "lost" simply stays in the bag until the end.

import { sha256 } from '../../src/adapters/node/crypto.ts';
import { formatDot, sameDot, type Dot } from '../../src/core/version/dot.ts';
import { encodeState } from '../../src/core/version/codec.ts';
import { formatState } from '../../src/core/version/format.ts';
import { mergeLww, type Loss, type Merged } from '../../src/core/version/lww.ts';
import type { OperationHash } from '../../src/core/version/operations.ts';
import { floorOf, headDot, sameState, type State } from '../../src/core/version/record.ts';
import { mergeSiblings } from '../../src/core/version/siblings.ts';
import { makeStamp, raiseAbove, STAMP_ZERO, type Stamp } from '../../src/core/version/stamp.ts';
import { covers } from '../../src/core/version/version-vector.ts';
import { decideWrite, type ConflictRule, type Write, type WriteDecision } from '../../src/core/version/write.ts';
import { A, B, C, texts } from '../contract/make.ts';
import type { Choices } from './choices.ts';

const ACTORS = [A, B, C] as const;
export const REPLICAS = ACTORS.length;
const MESSAGES_MAX = 2_000;

export interface Message {
  readonly to: number;
  readonly state: State;
}

/** One dot that was issued, and the state that it was committed with. */
export interface Issued {
  readonly dot: Dot;
  readonly state: State;
  readonly operation: OperationHash | undefined;
  /** False for a write that a merge made again: no client was told of it. */
  readonly acknowledged: boolean;
}

export class Replicas {
  readonly states: (State | undefined)[] = ACTORS.map(() => undefined);
  readonly bag: Message[] = [];
  /** Per replica. As in the engine, a loser that another row of the item covers gets none. */
  readonly ledgers: Loss[][] = ACTORS.map(() => []);
  readonly issued = new Map<string, Issued>();
  /** The dots that each replica ever held or was sent. */
  readonly #met: Set<string>[] = ACTORS.map(() => new Set<string>());
  nowMs = 1_000;
  writtenAgain = 0;
  readonly #conflict: ConflictRule;
  /** Local commits that were not sent yet; a later one takes the place of an earlier one, as fan-out coalesces by key. */
  readonly #outbox: (State | undefined)[] = ACTORS.map(() => undefined);
  readonly #coalesce: boolean;
  /** The largest dot of each replica that was issued for the ledger alone, which its hybrid clock takes note of. */
  readonly #lateDots: Stamp[] = ACTORS.map(() => STAMP_ZERO);

  constructor(conflict: ConflictRule, options: { readonly coalesce?: boolean } = {}) {
    this.#conflict = conflict;
    this.#coalesce = options.coalesce ?? false;
  }

  /** The clock of the replica lies `behindMs` behind the others'. */
  write(at: number, write: Write, behindMs = 0): WriteDecision {
    const stamp = raiseAbove(makeStamp(this.nowMs - behindMs), this.#lateDots[at] as Stamp);
    const setting = { conflict: this.#conflict, requireContext: false, actor: ACTORS[at] as typeof A, stamp, reapedLine: STAMP_ZERO, nowMs: this.nowMs, hash: sha256 };
    const decision = decideWrite(this.states[at], write, setting);
    if (decision.type === 'superseded') {
      this.#record(at, decision.losses);
      for (const { loser } of decision.losses) this.#lateDots[at] = loser.dot.stamp;
    }
    if (decision.type !== 'commit') return decision;
    this.#record(at, decision.losses);
    this.#issue({ dot: decision.dot, state: decision.state, operation: write.operation?.id, acknowledged: true });
    this.#commitLocal(at, decision.state);
    return decision;
  }

  #record(at: number, losses: readonly Loss[]): void {
    const rows = this.ledgers[at] as Loss[];
    for (const loss of losses) {
      if (!rows.some(({ loser }) => sameDot(loser.dot, loss.loser.dot) || covers(loser.context, loss.loser.dot))) rows.push(loss);
    }
  }

  get losses(): Loss[] {
    return this.ledgers.flat();
  }

  #issue(issued: Issued): void {
    const name = formatDot(issued.dot);
    if (this.issued.has(name)) throw new Error(`Issued twice: ${name}`);
    this.issued.set(name, issued);
  }

  #commitLocal(at: number, state: State): void {
    this.states[at] = state;
    this.#meet(at, state);
    this.#outbox[at] = state;
    if (!this.#coalesce) this.flush(at);
  }

  flush(at: number): void {
    const state = this.#outbox[at];
    this.#outbox[at] = undefined;
    if (state === undefined) return;
    for (let to = 0; to < REPLICAS; to++) if (to !== at) this.bag.push({ to, state });
  }

  /** Delivers one message of the bag; `again` leaves it there. */
  deliver(choices: Choices, again = false): void {
    const at = choices.below(this.bag.length);
    const message = this.bag[at] as Message;
    if (!again) this.bag.splice(at, 1);
    this.receive(message.to, message.state);
  }

  #meet(at: number, state: State): void {
    for (const { dot } of state.values) this.#met[at]?.add(formatDot(dot));
    if (state.deleted !== undefined) this.#met[at]?.add(formatDot(state.deleted));
  }

  receive(at: number, incoming: State): void {
    this.#meet(at, incoming);
    const stored = this.states[at];
    if (stored === undefined) return void (this.states[at] = incoming);
    const merged = this.#merge(at, stored, incoming);
    this.#record(at, merged.losses);
    if (sameState(merged.state, stored)) return;
    if (merged.kind === 'local') this.#commitLocal(at, merged.state);
    else this.states[at] = merged.state;
  }

  #merge(at: number, stored: State, incoming: State): Merged {
    if (this.#conflict === 'siblings') return mergeSiblings(stored, incoming);
    const issue = (): Dot => ({ actor: ACTORS[at] as typeof A, stamp: raiseAbove(makeStamp(this.nowMs), floorOf(stored, incoming)) });
    const merged = mergeLww(stored, incoming, issue);
    const head = headDot(merged.state);
    if (merged.note === 'written-again' && head !== undefined) {
      this.writtenAgain++;
      this.#issue({ dot: head, state: merged.state, operation: undefined, acknowledged: false });
    }
    return merged;
  }

  /** Everything that was sent arrives, in any order. */
  drain(choices: Choices): void {
    for (let count = 0; ; count++) {
      for (let at = 0; at < REPLICAS; at++) this.flush(at);
      if (this.bag.length === 0) return;
      if (count > MESSAGES_MAX) throw new Error('The replicas never become quiet.');
      this.deliver(choices);
    }
  }

  /** What reconciliation does: every pair merges each other's state until nothing changes. */
  reconcile(choices: Choices): void {
    for (let round = 0; round < 10; round++) {
      const before = this.lines().join('\n');
      for (let from = 0; from < REPLICAS; from++) {
        for (let to = 0; to < REPLICAS; to++) {
          const state = this.states[from];
          if (from !== to && state !== undefined) this.receive(to, state);
        }
      }
      this.drain(choices);
      if (before === this.lines().join('\n')) return;
    }
    throw new Error('Reconciliation never ends.');
  }

  lines(): string[] {
    return this.states.map((state) => (state === undefined ? '-' : formatState(state)));
  }

  bytes(): string[] {
    return this.states.map((state) => (state === undefined ? '-' : Buffer.from(encodeState(state)).toString('hex')));
  }

  texts(): string[][] {
    return this.states.map((state) => texts(state));
  }

  /**
   * Writes that nothing accounts for: neither a record, nor a ledger, nor the causal past of one of these. Two dots of one
   * operation are one write. Each replica accounts by itself for all that it held or was sent; except for an operation
   * that it knew already, which is in the account of the replica that it learnt it from.
   */
  unaccounted(): string[] {
    const everywhere = this.#accounted([0, 1, 2]);
    const open = [...this.issued].filter(([name, { acknowledged }]) => acknowledged && !everywhere.has(name)).map(([name]) => name);
    for (let at = 0; at < REPLICAS; at++) {
      const here = this.#accounted([at]);
      for (const name of this.#met[at] as Set<string>) if (!here.has(name) && this.issued.get(name)?.operation === undefined) open.push(`${name} at ${at}`);
    }
    return open;
  }

  #accounted(replicas: readonly number[]): ReadonlySet<string> {
    const accounted = new Map<string, Issued>();
    const take = (is: (issued: Issued) => boolean): void => {
      for (const [name, issued] of this.issued) if (is(issued)) accounted.set(name, issued);
    };
    for (const at of replicas) {
      const state = this.states[at];
      if (state !== undefined) take(({ dot }) => covers(state.context, dot) || state.values.some((held) => sameDot(held.dot, dot)));
      for (const { loser } of this.ledgers[at] as Loss[]) take(({ dot }) => sameDot(loser.dot, dot));
    }
    // A map goes on with what is added while it is walked.
    for (const { state, operation } of accounted.values()) {
      take(({ dot, operation: other }) => covers(state.context, dot) || (operation !== undefined && other === operation));
    }
    return new Set(accounted.keys());
  }
}
