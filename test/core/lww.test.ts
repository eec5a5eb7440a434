import { describe, expect, it } from 'vitest';
import { formatState } from '../../src/core/version/format.ts';
import { mergeLww, oneWrite, type IssueDot, type Merged } from '../../src/core/version/lww.ts';
import { NO_OPERATIONS, withOperation, type Operations } from '../../src/core/version/operations.ts';
import { EMPTY_STATE, type State } from '../../src/core/version/record.ts';
import type { Dot } from '../../src/core/version/dot.ts';
import { mergeSiblings } from '../../src/core/version/siblings.ts';
import { joinVectors } from '../../src/core/version/version-vector.ts';
import { A, B, C, deleted, dot, losers, operation, several, texts, value, vector, written } from '../contract/make.ts';
import { Replicas, type Message } from '../properties/replicas.ts';

const never: IssueDot = () => {
  throw new Error('No dot may be issued here.');
};
const merge = (stored: State, incoming: State): Merged => mergeLww(stored, incoming, never);
const ops = (...taken: readonly (readonly [string, Dot])[]): Operations => taken.reduce((all, [name, at]) => withOperation(all, { id: operation(name) }, at), NO_OPERATIONS);

describe('lww: which of two writes stands', () => {
  const a1 = written(dot(A, 1), 'a1');
  const a2 = written(dot(A, 2), 'a2', [dot(A, 1)]);
  const b3 = written(dot(B, 3), 'b3');

  it('incoming covers stored: replaces it, no loss', () => {
    expect(merge(a1, a2)).toEqual({ state: a2, losses: [], kind: 'applied' });
  });

  it('stored covers incoming: stays, no loss', () => {
    expect(merge(a2, a1)).toEqual({ state: a2, losses: [], kind: 'applied' });
  });

  it('neither covers: the larger stands and the other is a loss, in both orders', () => {
    for (const merged of [merge(a2, b3), merge(b3, a2)]) {
      expect(merged.state).toEqual(b3);
      expect(merged.losses).toEqual([{ rule: 'lww', loser: { dot: dot(A, 2), value: value('a2'), context: a2.context }, winner: dot(B, 3) }]);
      expect(merged.kind).toBe('applied');
    }
  });

  it('of equal stamps the larger actor stands', () => {
    expect(texts(merge(written(dot(A, 5), 'a'), written(dot(B, 5), 'b')).state)).toEqual(['b']);
    expect(texts(merge(written(dot(C, 5), 'c'), written(dot(B, 5), 'b')).state)).toEqual(['c']);
  });

  it('the same write again changes nothing', () => {
    expect(merge(b3, b3)).toEqual({ state: b3, losses: [], kind: 'applied' });
  });

  it('a delete is a write as any other: it wins, it loses, and a lost delete is a loss', () => {
    const gone = deleted(dot(B, 3));
    expect(merge(a1, gone)).toMatchObject({ state: gone });
    expect(losers(merge(a1, gone).losses)).toEqual(['a1']);
    expect(losers(merge(gone, written(dot(C, 4), 'c')).losses)).toEqual(['deleted']);
    expect(merge(deleted(dot(A, 2), [dot(A, 1)]), a1).losses).toEqual([]);
  });

  it('the context of the winner is not mixed with that of the loser', () => {
    expect(merge(written(dot(A, 1), 'a', [dot(C, 1)]), b3).state.context).toEqual(vector(dot(B, 3)));
  });

  it('operations are joined whoever wins', () => {
    const stored = { ...a1, operations: ops(['X', dot(A, 1)]) };
    const incoming = { ...b3, operations: ops(['Z', dot(B, 3)]) };
    for (const { state } of [merge(stored, incoming), merge(incoming, stored)]) expect(state.operations.entries.map(({ id }) => id)).toEqual([operation('Z'), operation('X')]);
  });

  it('with nothing on one side the other stands, unless it was superseded', () => {
    expect(merge(EMPTY_STATE, b3).state).toEqual(b3);
    expect(merge(b3, EMPTY_STATE).state).toEqual(b3);
    const tombstone: State = { values: [], context: vector(dot(B, 3)), operations: NO_OPERATIONS };
    expect(merge(tombstone, b3)).toEqual({ state: tombstone, losses: [], kind: 'applied' });
    expect(texts(merge(tombstone, written(dot(B, 4), 'new')).state)).toEqual(['new']);
    expect(merge(tombstone, EMPTY_STATE).state).toEqual(tombstone);
  });
});

