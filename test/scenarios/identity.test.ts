// A region that comes back with less than it had: a wiped folder, a copied one, a volume rolled back. It takes back what its
// peers hold, and issues no dot twice.

import { afterEach, describe, expect, it } from 'vitest';
import { ArchipelError } from '../../src/core/errors.ts';
import { formatDot } from '../../src/core/version/dot.ts';
import type { WriteResult } from '../../src/engine/coordinate.ts';
import { AP, archipelago, EU, US, type Archipelago, type ArchipelagoOptions, type Site } from './archipelago.ts';
import { LevelDisk, MemoryDisk } from './disks.ts';

const cleanUp: Archipelago[] = [];
afterEach(async () => {
  for (const regions of cleanUp.splice(0)) await regions.end();
});

async function begin(options: ArchipelagoOptions = {}): Promise<Archipelago> {
  const regions = await archipelago(options);
  cleanUp.push(regions);
  return regions;
}

/** EU on a real folder, the others in memory. */
const euOnLevel = { disk: (clock: ConstructorParameters<typeof MemoryDisk>[0], id: string) => (id === EU ? new LevelDisk() : new MemoryDisk(clock)) };

const dotOf = ({ decision }: WriteResult): string => (decision.type === 'commit' ? formatDot(decision.dot) : decision.type);

const phase = (site: Site): string => site.region.phase;

async function fill(regions: Archipelago, from = 0, to = 20): Promise<void> {
  for (let i = from; i < to; i++) await regions.at(regions.ids[i % regions.ids.length] as typeof EU).put(i % 2 === 0 ? 'demo' : 'carts', `k${i}`, `v${i}`);
  await regions.converge();
}

/** EU's disk is empty, and EU has not started yet. */
async function wiped(): Promise<{ regions: Archipelago; eu: Site }> {
  const regions = await begin();
  await fill(regions);
  const eu = regions.at(EU);
  await eu.crash();
  eu.memory.wipe();
  return { regions, eu };
}

