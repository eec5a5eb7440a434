// A sketch names what differs, all of it and nothing else, or says that it cannot.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/core/bytes.ts';
import type { Sum } from '../../src/core/merkle/digest.ts';
import { CELL_BYTES, cellsFor, Sketch } from '../../src/core/merkle/sketch.ts';

interface Leaf {
  readonly place: number;
  readonly sum: Sum;
}

const words = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  };
};

const sketchOf = (leaves: readonly Leaf[], cells: number): Sketch => {
  const sketch = new Sketch(cells);
  for (const { place, sum } of leaves) sketch.add(place, sum);
  return sketch;
};

/** Two sides with so many leaves, of which so many differ: with other sums, or on one side only. */
function sides(count: number, differing: number, seed: number): { readonly mine: Leaf[]; readonly theirs: Leaf[]; readonly places: number[] } {
  const word = words(seed);
  const mine: Leaf[] = Array.from({ length: count }, (_, place) => ({ place, sum: { high: word(), low: word() } }));
  const places = new Set<number>();
  while (places.size < differing) places.add(word() % count);
  const theirs = mine.flatMap((leaf): Leaf[] => (!places.has(leaf.place) ? [leaf] : word() % 3 === 0 ? [] : [{ ...leaf, sum: { high: word(), low: word() } }]));
  return { mine, theirs, places: [...places].sort((a, b) => a - b) };
}

const names = (mine: readonly Leaf[], theirs: readonly Leaf[], cells: number): number[] | undefined => {
  const sketch = sketchOf(mine, cells);
  sketch.take(sketchOf(theirs, cells));
  return sketch.names();
};

describe('a sketch', () => {
  it('names what differs, or nothing at all', () => {
    let named = 0;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 4, max: 200 }), fc.nat(), (differing, cells, seed) => {
        const { mine, theirs, places } = sides(300, differing, seed);
        const found = names(mine, theirs, cells);
        if (found !== undefined) expect(found).toEqual(places);
        if (found !== undefined && places.length > 0) named++;
      }),
      { numRuns: 300 },
    );
    expect(named).toBeGreaterThan(50);
  });

  it.each([1, 10, 100])('of the cells for %i leaves -> names them in 99 of 100', (differing) => {
    let failed = 0;
    for (let seed = 0; seed < 100; seed++) {
      const { mine, theirs, places } = sides(2_000, differing, seed * 1_000 + differing);
      const found = names(mine, theirs, cellsFor(differing));
      if (found === undefined) failed++;
      else expect(found).toEqual(places);
    }
    expect(failed).toBeLessThanOrEqual(1);
  });

  it('of a hundred leaves that differ in a quarter of a million takes four kilobytes', () => {
    const { mine, theirs, places } = sides(262_144, 100, 7);
    expect(names(mine, theirs, 320)).toEqual(places);
    expect(sketchOf(mine, 320).encode(new ByteWriter()).finish().length).toBe(320 * CELL_BYTES + 2);
  });

  it('in which far too much differs names nothing', () => {
    const { mine, theirs } = sides(2_000, 1_000, 1);
    expect(names(mine, theirs, 320)).toBeUndefined();
  });

  it('goes over the wire and back', () => {
    const { mine } = sides(50, 1, 3);
    const back = Sketch.decode(new ByteReader(sketchOf(mine, 200).encode(new ByteWriter()).finish()));
    back.take(sketchOf(mine, 200));
    expect(back.names()).toEqual([]);
  });

  it('that somebody made up ends, and names nothing that is in none', () => {
    const bytes = new ByteWriter().varint(4);
    // One entry that is alone in each of its cells, and comes back when it is taken out.
    const honest = sketchOf([{ place: 1, sum: { high: 2, low: 3 } }], 4).encode(new ByteWriter()).finish();
    const reader = new ByteReader(honest);
    reader.varint();
    for (let cell = 0; cell < 3; cell++) bytes.bytes(reader.bytes(CELL_BYTES));
    bytes.u32(0).u32(0).u32(0);
    expect(Sketch.decode(new ByteReader(bytes.finish())).names()).toBeUndefined();
  });

  it('of another size, or cut off, is refused', () => {
    expect(() => new Sketch(8).take(new Sketch(12))).toThrow(TypeError);
    const bytes = new Sketch(8).encode(new ByteWriter()).finish();
    expect(() => Sketch.decode(new ByteReader(bytes.subarray(0, bytes.length - 1)))).toThrow(RangeError);
    expect(() => Sketch.decode(new ByteReader(new ByteWriter().varint(5).bytes(new Uint8Array(5 * CELL_BYTES)).finish()))).toThrow(RangeError);
  });
});
