// A topology document is replaced while the regions run: who takes it, what it changes at once, and what stays as it was.

import { afterEach, describe, expect, it } from 'vitest';
import { formatTopology, type Topology } from '../../src/core/placement/topology.ts';
import { partitionOf } from '../../src/core/keys/item-key.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import { Behind } from '../../src/engine/behind.ts';
import { seal, unseal } from '../../src/engine/envelope.ts';
import type { PeerLink } from '../../src/engine/peer-link.ts';
import type { Table } from '../../src/ports/table.ts';
import { settle } from '../../src/adapters/memory/clock.ts';
import { AP, archipelago, EU, lane, US, type Archipelago, type ArchipelagoOptions, type Site } from './archipelago.ts';
import { digestHash, FaultyTable } from './disks.ts';

const SA = asRegionId('sa-east-1');

const cleanUp: Archipelago[] = [];
afterEach(async () => {
  for (const regions of cleanUp.splice(0)) await regions.end();
});

const start = async (options: ArchipelagoOptions = {}): Promise<Archipelago> => {
  const regions = await archipelago(options);
  cleanUp.push(regions);
  return regions;
};

const offer = (regions: Archipelago, to: RegionId, document: Topology): Promise<string> => regions.drive(regions.at(to).region.topology.offer(document));

const inForce = (site: Site): string => formatTopology(site.region.catalog.topology);

const epochs = (regions: Archipelago): number[] => regions.sites.map((site) => site.region.catalog.version.epoch);

describe('a topology document is replaced', () => {
  it('shown to one region -> in force there; the others learn it from the next answer; nothing is owed', async () => {
    const regions = await start();
    expect(await offer(regions, EU, regions.topology({ [US]: 'draining' }, { epoch: 2 }))).toBe('newer');
    expect(epochs(regions)).toEqual([1, 2, 1]);
    await regions.at(US).put('demo', 'k', 'v');
    await regions.converge();
    expect(epochs(regions)).toEqual([2, 2, 2]);
    expect(inForce(regions.at(AP))).toBe(`1.2 ${AP} active, ${EU} active, ${US} draining`);
    await regions.expectEqual();
    expect((await regions.at(US).rpo(EU)).items).toBe(0);
  });

  it('a region starts again with its old file -> works on the document that was last in force', async () => {
    const regions = await start();
    await offer(regions, EU, regions.topology({ [US]: 'draining' }, { epoch: 2 }));
    await regions.at(EU).crash();
    for (const peer of [AP, US]) regions.network.cut(EU, peer);
    await regions.at(EU).start();
    expect(inForce(regions.at(EU))).toContain('1.2 ');
  });

  it('it cannot be made durable -> it is not in force either; the next showing is', async () => {
    const regions = await start();
    const { table } = regions.at(EU).memory;
    table.onDocument = (name) => {
      if (name === 'topology') throw new Error('The disk is full.');
    };
    const document = regions.topology({ [US]: 'draining' }, { epoch: 2 });
    await expect(offer(regions, EU, document)).rejects.toThrow('full');
    expect(epochs(regions)).toEqual([1, 1, 1]);
    table.onDocument = () => undefined;
    expect(await offer(regions, EU, document)).toBe('newer');
    expect(epochs(regions)).toEqual([1, 2, 1]);
  });

  it('an older, an empty, a shapeless, and a different one under the same number -> refused, alarmed, nothing changes', async () => {
    const regions = await start();
    const eu = regions.at(EU);
    await offer(regions, EU, regions.topology({}, { epoch: 5 }));
    const before = inForce(eu);
    expect(await offer(regions, EU, regions.topology({ [US]: 'lost' }, { epoch: 4 }))).toBe('older');
    expect(await offer(regions, EU, { ...regions.topology({}, { epoch: 6 }), regions: [] })).toBe('faulty');
    expect(await offer(regions, EU, {} as Topology)).toBe('faulty');
    expect(await offer(regions, EU, regions.topology({ [US]: 'fenced' }, { epoch: 5 }))).toBe('different');
    expect(await offer(regions, EU, regions.topology({}, { epoch: 5 }))).toBe('same');
    expect(inForce(eu)).toBe(before);
    expect(eu.logged('topology.refused').map(({ level, fields }) => `${level} ${String(fields['verdict'])}`)).toEqual(['error older', 'error faulty', 'error faulty', 'error different']);
  });

  it('a higher term -> taken over a higher epoch, and moves control', async () => {
    const regions = await start();
    await offer(regions, EU, regions.topology({}, { epoch: 9 }));
    await regions.converge();
    expect(await offer(regions, US, { ...regions.topology({}, { term: 2 }), control: US })).toBe('newer');
    await regions.converge();
    expect(regions.sites.map((site) => `${inForce(site).split(' ')[0]} of ${site.region.catalog.topology.control}`)).toEqual([`2.1 of ${US}`, `2.1 of ${US}`, `2.1 of ${US}`]);
  });

  it('two documents at once -> one after the other, the newest in force', async () => {
    const regions = await start();
    const { topology } = regions.at(EU).region;
    const verdicts = await regions.drive(Promise.all([topology.offer(regions.topology({}, { epoch: 3 })), topology.offer(regions.topology({}, { epoch: 2 }))]));
    expect(verdicts).toEqual(['newer', 'older']);
    expect(regions.at(EU).region.catalog.version.epoch).toBe(3);
  });

  it('every other region is gone -> a region goes on with its last document, over a restart', async () => {
    const regions = await start();
    await offer(regions, EU, regions.topology({ [US]: 'draining' }, { epoch: 2 }));
    for (const id of [AP, US]) await regions.at(id).crash();
    await regions.at(EU).put('demo', 'k', 'v');
    await regions.at(EU).crash();
    await regions.at(EU).start();
    expect(await regions.at(EU).get('demo', 'k')).toEqual(['v']);
    await regions.at(EU).put('demo', 'k', 'w');
  });

  it('a region is fenced, and told by nobody -> it hears it with its next question, and serves nobody', async () => {
    const regions = await start();
    const us = regions.at(US);
    for (const id of [AP, EU]) await offer(regions, id, regions.topology({ [US]: 'fenced' }, { epoch: 2 }));
    await us.put('demo', 'k', 'of a region that does not know it yet');
    await regions.converge();
    expect(() => us.region.assertServing()).toThrow('fenced');
    expect(await regions.at(EU).get('demo', 'k')).toEqual([]);
    expect((await us.rpo(EU)).items).toBe(1);
  });
});

