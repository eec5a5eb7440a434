// What an operator must know of before users do. Each alarm is a figure of signals.ts against a number, and has a heading in
// docs/operating/aws.md that says what to do.

import { Alarm, ComparisonOperator, TreatMissingData, type IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { FUNCTIONS, type FunctionName } from '../../src/adapters/aws/names.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { Deployment } from '../deployment.ts';
import type { RegionFunction } from './region-function.ts';
import { Signals } from './signals.ts';
import type { Storage } from './storage.ts';

export interface AlarmsProps {
  readonly deployment: Deployment;
  readonly region: RegionId;
  readonly storage: Storage;
  readonly functions: Readonly<Record<FunctionName, RegionFunction>>;
}

interface Threshold {
  readonly metric: IMetric;
  readonly above: number;
  /** In a row; of `times`, the minutes of each. */
  readonly minutes?: number;
  readonly times?: number;
  readonly meaning: string;
}

const OPERATING = 'docs/operating/aws.md';

/** One heading for all peers, or all functions, of an alarm. */
const headingOf = (what: string): string => /^(?:hints-age|live-rpo|breaker|peer-down|errors|throttles)(?=-)/.exec(what)?.[0] ?? what;

export class Alarms extends Construct {
  readonly #prefix: string;
  readonly #alarms: Alarm[] = [];

  get all(): readonly Alarm[] {
    return this.#alarms;
  }

  constructor(scope: Construct, { deployment: { name, alarmAddress }, region, storage, functions }: AlarmsProps) {
    super(scope, 'Alarms');
    this.#prefix = `${name}-${region}`;
    const signals = new Signals({ name, region, storage, functions });
    this.#alarm('dead-letters', { metric: signals.deadLetters, above: 0, meaning: 'Messages that could not be handled are kept aside.' });
    this.#alarm('inbox-age', { metric: signals.inboxAge, above: 60, minutes: 5, meaning: 'What other regions have sent is not applied.' });
    this.#alarm('stream-age', { metric: signals.streamAge, above: 60_000, minutes: 5, meaning: 'Writes of this region are not sent; after 24 hours the stream forgets them.' });
    for (const peer of storage.hints.keys()) {
      this.#alarm(`hints-age-${peer}`, { metric: signals.hintsAge(peer), above: 900, minutes: 5, meaning: `${peer} has not been reached for a quarter of an hour; what it lacks is the live RPO towards it.` });
      this.#alarm(`live-rpo-${peer}`, { metric: signals.liveRpo(peer), above: 60, minutes: 5, meaning: `If this region were lost now, more than a minute of its writes could be missing in ${peer}.` });
      this.#alarm(`breaker-${peer}`, { metric: signals.inboxRefused(peer), above: 0, minutes: 5, meaning: `The inbox of ${peer} does not take what is sent; it becomes hints.` });
      this.#alarm(`peer-down-${peer}`, { metric: signals.peerDown(peer), above: 0, minutes: 5, meaning: `${peer} does not answer.` });
    }
    this.#alarm('clock', { metric: signals.clockUnsafe, above: 0, minutes: 3, meaning: 'The clock is in doubt: no writes are taken here.' });
    this.#alarm('table-replaced', { metric: signals.tableReplaced, above: 0, meaning: 'The table is another than the one that environments know.' });
    this.#alarm('certificate-age', { metric: signals.pairsUnproved, above: 0, minutes: 60, times: 24, meaning: 'That the copies agree has not been proved for two days.' });
    this.#alarm('api-5xx', { metric: signals.serverErrors, above: 10, minutes: 3, meaning: 'Clients are answered with server errors.' });
    for (const what of FUNCTIONS) {
      this.#alarm(`errors-${what}`, { metric: signals.errors(what), above: 0, minutes: 5, meaning: `${what} fails again and again.` });
      this.#alarm(`throttles-${what}`, { metric: signals.throttles(what), above: 0, minutes: 5, meaning: `${what} is refused environments: the account's concurrency is used up.` });
    }
    for (const side of ['Read', 'Write'] as const) {
      this.#alarm(`table-${side.toLowerCase()}-throttles`, { metric: signals.tableThrottles(side), above: 0, minutes: 5, meaning: 'The table takes no more: a hot partition, or a quota.' });
    }
    this.#silence('heartbeat-missing', signals.runs('heartbeat'));
    if (alarmAddress !== undefined) this.#mail(alarmAddress);
  }

  #alarm(what: string, { metric, above, minutes = 1, times = minutes, meaning }: Threshold): void {
    this.#made(new Alarm(this, what, {
      alarmName: `${this.#prefix}-${what}`,
      alarmDescription: `${meaning} What to do: ${OPERATING}#${headingOf(what)}`,
      metric,
      threshold: above,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: times,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    }));
  }

  /** No data is the alarm. */
  #silence(what: string, metric: IMetric): void {
    this.#made(new Alarm(this, what, {
      alarmName: `${this.#prefix}-${what}`,
      alarmDescription: `The schedule does not run: clocks are not compared, nothing is reconciled. What to do: ${OPERATING}#${headingOf(what)}`,
      metric,
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
