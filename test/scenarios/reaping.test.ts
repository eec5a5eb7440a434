// Tombstones are forgotten by proof; what comes after that is asked about, not guessed.

import { afterEach, describe, expect, it } from 'vitest';
import { partitionOf } from '../../src/core/keys/item-key.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { AP, archipelago, EU, US, valueOf, type Archipelago, type ArchipelagoOptions, type Site } from './archipelago.ts';
import { LevelDisk, MemoryDisk } from './disks.ts';

const cleanUp: Archipelago[] = [];
afterEach(async () => {
  for (const regions of cleanUp.splice(0)) await regions.end();
});

const GRACE_MS = 1_000;

const start = async (options: ArchipelagoOptions = {}): Promise<Archipelago> => {
  const regions = await archipelago({ graceMs: GRACE_MS, ...options });
  cleanUp.push(regions);
  return regions;
};

/** Another item of the same partition: what is reaped there raises the line of both. */
function neighbour(site: Site, collection: string, pk: string): string {
  const partition = partitionOf(site.key(collection, pk).encoded);
  for (let at = 0; ; at++) if (partitionOf(site.key(collection, `n${at}`).encoded) === partition) return `n${at}`;
}

const lines = async (regions: Archipelago, collection: string, pk: string): Promise<string[]> => Promise.all(regions.sites.map((site) => site.line(collection, pk)));

/** A real disk takes its own time: as many graces as it needs. */
async function reaped(regions: Archipelago, collection: string, pk: string): Promise<void> {
  for (let grace = 0; grace < 60; grace++) {
    await regions.advance(GRACE_MS);
    if ((await lines(regions, collection, pk)).every((line) => line === 'nothing')) return;
  }
  throw new Error(`${pk} is not reaped.`);
}

/** A write of EU is on its way to US while what is reaped beside it raises the line above it. */
async function holdBackLate(regions: Archipelago): Promise<void> {
  const eu = regions.at(EU);
  const other = neighbour(eu, 'carts', 'a');
  await eu.put('carts', other, 'gone');
  await regions.converge();
  regions.network.hold(EU, US);
  await eu.put('carts', 'a', 'late');
  await eu.delete('carts', other);
  await reaped(regions, 'carts', other);
}

/** There is a copy of EU's disk with `carts/a`; EU has started again since. */
async function backedUp(options: ArchipelagoOptions = {}): Promise<{ regions: Archipelago; eu: Site; disk: LevelDisk }> {
  const regions = await start({ disk: () => new LevelDisk(), ...options });
  const eu = regions.at(EU);
  const disk = eu.disk as LevelDisk;
  await eu.put('carts', 'a', 'from before');
  await eu.put('carts', 'b', 'lives');
  await regions.converge();
  await eu.stop();
  disk.backUp('backup');
  await eu.start();
  return { regions, eu, disk };
}

/** EU is about to start on a copy from before `carts/a` was deleted (there, or where `by` says), and reaped everywhere. */
async function restored({ by = EU, sameMarker = false, ...options }: ArchipelagoOptions & { readonly by?: RegionId; readonly sameMarker?: boolean } = {}): Promise<{ regions: Archipelago; eu: Site }> {
  const { regions, eu, disk } = await backedUp(options);
  await regions.at(by).delete('carts', 'a');
  await reaped(regions, 'carts', 'a');
  await eu.crash();
  if (sameMarker) disk.rollBack('backup');
  else disk.restore('backup');
  return { regions, eu };
}

const late = (site: Site) => site.region.applier.late.stats;

