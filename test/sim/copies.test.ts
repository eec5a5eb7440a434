// When the checker says that copies differ.

import { describe, expect, it } from 'vitest';
import { differing } from '../../src/testing/copies.ts';

const held = (...states: readonly string[]): ReadonlyMap<string, ReadonlyMap<string, string>> => new Map([['demo/k', new Map(states.map((state, at) => [`region-${at}`, state]))]]);

describe('simulation: copies agree', () => {
  it('two that hold different things differ, also where one holds nothing', () => {
    for (const byValue of [true, false]) {
      expect(differing(held('v1', 'v2'), { byValue })).toEqual(['demo/k: region-0 v1 | region-1 v2']);
      expect(differing(held('v1', 'nothing'), { byValue })).toHaveLength(1);
      expect(differing(held('v1', ''), { byValue })).toHaveLength(1);
      expect(differing(held('v1', 'v1'), { byValue })).toEqual([]);
    }
  });

  it('a record without values is as good as none where values are compared, and nowhere else', () => {
    expect(differing(held('', 'nothing'), { byValue: true })).toEqual([]);
    expect(differing(held('', 'nothing'), { byValue: false })).toHaveLength(1);
  });
});
