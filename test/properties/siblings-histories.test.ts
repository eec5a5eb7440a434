// Siblings over random histories, against a slow twin: explicit causal histories. Each write is an event with the set of
// all events that its author had seen; the live values are the events that no other known event had seen. No vectors.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OPERATIONS_MAX, SIBLINGS_HARD_MAX, SIBLINGS_SOFT_MAX } from '../../src/core/limits.ts';
import { distinctValues } from '../../src/core/version/record.ts';
import type { VersionVector } from '../../src/core/version/version-vector.ts';
import { EMPTY_VECTOR } from '../../src/core/version/version-vector.ts';
import type { Write } from '../../src/core/version/write.ts';
import { operation, texts, value } from '../contract/make.ts';
import { Choices, tape } from './choices.ts';
import { REPLICAS, Replicas } from './replicas.ts';

type EventName = string;

/** What one replica knows, in events. */
interface Knowledge {
  readonly known: Set<EventName>;
}

class CausalHistories {
  readonly replicas: Knowledge[] = Array.from({ length: REPLICAS }, () => ({ known: new Set<EventName>() }));
  readonly #seen = new Map<EventName, ReadonlySet<EventName>>();
  readonly #deletes = new Set<EventName>();

  read(at: number): ReadonlySet<EventName> {
    return new Set(this.replicas[at]?.known);
  }

  write(at: number, name: EventName, seen: ReadonlySet<EventName>, isDelete = false): void {
    this.#seen.set(name, seen);
    if (isDelete) this.#deletes.add(name);
    this.learn(at, new Set([...seen, name]));
  }

  learn(at: number, events: ReadonlySet<EventName>): void {
    for (const event of events) this.replicas[at]?.known.add(event);
  }

