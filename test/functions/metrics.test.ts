// Lines of metrics, as CloudWatch reads them from the log.

import { expect, it } from 'vitest';
import { Metrics } from '../../functions/commons/metrics.ts';
import { EU, US } from '../contract/make.ts';

interface Line {
  readonly _aws: { readonly Timestamp: number; readonly CloudWatchMetrics: readonly { readonly Namespace: string; readonly Dimensions: readonly string[][]; readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[] }[] };
  readonly [name: string]: unknown;
}

function written(work: (metrics: Metrics) => void): Line[] {
  const lines: string[] = [];
  work(new Metrics({ deployment: 'shop', region: EU }, (line) => lines.push(line)));
  return lines.map((line) => {
    expect(line).toMatch(/^\{"_aws":.*\}\n$/);
    return JSON.parse(line) as Line;
  });
}

it('metrics of a region: one line, each figure at its top with its unit, and the dimensions that alarms ask for', () => {
  const [line] = written((metrics) => metrics.region({ ClockUnsafe: 1, TableReplaced: 0 }));
  expect(line).toMatchObject({ Deployment: 'shop', Region: EU, ClockUnsafe: 1, TableReplaced: 0 });
  expect(line?._aws.CloudWatchMetrics).toEqual([{ Namespace: 'Archipel', Dimensions: [['Deployment', 'Region']], Metrics: [{ Name: 'ClockUnsafe', Unit: 'Count' }, { Name: 'TableReplaced', Unit: 'Count' }] }]);
  expect(Number.isInteger(line?._aws.Timestamp)).toBe(true);
});

it('metrics of a pair name the peer too; no figures, no line', () => {
  expect(written((metrics) => metrics.peer(US, { CertificateAge: 3_600 }))).toMatchObject([{ Peer: US, CertificateAge: 3_600, _aws: { CloudWatchMetrics: [{ Dimensions: [['Deployment', 'Region', 'Peer']], Metrics: [{ Name: 'CertificateAge', Unit: 'Seconds' }] }] } }]);
  expect(written((metrics) => metrics.region({}))).toEqual([]);
});
