// Metrics of ours, as lines of the log that CloudWatch reads them from (its embedded metric format): no call, and nothing to
// wait for. Powertools writes the same lines; fifteen kilobytes of each bundle, and a package, for what is written here.

import type { RegionId } from '../../src/core/version/dot.ts';

export const NAMESPACE = 'Archipel';

/** Each with the unit that CloudWatch shows. Those of PEER_METRICS are told for each peer, the others of the region. */
export const METRICS = {
  /** 1 while no stamps are issued, by heartbeat every minute. */
  ClockUnsafe: 'Count',
  /** 1 while an environment knows another table than the one that is there. */
  TableReplaced: 'Count',
  /** Pairs that this region compares and that have no certificate of the last day. */
  PairsUnproved: 'Count',
  /** 1 when the peer did not answer heartbeat. */
  PeerDown: 'Count',
  /** Sends that the peer's inbox did not take, or that the breaker did not let through. */
  InboxRefused: 'Count',
  /** Of the newest certificate with the peer. */
  CertificateAge: 'Seconds',
} as const;

export type MetricName = keyof typeof METRICS;
export const PEER_METRICS = ['PeerDown', 'InboxRefused', 'CertificateAge'] as const satisfies readonly MetricName[];
export type PeerMetric = (typeof PEER_METRICS)[number];
export type RegionMetric = Exclude<MetricName, PeerMetric>;

export interface MetricPlace {
  readonly deployment: string;
  readonly region: RegionId;
}

export class Metrics {
  readonly #place: MetricPlace;
  readonly #write: (line: string) => void;

  /** Standard output, as it is: `console.log` would put a time before the line, and then it is no metric. */
  constructor({ deployment, region }: MetricPlace, write = (line: string): void => void process.stdout.write(line)) {
    this.#place = { deployment, region };
    this.#write = write;
  }

  region(values: Partial<Record<RegionMetric, number>>): void {
    this.#emit(values, {});
  }

  peer(peer: RegionId, values: Partial<Record<PeerMetric, number>>): void {
    this.#emit(values, { Peer: peer });
  }

  #emit(values: Readonly<Partial<Record<MetricName, number>>>, more: Readonly<Record<string, string>>): void {
    const names = Object.keys(values) as MetricName[];
    if (names.length === 0) return;
    const dimensions = { ...dimensionsOf(this.#place), ...more };
    const directive = { Namespace: NAMESPACE, Dimensions: [Object.keys(dimensions)], Metrics: names.map((name) => ({ Name: name, Unit: METRICS[name] })) };
    this.#write(`${JSON.stringify({ _aws: { Timestamp: Date.now(), CloudWatchMetrics: [directive] }, ...dimensions, ...values })}\n`);
  }
}

export const dimensionsOf = ({ deployment, region }: MetricPlace): Readonly<Record<string, string>> => ({ Deployment: deployment, Region: region });
