// Figures of a drill from what clients saw, checked by hand; and what expectations say of them.

import { describe, expect, it } from 'vitest';
import { differences, firstDifference, unaccounted, type LoggedWrite, type View } from '../../src/drill/account.ts';
import { parseExpectation, type Measured } from '../../src/drill/expectation.ts';
import { answersOf, badSeconds, detectionMs, errorRate, errorRateFrom, quantile, recoveryMs, secondsOf, shareOf, staleReadMs, staleReads, stampsAheadMs, type Sample } from '../../src/drill/measure.ts';
import { formatDot, makeActor, type RegionId } from '../../src/core/version/dot.ts';
import { makeStamp } from '../../src/core/version/stamp.ts';

const sample = (atMs: number, more: Partial<Sample> = {}): Sample => ({ atMs, tookMs: 10, isRead: true, isGood: true, servedBy: 'a', attempts: 1, isStale: false, ...more });

/** A hundred requests in each second, of which so many fail. */
const seconds = (failures: readonly number[], slow: Readonly<Record<number, number>> = {}): Sample[] =>
  failures.flatMap((bad, second) => Array.from({ length: 100 }, (_, at) => sample(second * 1_000 + at * 10, { isGood: at >= bad, tookMs: slow[second] ?? 10 })));

const recovered = (failures: readonly number[], faultMs: number, slow: Readonly<Record<number, number>> = {}): number | undefined => recoveryMs(secondsOf(seconds(failures, slow), failures.length * 1_000), faultMs);

describe('what clients saw', () => {
  it('quantiles are of the values themselves', () => {
    expect(quantile([1, 2, 3, 4], 0.5)).toBe(2);
    expect(quantile([1, 2, 3, 4], 0.99)).toBe(4);
    expect(quantile([], 0.5)).toBe(0);
  });

  it('seconds count what was due in them, answered or not', () => {
    const [first, second] = secondsOf([sample(0, { tookMs: 5 }), sample(999, { isGood: false, tookMs: 7, servedBy: undefined }), sample(1_000, { servedBy: 'b' })], 2_000);
    expect(first).toEqual({ second: 0, requests: 2, good: 1, p50Ms: 5, p99Ms: 7, servedBy: { a: 1 }, p99MsBy: { a: 5 } });
    expect(second).toMatchObject({ requests: 1, servedBy: { b: 1 } });
  });

  it('recovery is from the last good second to the first of five good ones', () => {
    expect(recovered([0, 0, 0, 50, 50, 0, 0, 0, 0, 0], 3_200)).toBe(2_000);
    expect(recovered([0, 0, 0, 0, 0, 0, 0, 0, 0], 3_000)).toBe(0); // nobody noticed
    expect(recovered([0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0], 3_000)).toBe(6_000); // four good ones in a row are not five
    expect(recovered([0, 0, 0, 50, 0, 0, 0, 0], 3_000)).toBeUndefined(); // it ended too early to tell
    expect(recovered([0, 0, 0, 1, 1, 1, 1, 1], 3_000)).toBe(0); // 99 % is good
  });

  it('a second in which answers take more than twice the normal time is not a good one', () => {
    const tail = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    expect(recovered(tail, 3_000, { 3: 51, 4: 50 })).toBe(1_000); // normal is 25 ms at least
    expect(recovered(tail, 3_000, { 1: 40, 3: 80 })).toBe(0);
    expect(recovered(tail, 3_000, { 0: 900, 3: 80 })).toBe(1_000); // the first second warms up
  });

  it('a later outage makes bad seconds, where recovery is from the first fault only', () => {
    const failures = [0, 0, 0, 0, 0, 0, 0, 0, 50, 50, 50, 0];
    expect(recovered(failures, 3_000)).toBe(0);
    expect(badSeconds(secondsOf(seconds(failures), 12_000), 3_000)).toBe(3);
    expect(badSeconds(secondsOf(seconds(failures), 12_000), 9_000)).toBe(2); // the first of the three stands before it
    expect(badSeconds(secondsOf(seconds(failures), 12_000), 500)).toBeUndefined(); // there was nothing before to be as good as
  });

  it('what a region answered is what was sent and answered in that time, and its share is of all answers', () => {
    const samples = [sample(900), sample(1_100), sample(1_200, { servedBy: 'b' }), sample(1_300, { isGood: false, servedBy: undefined }), sample(1_400, { servedBy: 'b' }), sample(1_990, { tookMs: 200 })];
    expect(answersOf(samples, 'a', 1_000, 2_000)).toBe(1); // the last one was answered when it was over
    expect(shareOf(samples, 'a', 1_000, 2_000)).toBeCloseTo(1 / 3);
    expect(shareOf(samples, 'a', 5_000, 6_000)).toBeUndefined();
  });

  it('detection, errors and stale reads', () => {
    const samples = [sample(900), sample(1_000, { isGood: false, servedBy: undefined }), sample(1_100, { servedBy: 'b', tookMs: 50, isStale: true }), sample(1_500, { servedBy: 'b' })];
    expect(detectionMs(samples, 1_000, new Set(['a']))).toBe(150);
    expect(detectionMs(samples, 1_000, new Set(['a', 'b']))).toBeUndefined();
    expect(detectionMs([sample(900, { servedBy: 'b' }), ...samples.slice(1)], 1_000, new Set(['a']))).toBeUndefined(); // clients were elsewhere already
    expect(errorRate(samples)).toBe(0.25);
    expect([950, 1_050, 2_000].map((fromMs) => errorRateFrom(samples, fromMs))).toEqual([1 / 3, 0, undefined]);
    expect(staleReadMs(samples, 1_000)).toBe(150);
    expect(staleReadMs(samples, 1_200)).toBe(0);
    expect([1_000, 1_200].map((faultMs) => staleReads(samples, faultMs))).toEqual([1, 0]);
    expect(errorRate([])).toBe(1);
  });
});

