// A region is declared lost with writes that it had not passed on, and comes back after all.

import { describe, expect, it } from 'vitest';
import { utf8Text } from '../../src/core/bytes.ts';
import type { RegionState } from '../../src/core/placement/topology.ts';
import { asRegionId, type ActorId, type RegionId } from '../../src/core/version/dot.ts';
import { AP, archipelago, EU, US, type Archipelago, type Site } from './archipelago.ts';

const SA = asRegionId('sa-east-1');
const offer = (regions: Archipelago, to: RegionId, states: Readonly<Record<string, RegionState>>, epoch: number): Promise<string> => regions.drive(regions.at(to).region.topology.offer(regions.topology(states, { epoch })));

/** Losers of a group in the ledger of a region. */
async function group(site: Site, actor: ActorId): Promise<string[]> {
  const groups = await site.region.stranded.groups();
  return (await site.losses('demo')).filter((row) => groups.groupOf(row) === actor).map(({ value }) => (value === undefined ? 'deleted' : (utf8Text(value.bytes) ?? ''))).sort();
}

/** `us-east-1` is split off, writes, is declared lost; the others write; it is taken back. Answers the actor that wrote. */
async function comeback(regions: Archipelago): Promise<ActorId> {
  const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
  const { actor } = us.region;
  await us.put('demo', 'before', 'first');
  await regions.converge();
  for (const peer of [AP, EU]) regions.network.cut(US, peer);
  await us.put('demo', 'alone', 'only of us');
  await us.put('demo', 'both', 'of us');
  await us.put('demo', 'late', 'of us too');
  expect(await offer(regions, EU, { [US]: 'lost' }, 2)).toBe('newer');
  await regions.advance(5_000);
  await eu.put('demo', 'both', 'of eu');
  await ap.put('demo', 'late', 'of ap');
  await regions.converge();
  expect((await eu.rpo(US)).items).toBe(0); // nothing is kept for it
  regions.network.heal();
  await regions.advance(5_000);
  expect(us.region.catalog.self.state).toBe('lost');
  await expect(us.put('demo', 'k', 'v')).rejects.toMatchObject({ code: 'region-fenced' });
  expect(await offer(regions, EU, { [US]: 'active' }, 3)).toBe('newer');
  await regions.advance(70_000);
  return actor;
}

describe('a region that was lost is taken back as joining', () => {
  it('it is sent everything and serves nobody; it compares by itself, says what it lacks, and is ready when nothing is left', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    for (const peer of [AP, EU]) regions.network.cut(US, peer);
    await us.put('demo', 'alone', 'only of us');
    await offer(regions, EU, { [US]: 'lost' }, 2);
    await eu.put('demo', 'k', 'meanwhile');
    await regions.advance(5_000);
    regions.network.heal();
    regions.network.cut(US, AP);
    await regions.advance(5_000);
    await offer(regions, EU, { [US]: 'joining' }, 3);
    await regions.advance(20_000);
    expect(await us.get('demo', 'k')).toEqual(['meanwhile']);
    expect(() => us.region.assertServing()).toThrow('joining');
    expect(await regions.drive(eu.region.joining.whyNot(US))).toBe(`${US} is joining: it has no certificate with ${AP}, ${EU} yet.`);
    regions.network.cut(US, EU);
    expect(await regions.drive(eu.region.joining.whyNot(US))).toContain('does not answer');
    regions.network.heal();
    await regions.advance(40_000);
    expect(await regions.drive(eu.region.joining.whyNot(US))).toBeUndefined();
    await offer(regions, EU, { [US]: 'active' }, 4);
    await regions.converge();
    for (const site of [ap, eu, us]) expect(await site.get('demo', 'alone')).toEqual(['only of us']);
    await us.put('demo', 'k', 'of the one that is back');
    await regions.converge();
    await regions.expectEqual();
  });

  it('a replica has not heard of the certificate -> it has none: made active on its word, that replica would go on owing it everything', async () => {
    const regions = await archipelago();
    const [ap, us] = [regions.at(AP), regions.at(US)];
    await us.put('demo', 'k', 'v');
    await regions.converge();
    await offer(regions, EU, { [US]: 'lost' }, 2);
    await regions.advance(5_000);
    regions.network.hold(AP, US, ['digest']); // so that it is not the one that compares
    const told: (number | undefined)[] = [];
    regions.network.once(US, AP, { method: 'certificate', before: async () => void told.push(us.region.reconciler.lastCertificate(AP)?.epoch, (await ap.rpo(US)).items) });
    await offer(regions, EU, { [US]: 'joining' }, 3);
    await regions.advance(40_000);
    expect(told).toEqual([undefined, 3]); // no certificate yet, and what it is owed: an item and two rows about collections
    expect([us.region.reconciler.lastCertificate(AP)?.epoch, (await ap.rpo(US)).items]).toEqual([3, 0]);
  });

  it.each(['lost', 'fenced'] as const)('it starts while it is %s -> it serves nobody, and nobody waits for it', async (how) => {
    const regions = await archipelago();
    const us = regions.at(US);
    await us.crash();
    await offer(regions, EU, { [US]: how }, 2);
    await regions.converge();
    const { ready } = await us.boot();
    let isReady = false;
    void ready.then(() => (isReady = true));
    await regions.advance(5_000);
    expect(isReady).toBe(true);
    expect(() => us.region.assertServing()).toThrow(how === 'lost' ? 'declared lost' : 'This region is fenced');
    await offer(regions, EU, { [US]: how === 'lost' ? 'joining' : 'active' }, 3);
    await regions.advance(20_000);
    expect(us.region.recovery.isPending).toBe(false);
  });

  it('others have held its partitions meanwhile, alone -> it has what they were given before they stop', async () => {
    const regions = await archipelago({ regions: [AP, EU, US, SA] });
    await regions.collection('one', { replicas: 1 });
    const [ap, us] = [regions.at(AP), regions.at(US)];
    const holders = (pk: string): readonly RegionId[] => ap.region.catalog.holdersOf(ap.key('one', pk)) ?? [];
    const mine = Array.from({ length: 40 }, (_, at) => `k${at}`).filter((pk) => holders(pk).includes(US));
    await us.put('one', mine[0] as string, 'from before');
    await regions.converge();
    for (const peer of [AP, EU, SA]) regions.network.cut(US, peer);
    await offer(regions, EU, { [US]: 'lost' }, 2);
    await regions.advance(5_000);
    for (const pk of mine.slice(1)) await regions.at(holders(pk)[0] as RegionId).put('one', pk, 'meanwhile');
    regions.network.heal();
    await offer(regions, EU, { [US]: 'joining' }, 3);
    await regions.advance(30_000);
    expect(await regions.drive(ap.region.joining.whyNot(US))).toBeUndefined();
    await offer(regions, EU, { [US]: 'active' }, 4);
    await regions.converge();
    expect(mine.length).toBeGreaterThan(3);
    for (const [at, pk] of mine.entries()) {
      expect(holders(pk)).toEqual([US]);
      expect(await us.get('one', pk)).toEqual([at === 0 ? 'from before' : 'meanwhile']);
    }
  });
});

