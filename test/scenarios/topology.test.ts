// Who belongs to the deployment, who holds what, and whose messages are taken.

import { describe, expect, it } from 'vitest';
import type { Topology } from '../../src/core/placement/topology.ts';
import { encodeState } from '../../src/core/version/codec.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import { seal, unseal } from '../../src/engine/envelope.ts';
import { AP, archipelago, EU, lane, US, type Archipelago, type Site } from './archipelago.ts';

const SA = asRegionId('sa-east-1');
const AF = asRegionId('af-south-1');

async function restart(site: Site, topology: Topology): Promise<void> {
  await site.crash();
  site.topology = topology;
  await site.start();
}

const questionOf = (site: Site, to: RegionId): Uint8Array => {
  const link = site.region.links.get(to);
  if (link === undefined) throw new Error(`${to} is not a peer of ${site.id}.`);
  return seal(link.envelope(), new Uint8Array([0]));
};

const verdict = async (regions: Archipelago, from: RegionId, to: RegionId): Promise<string> => unseal(await regions.at(to).region.door.answer('inbox', questionOf(regions.at(from), to))).envelope.refused?.code ?? 'taken';

describe('topology documents', () => {
  it('an older one is refused by who has a newer, not the other way round; told once; whoever was refused learns it -> all arrives', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    const questions = [questionOf(us, EU), questionOf(eu, US)] as const;
    await restart(eu, regions.topology({}, { epoch: 2 }));
    const refusal = unseal(await eu.region.door.answer('inbox', questions[0])).envelope;
    expect([refusal.refused?.code, refusal.document?.epoch]).toEqual(['topology-older', 2]);
    expect(await verdict(regions, EU, US)).toBe('taken');
    await us.put('demo', 'k', 'from the older one');
    await eu.put('demo', 'l', 'from the newer one');
    await regions.converge();
    await regions.expectEqual();
    expect(us.logged('topology.differs')).toMatchObject([{ fields: { peer: EU, verdict: 'newer' } }]);
    expect((await us.rpo(EU)).items).toBe(0);
  });

  it('a different one under the same number is refused by both; each goes on alone; a higher term settles it', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await restart(eu, { ...regions.topology(), control: EU });
    expect(await verdict(regions, US, EU)).toBe('topology-different');
    expect(await verdict(regions, EU, US)).toBe('topology-different');
    await eu.put('demo', 'k', 'of eu');
    await us.put('demo', 'k', 'of us');
    await regions.converge();
    expect([await eu.get('demo', 'k'), await us.get('demo', 'k')]).toEqual([['of eu'], ['of us']]);
    for (const site of regions.sites) await restart(site, { ...regions.topology({}, { term: 2 }), control: EU });
    await regions.advance(70_000);
    await regions.expectEqual();
    expect((await Promise.all(regions.sites.map((site) => site.ledger('demo')))).flat().every((row) => row === 'of eu lww')).toBe(true);
  });

  it('messages without a topology, or of a region that is not listed, change nothing', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    const envelope = unseal(questionOf(eu, US)).envelope;
    const codes: (string | undefined)[] = [];
    for (const wrong of [{ ...envelope, topology: undefined }, { ...envelope, topology: {} }, { ...envelope, wallMs: 'soon' }, { ...envelope, from: SA }, { ...envelope, from: US }]) {
      codes.push(unseal(await us.region.door.answer('inbox', seal(wrong as typeof envelope, new Uint8Array([0])))).envelope.refused?.code);
    }
    expect(codes).toEqual(['bad-request', 'bad-request', 'bad-request', 'forbidden', 'forbidden']);
  });

  for (const state of ['fenced', 'lost'] as const) {
    it(`what a ${state} region sends is refused; the others go on`, async () => {
      const regions = await archipelago();
      for (const id of [AP, EU]) await restart(regions.at(id), regions.topology({ [US]: state }, { epoch: 2 }));
      regions.at(US).topology = regions.topology({ [US]: state }, { epoch: 2 });
      await regions.at(US).crash();
      await regions.at(US).boot();
      expect(await verdict(regions, US, EU)).toBe('region-fenced');
      await regions.at(EU).put('demo', 'k', 'v');
      await regions.converge();
      expect(await regions.at(AP).get('demo', 'k')).toEqual(['v']);
      expect(() => regions.at(US).region.assertServing()).toThrow(state === 'lost' ? 'declared lost' : 'This region is fenced');
    });
  }

  it('another region answers in the place of a peer -> its answers count for nothing', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    const apDoor = ap.region.door;
    regions.network.connect(US, { isAlive: () => true, answer: (method, question) => apDoor.answer(method, question) });
    await eu.put('demo', 'k', 'v');
    await regions.converge();
    expect(await us.get('demo', 'k')).toEqual([]);
    expect((await eu.rpo(US)).items).toBe(1);
    expect((await eu.rpo(AP)).items).toBe(0);
  });
});

