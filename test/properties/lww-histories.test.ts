// `lww` over random histories: three replicas, writes decided by decideWrite, retries anywhere, whole states exchanged in
// any order with duplicates. Ported from a model that was used to break simpler rules; here it runs on the product's code.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareDots, formatDot } from '../../src/core/version/dot.ts';
import { OPERATIONS_MAX } from '../../src/core/limits.ts';
import { headDot } from '../../src/core/version/record.ts';
import type { VersionVector } from '../../src/core/version/version-vector.ts';
import { covers, EMPTY_VECTOR } from '../../src/core/version/version-vector.ts';
import type { Write } from '../../src/core/version/write.ts';
import { operation, texts, value } from '../contract/make.ts';
import { Choices, tape } from './choices.ts';
import { REPLICAS, Replicas, type Issued } from './replicas.ts';

interface Request {
  readonly name: string;
  readonly write: Write;
}

interface History {
  readonly coalesce: boolean;
  /** Writes that carry no operation, deletes, and contexts of earlier reads, besides blind writes with one. */
  readonly mixed: boolean;
  /** More operations than are remembered. Their ids carry a time, so that a late one is told. */
  readonly many?: boolean;
}

/** Runs a history to its end: everything delivered, nothing on its way. */
function run(numbers: readonly number[], { coalesce, mixed, many = false }: History): Replicas {
  const choices = new Choices(numbers);
  const replicas = new Replicas('lww', { coalesce });
  const requests: Request[] = [];
  const contexts: VersionVector[] = [EMPTY_VECTOR];
  while (!choices.isOver) {
    replicas.nowMs += choices.below(3);
    const at = choices.below(REPLICAS);
    if (choices.percent(55) || replicas.bag.length === 0) {
      const request = choices.percent(40) && requests.length > 0 ? choices.of(requests) : fresh(choices, requests.length, mixed ? contexts : [], many ? replicas.nowMs : undefined);
      if (!requests.includes(request)) requests.push(request);
      // An operation without a time is remembered for 8 later ones; these histories stay within that.
      if (many || replicas.issued.size < OPERATIONS_MAX) replicas.write(at, request.write, choices.below(6));
      const state = replicas.states[at];
      if (state !== undefined) contexts.push(state.context);
    } else {
      replicas.flush(choices.below(REPLICAS));
      if (replicas.bag.length > 0) replicas.deliver(choices, choices.percent(10));
    }
  }
  replicas.drain(choices);
  return replicas;
}

function fresh(choices: Choices, number: number, contexts: readonly VersionVector[], mintedAtMs: number | undefined): Request {
  const name = `o${number}`;
  const id = { id: operation(name), ...(mintedAtMs === undefined ? {} : { mintedAtMs }) };
  const plain: Request = { name, write: { value: value(name), operation: { ...id, payload: operation(`payload ${name}`) } } };
  if (contexts.length === 0) return plain;
  const kind = choices.below(10);
  if (kind === 0) return { name, write: { operation: id } };
  if (kind === 1) return { name, write: { value: value(name) } };
  if (kind <= 3) return { name, write: { ...plain.write, context: choices.of(contexts) } };
  return plain;
}

/** `over.get(y)` holds x where a write of y covers one of x. A retry makes this no order: y over x here, x over y there. */
function superseding(replicas: Replicas): Map<string, Set<string>> {
  const nameOf = ({ state }: Issued): string => texts(state)[0] ?? 'deleted';
  const over = new Map<string, Set<string>>();
  for (const writer of replicas.issued.values()) {
    const names = over.get(nameOf(writer)) ?? new Set<string>();
    over.set(nameOf(writer), names);
    for (const past of replicas.issued.values()) if (past !== writer && covers(writer.state.context, past.dot)) names.add(nameOf(past));
  }
  return over;
}

/** All that `name` is above, directly or by way of others. */
function below(name: string, over: ReadonlyMap<string, ReadonlySet<string>>): Set<string> {
  const found = new Set(over.get(name));
  for (const each of found) for (const further of over.get(each) ?? []) found.add(further);
  return found;
}

const RUNS = 5_000;
const LENGTH = 60;

describe('lww histories', () => {
  it('replicas that received the same writes are equal byte by byte, whoever retried what where', () => {
    fc.assert(
      fc.property(tape(LENGTH), fc.boolean(), (numbers, mixed) => {
        const replicas = run(numbers, { coalesce: false, mixed });
        expect(new Set(replicas.bytes()).size, replicas.lines().join('\n')).toBe(1);
      }),
      { numRuns: RUNS },
    );
  });

  it('a retry never stands again over what superseded it', () => {
    fc.assert(
      fc.property(tape(LENGTH), (numbers) => {
        const replicas = run(numbers, { coalesce: false, mixed: false });
        const [winner] = texts(replicas.states[0]);
        const head = replicas.states[0] && headDot(replicas.states[0]);
        if (winner === undefined || head === undefined || replicas.issued.get(formatDot(head))?.acknowledged !== true) return;
        const over = superseding(replicas);
        // Two retries can each have superseded the other, at different regions; then either may stand.
        const mine = below(winner, over);
        const above = [...over].filter(([name, past]) => name !== winner && past.has(winner) && !mine.has(name));
        expect(above.map(([name]) => `${name} superseded ${winner}`)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  it('every acknowledged write is current, in the causal past of what is, or in the ledger', () => {
    fc.assert(
      fc.property(tape(LENGTH), fc.boolean(), fc.boolean(), (numbers, mixed, coalesce) => {
        const replicas = run(numbers, { coalesce, mixed });
        expect(replicas.unaccounted(), replicas.lines().join('\n')).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  it('nor with more operations than are remembered, late ones in the ledger', () => {
    fc.assert(
      fc.property(tape(4 * LENGTH), fc.boolean(), (numbers, mixed) => {
        const replicas = run(numbers, { coalesce: false, mixed, many: true });
        expect(new Set(replicas.bytes()).size, replicas.lines().join('\n')).toBe(1);
        expect(replicas.unaccounted(), replicas.lines().join('\n')).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it('what is in the ledger lost by the order, and never to what it had superseded', () => {
    fc.assert(
      fc.property(tape(LENGTH), (numbers) => {
        const replicas = run(numbers, { coalesce: false, mixed: true });
        for (const { rule, loser, winner } of replicas.losses) {
          expect(rule).toBe('lww');
          expect(replicas.issued.has(formatDot(loser.dot))).toBe(true);
          expect(winner && replicas.issued.has(formatDot(winner)), replicas.lines().join('\n')).toBe(true);
          expect(winner && compareDots(winner, loser.dot)).toBe(1);
          expect(winner && covers(loser.context, winner), `${formatDot(loser.dot)} lost to its own past`).toBe(false);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
