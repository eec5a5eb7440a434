// What a comparison of two regions found and moved, and what it proves.

import type { GroupId } from '../core/keys/item-key.ts';
import type { RegionId } from '../core/version/dot.ts';

export interface Certificate {
  readonly regions: readonly [RegionId, RegionId];
  readonly term: number;
  readonly epoch: number;
  /** Partitions compared, per group; one line when all are equal. */
  readonly groups: readonly { readonly group: GroupId; readonly partitions: number }[];
  readonly digest: string;
  readonly deep: boolean;
  readonly atMs: number;
  readonly noDifferenceOlderThanMs: number;
  /** Of the lease under which the run was made. */
  readonly token: number;
}

/** As it is told to the peer. */
export interface SentCertificate extends Certificate {
  /** Which the first question of the proving look named; absent from who does not know of it. */
  readonly lookedAtMs?: number;
}

export interface PairReport {
  readonly peer: RegionId;
  compared: number;
  differing: number;
  pushed: number;
  pulled: number;
  /** Of what was pulled, what could not be stored here. */
  notStored: number;
  requests: number;
  bytes: number;
  /** Round trips of the comparison alone, the longest pass; and its bytes, the largest. */
  rounds: number;
  comparedBytes: number;
  /** Stored items whose value is not what was written; of a deep check partitions whose kept digest was wrong. */
  corrupt: { collection: string; key: Uint8Array }[];
  wrongDigests: number;
  /** The first of the items that differed, for people. */
  differingKeys: Uint8Array[];
  equal: boolean;
  certificate?: Certificate;
}
