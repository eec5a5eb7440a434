// What regions tell each other of themselves and of what they see.

import type { Topology } from '../../src/core/placement/topology.ts';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/core/bytes.ts';
import { CAUGHT_UP_LAG_MS, DATA_PATH_EVERY_MS, DATA_PATH_MS, SUSPECT_MS } from '../../src/core/limits.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { Observer } from '../../src/engine/observer.ts';
import { SILENT } from '../../src/ports/log.ts';
import { AP, archipelago, EU, US, type Archipelago, type Site } from './archipelago.ts';

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

  /** An edge beside the regions; `cut` says which of them it does not reach. */
  function edgeOf(regions: Archipelago, sites: readonly Site[]): { readonly edge: Observer; readonly judged: (readonly [RegionId, boolean])[]; readonly cut: Set<RegionId> } {
    const judged: (readonly [RegionId, boolean])[] = [];
    const cut = new Set<RegionId>();
    const answer = (id: RegionId, question: Uint8Array): Uint8Array => {
      if (cut.has(id)) throw new Error('no answer');
      return regions.at(id).region.health.observe('edge-1', question);
    };
    const ask = (id: RegionId, question: Uint8Array): Promise<Uint8Array> => new Promise((resolve) => resolve(answer(id, question)));
    const edge = new Observer({ id: 'edge-1', clock: regions.clock, log: SILENT, regions: () => sites.map(({ id }) => id), ask, judged: (id, isDown) => judged.push([id, isDown]) });
    edge.start();
    return { edge, judged, cut };
  }

  it('of two regions neither alone takes the other for down; with an edge that does not hear it either, both do, until it is back', async () => {
    const regions = await archipelago({ regions: [EU, US] });
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await us.crash();
    await regions.advance(10_000);
    expect(verdict(eu, US)).toBe('suspect');
    const { edge, judged, cut } = edgeOf(regions, [eu, us]);
    cut.add(US);
    await regions.advance(SUSPECT_MS + 2_000);
    expect(eu.region.health.seen(US)).toMatchObject({ verdict: 'down', suspectedBy: [EU, 'edge-1'] });
    expect(edge.standings().map(({ region, verdict: each }) => [region, each])).toEqual([[EU, 'alive'], [US, 'down']]);
    expect(judged).toEqual([[US, true]]);
    cut.delete(US);
    await us.start();
    await regions.advance(2_000);
    expect([verdict(eu, US), verdict(us, EU)]).toEqual(['alive', 'alive']);
    expect(judged).toEqual([[US, true], [US, false]]);
    edge.stop();
  });

  it('an edge that works on an older document is told the newer one, and no more than once', async () => {
    const regions = await archipelago({ regions: [EU, US] });
    const eu = regions.at(EU);
    let version = { term: 1, epoch: 1 };
    const told: string[] = [];
    const learnt = (from: RegionId, { term, epoch }: Topology): void => {
      told.push(`${term}.${epoch} from ${from}`);
      version = { term, epoch };
    };
    const ask = (_: RegionId, question: Uint8Array): Promise<Uint8Array> => new Promise((resolve) => resolve(eu.region.health.observe('edge-1', question)));
    const edge = new Observer({ id: 'edge-1', clock: regions.clock, log: SILENT, regions: () => [EU], ask, version: () => version, learnt });
    edge.start();
    await regions.advance(2_000);
    expect(told).toEqual([]);
    await regions.drive(eu.region.topology.offer(regions.topology({ [US]: 'draining' }, { epoch: 2 })));
    await regions.advance(2_000);
    expect(told).toEqual([`1.2 from ${EU}`]);
    edge.stop();
  });

  it('the link between two regions is cut, and the edge hears both -> each suspects the other, and takes it for down never', async () => {
    const regions = await archipelago({ regions: [EU, US] });
    const [eu, us] = [regions.at(EU), regions.at(US)];
    const { edge, judged, cut } = edgeOf(regions, [eu, us]);
    await regions.advance(2_000);
    regions.network.cut(EU, US);
    regions.network.cut(US, EU);
    const seen = new Set<string | undefined>();
    for (let at = 0; at < 40; at++) {
      await regions.advance(500);
      for (const [site, of] of [[eu, US], [us, EU]] as const) seen.add(verdict(site, of));
    }
    expect(seen).toEqual(new Set(['alive', 'suspect']));
    // Now the edge does not reach one of them either: it is down to the other two, and alive to itself.
    cut.add(US);
    await regions.advance(SUSPECT_MS + 4_000);
    expect([verdict(eu, US), verdict(us, EU)]).toEqual(['down', 'suspect']);
    expect(judged).toEqual([[US, true]]);
    edge.stop();
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
