import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { ACTORS_PER_RECORD_MAX, OPERATIONS_MAX, SIBLINGS_HARD_MAX, SIBLINGS_SOFT_MAX } from '../../src/core/limits.ts';
import { decodeState, encodeState } from '../../src/core/version/codec.ts';
import { formatDot, makeActor, type ActorId } from '../../src/core/version/dot.ts';
import { NO_OPERATIONS, withOperation, type Operation, type Operations } from '../../src/core/version/operations.ts';
import type { State } from '../../src/core/version/record.ts';
import { asStamp, makeStamp, STAMP_ZERO } from '../../src/core/version/stamp.ts';
import { formatState } from '../../src/core/version/format.ts';
import { mergeLww } from '../../src/core/version/lww.ts';
import { mergeSiblings } from '../../src/core/version/siblings.ts';
import { tagOf } from '../../src/core/version/tag.ts';
import { decideWrite, type ConflictRule, type Write, type WriteDecision, type WriteSetting } from '../../src/core/version/write.ts';
import { Replicas } from '../properties/replicas.ts';
import { A, AP, B, C, deleted, dot, EU, losers, operation, several, texts, value, vector, written } from '../contract/make.ts';

const NOW = 1_000_000;
const setting = (conflict: ConflictRule, more: Partial<WriteSetting> = {}): WriteSetting => ({
  conflict, requireContext: false, actor: A, stamp: asStamp(100n), reapedLine: STAMP_ZERO, nowMs: NOW, hash: sha256, ...more,
});
const decide = (conflict: ConflictRule, stored: State | undefined, write: Write, more?: Partial<WriteSetting>): WriteDecision => decideWrite(stored, write, setting(conflict, more));
const committed = (decision: WriteDecision) => {
  if (decision.type !== 'commit') throw new Error(`Not committed: ${JSON.stringify(decision.type === 'refused' ? decision.code : decision.type)}`);
  return decision;
};
const put = (text: string, more: Partial<Write> = {}): Write => ({ value: value(text), ...more });
const tag = (state: State): string => tagOf(state, NOW, sha256) as string;
const BOTH: ConflictRule[] = ['lww', 'siblings'];
const full = (): Operations => {
  let operations = NO_OPERATIONS;
  for (let i = 0; i <= OPERATIONS_MAX; i++) operations = withOperation(operations, { id: operation(`o${i}`) }, { actor: A, stamp: makeStamp(1_000 + i) });
  return operations;
};

describe.each(BOTH)('%s: operations come before preconditions', (conflict) => {
  const X: Operation = { id: operation('X'), payload: operation('x') };
  const stored = committed(decide(conflict, undefined, put('x', { operation: X }))).state;

  it('a retry is a duplicate, whatever it demands of the present', () => {
    for (const more of [{}, { ifNoneMatch: '*' as const }, { ifMatch: ['another'] }, { context: vector() }]) {
      expect(decide(conflict, stored, put('x', { operation: X, ...more }), { requireContext: true })).toEqual({ type: 'duplicate', entry: { ...X, dot: dot(A, 100) } });
    }
  });

  it('also when the value is gone by now, and for a delete', () => {
    const gone = committed(decide(conflict, stored, { operation: { id: operation('D') } }, { stamp: asStamp(101n) })).state;
    expect(decide(conflict, gone, put('x', { operation: X }))).toMatchObject({ type: 'duplicate' });
    expect(decide(conflict, gone, { operation: { id: operation('D') } })).toMatchObject({ type: 'duplicate', entry: { dot: dot(A, 101) } });
  });

  it('another payload under the id of the newest is refused; of an older one nobody knows the payload any more', () => {
    const other = { id: X.id, payload: operation('other') };
    expect(decide(conflict, stored, put('y', { operation: other }))).toEqual({ type: 'refused', code: 'idempotency-key-reused' });
    expect(decide(conflict, stored, put('y', { operation: { id: X.id } }))).toMatchObject({ type: 'duplicate' });
    const later = committed(decide(conflict, stored, put('z', { operation: { id: operation('Z') } }))).state;
    expect(decide(conflict, later, put('y', { operation: other }))).toMatchObject({ type: 'duplicate' });
  });

  it('is recognised for OPERATIONS_MAX - 1 further writes, and no longer', () => {
    let state = stored;
    for (let i = 1; i < OPERATIONS_MAX; i++) state = committed(decide(conflict, state, put(`w${i}`, { operation: { id: operation(`w${i}`) }, context: state.context }))).state;
    expect(decide(conflict, state, put('x', { operation: X })).type).toBe('duplicate');
    state = committed(decide(conflict, state, put('last', { operation: { id: operation('last') }, context: state.context }))).state;
    expect(decide(conflict, state, put('x', { operation: X })).type).toBe('commit');
  });
});

