// The account: what became of every acknowledged write. Each one is, or is in the causal past of, a current value, a
// sibling, a loss-ledger entry or an explicit delete. Judged from outside, by dumps, ledgers and the clients' log:
//
//  - `siblings`, without trusting any context of the store: a value that is not current must have been read by somebody
//    who then wrote over it.
//  - `lww`: a value that is not current is in a ledger, or its dot is covered by the context of what is current or of a
//    ledger entry, or a write that named it by If-Match was made.

import { covers, isLive, parseLine, type Context } from '../../src/drill/account.ts';
import type { Cluster } from './cluster.ts';
import type { LoggedWrite } from './workload.ts';

/**
 * By then a write is in all regions, whichever was killed, so that every later execution covers it. Without this bound any
 * write of a hot key would be excused by some retry at the end of the run.
 */
const SPREAD_MS = 15_000;

interface Ledgered {
  readonly values: ReadonlySet<string>;
  readonly contexts: readonly Context[];
}

export interface Account {
  readonly missing: readonly LoggedWrite[];
  readonly acknowledged: number;
  readonly unknown: number;
  readonly reissued: readonly string[];
  /** Accounted for only by a write that was retried. */
  readonly throughRetries: number;
  readonly ledgerRows: number;
  readonly dumpsEqual: boolean;
  readonly differing: string | undefined;
}

/**
 * @param compared `live`: a region whose folder was wiped, or is an older copy, takes back what lives; digests do not
 *   count tombstones, so its dump may lack lines of items that were deleted
 */
export async function takeAccount(cluster: Cluster, collections: { readonly lww: string; readonly siblings: string }, writes: readonly LoggedWrite[], compared: 'all' | 'live' = 'all'): Promise<Account> {
  const dumps = new Map<string, string[][]>();
  for (const collection of [collections.lww, collections.siblings]) dumps.set(collection, await Promise.all(cluster.regions.map((id) => cluster.dump(id, collection))));
  const differing = firstDifference(cluster, dumps, compared === 'all' ? () => true : isLive);
  const items = new Map<string, Pick<ReturnType<typeof parseLine>, 'current' | 'context'>>();
  for (const [collection, [lines]] of dumps) for (const { pk, ...item } of (lines ?? []).map(parseLine)) items.set(`${collection} ${pk}`, item);
  const ledger = await readLedgers(cluster, collections.lww);
  const acknowledged = writes.filter(({ outcome, kind }) => outcome === 'acknowledged' && kind === 'put');
  const overwritten = new Set(writes.filter(({ outcome }) => outcome !== 'refused').flatMap(({ collection, superseded }) => superseded.map((value) => `${collection} ${value}`)));
  // A write that was executed in two regions is one write, and its context that of the execution which stands: what only
  // the other one had superseded is in its past all the same, but no context tells. The clients know what they retried.
  const retried = Map.groupBy(writes.filter(({ collection, attempts, outcome }) => collection === collections.lww && attempts > 1 && outcome !== 'refused'), ({ pk }) => pk);
  let throughRetries = 0;
  const isCoveredByRetry = (write: LoggedWrite): boolean => {
    const found = (retried.get(write.pk) ?? []).some((other) => other !== write && other.endedMs > write.startedMs && other.startedMs < write.endedMs + SPREAD_MS);
    if (found) throughRetries++;
    return found;
  };
  const missing = acknowledged.filter((write) => {
    const item = items.get(`${write.collection} ${write.pk}`);
    if (item?.current.includes(write.value) === true || overwritten.has(`${write.collection} ${write.value}`)) return false;
    if (write.collection === collections.siblings) return true;
    const lost = ledger.get(write.pk);
    if (lost?.values.has(write.value) === true) return false;
    if (write.dot !== undefined && [item?.context, ...(lost?.contexts ?? [])].some((context) => context !== undefined && covers(context, write.dot as string))) return false;
    return !isCoveredByRetry(write);
  });
  return {
    missing,
    acknowledged: acknowledged.length,
    unknown: writes.filter(({ outcome }) => outcome === 'unknown').length,
    reissued: reissuedDots(acknowledged),
    throughRetries,
    ledgerRows: [...ledger.values()].reduce((sum, { values }) => sum + values.size, 0),
    dumpsEqual: differing === undefined,
    differing,
  };
}

function firstDifference(cluster: Cluster, dumps: ReadonlyMap<string, string[][]>, isCompared: (line: string) => boolean): string | undefined {
  for (const [collection, whole] of dumps) {
    const all = whole.map((lines) => lines.filter(isCompared));
    const first = all[0] as string[];
    for (const [at, lines] of all.entries()) {
      const line = Math.max(first.length, lines.length) === 0 ? -1 : Array.from({ length: Math.max(first.length, lines.length) }, (_, i) => i).find((i) => first[i] !== lines[i]) ?? -1;
      if (line >= 0) return `${collection}: ${cluster.regions[0]}: ${first[line]}\n       ${cluster.regions[at]}: ${lines[line]}`;
    }
  }
  return undefined;
}

/** A dot stands for one write: the same dot acknowledged for two values was issued twice. */
function reissuedDots(writes: readonly LoggedWrite[]): string[] {
  const seen = new Map<string, string>();
  return writes.flatMap(({ collection, pk, dot, value }) => {
    if (dot === undefined) return [];
    const name = `${collection} ${pk} ${dot}`;
    const other = seen.get(name);
    seen.set(name, value);
    return other === undefined || other === value ? [] : [`${name}: ${other}, ${value}`];
  });
}

async function readLedgers(cluster: Cluster, collection: string): Promise<Map<string, Ledgered>> {
  const rows = new Map<string, { values: Set<string>; contexts: Context[] }>();
  for (const region of cluster.regions) {
    for (let cursor: string | undefined; ; ) {
      const page = (await cluster.ask(region, `/v1/c/${collection}/conflicts?state=lost&limit=1000${cursor === undefined ? '' : `&cursor=${cursor}`}`)).json<{ items: { pk: string; loser: { valueBase64?: string; context: Record<string, string> } }[]; cursor?: string }>();
      for (const { pk, loser } of page.items) {
        const row = rows.get(pk) ?? { values: new Set(), contexts: [] };
        rows.set(pk, row);
        if (loser.valueBase64 !== undefined) row.values.add(Buffer.from(loser.valueBase64, 'base64').toString());
        row.contexts.push(new Map(Object.entries(loser.context)));
      }
      cursor = page.cursor;
      if (cursor === undefined) break;
    }
  }
  return rows;
}
