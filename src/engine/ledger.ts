// Loss rows: what a merge dropped, so that it can be listed, explained and restored.

import { concatBytes, toHex, utf8 } from '../core/bytes.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { actorRegion, formatDot, type Dot, type RegionId } from '../core/version/dot.ts';
import type { Loss } from '../core/version/lww.ts';
import type { CommitKind } from '../core/version/record.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { LossRow } from '../ports/table.ts';

/** 12 bytes of the hash of item and dot: the same loss, found in three regions, is one. */
export const lossId = (key: ItemKey, dot: Dot, hash: HashFunction): string => toHex(hash(concatBytes(key.encoded.subarray(4), utf8(` ${formatDot(dot)}`))).subarray(0, 12));

/** A late operation is not written, so no commit makes its dot its own: of two that are decided at once both count. */
function idOf(key: ItemKey, { rule, loser: { dot, value } }: Loss, hash: HashFunction): string {
  if (rule !== 'late-operation' || value === undefined) return lossId(key, dot, hash);
  return lossId(key, dot, (bytes) => hash(concatBytes(bytes, value.hash)));
}

/** Is it the id that this release gives it? A row of another item must not be able to take its place. */
export const hasRightId = ({ id, key, rule, dot, context, value }: LossRow, hash: HashFunction): boolean =>
  id === idOf(key, { rule, loser: { dot, context, ...(value === undefined ? {} : { value }) }, winner: undefined }, hash);

export interface LossPlace {
  readonly region: RegionId;
  readonly atMs: number;
  readonly hash: HashFunction;
  /** Of the commit that drops the losers. A late operation is a write of this region, although nothing is committed. */
  readonly kind: CommitKind;
}

/**
 * Every region that merges the same two writes finds the same loss by itself, so such a row stays where it is, but for this
 * region's own loser: it may have been beaten before it was sent, and then nobody else ever sees it. What was decided here
 * alone (`local`) nobody finds again, because what is sent covers the loser.
 */
export function lossRows(key: ItemKey, losses: readonly Loss[], { region, atMs, hash, kind }: LossPlace): LossRow[] {
  const isSent = ({ loser }: Loss): boolean => kind === 'local' || actorRegion(loser.dot.actor) === region;
  return losses.map((loss) => ({
    id: idOf(key, loss, hash),
    key,
    rule: loss.rule,
    dot: loss.loser.dot,
    context: loss.loser.context,
    atMs,
    region,
    ...(loss.loser.value === undefined ? {} : { value: loss.loser.value }),
    ...(loss.winner === undefined ? {} : { winner: loss.winner }),
    ...(isSent(loss) ? { isSent: true as const } : {}),
  }));
}