describe('late operations', () => {
  const stored: State = { ...written({ actor: A, stamp: makeStamp(1_008) }, 'current'), operations: full() };
  const late: Operation = { id: operation('late'), mintedAtMs: 999 };

  it('lww: superseded, and one ledger row under a dot of its own', () => {
    const decision = decide('lww', stored, put('late', { operation: late }));
    expect(decision).toMatchObject({ type: 'superseded', losses: [{ rule: 'late-operation', winner: { actor: A, stamp: makeStamp(1_008) } }] });
    if (decision.type !== 'superseded') return;
    expect(losers(decision.losses)).toEqual(['late']);
    expect(decision.losses[0]?.loser.dot.stamp).toBeGreaterThan(makeStamp(1_008));
  });

  // A row whose context covers another loser's dot speaks for it, and that one gets no row. The new dot is above all that
  // the region wrote: a context of the dot alone would speak for every one of these.
  it('lww: the row of a late write speaks for no other', () => {
    const replicas = new Replicas('lww');
    const minted = (name: string): Write => put(name, { operation: { id: operation(name), mintedAtMs: replicas.nowMs } });
    const first = minted('first');
    for (let i = 0; i <= OPERATIONS_MAX; i++) {
      replicas.nowMs += 10;
      replicas.write(0, minted(`o${i}`));
    }
    replicas.nowMs += 10;
    replicas.write(0, put('current'));
    expect(replicas.write(0, first).type).toBe('superseded');
    replicas.nowMs += 10;
    replicas.write(1, put('concurrent'));
    replicas.receive(0, replicas.states[1] as State);
    expect(losers(replicas.ledgers[0] ?? [])).toEqual(['first', 'current']);
    expect(replicas.unaccounted()).toEqual([]);
  });

  it('lww: a late delete is superseded without a row', () => {
    expect(decide('lww', stored, { operation: late })).toEqual({ type: 'superseded', losses: [] });
  });

  it('with a precondition, or in siblings: the client has to look', () => {
    for (const more of [{ ifMatch: '*' as const }, { ifNoneMatch: '*' as const }]) {
      expect(decide('lww', stored, put('late', { operation: late, ...more }))).toEqual({ type: 'refused', code: 'operation-expired' });
    }
    expect(decide('siblings', stored, put('late', { operation: late }))).toEqual({ type: 'refused', code: 'operation-expired' });
  });

  it('is judged before the preconditions, and only where the id carries a time', () => {
    expect(decide('lww', stored, put('late', { operation: late, ifMatch: ['another'] }))).toMatchObject({ code: 'operation-expired' });
    expect(decide('lww', stored, put('late', { operation: { id: late.id } })).type).toBe('commit');
    expect(decide('lww', stored, put('late', { operation: { id: late.id, mintedAtMs: 1_001 } })).type).toBe('commit');
  });
});

