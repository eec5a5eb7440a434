// What the checker demands of a write that replaces more than its client had read.

import { describe, expect, it } from 'vitest';
import { actorRegion } from '../../src/core/version/dot.ts';
import type { VersionVector } from '../../src/core/version/version-vector.ts';
import type { ClientWrite } from '../../src/testing/history.ts';
import { replacedUnseen, type Replacing } from '../../src/testing/unseen.ts';
import { A, B, dot, key, lossRow, vector, written } from '../contract/make.ts';

const put = (value: string, superseded: readonly string[] = []): ClientWrite => ({
  client: 'client-1', collection: 'demo', pk: 'k', kind: 'put', value, operation: value, superseded, ifMatch: undefined, isBlind: false,
  expiresMs: undefined, startedMs: 0, endedMs: 1, isOver: true, outcome: 'acknowledged', status: 204, servedBy: undefined, effect: 'stored',
});
const WRITES = [put('v1'), put('v2'), put('v3', ['v1'])];

/** At the region of A: `v3`, which had read `v1`, comes to stand over `v2`. */
const replacing = (more: Partial<Replacing> = {}): Replacing => ({
  region: actorRegion(A),
  before: written(dot(A, 2), 'v2', [dot(A, 1)]),
  state: written(dot(A, 3), 'v3', [dot(A, 2)]),
  writer: (value) => WRITES.find((write) => write.value === value),
  pastOf: () => vector(dot(A, 1)),
  dotsOf: (value) => (value === 'v2' ? [dot(A, 2)] : []),
  isWrittenOver: () => false,
  rows: () => [],
  pastOfRow: ({ context }) => [context],
  ...more,
});

describe('simulation: what was replaced unseen is in the ledger', () => {
  it('a write that had not read what it replaces: a violation, unless there is a row', () => {
    expect(replacedUnseen(replacing())).toContain('replaced v2');
    expect(replacedUnseen(replacing({ isWrittenOver: () => true }))).toContain('replaced v2');
    expect(replacedUnseen(replacing({ rows: () => [lossRow(key('k'), dot(A, 2), 'v2')] }))).toBeUndefined();
  });

  it('a write that had read it: none', () => {
    expect(replacedUnseen(replacing({ pastOf: () => vector(dot(A, 2)) }))).toBeUndefined();
  });

  it('another write had replaced it, and lies in the ledger: none, whether its row says so or its put', () => {
    const rows = () => [lossRow(key('k'), dot(B, 4), 'v9')];
    expect(replacedUnseen(replacing({ rows }))).toContain('replaced v2');
    expect(replacedUnseen(replacing({ rows, pastOfRow: () => [vector(dot(A, 2))] }))).toBeUndefined();
  });

  it('it was done twice, and the write had read the other execution: none', () => {
    const pastOf = (): VersionVector => vector(dot(B, 7));
    expect(replacedUnseen(replacing({ pastOf }))).toContain('replaced v2');
    expect(replacedUnseen(replacing({ pastOf, dotsOf: () => [dot(A, 2), dot(B, 7)] }))).toBeUndefined();
  });

  it('siblings come from a peer that did not know the policy, and one that does not stand had read what is replaced: none', () => {
    const state = written(dot(B, 9), 'v3', [dot(A, 2)]);
    expect(replacedUnseen(replacing({ state, isWrittenOver: (value) => value === 'v2' }))).toBeUndefined();
    expect(replacedUnseen(replacing({ state }))).toContain('replaced v2');
  });
});
