// Nothing grows without end: what a record holds, looked at with every commit, and what a region keeps, looked at at moments.
// The limits are those of core/limits.ts, or smaller ones where the seed says so.

import { CERTIFICATES_PER_PEER_MAX, DEAD_LETTERS_PER_PEER_MAX, OPERATIONS_MAX, REMOVED_DOTS_MAX, SIBLINGS_HARD_MAX, VECTOR_ACTORS_MAX } from '../core/limits.ts';
import type { State } from '../core/version/record.ts';
import type { Limits } from '../engine/limits.ts';
import type { SimRegion } from './cluster.ts';

const over = (what: string, count: number, most: number): string[] => (count > most ? [`${count} ${what}, not ${most}`] : []);

export const overInRecord = ({ values, context, operations, removed }: State): string[] => [
  ...over('values', values.length, SIBLINGS_HARD_MAX),
  ...over('actors in a context', context.size, VECTOR_ACTORS_MAX + values.length + 1),
  ...over('operations', operations.entries.length, OPERATIONS_MAX),
  ...over('removals', removed?.length ?? 0, REMOVED_DOTS_MAX),
];

/** Takes no virtual time. `failures`: writes of hints that failed may be durable all the same, and are there after a restart. */
export async function overInRegion({ running }: SimRegion, { hintsPerPeer }: Limits, failures: number): Promise<string[]> {
  if (running === undefined) return [];
  const { region, hints, letters } = running;
  const found: string[] = [];
  // A row of the ledger is never given up, nor what the region holds no longer, so their hints do not count.
  const left = [...running.table.everything()].filter(({ key }) => region.catalog.holdersOf(key)?.includes(region.id) === false);
  const most = hintsPerPeer * (1 + failures) + [...running.table.everyLoss()].length + left.length;
  for (const [peer, queue] of hints) found.push(...over(`hints for ${peer}`, await queue.depth(), most));
  for (const [peer, each] of letters) found.push(...over(`dead letters of ${peer}`, (await each.list(DEAD_LETTERS_PER_PEER_MAX + 1)).length, DEAD_LETTERS_PER_PEER_MAX));
  const certificates = region.reconciler.certificates().length;
  return [...found, ...over('certificates', certificates, CERTIFICATES_PER_PEER_MAX * hints.size)];
}