describe('a region joins', () => {
  /** Three, and a fourth that comes later and is to hold all that they hold. */
  const threeOfFour = async (): Promise<Archipelago> => {
    const regions = await start({ regions: [AP, EU, US, SA], later: [SA] });
    await regions.collection('all', { replicas: 4 });
    return regions;
  };

  const join = async (regions: Archipelago): Promise<Site> => {
    const sa = regions.at(SA);
    const document = regions.topology({ [SA]: 'joining' }, { epoch: 2 });
    for (const id of [AP, EU, US]) await offer(regions, id, document);
    sa.topology = document;
    sa.memory.isNew = true;
    await sa.start();
    return sa;
  };

  it('counts as lacking everything that it comes to hold, from before the document is in force until a certificate', async () => {
    const regions = await threeOfFour();
    for (let i = 0; i < 5; i++) await regions.at(EU).put('all', `k${i}`, 'v');
    await regions.converge();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    let before: number | undefined;
    eu.memory.table.onDocument = (name) => {
      if (name === 'topology') before = eu.region.lanes.get(SA)?.behind;
    };
    await offer(regions, EU, regions.topology({ [SA]: 'joining' }, { epoch: 2 }));
    expect(before).toBe(8); // with three policies
    expect(await eu.rpo(SA)).toEqual({ items: 8, exact: false });
    await offer(regions, AP, regions.topology({ [SA]: 'joining' }, { epoch: 2 }));
    await ap.crash();
    await ap.start();
    expect((await ap.rpo(SA)).items).toBe(8); // over a restart too
    await join(regions);
    await regions.advance(5_000);
    for (const id of [AP, EU, US]) await regions.drive(regions.at(id).region.reconciler.run({ peers: [SA] }).finished);
    for (const id of [AP, EU, US]) expect(await regions.at(id).rpo(SA)).toEqual({ items: 0, exact: true });
    await regions.expectEqual();
  });

  it('who has not heard of a collection compares what it knows -> its certificate proves nothing, and ends no debt', async () => {
    const regions = await threeOfFour();
    const eu = regions.at(EU);
    await eu.put('all', 'k', 'v');
    await regions.converge();
    await offer(regions, EU, regions.topology({ [SA]: 'joining' }, { epoch: 2 }));
    const { catalog, reconciler } = eu.region;
    const all = [...catalog.groups().keys()].map((group) => ({ group, partitions: catalog.shared(group, SA).length }));
    const certify = async (groups: typeof all, token: number): Promise<unknown> => {
      reconciler.lookedAt(SA, token);
      await regions.drive(reconciler.certified({ regions: [EU, SA], term: 1, epoch: 2, groups, digest: '', deep: false, atMs: 0, noDifferenceOlderThanMs: 0, token, lookedAtMs: token }));
      return [reconciler.proof(SA)?.token, await eu.rpo(SA)];
    };
    expect(await certify(all.slice(0, -1), 1)).toEqual([undefined, { items: 4, exact: false }]);
    expect(await certify(all, 2)).toEqual([2, { items: 0, exact: true }]);
  });

  it('a look that began before the document was in force, and ended after -> proves nothing of what the region has come to hold', async () => {
    const table = { document: async () => undefined, putDocument: async () => true } as unknown as Table;
    const behind = new Behind(table, SA);
    await behind.addComing(3);
    const { turn } = behind;
    behind.hasCome();
    await behind.caughtUp(turn);
    expect(behind.count).toBe(3);
    await behind.caughtUp(behind.turn);
    expect(behind.count).toBe(0);
  });

  it('is sent every write, and serves nobody, until it is active', async () => {
    const regions = await threeOfFour();
    await regions.at(EU).put('all', 'before', 'v');
    const sa = await join(regions);
    await regions.at(US).put('all', 'after', 'w');
    await regions.advance(1_000);
    expect(await sa.get('all', 'before')).toEqual(['v']);
    expect(await sa.get('all', 'after')).toEqual(['w']);
    expect(() => sa.region.assertServing()).toThrow('joining');
    await offer(regions, EU, regions.topology({ [SA]: 'active' }, { epoch: 3 }));
    await regions.converge();
    await sa.put('all', 'k', 'of the new one');
    await regions.converge();
    await regions.expectEqual();
  });

  it('a write waited in the log while somebody stopped to hold it -> nothing is owed to that region for ever', async () => {
    const regions = await start({ regions: [AP, EU, US, SA], later: [SA] });
    await regions.collection('two', { replicas: 2 });
    await join(regions);
    await regions.advance(1_000);
    const ap = regions.at(AP);
    const { changes } = ap.memory.table;
    const read = changes.read.bind(changes);
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    changes.read = async (position, limit) => opened.then(() => read(position, limit));
    for (let i = 0; i < 40; i++) if (ap.region.catalog.holdersOf(ap.key('two', `k${i}`))?.includes(AP) === true) await ap.put('two', `k${i}`, 'v');
    const before = (await ap.rpo(EU)).items;
    await offer(regions, AP, regions.topology({ [SA]: 'active' }, { epoch: 3 }));
    open();
    await regions.converge();
    expect(before).toBeGreaterThan(0);
    for (const peer of [EU, US, SA]) expect((await lane(ap, peer).unreplicated()).items - lane(ap, peer).behind).toBe(0);
  });

  it('is not asked before it is listed, and refused by who does not list it yet', async () => {
    const regions = await threeOfFour();
    const document = regions.topology({ [SA]: 'joining' }, { epoch: 2 });
    await offer(regions, EU, document);
    for (const id of [AP, US]) regions.network.cut(EU, id);
    const sa = regions.at(SA);
    sa.topology = document;
    await sa.boot();
    await regions.advance(2_000);
    expect(regions.network.sent.filter((each) => each.startsWith(`${AP}>${SA}`))).toEqual([]);
    expect(regions.at(AP).region.catalog.version.epoch).toBe(1);
    regions.network.heal();
    await regions.converge();
    expect(epochs(regions)).toEqual([2, 2, 2, 2]);
  });
});

