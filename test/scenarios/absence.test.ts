// A region that took no part for longer than the horizon fences itself, is emptied, and is rebuilt from the others.

import { afterEach, describe, expect, it } from 'vitest';
import { isArchipelError } from '../../src/core/errors.ts';
import { AP, archipelago, EU, US, type Archipelago, type ArchipelagoOptions, type Site } from './archipelago.ts';

const HORIZON_MS = 60_000;
const AWAY_MS = 90_000;

const cleanUp: Archipelago[] = [];
afterEach(async () => {
  for (const regions of cleanUp.splice(0)) await regions.end();
});

const start = async (options: ArchipelagoOptions = {}): Promise<Archipelago> => {
  const regions = await archipelago({ horizonMs: HORIZON_MS, ...options });
  cleanUp.push(regions);
  await regions.advance(5_000); // a note of who is there
  return regions;
};

const refusalOf = async (site: Site): Promise<string> => {
  try {
    site.region.assertServing();
    return 'none';
  } catch (error) {
    return isArchipelError(error) ? error.code : String(error);
  }
};

const reaches = (regions: Archipelago, phase: string, ...sites: readonly Site[]): Promise<void> => regions.until(phase, () => sites.every(({ region }) => region.phase === phase));

const cutOff = (regions: Archipelago, id: typeof US): void => {
  for (const peer of [AP, EU, US]) if (peer !== id) regions.network.cut(id, peer);
};

