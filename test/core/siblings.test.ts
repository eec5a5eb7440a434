import { describe, expect, it } from 'vitest';
import { SIBLINGS_HARD_MAX } from '../../src/core/limits.ts';
import type { Dot } from '../../src/core/version/dot.ts';
import { NO_OPERATIONS, withOperation } from '../../src/core/version/operations.ts';
import { distinctValues, EMPTY_STATE, type State } from '../../src/core/version/record.ts';
import { mergeSiblings } from '../../src/core/version/siblings.ts';
import { A, B, C, dot, losers, operation, several, texts, value, vector } from '../contract/make.ts';
import { Replicas } from '../properties/replicas.ts';

const withOps = (state: State, ...taken: readonly (readonly [string, Dot])[]): State => ({
  ...state,
  operations: taken.reduce((all, [name, at]) => withOperation(all, { id: operation(name) }, at), NO_OPERATIONS),
});
const both = (a: State, b: State): State[] => [mergeSiblings(a, b).state, mergeSiblings(b, a).state];

describe('siblings: merge', () => {
  it('keeps what both hold, and what the other side has not seen', () => {
    const a = several([dot(A, 1), 'a1'], [dot(A, 2), 'a2']);
    const b: State = { ...several([dot(B, 1), 'b1']), context: vector(dot(A, 1), dot(B, 1)) };
    for (const state of both(a, b)) {
      expect(texts(state)).toEqual(['b1', 'a2']);
      expect(state.context).toEqual(vector(dot(A, 2), dot(B, 1)));
    }
  });

  it('keeps values in the order of their dots, so that equal sets are equal states', () => {
    const [one, other] = both(several([dot(B, 1), 'b'], [dot(C, 5), 'c']), several([dot(A, 3), 'a'], [dot(A, 1), 'first']));
    expect(texts(one)).toEqual(['first', 'b', 'a', 'c']);
    expect(one).toEqual(other);
  });

  it('a tombstone removes what it covers and nothing else', () => {
    const tombstone: State = { values: [], context: vector(dot(A, 1)), operations: NO_OPERATIONS };
    for (const state of both(several([dot(A, 1), 'seen'], [dot(B, 1), 'not seen']), tombstone)) expect(texts(state)).toEqual(['not seen']);
  });

  it('nothing merged with a state is that state', () => {
    const a = several([dot(A, 1), 'a']);
    for (const state of both(a, EMPTY_STATE)) expect(state).toEqual(a);
  });

  it('of two deletes from when the collection was lww the later is remembered', () => {
    const gone = (at: Dot): State => ({ values: [], deleted: at, context: vector(at), operations: NO_OPERATIONS });
    for (const state of both(gone(dot(A, 1)), gone(dot(B, 2)))) expect(state.deleted).toEqual(dot(B, 2));
    for (const state of both(gone(dot(A, 1)), EMPTY_STATE)) expect(state.deleted).toEqual(dot(A, 1));
  });
});

describe('siblings: twins', () => {
  const x = withOps(several([dot(A, 1), 'x']), ['X', dot(A, 1)]);
  const again = withOps(several([dot(B, 2), 'x']), ['X', dot(B, 2)]);

  it('are held under both dots and shown once, under the smaller', () => {
    for (const state of both(x, again)) {
      expect(state.values.map(({ dot: each }) => each)).toEqual([dot(A, 1), dot(B, 2)]);
      expect(distinctValues(state, 0)).toEqual([{ dot: dot(A, 1), value: value('x') }]);
    }
  });

  it('two writes of last-write-wins whose retries superseded each other, merged by who does not know the policy -> both stay', () => {
    const yThenX = withOps({ ...several([dot(A, 4), 'x']), context: vector(dot(A, 4)) }, ['Y', dot(A, 3)], ['X', dot(A, 4)]);
    const xThenY = withOps({ ...several([dot(B, 2), 'y']), context: vector(dot(B, 2)) }, ['X', dot(B, 1)], ['Y', dot(B, 2)]);
    const merge = (a: State, b: State): State => mergeSiblings(a, b, { areTwinsOne: false }).state;
    const merged = merge(yThenX, xThenY);
    expect(texts(merged)).toEqual(['y', 'x']);
    for (const other of [yThenX, xThenY]) expect([texts(merge(merged, other)), texts(merge(other, merged))]).toEqual([['y', 'x'], ['y', 'x']]);
    expect(texts(mergeSiblings(yThenX, xThenY).state)).toEqual([]); // where whoever replaces has read, nobody can have written both
  });

  it('where it is not known that the collection keeps siblings, no twin goes with its brother', () => {
    const over: State = withOps({ ...several([dot(A, 5), 'over x']), context: vector(dot(A, 5)) }, ['X', dot(A, 1)], ['Z', dot(A, 5)]);
    for (const [one, other] of [[over, again], [again, over]] as const) {
      expect(texts(mergeSiblings(one, other).state)).toEqual(['over x']);
      expect(texts(mergeSiblings(one, other, { areTwinsOne: false }).state)).toEqual(['x', 'over x']);
    }
  });

  it('who covers one covers both', () => {
    const y = withOps({ ...several([dot(C, 3), 'y']), context: vector(dot(A, 1), dot(C, 3)) }, ['Y', dot(C, 3)], ['X', dot(A, 1)]);
    for (const state of both(y, again)) expect(texts(state)).toEqual(['y']);
    const merged = mergeSiblings(x, again).state;
    for (const state of both(y, merged)) expect(texts(state)).toEqual(['y']);
  });

  it('one twin on each side: the value lives on', () => {
    for (const state of both(mergeSiblings(x, again).state, x)) expect(state.values.length).toBe(2);
  });

  it('Y was written at B with a context of A, where X was the same write as the X that B held: Y alone stands', () => {
    const replicas = new Replicas('siblings');
    const put = (name: string, context?: State['context']) => ({ value: value(name), operation: { id: operation(name) }, ...(context === undefined ? {} : { context }) });
    replicas.write(0, put('X'));
    replicas.write(1, put('X'));
    replicas.write(1, put('Y', replicas.states[0]?.context));
    expect(replicas.texts()[1]).toEqual(['X', 'Y']); // B cannot know yet
    for (const { to, state } of replicas.bag) replicas.receive(to, state);
    expect(replicas.texts()).toEqual([['Y'], ['Y'], ['Y']]);
    expect(replicas.losses).toEqual([]);
  });

  it('Y first, then a retry of X where only Y is known: the same', () => {
    const replicas = new Replicas('siblings');
    replicas.write(0, { value: value('X'), operation: { id: operation('X') } });
    replicas.write(1, { value: value('Y'), context: replicas.states[0]?.context ?? vector() });
    replicas.write(1, { value: value('X'), operation: { id: operation('X') } });
    for (const { to, state } of replicas.bag) replicas.receive(to, state);
    expect(replicas.texts()).toEqual([['Y'], ['Y'], ['Y']]);
  });
});