describe('a region is gone', () => {
  for (const how of ['lost', 'not listed any more'] as const) {
    const without = (regions: Archipelago): Topology => regions.topology({ [US]: how === 'lost' ? 'lost' : undefined }, { epoch: 2 });

    it(`${how} -> hints for it go, nothing is owed to it, it is asked nothing, and nothing of it is taken`, async () => {
      const regions = await start();
      const [eu, us] = [regions.at(EU), regions.at(US)];
      const old = seal((us.region.links.get(EU) as PeerLink).envelope(), new Uint8Array([0]));
      await us.crash();
      for (let i = 0; i < 5; i++) await eu.put('demo', `k${i}`, 'v');
      await regions.converge();
      const lost = lane(eu, US);
      expect(await lost.hints()).toBe(5);
      for (const id of [AP, EU]) await offer(regions, id, without(regions));
      expect(await lost.hints()).toBe(0);
      expect(await lost.unreplicated()).toEqual({ items: 0, exact: true });
      await regions.advance(2_000);
      const asked = regions.network.sent.filter((each) => each.includes(`>${US} inbox`)).length;
      await eu.put('demo', 'more', 'v');
      await regions.converge();
      expect(await lost.hints()).toBe(0);
      expect(regions.network.sent.filter((each) => each.includes(`>${US} inbox`)).length).toBe(asked);
      expect(eu.region.links.has(US)).toBe(how === 'lost');
      await regions.expectEqual(AP, EU);
      expect(unseal(await eu.region.door.answer('inbox', old)).envelope.refused?.code).toBe(how === 'lost' ? 'region-fenced' : 'forbidden');
      // It was only cut off.
      await us.start();
      await expect(us.put('demo', 'k', 'of one that is gone')).rejects.toThrow(how === 'lost' ? 'declared lost' : 'does not list it');
    });
  }
});

