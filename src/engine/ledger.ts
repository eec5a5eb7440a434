// Loss rows: what a merge dropped, so that it can be listed, explained and restored.

import { concatBytes, toHex, utf8 } from '../core/bytes.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { formatDot, type Dot, type RegionId } from '../core/version/dot.ts';
import type { Loss } from '../core/version/lww.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { LossRow } from '../ports/table.ts';

/** 12 bytes of the hash of item and dot: the same loss, found in three regions, is one. */
export const lossId = (key: ItemKey, dot: Dot, hash: HashFunction): string => toHex(hash(concatBytes(key.encoded.subarray(4), utf8(` ${formatDot(dot)}`))).subarray(0, 12));

/** A late operation is not written, so no commit makes its dot its own: of two that are decided at once both count. */
function idOf(key: ItemKey, { rule, loser: { dot, value } }: Loss, hash: HashFunction): string {
  if (rule !== 'late-operation' || value === undefined) return lossId(key, dot, hash);
  return lossId(key, dot, (bytes) => hash(concatBytes(bytes, value.hash)));
}

export function lossRows(key: ItemKey, losses: readonly Loss[], where: { readonly region: RegionId; readonly atMs: number; readonly hash: HashFunction }): LossRow[] {
  return losses.map((loss) => ({
    id: idOf(key, loss, where.hash),
    key,
    rule: loss.rule,
    dot: loss.loser.dot,
    context: loss.loser.context,
    atMs: where.atMs,
    region: where.region,
    ...(loss.loser.value === undefined ? {} : { value: loss.loser.value }),
    ...(loss.winner === undefined ? {} : { winner: loss.winner }),
  }));
}
