import { describe, expect, it } from 'vitest';
import { formatTopology, judgeTopology, REGION_STATES, topologyFault, topologyVersion, type RegionEntry, type Topology, type TopologyVersion } from '../../src/core/placement/topology.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { EU, US } from '../contract/make.ts';

const eu: RegionEntry = { id: EU, lat: 50.1, lon: 8.7, weight: 1, state: 'active' };
const us: RegionEntry = { id: US, lat: 39, lon: -77.5, weight: 1, state: 'draining', url: 'http://127.0.0.1:1' };
const good: Topology = { format: 1, term: 1, epoch: 7, control: EU, regions: [eu, us] };

describe('topology: what is wrong with a document', () => {
  it('nothing', () => expect(topologyFault(good)).toBeUndefined());

  it.each<[string, Partial<Topology>]>([
    ['no region', { regions: [] }],
    ['no active region', { regions: [{ ...eu, state: 'fenced' }, us] }],
    ['a region twice', { regions: [eu, eu] }],
    ['the control region is not listed', { regions: [{ ...us, state: 'active' }] }],
    ['term 0', { term: 0 }],
    ['an epoch that is not whole', { epoch: 1.5 }],
    ['an epoch above 2^53', { epoch: 2 ** 53 }],
    ['an unknown format', { format: 2 as 1 }],
    ['a weight of zero', { regions: [{ ...eu, weight: 0 }] }],
    ['a negative weight', { regions: [{ ...eu, weight: -1 }] }],
    ['an endless weight', { regions: [{ ...eu, weight: Infinity }] }],
    ['a weight that is no number', { regions: [{ ...eu, weight: Number.NaN }] }],
    ['beyond the pole', { regions: [{ ...eu, lat: 90.1 }] }],
    ['beyond the date line', { regions: [{ ...eu, lon: -180.1 }] }],
    ['nowhere', { regions: [{ ...eu, lat: Number.NaN }] }],
    ['no region id', { regions: [eu, { ...us, id: 'US' as RegionId }] }],
    ['an unknown state', { regions: [{ ...eu, state: 'down' as 'active' }] }],
  ])('%s', (_, fault) => {
    expect(topologyFault({ ...good, ...fault })).toMatch(/\.$/);
  });

  it('places at the edge of the map are places', () => {
    expect(topologyFault({ ...good, regions: [{ ...eu, lat: -90, lon: 180 }] })).toBeUndefined();
  });
});

describe('topology: which of two documents is in force', () => {
  const version = (more: Partial<Topology> = {}): TopologyVersion => topologyVersion({ ...good, ...more });
  const judge = (more: Partial<Topology>): string => judgeTopology(version(), version(more));

  it('the larger term, then the larger epoch', () => {
    expect(judge({ epoch: 8 })).toBe('newer');
    expect(judge({ epoch: 6 })).toBe('older');
    expect(judge({ term: 2, epoch: 1 })).toBe('newer');
    expect(judgeTopology(version({ term: 2, epoch: 1 }), version())).toBe('older');
  });

  it('an older one is older even when it is empty or different', () => {
    expect(judge({ epoch: 6, regions: [eu] })).toBe('older');
  });

  it('the same number and the same content', () => {
    expect(judge({})).toBe('same');
    expect(judge({ regions: [us, eu] })).toBe('same');
    expect(judge({ regions: [eu, { ...us, url: 'http://a-proxy', lat: 1, lon: 2 }] })).toBe('same');
  });

  it.each<[string, Partial<Topology>]>([
    ['another state', { regions: [eu, { ...us, state: 'fenced' }] }],
    ['another weight', { regions: [eu, { ...us, weight: 2 }] }],
    ['a region less', { regions: [eu] }],
    ['another control region', { control: US }],
  ])('the same number and %s: different', (_, more) => {
    expect(judge(more)).toBe('different');
  });

  it('prints on one line', () => {
    expect(formatTopology(good)).toBe('1.7 eu-central-1 active, us-east-1 draining');
    expect(REGION_STATES.length).toBe(5);
  });
});
