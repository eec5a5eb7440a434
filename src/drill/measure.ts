// What clients saw, second by second, and what follows from it: pure, so that a figure in a report can be checked by hand.

import { parseDot } from '../core/version/dot.ts';
import { stampMs } from '../core/version/stamp.ts';
import type { LoggedWrite } from './account.ts';

/** One request as its client saw it; times in milliseconds since the load began. */
export interface Sample {
  /** When it was due, not when it could be sent: waiting counts. */
  readonly atMs: number;
  readonly tookMs: number;
  readonly isRead: boolean;
  readonly isGood: boolean;
  readonly servedBy: string | undefined;
  readonly attempts: number;
  readonly isStale: boolean;
}

export interface Second {
  readonly second: number;
  readonly requests: number;
  readonly good: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly servedBy: Readonly<Record<string, number>>;
  /** Of the answers that each region gave. */
  readonly p99MsBy: Readonly<Record<string, number>>;
}

const SECOND_MS = 1_000;
const GOOD_SHARE = 0.99;
const GOOD_IN_A_ROW = 5;
/** Below this a doubled p99 tells of the machine, not of the store. */
const NORMAL_P99_MS_MIN = 25;

export function quantile(sorted: readonly number[], share: number): number {
  return sorted.length === 0 ? 0 : (sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] as number);
}

const tookOf = (samples: readonly Sample[]): readonly number[] => samples.map(({ tookMs }) => tookMs).sort((a, b) => a - b);

export function secondsOf(samples: readonly Sample[], endMs: number): Second[] {
  const bySecond = Map.groupBy(samples, ({ atMs }) => Math.floor(atMs / SECOND_MS));
  return Array.from({ length: Math.ceil(endMs / SECOND_MS) }, (_, second) => {
    const all = bySecond.get(second) ?? [];
    const took = tookOf(all);
    const served = Map.groupBy(all.filter(({ servedBy }) => servedBy !== undefined), ({ servedBy }) => servedBy as string);
    return { second, requests: all.length, good: all.filter(({ isGood }) => isGood).length, p50Ms: quantile(took, 0.5), p99Ms: quantile(took, 0.99), servedBy: Object.fromEntries([...served].map(([id, each]) => [id, each.length])), p99MsBy: Object.fromEntries([...served].map(([id, each]) => [id, quantile(tookOf(each), 0.99)])) };
  });
}

const beforeFault = (seconds: readonly Second[], fault: number): readonly Second[] => seconds.slice(1, fault); // the first warms up

/** As good as those before the fault. */
function goodness(before: readonly Second[]): (second: Second) => boolean {
  const normalMs = Math.max(NORMAL_P99_MS_MIN, ...before.map(({ p99Ms }) => p99Ms));
  return ({ requests, good, p99Ms }) => requests > 0 && good >= GOOD_SHARE * requests && p99Ms <= 2 * normalMs;
}

/**
 * Milliseconds from the end of the last good second before the fault to the begin of the first of five good ones in a row;
 * 0 when the second of the fault is itself the first of them; undefined when there are none. A good second has at least
 * 99 % success and a p99 of at most twice the normal one (the largest before the fault, 25 ms at least).
 */
export function recoveryMs(seconds: readonly Second[], faultMs: number): number | undefined {
  const fault = Math.floor(faultMs / SECOND_MS);
  const before = beforeFault(seconds, fault);
  if (before.length === 0) return undefined;
  const isGood = goodness(before);
  const lastGood = before.findLastIndex(isGood) + 1;
  if (lastGood === 0) return undefined;
  for (let at = fault; at + GOOD_IN_A_ROW <= seconds.length; at++) {
    if (seconds.slice(at, at + GOOD_IN_A_ROW).every(isGood)) return (at - lastGood - 1) * SECOND_MS;
  }
  return undefined;
}

/** How many are not good, from that of the first fault on: recovery is from the first fault only, and there may be more. */
export function badSeconds(seconds: readonly Second[], faultMs: number): number | undefined {
  const fault = Math.floor(faultMs / SECOND_MS);
  const before = beforeFault(seconds, fault);
  return before.length === 0 ? undefined : seconds.slice(fault).filter((second) => !goodness(before)(second)).length;
}

/** Answers that a region gave in that time to what was sent in it. */
export const answersOf = (samples: readonly Sample[], region: string, fromMs: number, toMs: number): number => answeredIn(samples, fromMs, toMs).filter(({ servedBy }) => servedBy === region).length;

const answeredIn = (samples: readonly Sample[], fromMs: number, toMs: number): readonly Sample[] => samples.filter(({ atMs, tookMs, servedBy }) => servedBy !== undefined && atMs > fromMs && atMs + tookMs < toMs);

/** Of all answers in that time; undefined: there was none. */
export function shareOf(samples: readonly Sample[], region: string, fromMs: number, toMs: number): number | undefined {
  const all = answeredIn(samples, fromMs, toMs).length;
  return all === 0 ? undefined : answersOf(samples, region, fromMs, toMs) / all;
}

/** Of the answers before a fault, where the lost regions gave fewer nobody had to find anything out. */
const THEIRS = 0.9;

/**
 * To the end of the first request that began behind the fault and was answered by another region than those named; undefined where
 * clients were not with these in the second before.
 */
export function detectionMs(samples: readonly Sample[], faultMs: number, lost: ReadonlySet<string>): number | undefined {
  const before = answeredIn(samples, faultMs - SECOND_MS, faultMs);
  if (before.length === 0 || before.filter(({ servedBy }) => lost.has(servedBy as string)).length < THEIRS * before.length) return undefined;
  const ends = samples.filter(({ atMs, isGood, servedBy }) => atMs >= faultMs && isGood && servedBy !== undefined && !lost.has(servedBy)).map(({ atMs, tookMs }) => atMs + tookMs - faultMs);
  return ends.length === 0 ? undefined : ends.reduce((least, each) => Math.min(least, each));
}

export function staleReadMs(samples: readonly Sample[], faultMs: number): number {
  return samples.filter(({ isStale, atMs }) => isStale && atMs >= faultMs).reduce((latest, { atMs, tookMs }) => Math.max(latest, atMs + tookMs - faultMs), 0);
}

/** How many there were: a key that is read once too early counts as much as one that is stale for long. */
export const staleReads = (samples: readonly Sample[], fromMs: number): number => samples.filter(({ isStale, atMs }) => isStale && atMs >= fromMs).length;

/** The most by which a stamp was ahead of when its write was answered, by the clock of the clients. */
export function stampsAheadMs(writes: readonly LoggedWrite[], loadBeganMs: number): number | undefined {
  const ahead = writes.flatMap(({ outcome, dot, endedMs }) => {
    const stamp = outcome === 'acknowledged' && dot !== undefined ? parseDot(dot)?.stamp : undefined;
    return stamp === undefined ? [] : [stampMs(stamp) - (loadBeganMs + endedMs)];
  });
  return ahead.length === 0 ? undefined : ahead.reduce((most, each) => Math.max(most, each), 0);
}

/** Of what was sent from then on. */
export function errorRateFrom(samples: readonly Sample[], fromMs: number): number | undefined {
  const since = samples.filter(({ atMs }) => atMs >= fromMs);
  return since.length === 0 ? undefined : errorRate(since);
}

export const errorRate = (samples: readonly Sample[]): number => (samples.length === 0 ? 1 : samples.filter(({ isGood }) => !isGood).length / samples.length);