describe.each(BOTH)('%s: preconditions are judged on what a reader would see', (conflict) => {
  const present = written(dot(B, 5), 'v');
  const expired = written(dot(B, 5), 'v', [], NOW);
  const absent: [string, State | undefined][] = [
    ['nothing', undefined],
    ['a tombstone', conflict === 'lww' ? deleted(dot(B, 5)) : { values: [], context: vector(dot(B, 5)), operations: NO_OPERATIONS }],
    ['an expired value', expired],
  ];
  const refused = (stored: State | undefined, write: Write): string => {
    const decision = decide(conflict, stored, write);
    return decision.type === 'refused' ? decision.code : decision.type;
  };

  it.each(absent)('%s is absent', (_, stored) => {
    expect(refused(stored, put('w', { ifNoneMatch: '*' }))).toBe('commit');
    expect(refused(stored, put('w', { ifMatch: '*' }))).toBe('precondition-failed');
    expect(refused(stored, put('w', { ifMatch: [formatDot(dot(B, 5))] }))).toBe('precondition-failed');
    expect(refused(stored, put('w', { ifNoneMatch: [formatDot(dot(B, 5))] }))).toBe('commit');
    expect(refused(stored, {})).toBe('not-found');
    expect(refused(stored, { ifMatch: '*' })).toBe('precondition-failed');
    expect(refused(stored, { ifNoneMatch: '*' })).toBe('not-found');
    expect(committed(decide(conflict, stored, put('w'), { requireContext: true })).outcome).toBe('stored');
  });

  it('a value is there until the millisecond of its expiry', () => {
    const soon = written(dot(B, 5), 'v', [], NOW + 1);
    expect(refused(soon, put('w', { ifNoneMatch: '*' }))).toBe('precondition-failed');
    expect(refused(soon, {})).toBe('commit');
  });

  it('a value is present: by `*`, by its tag, by one of several tags', () => {
    expect(refused(present, put('w', { ifMatch: '*' }))).toBe('commit');
    expect(refused(present, put('w', { ifMatch: ['other', tag(present)] }))).toBe('commit');
    expect(refused(present, put('w', { ifMatch: ['other'] }))).toBe('precondition-failed');
    expect(refused(present, put('w', { ifMatch: [] }))).toBe('precondition-failed');
    expect(refused(present, put('w', { ifNoneMatch: '*' }))).toBe('precondition-failed');
    expect(refused(present, put('w', { ifNoneMatch: ['other', tag(present)] }))).toBe('precondition-failed');
    expect(refused(present, put('w', { ifNoneMatch: ['other'] }))).toBe('commit');
    expect(refused(present, { ifMatch: [tag(present)] })).toBe('commit');
  });

  it('both kinds have to hold', () => {
    expect(refused(present, put('w', { ifMatch: '*', ifNoneMatch: ['other'] }))).toBe('commit');
    expect(refused(present, put('w', { ifMatch: '*', ifNoneMatch: [tag(present)] }))).toBe('precondition-failed');
  });

  it('a collection that requires a context takes one, or a precondition', () => {
    const strict = (write: Write): string => {
      const decision = decide(conflict, present, write, { requireContext: true });
      return decision.type === 'refused' ? decision.code : decision.type;
    };
    expect(strict(put('w'))).toBe('context-required');
    expect(strict({})).toBe('context-required');
    expect(strict(put('w', { context: present.context }))).toBe('commit');
    expect(strict(put('w', { ifMatch: '*' }))).toBe('commit');
    expect(strict(put('w', { ifMatch: ['other'] }))).toBe('precondition-failed');
  });

  it('the tag of any twin is accepted', () => {
    const twins: State = { ...several([dot(A, 1), 'x'], [dot(B, 2), 'x']), operations: withOperation(withOperation(NO_OPERATIONS, { id: operation('X') }, dot(A, 1)), { id: operation('X') }, dot(B, 2)) };
    for (const each of twins.values) expect(refused(twins, put('w', { ifMatch: [formatDot(each.dot)] }))).toBe('commit');
    expect(refused(twins, put('w', { ifMatch: [formatDot(dot(C, 1))] }))).toBe('precondition-failed');
  });
});

describe.each(BOTH)('%s: the new dot', (conflict) => {
  const stampOf = (stored: State | undefined, write: Write, more?: Partial<WriteSetting>): bigint => committed(decide(conflict, stored, write, more)).dot.stamp;

  it('is what the clock offers, where that is above everything', () => {
    expect(stampOf(undefined, put('v'))).toBe(100n);
    expect(stampOf(written(dot(B, 99), 'v'), put('w'))).toBe(100n);
  });

  it('is raised above the record: values, delete, and what its context covers', () => {
    expect(stampOf(written(dot(B, 100), 'v'), put('w'))).toBe(101n);
    expect(stampOf(deleted(dot(B, 200)), put('w'))).toBe(201n);
    expect(stampOf({ values: [], context: vector(dot(C, 300)), operations: NO_OPERATIONS }, put('w'))).toBe(301n);
    expect(stampOf(written(dot(B, 200), 'v'), {})).toBe(201n);
  });

  it('is raised above the given context, of any actor', () => {
    expect(stampOf(undefined, put('v', { context: vector(dot(C, 500), dot(B, 7)) }))).toBe(501n);
  });

  it('is raised above the reaped line', () => {
    expect(stampOf(undefined, put('v'), { reapedLine: asStamp(100n) })).toBe(101n);
    expect(stampOf(undefined, put('v'), { reapedLine: asStamp(99n) })).toBe(100n);
  });

  it('is covered by the new context, and so is everything before', () => {
    const { state, dot: issued } = committed(decide(conflict, written(dot(B, 5), 'v', [dot(C, 3)]), put('w', { context: vector(dot(C, 9)) })));
    expect(state.context).toEqual(vector(dot(B, 5), dot(C, 9), issued));
  });
});

