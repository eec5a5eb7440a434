// Policies: created everywhere or not at all, changed while items are held, crossed, half spread, or not understood.

import { describe, expect, it } from 'vitest';
import { ArchipelError } from '../../src/core/errors.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { compareDots, type Dot } from '../../src/core/version/dot.ts';
import { NO_OPERATIONS } from '../../src/core/version/operations.ts';
import type { State } from '../../src/core/version/record.ts';
import { makeStamp } from '../../src/core/version/stamp.ts';
import { joinVectors } from '../../src/core/version/version-vector.ts';
import { COLLECTIONS } from '../../src/engine/catalog.ts';
import type { PolicySpec } from '../../src/engine/collections.ts';
import { AP, archipelago, EU, operation, US, valueOf, type Archipelago, type Site } from './archipelago.ts';

const SPEC: PolicySpec = { conflict: 'lww', regions: 'all', replicas: 3 };

/** Every region has written each of these keys without having heard of the others. */
async function conflicts(regions: Archipelago, keys: readonly string[]): Promise<void> {
  for (const id of regions.ids) for (const other of regions.ids) if (id < other) regions.network.cut(id, other);
  for (const pk of keys) for (const id of regions.ids) await regions.at(id).put('carts', pk, `${pk} of ${id}`);
  regions.network.heal();
  await regions.converge();
  for (const pk of keys) expect(await regions.at(EU).get('carts', pk)).toHaveLength(3);
}

const rows = async (regions: Archipelago): Promise<number> => new Set((await Promise.all(regions.sites.map((site) => site.losses('carts')))).flat().map(({ id }) => id)).size;

const holdsOne = (site: Site, keys: readonly string[]) => async (): Promise<boolean> => (await Promise.all(keys.map((pk) => site.state('carts', pk)))).every((state) => state?.values.length === 1);

describe('siblings become lww', () => {
  const keys = ['a', 'b', 'c', 'd'];

  it('what is held collapses to the largest everywhere, and each loser has one row', async () => {
    const regions = await archipelago();
    await conflicts(regions, keys);
    await regions.at(EU).region.collections.change('carts', { conflict: 'lww' });
    await regions.converge();
    for (const site of regions.sites) expect(await holdsOne(site, keys)()).toBe(true);
    expect(await rows(regions)).toBe(8);
    await regions.expectEqual();
  });

  it('a write was done in two regions; what one made of it reaches a region that still keeps siblings -> the write stays there', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    regions.network.cut(EU, US);
    for (const site of [eu, us]) await site.put('carts', 'a', 'once', { operation: operation('X') });
    regions.network.heal();
    await regions.converge();
    for (const peer of [EU, US]) regions.network.cut(AP, peer);
    const change = eu.region.collections.change('carts', { conflict: 'lww' });
    await regions.advance(15_000);
    expect(eu.region.catalog.conflictRule('carts')).toBe('lww');
    expect(ap.region.catalog.conflictRule('carts')).toBe('siblings');
    const state = await eu.state('carts', 'a');
    if (state !== undefined) await ap.region.applier.merge(ap.key('carts', 'a'), state);
    expect(await ap.get('carts', 'a')).toEqual(['once']);
    regions.network.heal();
    await regions.drive(change);
    await regions.advance(15_000);
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual(['once']);
    await regions.expectEqual();
  });

  it('a write was done twice, in a region that keeps both as siblings and in one that is lww by then -> both hold the same, without a comparison', async () => {
    const regions = await archipelago({ regions: [AP, EU] });
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    regions.network.hold(EU, AP);
    await eu.put('carts', 'a', 'once', { operation: operation('X') });
    await regions.advance(10);
    await ap.put('carts', 'a', 'once', { operation: operation('X') });
    await regions.advance(10);
    expect((await eu.state('carts', 'a'))?.values).toHaveLength(2);
    const change = ap.region.collections.change('carts', { conflict: 'lww' });
    await regions.advance(100);
    expect([ap, eu].map((site) => site.region.catalog.conflictRule('carts'))).toEqual(['lww', 'lww']);
    regions.network.heal();
    for (const message of regions.network.held.splice(0)) await message.deliver();
    await regions.drive(change);
    await regions.converge();
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual(['once']);
    await regions.expectEqual();
  });

  it('a write that was made of siblings has seen a larger one, which a client deleted there -> it is written again above that one, and stands everywhere', async () => {
    const regions = await archipelago({ regions: [AP, EU] });
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    regions.network.cut(AP, EU);
    await eu.put('demo', 'a', 'stays');
    await regions.advance(10);
    await ap.put('demo', 'a', 'deleted');
    const [smaller, larger] = [(await eu.state('demo', 'a')) as State, (await ap.state('demo', 'a')) as State];
    await ap.region.applier.merge(ap.key('demo', 'a'), { ...smaller, context: joinVectors(smaller.context, larger.context) });
    expect(await ap.get('demo', 'a')).toEqual(['stays']);
    expect(compareDots((await ap.state('demo', 'a'))?.values[0]?.dot as Dot, larger.values[0]?.dot as Dot)).toBeGreaterThan(0);
    expect(await ap.ledger('demo')).toEqual([]);
    regions.network.heal();
    await regions.converge();
    expect(await eu.get('demo', 'a')).toEqual(['stays']);
    await regions.expectEqual();
  });

  it('every region is killed in the middle of it -> finished after the restart', async () => {
    const regions = await archipelago();
    await conflicts(regions, keys);
    for (const site of regions.sites) {
      let left = 1;
      site.memory.table.onUpdate = ({ collection }) => {
        if (collection === 'carts' && left-- <= 0) throw new ArchipelError('storage-unavailable', 'The process is about to die.');
      };
    }
    await regions.at(EU).region.collections.change('carts', { conflict: 'lww' });
    await regions.advance(200);
    for (const site of regions.sites) await site.crash();
    for (const site of regions.sites) site.memory.table.onUpdate = () => undefined;
    await Promise.all(regions.sites.map((site) => site.start()));
    await regions.advance(15_000);
    for (const site of regions.sites) expect(await holdsOne(site, keys)()).toBe(true);
    expect(await rows(regions)).toBe(8);
    await regions.expectEqual();
  });

  it('the disk is full in the middle of it -> finished when there is room', async () => {
    const regions = await archipelago();
    await conflicts(regions, keys);
    let isFull = true;
    for (const site of regions.sites) {
      site.memory.table.onUpdate = ({ collection }) => {
        if (isFull && collection === 'carts') throw new ArchipelError('storage-full', 'The disk is nearly full.');
      };
    }
    await regions.at(EU).region.collections.change('carts', { conflict: 'lww' });
    await regions.advance(30_000);
    expect(regions.at(EU).logged('collection.collapse-failed').length).toBeGreaterThan(0);
    isFull = false;
    await regions.advance(15_000);
    for (const site of regions.sites) expect(await holdsOne(site, keys)()).toBe(true);
    expect(await rows(regions)).toBe(8);
  });
});

