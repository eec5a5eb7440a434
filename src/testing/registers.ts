// One region is a register to those who ask it: what an `lww` item held, and was seen to be written over there, is not seen
// there again. Of a tag in a region it is known
//
//   seen      by when an answer had shown it, or matched it
//   dead      by when a write had been answered there that began after that: it replaced this version, or a later one
//
// and nobody who asks after it is dead may be shown it, or match it. Versions come from elsewhere too, by merges, but only
// larger ones, so a version that went does not come back. Tags name versions, so no order has to be searched for: of each
// answer there is one thing to say, and the check is exact for these three kinds of answers (Gibbons and Korach, "Testing
// Shared Memories", 1997: with unique values it is easy).

import type { RegionId } from '../core/version/dot.ts';
import { describe, type ClientRead, type ClientWrite } from './history.ts';

interface Seen {
  readonly tag: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly what: string;
}

interface Register {
  readonly seen: Seen[];
  readonly writes: ClientWrite[];
}

export interface RegisterSetting {
  readonly writes: readonly ClientWrite[];
  readonly reads: readonly ClientRead[];
  /** Its answers count: its disk has forgotten nothing, and the collection keeps one write. */
  readonly counts: (region: RegionId, collection: string) => boolean;
}

/** What each region showed, or matched, although it had been written over there. */
export function seenAgain({ writes, reads, counts }: RegisterSetting): string[] {
  const registers = new Map<string, Register>();
  const at = ({ servedBy, collection, pk }: Pick<ClientRead, 'servedBy' | 'collection' | 'pk'>): Register | undefined => {
    if (servedBy === undefined || !counts(servedBy, collection)) return undefined;
    const name = `${servedBy} ${collection}/${pk}`;
    const register = registers.get(name) ?? { seen: [], writes: [] };
    registers.set(name, register);
    return register;
  };
  for (const read of reads) if (read.tag !== undefined) at(read)?.seen.push({ ...read, tag: read.tag, what: `${read.client} read ${read.values.join(' ')} at ${read.servedBy ?? '?'}` });
  for (const write of writes) {
    if (write.outcome !== 'acknowledged' || write.effect !== 'stored') continue;
    const register = at(write);
    register?.writes.push(write);
    if (write.ifMatch !== undefined) register?.seen.push({ ...write, tag: write.ifMatch, what: `${write.client} wrote ${write.value} over it at ${write.servedBy ?? '?'}` });
  }
  return [...registers].flatMap(([name, register]) => again(register).map((what) => `${name}: ${what}`));
}

/** In one region, of all that name one tag in If-Match, one succeeds. */
export function matchedTwice(writes: readonly ClientWrite[]): string[] {
  const matched = new Map<string, ClientWrite>();
  return writes.flatMap((write) => {
    const { ifMatch, outcome, effect, servedBy, collection, pk } = write;
    if (ifMatch === undefined || outcome !== 'acknowledged' || (effect !== undefined && effect !== 'stored')) return [];
    const name = `${servedBy ?? '?'} ${collection} ${pk} ${ifMatch}`;
    const other = matched.get(name);
    matched.set(name, write);
    return other === undefined ? [] : [`${describe(other)}, and ${describe(write)}`];
  });
}

function again({ seen, writes }: Register): string[] {
  const byTag = Map.groupBy(seen, ({ tag }) => tag);
  return [...byTag].flatMap(([tag, answers]) => {
    const seenMs = Math.min(...answers.map(({ endedMs }) => endedMs));
    const deadMs = Math.min(...writes.flatMap(({ startedMs, endedMs, ifMatch }) => (startedMs > seenMs || ifMatch === tag ? [endedMs] : [])));
    return answers.flatMap(({ startedMs, what }) => (startedMs > deadMs ? [`${what}, tag ${tag}, at ${startedMs.toFixed(0)} ms, dead since ${deadMs.toFixed(0)} ms`] : []));
  });
}