describe('a region that was lost comes back', () => {
  it('what it had not passed on merges; what of it loses is one group, in every ledger; nothing is owed', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    const actor = await comeback(regions);
    for (const site of [ap, eu, us]) {
      expect([await site.get('demo', 'alone'), await site.get('demo', 'both'), await site.get('demo', 'late')]).toEqual([['only of us'], ['of eu'], ['of ap']]);
      expect(await group(site, actor)).toEqual(['of us', 'of us too']);
    }
    await regions.expectEqual();
    expect(us.region.actor).not.toBe(actor);
    // What loses later, of its new life, is not stranded.
    for (const peer of [AP, EU]) regions.network.cut(US, peer);
    await us.put('demo', 'after', 'of us');
    await regions.advance(10);
    await eu.put('demo', 'after', 'of eu');
    regions.network.heal();
    await regions.advance(40_000);
    expect(await eu.ledger('demo')).toContain('of us lww');
    expect(await group(eu, actor)).toEqual(['of us', 'of us too']);
    expect(await group(eu, us.region.actor)).toEqual([]);
  });

  it('an ordinary loss from before is no part of the group', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.cut(US, EU);
    regions.network.cut(US, AP);
    await us.put('demo', 'x', 'lost long ago');
    await regions.advance(10);
    await eu.put('demo', 'x', 'won');
    regions.network.heal();
    await regions.advance(40_000);
    expect(await eu.ledger('demo')).toEqual(['lost long ago lww']);
    const actor = await comeback(regions);
    expect(await group(eu, actor)).toEqual(['of us', 'of us too']);
  });

  it('rejected: every write of it is current again, once, though each region is asked; but what was written since stays', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    const actor = await comeback(regions);
    await ap.put('demo', 'late', 'written since');
    await regions.converge();
    const outcomes: string[] = [];
    for (const peer of [AP, US]) regions.network.cut(EU, peer); // the second does not hear of the first
    for (const site of [eu, us]) {
      const groups = await site.region.stranded.groups();
      for (const row of (await site.losses('demo')).filter((each) => groups.groupOf(each) === actor)) outcomes.push(await site.region.stranded.restore(row, groups.sinceMs(row.dot.actor) as number));
    }
    expect(outcomes.sort()).toEqual(['overtaken', 'overtaken', 'restored', 'restored']);
    regions.network.heal();
    await regions.advance(40_000);
    for (const site of [ap, eu, us]) expect([await site.get('demo', 'both'), await site.get('demo', 'late')]).toEqual([['of us'], ['written since']]);
    await regions.expectEqual();
    expect((await eu.ledger('demo')).filter((row) => row === 'of us lww')).toHaveLength(1);
  });

  it('accepted: it is no group any more, over a restart, and its rows stay', async () => {
    const regions = await archipelago();
    const eu = regions.at(EU);
    const actor = await comeback(regions);
    await eu.region.stranded.accept('demo', actor);
    await eu.crash();
    await eu.start();
    expect(await group(eu, actor)).toEqual([]);
    expect(await eu.ledger('demo')).toEqual(['of us lww', 'of us too lww']);
    expect(await group(regions.at(AP), actor)).toEqual(['of us', 'of us too']);
  });

  it('its disk is empty when it comes back -> it is filled by the others, and no group is there', async () => {
    const regions = await archipelago();
    const [eu, lost] = [regions.at(EU), regions.at(US)];
    await lost.put('demo', 'k', 'v');
    await regions.converge();
    await lost.crash();
    await offer(regions, EU, { [US]: 'lost' }, 2);
    await eu.put('demo', 'l', 'w');
    await regions.converge();
    lost.memory.wipe();
    await offer(regions, EU, { [US]: 'active' }, 3);
    await lost.start();
    await regions.advance(70_000);
    expect([await lost.get('demo', 'k'), await lost.get('demo', 'l')]).toEqual([['v'], ['w']]);
    await regions.expectEqual();
    expect(await eu.ledger('demo')).toEqual([]);
  });
});