describe('a policy that is not here yet', () => {
  it('items arrive before it -> kept as siblings; it arrives and says lww -> one stands, the others are in the ledger', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    const key = eu.key('demo', 'k');
    const other = { ...eu.region.catalog.key({ name: 'unheard', group: key.group, policy: eu.region.catalog.require('demo').policy }, utf8('k'), new Uint8Array(0)) };
    const states = [ap, us].map((site, at) => {
      const dot = { actor: site.region.actor, stamp: makeStamp(regions.clock.wallMs(), at) };
      return { values: [{ dot, value: valueOf(`of ${site.id}`) }], context: new Map([[dot.actor, dot.stamp]]), operations: NO_OPERATIONS };
    });
    for (const state of states) await eu.region.applier.merge(other, state);
    expect((await eu.table.get(other))?.state.values).toHaveLength(2);
    await regions.collection('unheard');
    await regions.advance(15_000);
    expect(await eu.get('unheard', 'k')).toEqual([`of ${US}`]);
    expect(await eu.ledger('unheard')).toEqual([`of ${AP} policy-changed`]);
  });

  it('a policy of a later release, or no policy at all -> nothing is dropped, the region goes on, and it is logged', async () => {
    const regions = await archipelago();
    const eu = regions.at(EU);
    const { catalog } = eu.region;
    for (const [name, text] of [['counted', '{"conflict":"counter","regions":"all","replicas":3,"created":"2027","active":true}'], ['nothing', 'null'], ['list', '[]'], ['bad', '{']] as const) {
      const key = catalog.systemKey(COLLECTIONS, name);
      const dot = { actor: eu.region.actor, stamp: makeStamp(regions.clock.wallMs(), name.length) };
      await eu.region.applier.merge(key, { values: [{ dot, value: valueOf(text) }], context: new Map([[dot.actor, dot.stamp]]), operations: NO_OPERATIONS });
      expect(catalog.conflictRule(name)).toBe('siblings');
      expect(() => catalog.require(name)).toThrow('There is no collection');
      await expect(regions.drive(eu.region.collections.create(name, SPEC))).rejects.toMatchObject({ code: 'collection-exists' });
    }
    await eu.crash();
    await eu.start();
    await eu.put('demo', 'k', 'goes on');
    expect(await eu.get('demo', 'k')).toEqual(['goes on']);
  });
});

describe('creating', () => {
  it('one region out of reach -> pending, takes no items; it comes back -> finished, also when the creator is gone', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    regions.network.cut(EU, US);
    regions.network.cut(AP, US);
    const { collection } = await regions.drive(eu.region.collections.create('late', SPEC));
    expect(collection.policy.active).toBe(false);
    expect(() => ap.region.catalog.require('late')).toThrow('Not every region knows');
    await eu.crash();
    regions.network.heal();
    await regions.advance(15_000);
    expect(us.region.catalog.find('late')?.policy.active).toBe(false); // EU has not answered
    await eu.start();
    await regions.advance(15_000);
    for (const site of regions.sites) expect(site.region.catalog.require('late').policy.active).toBe(true);
  });

  it('two that crossed -> the smaller dot stands everywhere, the other is told that it exists', async () => {
    const regions = await archipelago();
    regions.network.cut(EU, US);
    regions.network.cut(EU, AP);
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await regions.drive(eu.region.collections.create('crossed', SPEC));
    await regions.drive(us.region.collections.create('crossed', { ...SPEC, conflict: 'siblings' }));
    regions.network.heal();
    await regions.advance(15_000);
    for (const site of regions.sites) expect(site.region.catalog.require('crossed').policy.conflict).toBe('lww');
    await expect(regions.drive(us.region.collections.create('crossed', { ...SPEC, conflict: 'siblings' }))).rejects.toMatchObject({ code: 'collection-exists' });
    const again = await regions.drive(us.region.collections.create('crossed', SPEC));
    expect(again.existed).toBe(true);
  });
});
