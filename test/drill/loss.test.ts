// What the loss of a region took, against what it said it owed: schedules by hand.

import { expect, it } from 'vitest';
import type { LoggedWrite, View } from '../../src/drill/account.ts';
import { isWithin, judgeLosses, sumOf, type Loss } from '../../src/drill/loss.ts';

const write = (servedBy: string, pk: string, endedMs: number, more: Partial<LoggedWrite> = {}): LoggedWrite => ({ pk, value: `${servedBy} ${pk} ${endedMs}`, outcome: 'acknowledged', dot: `${servedBy}~1@${String(endedMs).padStart(4, '0')}.0000`, servedBy, attempts: 1, startedMs: endedMs - 5, endedMs, ...more });
const view = (region: string, ...held: readonly LoggedWrite[]): View => ({ region, lines: held.map(({ pk, value, dot }) => `00ff drill "${pk}" {${dot} "${value}" text/plain} ctx {${dot}} ops []`), losses: [] });
const loss = (region: string, askedMs: number, owed: Readonly<Record<string, number>> | undefined): Loss => ({ region, askedMs, owed: owed && new Map(Object.entries(owed)) });

it('two regions of three are lost: each answers for what it acknowledged, with what it said at its own loss', () => {
  // At 100 a owes one item, and is lost. b takes two more, which c has not heard of when b is lost at 200.
  const [ofA, kept, one, two] = [write('a', 'k1', 90), write('c', 'k2', 120), write('b', 'k3', 180), write('b', 'k4', 190)];
  const { losses, missing } = judgeLosses([loss('a', 100, { b: 1, c: 1 }), loss('b', 200, { a: 50, c: 2 })], [view('c', kept)], [ofA, kept, one, two]);
  expect(losses).toEqual([
    { region: 'a', atMs: 100, live: 1, real: 1, writes: 1, oldestMs: 10 },
    { region: 'b', atMs: 200, live: 2, real: 2, writes: 2, oldestMs: 20 }, // not 50: what a lacks of it says nothing of what c lacks
  ]);
  expect([sumOf(losses, 'live'), sumOf(losses, 'real'), losses.every(isWithin)]).toEqual([3, 3, true]); // with a's figure alone: 3 of 1
  expect(missing).toEqual([ofA, one, two]);
});

it('what the first one had passed on to the second only was owed to the third by the first', () => {
  const ofA = write('a', 'k1', 90);
  const { losses } = judgeLosses([loss('a', 100, { b: 0, c: 1 }), loss('b', 200, { a: 0, c: 0 })], [view('c')], [ofA]);
  expect(losses.map(({ live, real }) => [live, real])).toEqual([[1, 1], [0, 0]]);
  // While b is there, nothing is lost, and a had said so.
  expect(judgeLosses([loss('a', 100, { b: 0, c: 1 })], [view('b', ofA), view('c')], [ofA]).losses).toEqual([{ region: 'a', atMs: 100, live: 0, real: 0, writes: 0, oldestMs: undefined }]);
});

it('an item that was written twice is lost once; what was acknowledged after the question counts on top', () => {
  const writes = [write('a', 'k1', 80), write('a', 'k1', 90), write('a', 'k2', 110)];
  const [judged] = judgeLosses([loss('a', 100, { c: 1 })], [view('c')], writes).losses;
  expect(judged).toEqual({ region: 'a', atMs: 100, live: 2, real: 2, writes: 3, oldestMs: 20 });
  expect(isWithin(judgeLosses([loss('a', 120, { c: 1 })], [view('c')], writes).losses[0] ?? expect.fail())).toBe(false); // asked later, it should have said two
});

it('what a region acknowledged that is not away was owed by nobody', () => {
  const { losses } = judgeLosses([loss('a', 100, { c: 9 })], [view('c')], [write('c', 'k1', 90)]);
  expect(losses).toEqual([{ region: 'a', atMs: 100, live: 9, real: 0, writes: 0, oldestMs: undefined }, { region: 'c', atMs: 100, live: 0, real: 1, writes: 1, oldestMs: 10 }]);
  expect(losses.map(isWithin)).toEqual([true, false]);
});

it('what an earlier loss took is not taken again; nobody was promised what was not acknowledged', () => {
  const taken = write('a', 'k1', 90);
  expect(judgeLosses([loss('b', 200, { c: 0 })], [view('c')], [taken, write('b', 'k2', 190, { outcome: 'unknown' })], new Set([taken])).losses).toEqual([{ region: 'b', atMs: 200, live: 0, real: 0, writes: 0, oldestMs: undefined }]);
});

it('a region that did not answer, and no survivor that answers, leave nothing to compare', () => {
  expect(judgeLosses([loss('a', 100, undefined)], [view('c')], []).losses).toEqual([{ region: 'a', atMs: 100, live: undefined, real: 0, writes: 0, oldestMs: undefined }]);
  expect(judgeLosses([loss('a', 100, { c: 1 })], [], [write('a', 'k1', 90)]).losses).toEqual([{ region: 'a', atMs: 100, live: undefined, real: undefined, writes: 0, oldestMs: undefined }]);
  expect([sumOf([], 'real'), sumOf([{ region: 'a', atMs: 1, live: undefined, real: 0, writes: 0, oldestMs: undefined }, { region: 'b', atMs: 1, live: 1, real: 0, writes: 0, oldestMs: undefined }], 'live')]).toEqual([undefined, undefined]);
});
