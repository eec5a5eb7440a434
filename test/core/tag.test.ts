import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { formatDot, type Dot } from '../../src/core/version/dot.ts';
import { NO_OPERATIONS, withOperation, type Operations } from '../../src/core/version/operations.ts';
import { EMPTY_STATE, type State } from '../../src/core/version/record.ts';
import { acceptedTags, canonicalDot, tagOf, tagOfDots } from '../../src/core/version/tag.ts';
import { A, B, C, dot, operation, several, value, written } from '../contract/make.ts';

const NOW = 1_000;
const ops = (...taken: readonly (readonly [string, Dot])[]): Operations => taken.reduce((all, [name, at]) => withOperation(all, { id: operation(name) }, at), NO_OPERATIONS);
const tag = (state: State, nowMs = NOW): string | undefined => tagOf(state, nowMs, sha256);
const accepted = (state: State): readonly string[] => acceptedTags(state, NOW, sha256);

describe('entity tags', () => {
  it('one value: its dot', () => expect(tag(written(dot(A, 1), 'v'))).toBe(formatDot(dot(A, 1))));

  it('no value that a reader sees: none', () => {
    expect(tag(EMPTY_STATE)).toBeUndefined();
    expect(tag(written(dot(A, 1), 'v', [], NOW))).toBeUndefined();
    expect(accepted(written(dot(A, 1), 'v', [], NOW))).toEqual([]);
  });

  it('several: their number and a hash of their dots, in any order', () => {
    const two = several([dot(A, 1), 'a'], [dot(B, 2), 'b']);
    expect(tag(two)).toMatch(/^2-[A-Za-z0-9_-]{22}$/);
    expect(tag(two)).toBe(tagOfDots([dot(B, 2), dot(A, 1)], sha256));
    expect(tag(two)).not.toBe(tag(several([dot(A, 1), 'a'], [dot(B, 3), 'b'])));
  });

  it('an expired value is not named', () => {
    const state: State = { ...several([dot(A, 1), 'a'], [dot(B, 2), 'b']), values: [{ dot: dot(A, 1), value: value('a') }, { dot: dot(B, 2), value: value('b', NOW) }] };
    expect(tag(state)).toBe(formatDot(dot(A, 1)));
    expect(tag(state, NOW - 1)).toMatch(/^2-/);
  });

  it('a tag from before a value expired is not accepted afterwards', () => {
    const values = [
      { dot: dot(A, 1), value: value('a') },
      { dot: dot(B, 2), value: value('b') },
      { dot: dot(C, 3), value: value('c', NOW) },
    ];
    const state: State = { ...several(), values };
    expect(accepted(state)).toEqual([tag(state)]);
    expect(accepted(state)).not.toContain(tag(state, NOW - 1));
  });

  it('twins are one value under the smallest dot: the tag does not change when a twin arrives', () => {
    const one: State = { ...several([dot(A, 1), 'x']), operations: ops(['X', dot(A, 1)]) };
    const twins: State = { ...several([dot(A, 1), 'x'], [dot(B, 2), 'x']), operations: ops(['X', dot(A, 1)], ['X', dot(B, 2)]) };
    expect(tag(twins)).toBe(tag(one));
    expect(canonicalDot(twins.operations, dot(B, 2))).toEqual(dot(A, 1));
    expect(canonicalDot(twins.operations, dot(C, 2))).toEqual(dot(C, 2));
  });

  it('under lww a record holds the larger twin only, and is still called by the smaller', () => {
    const held: State = { ...written(dot(B, 2), 'x'), operations: ops(['X', dot(A, 1)], ['X', dot(B, 2)]) };
    expect(tag(held)).toBe(formatDot(dot(A, 1)));
    expect([...accepted(held)].sort()).toEqual([formatDot(dot(A, 1)), formatDot(dot(B, 2))]);
  });

  it('any twin is accepted, alone and among other values', () => {
    const operations = ops(['X', dot(A, 1)], ['X', dot(B, 2)]);
    expect([...accepted({ ...several([dot(A, 1), 'x'], [dot(B, 2), 'x']), operations })].sort()).toEqual([formatDot(dot(A, 1)), formatDot(dot(B, 2))]);
    // A region that knew only the twin of B gave out this tag; the client's If-Match must not fail in another region.
    const atB = tag({ ...several([dot(B, 2), 'x'], [dot(C, 3), 'c']), operations: ops(['X', dot(B, 2)]) });
    const merged: State = { ...several([dot(A, 1), 'x'], [dot(B, 2), 'x'], [dot(C, 3), 'c']), operations };
    expect(tag(merged)).not.toBe(atB);
    expect(accepted(merged)).toContain(atB);
    expect(accepted(merged)).toContain(tag(merged));
    expect(accepted(merged).length).toBe(2);
  });
});
