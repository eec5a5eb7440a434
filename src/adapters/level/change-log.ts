// The change log of the embedded table. One row per group commit, written in the same atomic batch as the records; it
// names keys and what changed in the digest, not values: the image of an entry is the record as it is when the entry is
// read, which is that commit's state or a later one of the same item.
//
// The row also serves the next start: replaying the rows behind the last checkpoint brings digests, item counts and
// largest stamps up to date. A row is deleted when the reader has trimmed past it and a checkpoint covers it.

import { afterPrefix, ByteReader, ByteWriter, toHex } from '../../core/bytes.ts';
import { asGroupId, decodeKey } from '../../core/keys/item-key.ts';
import { invariant } from '../../core/errors.ts';
import { ZERO_SUM } from '../../core/merkle/digest.ts';
import { lossIdIn, lossNameBytes } from '../../core/version/loss-row.ts';
import { parseActor, type ActorId, type Dot } from '../../core/version/dot.ts';
import { asStamp, STAMP_ZERO, type Stamp } from '../../core/version/stamp.ts';
import type { ChangeLog, LogEntry } from '../../ports/change-log.ts';
import type { LossRow } from '../../ports/table.ts';
import type { LevelDigests } from './digests.ts';
import { decodeLogRow, encodeLogRow, readU48, rows, stateBytesOf, type LoggedChange } from './layout.ts';
import { lossEntry, type LevelLosses } from './losses.ts';
import type { Operation } from './group.ts';
import type { LevelStore } from './store.ts';
import type { GroupChange, PendingChange } from './table.ts';

/** Entries behind the last checkpoint after which a new one is taken: replaying that many takes a few tens of milliseconds. */
export const CHECKPOINT_EVERY_ENTRIES = 20_000;
/** Entries kept in memory with their images, so that a reader that keeps up never reads the disk. */
export const TAIL_ENTRIES_MAX = 20_000;
const TAIL_BYTES_MAX = 32 * 1024 * 1024;
/** A position that no group commit has carried by then is written alone, so that a crash does not count what arrived long ago as owed. */
export const TRIM_NOTE_MS = 1_000;
/** What was read is dropped in portions of this: soon, so that it does not grow old in memory, and not one by one. */
const TAIL_DROP_ENTRIES = 256;

const CHECKPOINT = 'checkpoint';
const READER = 'log-reader';

/** Of one group: what its batch says of the reader, and its row, where it has one. */
interface SealedGroup {
  readonly trimmed: number;
  /** `larger`: of stamps, those that it brings. */
  readonly row?: { readonly position: number; readonly larger: ReadonlyMap<ActorId, Stamp> };
}

type Listener = (entries: readonly LogEntry[]) => void;

export class LevelChangeLog implements ChangeLog {
  readonly #store: LevelStore;
  readonly #digests: LevelDigests;
  readonly #losses: LevelLosses;
  readonly #largest: Map<ActorId, Stamp>;
  readonly #listeners = new Set<Listener>();
  /** The newest entries, oldest first; position of the oldest is `#tailFrom`. */
  #tail: LogEntry[] = [];
  #tailFrom = 1;
  #tailBytes = 0;
  /** Position of the last row sealed, durable or not, and of the last durable one. */
  #sealed = 0;
  #durable = 0;
  #checkpointed = 0;
  #sinceCheckpoint = 0;
  #checkpointing: Promise<void> | undefined;
  #trimmed = 0;
  #trimmedSealed = 0;
  #trimmedDurable = 0;
  #isNoting = false;
  #deletedTo = 0;
  /** On their way to the disk, oldest first. */
  #underway: SealedGroup[] = [];

  constructor(store: LevelStore, { digests, losses, largest }: { readonly digests: LevelDigests; readonly losses: LevelLosses; readonly largest: Map<ActorId, Stamp> }) {
    this.#store = store;
    this.#digests = digests;
    this.#losses = losses;
    this.#largest = largest;
  }

