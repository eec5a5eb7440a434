// Laws of the merges over states as they may lie in a record. Whole histories are in lww-histories and siblings-histories.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { compareDots, formatDot, type Dot } from '../../src/core/version/dot.ts';
import { formatState } from '../../src/core/version/format.ts';
import { mergeLww } from '../../src/core/version/lww.ts';
import { NO_OPERATIONS, twinDots } from '../../src/core/version/operations.ts';
import { distinctValues, headDot, sameState, type DottedValue, type State } from '../../src/core/version/record.ts';
import { mergeSiblings } from '../../src/core/version/siblings.ts';
import { acceptedTags, canonicalDot, tagOf } from '../../src/core/version/tag.ts';
import { covers, joinVectors, withDot, EMPTY_VECTOR } from '../../src/core/version/version-vector.ts';
import { value } from '../contract/make.ts';
import { actor, operationsOf, smallDot, smallStamp, smallVector, stateOf } from './arbitraries.ts';

const never = (): Dot => {
  throw new Error('Nothing is written again without operations.');
};

/** One whole write: a dot has one value, one context and one meaning wherever it is met. */
const oneWriteState: fc.Arbitrary<State> = smallDot.map((dot) => {
  const past = dot.stamp > 4n ? { actor: dot.actor, stamp: dot.stamp - 4n } : undefined;
  const context = withDot(past === undefined ? EMPTY_VECTOR : withDot(EMPTY_VECTOR, past as Dot), dot);
  return dot.stamp % 5n === 0n ? { values: [], deleted: dot, context, operations: NO_OPERATIONS } : { values: [{ dot, value: value(formatDot(dot)) }], context, operations: NO_OPERATIONS };
});

describe('lww', () => {
  const merge = (a: State, b: State): State => mergeLww(a, b, never).state;

  it('is associative, commutative and idempotent', () => {
    fc.assert(
      fc.property(oneWriteState, oneWriteState, oneWriteState, (a, b, c) => {
        expect(formatState(merge(a, b))).toBe(formatState(merge(b, a)));
        expect(formatState(merge(merge(a, b), c))).toBe(formatState(merge(a, merge(b, c))));
        expect(sameState(merge(a, a), a)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('keeps the larger dot; the other is a loss exactly when it is not covered, in both orders', () => {
    fc.assert(
      fc.property(oneWriteState, oneWriteState, (a, b) => {
        const [x, y] = [headDot(a) as Dot, headDot(b) as Dot];
        const [larger, smaller] = compareDots(x, y) > 0 ? [a, b] : [b, a];
        for (const { state, losses } of [mergeLww(a, b, never), mergeLww(b, a, never)]) {
          expect(headDot(state)).toEqual(headDot(larger));
          const isLost = compareDots(x, y) !== 0 && !covers(larger.context, headDot(smaller) as Dot);
          expect(losses.map(({ loser }) => formatDot(loser.dot))).toEqual(isLost ? [formatDot(headDot(smaller) as Dot)] : []);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

/** Values and context without operations; a dot has one value. */
const dotted: fc.Arbitrary<State> = fc
  .record({ dots: fc.uniqueArray(smallDot, { maxLength: 6, selector: formatDot }), past: smallVector })
  .map(({ dots, past }) => ({
    values: dots.sort(compareDots).map((dot): DottedValue => ({ dot, value: value(formatDot(dot)) })),
    context: dots.reduce(withDot, past),
    operations: NO_OPERATIONS,
  }));

describe('siblings', () => {
  const merge = (a: State, b: State): State => mergeSiblings(a, b).state;

  it('is associative, commutative and idempotent', () => {
    fc.assert(
      fc.property(dotted, dotted, dotted, (a, b, c) => {
        expect(formatState(merge(a, b))).toBe(formatState(merge(b, a)));
        expect(formatState(merge(merge(a, b), c))).toBe(formatState(merge(a, merge(b, c))));
        expect(sameState(merge(a, a), a)).toBe(true);
      }),
      { numRuns: 1_500 },
    );
  });

  it('keeps what both hold and what the other has not seen, and covers what either covers', () => {
    fc.assert(
      fc.property(dotted, dotted, (a, b) => {
        const merged = merge(a, b);
        const holds = (state: State, dot: Dot): boolean => state.values.some((each) => compareDots(each.dot, dot) === 0);
        const all = [...a.values, ...b.values].filter(({ dot }) => (holds(a, dot) || !covers(a.context, dot)) && (holds(b, dot) || !covers(b.context, dot)));
        expect(merged.values.map(({ dot }) => formatDot(dot))).toEqual([...new Set(all.sort((x, y) => compareDots(x.dot, y.dot)).map(({ dot }) => formatDot(dot)))]);
        expect(formatState({ ...merged, values: [] })).toBe(formatState({ ...merged, values: [], context: joinVectors(a.context, b.context) }));
      }),
      { numRuns: 1_500 },
    );
  });
});

describe('tags', () => {
  const withTwins: fc.Arbitrary<State> = fc.record({ state: stateOf(smallStamp), operations: operationsOf(smallStamp, 8), who: actor }).map(({ state, operations }) => ({ ...state, operations }));
  const shown = (state: State): string[] => [...new Set(state.values.map(({ dot }) => formatDot(canonicalDot(state.operations, dot))))].sort();
  const tag = (state: State): string | undefined => tagOf(state, -1, sha256);

  it('are equal exactly when the distinct live dots are, twins being one', () => {
    fc.assert(
      fc.property(withTwins, withTwins, (a, b) => {
        expect(tag(a) === tag(b)).toBe(shown(a).join() === shown(b).join());
        expect(distinctValues(a, -1).length).toBe(shown(a).length);
      }),
      { numRuns: 2_000 },
    );
  });

  it('the tag that is given is accepted, and so is each name of the same values; no other', () => {
    fc.assert(
      fc.property(withTwins, withTwins, (a, b) => {
        const accepted = acceptedTags(a, -1, sha256);
        const given = tag(a);
        if (given === undefined) expect(accepted).toEqual([]);
        else expect(accepted).toContain(given);
        expect(new Set(accepted).size).toBe(distinctValues(a, -1).reduce((count, { dot }) => count * twinDots(a.operations, dot).length, given === undefined ? 0 : 1));
        const other = tag({ ...b, operations: a.operations });
        if (other !== undefined && accepted.includes(other)) expect(shown({ ...b, operations: a.operations })).toEqual(shown(a));
      }),
      { numRuns: 1_000 },
    );
  });
});
