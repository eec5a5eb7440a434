// What the loss of a region took, held against what that region had said a moment before. Pure.
//
// Both are in items, as the live RPO is: an item that was written twice before a peer heard of it is lost once. A lost region
// answers for the writes that it acknowledged, to whomever it passed them on: a write that one survivor had, and that went with
// that one later, was owed to the last one by the region that took it, and by nobody else. So every loss is held against its own
// figure also where several regions are away, and what a region acknowledged that is not away was owed by nobody.

import { unaccounted, type LoggedWrite, type View } from './account.ts';

/** A region that was taken away; times since the load began. */
export interface Loss {
  readonly region: string;
  /** When it was last asked what it owes, which is before it was gone. */
  readonly askedMs: number;
  /** Items by peer, as it answered. Undefined: it did not answer. */
  readonly owed: ReadonlyMap<string, number> | undefined;
}

export interface JudgedLoss {
  readonly region: string;
  readonly atMs: number;
  /** Items that it said it owes to the survivor that lacked the fewest, and those that it acknowledged since. Undefined: it did not answer. */
  readonly live: number | undefined;
  /** Items of which no survivor has an acknowledged write. Undefined: no survivor answered. */
  readonly real: number | undefined;
  /** How many writes those are. */
  readonly writes: number;
  /** How long before the loss the oldest of them was acknowledged. Undefined: there is none. */
  readonly oldestMs: number | undefined;
}

export interface Judgement {
  readonly losses: readonly JudgedLoss[];
  readonly missing: readonly LoggedWrite[];
}

/**
 * @param losses the regions that are away, each as it was last seen
 * @param survivors what those show that are not away, and answered
 * @param judged writes that an earlier loss took
 */
export function judgeLosses(losses: readonly Loss[], survivors: readonly View[], writes: readonly LoggedWrite[], judged: ReadonlySet<LoggedWrite> = new Set()): Judgement {
  const acknowledged = writes.filter(({ outcome }) => outcome === 'acknowledged');
  const missing = survivors.length === 0 ? [] : unaccounted(survivors, acknowledged).filter((write) => !judged.has(write));
  const byRegion = Map.groupBy(missing, ({ servedBy }) => servedBy ?? 'nobody');
  const went = (taken: readonly LoggedWrite[], lostMs: number): Pick<JudgedLoss, 'real' | 'writes' | 'oldestMs'> => ({
    real: survivors.length === 0 ? undefined : itemsOf(taken),
    writes: taken.length,
    oldestMs: taken.length === 0 ? undefined : Math.max(0, ...taken.map(({ endedMs }) => lostMs - endedMs)),
  });
  const atMs = losses.reduce((latest, { askedMs }) => Math.max(latest, askedMs), 0);
  const unowed = [...byRegion].filter(([region]) => !losses.some((loss) => loss.region === region));
  return {
    losses: [
      ...losses.map((loss) => ({ region: loss.region, atMs: loss.askedMs, live: liveRpo(loss, survivors, acknowledged), ...went(byRegion.get(loss.region) ?? [], loss.askedMs) })),
      ...unowed.map(([region, taken]) => ({ region, atMs, live: 0, ...went(taken, atMs) })),
    ],
    missing,
  };
}

/** What no survivor has, the one that lacked the fewest does not have either. */
function liveRpo({ region, askedMs, owed }: Loss, survivors: readonly View[], acknowledged: readonly LoggedWrite[]): number | undefined {
  const least = survivors.reduce((fewest, { region: survivor }) => Math.min(fewest, owed?.get(survivor) ?? Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
  if (least === Number.POSITIVE_INFINITY) return undefined;
  return least + itemsOf(acknowledged.filter(({ servedBy, endedMs }) => servedBy === region && endedMs >= askedMs));
}

const itemsOf = (writes: readonly LoggedWrite[]): number => new Set(writes.map(({ pk }) => pk)).size;

/** A figure of several losses: undefined where one of them has none, or there is none. */
export function sumOf(losses: readonly JudgedLoss[], figure: 'live' | 'real'): number | undefined {
  return losses.length === 0 ? undefined : losses.reduce((sum: number | undefined, { [figure]: each }) => (sum === undefined || each === undefined ? undefined : sum + each), 0);
}

export const isWithin = ({ live, real }: JudgedLoss): boolean => live !== undefined && real !== undefined && real <= live;
