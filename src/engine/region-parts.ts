// What a region is composed of: the ports behind which it does not look, and who it is.

import type { Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { ChangeLog } from '../ports/change-log.ts';
import type { Limits } from './limits.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Peer } from '../ports/peer.ts';
import type { DeadLetters, Queue } from '../ports/queue.ts';
import type { Random } from '../ports/random.ts';
import type { Table } from '../ports/table.ts';

export interface RegionParts {
  readonly id: RegionId;
  readonly incarnation: string;
  /**
   * The folder or table is not the one that this region last wrote, or was not when it last started and the peers have not
   * given back yet what they hold.
   */
  readonly isNew: boolean;
  /** The incarnation was drawn at this start: no peer can know a stamp of it that the store has forgotten. */
  readonly isDrawn?: boolean;
  /** A new incarnation, when a peer shows that this one has forgotten stamps. Until `recovered` a start is new. */
  drawIncarnation(): Promise<string>;
  /** The peers have given back what they hold. */
  recovered?(): Promise<void>;
  readonly topology: Topology;
  readonly table: Table;
  readonly changes: ChangeLog;
  readonly peers: readonly Peer[];
  /** Of a region that a later document lists. */
  peer?(id: RegionId): Peer;
  hints(peer: RegionId): Queue;
  deadLetters(peer: RegionId): DeadLetters;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly hash: HashFunction;
  /** Of the digests, with a key that all regions of the deployment derive from its secret. */
  readonly digestHash: HashFunction;
  readonly reconcileEveryMs: number | undefined;
  /** Default: LIMITS. */
  readonly limits?: Limits;
  /** How long a delete stays before it may be reaped; TOMBSTONE_GRACE_MS unless a test says otherwise. */
  readonly graceMs?: number;
  /** For how long a region may be away before it is rebuilt; REGION_HORIZON_MS unless a test says otherwise. */
  readonly horizonMs?: number;
  /** How long another process of this region may go on with an older reaped line (Lambda); 0 when there is none. */
  readonly lineSettlesMs?: number;
  /** Tombstones that one round of reaping takes; REAP_TOMBSTONES_MAX by default. */
  readonly reapTombstonesMax?: number;
  /** How many observers make a region down for whoever routes; OBSERVERS_AGREE by default. */
  readonly observersAgree?: number | undefined;
}
