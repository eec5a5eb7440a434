import { describe, expect, it } from 'vitest';
import { VECTOR_ACTORS_MAX } from '../../src/core/limits.ts';
import { makeActor, asRegionId } from '../../src/core/version/dot.ts';
import {
  boundVector, compareVectors, covers, descends, dominates, EMPTY_VECTOR, formatVector, joinVectors, largestStamp, pruneVector, vectorEntries, withDot, type VersionVector,
} from '../../src/core/version/version-vector.ts';
import { mergeSiblings } from '../../src/core/version/siblings.ts';
import { makeStamp } from '../../src/core/version/stamp.ts';
import { A, B, C, dot, EU, several, texts, vector } from '../contract/make.ts';

describe('version vectors: relations', () => {
  const table: [string, VersionVector, VersionVector, string][] = [
    ['nothing and nothing', EMPTY_VECTOR, EMPTY_VECTOR, 'equal'],
    ['nothing and something', EMPTY_VECTOR, vector(dot(A, 1)), 'before'],
    ['something and nothing', vector(dot(A, 1)), EMPTY_VECTOR, 'after'],
    ['the same entries in another order', vector(dot(A, 1), dot(B, 2)), vector(dot(B, 2), dot(A, 1)), 'equal'],
    ['an entry of zero is no entry', vector(dot(A, 0)), EMPTY_VECTOR, 'equal'],
    ['one entry larger', vector(dot(A, 2), dot(B, 1)), vector(dot(A, 1), dot(B, 1)), 'after'],
    ['one entry more', vector(dot(A, 1)), vector(dot(A, 1), dot(B, 1)), 'before'],
    ['each larger in one', vector(dot(A, 2), dot(B, 1)), vector(dot(A, 1), dot(B, 2)), 'concurrent'],
    ['different actors', vector(dot(A, 9)), vector(dot(B, 1)), 'concurrent'],
  ];
  it.each(table)('%s', (_, a, b, relation) => {
    expect(compareVectors(a, b)).toBe(relation);
    const mirrored = { equal: 'equal', before: 'after', after: 'before', concurrent: 'concurrent' } as const;
    expect(compareVectors(b, a)).toBe(mirrored[relation as keyof typeof mirrored]);
    expect(descends(a, b)).toBe(relation === 'equal' || relation === 'after');
    expect(dominates(a, b)).toBe(relation === 'after');
  });

  it('covers a dot of the entry and all smaller ones of that actor, no other', () => {
    const seen = vector(dot(A, 5));
    expect([dot(A, 4), dot(A, 5), dot(A, 6), dot(B, 1)].map((each) => covers(seen, each))).toEqual([true, true, false, false]);
  });

  it('is extended by a dot, and left as it is when that is covered', () => {
    const seen = vector(dot(A, 5));
    expect(withDot(seen, dot(A, 4))).toBe(seen);
    expect(withDot(seen, dot(B, 1))).toEqual(vector(dot(A, 5), dot(B, 1)));
    expect(seen.size).toBe(1);
  });

  it('names its largest stamp and prints its entries in the order of their actors', () => {
    const seen = vector(dot(C, 1), dot(A, 7), dot(B, 3));
    expect(largestStamp(seen)).toBe(dot(A, 7).stamp);
    expect(largestStamp(EMPTY_VECTOR)).toBe(0n);
    expect(vectorEntries(seen).map(({ actor }) => actor)).toEqual([A, B, C]);
    expect(formatVector(vector(dot(B, 1), dot(A, 2)))).toBe(`{${A}@000000000000.0002, ${B}@000000000000.0001}`);
  });
});

// DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store", SOSP 2007, section 4.4 and figure 3: a client
// writes an object at Sx twice; Sy and Sz each take a write that saw D2; a client that reads both reconciles them at Sx.
describe('version vectors: the example of the Dynamo paper', () => {
  const [sx, sy, sz] = ['sx', 'sy', 'sz'].map((name) => makeActor(asRegionId(name), '1')) as [ReturnType<typeof makeActor>, ReturnType<typeof makeActor>, ReturnType<typeof makeActor>];
  const d1 = vector(dot(sx, 1));
  const d2 = withDot(d1, dot(sx, 2));
  const d3 = withDot(d2, dot(sy, 1));
  const d4 = withDot(d2, dot(sz, 1));
  const read = joinVectors(d3, d4);
  const d5 = withDot(read, dot(sx, 3));

  it('D2 descends from D1 and replaces it', () => expect(compareVectors(d2, d1)).toBe('after'));

  it('D3 and D4 descend from D2 and are concurrent', () => {
    expect([compareVectors(d3, d2), compareVectors(d4, d2), compareVectors(d3, d4)]).toEqual(['after', 'after', 'concurrent']);
  });

  it('a read answers both, with the context [Sx,2 Sy,1 Sz,1]', () => expect(read).toEqual(vector(dot(sx, 2), dot(sy, 1), dot(sz, 1))));

  it('D5 [Sx,3 Sy,1 Sz,1] is above both', () => {
    expect(d5).toEqual(vector(dot(sx, 3), dot(sy, 1), dot(sz, 1)));
    expect([compareVectors(d5, d3), compareVectors(d5, d4), compareVectors(d5, read)]).toEqual(['after', 'after', 'after']);
  });
});

describe('pruning', () => {
  it('keeps the entries with the largest stamps, and takes no less than one', () => {
    const seen = vector(dot(A, 1), dot(B, 3), dot(C, 2));
    expect(pruneVector(seen, 2)).toEqual(vector(dot(B, 3), dot(C, 2)));
    expect(pruneVector(seen, 3)).toBe(seen);
    expect(() => pruneVector(seen, 0)).toThrow(TypeError);
    expect(() => pruneVector(seen, 1.5)).toThrow(TypeError);
  });

  it('of equal stamps keeps the larger actor, everywhere the same', () => {
    expect(pruneVector(vector(dot(C, 1), dot(A, 1), dot(B, 1)), 1)).toEqual(vector(dot(C, 1)));
  });

  it('the bound: nothing is forgotten at VECTOR_ACTORS_MAX, the oldest beyond, and what is held stays covered', () => {
    const lives = (count: number): VersionVector => vector(...Array.from({ length: count }, (_, at) => dot(makeActor(EU, `l${at}`), at + 1)));
    const full = lives(VECTOR_ACTORS_MAX);
    expect(boundVector(full)).toBe(full);
    const more = lives(VECTOR_ACTORS_MAX + 5);
    const oldest = dot(makeActor(EU, 'l0'), 1);
    expect([boundVector(more).size, covers(boundVector(more), oldest)]).toEqual([VECTOR_ACTORS_MAX, false]);
    expect([boundVector(more, [oldest]).size, covers(boundVector(more, [oldest]), oldest)]).toEqual([VECTOR_ACTORS_MAX + 1, true]);
  });

  // Riak's default keeps 50; basho/riak_kv issue 1864 is two clusters that pruned on some paths only.
  it('hazard: a write that was superseded comes back as a false sibling', () => {
    const old = several([dot(A, 1), 'superseded long ago']);
    const now = { ...several([dot(B, 9), 'current']), context: vector(dot(A, 1), dot(B, 9)) };
    expect(texts(mergeSiblings(now, old).state)).toEqual(['current']);
    const pruned = { ...now, context: pruneVector(now.context, 1) };
    expect(texts(mergeSiblings(pruned, old).state)).toEqual(['superseded long ago', 'current']);
  });

  it('hazard: two replicas that pruned differently disagree', () => {
    const old = several([dot(A, 1), 'old']);
    const now = { ...several([dot(B, 9), 'current']), context: vector(dot(A, 1), dot(B, 9)) };
    const outcomes = [now, { ...now, context: pruneVector(now.context, 1) }].map((each) => texts(mergeSiblings(each, old).state).length);
    expect(outcomes).toEqual([1, 2]);
  });

  it('never makes a vector cover more', () => {
    const seen = vector(dot(A, 5), dot(B, 9));
    expect(descends(seen, pruneVector(seen, 1))).toBe(true);
    expect(covers(pruneVector(seen, 1), { actor: A, stamp: makeStamp(0, 5) })).toBe(false);
  });
});
