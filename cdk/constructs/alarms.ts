// A first set of alarms: what an operator must know of before users do. Each is one metric against one number.

import { Duration } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import type { FunctionName } from '../../src/adapters/aws/names.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { Deployment } from '../deployment.ts';
import type { RegionFunction } from './region-function.ts';
import type { Storage } from './storage.ts';

export interface AlarmsProps {
  readonly deployment: Deployment;
  readonly region: RegionId;
  readonly storage: Storage;
  readonly functions: Readonly<Record<FunctionName, RegionFunction>>;
}

interface Threshold {
  readonly metric: Metric;
  readonly above: number;
  /** Minutes in a row. */
  readonly minutes?: number;
  readonly meaning: string;
}

const MINUTE = Duration.minutes(1);

export class Alarms extends Construct {
  readonly #prefix: string;
  readonly #alarms: Alarm[] = [];

  constructor(scope: Construct, { deployment: { name, alarmAddress }, region, storage, functions }: AlarmsProps) {
    super(scope, 'Alarms');
    this.#prefix = `${name}-${region}`;
    const { table, inbox, dead, hints } = storage;
    this.#alarm('dead-letters', { metric: dead.metricApproximateNumberOfMessagesVisible({ period: MINUTE, statistic: 'Maximum' }), above: 0, meaning: 'Messages that could not be handled are kept aside.' });
    this.#alarm('inbox-age', { metric: inbox.metricApproximateAgeOfOldestMessage({ period: MINUTE }), above: 60, minutes: 5, meaning: 'What other regions have sent is not applied.' });
    for (const [peer, queue] of hints) {
      this.#alarm(`hints-age-${peer}`, { metric: queue.metricApproximateAgeOfOldestMessage({ period: MINUTE }), above: 900, minutes: 5, meaning: `${peer} has not been reached for a quarter of an hour; what it lacks is the live RPO towards it.` });
    }
    this.#alarm('stream-age', { metric: functions['fan-out'].function.metric('IteratorAge', { period: MINUTE, statistic: 'Maximum' }), above: 60_000, minutes: 5, meaning: 'Writes of this region are not sent; after 24 hours the stream forgets them.' });
    this.#alarm('api-5xx', { metric: functions.api.function.metric('Url5xxCount', { period: MINUTE, statistic: 'Sum' }), above: 10, minutes: 3, meaning: 'Clients are answered with server errors.' });
    for (const [what, { function: each }] of Object.entries(functions)) {
      this.#alarm(`errors-${what}`, { metric: each.metricErrors({ period: MINUTE }), above: 0, minutes: 5, meaning: `${what} fails again and again.` });
      this.#alarm(`throttles-${what}`, { metric: each.metricThrottles({ period: MINUTE }), above: 0, minutes: 5, meaning: `${what} is refused environments: the account's concurrency is used up.` });
    }
    for (const side of ['Read', 'Write']) {
      const metric = new Metric({ namespace: 'AWS/DynamoDB', metricName: `${side}ThrottleEvents`, dimensionsMap: { TableName: table.tableName }, period: MINUTE, statistic: 'Sum' });
      this.#alarm(`table-${side.toLowerCase()}-throttles`, { metric, above: 0, minutes: 5, meaning: 'The table takes no more: a hot partition, or a quota.' });
    }
    this.#silence('heartbeat-missing', functions.heartbeat);
    if (alarmAddress !== undefined) this.#mail(alarmAddress);
  }

  #alarm(what: string, { metric, above, minutes = 1, meaning }: Threshold): void {
    this.#made(new Alarm(this, what, {
      alarmName: `${this.#prefix}-${what}`,
      alarmDescription: meaning,
      metric,
      threshold: above,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: minutes,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    }));
  }

  /** No data is the alarm. */
  #silence(what: string, { function: each }: RegionFunction): void {
    this.#made(new Alarm(this, what, {
      alarmName: `${this.#prefix}-${what}`,
      alarmDescription: 'The schedule does not run: clocks are not compared, nothing is reconciled.',
      metric: each.metricInvocations({ period: MINUTE }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: 5,
      treatMissingData: TreatMissingData.BREACHING,
    }));
  }

  #made(alarm: Alarm): void {
    this.#alarms.push(alarm);
  }

  /** Also when it is over. The address has to confirm that it wants them. */
  #mail(address: string): void {
    const topic = new Topic(this, 'Topic', { topicName: `${this.#prefix}-alarms`, enforceSSL: true });
    topic.addSubscription(new EmailSubscription(address));
    const action = new SnsAction(topic);
    for (const alarm of this.#alarms) {
      alarm.addAlarmAction(action);
      alarm.addOkAction(action);
    }
  }
}
