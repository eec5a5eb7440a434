// What an observed process tells (observer.ts).

import type { Tails } from './results.ts';

export const FOLDER_VARIABLE = 'ARCHIPEL_BENCH_OBSERVED';
export const PROFILE_VARIABLE = 'ARCHIPEL_BENCH_PROFILED';

export interface Pause {
  readonly kind: string;
  readonly count: number;
  readonly sumMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

export interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface Observed {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** How late the event loop was for what it had to do. */
  readonly delay: Omit<Tails, 'of'> & { readonly maxMs: number };
  readonly pauses: readonly Pause[];
  readonly compaction: { readonly seconds: number; readonly readMb: number; readonly writtenMb: number };
  readonly profile?: Profile;
}
