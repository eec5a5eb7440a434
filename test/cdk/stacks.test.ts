// The templates of a deployment, held to what the design says of them.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { EDGE_REGION } from '../../cdk/deployment.ts';
import { FUNCTIONS } from '../../src/adapters/aws/names.ts';
import { TTL_ATTRIBUTE } from '../../src/adapters/aws/layout.ts';
import { METRICS, NAMESPACE, PEER_METRICS } from '../../functions/commons/metrics.ts';
import { alarmMetricsOf, ownMetricsOf } from '../../src/cost/estimate.ts';
import { KNOWN_REGIONS } from '../../src/config/places.ts';
import { REGIONS_MAX } from '../../src/config/options.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { grantsOf, ofType, synthesise, textOf, type Resource, type Synthesised, type Template } from './synth.ts';

const operating = readFileSync(new URL('../../docs/operating/aws.md', import.meta.url), 'utf8');
const COUNTS = ['1', '2', '3', '5'];
const synthesised = new Map<string, Synthesised>();
beforeAll(() => {
  for (const count of COUNTS) synthesised.set(count, synthesise(count));
}, 240_000);
const of = (count: string): Synthesised => synthesised.get(count) as Synthesised;
const named = (template: Template, type: string, property: string, name: string): Resource => {
  const found = ofType(template, type).find(({ Properties }) => Properties[property] === name);
  if (found === undefined) throw new Error(`There is no ${type} ${name}.`);
  return found;
};