const GRACE_MS = 1_000;

const compare = async (regions: Archipelago): Promise<void> => {
  await regions.advance(5_000);
  for (const { isAlive, region } of regions.sites) if (isAlive) await regions.drive(region.reconciler.run({ peers: regions.ids.filter((id) => region.links.has(id) && regions.at(id).isAlive) }).finished);
};

/** An item of `few` that EU and US hold, and SA and EU once SA is there. */
function heldInTurn(site: Site, regions: Archipelago): string {
  const holders = (pk: string, states: Parameters<Archipelago['topology']>[0]): string => {
    const key = site.key('few', pk);
    return (site.region.catalog.mapUnder(regions.topology(states), key.group)[partitionOf(key.encoded)] ?? []).join();
  };
  return Array.from({ length: 300 }, (_, at) => `k${at}`).find((pk) => holders(pk, {}) === `${EU},${US}` && holders(pk, { [SA]: 'active' }) === `${SA},${EU}`) as string;
}

describe('what was reaped while a region did not take part stays away', () => {
  const lines = (regions: Archipelago, collection: string, pk: string): Promise<string[]> => Promise.all(regions.sites.map((site) => site.line(collection, pk)));

  it('a region is fenced, an item is deleted and reaped, the region is taken back -> its copy goes to the ledger', async () => {
    const regions = await start({ graceMs: GRACE_MS });
    const us = regions.at(US);
    await us.put('carts', 'a', 'from before');
    await us.put('carts', 'b', 'lives');
    await regions.converge();
    for (const id of regions.ids) await offer(regions, id, regions.topology({ [US]: 'fenced' }, { epoch: 2 }));
    for (const id of [AP, EU]) regions.network.cut(US, id);
    await regions.at(EU).delete('carts', 'a');
    await regions.advance(6 * GRACE_MS);
    expect((await lines(regions, 'carts', 'a')).map((line) => line.includes('from before'))).toEqual([false, false, true]);
    const before = us.region.actor;
    regions.network.heal();
    await offer(regions, EU, regions.topology({}, { epoch: 3 }));
    await regions.until('the region serves again', () => us.region.catalog.version.epoch === 3 && us.region.phase === 'serving');
    await compare(regions);
    for (const site of regions.sites) expect([await site.get('carts', 'a'), await site.get('carts', 'b')]).toEqual([[], ['lives']]);
    expect(await us.ledger('carts')).toEqual(['from before late']);
    expect(us.region.actor).not.toBe(before);
  });

  it('two regions are fenced, and taken back at once -> neither takes the other for one that holds it by right', async () => {
    const regions = await start({ graceMs: GRACE_MS });
    await regions.at(US).put('carts', 'a', 'from before');
    await regions.converge();
    for (const id of [US, AP, EU]) await offer(regions, id, regions.topology({ [US]: 'fenced', [AP]: 'fenced' }, { epoch: 2 }));
    for (const id of [US, AP]) regions.network.cut(EU, id);
    await regions.at(EU).delete('carts', 'a');
    await regions.advance(6 * GRACE_MS);
    expect(await regions.at(EU).line('carts', 'a')).toBe('nothing');
    regions.network.heal();
    for (const id of [US, AP]) void regions.at(id).region.topology.offer(regions.topology({}, { epoch: 3 }));
    await offer(regions, EU, regions.topology({}, { epoch: 3 }));
    await regions.until('all serve again', () => regions.sites.every(({ region }) => region.catalog.version.epoch === 3 && region.phase === 'serving'));
    await compare(regions);
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual([]);
  });

  it('a region is down while it is fenced and taken back -> it has skipped a document, and cannot know', async () => {
    const regions = await start({ graceMs: GRACE_MS });
    const us = regions.at(US);
    await us.put('carts', 'a', 'from before');
    await regions.converge();
    await us.crash();
    for (const id of [AP, EU]) await offer(regions, id, regions.topology({ [US]: 'fenced' }, { epoch: 2 }));
    await regions.at(EU).delete('carts', 'a');
    await regions.advance(6 * GRACE_MS);
    for (const id of [AP, EU]) await offer(regions, id, regions.topology({}, { epoch: 3 }));
    await us.start();
    await compare(regions);
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual([]);
  });

  it('a partition leaves a region, its item is deleted and reaped, and it comes back -> the copy left behind does not', async () => {
    const regions = await start({ regions: [AP, EU, US, SA], later: [SA], graceMs: GRACE_MS });
    await regions.collection('few', { replicas: 2, conflict: 'siblings' });
    const pk = heldInTurn(regions.at(AP), regions);
    await regions.at(EU).put('few', pk, 'from before');
    await regions.converge();
    const document = regions.topology({ [SA]: 'active' }, { epoch: 2 });
    for (const id of [AP, EU, US]) await offer(regions, id, document);
    regions.at(SA).topology = document;
    await regions.at(SA).start();
    await compare(regions);
    await regions.at(EU).delete('few', pk);
    await regions.advance(10 * GRACE_MS);
    expect((await lines(regions, 'few', pk)).map((line) => line.includes('from before'))).toEqual([false, false, true, false]);
    for (const id of [AP, EU, US]) await offer(regions, id, regions.topology({ [SA]: 'lost' }, { epoch: 3 }));
    await regions.at(SA).crash();
    await regions.until('nothing is in doubt', () => regions.at(US).logged('region.recovered').length > 0);
    await compare(regions);
    for (const id of [EU, US]) expect(await regions.at(id).get('few', pk)).toEqual([]);
    expect(await regions.at(US).ledger('few')).toEqual(['from before late']);
  });
});

