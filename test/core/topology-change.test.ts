// What an operator may make of a topology document.

import { describe, expect, it } from 'vitest';
import { regionEntry } from '../../src/config/places.ts';
import { judgeTopology, REGION_STATES, topologyVersion, type RegionState, type Topology } from '../../src/core/placement/topology.ts';
import { changeTopology, promoteRegion, TOPOLOGY_VERBS, type TopologyChange } from '../../src/core/placement/topology-change.ts';
import { asRegionId } from '../../src/core/version/dot.ts';

const [A, B, C] = [asRegionId('ap-northeast-2'), asRegionId('eu-central-1'), asRegionId('us-east-1')];
const document = (states: Readonly<Record<string, RegionState>> = {}): Topology => ({ format: 1, term: 2, epoch: 7, control: A, regions: [A, B, C].map((id) => ({ ...regionEntry(id), state: states[id] ?? 'active' })) });
const told = (change: TopologyChange): string => ('refused' in change ? change.refused : `${change.document.term}.${change.document.epoch} ${change.document.control} ${change.document.regions.map(({ state }) => state).join(' ')}`);

describe('topology: what may be changed', () => {
  it('each verb leads from some states to one', () => {
    const found = TOPOLOGY_VERBS.map((verb) => REGION_STATES.map((state) => told(changeTopology(document({ [B]: state }), B, verb)).replace(/^2\.(\d) ap-northeast-2 active (\S+) active$/, '$1 $2')));
    //                  active          draining        fenced      lost        joining
    expect(found).toEqual([
      ['8 draining', '7 draining', no('fenced', 'draining'), no('lost', 'draining'), no('joining', 'draining')],
      ['7 active', '8 active', '8 active', '8 joining', '8 active'],
      ['8 fenced', '8 fenced', '7 fenced', no('lost', 'fenced'), '8 fenced'],
      ['8 lost', '8 lost', '8 lost', '7 lost', '8 lost'],
    ]);
    function no(from: string, to: string): string {
      return `${B} is ${from}: it cannot be made ${to}.`;
    }
  });

  it('a joining region that does not hold everything is not made active, but may be given up', () => {
    const lacks = `${B} has no certificate with ${C} yet.`;
    expect(told(changeTopology(document({ [B]: 'joining' }), B, 'return', { lacks }))).toBe(lacks);
    expect(told(changeTopology(document({ [B]: 'joining' }), B, 'lose', { lacks }))).toBe('2.8 ap-northeast-2 active lost active');
    expect(told(changeTopology(document({ [B]: 'fenced' }), B, 'return', { lacks }))).toBe('2.8 ap-northeast-2 active active active');
  });

  it('the next document is newer than the last, and says nothing else', () => {
    const change = changeTopology(document(), C, 'fence');
    if ('refused' in change) throw new Error(change.refused);
    expect(judgeTopology(topologyVersion(document()), topologyVersion(change.document))).toBe('newer');
    expect({ ...change.document, epoch: 7, regions: [] }).toEqual({ ...document(), regions: [] });
  });

  it('the control region stays, and one region is active', () => {
    expect(told(changeTopology(document(), A, 'fence'))).toContain('promote another one first');
    expect(told(changeTopology(document(), A, 'lose'))).toContain('promote another one first');
    expect(told(changeTopology(document(), A, 'drain'))).toBe('2.8 ap-northeast-2 draining active active');
    expect(told(changeTopology(document({ [B]: 'draining', [C]: 'lost' }), A, 'drain'))).toBe('No region is active.');
    expect(told(changeTopology(document(), asRegionId('sa-east-1'), 'drain'))).toBe('There is no region sa-east-1 in the topology.');
  });

  it('promotion moves control to an active region under a higher term', () => {
    expect(told(promoteRegion(document(), B))).toBe('3.8 eu-central-1 active active active');
    expect(told(promoteRegion(document(), A))).toBe('2.7 ap-northeast-2 active active active');
    expect(told(promoteRegion(document({ [B]: 'draining' }), B))).toBe('Only an active region can be promoted; eu-central-1 is draining.');
    expect(told(promoteRegion(document(), asRegionId('sa-east-1')))).toContain('not listed');
    // What the old control region goes on to write is older.
    const [old, promoted] = [changeTopology(document(), C, 'drain'), promoteRegion(document(), B)];
    if ('refused' in old || 'refused' in promoted) throw new Error('refused');
    expect(judgeTopology(topologyVersion(promoted.document), topologyVersion(old.document))).toBe('older');
  });
});