describe.each(COUNTS)('%s regions', (count) => {
  const each = (check: (template: Template, region: RegionId, peers: readonly RegionId[]) => void): void => {
    const { regions, deployment } = of(count);
    expect(regions.size).toBe(Number(count));
    for (const [region, template] of regions) check(template, region, deployment.regions.filter((id) => id !== region));
  };

  it('names everything by deployment and region', () =>
    each((template, region, peers) => {
      expect(ofType(template, 'AWS::DynamoDB::GlobalTable').map(({ Properties }) => Properties['TableName'])).toEqual([`archipel-${region}`]);
      expect(ofType(template, 'AWS::SQS::Queue').map(({ Properties }) => Properties['QueueName']).sort()).toEqual([`archipel-dead-${region}`, `archipel-inbox-${region}`, ...peers.map((peer) => `archipel-hints-${region}-${peer}`)].sort());
      expect(ofType(template, 'AWS::Lambda::Function').map(({ Properties }) => Properties['FunctionName']).sort()).toEqual(FUNCTIONS.map((what) => `archipel-${what}-${region}`).sort());
      const unnamed = Object.values(template.Resources).filter(({ Type, Properties }) => /IAM::Role|Alarm|Schedule$|LogGroup/.test(Type) && !Object.keys(Properties).some((key) => /^(Role|Alarm|LogGroup)?Name$/.test(key)));
      expect(unnamed).toEqual([]);
    }));

  it('refers to no other region: no imports, no exports, no outputs of others, no custom resources', () =>
    each((template) => {
      expect(JSON.stringify(template)).not.toMatch(/Fn::ImportValue|Fn::GetStackOutput|"Export"|Custom::|CloudFormation::CustomResource/);
      expect(Object.keys(template.Outputs ?? {})).toEqual(['Host']);
    }));

  it('reaches other regions by their inbox and their peer function, and nothing else: the matrix', () =>
    each((template, region, peers) => {
      const abroad = grantsOf(template).filter(({ resource }) => peers.some((peer) => resource.split(':')[3] === peer));
      const inboxes = peers.flatMap((peer) => ['fan-out', 'forward'].map((what) => ({ role: `archipel-${what}-${region}`, action: 'sqs:SendMessage', resource: `arn:aws:sqs:${peer}:ACCOUNT:archipel-inbox-${peer}` })));
      const asked = peers.flatMap((peer) => ['api', 'peer', 'apply', 'reconcile', 'heartbeat'].map((what) => ({ role: `archipel-${what}-${region}`, action: 'lambda:InvokeFunction', resource: `arn:aws:lambda:${peer}:ACCOUNT:function:archipel-peer-${peer}` })));
      expect(sorted(abroad)).toEqual(sorted([...inboxes, ...asked]));
    }));

  it('sends at home to hints and dead letters only, each from where it is written', () =>
    each((template, region, peers) => {
      const sends = grantsOf(template).filter(({ action, resource }) => action.startsWith('sqs:Send') && resource.startsWith('<'));
      const right = (what: string, queue: string): unknown => ({ role: `archipel-${what}-${region}`, action: 'sqs:SendMessage', resource: `<archipel-${queue}.Arn>` });
      const hints = peers.map((peer) => right('fan-out', `hints-${region}-${peer}`));
      expect(sorted(sends)).toEqual(sorted([...hints, ...['fan-out', 'apply', 'forward'].map((what) => right(what, `dead-${region}`))]));
    }));

  it('grants no wildcard: not in an action, not in a resource', () =>
    each((template) => {
      const grants = grantsOf(template);
      expect(grants.filter(({ action, resource }) => `${action} ${resource}`.includes('*'))).toEqual([]);
      expect(ofType(template, 'AWS::IAM::Policy')).toEqual([]);
      expect(ofType(template, 'AWS::IAM::Role').filter(({ Properties }) => Properties['ManagedPolicyArns'] !== undefined)).toEqual([]);
    }));

  it('reads secrets where they are needed, by name', () =>
    each((template, region) => {
      const grants = grantsOf(template).filter(({ action }) => action.startsWith('ssm:'));
      const needs = [...['api', 'peer'].flatMap((what) => ['secret', 'admin-key'].map((name) => [what, name] as const)), ['reconcile', 'secret'] as const];
      const wanted = needs.map(([what, name]) => ({ role: `archipel-${what}-${region}`, action: 'ssm:GetParameters', resource: `arn:aws:ssm:${region}:ACCOUNT:parameter/archipel/archipel/${name}` }));
      expect(sorted(grants)).toEqual(sorted(wanted));
      for (const { Properties } of ofType(template, 'AWS::Lambda::Function')) {
        const { Variables } = Properties['Environment'] as { Variables: Record<string, unknown> };
        expect(Object.keys(Variables).sort()).toEqual(['ARCHIPEL_ACCOUNT', 'ARCHIPEL_DEPLOYMENT', 'ARCHIPEL_LEDGER_DAYS', 'ARCHIPEL_PARTITION', 'ARCHIPEL_REGIONS', 'ARCHIPEL_REPLICAS']);
      }
    }));

  it('keeps the table: stream, recovery, protection, expiry of ledger rows', () =>
    each((template, region) => {
      const table = named(template, 'AWS::DynamoDB::GlobalTable', 'TableName', `archipel-${region}`);
      expect(table).toMatchObject({
        DeletionPolicy: 'Retain',
        UpdateReplacePolicy: 'Retain',
        Properties: {
          BillingMode: 'PAY_PER_REQUEST',
          StreamSpecification: { StreamViewType: 'NEW_IMAGE' },
          TimeToLiveSpecification: { AttributeName: TTL_ATTRIBUTE, Enabled: true },
          Replicas: [{ Region: region, DeletionProtectionEnabled: true, PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35 } }],
        },
      });
      expect((table.Properties['KeySchema'] as { AttributeName: string }[]).map(({ AttributeName }) => AttributeName)).toEqual(['PK', 'SK']);
      expect(table.Properties).not.toHaveProperty('GlobalSecondaryIndexes');
    }));

  it('reads the stream from its beginning, filtered on the positive marker, and gives up into the dead letters', () =>
    each((template, region) => {
      const [mapping] = mappingsOf(template, `archipel-fan-out-${region}`);
      expect(mapping).toMatchObject({ StartingPosition: 'TRIM_HORIZON', BisectBatchOnFunctionError: true, ParallelizationFactor: 1, MaximumBatchingWindowInSeconds: 1, MaximumRetryAttempts: 10_000, MaximumRecordAgeInSeconds: 72_000 });
      expect(textOf(mapping?.['EventSourceArn'], template)).toBe(`<archipel-${region}.StreamArn>`);
      const { Filters } = mapping?.['FilterCriteria'] as { Filters: { Pattern: string }[] };
      expect(Filters.map(({ Pattern }) => JSON.parse(Pattern) as unknown)).toEqual([{ dynamodb: { NewImage: { k: { S: ['l'] } } } }]);
      expect(textOf((mapping?.['DestinationConfig'] as { OnFailure: { Destination: unknown } }).OnFailure.Destination, template)).toBe(`<archipel-dead-${region}.Arn>`);
    }));

  it('takes from inbox and hints in batches that may fail in part, and hides a message six times as long as a function runs', () =>
    each((template, region, peers) => {
      const sources = { apply: [`inbox-${region}`], forward: peers.map((peer) => `hints-${region}-${peer}`) };
      for (const [what, queues] of Object.entries(sources)) {
        const mappings = mappingsOf(template, `archipel-${what}-${region}`);
        expect(mappings.map(({ EventSourceArn }) => textOf(EventSourceArn, template)).sort()).toEqual(queues.map((queue) => `<archipel-${queue}.Arn>`).sort());
        for (const mapping of mappings) expect(mapping).toMatchObject({ FunctionResponseTypes: ['ReportBatchItemFailures'], BatchSize: 10 });
        const { Timeout } = named(template, 'AWS::Lambda::Function', 'FunctionName', `archipel-${what}-${region}`).Properties as { Timeout: number };
        for (const queue of queues) expect(named(template, 'AWS::SQS::Queue', 'QueueName', `archipel-${queue}`).Properties).toMatchObject({ VisibilityTimeout: 6 * Timeout, MessageRetentionPeriod: 14 * 86_400, SqsManagedSseEnabled: true });
      }
      for (const { Properties } of ofType(template, 'AWS::SQS::Queue')) {
        const redrive = Properties['RedrivePolicy'] as { deadLetterTargetArn: unknown; maxReceiveCount: number } | undefined;
        const isDead = Properties['QueueName'] === `archipel-dead-${region}`;
        expect([textOf(redrive?.deadLetterTargetArn, template), redrive?.maxReceiveCount]).toEqual(isDead ? ['undefined', undefined] : [`<archipel-dead-${region}.Arn>`, 1_000]);
      }
    }));

  it('runs its functions on Node 24 and arm64, with a log of their own', () =>
    each((template) => {
      for (const { Properties } of ofType(template, 'AWS::Lambda::Function')) {
        expect(Properties).toMatchObject({ Runtime: 'nodejs24.x', Architectures: ['arm64'] });
        expect(textOf((Properties['LoggingConfig'] as { LogGroup: unknown }).LogGroup, template)).toBe(`</aws/lambda/${String(Properties['FunctionName'])}>`);
      }
    }));

  it('gives a URL to api alone', () =>
    each((template, region) => {
      const urls = ofType(template, 'AWS::Lambda::Url');
      expect(urls.map(({ Properties }) => [textOf(Properties['TargetFunctionArn'], template), Properties['AuthType']])).toEqual([[`<archipel-api-${region}.Arn>`, 'NONE']]);
      const open = ofType(template, 'AWS::Lambda::Permission').filter(({ Properties }) => Properties['Principal'] === '*');
      expect(open.map(({ Properties }) => textOf(Properties['FunctionName'], template))).toEqual([`<archipel-api-${region}.Arn>`, `<archipel-api-${region}.Arn>`]);
      for (const { Properties } of open) expect(Properties['FunctionUrlAuthType'] ?? Properties['InvokedViaFunctionUrl']).toBeTruthy();
    }));

  it('schedules heartbeat by the minute, tidying by the hour, the deep check and reaping by the day', () =>
    each((template, region) => {
      const schedules = ofType(template, 'AWS::Scheduler::Schedule').map(({ Properties }) => {
        const { Arn, RoleArn, Input } = Properties['Target'] as { Arn: unknown; RoleArn: unknown; Input: string };
        return [Properties['ScheduleExpression'], textOf(Arn, template), textOf(RoleArn, template), (JSON.parse(Input) as { what?: string }).what];
      });
      const row = (every: string, what: string, name: string, input?: string): unknown[] => [every, `<archipel-${what}-${region}.Arn>`, `<archipel-${name}-${region}-schedule.Arn>`, input];
      expect(schedules).toEqual([row('rate(1 minute)', 'heartbeat', 'heartbeat'), row('rate(1 hour)', 'reconcile', 'tidy', 'tidy'), row('rate(1 day)', 'reconcile', 'deep', 'deep'), row('rate(1 day)', 'reconcile', 'reap', 'reap')]);
    }));

  it('alarms for what an operator must know, each with its meaning', () =>
    each((template, region, peers) => {
      const alarms = ofType(template, 'AWS::CloudWatch::Alarm');
      const names = alarms.map(({ Properties }) => String(Properties['AlarmName']).replace(`archipel-${region}-`, ''));
      const ofEach = ['hints-age', 'live-rpo', 'breaker', 'peer-down'].flatMap((what) => peers.map((peer) => `${what}-${peer}`));
      const ofFunctions = FUNCTIONS.flatMap((what) => [`errors-${what}`, `throttles-${what}`]);
      const alone = ['dead-letters', 'inbox-age', 'stream-age', 'clock', 'table-replaced', 'certificate-age', 'api-5xx', 'heartbeat-missing', 'table-read-throttles', 'table-write-throttles'];
      expect(names.sort()).toEqual([...alone, ...ofEach, ...ofFunctions].sort());
    }));

  it('each alarm leads to a heading that says what to do, and no heading is about an alarm that is not there', () =>
    each((template, _, peers) => {
      const led = ofType(template, 'AWS::CloudWatch::Alarm').map(({ Properties }) => /\. What to do: docs\/operating\/aws\.md#([a-z0-9-]+)$/.exec(String(Properties['AlarmDescription']))?.[1]);
      const headings = [...operating.matchAll(/^### (.*)$/gm)].map(([, heading]) => heading);
      const ofPeers = ['hints-age', 'live-rpo', 'breaker', 'peer-down'];
      expect(sorted([...new Set(led)])).toEqual(sorted(headings.filter((heading) => peers.length > 0 || !ofPeers.includes(String(heading)))));
    }));

  it('watches its own metrics where the functions write them, and the live RPO as the larger of two ages', () =>
    each((template, region, peers) => {
      const alarms = ofType(template, 'AWS::CloudWatch::Alarm').map(({ Properties }) => Properties);
      const own = alarms.filter(({ Namespace }) => Namespace === NAMESPACE) as { MetricName: keyof typeof METRICS; Dimensions: { Name: string; Value: string }[] }[];
      for (const { MetricName, Dimensions } of own) {
        const { Peer, ...rest } = Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, Value]));
        expect(rest).toEqual({ Deployment: 'archipel', Region: region });
        expect(peers.includes(Peer as RegionId)).toBe((PEER_METRICS as readonly string[]).includes(MetricName));
      }
      expect(new Set(own.map(({ MetricName }) => MetricName))).toEqual(new Set(Object.keys(METRICS).filter((name) => name !== 'CertificateAge' && (peers.length > 0 || !(PEER_METRICS as readonly string[]).includes(name)))));
      const rpo = alarms.filter(({ AlarmName }) => String(AlarmName).includes('-live-rpo-'));
      for (const { Metrics } of rpo) {
        const stats = (Metrics as { Expression?: string; MetricStat?: { Metric: { MetricName: string } } }[]).flatMap(({ MetricStat }) => MetricStat?.Metric.MetricName ?? []);
        expect(stats.sort()).toEqual(['ApproximateAgeOfOldestMessage', 'IteratorAge']);
      }
      expect(rpo).toHaveLength(peers.length);
    }));

  it('costs what docs/cost.md reckons: metrics that alarms watch, and metrics of our own', () =>
    each((template, _, peers) => {
      const watched = ofType(template, 'AWS::CloudWatch::Alarm').map(({ Properties }) => (Properties['Metrics'] as { MetricStat?: unknown }[] | undefined)?.filter(({ MetricStat }) => MetricStat !== undefined).length ?? 1);
      expect(watched.reduce((a, b) => a + b, 0)).toBe(alarmMetricsOf(Number(count)));
      expect(Object.keys(METRICS).length - PEER_METRICS.length + PEER_METRICS.length * peers.length).toBe(ownMetricsOf(Number(count)));
      expect(ofType(template, 'AWS::CloudWatch::Dashboard')).toHaveLength(1);
    }));

  it('shows a region on one page: every alarm, every peer, no figure twice in a row of another region', () =>
    each((template, region, peers) => {
      const [dashboard] = ofType(template, 'AWS::CloudWatch::Dashboard');
      expect(dashboard?.Properties['DashboardName']).toBe(`archipel-${region}`);
      const body = JSON.stringify(dashboard?.Properties['DashboardBody']);
      for (const wanted of ['IteratorAge', 'ApproximateAgeOfOldestMessage', 'ApproximateNumberOfMessagesVisible', 'Url5xxCount', 'Throttles', 'ConsumedWriteCapacityUnits', 'ClockUnsafe', 'PairsUnproved']) expect(body).toContain(wanted);
      for (const peer of peers) for (const wanted of [`live RPO towards ${peer}`, `archipel-hints-${region}-${peer}`]) expect(textOf(dashboard?.Properties['DashboardBody'], template)).toContain(wanted);
      const alarms = Object.entries(template.Resources).filter(([, { Type }]) => Type === 'AWS::CloudWatch::Alarm');
      expect(alarms.filter(([id]) => !body.includes(id))).toEqual([]);
    }));

  it('stands one edge before them: proxy mode, nothing cached, all methods', () => {
    const { edge, deployment } = of(count);
    const [distribution] = ofType(edge, 'AWS::CloudFront::Distribution');
    const config = distribution?.Properties['DistributionConfig'] as { DefaultCacheBehavior: object; Origins: { OriginCustomHeaders: { HeaderName: string; HeaderValue: unknown }[] }[]; OriginGroups?: unknown };
    expect(config.OriginGroups).toBeUndefined();
    expect(config.DefaultCacheBehavior).toMatchObject({
      ViewerProtocolPolicy: 'https-only',
      CachePolicyId: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad', // AWS's own CachingDisabled
      LambdaFunctionAssociations: [{ EventType: 'origin-request', IncludeBody: true }],
    });
    expect((config.DefaultCacheBehavior as { AllowedMethods: string[] }).AllowedMethods).toHaveLength(7);
    const header = config.Origins[0]?.OriginCustomHeaders[0];
    expect([config.Origins.length, header?.HeaderName]).toEqual([1, 'archipel-regions']);
    const hosts = deployment.regions.map((region) => `${region}=${JSON.stringify({ 'Fn::GetStackOutput': { StackName: `archipel-${region}`, Region: region, OutputName: 'Host' } })}`);
    expect(textOf(header?.HeaderValue, edge)).toBe(hosts.join(','));
  });
});

