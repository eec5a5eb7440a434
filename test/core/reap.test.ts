// The decisions of reaping at their edges. The rules as a whole are in test/properties/reaping.test.ts.

import { describe, expect, it } from 'vitest';
import { REMOVED_DOTS_MAX } from '../../src/core/limits.ts';
import { decodeState, encodeState } from '../../src/core/version/codec.ts';
import { formatState } from '../../src/core/version/format.ts';
import { mergeLww } from '../../src/core/version/lww.ts';
import { agrees, isReapable, judgeLate, lateValues, mayGo, removalOf, settleLate, tombstoneOf } from '../../src/core/version/reap.ts';
import { withRemoved, type State } from '../../src/core/version/record.ts';
import { mergeSiblings } from '../../src/core/version/siblings.ts';
import { makeStamp } from '../../src/core/version/stamp.ts';
import { A, B, C, deleted, dot, several, texts, vector, written } from '../contract/make.ts';

const at = (ms: number) => ({ actor: A, stamp: makeStamp(ms) });
const setting = { nowMs: 10_000, graceMs: 1_000, horizonMs: 5_000, isFirst: true };
const never = (): never => {
  throw new Error('No dot is needed here.');
};

describe('when', () => {
  it('a delete may be reaped after the grace by the first region, after twice the grace by another', () => {
    expect(isReapable(deleted(at(9_001)), setting)).toBe(false);
    expect(isReapable(deleted(at(9_000)), setting)).toBe(true);
    expect(isReapable(deleted(at(9_000)), { ...setting, isFirst: false })).toBe(false);
    expect(isReapable(deleted(at(8_000)), { ...setting, isFirst: false })).toBe(true);
  });

  it('an expired value goes at expiry and horizon; one that lives never', () => {
    expect(isReapable(written(at(1_000), 'v', [], 5_001), setting)).toBe(false);
    expect(isReapable(written(at(1_000), 'v', [], 5_000), setting)).toBe(true);
    expect(isReapable(written(at(1_000), 'v', [], 10_001), setting)).toBe(false);
    expect(isReapable(written(at(1_000), 'v'), setting)).toBe(false);
  });
});

describe('the question', () => {
  const tombstone = deleted(dot(B, 5), [dot(A, 3)]);

  it('is answered yes only by a record without values that covers all of the tombstone', () => {
    expect(agrees(undefined, tombstone, 0)).toBe(false);
    expect(agrees(tombstone, tombstone, 0)).toBe(true);
    expect(agrees(deleted(dot(B, 6)), tombstone, 0)).toBe(false);
    expect(agrees(written(dot(C, 9), 'newer', [dot(B, 5), dot(A, 3)]), tombstone, 0)).toBe(false);
    expect(agrees(tombstone, withRemoved(tombstone, [dot(C, 2)]), 0)).toBe(false);
  });

  it('what has got anything newer stays', () => {
    expect(mayGo(tombstone, tombstone, 0)).toBe(true);
    expect(mayGo(deleted(dot(A, 3)), tombstone, 0)).toBe(true);
    expect(mayGo(deleted(dot(B, 6), [dot(A, 3)]), tombstone, 0)).toBe(false);
    expect(mayGo(withRemoved(tombstone, [dot(C, 2)]), tombstone, 0)).toBe(false);
  });

  it('the tombstone of what has expired covers it and does not carry it', () => {
    const state = tombstoneOf(written(dot(A, 3), 'v', [], 1));
    expect(state.values).toEqual([]);
    expect(formatState(mergeSiblings(written(dot(A, 3), 'v', [], 1), state).state)).toBe(formatState({ ...state }));
  });
});

describe('late values', () => {
  const line = dot(A, 10).stamp;

  it('are those at or below the line that the record neither holds, nor covers, nor knows to be removed', () => {
    const arrived = several([dot(A, 10), 'at'], [dot(B, 11), 'above']);
    const late = (stored: State | undefined): string[] => lateValues(arrived, stored, line).map(({ dot: each }) => each.actor);
    expect(late(undefined)).toEqual([A]);
    expect(late(written(dot(A, 10), 'at'))).toEqual([]);
    expect(late(deleted(dot(A, 12)))).toEqual([]);
    expect(late(removalOf([dot(A, 10)]))).toEqual([]);
    expect(lateValues(arrived, undefined, dot(A, 9).stamp)).toEqual([]);
  });

  it('the incarnation that issued it decides; another one of the region counts as a peer', () => {
    const held = written(dot(A, 3), 'v');
    expect(judgeLate(dot(A, 3), { isSame: true, record: held }, [])).toBe('holds');
    expect(judgeLate(dot(A, 3), { isSame: true, record: undefined }, [held])).toBe('does-not-hold');
    expect(judgeLate(dot(A, 3), { isSame: false, record: undefined }, [held])).toBe('holds');
    expect(judgeLate(dot(A, 3), { isSame: false, record: held }, [])).toBe('holds');
    expect(judgeLate(dot(A, 3), { isSame: false, record: undefined }, [undefined])).toBe('is-no-more');
  });

  it('a value that nobody vouches for any more is a loss; one that its author has dropped is none', () => {
    const arrived = several([dot(A, 3), 'x'], [dot(B, 4), 'y'], [dot(C, 20), 'z']);
    const verdicts = new Map([[`${A}@000000000000.0003`, 'does-not-hold'], [`${B}@000000000000.0004`, 'is-no-more']] as const);
    const { states, removed, losses } = settleLate(arrived, { verdicts, records: [] }, undefined);
    expect(states.map(texts)).toEqual([['z']]);
    expect(removed).toEqual([dot(A, 3), dot(B, 4)]);
    expect(losses.map(({ rule, loser }) => [rule, loser.dot])).toEqual([['late', dot(B, 4)]]);
  });
});

describe('a removal', () => {
  it('drops exactly its dot, not older values of the same actor, in either order, and is sent on by whoever held it', () => {
    const held = several([dot(A, 3), 'older'], [dot(A, 5), 'removed']);
    for (const merged of [mergeSiblings(held, removalOf([dot(A, 5)])), mergeSiblings(removalOf([dot(A, 5)]), held)]) expect(texts(merged.state)).toEqual(['older']);
    expect(mergeSiblings(held, removalOf([dot(A, 5)])).kind).toBe('local');
    expect(texts(mergeLww(written(dot(A, 5), 'v'), removalOf([dot(A, 5)]), never).state)).toEqual([]);
    expect(texts(mergeLww(written(dot(A, 3), 'v'), removalOf([dot(A, 5)]), never).state)).toEqual(['v']);
  });

  it('is forgotten when the context says as much, kept when bytes are written and read, and of very many the newest are kept', () => {
    expect(withRemoved(deleted(dot(A, 5)), [dot(A, 5)]).removed).toBeUndefined();
    const many = removalOf(Array.from({ length: REMOVED_DOTS_MAX + 1 }, (_, i) => dot(A, i + 1)));
    expect(many.removed?.length).toBe(REMOVED_DOTS_MAX);
    expect(many.removed?.[0]).toEqual(dot(A, 2));
    expect(formatState(decodeState(encodeState(many)))).toBe(formatState(many));
    expect(decodeState(encodeState({ ...many, context: vector(dot(B, 1)) })).removed).toEqual(many.removed);
  });
});
