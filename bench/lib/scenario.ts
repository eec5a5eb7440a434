// A scenario measures some rows on one stage. A row that misses its floor is measured again by its scenario, with the
// other rows left out.

import type { Figure } from './results.ts';

export interface Size {
  readonly quick: boolean;
  readonly keys: number;
  readonly rounds: number;
  /** Of one measurement within a round. */
  readonly seconds: number;
}

export const QUICK: Size = { quick: true, keys: 10_000, rounds: 5, seconds: 0.5 };
export const FULL: Size = { quick: false, keys: 100_000, rounds: 7, seconds: 3 };

export type Figures = Readonly<Record<string, readonly Figure[]>>;

export interface Scenario {
  readonly rows: readonly string[];
  /** Those that are measured in this process, on this code, whichever archipel is started. */
  readonly inProcess?: readonly string[];
  measure(size: Size, wanted: ReadonlySet<string>): Promise<Figures>;
}
