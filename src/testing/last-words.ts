// What a region said at its last instant, before it was lost for good: that so many items are not with each of its peers. What
// went with it may not be more.

import type { ActorId, RegionId } from '../core/version/dot.ts';
import { nameOf } from './names.ts';
import type { SimRegion } from './cluster.ts';

export interface LastWords {
  readonly actor: ActorId | undefined;
  /** Its live RPO towards each peer. */
  readonly owed: ReadonlyMap<RegionId, number>;
  /** Of each of its items, who holds it. */
  readonly holders: ReadonlyMap<string, readonly RegionId[]>;
}

/** Takes no virtual time. */
export async function lastWordsOf({ running }: SimRegion): Promise<LastWords> {
  const owed = new Map<RegionId, number>();
  for (const [peer, lane] of running?.region.lanes ?? []) owed.set(peer, (await lane.unreplicated()).items);
  const holders = new Map([...(running?.table.everything() ?? [])].map(({ key }) => [nameOf(key), running?.region.catalog.holdersOf(key) ?? []]));
  return { actor: running?.region.actor, owed, holders };
}

/** `lost`: items of which a write went with the region, and is nowhere else. */
export function beyondLiveRpo({ owed, holders }: LastWords, lost: readonly string[]): string[] {
  return [...owed].flatMap(([peer, items]) => {
    const ofPeer = [...new Set(lost)].filter((name) => holders.get(name)?.includes(peer));
    return ofPeer.length > items ? [`said that ${peer} lacks ${items} items, and with it went ${ofPeer.join(', ')}`] : [];
  });
}