describe('a round of reaping', () => {
  it('nothing is deleted -> everything is looked through once a grace; something is -> its partition when it is due, and no other', async () => {
    const regions = await start({ graceMs: 60_000 });
    const { stats } = regions.at(AP).region.reaper;
    await regions.until('everything has been looked through', () => stats.rounds === 1);
    const everything = stats.looked;
    expect(everything).toBe(2 * PARTITIONS); // of the system's group, and of that of the collections
    await regions.at(EU).put('demo', 'a', 'v');
    await regions.at(EU).delete('demo', 'a');
    await regions.advance(50_000);
    expect(stats.rounds).toBeGreaterThan(3);
    expect(stats.looked).toBe(everything);
    await regions.advance(15_000);
    expect(stats.looked).toBeLessThanOrEqual(2 * everything + 1);
    await regions.advance(20_000);
    expect(await lines(regions, 'demo', 'a')).toEqual(['nothing', 'nothing', 'nothing']);
    expect(stats.looked).toBeLessThanOrEqual(2 * everything + 2);
  });

  it('not all replicas can be asked -> what is due is looked at in every round, and goes when they can', async () => {
    const regions = await start({ graceMs: 60_000 });
    await regions.at(EU).put('demo', 'a', 'v');
    await regions.at(EU).delete('demo', 'a');
    await regions.converge();
    regions.network.cut(AP, US);
    regions.network.cut(EU, US);
    await regions.advance(200_000);
    const { stats } = regions.at(AP).region.reaper;
    const [looked, rounds] = [stats.looked, stats.rounds];
    await regions.advance(50_000);
    expect(stats.looked - looked).toBeGreaterThanOrEqual(stats.rounds - rounds);
    regions.network.heal();
    await regions.advance(30_000);
    expect(await lines(regions, 'demo', 'a')).toEqual(['nothing', 'nothing', 'nothing']);
  });
});

for (const where of ['memory', 'level'] as const) {
  const on = where === 'level' ? { disk: () => new LevelDisk() } : {};

  describe(`${where}: reaping`, () => {
    it('delete in one region -> after the grace no region holds anything, and the digests never differed', async () => {
      const regions = await start(on);
      await regions.at(EU).put('demo', 'a', 'v');
      await regions.converge();
      await regions.at(US).delete('demo', 'a');
      // A real disk takes the time that it takes.
      const isDeleted = async (): Promise<boolean> => (await lines(regions, 'demo', 'a')).every((line) => line.includes('deleted'));
      for (let step = 0; step < 40 && !(await isDeleted()); step++) await regions.advance(50);
      expect(await isDeleted()).toBe(true);
      await reaped(regions, 'demo', 'a');
    });

    it('an old message is delivered again after reaping -> asked about, and nothing returns', async () => {
      const regions = await start(on);
      const [eu, us] = [regions.at(EU), regions.at(US)];
      regions.network.hold(EU, US);
      await eu.put('carts', 'a', 'v');
      const old = [...regions.network.held];
      regions.network.heal();
      for (const message of old) await message.deliver();
      await regions.converge();
      await eu.delete('carts', 'a');
      await reaped(regions, 'carts', 'a');
      for (const message of old) await regions.drive(message.deliver());
      expect(await us.get('carts', 'a')).toEqual([]);
      expect(late(us).dropped).toBe(1);
      await reaped(regions, 'carts', 'a');
    });

    it('a value is first delivered after the line rose -> its issuer is asked, and it stays', async () => {
      const regions = await start(on);
      const us = regions.at(US);
      await holdBackLate(regions);
      expect(await us.get('carts', 'a')).toEqual([]);
      expect(us.region.lines.of(us.key('carts', 'a')) > 0n).toBe(true);
      regions.network.heal();
      for (const message of regions.network.held.splice(0)) await regions.drive(message.deliver());
      await regions.converge();
      expect(await us.get('carts', 'a')).toEqual(['late']);
      expect(late(us).kept).toBeGreaterThan(0);
      await regions.expectEqual();
    });
  });
}

