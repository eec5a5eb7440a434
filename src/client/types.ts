// What the client takes and gives. The bodies of answers are typed by the schemas that make the OpenAPI document, as types
// only: nothing of the server is loaded.

import type { z } from '@hono/zod-openapi';
import type * as schemas from '../http/schemas.ts';

export type ListedValue = z.output<typeof schemas.listedValue>;
export type ListedItem = z.output<typeof schemas.listedItem>;
export type ItemPage = z.output<typeof schemas.itemPage>;
export type Policy = z.input<typeof schemas.policySpec>;
export type Collection = z.output<typeof schemas.collectionAnswer>;
export type Explanation = z.output<typeof schemas.explainAnswer>;
export type ConflictPage = z.output<typeof schemas.conflictPage>;
export type Conflict = ConflictPage['items'][number];
export type Restored = z.output<typeof schemas.restoreAnswer>;
export type SettledGroup = z.output<typeof schemas.groupAnswer>;
export type Topology = z.output<typeof schemas.topologyAnswer>;
export type TopologyChanged = z.output<typeof schemas.topologyChanged>;
export type Replication = z.output<typeof schemas.replicationAnswer>;
export type ReconcileRequest = z.input<typeof schemas.reconcileRequest>;
export type Reconciliation = z.output<typeof schemas.reconcileAnswer>;
export type PairReport = NonNullable<Reconciliation['pairs']>[number];
export type Certificate = z.output<typeof schemas.certificatesAnswer>['certificates'][number];
export type KeyRequest = z.input<typeof schemas.keyRequest>;
export type NewKey = z.output<typeof schemas.keyAnswer>;
export type Key = z.output<typeof schemas.keysAnswer>['keys'][number];

/** Text stands for its UTF-8 bytes. */
export type KeyPart = string | Uint8Array;

export interface Item {
  readonly collection: string;
  readonly pk: KeyPart;
  readonly sk?: KeyPart;
}

export interface Place {
  readonly lat: number;
  readonly lon: number;
}

/** Who answered, who wrote the version that was served, and how long ago. */
export interface ServedBy {
  readonly region: string;
  readonly origin?: string;
  readonly ageMs?: number;
}

export interface CallOptions {
  /** In all, over every attempt. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Where the viewer is, for an edge on loopback. */
  readonly viewer?: Place;
}

export interface ReadOptions extends CallOptions {
  /** `winner`: one value, the same everywhere. `all`: the list, even of one. */
  readonly siblings?: 'winner' | 'all';
}

export type Read =
  | {
      readonly type: 'value';
      readonly bytes: Uint8Array;
      readonly contentType: string;
      readonly etag: string;
      readonly context: string;
      readonly expires?: Date;
      /** Of how many siblings this one is the winner (`siblings: 'winner'`). */
      readonly conflicts?: number;
      readonly servedBy: ServedBy;
    }
  | { readonly type: 'siblings'; readonly siblings: readonly ListedValue[]; readonly etag: string; readonly context: string; readonly servedBy: ServedBy }
  | { readonly type: 'absent'; readonly context?: string; readonly servedBy: ServedBy };

export interface WriteOptions extends CallOptions {
  /** As a read of this item gave it: what it covers is superseded. */
  readonly context?: string;
  /** Tags without quotes, or `*`. */
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  /** So many other regions, or these. */
  readonly replicateTo?: number | readonly string[];
  /** How long to wait for them, in seconds (at most 5). */
  readonly waitSeconds?: number;
  /** The id under which retries are one write; a UUIDv7 by default. */
  readonly operation?: string;
}

export interface PutOptions extends WriteOptions {
  readonly contentType?: string;
  readonly ttlSeconds?: number;
}

export interface Written {
  readonly outcome: 'stored' | 'sibling' | 'superseded' | 'duplicate';
  /** Nothing was there before. */
  readonly created: boolean;
  readonly etag?: string;
  readonly context?: string;
  /** With `replicateTo`: the other regions that held the write when time was up, and whether they were as many as asked. */
  readonly replicatedTo?: readonly string[];
  readonly isReplicated?: boolean;
  readonly operation: string;
  readonly attempts: number;
  readonly servedBy: ServedBy;
}

export interface RangeOptions extends CallOptions {
  readonly ge?: KeyPart;
  readonly gt?: KeyPart;
  readonly le?: KeyPart;
  readonly lt?: KeyPart;
  readonly prefix?: KeyPart;
  readonly order?: 'asc' | 'desc';
  readonly limit?: number;
  readonly cursor?: string;
}

export interface PageOptions extends CallOptions {
  readonly limit?: number;
  readonly cursor?: string;
}

export interface ConflictOptions extends PageOptions {
  readonly state?: 'lost' | 'siblings';
  /** Stranded writes of this group only. */
  readonly group?: string;
  /** ISO 8601, or milliseconds since 1970. */
  readonly since?: string;
}