describe('what was reaped meanwhile stays away, at whatever moment it was', () => {
  it('a region is let in while a line is being raised -> the document waits for the line', async () => {
    const regions = await start({ regions: [EU, US], graceMs: GRACE_MS });
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await us.put('carts', 'a', 'from before');
    await regions.converge();
    for (const id of regions.ids) await offer(regions, id, regions.topology({ [US]: 'fenced' }, { epoch: 2 }));
    regions.network.cut(EU, US);
    const { promise: raised, resolve: raise } = Promise.withResolvers<void>();
    eu.memory.table.onDocument = (name) => (name === 'reaped-lines' ? raised : undefined);
    await eu.delete('carts', 'a');
    await regions.until('a line is being raised', () => eu.region.lines.raising() !== undefined);
    regions.network.heal();
    const untilGone = async (): Promise<void> => {
      raise();
      while ((await eu.line('carts', 'a')) !== 'nothing') await settle();
    };
    // US has asked for the lines, for the policies and then for the rest; what it hears is from before.
    regions.network.once(US, EU, { method: 'lines', after: () => regions.network.once(US, EU, { method: 'lines', after: untilGone }) });
    for (const { region } of regions.sites) void region.topology.offer(regions.topology({}, { epoch: 3 }));
    await regions.until('US serves again', () => us.region.phase === 'serving' && us.region.catalog.version.epoch === 3);
    await compare(regions);
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual([]);
    expect(await us.ledger('carts')).toEqual(['from before late']);
  });

  it('a region dies as soon as the document that takes it back is durable -> it starts as one that was restored', async () => {
    const regions = await start({ graceMs: GRACE_MS });
    const us = regions.at(US);
    await us.put('carts', 'a', 'from before');
    await regions.converge();
    for (const id of regions.ids) await offer(regions, id, regions.topology({ [US]: 'fenced' }, { epoch: 2 }));
    for (const id of [AP, EU]) regions.network.cut(US, id);
    await regions.at(EU).delete('carts', 'a');
    await regions.advance(6 * GRACE_MS);
    regions.network.heal();
    us.memory.table.afterDocument = (name) => {
      if (name === 'topology') void us.crash();
    };
    for (const { region } of regions.sites) void region.topology.offer(regions.topology({}, { epoch: 3 }));
    await regions.until('US is dead', () => !us.isAlive);
    us.memory.table.afterDocument = () => undefined;
    await us.start();
    expect(inForce(us)).toContain('1.3 ');
    await compare(regions);
    for (const site of regions.sites) expect(await site.get('carts', 'a')).toEqual([]);
    expect(await us.ledger('carts')).toEqual(['from before late']);
  });

  it('a region gets a partition back and asks who has not heard of it -> what is reaped behind that answer stays away', async () => {
    const regions = await start({ regions: [AP, EU, US, SA], later: [SA], graceMs: GRACE_MS });
    await regions.collection('few', { replicas: 2, conflict: 'siblings' });
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    const pk = heldInTurn(ap, regions);
    await us.put('few', pk, 'from before');
    await regions.converge();
    const document = regions.topology({ [SA]: 'active' }, { epoch: 2 });
    for (const id of [AP, EU, US]) await offer(regions, id, document);
    regions.at(SA).topology = document;
    await regions.at(SA).start();
    await compare(regions);
    regions.network.hold(SA, EU, ['tombstone']);
    regions.network.hold(EU, SA, ['tombstone']);
    regions.network.hold(EU, US, ['hello']);
    await eu.delete('few', pk);
    await regions.until('it is to be reaped', () => regions.network.held.some(({ method }) => method === 'tombstone'));
    const next: Topology = { ...document, epoch: 3, regions: document.regions.map((entry) => (entry.id === SA ? { ...entry, weight: 0.001 } : entry)) };
    const reapAndHear = async (): Promise<void> => {
      for (const message of regions.network.held.splice(0)) await message.deliver();
      while ((await eu.line('few', pk)) !== 'nothing') await settle();
      regions.network.heal();
      await eu.region.topology.offer(next);
    };
    regions.network.once(US, EU, { method: 'lines', after: () => regions.network.once(US, EU, { method: 'lines', after: reapAndHear }) });
    void us.region.topology.offer(next);
    await regions.until('US has found out', () => us.logged('region.recovered').length > 0 && epochs(regions).every((epoch) => epoch === 3));
    await compare(regions);
    for (const site of [eu, us]) expect(await site.get('few', pk)).toEqual([]);
    expect(await us.ledger('few')).toEqual(['from before late']);
  });
});

