// Dead letters, merged again: after an upgrade, say, that can read what could not be read.

import type { RegionId } from '../core/version/dot.ts';
import type { DeadLetters } from '../ports/queue.ts';
import type { Applier } from './apply.ts';
import { isFinal, recordsIn } from './envelope.ts';

/** In one go. */
const LETTERS_MAX = 1_000;

/** Answers how many records were merged; what could not be stays. Ended in between, it merges some once more, which is harmless. */
export async function replay(peer: RegionId, letters: DeadLetters, applier: Applier): Promise<number> {
  const settled: string[] = [];
  let merged = 0;
  for (const { id, body } of await letters.list(LETTERS_MAX)) {
    const records = recordsIn(body);
    if (records === undefined) continue; // nobody can read it
    const receipts = await applier.apply(peer, records);
    if (!receipts.every(isFinal)) continue;
    settled.push(id); // one that is still dead was added anew, with its reason
    merged += receipts.filter((receipt) => receipt === 'applied').length;
  }
  await letters.remove(settled);
  return merged;
}
