// How many items have local changes that the stream has not handed to `fan-out` yet, or that `fan-out` is not done with: the part of
// the live RPO that lies in no queue. Counted when somebody asks, from the stream itself, so that no write pays for it:
//
//   stream   ───────── passed ─────────────── ours ──▶
//            sent, or hinted │ counted here    │ nothing that was answered for before the question
//
// `passed` is the last milestone (src/adapters/aws/milestones.ts) that `fan-out` is known to have passed. `ours` is one that this
// question has put there: when it is met, all that was committed before it in that part has been seen.
//
// Invariants:
//  1. A change that was answered for before the question is counted, or was in an inbox or a hint before the queues are counted.
//  2. A part of the stream is read from the last milestone that was passed in it, or from the oldest record that there is; it is not
//     read when one was passed in a part that came out of it: Lambda gives the parents first.
//  3. What belongs to no known policy counts for every peer.

import type { DynamoDBRecord } from 'aws-lambda';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';
import { isUpTo, milestoneIn, SLOTS, type Milestone, type Milestones } from '../../src/adapters/aws/milestones.ts';
import { isReadable, streamEntry } from '../../src/adapters/aws/stream-entries.ts';
import { DynamoStream, type From, type StreamPart, type TableStream } from '../../src/adapters/aws/table-stream.ts';
import { keyText, toHex, utf8, utf8Text } from '../../src/core/bytes.ts';
import type { ItemKey } from '../../src/core/keys/item-key.ts';
import { lossName } from '../../src/core/version/loss-row.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { pause, type Clock } from '../../src/ports/clock.ts';
import type { Log } from '../../src/ports/log.ts';
import type { Table } from '../../src/ports/table.ts';
import { streamCalls } from './clients.ts';
import type { Opening } from './region.ts';
import { settingsOf } from './settings.ts';

/** A question is answered by then, with what was found. A part of the stream gives a few thousand records in that time. */
export const COUNT_MS_MAX = 3_000;
const AGAIN_MS = 30;
/** A part that does not show the milestone after so many looks has none: another slot is tried. */
const LOOKS = 4;
/** Milestones remembered for a part until they are passed: the oldest, because it is passed first, and the newest. */
const WAITING_MAX = 4;
const DOCUMENT = 'unread';

interface Waiting {
  readonly slot: number;
  readonly sequence: string;
}

/** What is remembered of one part. */
interface Noted {
  /** A slot that lies in it. */
  readonly slot?: number;
  readonly passed?: string;
  readonly waiting: readonly Waiting[];
}

type Notes = Readonly<Record<string, Noted>>;

export interface UnreadParts {
  readonly table: Table;
  readonly stream: TableStream;
  readonly milestones: Milestones;
  readonly clock: Clock;
  readonly log: Log;
  readonly peers: readonly RegionId[];
  /** Undefined: the policy is not known here. The policies have been asked for. */
  readonly holdersOf: (key: ItemKey) => readonly RegionId[] | undefined;
  readonly policiesOf: (keys: readonly ItemKey[]) => Promise<void>;
}

export class Unread {
  readonly #parts: UnreadParts;
  #counting: Promise<ReadonlyMap<RegionId, number>> | undefined;

  constructor(parts: UnreadParts) {
    this.#parts = parts;
  }

  /** One count for all peers that are asked about at once: an environment answers one request at a time. */
  async towards(peer: RegionId): Promise<number> {
    this.#counting ??= this.#count().finally(() => (this.#counting = undefined));
    return (await this.#counting).get(peer) ?? 0;
  }

  async #count(): Promise<ReadonlyMap<RegionId, number>> {
    const { table, stream, clock, log } = this.#parts;
    const untilMs = clock.monotonicMs() + COUNT_MS_MAX;
    for (;;) {
      const stored = await table.document(DOCUMENT);
      const known = await this.#advanced(stored === undefined ? {} : (JSON.parse(utf8Text(stored.bytes) ?? '{}') as Notes));
      const readers = unfinished(await stream.parts(), known).map((part) => new Reader(stream, part, known[part.id] ?? { waiting: [] }));
      await Promise.all(readers.map((reader) => reader.begin()));
      const isProved = await this.#read(readers, untilMs);
      const notes = Object.fromEntries(readers.map((reader) => [reader.part.id, reader.known()]));
      // Whoever else asks at the same time notes its own; one of the two is as good as the other.
      await table.putDocument(DOCUMENT, utf8(JSON.stringify(notes)), stored?.revision);
      // Where a part came to its end meanwhile, what came next lies in others, which this look did not know.
      const isCut = readers.some(({ isCut }) => isCut);
      if (isCut && clock.monotonicMs() < untilMs) continue;
      if (!isProved || isCut) log.write('warn', 'unread.not-all', { parts: readers.length });
      return this.#towards(new Map(readers.flatMap(({ changed }) => [...changed])));
    }
  }