describe('reaping', () => {
  it('one replica is out of reach -> nothing is reaped; it comes back -> everything is', async () => {
    const regions = await start();
    await regions.at(EU).put('demo', 'a', 'v');
    await regions.converge();
    regions.network.cut(US, EU);
    regions.network.cut(US, AP);
    await regions.at(EU).delete('demo', 'a');
    await regions.advance(20 * GRACE_MS);
    expect(await regions.at(EU).line('demo', 'a')).toContain('deleted');
    expect(await regions.at(US).get('demo', 'a')).toEqual(['v']);
    regions.network.heal();
    await regions.advance(60_000);
    expect(await lines(regions, 'demo', 'a')).toEqual(['nothing', 'nothing', 'nothing']);
  });

  it('an item is born again -> above the line, and a context from before does not cover it', async () => {
    const regions = await start();
    const eu = regions.at(EU);
    await eu.put('carts', 'a', 'first');
    const context = (await eu.state('carts', 'a'))?.context;
    await eu.delete('carts', 'a');
    await regions.advance(6 * GRACE_MS);
    expect(await eu.line('carts', 'a')).toBe('nothing');
    await eu.put('carts', 'a', 'second');
    const [value] = (await eu.state('carts', 'a'))?.values ?? [];
    expect((value?.dot.stamp ?? 0n) > eu.region.lines.of(eu.key('carts', 'a'))).toBe(true);
    await eu.put('carts', 'a', 'third', context === undefined ? {} : { context });
    expect(await eu.get('carts', 'a')).toEqual(['second', 'third']);
  });

  it('an expired item -> gone everywhere after the horizon, not before', async () => {
    const regions = await start({ graceMs: 100 });
    const eu = regions.at(EU);
    await eu.write('demo', 'a', { value: valueOf('short', eu.region.time.nowMs() + 1_000) });
    await regions.advance(15_000);
    expect(await eu.line('demo', 'a')).toContain('short');
    await regions.advance(5_000);
    expect(await lines(regions, 'demo', 'a')).toEqual(['nothing', 'nothing', 'nothing']);
  });

  it('the issuer of a late value is out of reach -> the sender keeps it until it is back', async () => {
    const regions = await start();
    const [ap, us] = [regions.at(AP), regions.at(US)];
    await holdBackLate(regions);
    regions.network.held.splice(0);
    regions.network.cut(EU, US);
    await ap.put('carts', 'a', 'beside it');
    await regions.advance(5_000);
    expect(await us.get('carts', 'a')).toEqual([]);
    expect(late(us).held).toBeGreaterThan(0);
    regions.network.heal();
    await regions.advance(70_000);
    expect(await us.get('carts', 'a')).toEqual(['late', 'beside it']);
  });

  it('a region is restored from before the delete and the reaping -> its value goes to the ledger, and returns nowhere', async () => {
    const { regions, eu } = await restored();
    await eu.start();
    expect(await eu.get('carts', 'a')).toEqual([]);
    expect(await eu.ledger('carts')).toEqual(['from before late']);
    await regions.converge();
    for (const site of regions.sites) {
      expect(await site.get('carts', 'a')).toEqual([]);
      expect(await site.get('carts', 'b')).toEqual(['lives']);
    }
  });

  it('its disk is put back, marker and all, to a time since when it has written nothing itself -> found out by what it has agreed to, once', async () => {
    const { regions, eu } = await restored({ by: US, sameMarker: true });
    await eu.start();
    expect(eu.logged('region.forgot')).toHaveLength(1);
    expect(await eu.get('carts', 'a')).toEqual([]);
    await regions.converge();
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual([]);
    expect(await eu.ledger('carts')).toEqual(['from before late']);
    const { actor } = eu.region;
    await eu.crash();
    await eu.start();
    expect(eu.region.actor).toBe(actor);
  });

  it('the same, and whoever reaped with it was killed since -> what it has heard was noted before anything went', async () => {
    const { regions, eu } = await restored({ by: US, sameMarker: true });
    for (const peer of [AP, US]) {
      await regions.at(peer).crash();
      await regions.at(peer).start();
    }
    await eu.start();
    expect(eu.logged('region.forgot')).toHaveLength(1);
    await regions.converge();
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual([]);
  });

  it('it has agreed, and its disk is put back before the asker hears it -> nothing goes by the word of a disk that is no more', async () => {
    const { regions, eu, disk } = await backedUp();
    let isBack: boolean | undefined;
    const putBack = async (): Promise<void> => {
      if (isBack !== undefined) return;
      isBack = false;
      await eu.crash();
      disk.rollBack('backup');
      await (await eu.boot()).ready;
      isBack = true;
    };
    for (const asker of [AP, US]) regions.network.once(asker, EU, { method: 'tombstone', after: putBack, isSent: true });
    await regions.at(US).delete('carts', 'a');
    await regions.until('EU is asked, and back', () => isBack === true);
    await reaped(regions, 'carts', 'a');
    expect(eu.logged('region.forgot')).toHaveLength(0);
    await regions.converge();
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual([]);
  });

  it('a restored region is not answered about a value that was deleted -> it stays in doubt and asks again, and the value returns nowhere', async () => {
    const { regions, eu } = await restored({ regions: [AP, EU], reconcileEveryMs: 5_000 });
    // The first question is for what the peer holds; the second, whether it knows the value.
    const lose = (): void => regions.network.once(EU, AP, { method: 'fetch', before: () => regions.network.loseAnswers(EU, AP), after: () => void regions.clock.after(1, () => regions.network.heal()) });
    regions.network.once(EU, AP, { method: 'fetch', before: lose });
    await eu.start();
    expect(eu.region.restored.stats.undecided).toBe(1);
    await regions.advance(60_000);
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual([]);
    expect(await eu.ledger('carts')).toEqual(['from before late']);
  });

  it('an item is written again after its replica has agreed, before it is told -> the write stays, and the tombstone goes elsewhere only', async () => {
    const regions = await start();
    const eu = regions.at(EU);
    await eu.put('carts', 'a', 'v');
    await regions.converge();
    regions.network.once(AP, EU, { method: 'reap', before: async () => void (await eu.put('carts', 'a', 'again')) });
    await eu.delete('carts', 'a');
    await regions.until('it is written again', async () => (await eu.get('carts', 'a')).includes('again'));
    await regions.converge();
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual(['again']);
    expect(eu.region.reaper.stats).toMatchObject({ reaped: 0, spared: 1 });
  });

  it('an item is written again before its replica is asked -> that replica does not agree, and nothing goes', async () => {
    const regions = await start();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await eu.put('carts', 'a', 'v');
    await regions.converge();
    regions.network.once(AP, EU, { method: 'tombstone', before: async () => void (await eu.put('carts', 'a', 'again')) });
    await eu.delete('carts', 'a');
    await regions.until('it is written again', async () => (await eu.get('carts', 'a')).includes('again'));
    await regions.converge();
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual(['again']);
    expect(ap.region.reaper.stats).toMatchObject({ refused: 1, told: 0 });
  });

  it('the issuer of a late value was restored from before it -> it is not believed, who holds the value is, and the value stays', async () => {
    const disk = new LevelDisk();
    const regions = await start({ disk: (clock, id) => (id === EU ? disk : new MemoryDisk(clock)) });
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await eu.stop();
    disk.backUp('backup');
    await eu.start();
    await holdBackLate(regions);
    await eu.crash();
    disk.restore('backup');
    regions.network.cut(AP, EU);
    await eu.start();
    expect(await eu.get('carts', 'a')).toEqual([]);
    for (const message of regions.network.held.splice(0)) await regions.drive(message.deliver());
    expect(await us.get('carts', 'a')).toEqual(['late']);
    expect(late(us)).toMatchObject({ dropped: 0 });
    regions.network.heal();
    await regions.advance(70_000);
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual(['late']);
  });

  it('a delete crosses a write that its author had not seen -> the write stays, and nothing of it is reaped', async () => {
    const regions = await start();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await eu.put('carts', 'a', 'v');
    await regions.converge();
    regions.network.hold(EU, US, ['inbox', 'merge']);
    regions.network.hold(EU, AP, ['inbox', 'merge']);
    await eu.put('carts', 'a', 'unseen');
    await us.delete('carts', 'a');
    await regions.advance(6 * GRACE_MS);
    regions.network.heal();
    await regions.advance(30_000);
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual(['unseen']);
  });
});