  live(at: number): EventName[] {
    const known = [...(this.replicas[at]?.known ?? [])];
    return known.filter((event) => !this.#deletes.has(event) && !known.some((other) => this.#seen.get(other)?.has(event) === true)).sort();
  }
}

const shown = (replicas: Replicas, at: number): string[] => {
  const state = replicas.states[at];
  return state === undefined ? [] : distinctValues(state, replicas.nowMs).map(({ value: { bytes } }) => Buffer.from(bytes).toString()).sort();
};

/** A client's knowledge: the token it was given with a read, and what was in it. */
interface Read {
  readonly context: VersionVector;
  readonly events: ReadonlySet<EventName>;
}

describe('siblings histories', () => {
  /** Histories that met the hard cap. */
  let capped = 0;

  it('the live values are exactly the causally maximal ones, at every replica after every step', () => {
    fc.assert(
      fc.property(tape(80), (numbers) => {
        const choices = new Choices(numbers);
        const replicas = new Replicas('siblings');
        const slow = new CausalHistories();
        const reads: Read[] = [{ context: EMPTY_VECTOR, events: new Set() }];
        const inFlight: { readonly to: number; readonly from: number; readonly at: number }[] = [];
        const sent: { readonly state: Replicas['states'][number]; readonly events: ReadonlySet<EventName> }[] = [];
        let count = 0;
        for (let step = 0; !choices.isOver; step++) {
          replicas.nowMs += choices.below(3);
          const at = choices.below(REPLICAS);
          const kind = choices.below(10);
          if (kind < 5) {
            const name = `w${count++}`;
            // A context may be old, and of another replica: every region accepts every region's tokens.
            const read = kind < 2 ? undefined : choices.of(reads);
            const isDelete = kind === 4 || kind === 1;
            const seen = read?.events ?? (isDelete ? slow.read(at) : new Set<EventName>());
            const decision = replicas.write(at, { ...(isDelete ? {} : { value: value(name) }), ...(read === undefined ? {} : { context: read.context }) }, choices.below(6));
            if (decision.type !== 'commit') expect(decision).toMatchObject({ code: isDelete ? 'not-found' : 'too-many-siblings' });
            else slow.write(at, name, seen, isDelete);
            replicas.bag.length = 0;
          } else if (kind < 7) {
            reads.push({ context: replicas.states[at]?.context ?? EMPTY_VECTOR, events: slow.read(at) });
          } else if (kind < 8) {
            sent.push({ state: replicas.states[at], events: slow.read(at) });
            for (let to = 0; to < REPLICAS; to++) if (to !== at) inFlight.push({ to, from: at, at: sent.length - 1 });
          } else if (inFlight.length > 0) {
            const index = choices.below(inFlight.length);
            const { to, at: number } = inFlight[index] as (typeof inFlight)[number];
            if (choices.percent(80)) inFlight.splice(index, 1);
            const message = sent[number] as (typeof sent)[number];
            if (message.state === undefined) continue;
            replicas.receive(to, message.state);
            slow.learn(to, message.events);
          }
          for (let each = 0; each < REPLICAS; each++) expect(shown(replicas, each), `replica ${each}, step ${step}\n${replicas.lines().join('\n')}`).toEqual(slow.live(each));
        }
      }),
      { numRuns: 1_500 },
    );
  });

  interface Request {
    readonly name: string;
    readonly write: Write;
    readonly saw: readonly string[];
  }

  /** Histories of whole requests and their retries; `elsewhere`: the context may have been read at another region. */
  function run(numbers: readonly number[], elsewhere: boolean): { readonly replicas: Replicas; readonly requests: readonly Request[] } {
    const choices = new Choices(numbers);
    const replicas = new Replicas('siblings');
    const requests: Request[] = [];
    while (!choices.isOver) {
      replicas.nowMs += choices.below(3);
      const at = choices.below(REPLICAS);
      const kind = choices.below(10);
      // An operation is remembered for 8 later ones; these histories stay within that.
      if (kind < 2 && replicas.issued.size < OPERATIONS_MAX) {
        const read = replicas.states[elsewhere ? choices.below(REPLICAS) : at];
        const isBlind = choices.percent(40) || read === undefined;
        const name = `o${requests.length}`;
        const request: Request = {
          name,
          write: { value: value(name), operation: { id: operation(name) }, ...(isBlind ? {} : { context: read.context }) },
          saw: isBlind ? [] : texts(read),
        };
        requests.push(request);
        replicas.write(at, request.write, choices.below(6));
      } else if (kind < 4 && requests.length > 0 && replicas.issued.size < OPERATIONS_MAX) {
        replicas.write(at, choices.of(requests).write, choices.below(6));
      } else if (replicas.bag.length > 0) {
        replicas.deliver(choices, choices.percent(20));
      }
    }
    replicas.drain(choices);
    return { replicas, requests };
  }

  const check = (numbers: readonly number[], elsewhere: boolean): void => {
    const { replicas, requests } = run(numbers, elsewhere);
    expect(new Set(replicas.bytes().filter((line) => line !== '-')).size, replicas.lines().join('\n')).toBeLessThan(2);
    const dead = new Set(requests.flatMap(({ saw }) => saw));
    const live = requests.map(({ name }) => name).filter((name) => !dead.has(name)).sort();
    expect(shown(replicas, 0), `not doubled, lost or resurrected\n${replicas.lines().join('\n')}`).toEqual(live);
    expect(replicas.unaccounted()).toEqual([]);
    expect(replicas.losses).toEqual([]);
  };

  it('requests retried at any replica at any time are neither doubled, resurrected nor lost', () => {
    fc.assert(fc.property(tape(120), (numbers) => check(numbers, false)), { numRuns: 2_000 });
  });

  it('also when the context was read in one region and the write was made in another', () => {
    fc.assert(fc.property(tape(120), (numbers) => check(numbers, true)), { numRuns: 2_000 });
  });

  it('more siblings than the hard cap: all keep the same ones, the rest is in the ledger, without reconciliation', () => {
    fc.assert(
      fc.property(tape(120), (numbers) => {
        const choices = new Choices(numbers);
        const replicas = new Replicas('siblings');
        // Every region takes about as many as it may before it hears of the others.
        for (let count = 0; count < SIBLINGS_SOFT_MAX * REPLICAS; count++) replicas.write(count % REPLICAS, { value: value(`w${count}`) }, choices.below(4));
        for (let count = 0; !choices.isOver; count++) {
          replicas.nowMs += choices.below(2);
          const read = choices.percent(30) ? replicas.states[choices.below(REPLICAS)] : undefined;
          if (read !== undefined) replicas.write(choices.below(REPLICAS), { value: value(`late${count}`), context: read.context });
          else if (replicas.bag.length > 0) replicas.deliver(choices, choices.percent(10));
        }
        replicas.drain(choices);
        expect(new Set(replicas.bytes().filter((line) => line !== '-')).size, replicas.lines().join('\n')).toBeLessThan(2);
        expect(replicas.states[0]?.values.length ?? 0).toBeLessThanOrEqual(SIBLINGS_HARD_MAX);
        expect(replicas.unaccounted()).toEqual([]);
        capped += replicas.losses.length > 0 ? 1 : 0;
      }),
      { numRuns: 100 },
    );
    expect(capped).toBeGreaterThan(10);
  });

  it('X and Y in turn, each with the context of its own last read, never make more than two siblings', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (turns) => {
        const replicas = new Replicas('siblings');
        const contexts: [VersionVector, VersionVector] = [EMPTY_VECTOR, EMPTY_VECTOR];
        for (const [round, isX] of turns.entries()) {
          const client = isX ? 0 : 1;
          const decision = replicas.write(0, { value: value(`${isX ? 'x' : 'y'}${round}`), context: contexts[client] });
          expect(decision.type).toBe('commit');
          // It reads what stands now, and then the other one writes.
          contexts[client] = replicas.states[0]?.context ?? EMPTY_VECTOR;
          expect(replicas.states[0]?.values.length, replicas.lines()[0]).toBeLessThanOrEqual(2);
        }
      }),
      { numRuns: 200 },
    );
  });
});
