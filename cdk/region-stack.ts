// One region, whole, and without a reference to any other: what belongs to another region is named, not referred to
// (src/adapters/aws/names.ts), so all regions deploy at the same time and none holds another up.

import { CfnOutput, Duration, Fn, Stack, type App } from 'aws-cdk-lib';
import { FilterCriteria, FunctionUrlAuthType, StartingPosition } from 'aws-cdk-lib/aws-lambda';
import { STREAM_FILTER } from '../src/adapters/aws/stream-entries.ts';
import { type FunctionName } from '../src/adapters/aws/names.ts';
import type { RegionId } from '../src/core/version/dot.ts';
import { Alarms } from './constructs/alarms.ts';
import { RegionDashboard } from './constructs/dashboard.ts';
import { RegionFunction } from './constructs/region-function.ts';
import { Rights } from './constructs/rights.ts';
import { Scheduled } from './constructs/schedule.ts';
import { CONSUMER_TIMEOUT, Storage } from './constructs/storage.ts';
import { HOST_OUTPUT, type Deployment } from './deployment.ts';

export interface RegionStackProps {
  readonly deployment: Deployment;
  readonly region: RegionId;
  /** The folder of the bundles. */
  readonly code: string;
}

/** Nothing is given up before the stream itself would forget it, less four hours in which to look. */
const RECORD_AGE_MAX = Duration.hours(20);

export class RegionStack extends Stack {
  readonly regionId: RegionId;

  constructor(app: App, props: RegionStackProps) {
    const { deployment, region } = props;
    super(app, `${deployment.name}-${region}`, { env: { region }, description: `Archipel ${deployment.name}: region ${region}` });
    this.regionId = region;
    const peers = deployment.regions.filter((id) => id !== region);
    const storage = new Storage(this, { deployment, region, peers });
    const rights = new Rights(storage, { deployment: deployment.name, partition: this.partition, account: this.account }, region, peers);
    const make = (what: FunctionName, memoryMb: number, timeout: Duration): RegionFunction => new RegionFunction(this, { ...props, what, rights: rights.of(what), memoryMb, timeout });
    const functions: Readonly<Record<FunctionName, RegionFunction>> = {
      api: make('api', 1_024, Duration.seconds(10)),
      peer: make('peer', 1_024, Duration.seconds(30)), // scans some partitions for a deep check
      'fan-out': make('fan-out', 512, Duration.seconds(60)),
      apply: make('apply', 512, CONSUMER_TIMEOUT),
      forward: make('forward', 512, CONSUMER_TIMEOUT),
      reconcile: make('reconcile', 1_024, Duration.minutes(15)),
      heartbeat: make('heartbeat', 512, Duration.seconds(30)),
    };
    // Authentication is ours, the same in every place; clients may come here without passing the edge.
    const { url } = functions.api.function.addFunctionUrl({ authType: FunctionUrlAuthType.NONE });
    new CfnOutput(this, HOST_OUTPUT, { value: Fn.select(2, Fn.split('/', url)), description: 'Where clients reach this region' });
    this.#connect(deployment, storage, functions);
    this.#schedule(deployment, functions);
    // What was not done is done by the next run: retried ones would overlap.
    for (const each of [functions.heartbeat, functions.reconcile]) each.function.configureAsyncInvoke({ retryAttempts: 0 });
    const { all } = new Alarms(this, { deployment, region, storage, functions });
    new RegionDashboard(this, { name: deployment.name, region, storage, functions, alarms: all });
  }

  /** Who is called with what. */
  #connect({ gatherSeconds }: Deployment, { table, inbox, dead, hints }: Storage, functions: Readonly<Record<FunctionName, RegionFunction>>): void {
    functions['fan-out'].consume('Stream', {
      eventSourceArn: table.tableStreamArn as string,
      startingPosition: StartingPosition.TRIM_HORIZON, // LATEST may miss what is written while the mapping is made
      filters: [FilterCriteria.filter(STREAM_FILTER)],
      batchSize: 500,
      // One batch of a part of the stream at a time: a part has what one partition of the table takes, 1,000 writes a second at most; two
      // or three invocations a second carry that, and each that is not made is saved.
      parallelizationFactor: 1,
      maxBatchingWindow: Duration.seconds(gatherSeconds),
      bisectBatchOnError: true,
      retryAttempts: 10_000,
      maxRecordAge: RECORD_AGE_MAX,
      onFailure: { bind: () => ({ destination: dead.queueArn }) },
    });
    // The region protects its table: more messages wait, in the inbox.
    functions.apply.consume('Inbox', { eventSourceArn: inbox.queueArn, batchSize: 10, reportBatchItemFailures: true, maxConcurrency: 50 });
    for (const [peer, queue] of hints) {
      functions.forward.consume(`Hints-${peer}`, { eventSourceArn: queue.queueArn, batchSize: 10, reportBatchItemFailures: true, maxConcurrency: 2 });
    }
  }

  #schedule({ name }: Deployment, { heartbeat, reconcile }: Readonly<Record<FunctionName, RegionFunction>>): void {
    const scheduled = (what: string): string => `${name}-${what}-${this.regionId}-schedule`;
    new Scheduled(this, 'Heartbeat', { name: scheduled('heartbeat'), target: heartbeat, every: 'rate(1 minute)', input: {} });
    new Scheduled(this, 'Tidy', { name: scheduled('tidy'), target: reconcile, every: 'rate(1 hour)', withinMinutes: 10, input: { what: 'tidy' } });
    new Scheduled(this, 'DeepCheck', { name: scheduled('deep'), target: reconcile, every: 'rate(1 day)', withinMinutes: 60, input: { what: 'deep' } });
    new Scheduled(this, 'Reap', { name: scheduled('reap'), target: reconcile, every: 'rate(1 day)', withinMinutes: 60, input: { what: 'reap' } });
  }
}
