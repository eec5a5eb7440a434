// What cdk-nag finds is acknowledged, with a reason, and what is acknowledged is found; and no right has a wildcard that is
// not among it.

import { describe, expect, it } from 'vitest';
import { ACKNOWLEDGED } from '../../cdk/acknowledged.ts';
import { file, findings, statementsOf, synthesise } from './synth.ts';

/** Regions alike stand for each other. */
const line = ({ finding, where }: { readonly finding: string; readonly where: string }, regions: readonly string[]): string => `${finding} in ${regions.reduce((path, region) => path.replace(`archipel-${region}/`, 'archipel-*/'), where)}`;
const acknowledged = ACKNOWLEDGED.map((each) => line(each, [])).sort();

describe('cdk-nag', () => {
  it.each([['1', false], ['3', false], ['2', true]] as const)('%s regions, for trials %s: finds what is acknowledged, and nothing else', (count, ephemeral) => {
    const more = { alarmAddress: 'ops@example.com', ...(ephemeral ? { ephemeral } : {}) };
    const { deployment } = synthesise(count, more);
    const found = findings(count, more).map((each) => line(each, deployment.regions));
    expect([...new Set(found)].sort()).toEqual(acknowledged);
  }, 60_000);

  it('with a domain of its own: TLS is chosen, and the finding about it is gone', () => {
    const domain = { name: 'kv.example.com', certificateArn: 'arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0000-4000-8000-0123456789ab' };
    const found = findings('1', { config: file({ domain }), alarmAddress: 'ops@example.com' }).map((each) => line(each, ['ap-northeast-2']));
    expect([...new Set(found)].sort()).toEqual(acknowledged.filter((each) => !each.startsWith('AwsSolutions-CFR4')));
  }, 60_000);

  it('every reason is a sentence', () => {
    for (const { reason } of ACKNOWLEDGED) expect(reason).toMatch(/^[A-Z].{30,}\.$/s);
  });
});

it('no statement of any policy has a wildcard in its actions or resources, but refusals and what is acknowledged', () => {
  const { regions, edge } = synthesise('3', { alarmAddress: 'ops@example.com' });
  const allowed = [...regions.values(), edge].flatMap((template) => statementsOf(template)).filter(({ effect }) => effect === 'Allow');
  expect(allowed.length).toBeGreaterThan(50);
  const wild = new Set(allowed.flatMap(({ actions, resources }) => [...actions.map((action) => `Action::${action}`), ...resources.map((resource) => `Resource::${resource}`)]).filter((right) => right.includes('*')));
  const reasons = ACKNOWLEDGED.flatMap(({ finding }) => /^AwsSolutions-IAM5\[(.*)\]$/.exec(finding)?.[1] ?? []);
  expect([...wild].map((right) => right.replace(':ACCOUNT:', ':<AWS::AccountId>:'))).toEqual(reasons);
});
