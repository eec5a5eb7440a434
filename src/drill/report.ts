// What a run of a drill leaves behind: for people as a page (page.ts), for programs as JSON.

import type { ControlName } from './drill.ts';
import type { Measured, Verdict } from './expectation.ts';
import type { Second } from './measure.ts';

export interface DrillEvent {
  /** Since the load began. */
  readonly atMs: number;
  readonly what: string;
}

export interface DrillReport {
  readonly drill: string;
  readonly about: string;
  readonly place: string;
  readonly regions: readonly string[];
  readonly control: ControlName | undefined;
  readonly passed: boolean;
  readonly verdicts: readonly Verdict[];
  readonly measured: Measured;
  readonly events: readonly DrillEvent[];
  readonly seconds: readonly Second[];
  /** Per second and region: live RPO; undefined while it does not answer. */
  readonly owed: readonly (readonly (number | undefined)[])[];
  /** The same of the keys that wait for peers. */
  readonly hints: readonly (readonly (number | undefined)[])[];
  /** The same of the items that wait for peers, in a queue on disk or not, together: its queue depth. */
  readonly queued: readonly (readonly (number | undefined)[])[];
  /** The most that the oldest of them had waited. */
  readonly oldestMs: number;
  /** The most that one region could not handle. */
  readonly deadLetters: number;
  /** Keys that were not the same in all regions that answered, when something was first to be brought back; undefined: nothing was. */
  readonly divergedAtHealing: number | undefined;
  /** Keys that were not the same everywhere when the load ended; undefined: a region did not answer. */
  readonly divergedKeys: number | undefined;
  readonly certificates: readonly Proof[];
  readonly requests: number;
  readonly retriesPerRequest: number;
  readonly skipped: number;
  /** What was otherwise than the file says, and why. */
  readonly remarks: readonly string[];
  /** Examples of what went wrong. */
  readonly notes: readonly string[];
}

/** Of one pair of regions: the newest from before the drill, and the newest. */
export interface Proof {
  readonly pair: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
  readonly digest: string | undefined;
}
