import { describe, expect, it } from 'vitest';
import type { RegionEntry, RegionState } from '../../src/core/placement/topology.ts';
import { distanceKm, nearestFirst, routeOrder, type Place } from '../../src/core/routing/nearest.ts';
import { asRegionId } from '../../src/core/version/dot.ts';
import { AP, EU, US } from '../contract/make.ts';

const entry = (id: string, lat: number, lon: number, state: RegionState = 'active'): RegionEntry => ({ id: asRegionId(id), lat, lon, weight: 1, state });
const frankfurt = entry(EU, 50.1, 8.7);
const virginia = entry(US, 39, -77.5);
const seoul = entry(AP, 37.6, 127);
const regions = [seoul, virginia, frankfurt];
const paris: Place = { lat: 48.9, lon: 2.3 };
const names = (entries: readonly RegionEntry[]): string[] => entries.map(({ id }) => id);

describe('distance', () => {
  it.each([
    ['the same place', paris, paris, 0, 0],
    ['Paris to Frankfurt', paris, frankfurt, 470, 490],
    ['over the date line', { lat: 0, lon: 179 }, { lat: 0, lon: -179 }, 222, 223],
    ['from pole to pole', { lat: 90, lon: 0 }, { lat: -90, lon: 120 }, 20_015, 20_016],
    ['to the other side', { lat: 10, lon: 20 }, { lat: -10, lon: -160 }, 20_015, 20_016],
  ])('%s', (_, a, b, least, most) => {
    expect(distanceKm(a, b)).toBeGreaterThanOrEqual(least);
    expect(distanceKm(a, b)).toBeLessThanOrEqual(most);
    expect(distanceKm(b, a)).toBeCloseTo(distanceKm(a, b), 6);
  });
});

describe('nearest', () => {
  it('by great circle', () => expect(names(nearestFirst(regions, paris))).toEqual([EU, US, AP]));

  it('by measured latency, which knows better', () => {
    expect(names(nearestFirst(regions, paris, new Map([[EU, 300], [US, 80], [AP, 200]])))).toEqual([US, AP, EU]);
  });

  it('a region that was not measured is judged by its distance, 100 km to the millisecond', () => {
    expect(names(nearestFirst(regions, paris, new Map([[US, 4]])))).toEqual([US, EU, AP]);
    expect(names(nearestFirst(regions, paris, new Map([[US, 6]])))).toEqual([EU, US, AP]);
  });

  it('without a viewer those that were not measured come last, in the order given', () => {
    expect(names(nearestFirst(regions, undefined, new Map([[EU, 300]])))).toEqual([EU, AP, US]);
  });

  it('in the order given where nothing is known', () => expect(names(nearestFirst(regions, undefined))).toEqual([AP, US, EU]));

  it('ties go by id, and the argument is left alone', () => {
    const tied = [entry('b', 0, 0), entry('a', 0, 0)];
    expect(names(nearestFirst(tied, paris))).toEqual(['a', 'b']);
    expect(names(tied)).toEqual(['b', 'a']);
  });
});

describe('route', () => {
  const route = (entries: readonly RegionEntry[], unhealthy: readonly string[] = [], holders = entries.map(({ id }) => id)): string[] =>
    names(routeOrder({ holders, regions: entries, viewer: paris, isHealthy: (id) => !unhealthy.includes(id) }));

  it('the nearest that holds the partition', () => {
    expect(route(regions)).toEqual([EU, US, AP]);
    expect(route(regions, [], [asRegionId(AP), asRegionId(US)])).toEqual([US, AP]);
  });

  it('unhealthy ones last: a wrong verdict must not make data unreachable', () => {
    expect(route(regions, [EU])).toEqual([US, AP, EU]);
    expect(route(regions, [EU, US, AP])).toEqual([EU, US, AP]);
  });

  it('draining ones behind all that are active and healthy, before the unhealthy', () => {
    const draining = [{ ...frankfurt, state: 'draining' as const }, virginia, seoul];
    expect(route(draining)).toEqual([US, AP, EU]);
    expect(route(draining, [US])).toEqual([AP, EU, US]);
  });

  it('of the unhealthy the active before the draining', () => {
    const draining = [{ ...frankfurt, state: 'draining' as const }, virginia, seoul];
    expect(route(draining, [EU, US])).toEqual([AP, US, EU]);
  });

  it.each<RegionState>(['fenced', 'lost', 'joining'])('never a %s one', (state) => {
    expect(route([{ ...frankfurt, state }, virginia])).toEqual([US]);
  });
});