  async #advanced(notes: Notes): Promise<Notes> {
    const slots = [...new Set(Object.values(notes).flatMap(({ waiting }) => waiting.map(({ slot }) => slot)))];
    const passed = new Map(await Promise.all(slots.map(async (slot) => [slot, await this.#parts.milestones.passed(slot)] as const)));
    const isPassed = ({ slot, sequence }: Waiting): boolean => {
      const last = passed.get(slot);
      return last !== undefined && isUpTo(sequence, last);
    };
    return Object.fromEntries(Object.entries(notes).map(([id, noted]): [string, Noted] => {
      const newest = noted.waiting.findLastIndex(isPassed);
      const { sequence } = noted.waiting[newest] ?? {};
      return [id, sequence === undefined ? noted : { ...noted, passed: sequence, waiting: noted.waiting.slice(newest + 1) }];
    }));
  }

  /** True when every open part has shown the milestone of this question, and every closed one its end. */
  async #read(readers: readonly Reader[], untilMs: number): Promise<boolean> {
    const { milestones, clock } = this.#parts;
    const id = toHex(nodeRandom.bytes(8));
    for (let looks = 0; ; looks++) {
      const open = readers.filter(({ isDone }) => !isDone);
      if (open.length === 0) return true;
      if (clock.monotonicMs() > untilMs) return false;
      if (looks % LOOKS === 0) {
        const slots = new Set(open.filter(({ part }) => part.isOpen).map(({ slot }) => (looks === 0 ? slot : undefined) ?? anySlot()));
        await Promise.all([...slots].map((slot) => milestones.set(slot, id)));
      } else if (looks > 1) await pause(clock, AGAIN_MS);
      await Promise.all(open.map((reader) => reader.read(id, () => clock.monotonicMs() > untilMs)));
    }
  }

  async #towards(changed: ReadonlyMap<string, ItemKey>): Promise<ReadonlyMap<RegionId, number>> {
    const { peers, holdersOf, policiesOf } = this.#parts;
    await policiesOf([...changed.values()]);
    const counts = new Map<RegionId, number>(peers.map((peer) => [peer, 0]));
    for (const key of changed.values()) for (const peer of holdersOf(key) ?? peers) if (counts.has(peer)) counts.set(peer, (counts.get(peer) as number) + 1); // 3
    return counts;
  }
}

/** As `openRegion` takes it. */
export const unreadOf: NonNullable<Opening['unread']> = ({ dynamo, tableName, ...parts }) =>
  new Unread({ ...parts, stream: new DynamoStream({ client: dynamo, tableName, calls: streamCalls(settingsOf(process.env).region) }) });

const anySlot = (): number => (nodeRandom.bytes(1)[0] as number) % SLOTS;

/** 2 */
function unfinished(all: readonly StreamPart[], known: Notes): readonly StreamPart[] {
  const parentOf = new Map(all.map(({ id, parent }) => [id, parent]));
  const finished = new Set<string>();
  for (const { id } of all) {
    if (known[id]?.passed === undefined) continue;
    for (let parent = parentOf.get(id); parent !== undefined; parent = parentOf.get(parent)) finished.add(parent);
  }
  return all.filter(({ id }) => !finished.has(id));
}

/** One part of the stream, read from where all before is sent or hinted. */
class Reader {
  readonly part: StreamPart;
  /** By name: keys of items, of rows of the ledger the keys of their items. */
  readonly changed = new Map<string, ItemKey>();
  readonly #stream: TableStream;
  readonly #noted: Noted;
  #next: string | undefined;
  /** Behind all that was there when the question began: the milestone is met there though there is no time for what lies between. */
  #tip: string | undefined;
  #met: Milestone | undefined;
  /** All that was there before the question has been read. */
  isDone = false;
  /** It was open, and came to its end before the milestone was met. */
  isCut = false;

  constructor(stream: TableStream, part: StreamPart, noted: Noted) {
    this.#stream = stream;
    this.part = part;
    this.#noted = noted;
  }

  get slot(): number | undefined {
    return this.#noted.slot;
  }

  async begin(): Promise<void> {
    const { passed } = this.#noted;
    const from = (where: From): Promise<string> => this.#stream.iterator(this.part.id, where);
    // What was passed may have been forgotten since: then all that there is may be unread.
    this.#next = passed === undefined ? await from('oldest') : await from({ after: passed }).catch(() => from('oldest'));
    if (this.part.isOpen) this.#tip = await from('newest');
  }

  /** To the milestone, the end of the part, or an empty page. */
  async read(id: string, isOver: () => boolean): Promise<void> {
    while (this.#next !== undefined && !isOver()) {
      const { records, next } = await this.#stream.read(this.#next);
      this.#next = next;
      const met = records.findIndex((record) => milestoneIn(record)?.id === id);
      for (const [at, record] of records.slice(0, met < 0 ? undefined : met).entries()) this.#change(record, at);
      if (met >= 0) this.#met = milestoneIn(records[met] as DynamoDBRecord);
      this.isCut = this.part.isOpen && next === undefined && met < 0;
      this.isDone = met >= 0 || next === undefined;
      if (this.isDone || records.length === 0) return;
    }
    await this.#lookAhead(id);
  }

  /** There was no time for all: the next question begins behind this milestone, if it is passed by then. */
  async #lookAhead(id: string): Promise<void> {
    for (let looks = 0; looks < LOOKS && this.#tip !== undefined && this.#met === undefined; looks++) {
      const { records, next } = await this.#stream.read(this.#tip);
      this.#tip = next;
      this.#met = records.map(milestoneIn).find((milestone) => milestone?.id === id);
    }
  }

  #change(record: DynamoDBRecord, at: number): void {
    if (record.dynamodb?.NewImage?.['k']?.S !== 'l') return;
    try {
      const entry = streamEntry(record, at);
      if (entry === undefined || (isReadable(entry) && entry.kind !== 'local')) return;
      this.changed.set(entry.loss === undefined ? keyText(entry.key.encoded) : lossName(entry.loss), entry.key);
    } catch {
      // Under no key of ours: `fan-out` says so, and sends nothing.
    }
  }

  /** For the next question. */
  known(): Noted {
    if (this.#met === undefined) return this.#noted;
    const { slot, sequence } = this.#met;
    const all = [...this.#noted.waiting, { slot, sequence }];
    return { ...this.#noted, slot, waiting: all.length <= WAITING_MAX ? all : [...all.slice(0, WAITING_MAX - 1), ...all.slice(-1)] };
  }
}