describe('the edge’s function', () => {
  const edgeFunction = (): Resource => named(of('3').edge, 'AWS::Lambda::Function', 'FunctionName', 'archipel-edge');

  it('is what Lambda@Edge takes: x86, no environment, no layers, at most 30 seconds, a numbered version that stays', () => {
    const { Properties } = edgeFunction();
    expect(Properties).toMatchObject({ Architectures: ['x86_64'], Runtime: 'nodejs24.x', Timeout: 30, MemorySize: 256 });
    for (const forbidden of ['Environment', 'Layers', 'DeadLetterConfig', 'TracingConfig', 'VpcConfig', 'EphemeralStorage', 'KmsKeyArn']) expect(Properties).not.toHaveProperty(forbidden);
    expect(ofType(of('3').edge, 'AWS::Lambda::Version')).toMatchObject([{ DeletionPolicy: 'Retain' }]);
    expect(EDGE_REGION).toBe('us-east-1');
  });

  it('may write its log in whichever region it runs, and nothing else: the one wildcard of the deployment', () => {
    const grants = grantsOf(of('3').edge);
    expect(new Set(grants.map(({ resource }) => resource))).toEqual(new Set(['arn:aws:logs:*:ACCOUNT:log-group:/aws/lambda/archipel-edge:*']));
    expect(grants.map(({ action }) => action).sort()).toEqual(['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents']);
  });

  it('is told of as many regions as there may be in one field', () => {
    const host = (region: RegionId): string => `${'x'.repeat(32)}.lambda-url.${region}.on.aws`;
    const longest = [...KNOWN_REGIONS].sort((a, b) => b.length - a.length).slice(0, REGIONS_MAX);
    expect(longest.map((region) => `${region}=${host(region)}`).join(',').length).toBeLessThanOrEqual(1_783); // of a custom header of an origin
  });
});

function mappingsOf(template: Template, functionName: string): Readonly<Record<string, unknown>>[] {
  return ofType(template, 'AWS::Lambda::EventSourceMapping').flatMap(({ Properties }) => (textOf(Properties['FunctionName'], template) === `<${functionName}>` ? [Properties] : []));
}

const sorted = (rows: readonly unknown[]): string[] => rows.map((row) => JSON.stringify(row)).sort();