describe('lww: what a write does', () => {
  const stored = written(dot(B, 5), 'old');

  it('without a context it replaces what the region holds: an ancestor, no loss', () => {
    const decision = committed(decide('lww', stored, put('new')));
    expect(texts(decision.state)).toEqual(['new']);
    expect(decision).toMatchObject({ losses: [], outcome: 'stored' });
  });

  it('with a context that covers what is stored: no loss', () => {
    expect(committed(decide('lww', stored, put('new', { context: stored.context }))).losses).toEqual([]);
  });

  it('with one that does not: replaces and ledgers it', () => {
    const decision = committed(decide('lww', stored, put('new', { context: vector(dot(C, 3)) })));
    expect(texts(decision.state)).toEqual(['new']);
    expect(decision.losses).toEqual([{ rule: 'lww', loser: { dot: dot(B, 5), value: value('old'), context: stored.context }, winner: dot(A, 100) }]);
  });

  it('unless it is a twin of what the context covers, or expired, or a delete', () => {
    const operations = withOperation(withOperation(NO_OPERATIONS, { id: operation('X') }, dot(B, 5)), { id: operation('X') }, dot(C, 3));
    const context = vector(dot(C, 3));
    expect(committed(decide('lww', { ...stored, operations }, put('new', { context }))).losses).toEqual([]);
    expect(committed(decide('lww', written(dot(B, 5), 'old', [], NOW), put('new', { context }))).losses).toEqual([]);
    expect(committed(decide('lww', deleted(dot(B, 5)), put('new', { context }))).losses).toEqual([]);
  });

  it('a delete is a write with a dot and no value, and ledgers what it has not seen', () => {
    const decision = committed(decide('lww', stored, {}));
    expect(decision.state).toMatchObject({ values: [], deleted: dot(A, 100), context: vector(dot(B, 5), dot(A, 100)) });
    expect(decision.losses).toEqual([]);
    expect(losers(committed(decide('lww', stored, { context: vector() })).losses)).toEqual(['old']);
  });

  it('a record from when the collection kept siblings is reduced to one write', () => {
    const decision = committed(decide('lww', several([dot(A, 1), 'a'], [dot(B, 2), 'b']), put('new')));
    expect(texts(decision.state)).toEqual(['new']);
    expect(decision.losses.map(({ rule, loser }) => [rule, loser.dot])).toEqual([['policy-changed', dot(A, 1)]]);
  });
});

describe('siblings: what a write does', () => {
  const stored = several([dot(B, 5), 'b'], [dot(C, 6), 'c']);

  it('without a context it adds a sibling', () => {
    const decision = committed(decide('siblings', stored, put('new')));
    expect(texts(decision.state)).toEqual(['b', 'c', 'new']);
    expect(decision).toMatchObject({ losses: [], outcome: 'sibling' });
    expect(committed(decide('siblings', undefined, put('new'))).outcome).toBe('stored');
  });

  it('with a context it replaces what that covers', () => {
    const decision = committed(decide('siblings', stored, put('new', { context: vector(dot(B, 5)) })));
    expect(texts(decision.state)).toEqual(['c', 'new']);
    expect(committed(decide('siblings', stored, put('new', { context: stored.context }))).outcome).toBe('stored');
  });

  it('with a context that covers one twin it replaces them all', () => {
    const operations = withOperation(withOperation(NO_OPERATIONS, { id: operation('X') }, dot(B, 5)), { id: operation('X') }, dot(C, 6));
    expect(texts(committed(decide('siblings', { ...stored, operations }, put('new', { context: vector(dot(B, 5)) }))).state)).toEqual(['new']);
  });

  it('a delete without a context removes what is held now, with one what that covers', () => {
    expect(texts(committed(decide('siblings', stored, {})).state)).toEqual([]);
    expect(texts(committed(decide('siblings', stored, { context: vector(dot(C, 6)) })).state)).toEqual(['b']);
    expect(committed(decide('siblings', stored, {})).state.context).toEqual(vector(dot(B, 5), dot(C, 6), dot(A, 100)));
  });

  const many = (count: number, expiresMs?: number): State => ({
    values: Array.from({ length: count }, (_, i) => ({ dot: dot(B, i + 1), value: value(`${i}`, expiresMs) })),
    context: vector(dot(B, count)),
    operations: NO_OPERATIONS,
  });

  it('the soft cap: the PUT that would make one too many is refused, a delete never', () => {
    expect(committed(decide('siblings', many(SIBLINGS_SOFT_MAX - 1), put('new'))).state.values.length).toBe(SIBLINGS_SOFT_MAX);
    expect(decide('siblings', many(SIBLINGS_SOFT_MAX), put('new'))).toEqual({ type: 'refused', code: 'too-many-siblings' });
    expect(committed(decide('siblings', many(SIBLINGS_SOFT_MAX), put('new', { context: vector(dot(B, 1)) }))).state.values.length).toBe(SIBLINGS_SOFT_MAX);
    expect(committed(decide('siblings', many(SIBLINGS_HARD_MAX), put('merged', { context: many(SIBLINGS_HARD_MAX).context }))).state.values.length).toBe(1);
    expect(decide('siblings', many(SIBLINGS_HARD_MAX), { context: vector(dot(B, 1)) }).type).toBe('commit');
  });

  it('the soft cap counts twins once, and expired values not at all', () => {
    const operations = withOperation(withOperation(NO_OPERATIONS, { id: operation('X') }, dot(B, 1)), { id: operation('X') }, dot(B, 2));
    expect(decide('siblings', { ...many(SIBLINGS_SOFT_MAX), operations }, put('new')).type).toBe('commit');
    expect(committed(decide('siblings', many(SIBLINGS_SOFT_MAX, NOW), put('new'))).outcome).toBe('stored');
  });

  it('values that expire faster than they are swept do not fill the record', () => {
    let state: State | undefined;
    for (let i = 0; i < 300; i++) {
      const nowMs = NOW + i * 1_000;
      state = committed(decide('siblings', state, { value: value(`${i}`, nowMs + 1_000) }, { nowMs, stamp: asStamp(BigInt(i + 1)) })).state;
      expect(state.values.length).toBeLessThanOrEqual(SIBLINGS_HARD_MAX);
    }
    expect(texts(state).slice(-2)).toEqual(['298', '299']);
    expect(decodeState(encodeState(state as State)).values.length).toBe(SIBLINGS_HARD_MAX);
  });

  it('a value that a reader still sees is never dropped for that', () => {
    const stored: State = { ...many(SIBLINGS_HARD_MAX, NOW), values: many(SIBLINGS_HARD_MAX, NOW).values.map((each, i) => (i < 3 ? { ...each, value: value(`live ${i}`) } : each)) };
    const { state } = committed(decide('siblings', stored, put('new')));
    expect(state.values.length).toBe(SIBLINGS_HARD_MAX);
    expect(texts(state).filter((text) => /live|new/.test(text))).toEqual(['live 0', 'live 1', 'live 2', 'new']);
  });
});

