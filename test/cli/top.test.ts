// `top`: what it shows, and that it overwrites a terminal only.

import { describe, expect, it } from 'vitest';
import { viewsIn } from '../../src/cli/commands/edge-view.ts';
import { screen } from '../../src/cli/commands/top.ts';
import { styleFor } from '../../src/cli/output.ts';
import type { ClusterStatus } from '../../src/cli/commands/status.ts';

const peer = { id: 'us-east-1', state: 'down', breaker: 'open', unreplicatedItems: 1_234, exact: false, oldestMs: 5_000, lagMs: { p50: 1, p99: 20, max: 30, count: 4 }, hints: 1_200, behind: 0, dead: 2, paused: false, verdict: 'suspect' } as const;
const status: ClusterStatus = {
  topology: { term: 1, epoch: 4, partitions: 256 },
  regions: [
    { id: 'eu-central-1', state: 'active', certificates: [], replication: { region: 'eu-central-1', actor: 'eu-central-1~k2', clock: 'safe', phase: 'serving', items: { demo: 7, other: 3 }, peers: [peer], ownLagMs: 4_000 } },
    { id: 'us-east-1', state: 'fenced', error: 'nothing listens there', certificates: [] },
  ],
  certificates: [],
  faults: ['us-east-1 does not answer: nothing listens there'],
};
const style = styleFor({ colours: false });
const rates = [{ id: 'eu-central-1', reads: 12.4, writes: 1_000.6, answersMs: 3 }];

describe('top', () => {
  it('shows rates, live RPO, hints, breakers, and what is not as it should be', () => {
    const lines = screen({ status, rates, edge: [] }, style, undefined).split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, ' | '));
    expect(lines[0]).toBe('archipel top | document 1.4 | 1 not as it should be');
    expect(lines).toContain('eu-central-1 | active | serving | safe | 12 | 1,001 | 3.0 ms | 4.0 s | 10');
    expect(lines).toContain('us-east-1 | fenced | no answer');
    expect(lines).toContain('eu-central-1 | us-east-1 | down | suspect | open | ≤ 1,234 | 5.0 s | 1,200 | 20 ms | 2');
    expect(lines).toContain('! us-east-1 does not answer: nothing listens there');
  });

  it('through an edge: what it sends to each region, from its own metrics', () => {
    const metrics = `# TYPE archipel_edge_region_up gauge
archipel_edge_region_up{region="eu-central-1"} 1
archipel_edge_region_up{region="us-east-1"} 0
archipel_edge_region_down{region="eu-central-1"} 0
archipel_edge_region_down{region="us-east-1"} 0
archipel_edge_region_share{region="eu-central-1"} 0.376
archipel_edge_region_share{region="us-east-1"} 0
`;
    const shown = (text: string): string[] => screen({ status, rates, edge: viewsIn(text) }, style, undefined).split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, ' | '));
    expect(shown(metrics)).toContain('eu-central-1 | active | serving | safe | 37 % | 12 | 1,001 | 3.0 ms | 4.0 s | 10');
    expect(shown(metrics)).toContain('us-east-1 | fenced | no answer | breaker open');
    expect(shown(metrics.replace('down{region="us-east-1"} 0', 'down{region="us-east-1"} 1'))).toContain('us-east-1 | fenced | no answer | down');
    expect(viewsIn('archipel_requests_total{what="reads"} 4\n')).toEqual([]);
  });

  it('a terminal is written over from its first line, nothing else is', () => {
    const [file, terminal] = [screen({ status, rates, edge: [] }, style, undefined), screen({ status, rates, edge: [] }, style, 80)];
    expect(file).not.toContain('\x1b');
    expect(terminal.startsWith('\x1b[H')).toBe(true);
    expect(terminal.endsWith('\x1b[J')).toBe(true);
    expect(terminal.split('\n').slice(0, -1).every((line) => line.endsWith('\x1b[K'))).toBe(true);
  });

  it('what is not as it should be is broken between words where the screen ends', () => {
    const plain = screen({ status, rates, edge: [] }, style, 40).replaceAll('\x1b[K', '');
    expect(plain).toContain('\n  ! us-east-1 does not answer: nothing\n    listens there\n');
  });
});
