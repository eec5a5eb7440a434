// What the load generator can be asked to do, and what it answers.

import type { ProtocolName } from './protocols.ts';

/**
 * Which keys: `<prefix><number>`, the number from 0 below `count`: in turn, by chance, or zipfian (exponent 0.99, the
 * frequent ones scattered over all numbers), which is how keys are asked for in practice and in the benchmarks of others.
 */
export interface Keys {
  readonly prefix: string;
  readonly count: number;
  readonly order: 'in-turn' | 'uniform' | 'zipfian';
  /** So many items share a pk: `<prefix><number / group>/<number % group>`. */
  readonly group?: number;
  /** The first number in turn. */
  readonly from?: number;
}

/**
 * Closed loop: each connection sends when it has its answer. With `perSecond` an open loop at that rate: requests are due at
 * fixed times, whatever became of those before. One that is due while every connection waits is sent by the first that is
 * free, and its time is counted from when it was due: a server that stands still for a second is seen by all who would have
 * asked meanwhile, and not by one each connection (coordinated omission).
 */
export interface LoadJob {
  readonly type: 'load';
  readonly url: string;
  readonly method: 'GET' | 'PUT';
  /** What is not HTTP has no path and no headers; the key is that of `keys`. */
  readonly protocol?: ProtocolName;
  /** The path before the key; without keys the whole path. */
  readonly path: string;
  readonly keys?: Keys;
  readonly headers: Readonly<Record<string, string>>;
  readonly valueBytes?: number;
  readonly connections: number;
  /** Ends after so long, or after so many requests. */
  readonly seconds: number;
  readonly requests?: number;
  readonly perSecond?: number;
  /** A connection that broke, or an answer 5xx, is followed by the next key; otherwise it ends the job. */
  readonly tolerant?: boolean;
}

export interface LoadResult {
  readonly done: number;
  readonly statuses: Readonly<Record<number, number>>;
  /** Connections that broke with a request under way. */
  readonly broken: number;
  /** Numbers of keys in turn that were sent and not answered with 2xx. */
  readonly unanswered: readonly number[];
  /** The next number in turn. */
  readonly next: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** Open loop: how late the generator itself was, p99, with a connection free. Not counted as time of the server. */
  readonly lateMs: number;
  /** The longest time without an answer 2xx. */
  readonly gapMs: number;
  readonly readsPerAnswer: number;
  /** Processor time of the generator, for judging how much of what was seen is its own. */
  readonly cpuMicros: number;
}

/** Of a load that was not asked for. */
export const UNMEASURED: LoadResult = { done: 0, statuses: {}, broken: 0, unanswered: [], next: 0, seconds: 0, perSecond: Number.NaN, p50Ms: Number.NaN, p99Ms: Number.NaN, p999Ms: Number.NaN, maxMs: Number.NaN, lateMs: Number.NaN, gapMs: Number.NaN, readsPerAnswer: Number.NaN, cpuMicros: Number.NaN };

/** Writes at a steady pace in one region and asks another one until it shows each write. */
export interface LagJob {
  readonly type: 'lag';
  readonly from: string;
  readonly to: string;
  readonly path: string;
  readonly keys: Keys;
  readonly headers: Readonly<Record<string, string>>;
  readonly valueBytes: number;
  readonly perSecond: number;
  readonly seconds: number;
}

export interface LagResult {
  readonly probes: number;
  /** Not visible within five seconds. */
  readonly unseen: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

export type Job = LoadJob | LagJob;
export type JobResult<J extends Job> = J extends LoadJob ? LoadResult : LagResult;
