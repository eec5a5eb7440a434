// Known bugs that are in the steps, and the times that are judged: as the steps say.

import { describe, expect, it } from 'vitest';
import { isInSetting, withControl } from '../../src/drill/control.ts';
import { parseDrill, type ControlName } from '../../src/drill/drill.ts';
import { afterReturn, decided } from '../../src/drill/windows.ts';

const drillOf = (...steps: readonly string[]) => parseDrill(`
drill: small
about: Some steps.
load: { rate: 10 }
steps: [${steps.map((step) => `{ at: ${step} }`).join(', ')}]
end: 30s
expect: [lost = 0]
control: never-healed`, 'small');

const stepsWith = (control: ControlName | undefined, ...steps: readonly string[]): readonly string[] => withControl(drillOf(...steps), control).steps.map(({ atMs, action }) => `${atMs / 1_000} ${action.verb} ${'region' in action ? action.region : ''}`.trim());

describe('known bugs in the steps', () => {
  const rolling = ['1s, stop: first', '2s, start: first', '3s, stop: second', '4s, start: second'] as const;

  it('not-awaited: the next region is taken away before the last one is back', () => {
    expect(stepsWith('not-awaited', ...rolling)).toEqual(['1 stop first', '3 stop second', '4 start first', '4 start second']);
  });

  it('edge-forgets: whenever a region is back, the edge is a new one', () => {
    expect(stepsWith('edge-forgets', '1s, kill: first', '2s, start: first', '3s, pause: second', '4s, resume: second')).toEqual(['1 kill first', '2 start first', '2 kill-edge', '3 pause second', '4 resume second', '4 kill-edge']);
  });

  it('edge-knows-one: the edge that is started anew does not reach the others', () => {
    expect(stepsWith('edge-knows-one', '1s, isolate: first', '2s, kill-edge: true', '3s, heal: links')).toEqual(['1 isolate first', '2 cut-edge second', '2 cut-edge third', '2 kill-edge', '3 heal']);
  });

  it('nobody-contradicts: a region starts with a wrong clock, and alone; where it is right again nothing else is done', () => {
    expect(stepsWith('nobody-contradicts', '1s, clock: { region: second, by: 1h }', '2s, clock: { region: second, by: 0s }')).toEqual(['1 cut', '1 cut', '1 stop second', '1 clock second', '1 start second', '1 kill-edge', '2 clock second']);
  });

  it('hints-not-kept and not-rebuilt are in how regions are started', () => {
    const drill = { ...drillOf('1s, kill: first'), horizonMs: 5_000 };
    expect([withControl(drill, 'hints-not-kept').hints, withControl(drill, 'not-rebuilt').horizonMs]).toEqual([1, undefined]);
    expect((['hints-not-kept', 'not-rebuilt', 'never-reconciled', 'edge-knows-one'] as const).map(isInSetting)).toEqual([true, true, true, false]);
  });

  it('others leave the steps alone', () => {
    expect(stepsWith('not-drained', ...rolling)).toEqual(stepsWith(undefined, ...rolling));
  });
});

describe('the times that are judged', () => {
  const windowsOf = (verb: 'drain' | 'fence', ...steps: readonly string[]) => decided(drillOf(...steps).steps, verb, 30_000);

  it('drained: from two seconds after it until it is returned or stopped', () => {
    expect(windowsOf('drain', '5s, drain: first', '6s, kill: second', '9s, stop: first')).toEqual([{ region: 'first', fromMs: 7_000, toMs: 9_000 }]);
    expect(windowsOf('drain', '5s, drain: first', '9s, return: first', '12s, drain: second')).toEqual([{ region: 'first', fromMs: 7_000, toMs: 9_000 }, { region: 'second', fromMs: 14_000, toMs: 30_000 }]);
    expect(windowsOf('drain', '5s, fence: first')).toEqual([]);
  });

  it('fenced while it was away: from two seconds after it was woken', () => {
    expect(windowsOf('fence', '5s, pause: first', '9s, fence: first', '14s, resume: first', '20s, return: first')).toEqual([{ region: 'first', fromMs: 16_000, toMs: 20_000 }]);
  });

  it('after the return: from when a region was first brought back', () => {
    expect(afterReturn(drillOf('5s, kill: second', '6s, heal: links', '9s, start: second').steps, 30_000)).toEqual({ region: 'second', fromMs: 9_000, toMs: 30_000 });
    expect(afterReturn(drillOf('5s, isolate: second', '6s, heal: links').steps, 30_000)).toBeUndefined();
  });
});
