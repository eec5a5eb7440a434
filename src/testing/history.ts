// What clients did and what was promised to them, in the order in which it ended: all that a checker may believe besides
// the copies themselves.

import type { RegionId } from '../core/version/dot.ts';

export type Outcome = 'acknowledged' | 'refused' | 'unknown';

export interface ClientWrite {
  readonly client: string;
  readonly collection: string;
  readonly pk: string;
  readonly kind: 'put' | 'delete';
  /** Unique in the run; a delete has one too, so that it can be named. */
  readonly value: string;
  readonly operation: string;
  /** What its context or If-Match had read: values that it writes over. */
  readonly superseded: readonly string[];
  readonly ifMatch: string | undefined;
  /** Neither context nor precondition. */
  readonly isBlind: boolean;
  readonly expiresMs: number | undefined;
  readonly startedMs: number;
  endedMs: number;
  /** Its client has its answer, or has given up. */
  isOver: boolean;
  outcome: Outcome;
  /** Of the answer that settled it. */
  status: number | undefined;
  servedBy: RegionId | undefined;
  /** The `Write-Outcome` field. */
  effect: string | undefined;
}

export interface ClientRead {
  readonly client: string;
  readonly collection: string;
  readonly pk: string;
  readonly values: readonly string[];
  readonly tag: string | undefined;
  readonly servedBy: RegionId | undefined;
  readonly startedMs: number;
  readonly endedMs: number;
}

export class History {
  readonly writes: ClientWrite[] = [];
  readonly reads: ClientRead[] = [];
  /** Requests, retries included. */
  requests = 0;
  readonly statuses = new Map<number, number>();
  readonly #byValue = new Map<string, ClientWrite>();
  /** Values that were lost with a disk, and counted in its live RPO then. */
  readonly excused = new Set<string>();

  begin(write: ClientWrite): ClientWrite {
    this.writes.push(write);
    this.#byValue.set(write.value, write);
    return write;
  }

  writer(value: string): ClientWrite | undefined {
    return this.#byValue.get(value);
  }

  answered(status: number): void {
    this.requests++;
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
  }
}

/** One line. */
export const describe = ({ client, kind, collection, pk, value, outcome, effect, servedBy, ifMatch, superseded, startedMs, endedMs, operation }: ClientWrite): string =>
  `${kind} ${collection}/${pk} ${value} by ${client} (${startedMs.toFixed(0)}..${endedMs.toFixed(0)} ms, ${outcome} ${effect ?? ''} at ${servedBy ?? '?'}${ifMatch === undefined ? '' : `, If-Match ${ifMatch}`}${superseded.length === 0 ? '' : `, over ${superseded.join(' ')}`}, ${operation.slice(0, 13)})`;