describe('siblings: the hard cap', () => {
  const many = (actor: typeof A, from: number, count: number): State => several(...Array.from({ length: count }, (_, i) => [dot(actor, from + i), `${from + i}`] as const));

  it('holds at its edge', () => {
    const merged = mergeSiblings(many(A, 1, SIBLINGS_HARD_MAX - 1), many(B, 100, 1));
    expect(merged).toMatchObject({ losses: [], kind: 'applied' });
    expect(merged.state.values.length).toBe(SIBLINGS_HARD_MAX);
  });

  it('one above: keeps the largest stamps, ledgers the rest, covers them still, and the outcome is sent', () => {
    const merged = mergeSiblings(many(A, 1, SIBLINGS_HARD_MAX - 1), many(B, 100, 3));
    expect(merged.state.values.length).toBe(SIBLINGS_HARD_MAX);
    expect(losers(merged.losses)).toEqual(['1', '2']);
    // The context of the set is nobody's past: as a loser's it would speak for the others, which then got no row.
    expect(merged.losses.map(({ rule, winner, loser }) => [rule, winner, loser.context.size])).toEqual([
      ['sibling-cap', dot(B, 102), 0],
      ['sibling-cap', dot(B, 102), 0],
    ]);
    expect(merged.kind).toBe('local');
    expect(mergeSiblings(merged.state, many(A, 1, 2)).state).toEqual(merged.state);
  });

  it('a twin that goes with its brother is sent: who has evicted the operation would keep it', () => {
    const superseded: State = withOps({ ...several([dot(A, 3), 'y']), context: vector(dot(A, 3)) }, ['X', dot(A, 1)], ['Y', dot(A, 3)]);
    const twin = withOps(several([dot(B, 2), 'x']), ['X', dot(B, 2)]);
    for (const merged of [mergeSiblings(superseded, twin), mergeSiblings(twin, superseded)]) expect([texts(merged.state), merged.kind]).toEqual([['y'], 'local']);
    const forgetful: State = { ...superseded, operations: NO_OPERATIONS };
    const { state: kept, kind } = mergeSiblings(forgetful, twin);
    expect([texts(kept), kind]).toEqual([['x', 'y'], 'applied']);
    expect(texts(mergeSiblings(kept, mergeSiblings(superseded, twin).state).state)).toEqual(['y']);
  });

  it('a twin goes with its brother, and merging the outcome with itself changes nothing', () => {
    const state: State = withOps(several([dot(A, 1), 'x'], ...Array.from({ length: SIBLINGS_HARD_MAX }, (_, i) => [dot(B, i + 2), `${i + 2}`] as const)), ['X', dot(A, 1)], ['X', dot(B, 20)]);
    const merged = mergeSiblings(state, state);
    expect(merged.losses.map(({ loser }) => loser.dot)).toEqual([dot(A, 1)]);
    expect(merged.state.values.some(({ dot: each }) => each.stamp === 20n)).toBe(false);
    expect(mergeSiblings(merged.state, merged.state)).toEqual({ state: merged.state, losses: [], kind: 'applied' });
  });
});
