// What the checker still demands of a region whose disk has forgotten.

import { describe, expect, it } from 'vitest';
import { actorRegion, type Dot } from '../../src/core/version/dot.ts';
import { NO_OPERATIONS, withOperation } from '../../src/core/version/operations.ts';
import type { State } from '../../src/core/version/record.ts';
import type { SimRegion } from '../../src/testing/cluster.ts';
import { Transitions } from '../../src/testing/transitions.ts';
import { A, B, dot, key, operation, written } from '../contract/make.ts';

const ITEM = 'demo/k';

/** The operation `op`, executed under this dot. */
const executed = (at: Dot): State => ({ ...written(at, 'v'), operations: withOperation(NO_OPERATIONS, { id: operation('op') }, at) });

/** A region whose disk holds this. */
const holding = (state: State): SimRegion => ({ machine: { disk: { entries: () => [['r k', { key: key('k'), record: { state } }]] } } }) as unknown as SimRegion;

function watched(): { readonly transitions: Transitions; readonly write: (at: Dot) => void; readonly violations: string[] } {
  const violations: string[] = [];
  const transitions = new Transitions({ violated: (rule) => void violations.push(rule), clocksAgree: () => true });
  const write = (at: Dot): void => transitions.check({ place: `here ${ITEM}`, item: ITEM, before: undefined, state: executed(at), isServed: true });
  write(dot(A, 1));
  write(dot(B, 2));
  return { transitions, write, violations };
}

describe('simulation: an operation takes effect once', () => {
  it('a region executes it again: a violation', () => {
    const { write, violations } = watched();
    write(dot(A, 9));
    expect(violations).toEqual(['an operation takes effect once']);
  });

  it('its disk forgot the record alone: nobody tells it, and a retry is a new write there; of the others it is none', () => {
    const { transitions, write, violations } = watched();
    transitions.forgotten(actorRegion(A), [holding(executed(dot(A, 1)))], ITEM);
    write(dot(A, 9));
    expect(violations).toEqual([]);
    write(dot(B, 9));
    expect(violations).toEqual(['an operation takes effect once']);
  });

  it('its disk was replaced by an older copy: what another region has heard of it takes back before it serves', () => {
    const { transitions, write, violations } = watched();
    transitions.forgotten(actorRegion(A), [holding(executed(dot(A, 1)))]);
    write(dot(A, 9));
    expect(violations).toEqual(['an operation takes effect once']);
  });

  it('its disk was replaced by an older copy, and nobody had heard of it: it cannot know', () => {
    const { transitions, write, violations } = watched();
    transitions.forgotten(actorRegion(A), [holding(executed(dot(B, 2)))]);
    write(dot(A, 9));
    expect(violations).toEqual([]);
  });
});

describe('simulation: what a record has covered stays away from it', () => {
  const violationsOf = (state: State, before = written(dot(B, 5), 'over it', [dot(A, 1)])): string[] => {
    const violations: string[] = [];
    new Transitions({ violated: (rule) => void violations.push(rule), clocksAgree: () => true }).check({ place: `here ${ITEM}`, item: ITEM, before, state, isServed: true });
    return violations;
  };
  const [covered, brother] = [written(dot(A, 1), 'v').values[0] as State['values'][number], written(dot(B, 9), 'v').values[0] as State['values'][number]];
  const both = written(dot(B, 9), 'v', [dot(A, 1)]);

  it('it comes back: a violation', () => {
    expect(violationsOf({ ...both, values: [covered] })).toEqual(['what a record has covered stays away from it']);
  });

  it('with a new execution of the same write, whose twin it is: none; with one of another write: a violation', () => {
    expect(violationsOf({ ...both, values: [covered, brother] })).toEqual([]);
    expect(violationsOf({ ...both, values: [covered, brother] }, both)).toEqual([]); // the brother stood before
    expect(violationsOf({ ...both, values: [covered, ...written(dot(B, 9), 'another').values] })).toEqual(['what a record has covered stays away from it']);
  });
});
