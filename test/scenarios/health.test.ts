// What regions tell each other of themselves and of what they see.

import { describe, expect, it } from 'vitest';
import { CAUGHT_UP_LAG_MS } from '../../src/core/limits.ts';
import { AP, archipelago, EU, US } from './archipelago.ts';

describe('lag', () => {
  it('a region that was away lags by what is kept for it -> says so from its first answer, until it has it', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await eu.crash();
    await regions.advance(2_000);
    for (let at = 0; at < 20; at++) await us.put('demo', `k${at}`, 'v');
    await regions.advance(5_000);
    const { ready } = await eu.boot();
    expect(eu.region.health.lagMs()).toBeGreaterThan(CAUGHT_UP_LAG_MS); // nobody knows yet
    await regions.drive(ready);
    await regions.converge();
    await regions.advance(1_000);
    expect(eu.region.health.lagMs()).toBe(0);
  });

  it('cut off from everybody -> it cannot know, so it grows; healed -> what the peers say, and then nothing', async () => {
    const regions = await archipelago();
    const eu = regions.at(EU);
    for (const other of [AP, US]) regions.network.cut(EU, other);
    await regions.advance(10_000);
    expect(eu.region.health.lagMs()).toBeGreaterThan(8_000);
    await regions.at(US).put('demo', 'k', 'v');
    regions.network.heal();
    await regions.converge();
    await regions.advance(2_000);
    expect(eu.region.health.lagMs()).toBe(0);
  });

  it('a peer that is down for long, and what an operator holds back -> no lag of those that are well', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await us.crash();
    await regions.advance(20_000);
    expect(eu.region.health.lagMs()).toBe(0);
    await us.start();
    await us.region.setPaused(EU, true);
    await us.put('demo', 'k', 'v');
    await regions.advance(20_000);
    expect(eu.region.health.lagMs()).toBe(0);
  });
});