describe('a wiped folder', () => {
  it('is filled before the region serves, policies first; it writes under a new incarnation', async () => {
    const regions = await begin();
    await fill(regions);
    const eu = regions.at(EU);
    const before = eu.region.actor;
    await eu.crash();
    eu.memory.wipe();
    regions.network.hold(EU, AP, ['fetch']);
    const { ready } = await eu.boot();
    await regions.advance(1_000);
    expect(phase(eu)).toBe('recovering');
    expect(() => eu.region.assertServing()).toThrow('taking back');
    regions.network.heal();
    for (const message of regions.network.held.splice(0)) await message.deliver();
    await regions.drive(ready);
    expect(phase(eu)).toBe('serving');
    expect(await eu.get('carts', 'k1')).toEqual(['v1']);
    await regions.expectEqual();
    expect(eu.region.actor).not.toBe(before);
    expect(eu.memory.isNew).toBe(false);
  });

  it.each([AP, US])('its last write had reached %s only -> it comes to all of them with the region, without a schedule', async (told) => {
    const regions = await begin();
    await fill(regions);
    const eu = regions.at(EU);
    regions.network.cut(EU, told === AP ? US : AP);
    await eu.put('demo', 'k0', 'told to one');
    await eu.delete('demo', 'k2');
    await regions.advance(1_000);
    await eu.crash();
    eu.memory.wipe();
    regions.network.heal();
    await eu.start();
    await regions.advance(10_000);
    for (const site of regions.sites) expect([await site.get('demo', 'k0'), await site.get('demo', 'k2')]).toEqual([['told to one'], []]);
    expect(eu.memory.isNew).toBe(false);
  });

  it('killed in the middle of taking back -> the next start takes back before it serves', async () => {
    const { regions, eu } = await wiped();
    regions.network.hold(EU, AP, ['fetch']);
    await eu.boot();
    await regions.advance(500);
    expect(phase(eu)).toBe('recovering');
    await eu.crash();
    regions.network.heal();
    const { ready } = await eu.boot();
    const seen: string[] = [];
    await regions.drive(ready.then(async () => void seen.push(...(await eu.get('carts', 'k1')))));
    expect(seen).toEqual(['v1']);
    await regions.expectEqual();
  });

  it('the same on LevelDB: the marker of the folder is already ours, but the store remembers that it lacks something', async () => {
    const regions = await begin(euOnLevel);
    await fill(regions);
    const eu = regions.at(EU);
    await eu.crash();
    await eu.disk.wipe();
    regions.network.hold(EU, AP, ['digest']);
    await eu.boot();
    await regions.advance(500);
    expect(phase(eu)).toBe('recovering');
    await eu.crash();
    regions.network.heal();
    await eu.start();
    await regions.expectEqual();
  });

  it('another comparison of the pair is under way -> it waits for that one, instead of serving nothing', async () => {
    const regions = await begin();
    await fill(regions);
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await eu.crash();
    eu.memory.wipe();
    // AP was in the middle of comparing with EU: its lease lasts.
    regions.network.cut(EU, US);
    regions.network.hold(AP, EU, ['digest']);
    const { finished } = ap.region.reconciler.run({ peers: [EU] });
    const { ready } = await eu.boot();
    await regions.advance(3_000);
    expect(phase(eu)).toBe('recovering');
    for (const message of regions.network.held.splice(0)) await message.deliver();
    regions.network.heal();
    await regions.drive(ready);
    expect(await eu.get('carts', 'k1')).toEqual(['v1']);
    await regions.drive(finished);
    await regions.expectEqual();
  });

  it('a peer is in reach but will not compare -> asked less and less often, and this region serves after a minute all the same', async () => {
    const { regions, eu } = await wiped();
    regions.network.cut(EU, US);
    regions.at(AP).memory.table.onDocument = (name) => {
      if (name.startsWith('lease/')) throw new Error('No lease today.');
    };
    const { ready } = await eu.boot();
    await regions.advance(59_000);
    expect(phase(eu)).toBe('recovering');
    expect(regions.network.count(EU, AP, 'lease')).toBeLessThan(60);
    await regions.drive(ready);
    expect(phase(eu)).toBe('serving');
    expect(eu.memory.isNew).toBe(true);
    regions.at(AP).memory.table.onDocument = () => undefined;
    regions.network.heal();
    await regions.advance(10_000);
    await regions.expectEqual();
    expect(eu.memory.isNew).toBe(false);
  });

  it('no peer in reach -> serves alone; a peer comes back, reconciliation off -> it has everything again', async () => {
    const { regions, eu } = await wiped();
    regions.network.cut(EU, AP);
    regions.network.cut(EU, US);
    await eu.start();
    expect(phase(eu)).toBe('serving');
    regions.network.heal();
    await regions.converge();
    await regions.expectEqual();
    expect(eu.memory.isNew).toBe(false);
  });

  it('one of two peers in reach, each holds what the other does not -> the rest comes when the other is back', async () => {
    const regions = await begin({ regions: [AP, EU, US] });
    await regions.collection('pairs', { replicas: 2 });
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    const holds = (site: Site, pk: string): boolean => eu.region.catalog.holdersOf(eu.key('pairs', pk))?.includes(site.id) === true;
    const keys = Array.from({ length: 40 }, (_, i) => `p${i}`).filter((pk) => holds(eu, pk));
    for (const pk of keys) await eu.put('pairs', pk, `v ${pk}`);
    await regions.converge();
    await eu.crash();
    eu.memory.wipe();
    regions.network.cut(EU, US);
    await eu.start();
    const held = async (pk: string): Promise<boolean> => (await eu.get('pairs', pk)).length === 1;
    for (const pk of keys) expect(await held(pk)).toBe(holds(ap, pk));
    expect(keys.some((pk) => holds(us, pk))).toBe(true);
    regions.network.heal();
    await regions.converge();
    for (const pk of keys) expect(await held(pk)).toBe(true);
  });

  it('everything is back but that cannot be noted -> it serves, and the next start takes back once more', async () => {
    const { regions, eu } = await wiped();
    eu.memory.onRecovered = () => {
      throw new Error('The disk is gone.');
    };
    await eu.start();
    expect(phase(eu)).toBe('serving');
    await regions.expectEqual();
    eu.memory.onRecovered = () => undefined;
    await eu.crash();
    await eu.start();
    expect(eu.logged('region.recovered')).toHaveLength(2);
    expect(eu.memory.isNew).toBe(false);
  });

  it('its disk is full while it takes back -> nothing counts as taken; room again -> everything is back before it serves', async () => {
    const { regions, eu } = await wiped();
    eu.memory.table.onUpdate = () => {
      throw new ArchipelError('storage-full', 'The disk is full.');
    };
    const { ready } = await eu.boot();
    await regions.advance(10_000);
    expect(phase(eu)).toBe('recovering');
    expect(eu.region.recovery.isPending).toBe(true);
    eu.memory.table.onUpdate = () => undefined;
    await regions.drive(ready);
    expect(await eu.get('demo', 'k0')).toEqual(['v0']);
    await regions.expectEqual();
  });

  it('stopped while it takes back -> stays stopped, and asks nobody any more', async () => {
    const { regions, eu } = await wiped();
    regions.network.hold(EU, AP, ['fetch']);
    await eu.boot();
    await regions.advance(500);
    await regions.drive(eu.region.stop());
    expect(phase(eu)).toBe('stopped');
    const asked = regions.network.sent.filter((each) => each.startsWith(EU)).length;
    await regions.advance(70_000);
    expect(phase(eu)).toBe('stopped');
    expect(regions.network.sent.filter((each) => each.startsWith(EU))).toHaveLength(asked);
  });
});

