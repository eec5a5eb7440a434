import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareDots, formatDot, parseDot, type Dot } from '../../src/core/version/dot.ts';
import { asStamp, formatStamp, makeStamp, nextStamp, parseStamp, raiseAbove, stampMs } from '../../src/core/version/stamp.ts';
import { compareVectors, covers, descends, dominates, joinVectors, largestStamp, pruneVector, vectorEntries, withDot, type VersionVector } from '../../src/core/version/version-vector.ts';
import { actor, ACTORS, anyStamp, dotOf, smallDot, smallVector, STAMP_MAX } from './arbitraries.ts';

const RUNS = { numRuns: 500 };

/** Slow twin of a vector: the set of all dots that it covers, of a small world. */
const WORLD: Dot[] = ACTORS.flatMap((who) => Array.from({ length: STAMP_MAX }, (_, i) => ({ actor: who, stamp: asStamp(BigInt(i + 1)) })));
const covered = (vector: VersionVector): Set<string> => new Set(WORLD.filter((dot) => covers(vector, dot)).map(formatDot));
const includes = (all: Set<string>, some: Set<string>): boolean => [...some].every((each) => all.has(each));

describe('stamps', () => {
  it('print and read, and sort as text like the number', () => {
    fc.assert(
      fc.property(anyStamp, anyStamp, (a, b) => {
        expect(parseStamp(formatStamp(a))).toBe(a);
        expect(formatStamp(a) < formatStamp(b)).toBe(a < b);
      }),
      RUNS,
    );
  });

  it('are made of milliseconds and counter, and order by them', () => {
    const parts = fc.tuple(fc.nat({ max: 2 ** 48 - 1 }), fc.nat(0xffff));
    fc.assert(
      fc.property(parts, parts, ([ms, counter], [otherMs, otherCounter]) => {
        const stamp = makeStamp(ms, counter);
        expect(stampMs(stamp)).toBe(ms);
        expect(Number(stamp & 0xffffn)).toBe(counter);
        expect(stamp < makeStamp(otherMs, otherCounter)).toBe(ms < otherMs || (ms === otherMs && counter < otherCounter));
      }),
      RUNS,
    );
  });

  it('the next is the smallest above, and raising gives one above the floor', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 64n - 2n).map(asStamp), anyStamp, (floor, candidate) => {
        expect(nextStamp(floor)).toBe(floor + 1n);
        const raised = raiseAbove(candidate, floor);
        expect(raised > floor).toBe(true);
        expect(raised === candidate || (candidate <= floor && raised === floor + 1n)).toBe(true);
      }),
      RUNS,
    );
  });

  it('dots print and read, and their order is total', () => {
    const dot = dotOf(anyStamp);
    fc.assert(
      fc.property(dot, dot, smallDot, smallDot, (a, b, c, d) => {
        expect(parseDot(formatDot(a))).toEqual(a);
        for (const [x, y] of [[a, b], [c, d]] as const) {
          expect(Math.sign(compareDots(x, y))).toBe(0 - Math.sign(compareDots(y, x)));
          expect(compareDots(x, y) === 0).toBe(formatDot(x) === formatDot(y));
        }
      }),
      RUNS,
    );
  });
});

describe('version vectors', () => {
  it('relations are those of the sets of covered dots', () => {
    fc.assert(
      fc.property(smallVector, smallVector, (a, b) => {
        const [one, other] = [covered(a), covered(b)];
        expect(descends(a, b)).toBe(includes(one, other));
        expect(dominates(a, b)).toBe(includes(one, other) && !includes(other, one));
        const relation = includes(other, one) ? (includes(one, other) ? 'equal' : 'before') : includes(one, other) ? 'after' : 'concurrent';
        expect(compareVectors(a, b)).toBe(relation);
      }),
      RUNS,
    );
  });

  it('the join covers exactly what either covers: a least upper bound', () => {
    fc.assert(
      fc.property(smallVector, smallVector, smallVector, (a, b, c) => {
        const join = joinVectors(a, b);
        expect(covered(join)).toEqual(new Set([...covered(a), ...covered(b)]));
        expect(descends(join, a) && descends(join, b)).toBe(true);
        if (descends(c, a) && descends(c, b)) expect(descends(c, join)).toBe(true);
      }),
      RUNS,
    );
  });

  it('the join is associative, commutative and idempotent', () => {
    const entries = (vector: VersionVector): string[] => vectorEntries(vector).map(formatDot);
    fc.assert(
      fc.property(smallVector, smallVector, smallVector, (a, b, c) => {
        expect(entries(joinVectors(a, b))).toEqual(entries(joinVectors(b, a)));
        expect(entries(joinVectors(joinVectors(a, b), c))).toEqual(entries(joinVectors(a, joinVectors(b, c))));
        expect(joinVectors(a, a)).toBe(a);
        if (descends(a, b)) expect(joinVectors(a, b)).toBe(a);
      }),
      RUNS,
    );
  });

  it('no operation changes its arguments', () => {
    fc.assert(
      fc.property(smallVector, smallVector, smallDot, (a, b, dot) => {
        const before = [vectorEntries(a), vectorEntries(b)];
        joinVectors(a, b);
        withDot(a, dot);
        pruneVector(a, 1);
        expect([vectorEntries(a), vectorEntries(b)]).toEqual(before);
      }),
      { numRuns: 100 },
    );
  });

  it('pruned on every path to one size, vectors forget the same in whatever order they are joined', () => {
    fc.assert(
      fc.property(smallVector, smallVector, smallVector, fc.integer({ min: 1, max: 4 }), (a, b, c, most) => {
        const join = (one: VersionVector, other: VersionVector): VersionVector => pruneVector(joinVectors(one, other), most);
        const whole = vectorEntries(pruneVector(joinVectors(joinVectors(a, b), c), most));
        expect(vectorEntries(join(join(a, b), c))).toEqual(whole);
        expect(vectorEntries(join(pruneVector(c, most), join(b, a)))).toEqual(whole);
      }),
      RUNS,
    );
  });

  it('pruning forgets and never invents; with room for all it changes nothing', () => {
    fc.assert(
      fc.property(smallVector, fc.integer({ min: 1, max: 6 }), actor, (a, most, who) => {
        const pruned = pruneVector(a, most);
        expect(pruned.size).toBe(Math.min(most, a.size));
        expect(descends(a, pruned)).toBe(true);
        expect(largestStamp(pruned)).toBe(largestStamp(a));
        if (pruned.has(who)) expect(pruned.get(who)).toBe(a.get(who));
      }),
      RUNS,
    );
  });
});
