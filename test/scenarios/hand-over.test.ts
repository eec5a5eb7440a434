// A topology document takes a partition from a region that alone still has what is in it: the region hands it over.

import { afterEach, describe, expect, it } from 'vitest';
import { partitionOf } from '../../src/core/keys/item-key.ts';
import { HINTS_PER_PEER_MAX } from '../../src/core/limits.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import { AP, archipelago, EU, US, type Archipelago, type Site } from './archipelago.ts';

const SA = asRegionId('sa-east-1');
const GRACE_MS = 2_000;

const cleanUp: Archipelago[] = [];
afterEach(async () => {
  for (const regions of cleanUp.splice(0)) await regions.end();
});

/** `few` keeps two replicas. An item that EU and US hold, and SA and EU once SA is there. */
async function start(): Promise<{ readonly regions: Archipelago; readonly pk: string; readonly turn: (ids: readonly RegionId[]) => Promise<void> }> {
  const regions = await archipelago({ regions: [AP, EU, US, SA], later: [SA], graceMs: GRACE_MS });
  cleanUp.push(regions);
  await regions.collection('few', { replicas: 2, conflict: 'siblings' });
  const site = regions.at(AP);
  const holders = (pk: string, states: Parameters<Archipelago['topology']>[0]): string => {
    const key = site.key('few', pk);
    return (site.region.catalog.mapUnder(regions.topology(states), key.group)[partitionOf(key.encoded)] ?? []).join();
  };
  const pk = Array.from({ length: 300 }, (_, at) => `k${at}`).find((each) => holders(each, {}) === `${EU},${US}` && holders(each, { [SA]: 'active' }) === `${SA},${EU}`) as string;
  const document = regions.topology({ [SA]: 'active' }, { epoch: 2 });
  const turn = async (ids: readonly RegionId[]): Promise<void> => {
    for (const site of regions.sites) site.topology = document;
    for (const id of ids) await regions.drive(regions.at(id).region.topology.offer(document));
  };
  return { regions, pk, turn };
}

/** The other holder has lost its disk, and is down. */
async function lose(site: Site): Promise<void> {
  await site.crash();
  site.memory.wipe();
}

/** Of what it gave up, towards who came to hold it; a part of the live RPO. */
const owed = (site: Site): number | undefined => site.region.lanes.get(SA)?.toHandOver;