  // Starting ------------------------------------------------------------------------------------------------------------

  async load(): Promise<void> {
    await this.#loadCheckpoint();
    const reader = this.#store.getSync(rows.note(READER));
    this.#trimmed = this.#trimmedSealed = this.#trimmedDurable = reader === undefined ? 0 : readU48(new ByteReader(reader));
    let position = Math.max(this.#checkpointed, this.#trimmed);
    for await (const [row, value] of this.#store.database.iterator({ gte: rows.all('l'), lt: afterPrefix(rows.all('l')) as Uint8Array })) {
      const at = readU48(new ByteReader(row, 1));
      if (at > this.#checkpointed) this.#replay(value);
      position = Math.max(position, at);
    }
    this.#sealed = this.#durable = position;
    this.#tailFrom = position + 1;
    this.#deletedTo = 0;
  }

  #replay(value: Uint8Array): void {
    const { changes, largest } = decodeLogRow(value);
    for (const [actor, stamp] of largest) this.#note(actor, asStamp(stamp));
    for (const change of changes) {
      const key = decodeKey(change.key);
      if (key !== undefined) this.#digests.apply(change, key.collection);
    }
    this.#sinceCheckpoint += changes.length;
  }

  #note(text: string, stamp: Stamp): void {
    const actor = parseActor(text);
    invariant(actor !== undefined, 'the log names actors only');
    if ((this.#largest.get(actor) ?? STAMP_ZERO) < stamp) this.#largest.set(actor, stamp);
  }

  async #loadCheckpoint(): Promise<void> {
    const bytes = this.#store.getSync(rows.note(CHECKPOINT));
    if (bytes === undefined) return;
    const reader = new ByteReader(bytes);
    this.#checkpointed = readU48(reader);
    for (let left = reader.varint(); left > 0; left--) this.#note(reader.text(), asStamp(reader.u64()));
    this.#digests.loadItems(reader);
    const prefix = rows.all('k');
    for await (const [row, value] of this.#store.database.iterator({ gte: prefix, lt: afterPrefix(prefix) as Uint8Array })) {
      this.#digests.loadPartition(asGroupId(toHex(row.subarray(1, 5))), row[5] as number, value);
    }
  }

  // Writing, called by the table for each group ---------------------------------------------------------------------------

  seal(changes: readonly GroupChange[]): readonly Operation[] {
    const operations: Operation[] = [];
    const trimmed = this.#trimmed;
    if (trimmed !== this.#trimmedSealed) {
      this.#trimmedSealed = trimmed;
      operations.push({ type: 'put', key: rows.note(READER), value: positionBytes(trimmed) });
    }
    const commits = commitsOf(changes);
    const larger = this.#largerStamps(changes);
    const rowsSent = sentRows(changes);
    if (commits.length === 0 && larger.size === 0 && rowsSent.length === 0) {
      this.#underway.push({ trimmed });
      return operations;
    }
    const position = ++this.#sealed;
    this.#underway.push({ trimmed, row: { position, larger } });
    const largest = [...larger].map(([actor, stamp]): Dot => ({ actor, stamp }));
    operations.push({ type: 'put', key: rows.log(position), value: encodeLogRow([...commits.map(({ change }) => change), ...rowsSent.map(lostChange)], largest) });
    return operations;
  }

  #largerStamps(changes: readonly GroupChange[]): Map<ActorId, Stamp> {
    const larger = new Map<ActorId, Stamp>();
    const note = (actor: ActorId, stamp: Stamp): void => {
      if (stamp > (larger.get(actor) ?? this.#largest.get(actor) ?? STAMP_ZERO)) larger.set(actor, stamp);
    };
    for (const change of changes) {
      for (const { dot } of change.lost) note(dot.actor, dot.stamp);
      if ('record' in change) for (const [actor, stamp] of change.record.state.context) note(actor, stamp);
    }
    return larger;
  }

  durable(changes: readonly GroupChange[], committedMs: number): void {
    const sealed = this.#underway.shift();
    invariant(sealed !== undefined, 'what becomes durable was sealed');
    this.#trimmedDurable = sealed.trimmed;
    if (sealed.row === undefined) return;
    const { position, larger } = sealed.row;
    invariant(position === this.#durable + 1, 'groups become durable one after the other');
    this.#durable = position;
    for (const [actor, stamp] of larger) if (stamp > (this.#largest.get(actor) ?? STAMP_ZERO)) this.#largest.set(actor, stamp);
    this.#sinceCheckpoint += changes.length;
    const entries = commitsOf(changes).flatMap(({ key, name, change, image }): LogEntry[] => (change.kind === 'swept' ? [] : [{ position, key, name, kind: change.kind, image, committedMs }]));
    for (const row of sentRows(changes)) entries.push({ ...lossEntry(row, position), committedMs });
    if (entries.length > 0) this.#tell(entries);
    if (this.#sinceCheckpoint >= CHECKPOINT_EVERY_ENTRIES) void this.checkpoint().catch(() => undefined);
  }

  #tell(entries: readonly LogEntry[]): void {
    this.#append(entries);
    for (const listener of this.#listeners) listener(entries);
  }

  failed(): void {
    this.#underway = [];
    this.#sealed = this.#durable;
    this.#trimmedSealed = this.#trimmedDurable;
  }

  /**
   * The database was opened again after a failed group. A sync can fail behind a batch that was written: then the opening
   * has made it durable, its row stands where the next group's would go, and it counts like any other.
   */
  recover(): void {
    const position = this.#durable + 1;
    const value = this.#store.getSync(rows.log(position));
    if (value === undefined) return;
    this.#replay(value);
    this.#sealed = this.#durable = position;
    this.#tell(this.#entriesOf(position, value));
  }

  /** Of a row, with the images as they are now. */
  #entriesOf(position: number, value: Uint8Array): LogEntry[] {
    return decodeLogRow(value).changes.flatMap((change): LogEntry | LogEntry[] => {
      if (change.kind === 'lost') return this.#losses.entry(lossIdIn(change.key) ?? '', position) ?? [];
      const key = decodeKey(change.key);
      if (key === undefined || change.kind === 'swept') return [];
      const record = this.#store.getSync(rows.record(change.key));
      return [{ position, key, kind: change.kind, image: record === undefined ? undefined : stateBytesOf(record) }];
    });
  }

  #append(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.#tail.push(entry);
      this.#tailBytes += entry.image?.length ?? 0;
    }
    if (this.#tail.length > TAIL_ENTRIES_MAX || this.#tailBytes > TAIL_BYTES_MAX) this.#dropTail(Math.floor(this.#tail.length / 2));
  }

  /** Whole positions only, so that the memory holds every entry from `#tailFrom` on. */
  #dropTail(count: number): void {
    const position = this.#tail[count]?.position ?? this.#durable + 1;
    let dropped = 0;
    while (dropped < this.#tail.length && (this.#tail[dropped] as LogEntry).position < position) this.#tailBytes -= (this.#tail[dropped++] as LogEntry).image?.length ?? 0;
    this.#tail.splice(0, dropped);
    this.#tailFrom = position;
  }

  // Reading -------------------------------------------------------------------------------------------------------------

  async read(position: number, limit: number): Promise<{ readonly entries: readonly LogEntry[]; readonly more: boolean }> {
    if (position + 1 >= this.#tailFrom) return this.#readTail(position, limit);
    const entries: LogEntry[] = [];
    await this.#store.scannable();
    for await (const [row, value] of this.#store.database.iterator({ gt: rows.log(position), lt: afterPrefix(rows.all('l')) as Uint8Array })) {
      const at = readU48(new ByteReader(row, 1));
      if (entries.length >= limit || at > this.#durable) break;
      entries.push(...this.#entriesOf(at, value));
    }
    return { entries, more: (entries.at(-1)?.position ?? this.#durable) < this.#durable };
  }

  #readTail(position: number, limit: number): { readonly entries: readonly LogEntry[]; readonly more: boolean } {
    const from = this.#after(position);
    let to = Math.min(this.#tail.length, from + limit);
    const last = this.#tail[to - 1]?.position;
    while (to < this.#tail.length && this.#tail[to]?.position === last) to++; // a position is read whole
    return { entries: this.#tail.slice(from, to), more: to < this.#tail.length };
  }

  /** Where in the tail the first entry after a position is. */
  #after(position: number): number {
    let from = 0;
    for (let high = this.#tail.length; from < high; ) {
      const middle = (from + high) >> 1;
      if ((this.#tail[middle] as LogEntry).position <= position) from = middle + 1;
      else high = middle;
    }
    return from;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  trim(position: number): void {
    if (position <= this.#trimmed) return;
    this.#trimmed = Math.min(position, this.#durable);
    this.#noteSoon();
    const read = this.#after(this.#trimmed);
    if (read >= TAIL_DROP_ENTRIES) this.#dropTail(read);
  }

  #noteSoon(): void {
    if (this.#isNoting) return;
    this.#isNoting = true;
    this.#store.after(TRIM_NOTE_MS, () => {
      this.#isNoting = false;
      if (this.#trimmed !== this.#trimmedDurable) this.#noteTrimmed().catch(() => undefined);
    });
  }

  /** A group of nothing but what seal adds. */
  async #noteTrimmed(): Promise<void> {
    await this.#store.write({ operations: [] }, true);
  }

  trimmed(): number {
    return this.#trimmedDurable;
  }

  // Checkpoints ---------------------------------------------------------------------------------------------------------

  /** Writes digests, counts and largest stamps as of the last durable position, and deletes the rows nobody needs. */
  checkpoint(): Promise<void> {
    return (this.#checkpointing ??= this.#takeCheckpoint().finally(() => (this.#checkpointing = undefined)));
  }

  async #takeCheckpoint(): Promise<void> {
    if (this.#durable === this.#checkpointed && this.#trimmed === this.#trimmedDurable) return;
    const position = this.#durable;
    const out = new ByteWriter(4096).bytes(positionBytes(position)).varint(this.#largest.size);
    for (const [actor, stamp] of this.#largest) out.text(actor).u64(stamp);
    out.bytes(this.#digests.encodeItems());
    const digests = this.#digests.checkpoint();
    this.#sinceCheckpoint = 0;
    try {
      await this.#store.write({ operations: [...digests.operations, { type: 'put', key: rows.note(CHECKPOINT), value: out.finish() }] }, true);
    } catch (error) {
      digests.undo();
      throw error;
    }
    this.#checkpointed = position;
    await this.#deleteRows(Math.min(position, this.#trimmedDurable));
  }

  async #deleteRows(to: number): Promise<void> {
    if (to <= this.#deletedTo) return;
    await this.#store.scannable(); // what waits to be applied would come after it
    await this.#store.database.clear({ gte: rows.all('l'), lte: rows.log(to) });
    this.#deletedTo = to;
  }
}

const commitsOf = (changes: readonly GroupChange[]): readonly PendingChange[] =>
  changes.every((change): change is PendingChange => 'record' in change) ? changes : changes.filter((change): change is PendingChange => 'record' in change);

const sentRows = (changes: readonly GroupChange[]): readonly LossRow[] =>
  changes.every(({ lost }) => lost.length === 0) ? [] : changes.flatMap(({ lost }) => lost.filter(({ isSent }) => isSent === true));

const lostChange = ({ id }: LossRow): LoggedChange => ({ key: lossNameBytes(id), kind: 'lost', delta: ZERO_SUM, itemsDelta: 0 });

function positionBytes(position: number): Uint8Array {
  return new ByteWriter(6).u16(Math.floor(position / 2 ** 32)).u32(position % 2 ** 32).finish();
}