describe('a region that was away for too long', () => {
  it('fences itself, sends nothing, is emptied and filled; what was deleted meanwhile stays deleted, what it had not passed on arrives', async () => {
    const regions = await start();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    await us.put('demo', 'stays', 'of all');
    await us.put('demo', 'goes', 'deleted meanwhile');
    await regions.converge();
    cutOff(regions, US);
    await us.put('demo', 'unsent', 'only here');
    await us.put('demo', 'beaten', 'is beaten');
    await us.crash();
    regions.network.heal();
    await eu.delete('demo', 'goes');
    await regions.advance(1_000);
    await eu.put('demo', 'beaten', 'beats it');
    await regions.advance(AWAY_MS);
    const before = us.memory.incarnation;
    const sent = regions.network.sent.length;
    regions.network.cut(US, AP); // so that it is filled from one of the two only
    await us.boot();
    expect([us.region.phase, await refusalOf(us)]).toEqual(['fenced', 'region-fenced']);
    await reaches(regions, 'joining', us);
    expect(us.logged('region.emptied')).toMatchObject([{ fields: { emptied: 2, kept: 2 } }]);
    await regions.advance(5_000);
    expect(await refusalOf(us)).toBe('region-recovering');
    const asked = regions.network.sent.slice(sent).filter((question) => question.startsWith(`${US}>`));
    expect(asked.filter((question) => /inbox|merge|tombstone|reap/.test(question))).toEqual([]);
    expect([await us.get('demo', 'stays'), await eu.get('demo', 'unsent')]).toEqual([['of all'], []]); // it takes, and gives nothing yet
    regions.network.heal();
    await reaches(regions, 'serving', us);
    await regions.converge();
    expect(us.memory.incarnation).not.toBe(before);
    for (const site of [ap, eu, us]) {
      expect([await site.get('demo', 'stays'), await site.get('demo', 'goes'), await site.get('demo', 'unsent'), await site.get('demo', 'beaten')]).toEqual([['of all'], [], ['only here'], ['beats it']]);
      expect(await site.ledger('demo')).toEqual(['is beaten lww']);
    }
    expect(new Set(us.region.reconciler.certificates().flatMap(({ regions: pair }) => pair))).toEqual(new Set([AP, EU, US]));
    await regions.expectEqual();
  });

  it('the cluster was off as a whole -> nobody has missed anything, all serve, nothing is emptied', async () => {
    const regions = await start();
    await regions.at(EU).put('demo', 'k', 'v');
    await regions.converge();
    for (const site of regions.sites) await site.crash();
    await regions.advance(AWAY_MS * 10);
    const booted = await Promise.all(regions.sites.map((site) => site.boot()));
    await regions.drive(Promise.all(booted.map(({ ready }) => ready)));
    await reaches(regions, 'serving', ...regions.sites);
    for (const site of regions.sites) expect(site.logged('region.emptied')).toEqual([]);
    expect(await regions.at(US).get('demo', 'k')).toEqual(['v']);
  });

  it('its clock alone says so -> it serves', async () => {
    const regions = await start();
    const us = regions.at(US);
    await us.crash();
    us.wallOffsetMs = AWAY_MS * 10;
    await us.boot();
    await reaches(regions, 'serving', us);
    expect(us.logged('region.fences-itself')).toEqual([]);
  });

  it('it ran all the time, cut off, and starts again -> it serves: what it took meanwhile is merged, as after any split', async () => {
    const regions = await start();
    const us = regions.at(US);
    cutOff(regions, US);
    await regions.advance(AWAY_MS);
    await us.put('demo', 'k', 'of the island');
    await us.crash();
    regions.network.heal();
    await us.boot();
    await reaches(regions, 'serving', us);
    await regions.converge();
    expect([us.logged('region.fences-itself'), await regions.at(EU).get('demo', 'k')]).toEqual([[], ['of the island']]);
  });

  it('nobody in reach -> it waits, fenced; the first to be heard decides', async () => {
    const regions = await start();
    const us = regions.at(US);
    await us.crash();
    cutOff(regions, US);
    await regions.advance(AWAY_MS);
    await us.boot();
    await regions.advance(10_000);
    expect([us.region.phase, us.logged('region.emptied')]).toEqual(['fenced', []]);
    regions.network.heal();
    await reaches(regions, 'serving', us);
    expect(us.logged('region.emptied')).toHaveLength(1);
  });

  it('killed while it is filled -> the next start goes on with it, and does not serve what is missing', async () => {
    const regions = await start();
    const us = regions.at(US);
    await us.put('demo', 'k', 'v');
    await regions.converge();
    await us.crash();
    await regions.advance(AWAY_MS);
    regions.network.cut(US, AP);
    await us.boot();
    await reaches(regions, 'joining', us);
    await regions.advance(5_000);
    expect(us.region.phase).toBe('joining'); // AP has not given what it has
    await us.crash();
    await us.boot();
    expect([us.region.phase, await refusalOf(us)]).toEqual(['joining', 'region-recovering']);
    regions.network.heal();
    await reaches(regions, 'serving', us);
    expect(await us.get('demo', 'k')).toEqual(['v']);
    await regions.converge();
    await regions.expectEqual();
  });

  it('two were away -> what only they hold stays, and they are filled from each other as well', async () => {
    const regions = await start();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await regions.collection('pair', { regions: [EU, US], replicas: 2 });
    await us.put('pair', 'k', 'of the two');
    await us.put('demo', 'k', 'of all');
    await regions.converge();
    await Promise.all([eu.crash(), us.crash()]);
    await regions.advance(AWAY_MS);
    await Promise.all([eu.boot(), us.boot()]);
    await reaches(regions, 'serving', eu, us);
    for (const site of [eu, us]) {
      expect(site.logged('region.emptied')).toHaveLength(1);
      expect([await site.get('pair', 'k'), await site.get('demo', 'k')]).toEqual([['of the two'], ['of all']]);
    }
  });

  it('a peer is behind -> what this region wrote itself stays, whether passed on or not', async () => {
    const regions = await start();
    const us = regions.at(US);
    await regions.at(EU).put('demo', 'theirs', 'of eu');
    await us.put('demo', 'own', 'of us');
    await regions.converge();
    await us.region.lanes.get(EU)?.mayLack(1);
    await us.crash();
    await regions.advance(AWAY_MS);
    regions.network.cut(US, AP);
    await us.boot();
    await reaches(regions, 'joining', us);
    expect(us.logged('region.emptied')).toMatchObject([{ fields: { emptied: 1, kept: 1 } }]);
    regions.network.heal();
    await reaches(regions, 'serving', us);
    await regions.expectEqual();
  });
});
