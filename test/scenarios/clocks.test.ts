// Clocks that are wrong: writes stop, reads and replication go on, and a step is settled, not remembered.

import { describe, expect, it } from 'vitest';
import { stampMs } from '../../src/core/version/stamp.ts';
import { AP, archipelago, EU, US, valueOf, type Archipelago, type Site } from './archipelago.ts';
import type { HeldMessage } from './network.ts';

const HOUR_MS = 3_600_000;

const canWrite = async (site: Site): Promise<boolean> =>
  site.put('demo', 'probe', 'v').then(
    () => true,
    (error: unknown) => {
      expect(error).toMatchObject({ code: 'clock-unsafe' });
      return false;
    },
  );

async function stampOf(site: Site, regions: Archipelago): Promise<number> {
  const { decision } = await site.put('demo', 'stamped', 'v');
  return decision.type === 'commit' ? stampMs(decision.dot.stamp) - regions.clock.wallMs() : Number.NaN;
}

for (const [name, step] of [['forward', HOUR_MS], ['back', -HOUR_MS]] as const) {
  describe(`one wall clock goes an hour ${name}`, () => {
    it('running -> its writes stop, reads and replication both ways go on; put right -> it writes again, with true stamps', async () => {
      const regions = await archipelago();
      const [eu, us] = [regions.at(EU), regions.at(US)];
      await eu.put('demo', 'before', 'v');
      await regions.converge();
      us.wallOffsetMs = step;
      expect(await canWrite(us)).toBe(false);
      await eu.put('demo', 'while', 'v');
      await regions.advance(3_000);
      expect(await us.get('demo', 'while')).toEqual(['v']);
      expect(await canWrite(us)).toBe(false);
      expect(await canWrite(eu)).toBe(true);
      us.wallOffsetMs = 0;
      await regions.advance(3_000);
      expect(Math.abs(await stampOf(us, regions))).toBeLessThan(500);
      expect(us.log.map(({ event }) => event).filter((event) => /^clock\./.test(event))).toEqual(['clock.unsafe', 'clock.safe']);
      await regions.converge();
      await regions.expectEqual();
    });

    it('over a restart -> it does not write while its peers contradict, and takes what they send', async () => {
      const regions = await archipelago();
      const [eu, us] = [regions.at(EU), regions.at(US)];
      await us.crash();
      us.wallOffsetMs = step;
      await us.start();
      expect(await canWrite(us)).toBe(false);
      await eu.put('demo', 'k', 'v');
      await regions.converge();
      expect(await us.get('demo', 'k')).toEqual(['v']);
      us.wallOffsetMs = 0;
      await regions.advance(3_000);
      expect(Math.abs(await stampOf(us, regions))).toBeLessThan(500);
    });

    it('over a restart, no peer in reach -> it writes alone until it is heard; the first peer contradicts -> it stops', async () => {
      const regions = await archipelago();
      const us = regions.at(US);
      await us.crash();
      us.wallOffsetMs = step;
      regions.network.cut(US, EU);
      regions.network.cut(US, AP);
      await us.start();
      expect(await canWrite(us)).toBe(true);
      regions.network.heal();
      await regions.advance(3_000);
      expect(await canWrite(us)).toBe(false);
    });
  });
}

describe('a region that is reached, and reaches nobody', () => {
  async function reachedOnly(offsetMs: number): Promise<{ readonly regions: Archipelago; readonly us: Site; readonly old: HeldMessage }> {
    const regions = await archipelago();
    const us = regions.at(US);
    regions.network.hold(EU, US);
    await regions.at(EU).put('demo', 'k', 'v');
    const [old] = regions.network.held;
    await us.crash();
    await regions.advance(15_000);
    regions.network.heal();
    us.wallOffsetMs = offsetMs;
    for (const peer of [EU, AP]) regions.network.loseAnswers(US, peer);
    await us.start();
    return { regions, us, old: old as HeldMessage };
  }

  it('a message arrives that somebody had kept for long -> it tells no time, and the region writes on', async () => {
    const { regions, us, old } = await reachedOnly(0);
    expect(await canWrite(us)).toBe(true);
    await regions.drive(old.deliver());
    expect(await canWrite(us)).toBe(true);
    await regions.advance(3_000);
    await regions.drive(old.deliver());
    expect(await canWrite(us)).toBe(true);
  });

  it('its clock is an hour ahead -> it learns from two questions of a peer, and does not write', async () => {
    const { regions, us } = await reachedOnly(HOUR_MS);
    await regions.advance(4_000);
    expect(await canWrite(us)).toBe(false);
  });
});

describe('all wall clocks step', () => {
  it('a laptop slept for an hour -> settled among themselves, and all write on', async () => {
    const regions = await archipelago();
    for (const site of regions.sites) site.wallOffsetMs = HOUR_MS;
    for (const site of regions.sites) expect(await canWrite(site)).toBe(false);
    await regions.advance(3_000);
    for (const site of regions.sites) expect(await canWrite(site)).toBe(true);
  });

  it('a single region without peers re-anchors at once', async () => {
    const regions = await archipelago({ regions: [EU] });
    regions.at(EU).wallOffsetMs = HOUR_MS;
    expect(await canWrite(regions.at(EU))).toBe(true);
  });
});

describe('stamps of others', () => {
  it('far ahead -> refused, kept by the sender, retried with growing delay, never a dead letter; the clock catches up -> merged', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await us.crash();
    us.wallOffsetMs = 20_000;
    regions.network.cut(US, EU);
    regions.network.cut(US, AP);
    await us.start();
    await us.put('demo', 'k', 'from the future');
    regions.network.heal();
    await regions.advance(10_000);
    expect(await eu.get('demo', 'k')).toEqual([]);
    expect(await eu.memory.letters(US).count()).toBe(0);
    expect((await us.rpo(EU)).items).toBe(1);
    const tries = regions.network.count(US, EU, 'inbox');
    await regions.advance(5_000);
    expect(regions.network.count(US, EU, 'inbox') - tries).toBeLessThanOrEqual(2);
    await regions.advance(60_000);
    expect(await eu.get('demo', 'k')).toEqual(['from the future']);
    expect((await us.rpo(EU)).items).toBe(0);
    expect(Math.abs(await stampOf(eu, regions))).toBeLessThan(500);
  });
});

describe('expiry', () => {
  it('a region started alone, an hour ahead; its peers contradict -> it shows what is still alive, and does not expire it early', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await us.crash();
    us.wallOffsetMs = HOUR_MS;
    regions.network.cut(US, EU);
    regions.network.cut(US, AP);
    await us.start();
    regions.network.heal();
    await regions.advance(3_000);
    await eu.write('carts', 'k', { value: valueOf('for ten minutes', regions.clock.wallMs() + 600_000) });
    await regions.converge();
    expect(await canWrite(us)).toBe(false);
    expect(await us.get('carts', 'k')).toEqual(['for ten minutes']);
    await regions.advance(600_000);
    expect(await us.get('carts', 'k')).toEqual([]);
  });
});
