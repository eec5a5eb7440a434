// Where a drill runs: on processes of this machine, in a simulation, on an emulated AWS, against given addresses. A place does what the steps say and
// shows what an operator could see; it knows nothing of expectations.

import type { Client } from '../client/client.ts';
import type { Certificate } from '../client/types.ts';
import type { View } from './account.ts';
import type { ControlName, PlaceAction, Role } from './drill.ts';

export interface Kept {
  /** Who the region is now: somebody else after it lost its disk, or was rebuilt. */
  readonly actor: string;
  /** Items that wait for peers, together, and how old the oldest of them is. */
  readonly queued: number;
  readonly oldestMs: number;
  /** No longer remembered: the most for one peer. */
  readonly behind: number;
  /** Keys that are remembered for peers, together. */
  readonly hints: number;
  readonly deadLetters: number;
  /** Peers of which it says that they are down. */
  readonly down: readonly string[];
}

export interface DrillPlace {
  readonly name: 'local' | 'sim' | 'given' | 'aws-local';
  /** For so long a region that is there may take to say what it owes; less than a second where nothing is said. */
  readonly answerMs?: number;
  /** In the order of the roles. */
  readonly regions: readonly string[];
  do(action: PlaceAction): Promise<void>;
  /** What clients speak to: the edge, or one region straight, and these others where it does not answer. Each call opens connections of its own. */
  client(at: 'edge' | Role, others?: readonly Role[]): Client;
  /** One that stands where the edge stands, and speaks to this region only: what is done to the link of the edge is done to it. */
  clientBesideEdge(role: Role): Client;
  /** Live RPO of a region towards each of its peers. */
  owed(region: Role): Promise<ReadonlyMap<string, number>>;
  /** What the region keeps for its peers, and what it could not handle. */
  kept(region: Role): Promise<Kept>;
  /** What its comparisons proved, newest first. */
  certificates(region: Role): Promise<readonly Certificate[]>;
  /** Regions that answer now. */
  view(region: Role, collection: string): Promise<View>;
  /** Every region has everything from everybody. */
  isQuiet(): Promise<boolean>;
  /** All links clean, all processes running. */
  healAll(): Promise<void>;
  /** Every pair compares its copies; undefined when no two differ, else where. */
  reconcile(): Promise<string | undefined>;
  end(): Promise<void>;
}

/** What scripts/aws/drill-place.ts gives the command line. Its tools are not part of the program. */
export interface AwsPlaces {
  /** A deployment of its own, in a temporary folder. `say`: a step of that is done. @throws ArchipelError where the emulator cannot be had */
  readonly startAwsPlace: (drill: { readonly regions: number; readonly control: ControlName | undefined }, say: (step: string, seconds: number) => void) => Promise<DrillPlace>;
}
