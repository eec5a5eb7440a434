// A region on one page, in the order in which an operator asks: is anything wrong, what would be lost, who waits for whom,
// how are clients served, is the proof fresh.

import { AlarmStatusWidget, Dashboard, GraphWidget, PeriodOverride, type IAlarm, type IMetric, type Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { FUNCTIONS, type FunctionName } from '../../src/adapters/aws/names.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { Signals, type SignalParts } from './signals.ts';

export interface RegionDashboardProps extends SignalParts {
  readonly alarms: readonly IAlarm[];
}

const HALF = 12;
const WHOLE = 24;

export class RegionDashboard extends Construct {
  constructor(scope: Construct, props: RegionDashboardProps) {
    super(scope, 'Dashboard');
    const { name, region, storage, alarms } = props;
    const signals = new Signals(props);
    const peers = [...storage.hints.keys()];
    const ofPeers = (metric: (peer: RegionId) => Metric): IMetric[] => peers.map((peer) => metric(peer).with({ label: peer }));
    const ofFunctions = (metric: (what: FunctionName) => Metric): IMetric[] => FUNCTIONS.map((what) => metric(what).with({ label: what }));
    const graph = (title: string, left: IMetric[], right: IMetric[] = []): GraphWidget[] => (left.length + right.length === 0 ? [] : [new GraphWidget({ title, left, right, width: HALF, leftYAxis: { min: 0 } })]);
    new Dashboard(this, 'Dashboard', {
      dashboardName: `${name}-${region}`,
      periodOverride: PeriodOverride.INHERIT,
      widgets: [
        [new AlarmStatusWidget({ title: `${name}, ${region}`, alarms: [...alarms], width: WHOLE, height: 4 })],
        [...graph('Live RPO, seconds at most', peers.map((peer) => signals.liveRpo(peer))), ...graph('Waiting: inbox (s), dead letters', [signals.inboxAge], [signals.deadLetters])],
        [...graph('Hints: age of the oldest, seconds', ofPeers((peer) => signals.hintsAge(peer))), ...graph('Stream: age, ms', [signals.streamAge])],
        [...graph('Peers that do not answer', ofPeers((peer) => signals.peerDown(peer))), ...graph('Inboxes that refuse', ofPeers((peer) => signals.inboxRefused(peer)))],
        [...graph('Requests, and server errors', [signals.requests], [signals.serverErrors]), ...graph('Latency of requests, ms', [signals.latency('p50'), signals.latency('p99')])],
        [...graph('Errors', ofFunctions((what) => signals.errors(what))), ...graph('Throttles', ofFunctions((what) => signals.throttles(what)))],
        [...graph('Table: units', [signals.tableUnits('Read'), signals.tableUnits('Write')]), ...graph('Table: throttles', [signals.tableThrottles('Read'), signals.tableThrottles('Write')])],
        [...graph('Age of the last certificate, seconds', ofPeers((peer) => signals.certificateAge(peer)), [signals.pairsUnproved]), ...graph('Clock in doubt, table replaced', [signals.clockUnsafe, signals.tableReplaced])],
      ],
    });
  }
}