describe('a region gives up a partition', () => {
  it('the other holder has lost its disk and not taken back yet -> those who hold it now are given what there was', async () => {
    const { regions, pk, turn } = await start();
    const [eu, us, sa] = [regions.at(EU), regions.at(US), regions.at(SA)];
    await us.put('few', pk, 'v');
    await regions.converge();
    await lose(eu);
    await turn([AP, US]);
    expect([owed(us), (await us.rpo(SA)).items]).toEqual([1, 4]); // and three policies
    await sa.start();
    await eu.start();
    await regions.converge();
    for (const site of [sa, eu]) expect(await site.get('few', pk)).toEqual(['v']);
    expect(owed(us)).toBe(0);
  });

  it('a holder that stays is behind -> it is owed what there was, whatever certificate comes', async () => {
    const { regions, pk, turn } = await start();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.cut(US, EU);
    await regions.advance(5_000);
    us.memory.hints(EU).ballast = HINTS_PER_PEER_MAX;
    await us.put('few', pk, 'v');
    await regions.advance(1_000);
    us.memory.hints(EU).ballast = 0;
    expect(us.region.lanes.get(EU)?.behind).toBe(1);
    regions.network.hold(US, EU, ['digest', 'merge']);
    await turn([US]);
    expect(us.region.lanes.get(EU)?.toHandOver).toBe(1);
    regions.network.heal();
    await turn([AP, EU]);
    await regions.until('it is handed over', () => us.region.lanes.get(EU)?.toHandOver === 0);
    expect(await eu.get('few', pk)).toEqual(['v']);
  });

  it('what it could not hint in time is hinted all the same: no comparison would find it', async () => {
    const { regions, pk, turn } = await start();
    const us = regions.at(US);
    regions.network.cut(US, EU);
    await regions.advance(5_000);
    const hints = us.memory.hints(EU);
    hints.onSend = () => {
      throw new Error('The disk is full.');
    };
    await us.put('few', pk, 'v');
    await turn([US]);
    hints.onSend = () => [];
    hints.ballast = HINTS_PER_PEER_MAX;
    await regions.advance(1_000);
    expect([us.region.lanes.get(EU)?.behind, hints.has(us.key('few', pk).encoded)]).toEqual([0, true]);
  });

  it('it dies as soon as the document is durable -> it owes it after its start, and hands it over', async () => {
    const { regions, pk, turn } = await start();
    const [eu, us, sa] = [regions.at(EU), regions.at(US), regions.at(SA)];
    await us.put('few', pk, 'v');
    await regions.converge();
    await lose(eu);
    us.memory.table.afterDocument = (name) => {
      if (name === 'topology') void us.crash();
    };
    await turn([AP]);
    void us.region.topology.offer(us.topology);
    await regions.until('US is dead', () => !us.isAlive);
    us.memory.table.afterDocument = () => undefined;
    await us.start();
    expect(owed(us)).toBe(1);
    await sa.start();
    await eu.start();
    await regions.converge();
    for (const site of [sa, eu]) expect(await site.get('few', pk)).toEqual(['v']);
  });

  it('what it gave up was deleted and reaped before it could hand it over -> that goes to the ledger, not back into use', async () => {
    const { regions, pk, turn } = await start();
    const [eu, us, sa] = [regions.at(EU), regions.at(US), regions.at(SA)];
    await us.put('few', pk, 'from before');
    await regions.converge();
    await turn([AP, EU]);
    await sa.start();
    for (const id of [AP, EU, SA]) regions.network.cut(US, id);
    await regions.drive(eu.region.reconciler.run({ peers: [SA] }).finished);
    await eu.delete('few', pk);
    await regions.advance(20 * GRACE_MS);
    expect([await eu.line('few', pk), await sa.line('few', pk)]).toEqual(['nothing', 'nothing']);
    regions.network.heal();
    await turn([US]);
    await regions.converge();
    for (const site of [sa, eu]) expect(await site.get('few', pk)).toEqual([]);
    expect(owed(us)).toBe(0);
    expect(await sa.ledger('few')).toEqual(['from before late']);
  });

  it('a holder that stays has deleted the item, unknown to the one that leaves -> who comes is given the delete before a certificate ends its debt', async () => {
    const { regions, pk, turn } = await start();
    const [eu, sa] = [regions.at(EU), regions.at(SA)];
    await eu.put('few', pk, 'v');
    await regions.converge();
    for (const id of [AP, EU]) regions.network.cut(US, id);
    await regions.advance(5_000);
    await eu.delete('few', pk);
    await turn([AP, EU]);
    await sa.start();
    await regions.drive(eu.region.reconciler.run({ peers: [SA] }).finished);
    expect([await sa.line('few', pk), await eu.rpo(SA)]).toEqual([await eu.line('few', pk), { items: 0, exact: true }]);
    await turn([US]);
    await regions.until('it is handed over', () => owed(regions.at(US)) === 0);
    expect(await sa.get('few', pk)).toEqual([]);
  });

  it('the one that leaves has deleted the item, and who comes holds nothing yet -> it is handed the delete, before it takes the value from the other', async () => {
    const { regions, pk, turn } = await start();
    const [eu, us, sa] = [regions.at(EU), regions.at(US), regions.at(SA)];
    await eu.put('few', pk, 'v');
    await regions.converge();
    for (const id of [AP, EU]) regions.network.cut(US, id);
    regions.network.cut(EU, SA);
    await regions.advance(5_000);
    await us.delete('few', pk);
    await turn([AP, EU, US]);
    await sa.start();
    await regions.drive(sa.region.reconciler.run({ peers: [AP] }).finished); // the policies
    await regions.until('it is handed over', () => owed(us) === 0);
    expect(await sa.line('few', pk)).toBe(await us.line('few', pk));
    regions.network.heal();
    regions.network.cut(US, EU);
    await regions.advance(5_000);
    await regions.drive(eu.region.reconciler.run({ peers: [SA] }).finished);
    expect([await sa.get('few', pk), await eu.get('few', pk)]).toEqual([[], []]);
  });

  it('those who hold it now hold what it has -> nothing is sent', async () => {
    const { regions, pk, turn } = await start();
    const [eu, us, sa] = [regions.at(EU), regions.at(US), regions.at(SA)];
    await us.put('few', pk, 'v');
    await regions.converge();
    for (const id of [AP, EU, SA]) regions.network.cut(US, id);
    await turn([AP, EU, US]);
    await sa.start();
    await regions.drive(eu.region.reconciler.run({ peers: [SA] }).finished);
    expect(owed(us)).toBe(1);
    const { applied } = sa.region.applier.stats;
    regions.network.heal();
    await regions.until('nothing is owed', () => owed(us) === 0);
    expect(sa.region.applier.stats.applied).toBe(applied);
  });
});
