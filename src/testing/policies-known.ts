// Since when each region has known the policy of a collection. What it merged before, as siblings, may be durable after.

import type { SimRegion } from './cluster.ts';

/** From the decision to the end of its sync: the longest of the swarm, and one under way before it. */
const COMMIT_MS_MAX = 500;

export class PoliciesKnown {
  readonly #sinceMs = new Map<string, number>();

  /** With every commit. */
  look({ id, running }: SimRegion, collection: string, nowMs: number): void {
    const place = `${id} ${collection}`;
    if (running?.region.catalog.find(collection) === undefined) this.#sinceMs.delete(place);
    else if (!this.#sinceMs.has(place)) this.#sinceMs.set(place, nowMs);
  }

  /** Also when what is committed now was decided. */
  areKnown({ id }: SimRegion, collection: string, nowMs: number): boolean {
    return nowMs - (this.#sinceMs.get(`${id} ${collection}`) ?? Number.POSITIVE_INFINITY) >= COMMIT_MS_MAX;
  }
}