describe('stamps', () => {
  const write = (dot: string | undefined, endedMs: number, outcome: LoggedWrite['outcome'] = 'acknowledged'): LoggedWrite => ({ pk: 'k', value: 'w', outcome, attempts: 1, startedMs: 0, endedMs, ...(dot === undefined ? {} : { dot }) });
  const dotAt = (ms: number): string => formatDot({ actor: makeActor('a' as RegionId, 'k3'), stamp: makeStamp(ms) });

  it('the most by which one was ahead of its answer; behind it is where it belongs', () => {
    expect(stampsAheadMs([write(dotAt(1_010), 20), write(dotAt(1_500), 100), write(dotAt(9_000), 200, 'unknown'), write(undefined, 300)], 1_000)).toBe(400);
    expect(stampsAheadMs([write(dotAt(1_010), 20)], 1_000)).toBe(0);
    expect(stampsAheadMs([write(undefined, 20)], 1_000)).toBeUndefined();
  });
});

describe('expectations', () => {
  const measured: Measured = { rtoMs: 2_000, detectionMs: 100, verdictMs: 2_000, equalAfterHealingMs: 8_000, errorsAfterReturn: 0.001, losses: [{ region: 'a', atMs: 5_000, live: 7, real: 3, writes: 4, oldestMs: 10 }], rpoLive: 7, rpoReal: 3, acknowledged: 100, lost: 0, errorRate: 0.005, convergedMs: 900, copiesEqual: true, conflicts: 2, stranded: 1, rebuilt: 0, stampsAheadMs: 20, staleReadMs: 0, staleReads: 0, staleAfterReturn: 0, behind: 3, askedWhileDrained: 4, answeredWhileFenced: 0, badSeconds: 2, shareAfterReturn: 0.4 };
  const judge = (text: string, changed: Partial<Measured> = {}): boolean => parseExpectation(text).judge({ ...measured, ...changed }).holds;

  it.each([
    ['rto < 2001ms', { rtoMs: 2_001 }],
    ['rto < 3s', { rtoMs: undefined }],
    ['detection < 1s', { detectionMs: 1_000 }],
    ['verdict < 3s', { verdictMs: 3_000 }],
    ['verdict < 3s', { verdictMs: undefined }],
    ['equal after healing < 10s', { equalAfterHealingMs: 10_000 }],
    ['errors after return < 1 %', { errorsAfterReturn: 0.01 }],
    ['errors after return < 1 %', { errorsAfterReturn: undefined }],
    ['no stale read after 1s', { staleReadMs: 1_000 }],
    ['stale reads < 1s', { staleReadMs: 1_000 }],
    ['stale reads <= 3', { staleReads: 4 }],
    ['stale reads after return = 0', { staleAfterReturn: 1 }],
    ['converged within 1s', { convergedMs: undefined }],
    ['errors < 1 %', { errorRate: 0.01 }],
    ['errors < 0.6%', { errorRate: 0.006 }],
    ['lost = 0', { lost: 1 }],
    ['rpo <= 3', { rpoReal: 4 }],
    ['rpo <= 3', { rpoReal: undefined }],
    ['rpo <= live rpo at the loss', { losses: [{ region: 'a', atMs: 5_000, live: 7, real: 8, writes: 8, oldestMs: 10 }] }],
    ['rpo <= live rpo at the loss', { losses: [{ region: 'a', atMs: 5_000, live: undefined, real: 0, writes: 0, oldestMs: undefined }] }],
    ['rpo <= live rpo at the loss', { losses: [{ region: 'a', atMs: 5_000, live: 7, real: undefined, writes: 0, oldestMs: undefined }] }],
    ['rpo <= live rpo at the loss', { losses: [{ region: 'a', atMs: 5_000, live: 7, real: 0, writes: 0, oldestMs: undefined }, { region: 'b', atMs: 6_000, live: 1, real: 2, writes: 2, oldestMs: 10 }] }], // what one did not lose does not pay for another
    ['rpo <= live rpo at the loss', { losses: [] }],
    ['conflicts >= 1', { conflicts: 0 }],
    ['stranded >= 1', { stranded: 0 }],
    ['rebuilt = 0', { rebuilt: 1 }],
    ['stamps ahead < 1s', { stampsAheadMs: 1_000 }],
    ['stamps ahead < 1s', { stampsAheadMs: undefined }],
    ['behind >= 1', { behind: 0 }],
    ['asked while drained <= 4', { askedWhileDrained: 5 }],
    ['answered while fenced = 0', { answeredWhileFenced: 1 }],
    ['bad seconds <= 2', { badSeconds: 3 }],
    ['bad seconds <= 2', { badSeconds: undefined }],
    ['share after return < 50 %', { shareAfterReturn: 0.5 }],
    ['share after return < 50 %', { shareAfterReturn: undefined }],
    ['copies equal', { copiesEqual: false }],
  ] as const)('%s holds, and fails with %o', (text, changed) => {
    expect(judge(text)).toBe(true);
    expect(judge(text, changed as Partial<Measured>)).toBe(false);
  });

  it('of several losses each is named', () => {
    const losses = [{ region: 'a', atMs: 5_000, live: 7, real: 3, writes: 4, oldestMs: 10 }, { region: 'b', atMs: 6_000, live: undefined, real: 2, writes: 2, oldestMs: 10 }];
    expect(parseExpectation('rpo <= live rpo at the loss').judge({ ...measured, losses })).toEqual({ holds: false, found: 'a 3 of 7, b not measured' });
    expect(parseExpectation('rpo <= live rpo at the loss').judge(measured)).toEqual({ holds: true, found: '3 of 7' });
  });

  it.each(['rto', 'rto < 5', 'rto <= 5s', 'lost', 'errors < 1', 'converged'])('%s is none', (text) => expect(() => parseExpectation(text)).toThrow(/Not an expectation/));
});