describe('a region that starts as somebody new hundreds of times, and writes one item in each life', () => {
  const lives = (stored: State | undefined, name: (at: number) => ActorId, first: number, write: (at: number, state: State | undefined) => Write, conflict: ConflictRule): State => {
    let state = stored;
    for (let at = first; at < first + 300; at++) {
      state = committed(decide(conflict, state, write(at, state), { actor: name(at), stamp: asStamp(BigInt(at)) })).state;
      encodeState(state); // an invariant stops what could not be read again
    }
    return state as State;
  };
  const context = (state: State | undefined) => (state === undefined ? {} : { context: state.context });

  it.each(BOTH)('%s: the item can be written on, by it and by others, and the merge of both kept', (conflict) => {
    const here = lives(undefined, (at) => makeActor(AP, `h${at}`), 1, (at, state) => put(`h${at}`, { operation: { id: operation(`h${at}`) }, ...context(state) }), conflict);
    const there = lives(undefined, (at) => makeActor(EU, `t${at}`), 1, (at, state) => put(`t${at}`, { operation: { id: operation(`t${at}`) }, ...context(state) }), conflict);
    const issue = () => dot(A, 1_000);
    const [one, other] = conflict === 'lww' ? [mergeLww(here, there, issue).state, mergeLww(there, here, issue).state] : [mergeSiblings(here, there).state, mergeSiblings(there, here).state];
    expect(formatState(one)).toBe(formatState(other));
    expect(texts(one)).toEqual(conflict === 'lww' ? ['t300'] : ['h300', 't300']);
    expect(decodeState(encodeState(one)).context.size).toBeLessThan(ACTORS_PER_RECORD_MAX);
  });

  it('siblings: a value that nobody has written over stays covered, however old it is', () => {
    const first = committed(decide('siblings', undefined, put('the oldest'), { actor: A, stamp: asStamp(1n) })).state;
    const state = lives(first, (at) => makeActor(AP, `h${at}`), 2, (at) => put(`h${at}`, at === 2 ? {} : { context: vector(dot(makeActor(AP, `h${at - 1}`), at - 1)) }), 'siblings');
    expect(texts(state)).toEqual(['the oldest', 'h301']);
    expect(texts(mergeSiblings(state, first).state)).toEqual(['the oldest', 'h301']);
    expect(texts(mergeSiblings({ ...state, values: state.values.slice(1) }, first).state)).toEqual(['h301']);
  });
});