describe('what a region owes and is owed', () => {
  it('its disk is rolled back, and only a region that it meets later holds what it forgot -> it takes that back', async () => {
    const regions = await start({ regions: [AP, EU, US, SA], later: [SA] });
    await regions.collection('all', { replicas: 4 });
    const [eu, sa] = [regions.at(EU), regions.at(SA)];
    const document = regions.topology({ [SA]: 'active' }, { epoch: 2 });
    for (const id of [AP, EU, US]) await offer(regions, id, document);
    sa.topology = document;
    sa.memory.isNew = true;
    await sa.start();
    for (const id of [AP, US]) regions.network.cut(EU, id);
    await eu.put('all', 'forgotten', 'v');
    await regions.converge();
    expect(await sa.get('all', 'forgotten')).toEqual(['v']);
    await eu.crash();
    eu.memory.table = new FaultyTable(digestHash); // from when it had written nothing yet, and knew nothing of SA
    regions.network.heal();
    await eu.start();
    await regions.until('EU knows the policy again', () => eu.region.catalog.find('all') !== undefined);
    await regions.converge();
    expect(await eu.get('all', 'forgotten')).toEqual(['v']);
    expect(eu.logged('region.forgot')).toEqual([]); // it cannot be sure
  });

  it('a region takes back what it lost, and one that still owes it is lost for good -> it is in doubt no longer', async () => {
    const regions = await start();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await us.put('demo', 'k', 'v');
    await regions.converge();
    await regions.at(AP).crash();
    await eu.crash();
    eu.memory.wipe();
    await eu.start();
    await regions.converge();
    expect(await eu.get('demo', 'k')).toEqual(['v']);
    const saysItsInDoubt = async (): Promise<boolean> => {
      const link = us.region.links.get(EU) as PeerLink;
      await regions.drive(link.ask('lines', new Uint8Array(0)));
      return link.isInDoubt;
    };
    expect([eu.memory.isNew, await saysItsInDoubt()]).toEqual([true, true]); // AP may hold more
    for (const id of [EU, US]) await offer(regions, id, regions.topology({ [AP]: 'lost' }, { epoch: 2 }));
    await regions.converge();
    expect([eu.memory.isNew, await saysItsInDoubt()]).toEqual([false, false]);
  });

  it('a message is under way to a region that is lost meanwhile -> the hint that becomes of it goes too', async () => {
    const regions = await start();
    const eu = regions.at(EU);
    regions.network.hold(EU, US);
    await eu.put('demo', 'k', 'v');
    await regions.until('it is under way', () => regions.network.held.length > 0);
    await regions.at(US).crash();
    for (const id of [AP, EU]) await offer(regions, id, regions.topology({ [US]: 'lost' }, { epoch: 2 }));
    await regions.converge();
    expect(lane(eu, US).stats.hinted).toBe(1);
    expect(await lane(eu, US).hints()).toBe(0);
    expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
  });
});

describe('the others carry on', () => {
  it('a region is lost that had told one of them only -> the survivors compare at once, without a schedule', async () => {
    const regions = await start();
    regions.network.cut(US, EU);
    await regions.at(US).put('demo', 'k', 'told to one');
    await regions.advance(1_000);
    await regions.at(US).crash();
    for (const id of [AP, EU]) await offer(regions, id, regions.topology({ [US]: 'lost' }, { epoch: 2 }));
    await regions.advance(10_000);
    expect(await regions.at(EU).get('demo', 'k')).toEqual(['told to one']);
  });

  it('an answer that was under way brings a document that is older by now -> no alarm', async () => {
    const regions = await start();
    const eu = regions.at(EU);
    await offer(regions, EU, regions.topology({}, { epoch: 3 }));
    eu.region.topology.learn(regions.topology({}, { epoch: 2 }));
    await regions.advance(100);
    expect(eu.region.catalog.version.epoch).toBe(3);
    expect(eu.logged('topology.refused')).toEqual([]);
  });
});
