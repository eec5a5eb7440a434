// Sends this region's writes to the peers that hold them. The change log, committed with the records, is the outbox:
// fan-out reads it, keeps `local` entries, drops `applied` ones (the filter is on the entry, never on the record, which
// may have been merged since), coalesces by key after that, and hands each state to the lanes of the regions that hold
// its partition at this moment. Rows of the ledger that are to be sent go the same way, under names of their own. The log is trimmed when every lane is done with a batch; a slow lane makes hints.

import { keyText } from '../core/bytes.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { ChangeLog, LogEntry } from '../ports/change-log.ts';
import type { Log } from '../ports/log.ts';
import type { Catalog } from './catalog.ts';
import type { Lane } from './lane.ts';

const READ_ENTRIES = 512;
/** Batches read from the log and not yet done everywhere. Lanes never wait longer than for a hint, so this is rarely met. */
const BATCHES_MAX = 64;

const nameOf = ({ key, name }: LogEntry): string => name ?? keyText(key.encoded);

interface Batch {
  readonly position: number;
  /** One of its items is. */
  readonly done: () => void;
  pending: number;
}

export interface FanOutParts {
  readonly region: RegionId;
  readonly changes: ChangeLog;
  readonly catalog: Catalog;
  readonly lanes: ReadonlyMap<RegionId, Lane>;
  readonly log: Log;
}

export class FanOut {
  readonly #parts: FanOutParts;
  #position: number;
  readonly #batches: Batch[] = [];
  #pumping = false;
  #again = false;
  #stopped = false;
  #unsubscribe: () => void = () => undefined;

  constructor(parts: FanOutParts) {
    this.#parts = parts;
    this.#position = parts.changes.trimmed();
  }

  /** Resolves when what the last run left behind is counted as unreplicated. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#parts.changes.subscribe((entries) => {
      this.#owe(entries);
      this.#nudge();
    });
    let position = this.#position;
    for (;;) {
      const { entries, more } = await this.#parts.changes.read(position, READ_ENTRIES);
      // mark if (entries.length > 0): log of the last run sent
      this.#owe(entries);
      position = entries.at(-1)?.position ?? position;
      if (!more) break;
    }
    this.#nudge();
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    for (const lane of this.#parts.lanes.values()) lane.stop();
  }

  /** Counted before the writer is answered: the live RPO is never too low. */
  #owe(entries: readonly LogEntry[]): void {
    if (this.#parts.lanes.size === 0) return;
    for (const entry of entries) {
      if (entry.kind !== 'local') continue;
      for (const lane of this.#lanesFor(entry.key)) lane.owe(nameOf(entry), entry.position);
    }
  }

  /** Placement is asked at the moment of sending. An unknown group is kept here: its policy is on its way. */
  #lanesFor(key: ItemKey): Lane[] {
    const holders = this.#parts.catalog.holdersOf(key) ?? [];
    return holders.flatMap((region) => (region === this.#parts.region ? [] : (this.#parts.lanes.get(region) ?? [])));
  }

  /** Also called now and then: after a log that could not be read nothing else would go on. */
  wake(): void {
    if (this.#again && !this.#stopped) this.#nudge();
  }

  #nudge(): void {
    this.#again = true;
    if (!this.#pumping) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      while (this.#again && !this.#stopped && this.#batches.length < BATCHES_MAX) await this.#readOn();
    } catch (error) {
      this.#again = true;
      this.#parts.log.write('warn', 'fan-out.failed', { error: String(error) });
    }
    this.#pumping = false;
  }

  async #readOn(): Promise<void> {
    this.#again = false;
    const { entries, more } = await this.#parts.changes.read(this.#position, READ_ENTRIES);
    this.#again ||= more;
    this.#hand(entries);
  }

  #hand(entries: readonly LogEntry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    const newest = new Map<string, LogEntry>();
    if (this.#parts.lanes.size > 0) for (const entry of entries) if (entry.kind === 'local') newest.set(nameOf(entry), entry); // filter first, coalesce then
    const batch: Batch = { position: last.position, pending: 1, done: () => this.#done(batch) };
    this.#position = last.position;
    this.#batches.push(batch);
    for (const [name, entry] of newest) this.#offer(name, entry, batch);
    this.#done(batch);
    for (const lane of this.#parts.lanes.values()) lane.wake();
  }

  #offer(name: string, entry: LogEntry, batch: Batch): void {
    const { key, image, position, committedMs } = entry;
    const holders = image === undefined ? [] : this.#lanesFor(key); // reaped: every replica has had it, nothing to send
    for (const lane of this.#parts.lanes.values()) {
      // Who held the item when it was written, and no longer does, is owed nothing; and it may be another's only since then.
      if (image === undefined || !holders.includes(lane)) lane.settle({ name, position });
      else {
        batch.pending++;
        lane.owe(name, position);
        lane.offer({ key, name, state: image, position, committedMs, done: batch.done });
      }
    }
  }

  #done(batch: Batch): void {
    batch.pending--;
    let trimTo = 0;
    while (this.#batches[0]?.pending === 0) trimTo = (this.#batches.shift() as Batch).position;
    if (trimTo === 0) return;
    this.#parts.changes.trim(trimTo);
    if (this.#again) this.#nudge();
  }
}