describe('lww: states that were merged as siblings', () => {
  it('the largest stands, the others are losses of rule policy-changed, and the outcome is sent', () => {
    const merged = merge(several([dot(A, 1), 'a'], [dot(B, 2), 'b']), written(dot(C, 3), 'c'));
    expect(texts(merged.state)).toEqual(['c']);
    expect(merged.losses.map(({ rule, loser }) => [rule, loser.dot])).toEqual([
      ['policy-changed', dot(A, 1)],
      ['lww', dot(B, 2)],
    ]);
    expect(merged.kind).toBe('local');
  });

  it('the incoming side is reduced too', () => {
    const merged = merge(written(dot(C, 3), 'c'), several([dot(A, 1), 'a'], [dot(B, 2), 'b']));
    expect(texts(merged.state)).toEqual(['c']);
    expect(losers(merged.losses)).toEqual(['a', 'b']);
  });

  it('a delete among values stands when it is the largest', () => {
    const [state, losses] = oneWrite({ ...several([dot(A, 1), 'a'], [dot(B, 2), 'b']), deleted: dot(C, 3) });
    expect(state).toMatchObject({ values: [], deleted: dot(C, 3) });
    expect(losers(losses)).toEqual(['a', 'b']);
    const [other, none] = oneWrite({ ...several([dot(A, 4), 'a']), deleted: dot(C, 3) });
    expect(texts(other)).toEqual(['a']);
    expect(other.deleted).toBeUndefined();
    expect(none).toEqual([]);
  });

  it('a twin of what stands is no loss', () => {
    const twins = { ...several([dot(A, 1), 'x'], [dot(B, 2), 'x']), operations: ops(['X', dot(A, 1)], ['X', dot(B, 2)]) };
    expect(oneWrite(twins)[1]).toEqual([]);
  });

  it('twins stay together, so that a region that merges siblings still takes neither for superseded', () => {
    const twins = { ...several([dot(A, 1), 'x'], [dot(B, 2), 'x']), operations: ops(['X', dot(A, 1)], ['X', dot(B, 2)]) };
    const [collapsed] = oneWrite({ ...twins, values: [...several([dot(C, 1), 'c']).values, ...twins.values], context: joinVectors(twins.context, several([dot(C, 1), 'c']).context) });
    expect(texts(collapsed)).toEqual(['x', 'x']);
    expect(texts(mergeSiblings(twins, collapsed).state)).toEqual(['x', 'x']);
    const one = { ...written(dot(B, 2), 'x'), operations: twins.operations };
    expect(texts(merge(one, twins).state)).toEqual(['x', 'x']);
    expect(merge(one, twins).state).toEqual(merge(twins, one).state);
  });

  it('a state of one write is given back as it is', () => {
    for (const state of [written(dot(A, 1), 'a'), deleted(dot(A, 1)), EMPTY_STATE]) expect(oneWrite(state)).toEqual([state, []]);
  });
});