describe('the account of a drill', () => {
  const line = (pk: string, values: string, context: string, ops = ''): string => `00ff drill "${pk}" {${values}} ctx {${context}} ops [${ops}]`;
  const view = (lines: readonly string[], losses: View['losses'] = []): View => ({ region: 'r', lines, losses });
  const write = (more: Partial<LoggedWrite> = {}): LoggedWrite => ({ pk: 'k', value: 'w1', outcome: 'acknowledged', dot: 'a~1@0005.0000', attempts: 1, startedMs: 0, endedMs: 10, ...more });
  const isMissing = (views: readonly View[], more: Partial<LoggedWrite> = {}, others: readonly LoggedWrite[] = []): boolean => unaccounted(views, [write(more), ...others]).some(({ value }) => value === 'w1');

  it('current, ledgered or covered is accounted for; anything else is missing', () => {
    expect(isMissing([])).toBe(true);
    expect(isMissing([view([line('k', 'a~1@0005.0000 "w1" text/plain', 'a~1@0005.0000')])])).toBe(false);
    expect(isMissing([view([line('k', 'b~1@0006.0000 "w2" text/plain', 'b~1@0006.0000')])])).toBe(true);
    expect(isMissing([view([line('k', 'b~1@0006.0000 "w2" text/plain', 'a~1@0005.0000, b~1@0006.0000')])])).toBe(false);
    expect(isMissing([view([line('k', 'b~1@0006.0000 "w2" text/plain', 'a~1@0004.0000, b~1@0006.0000')])])).toBe(true);
    expect(isMissing([view([line('other', 'a~1@0005.0000 "w1" text/plain', 'a~1@0005.0000')])])).toBe(true);
    expect(isMissing([view([], [{ pk: 'k', value: 'w1', context: {} }])])).toBe(false);
    expect(isMissing([view([], [{ pk: 'k', value: 'w2', context: { 'a~1': '0005.0000' } }])])).toBe(false);
    expect(isMissing([view([]), view([line('k', 'a~1@0005.0000 "w1" text/plain', 'a~1@0005.0000')])])).toBe(false); // at any of them
  });

  it('nobody was promised what was refused, or left open', () => {
    expect(isMissing([], { outcome: 'refused' })).toBe(false);
    expect(isMissing([], { outcome: 'unknown' })).toBe(false);
  });

  it('what was sent twice may have been done twice: a later write supersedes the other execution, an earlier one does not', () => {
    const later = write({ value: 'w2', startedMs: 20, endedMs: 30, dot: 'b~1@0006.0000' });
    expect(isMissing([], { attempts: 2 }, [later])).toBe(false);
    expect(isMissing([], { attempts: 1 }, [later])).toBe(true);
    expect(isMissing([], { attempts: 2 }, [write({ value: 'w0', startedMs: -20, endedMs: -10 })])).toBe(true);
    expect(isMissing([], { attempts: 2 }, [{ ...later, outcome: 'refused' }])).toBe(true);
    // Of one whose outcome is unknown nobody knows how often it was sent.
    expect(isMissing([], {}, [write({ value: 'w2', outcome: 'unknown', startedMs: 5, endedMs: 5_000 })])).toBe(false);
    expect(isMissing([], {}, [write({ value: 'w2', outcome: 'unknown', startedMs: 60_000, endedMs: 65_000 })])).toBe(true);
    // And what only one execution of another superseded is in its past.
    expect(isMissing([], {}, [{ ...later, attempts: 2 }])).toBe(false);
    expect(isMissing([], {}, [{ ...later, attempts: 2, startedMs: 99_000, endedMs: 99_010 }])).toBe(true);
  });

  it('done twice, and a write that overlapped it superseded the other execution: the record remembers both dots', () => {
    const overlapping = write({ value: 'w2', startedMs: 5, endedMs: 30, dot: 'b~1@0006.0000' });
    const record = (operations: string): View => view([line('k', 'b~1@0006.0000 "w2" text/plain', 'b~1@0006.0000', operations)]);
    expect(isMissing([record('aa>a~1@0005.0000, aa>b~1@0004.0000, bb>b~1@0006.0000')], { attempts: 2 }, [overlapping])).toBe(false);
    expect(isMissing([record('aa>a~1@0005.0000, cc>b~1@0004.0000, bb>b~1@0006.0000')], { attempts: 2 }, [overlapping])).toBe(true);
    expect(isMissing([record('aa>a~1@0005.0000, aa>b~1@0007.0000, bb>b~1@0006.0000')], { attempts: 2 }, [overlapping])).toBe(true);
  });

  it('copies differ where a line does; a disk that was lost took operations and tombstones with it', () => {
    const whole = view([line('k', 'a~1@0005.0000 "w1" text/plain', 'a~1@0005.0000', '1>a~1@0005.0000')]);
    const fewer = { ...view([line('k', 'a~1@0005.0000 "w1" text/plain', 'a~1@0005.0000'), line('l', 'a~1@0007.0000 deleted', 'a~1@0007.0000')]), region: 's' };
    expect(firstDifference([whole, whole], 'records')).toBeUndefined();
    expect(firstDifference([whole, fewer], 'records')).toContain('s: 00ff');
    expect(firstDifference([whole, fewer], 'live values')).toBeUndefined();
    expect(firstDifference([whole, view([])], 'live values')).toContain('nothing');
    expect([differences([whole, whole], 'records'), differences([whole, fewer], 'records'), differences([whole, fewer], 'live values'), differences([whole, view([])], 'live values')]).toEqual([0, 2, 0, 1]);
    const evicted = view(whole.lines.map((each) => `${each} evicted 0004.0000`));
    expect(firstDifference([evicted, fewer], 'live values')).toBeUndefined();
  });
});
