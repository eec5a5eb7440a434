// The configuration of a deployment: what it may say, what is refused, and what the templates make of it.

import { readFileSync } from 'node:fs';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { describe, expect, it } from 'vitest';
import { LEDGER_DAYS_MAX, LOG_DAYS } from '../../cdk/deployment.ts';
import { file, ofType, synthesise, type Synthesised, type Template } from './synth.ts';

const operating = readFileSync(new URL('../../docs/operating/aws.md', import.meta.url), 'utf8');

describe('a deployment', () => {
  it('takes another name', () => {
    const { regions } = synthesise('eu-west-1', { deployment: 'shop-test' });
    expect([...regions.values()].flatMap((template) => ofType(template, 'AWS::DynamoDB::GlobalTable')).map(({ Properties }) => Properties['TableName'])).toEqual(['shop-test-eu-west-1']);
  });

  it('refuses names and regions that are none', () => {
    expect(() => synthesise('3', { deployment: 'Shop' })).toThrow('a-z 0-9');
    expect(() => synthesise('Europe')).toThrow('Not a region id');
    expect(() => synthesise('3', { replicas: 0 })).toThrow('replicas');
    expect(() => synthesise('3', { gatherSeconds: 301 })).toThrow('gatherSeconds');
  });

  it('is read from a file, which the command line overrules', () => {
    const config = file({ name: 'shop', regions: ['eu-west-1', 'us-east-2'], gatherSeconds: 5, alarmAddress: 'ops@example.com' });
    const retention = { ledgerDays: 90, logDays: 30, recoveryDays: 35 };
    expect(synthesise('1', { config }).deployment).toEqual({ name: 'shop', regions: ['ap-northeast-2'], replicas: 3, gatherSeconds: 5, ephemeral: false, retention, alarmAddress: 'ops@example.com' });
  });

  it('does not take what it does not know, or what is no JSON', () => {
    expect(() => synthesise('1', { config: file({ nmae: 'shop' }) })).toThrow('nmae');
    expect(() => synthesise('1', { config: file({ alarmAddress: 'ops' }) })).toThrow('alarmAddress');
    expect(() => synthesise('1', { config: 'no-such-file.json' })).toThrow('cannot be read');
  });

  it('for a trial: the table goes with its stack', () => {
    const { regions } = synthesise('eu-west-1', { ephemeral: true });
    const [table] = ofType([...regions.values()][0] as Template, 'AWS::DynamoDB::GlobalTable');
    expect(table).toMatchObject({ DeletionPolicy: 'Delete', Properties: { Replicas: [{ DeletionProtectionEnabled: false, PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: false } }] } });
  });

  it('mails alarms to who is named, when they go off and when they are over', () => {
    const { regions } = synthesise('eu-west-1', { alarmAddress: 'ops@example.com' });
    const template = [...regions.values()][0] as Template;
    expect(ofType(template, 'AWS::SNS::Subscription')).toMatchObject([{ Properties: { Protocol: 'email', Endpoint: 'ops@example.com' } }]);
    const alarms = ofType(template, 'AWS::CloudWatch::Alarm');
    expect(alarms.filter(({ Properties }) => (Properties['AlarmActions'] as unknown[]).length === 1 && (Properties['OKActions'] as unknown[]).length === 1)).toHaveLength(alarms.length);
    expect(ofType([...synthesise('eu-west-1').regions.values()][0] as Template, 'AWS::SNS::Topic')).toEqual([]);
  });

  it('may be what docs/operating/aws.md shows, which leaves nothing out', () => {
    const shown = JSON.parse(/^```json\n([\s\S]*?)^```$/m.exec(operating)?.[1] ?? '') as object;
    const { deployment } = synthesise('1', { config: file(shown), regions: undefined });
    expect(deployment).toEqual({ ...shown, regions: ['eu-central-1', 'ap-northeast-2', 'us-east-1'] });
    for (const name of Object.keys({ ...deployment.retention })) expect(operating).toContain(`\`retention.${name}\``);
  });

  it('has one region that is control, and others in no order', () => {
    const regions = (list: string): readonly string[] => synthesise(list).deployment.regions;
    expect(regions('us-east-1,sa-east-1,eu-west-1')).toEqual(regions('us-east-1,eu-west-1,sa-east-1'));
    expect(regions('eu-west-1,us-east-1,sa-east-1')).not.toEqual(regions('us-east-1,eu-west-1,sa-east-1'));
  });
});