describe('lww: retries', () => {
  const x = (at: Dot): State => ({ ...written(at, 'x'), operations: ops(['X', at]) });

  it('what was deleted while the collection kept siblings does not come back under the dot of its twin', () => {
    const tombstone: State = { values: [], context: vector(dot(A, 5)), operations: ops(['X', dot(A, 1)], ['D', dot(A, 5)]) };
    for (const merged of [merge(tombstone, x(dot(B, 2))), merge(x(dot(B, 2)), tombstone)]) {
      expect(merged.state.values).toEqual([]);
      expect([merged.losses, merged.kind]).toEqual([[], 'local']);
    }
  });
  const yOverX = (at: Dot, past: Dot): State => ({ ...written(at, 'y', [past]), operations: ops(['X', past], ['Y', at]) });

  it('two executions of one write are one write: the smaller is no loss', () => {
    for (const merged of [merge(x(dot(A, 1)), x(dot(B, 2))), merge(x(dot(B, 2)), x(dot(A, 1)))]) {
      expect(merged.losses).toEqual([]);
      expect(merged.state.values[0]?.dot).toEqual(dot(B, 2));
    }
  });

  it('a retry of what was superseded here, and is smaller, changes nothing and is no loss', () => {
    const merged = merge(yOverX(dot(A, 5), dot(A, 1)), x(dot(B, 2)));
    expect(merged).toMatchObject({ losses: [], kind: 'applied', note: 'twin' });
    expect(texts(merged.state)).toEqual(['y']);
    expect(merged.state.operations.entries.map(({ dot: each }) => each)).toEqual([dot(A, 5), dot(B, 2), dot(A, 1)]);
  });

  it('one that is larger: what stands is written again above it', () => {
    const merged = mergeLww(yOverX(dot(A, 5), dot(A, 1)), x(dot(B, 9)), () => dot(A, 10));
    expect(merged).toMatchObject({ losses: [], kind: 'local', note: 'written-again' });
    expect(merged.state.values).toEqual([{ dot: dot(A, 10), value: value('y') }]);
    expect(merged.state.context).toEqual(vector(dot(A, 10), dot(B, 9)));
  });

  it('a delete is written again as a delete', () => {
    const gone: State = { ...deleted(dot(A, 5), [dot(A, 1)]), operations: ops(['X', dot(A, 1)], ['D', dot(A, 5)]) };
    const { state } = mergeLww(gone, x(dot(B, 9)), () => dot(A, 10));
    expect(state).toMatchObject({ values: [], deleted: dot(A, 10), context: vector(dot(A, 10), dot(B, 9)) });
  });

  const put = (name: string) => ({ value: value(name), operation: { id: operation(name) } });

  it('PUT X (the answer is cut), PUT Y, X again in the same region: duplicate', () => {
    const replicas = new Replicas('lww');
    replicas.write(0, put('X'));
    replicas.write(0, put('Y'));
    expect(replicas.write(0, put('X'))).toMatchObject({ type: 'duplicate', entry: { id: operation('X') } });
    expect(replicas.texts()[0]).toEqual(['Y']);
  });

  /** All orders of these. */
  function* orders<T>(items: readonly T[]): Generator<T[]> {
    if (items.length === 0) yield [];
    for (const [at, item] of items.entries()) for (const rest of orders(items.toSpliced(at, 1))) yield [item, ...rest];
  }

  it.each([
    ['', []],
    [', and a third write Z in the third region', ['Z']],
  ])('PUT X, PUT Y, X again in a region that has heard of neither%s: X never stands, in any order of delivery, early or late', (_, third) => {
    const outcomes = new Set<string>();
    for (const behindMs of [-5, 0, 5]) {
      const start = (): Replicas => {
        const replicas = new Replicas('lww');
        for (const name of ['X', 'Y']) replicas.write(0, put(name));
        for (const name of third) replicas.write(2, put(name), 1);
        expect(replicas.write(1, put('X'), behindMs).type).toBe('commit');
        return replicas;
      };
      // What matters is the order at each receiver: 2 messages at the first, 2 or 3 at the others.
      const at = (to: number): Message[][] => [...orders(start().bag.filter((message) => message.to === to))];
      for (const order of at(0).flatMap((first) => at(1).flatMap((second) => at(2).map((last) => [...first, ...second, ...last])))) {
        const replicas = start();
        replicas.bag.length = 0;
        for (const { to, state } of order) {
          replicas.receive(to, state);
          for (const { to: other, state: again } of replicas.bag.splice(0)) replicas.receive(other, again);
        }
        expect(new Set(replicas.states.map((state) => state && formatState(state))).size).toBe(1);
        outcomes.add(replicas.texts()[0]?.join() ?? '-');
      }
    }
    expect([...outcomes].sort()).toEqual(['Y', ...third]);
  });

  // Known gap, see the header of src/core/version/lww.ts: "the record knows the operation, and something else stands"
  // also holds for a write that lost by order alone. B writes an X again that A has superseded; Y, still on its way, loses.
  it.fails('a region that is behind does not write again what was superseded elsewhere', () => {
    const replicas = new Replicas('lww');
    replicas.write(0, put('X'));
    const [xToB] = replicas.bag;
    replicas.write(0, put('Y'));
    replicas.write(1, put('Z'), 3);
    replicas.receive(1, xToB?.state as State);
    replicas.nowMs += 5;
    replicas.write(2, put('Z'));
    replicas.receive(1, replicas.states[2] as State);
    expect(replicas.writtenAgain).toBe(1);
    for (const { to, state } of replicas.bag.splice(0)) replicas.receive(to, state);
    for (const { to, state } of replicas.bag.splice(0)) replicas.receive(to, state);
    expect(replicas.texts()[0]).not.toEqual(['X']);
  });
});
