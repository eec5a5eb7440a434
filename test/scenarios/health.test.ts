// What regions tell each other of themselves and of what they see.

import { describe, expect, it } from 'vitest';
import { utf8, utf8Text } from '../../src/core/bytes.ts';
import { Detector } from '../../src/core/health/detector.ts';
import { received, sendable, type Report } from '../../src/core/health/report.ts';
import { CAUGHT_UP_LAG_MS, DATA_PATH_EVERY_MS, DATA_PATH_MS, SUSPECT_MS } from '../../src/core/limits.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { AP, archipelago, EU, US, type Site } from './archipelago.ts';

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

describe('verdicts', () => {
  const verdict = (site: Site, of: RegionId): string | undefined => site.region.health.seen(of)?.verdict;

  it('killed -> suspect, and down when the two that are left agree; back -> alive', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    await regions.advance(2_000);
    expect([verdict(ap, US), verdict(eu, US)]).toEqual(['alive', 'alive']);
    await us.crash();
    await regions.advance(SUSPECT_MS + 3_000);
    expect([verdict(ap, US), verdict(eu, US)]).toEqual(['down', 'down']);
    expect(eu.region.health.seen(US)?.suspectedBy).toEqual([EU, AP]);
    expect(eu.logged('region.verdict').map(({ fields }) => fields['verdict'])).toEqual(['down']);
    await us.start();
    await regions.advance(2_000);
    expect([verdict(ap, US), verdict(eu, US)]).toEqual(['alive', 'alive']);
    expect([verdict(us, AP), verdict(us, EU)]).toEqual(['alive', 'alive']);
  });

  it('cut off from one only -> suspect there, down nowhere', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    await regions.advance(2_000);
    regions.network.cut(EU, US);
    const seen = new Set<string | undefined>();
    for (let at = 0; at < 40; at++) {
      await regions.advance(500);
      for (const [site, of] of [[ap, US], [ap, EU], [eu, US], [us, EU]] as const) seen.add(verdict(site, of));
    }
    expect(seen).toEqual(new Set(['alive', 'suspect']));
  });

  it('of two regions neither can take the other for down, but where a witness does not hear it either', async () => {
    const regions = await archipelago({ regions: [EU, US] });
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await us.crash();
    await regions.advance(10_000);
    expect(verdict(eu, US)).toBe('suspect');
    const witness = new Detector({ observer: 'witness-1', agree: 2 });
    witness.watch([EU, US], regions.clock.monotonicMs());
    const ask = (): void => {
      const nowMs = regions.clock.monotonicMs();
      witness.tick(nowMs);
      const answer = eu.region.health.observe('witness-1', utf8(JSON.stringify(sendable(witness.report(true, nowMs)))));
      witness.heard(received(EU, JSON.parse(utf8Text(answer) ?? '')) as Report, nowMs);
    };
    for (let at = 0; at < 8; at++) {
      ask();
      await regions.advance(500);
    }
    expect([verdict(eu, US), witness.standing(US, regions.clock.monotonicMs())?.verdict]).toEqual(['down', 'down']);
    expect(witness.standing(EU, regions.clock.monotonicMs())?.verdict).toBe('alive');
  });

  it('a stranger, and what is no report, are refused', async () => {
    const { health } = (await archipelago()).at(EU).region;
    expect(() => health.observe(US, utf8('{"s":{}}'))).toThrow('no observer');
    expect(() => health.observe('witness-1', utf8('{"s":7}'))).toThrow('Not a report');
    expect(() => health.observe('witness-1', utf8('{'))).toThrow('Not a report');
  });
});

describe('data path', () => {
  it('a disk that does not answer -> the region says so, and is not heard; it answers again -> alive', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    await regions.advance(3_000);
    const { table } = us;
    const held: (() => void)[] = [];
    const original = table.document.bind(table);
    table.document = async (name) => {
      if (name === 'data-path') await new Promise<void>((resolve) => held.push(resolve));
      return original(name);
    };
    await regions.advance(DATA_PATH_EVERY_MS + DATA_PATH_MS + SUSPECT_MS + 2_000);
    expect(us.region.health.isSound).toBe(false);
    expect([ap, eu].map((site) => site.region.health.seen(US))).toMatchObject([{ verdict: 'down', isSound: false }, { verdict: 'down', isSound: false }]);
    table.document = original;
    for (const go of held) go();
    await regions.advance(2_000);
    expect(us.region.health.isSound).toBe(true);
    expect(eu.region.health.seen(US)?.verdict).toBe('alive');
  });
});