describe('an older copy', () => {
  /** EU is put back to what it was before its last ten writes. */
  async function older(how: 'restored' | 'rolled back'): Promise<{ regions: Archipelago; eu: Site; dots: string[] }> {
    const regions = await begin(euOnLevel);
    const eu = regions.at(EU);
    const disk = eu.disk as LevelDisk;
    await fill(regions);
    await eu.stop();
    disk.backUp('backup');
    await eu.start();
    const dots: string[] = [];
    for (let i = 0; i < 10; i++) dots.push(dotOf(await eu.put(i % 2 === 0 ? 'demo' : 'carts', `later${i}`, `v${i}`)));
    await regions.converge();
    await eu.crash();
    if (how === 'restored') disk.restore('backup');
    else disk.rollBack('backup');
    return { regions, eu, dots };
  }

  for (const how of ['restored', 'rolled back'] as const) {
    it(`${how} -> a new incarnation, everything back before it serves, no dot twice`, async () => {
      const { regions, eu, dots } = await older(how);
      await eu.start();
      expect(await eu.get('demo', 'later0')).toEqual(['v0']);
      await regions.expectEqual();
      const again = dotOf(await eu.put('demo', 'later0', 'again'));
      expect(dots).not.toContain(again);
      expect(dots.map((dot) => dot.split('@')[0])).not.toContain(again.split('@')[0]);
    });
  }

  it('restored, no peer in reach -> a new incarnation all the same: the marker of the folder is not the one it wrote', async () => {
    const { regions, eu, dots } = await older('restored');
    regions.network.cut(EU, AP);
    regions.network.cut(EU, US);
    await eu.start();
    const again = dotOf(await eu.put('demo', 'later0', 'again'));
    expect(dots.map((dot) => dot.split('@')[0])).not.toContain(again.split('@')[0]);
  });

  it('rolled back, and the disk fails while the new incarnation is noted -> the next hello tries again; nothing is written as the old one', async () => {
    const { regions, eu, dots } = await older('rolled back');
    let failures = 1;
    (eu.disk as LevelDisk).onDraw = () => {
      if (failures-- > 0) throw new Error('The disk failed during the write.');
    };
    await eu.start();
    const again = dotOf(await eu.put('demo', 'later0', 'again'));
    expect(dots.map((dot) => dot.split('@')[0])).not.toContain(again.split('@')[0]);
    await regions.converge();
    await regions.expectEqual();
  });

  it('rolled back, no peer in reach at its start, and it writes -> it goes on as somebody new; what it had forgotten is neither covered nor lost', async () => {
    const { regions, eu, dots } = await older('rolled back');
    regions.network.cut(EU, AP);
    regions.network.cut(EU, US);
    await eu.start();
    expect(eu.logged('region.unconfirmed')).toHaveLength(1);
    expect(dots.map((dot) => dot.split('@')[0])).not.toContain(eu.region.actor);
    await eu.put('demo', 'alone', 'written alone');
    // Its old self wrote v1 here, which this store has forgotten.
    await eu.put('carts', 'later1', 'another');
    await regions.advance(3_000);
    regions.network.heal();
    await regions.until('EU finds out', () => eu.logged('region.forgot').length > 0);
    await regions.converge();
    await regions.advance(5_000);
    expect(eu.logged('region.forgot')).toHaveLength(1);
    expect(await regions.at(US).get('demo', 'alone')).toEqual(['written alone']);
    expect((await eu.get('carts', 'later1')).toSorted()).toEqual(['another', 'v1']);
    await regions.expectEqual();
  });
});

