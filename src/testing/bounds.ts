// Nothing grows without end: what a record holds, looked at with every commit, and what a region keeps, looked at at moments.
// The limits are those of core/limits.ts, or smaller ones where the seed says so.

import { keyText } from '../core/bytes.ts';
import { CERTIFICATES_PER_PEER_MAX, DEAD_LETTERS_PER_PEER_MAX, OPERATIONS_MAX, REMOVED_DOTS_MAX, SIBLINGS_HARD_MAX, VECTOR_ACTORS_MAX } from '../core/limits.ts';
import type { RegionId } from '../core/version/dot.ts';
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

export class Bounds {
  /** By region: items that it held no longer, now or under an earlier document. Their hints are never given up, and stay when it holds them again. */
  readonly #left = new Map<RegionId, Set<string>>();

  /** Also before a document comes into force. */
  look({ id, running }: SimRegion): void {
    const left = this.#left.get(id) ?? new Set<string>();
    for (const { key } of running?.table.everything() ?? []) if (running?.region.catalog.holdersOf(key)?.includes(id) === false) left.add(keyText(key.encoded));
    this.#left.set(id, left);
  }

  /** Takes no virtual time. `failures`: writes of hints that failed may be durable all the same, and are there after a restart. */
  async over(of: SimRegion, { hintsPerPeer }: Limits, failures: number): Promise<string[]> {
    const { running } = of;
    if (running === undefined) return [];
    this.look(of);
    const { region, hints, letters, table } = running;
    const found: string[] = [];
    // A row of the ledger is never given up either.
    const most = hintsPerPeer * (1 + failures) + [...table.everyLoss()].length + (this.#left.get(of.id)?.size ?? 0);
    for (const [peer, queue] of hints) found.push(...over(`hints for ${peer}`, await queue.depth(), most));
    for (const [peer, each] of letters) found.push(...over(`dead letters of ${peer}`, (await each.list(DEAD_LETTERS_PER_PEER_MAX + 1)).length, DEAD_LETTERS_PER_PEER_MAX));
    const certificates = region.reconciler.certificates().length;
    return [...found, ...over('certificates', certificates, CERTIFICATES_PER_PEER_MAX * hints.size)];
  }
}
