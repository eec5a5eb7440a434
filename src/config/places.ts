// Where regions are, so that the nearest can be found. AWS publishes the metropolitan area, not the buildings; these are
// the coordinates of those cities.

import { asRegionId, type RegionId } from '../core/version/dot.ts';
import type { RegionEntry } from '../core/placement/topology.ts';

const PLACES: Readonly<Record<string, readonly [city: string, lat: number, lon: number]>> = {
  'ap-northeast-2': ['Seoul', 37.57, 126.98],
  'eu-central-1': ['Frankfurt', 50.11, 8.68],
  'us-east-1': ['Virginia', 38.95, -77.45],
  'sa-east-1': ['São Paulo', -23.55, -46.63],
  'ap-southeast-2': ['Sydney', -33.87, 151.21],
  'us-west-2': ['Oregon', 45.87, -119.69],
  'ap-south-1': ['Mumbai', 19.08, 72.88],
  'af-south-1': ['Cape Town', -33.93, 18.42],
  'eu-west-1': ['Ireland', 53.35, -6.26],
  'ap-northeast-1': ['Tokyo', 35.68, 139.69],
  'ap-southeast-1': ['Singapore', 1.35, 103.82],
  'ca-central-1': ['Montreal', 45.5, -73.57],
  'eu-north-1': ['Stockholm', 59.33, 18.07],
  'eu-south-1': ['Milan', 45.46, 9.19],
  'eu-west-2': ['London', 51.51, -0.13],
  'eu-west-3': ['Paris', 48.86, 2.35],
  'me-central-1': ['Dubai', 25.2, 55.27],
  'us-east-2': ['Ohio', 39.96, -83.0],
  'us-west-1': ['California', 37.35, -121.96],
  'ap-east-1': ['Hong Kong', 22.32, 114.17],
  'ap-northeast-3': ['Osaka', 34.69, 135.5],
};

/** In the order in which `--regions N` takes them. */
export const KNOWN_REGIONS: readonly RegionId[] = Object.keys(PLACES).map(asRegionId);

export const cityOf = (region: RegionId): string | undefined => PLACES[region]?.[0];

/** An unknown id gets a place on the equator that depends on its name, so that it has one, the same everywhere. */
export function regionEntry(id: RegionId, url?: string): RegionEntry {
  const [, lat, lon] = PLACES[id] ?? [id, 0, ([...id].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 3600, 7) - 1800) / 10];
  return { id, lat, lon, weight: 1, state: 'active', ...(url === undefined ? {} : { url }) };
}