describe('a copy from before the last incarnation of its region', () => {
  it('rolled back, and its peers know nothing of the old one that it does not -> it goes on as somebody new all the same, once', async () => {
    const regions = await begin(euOnLevel);
    const eu = regions.at(EU);
    const disk = eu.disk as LevelDisk;
    await fill(regions);
    const first = eu.region.actor;
    await eu.stop();
    disk.backUp('backup');
    for (const peer of [AP, US]) regions.network.cut(EU, peer);
    await eu.start();
    const second = eu.region.actor;
    expect(second).not.toBe(first);
    await eu.put('demo', 'later', 'by the second');
    regions.network.heal();
    await regions.converge();
    await eu.crash();
    disk.rollBack('backup');
    await eu.start();
    expect(eu.logged('region.forgot')).toHaveLength(1);
    expect([first, second]).not.toContain(eu.region.actor);
    expect(await eu.get('demo', 'later')).toEqual(['by the second']);
    const third = eu.region.actor;
    await eu.crash();
    await eu.start();
    expect(eu.region.actor).toBe(third);
    await regions.expectEqual();
  });
});

describe('stamps that a region has forgotten for good', () => {
  it('what carried them was reaped everywhere -> it goes on as somebody new once, and not at every start', async () => {
    const regions = await begin({ ...euOnLevel, graceMs: 1_000 });
    const eu = regions.at(EU);
    const disk = eu.disk as LevelDisk;
    await fill(regions);
    await eu.stop();
    disk.backUp('backup');
    await eu.start();
    await eu.put('demo', 'later', 'v');
    await eu.delete('demo', 'later');
    for (let grace = 0; grace < 60 && (await eu.line('demo', 'later')) !== 'nothing'; grace++) await regions.advance(1_000);
    expect(await Promise.all(regions.sites.map((site) => site.line('demo', 'later')))).toEqual(['nothing', 'nothing', 'nothing']);
    await eu.crash();
    disk.rollBack('backup');
    await eu.start();
    expect(eu.logged('region.forgot')).toHaveLength(1);
    const actor = eu.region.actor;
    await eu.crash();
    await eu.start();
    expect(eu.region.actor).toBe(actor);
  });
});

describe('a copy from before the first write of its region', () => {
  it('rolled back, no peer in reach -> it goes on as somebody new, and covers nothing that it has forgotten', async () => {
    const regions = await begin(euOnLevel);
    const eu = regions.at(EU);
    const disk = eu.disk as LevelDisk;
    await eu.stop();
    disk.backUp('backup');
    await eu.start();
    const first = dotOf(await eu.put('carts', 'k', 'first'));
    await regions.converge();
    await eu.crash();
    disk.rollBack('backup');
    for (const peer of [AP, US]) regions.network.cut(EU, peer);
    await eu.start();
    const second = dotOf(await eu.put('carts', 'k', 'second'));
    expect(second.split('@')[0]).not.toBe(first.split('@')[0]);
    regions.network.heal();
    await regions.converge();
    await regions.advance(5_000);
    expect((await regions.at(US).get('carts', 'k')).toSorted()).toEqual(['first', 'second']);
    await regions.expectEqual();
  });
});

describe('an ordinary restart', () => {
  it('killed with writes on their way -> the same incarnation, nothing taken back', async () => {
    const regions = await begin(euOnLevel);
    await fill(regions);
    const eu = regions.at(EU);
    const actor = eu.region.actor;
    regions.network.hold(EU, AP);
    await eu.put('demo', 'x', 'on its way');
    await eu.crash();
    regions.network.heal();
    await eu.start();
    await regions.converge();
    expect(eu.region.actor).toBe(actor);
    expect(eu.logged('region.forgot')).toEqual([]);
    expect(eu.logged('region.recovering').length).toBe(1); // of its very first start
    await regions.expectEqual();
  });

  it('stopped while a heartbeat waits for its answer -> asks nobody any more', async () => {
    const regions = await begin();
    const eu = regions.at(EU);
    regions.network.hold(EU, US, ['hello']);
    await regions.advance(1_000);
    expect(regions.network.held.length).toBeGreaterThan(0);
    await regions.drive(eu.region.stop());
    const asked = regions.network.sent.filter((each) => each.startsWith(EU)).length;
    regions.network.heal();
    await regions.advance(10_000);
    expect(regions.network.sent.filter((each) => each.startsWith(EU))).toHaveLength(asked);
  });
});
