// The embedded adapter is not simulated: copies of its live folder are opened instead, as a crash could have left them.
// scripts/acceptance/crash.ts makes ten times as many, and tries every known bug.

import { describe, expect, it } from 'vitest';
import { CRASH_CONTROLS } from '../../scripts/lib/crash/controls.ts';
import { crashCopies } from '../../scripts/lib/crash/copies.ts';

const COPIES_MAX = 60;
/** The one that is caught soonest. */
const QUICK = 'acknowledged before it is synced';

describe('level: a copy of a live folder at a random moment', () => {
  it('a power cut: everything acknowledged is there, nothing is torn', { timeout: 300_000 }, async () => {
    const result = await crashCopies({ copies: 14, durability: 'sync', seed: 1 });
    expect(result.wrong).toEqual([]);
    expect(result.cuts, 'copies that lost what was not synced').toBeGreaterThan(0);
    expect(result.withTables, 'copies with tables beside the logs').toBeGreaterThan(0);
  });

  it('kill -9: the same', { timeout: 300_000 }, async () => {
    expect(await crashCopies({ copies: 6, durability: 'sync', ends: 'process', seed: 4 })).toMatchObject({ copies: 6, wrong: [] });
  });

  it('kill -9 in relaxed durability: the same', { timeout: 300_000 }, async () => {
    expect(await crashCopies({ copies: 6, durability: 'relaxed', seed: 2 })).toMatchObject({ copies: 6, wrong: [] });
  });

  it(`a known bug is seen: ${QUICK}`, { timeout: 300_000 }, async () => {
    const edits = CRASH_CONTROLS.filter(({ name }) => name === QUICK).map(({ edit }) => edit);
    expect(edits).toHaveLength(1);
    const { wrong } = await crashCopies({ copies: COPIES_MAX, durability: 'sync', seed: 3, edits });
    expect(wrong).not.toEqual([]);
  });
});
