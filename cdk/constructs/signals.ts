// The figures of a region by which alarms and the dashboard go: CloudWatch's own, and those that the functions write
// (functions/commons/metrics.ts).

import { Duration } from 'aws-cdk-lib';
import { MathExpression, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { dimensionsOf, NAMESPACE, type MetricName } from '../../functions/commons/metrics.ts';
import type { FunctionName } from '../../src/adapters/aws/names.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { RegionFunction } from './region-function.ts';
import type { Storage } from './storage.ts';

export interface SignalParts {
  /** Of the deployment. */
  readonly name: string;
  readonly region: RegionId;
  readonly storage: Storage;
  readonly functions: Readonly<Record<FunctionName, RegionFunction>>;
}

const MINUTE = Duration.minutes(1);
const HOUR = Duration.hours(1);

export class Signals {
  readonly #parts: SignalParts;

  constructor(parts: SignalParts) {
    this.#parts = parts;
  }

  get deadLetters(): Metric {
    return this.#parts.storage.dead.metricApproximateNumberOfMessagesVisible({ period: MINUTE, statistic: 'Maximum' });
  }

  get inboxAge(): Metric {
    return this.#parts.storage.inbox.metricApproximateAgeOfOldestMessage({ period: MINUTE });
  }

  /** Milliseconds. */
  get streamAge(): Metric {
    return this.#function('fan-out').metric('IteratorAge', { period: MINUTE, statistic: 'Maximum' });
  }

  hintsAge(peer: RegionId): Metric {
    const queue = this.#parts.storage.hints.get(peer);
    if (queue === undefined) throw new TypeError(`There are no hints for ${peer}.`);
    return queue.metricApproximateAgeOfOldestMessage({ period: MINUTE });
  }

  /**
   * In seconds, at most: the oldest write that has left neither the stream nor the hints for the peer. A queue that is
   * empty, or a stream at rest, tells nothing: that is zero.
   */
  liveRpo(peer: RegionId): MathExpression {
    const hints = `hints_${peer.replaceAll('-', '_')}`; // the ids of one graph are different
    return new MathExpression({
      expression: `MAX([FILL(stream, 0) / 1000, FILL(${hints}, 0)])`,
      usingMetrics: { stream: this.streamAge, [hints]: this.hintsAge(peer) },
      period: MINUTE,
      label: `live RPO towards ${peer}, seconds`,
    });
  }

  get serverErrors(): Metric {
    return this.#function('api').metric('Url5xxCount', { period: MINUTE, statistic: 'Sum' });
  }

  get requests(): Metric {
    return this.#function('api').metric('UrlRequestCount', { period: MINUTE, statistic: 'Sum' });
  }

  latency(statistic: 'p50' | 'p99'): Metric {
    return this.#function('api').metric('UrlRequestLatency', { period: MINUTE, statistic, label: `${statistic}, ms` });
  }

  errors(what: FunctionName): Metric {
    return this.#function(what).metricErrors({ period: MINUTE });
  }

  throttles(what: FunctionName): Metric {
    return this.#function(what).metricThrottles({ period: MINUTE });
  }

  runs(what: FunctionName): Metric {
    return this.#function(what).metricInvocations({ period: MINUTE });
  }

  tableThrottles(side: 'Read' | 'Write'): Metric {
    return this.#table(`${side}ThrottleEvents`);
  }

  tableUnits(side: 'Read' | 'Write'): Metric {
    return this.#table(`Consumed${side}CapacityUnits`);
  }

  get clockUnsafe(): Metric {
    return this.#own('ClockUnsafe', MINUTE);
  }

  get tableReplaced(): Metric {
    return this.#own('TableReplaced', MINUTE);
  }

  get pairsUnproved(): Metric {
    return this.#own('PairsUnproved', HOUR);
  }

  peerDown(peer: RegionId): Metric {
    return this.#own('PeerDown', MINUTE, peer);
  }

  inboxRefused(peer: RegionId): Metric {
    return this.#own('InboxRefused', MINUTE, peer);
  }

  certificateAge(peer: RegionId): Metric {
    return this.#own('CertificateAge', HOUR, peer);
  }

  #function(what: FunctionName): RegionFunction['function'] {
    return this.#parts.functions[what].function;
  }

  #table(metricName: string): Metric {
    return new Metric({ namespace: 'AWS/DynamoDB', metricName, dimensionsMap: { TableName: this.#parts.storage.table.tableName }, period: MINUTE, statistic: 'Sum' });
  }

  #own(metricName: MetricName, period: Duration, peer?: RegionId): Metric {
    const { name, region } = this.#parts;
    const dimensionsMap = { ...dimensionsOf({ deployment: name, region }), ...(peer === undefined ? {} : { Peer: peer }) };
    return new Metric({ namespace: NAMESPACE, metricName, dimensionsMap, period, statistic: 'Maximum' });
  }
}