describe('retention', () => {
  const configured = (retention: object, more: object = {}): Synthesised => synthesise('eu-west-1', { config: file({ retention, ...more }) });
  const logDays = ({ regions, edge }: Synthesised): unknown[] => [...regions.values(), edge].flatMap((template) => ofType(template, 'AWS::Logs::LogGroup').map(({ Properties }) => Properties['RetentionInDays']));
  const ledgerDays = (of: Synthesised): unknown[] => ofType(only(of), 'AWS::Lambda::Function').map(({ Properties }) => (Properties['Environment'] as { Variables: Record<string, string> }).Variables['ARCHIPEL_LEDGER_DAYS']);
  const recovery = (of: Synthesised): unknown => ofType(only(of), 'AWS::DynamoDB::GlobalTable').flatMap(({ Properties }) => (Properties['Replicas'] as { PointInTimeRecoverySpecification: unknown }[]).map((replica) => replica.PointInTimeRecoverySpecification));

  it('names three times: of ledger rows, of logs, of recovery', () => {
    const of = configured({ ledgerDays: 7, logDays: 365, recoveryDays: 14 });
    expect(new Set(ledgerDays(of))).toEqual(new Set(['7']));
    expect(new Set(logDays(of))).toEqual(new Set([365]));
    expect(logDays(of)).toHaveLength(8);
    expect(recovery(of)).toEqual([{ PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 14 }]);
  });

  it('left out, in part or whole, is 90, 30 and 35 days', () => {
    for (const of of [configured({}), configured({ recoveryDays: 35 }), synthesise('eu-west-1')]) expect([ledgerDays(of)[0], logDays(of)[0], recovery(of)]).toEqual(['90', 30, [{ PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35 }]]);
  });

  it('for ever: rows without an end, logs without one', () => {
    const of = configured({ ledgerDays: 'forever', logDays: 'forever' });
    expect([new Set(ledgerDays(of)), new Set(logDays(of))]).toEqual([new Set(['forever']), new Set([undefined])]);
  });

  it('of recovery is not asked where there is none: for trials', () => {
    expect(recovery(configured({ recoveryDays: 14 }, { ephemeral: true }))).toEqual([{ PointInTimeRecoveryEnabled: false }]);
  });

  it.each([
    [{ ledgerDays: 0 }, 'ledgerDays'],
    [{ ledgerDays: LEDGER_DAYS_MAX + 1 }, 'ledgerDays'],
    [{ ledgerDays: 'ever' }, 'ledgerDays'],
    [{ logDays: 31 }, 'logDays'],
    [{ recoveryDays: 0 }, 'recoveryDays'],
    [{ recoveryDays: 36 }, 'recoveryDays'],
    [{ recoveryDays: 'forever' }, 'recoveryDays'],
    [{ queueDays: 14 }, 'queueDays'],
  ])('%j is refused', (retention, named) => {
    expect(() => configured(retention)).toThrow(named);
  });

  it('at its limits is taken', () => {
    for (const retention of [{ ledgerDays: 1, logDays: 1, recoveryDays: 1 }, { ledgerDays: LEDGER_DAYS_MAX, logDays: 3653, recoveryDays: 35 }]) expect(configured(retention).deployment.retention).toEqual(retention);
  });

  it('of logs is what CloudWatch takes', () => {
    const known = Object.values(RetentionDays).filter((days): days is RetentionDays => typeof days === 'number' && days !== RetentionDays.INFINITE);
    expect([...LOG_DAYS].sort()).toEqual(known.map(Number).sort());
  });
});

describe('a domain', () => {
  const certificateArn = 'arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0000-4000-8000-0123456789ab';
  const configured = (domain: unknown): Synthesised => synthesise('eu-west-1', { config: file({ domain }) });
  const distribution = ({ edge }: Synthesised): Record<string, unknown> => ofType(edge, 'AWS::CloudFront::Distribution')[0]?.Properties['DistributionConfig'] as Record<string, unknown>;

  it('is the distribution’s other name, with the certificate that is named and TLS 1.2 at least', () => {
    const of = configured({ name: 'kv.example.com', certificateArn });
    expect(distribution(of)).toMatchObject({ Aliases: ['kv.example.com'], ViewerCertificate: { AcmCertificateArn: certificateArn, MinimumProtocolVersion: 'TLSv1.2_2021', SslSupportMethod: 'sni-only' } });
  });

  it('makes nothing by the way: no certificate, no record', () => {
    for (const of of [configured({ name: 'kv.example.com', certificateArn }), synthesise('eu-west-1')]) expect(Object.values(of.edge.Resources).filter(({ Type }) => /CertificateManager|Route53/.test(Type))).toEqual([]);
  });

  it('left out: CloudFront’s own name and certificate', () => {
    expect(Object.keys(distribution(synthesise('eu-west-1'))).filter((name) => /Aliases|ViewerCertificate/.test(name))).toEqual([]);
  });

  it.each<readonly [unknown, string]>([
    [{ name: 'kv.example.com' }, 'certificateArn'],
    [{ certificateArn }, 'domain.name'],
    ...['localhost', 'KV.example.com', 'https://kv.example.com', 'kv.example.com/', '-kv.example.com', 'kv..example.com', '*.example.com', `${'a'.repeat(64)}.example.com`, '10.0.0.1'].map((name) => [{ name, certificateArn }, 'domain.name'] as const),
    ...[certificateArn.replace('us-east-1', 'eu-west-1'), certificateArn.replace('123456789012', '12345'), certificateArn.replace('acm', 'iam'), 'kv'].map((arn) => [{ name: 'kv.example.com', certificateArn: arn }, 'us-east-1'] as const),
    [{ name: 'kv.example.com', certificateArn, zone: 'example.com' }, 'zone'],
  ])('%j is refused', (domain, named) => {
    expect(() => configured(domain)).toThrow(named);
  });
});

const only = ({ regions }: Synthesised): Template => [...regions.values()][0] as Template;