describe('fewer replicas than regions', () => {
  const five = [AF, AP, EU, SA, US];

  async function few(): Promise<{ regions: Archipelago; holders: (pk: string) => readonly RegionId[] }> {
    const regions = await archipelago({ regions: five });
    await regions.collection('few', { replicas: 2, conflict: 'siblings' });
    const first = regions.at(EU);
    return { regions, holders: (pk) => first.region.catalog.holdersOf(first.key('few', pk)) ?? [] };
  }

  it('an item is in the records, hints, ledger and dead letters of its holders only; others owe and are owed nothing', async () => {
    const { regions, holders } = await few();
    for (let i = 0; i < 30; i++) await regions.at(holders(`k${i}`)[i % 2] as RegionId).put('few', `k${i}`, 'v');
    await regions.converge();
    for (let i = 0; i < 30; i++) {
      expect(holders(`k${i}`)).toHaveLength(2);
      for (const site of regions.sites) expect(await site.get('few', `k${i}`)).toEqual(holders(`k${i}`).includes(site.id) ? ['v'] : []);
    }
    for (const site of regions.sites) for (const peer of site.region.lanes.keys()) expect(await site.rpo(peer)).toEqual({ items: 0, exact: true });
  });

  it('a state sent to a region that does not hold it is refused, kept by nobody else, and is no dead letter', async () => {
    const { regions, holders } = await few();
    const [first, second] = holders('k') as [RegionId, RegionId];
    const stranger = five.find((id) => id !== first && id !== second) as RegionId;
    const asked = (): number[] => five.filter((id) => id !== first && id !== second).map((id) => regions.network.count(first, id, 'inbox'));
    const before = asked();
    await regions.at(first).put('few', 'k', 'v');
    await regions.advance(1_000);
    expect(await regions.at(second).get('few', 'k')).toEqual(['v']);
    expect(asked()).toEqual(before); // placement is asked before anything leaves
    const key = regions.at(first).key('few', 'k');
    const state = await regions.at(first).state('few', 'k');
    if (state === undefined) throw new Error('Just written.');
    const held = await regions.at(first).region.coordinator.replicate(key, state, { type: 'regions', regions: [stranger] }, 1_000);
    expect(held).toEqual([]);
    expect(await regions.at(stranger).region.applier.apply(first, [{ key: key.encoded, state: encodeState(state) }])).toEqual(['not-held']);
    expect(await regions.at(stranger).get('few', 'k')).toEqual([]);
    expect(await regions.at(stranger).memory.letters(first).count()).toBe(0);
    expect(await regions.at(stranger).region.applier.apply(first, [{ key: key.encoded, state: new Uint8Array([1, 2, 3]) }])).toEqual(['not-held']);
    expect(await regions.at(stranger).memory.letters(first).count()).toBe(0); // no reader, and no place either
  });

  it('both holders of an item split, write, heal -> equal at both; a pair that shares nothing of it proves nothing of it', async () => {
    const { regions, holders } = await few();
    const [first, second] = holders('k') as [RegionId, RegionId];
    regions.network.cut(first, second);
    await regions.at(first).put('few', 'k', 'one');
    await regions.at(second).put('few', 'k', 'two');
    await regions.advance(3_000);
    regions.network.heal();
    await regions.converge();
    expect(await regions.at(first).line('few', 'k')).toBe(await regions.at(second).line('few', 'k'));
    expect(await regions.at(first).get('few', 'k')).toEqual(expect.arrayContaining(['one', 'two']));
    const stranger = five.find((id) => id !== first && id !== second) as RegionId;
    const run = regions.at(first).region.reconciler.run({ peers: [stranger] });
    await regions.drive(run.finished);
    expect(run.pairs[0]).toMatchObject({ equal: true, pushed: 0, pulled: 0 });
    expect(await regions.at(stranger).get('few', 'k')).toEqual([]);
    expect(lane(regions.at(first), stranger).stats.sent).toBeLessThan(20);
  });
});
