// Which region should answer: of those that hold the partition, the nearest to the viewer that is fit to.

import type { RegionEntry, RegionState } from '../placement/topology.ts';
import type { RegionId } from '../version/dot.ts';

export interface Place {
  readonly lat: number;
  readonly lon: number;
}

const EARTH_RADIUS_KM = 6371;
const radians = (degrees: number): number => (degrees * Math.PI) / 180;

/** Great-circle distance in kilometres (haversine; good for small distances too). */
export function distanceKm(a: Place, b: Place): number {
  const lat = radians(b.lat - a.lat);
  const lon = radians(b.lon - a.lon);
  const h = Math.sin(lat / 2) ** 2 + Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * Math.sin(lon / 2) ** 2;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(h)));
}

const UNKNOWN = Number.MAX_VALUE;

/** Measured round trips between places, where known, in milliseconds. */
export type LatencyMatrix = ReadonlyMap<RegionId, number>;

/**
 * Nearest first: by measured latency, else by great circle, ties by id. Where neither is known, in the order given; a
 * region without either stands behind those that have one: nobody has reached it yet.
 */
export function nearestFirst(regions: readonly RegionEntry[], viewer: Place | undefined, latency?: LatencyMatrix): RegionEntry[] {
  if (viewer === undefined && latency === undefined) return [...regions];
  // A millisecond of round trip is about 100 km of fibre, so that the two kinds of distance can be mixed.
  const cost = (region: RegionEntry): number => latency?.get(region.id) ?? (viewer === undefined ? UNKNOWN : distanceKm(viewer, region) / 100);
  return [...regions].sort((a, b) => cost(a) - cost(b) || (cost(a) === UNKNOWN ? 0 : a.id < b.id ? -1 : 1));
}

const SERVING: ReadonlySet<RegionState> = new Set(['active']);
const LAST_RESORT: ReadonlySet<RegionState> = new Set(['draining']);

export interface RouteQuestion {
  readonly holders: readonly RegionId[];
  readonly regions: readonly RegionEntry[];
  readonly viewer: Place | undefined;
  readonly latency?: LatencyMatrix;
  /** False for a region whose breaker is open. */
  readonly isHealthy: (region: RegionId) => boolean;
  /** False for a region that has been away and does not get this request back yet; absent, each gets its own at once. */
  readonly takes?: (region: RegionId) => boolean;
}

/**
 * The regions to try, in order: active and healthy ones by distance, then those that are only coming back, then draining
 * ones, then the unhealthy (again the active before the draining), because a wrong verdict must not make data unreachable that
 * a region holds.
 */
export function routeOrder(question: RouteQuestion): RegionEntry[] {
  const holders = new Set(question.holders);
  const near = nearestFirst(question.regions.filter(({ id }) => holders.has(id)), question.viewer, question.latency);
  const serving = near.filter(({ state }) => SERVING.has(state));
  const takes = ({ id }: RegionEntry): boolean => question.takes?.(id) !== false;
  const inOrder = [...serving.filter(takes), ...serving.filter((region) => !takes(region)), ...near.filter(({ state }) => LAST_RESORT.has(state))];
  return [...inOrder.filter(({ id }) => question.isHealthy(id)), ...inOrder.filter(({ id }) => !question.isHealthy(id))];
}
