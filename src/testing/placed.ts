// Nothing lies in a region where its placement, as the region knows it, does not put it. A write that was decided before a
// topology document came into force there is committed behind it, and sent on: for a while that is in order.

import type { RegionId } from '../core/version/dot.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import type { SimRegion } from './cluster.ts';

const SETTLES_MS = 30_000;

export class Placed {
  /** Since when each region works on its document: it may have heard of it long after it was written. */
  readonly #since = new Map<RegionId, { readonly version: string; readonly ms: number }>();

  /** Also called now and then. */
  look({ id, running }: SimRegion, nowMs: number): void {
    if (running === undefined) return;
    const { term, epoch } = running.region.catalog.version;
    const version = `${term}.${epoch}`;
    if (this.#since.get(id)?.version !== version) this.#since.set(id, { version, ms: nowMs });
  }

  /** For how long the document of this region has been in force there, as far as it was looked at. */
  worksForMs(region: SimRegion, nowMs: number): number {
    this.look(region, nowMs);
    return nowMs - (this.#since.get(region.id)?.ms ?? nowMs);
  }

  /** Those who are to hold it instead; undefined when it is in its place. */
  whose(region: SimRegion, key: ItemKey, nowMs: number): string | undefined {
    const isSettled = this.worksForMs(region, nowMs) > SETTLES_MS;
    const holders = region.running?.region.catalog.holdersOf(key);
    return holders !== undefined && !holders.includes(region.id) && isSettled ? holders.join(', ') : undefined;
  }
}
