// The account: what became of every acknowledged write. Each one is, or is in the causal past of, a current value, a
// sibling, a loss-ledger entry or an explicit delete. Judged from outside, by dumps, ledgers and the clients' log:
//
//  - `siblings`, without trusting any context of the store: a value that is not current must have been read by somebody
//    who then wrote over it.
//  - `lww`: so as well; or as drills judge it.

import { isLive, judge, parseLine, type LedgerRow, type View } from '../../src/drill/account.ts';
import type { Deployed } from './deployed.ts';
import type { LoggedWrite } from './workload.ts';

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
export async function takeAccount(cluster: Deployed, collections: { readonly lww: string; readonly siblings: string }, writes: readonly LoggedWrite[], compared: 'all' | 'live' = 'all'): Promise<Account> {
  const dumps = new Map<string, string[][]>();
  for (const collection of [collections.lww, collections.siblings]) dumps.set(collection, await Promise.all(cluster.regions.map((id) => cluster.dump(id, collection))));
  const differing = firstDifference(cluster, dumps, compared === 'all' ? () => true : isLive);
  const views = await Promise.all(cluster.regions.map(async (region, at): Promise<View> => ({ region, lines: dumps.get(collections.lww)?.[at] ?? [], losses: await readLedger(cluster, region, collections.lww) })));
  const siblings = new Map((dumps.get(collections.siblings)?.[0] ?? []).map(parseLine).map(({ pk, current }) => [pk, current]));
  const acknowledged = writes.filter(({ outcome, kind }) => outcome === 'acknowledged' && kind === 'put');
  const overwritten = new Set(writes.filter(({ outcome }) => outcome !== 'refused').flatMap(({ collection, superseded }) => superseded.map((value) => `${collection} ${value}`)));
  const isOverwritten = ({ collection, value }: LoggedWrite): boolean => overwritten.has(`${collection} ${value}`);
  const inLww = ({ collection }: LoggedWrite): boolean => collection === collections.lww;
  const judged = judge(views, writes.filter(inLww), acknowledged.filter((write) => inLww(write) && !isOverwritten(write)));
  const missing = [
    ...judged.missing,
    ...acknowledged.filter((write) => !inLww(write) && siblings.get(write.pk)?.includes(write.value) !== true && !isOverwritten(write)),
  ];
  return {
    missing,
    acknowledged: acknowledged.length,
    unknown: writes.filter(({ outcome }) => outcome === 'unknown').length,
    reissued: reissuedDots(acknowledged),
    throughRetries: judged.throughRetries,
    ledgerRows: new Set(views.flatMap(({ losses }) => losses.map(({ pk, value }) => `${pk} ${value ?? ''}`))).size,
    dumpsEqual: differing === undefined,
    differing,
  };
}

function firstDifference(cluster: Deployed, dumps: ReadonlyMap<string, string[][]>, isCompared: (line: string) => boolean): string | undefined {
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

async function readLedger(cluster: Deployed, region: string, collection: string): Promise<LedgerRow[]> {
  const rows: LedgerRow[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = (await cluster.ask(region, `/v1/c/${collection}/conflicts?state=lost&limit=1000${cursor === undefined ? '' : `&cursor=${cursor}`}`)).json<{ items: { pk: string; loser: { valueBase64?: string; context: Record<string, string> } }[]; cursor?: string }>();
    for (const { pk, loser } of page.items) rows.push({ pk, value: loser.valueBase64 === undefined ? undefined : Buffer.from(loser.valueBase64, 'base64').toString(), context: loser.context });
    cursor = page.cursor;
    if (cursor === undefined) return rows;
  }
}
