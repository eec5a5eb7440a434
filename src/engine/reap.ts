// Reaps tombstones by proof (core/version/reap.ts): one round looks at a bounded part of what this region holds, asks all
// replicas of the current epoch about what has been dead for long enough, and tells them when all have said yes. The
// table is swept in physical order, round after round; what a round could not finish, a later one begins anew.

import { ByteReader, ByteWriter } from '../core/bytes.ts';
import { ArchipelError, isArchipelError } from '../core/errors.ts';
import { decodeKey, partitionOf, type GroupId, type ItemKey, type PartitionId } from '../core/keys/item-key.ts';
import { PARTITIONS, REAP_TOMBSTONES_MAX, REGION_HORIZON_MS } from '../core/limits.ts';
import { isOut } from '../core/placement/topology.ts';
import { decodeState, encodeState } from '../core/version/codec.ts';
import type { RegionId } from '../core/version/dot.ts';
import { agrees, lineOf, mayGo, reapableFromMs, tombstoneOf, type ReapSetting } from '../core/version/reap.ts';
import type { State } from '../core/version/record.ts';
import type { ChangeLog } from '../ports/change-log.ts';
import { pause, type Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Table } from '../ports/table.ts';
import type { Agreements } from './agreements.ts';
import type { Applier } from './apply.ts';
import type { Catalog } from './catalog.ts';
import { chunks } from './descent.ts';
import { decodeRecords, encodeRecords, packed, type SentRecord } from './envelope.ts';
import type { Lane } from './lane.ts';
import type { PeerLink } from './peer-link.ts';
import { ReapSchedule } from './reap-schedule.ts';
import { decodeLines, encodeLines, type Line, type ReapedLines } from './reaped-lines.ts';
import type { Timekeeper } from './timekeeper.ts';

const PAGE = { limit: 256, bytesMax: 1 << 20 } as const;

export interface ReapParts {
  readonly region: RegionId;
  readonly table: Table;
  readonly changes: ChangeLog;
  readonly catalog: Catalog;
  readonly time: Timekeeper;
  readonly clock: Clock;
  readonly log: Log;
  readonly applier: Applier;
  readonly lines: ReapedLines;
  readonly agreements: Agreements;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly lanes: ReadonlyMap<RegionId, Lane>;
  readonly graceMs: number;
  /** Between raising a line and deleting below it, where other processes may hold an older one. Then one round takes up to `tombstonesMax`. */
  readonly lineSettlesMs: number;
  readonly tombstonesMax?: number | undefined;
}

interface Place {
  readonly group: GroupId;
  readonly partition: PartitionId;
  readonly after: Uint8Array | undefined;
}

interface Proposal {
  readonly key: ItemKey;
  readonly tombstone: State;
}

/** What is dead, at which time (the asker's), with what it covers. */
interface Question {
  readonly atMs: number;
  readonly proposals: readonly Proposal[];
}

interface Agreement {
  readonly question: Question;
  readonly replicas: readonly RegionId[];
}

export interface Round {
  readonly proposed: number;
  readonly reaped: number;
  /** There is more that could be proposed at once. */
  readonly more: boolean;
}

export class Reaper {
  readonly #parts: ReapParts;
  /** Where the sweep goes on. */
  #at: Place | undefined;
  readonly #schedule: ReapSchedule;
  /** The topology that the schedule is of. */
  #epoch: string | undefined;
  #running: Promise<Round> | undefined;
  readonly stats = { rounds: 0, looked: 0, proposed: 0, refused: 0, unreachable: 0, told: 0, reaped: 0, spared: 0 };

  constructor(parts: ReapParts) {
    this.#parts = parts;
    this.#schedule = new ReapSchedule(parts.graceMs);
    parts.changes.subscribe((entries) => {
      const nowMs = parts.time.monotonicMs();
      for (const { key } of entries) this.#schedule.touch(key, nowMs);
    });
  }

  /** One at a time. */
  round(): Promise<Round> {
    return (this.#running ??= this.#round().finally(() => (this.#running = undefined)));
  }

  async #round(): Promise<Round> {
    this.stats.rounds++;
    const none: Round = { proposed: 0, reaped: 0, more: false };
    if (this.#parts.time.status() !== 'safe') return none; // ages are judged by the clock
    const found = await this.#find();
    const questions = [...byPeers(found, (key) => this.#replicas(key)).values()].flatMap((proposals) => [...packed(proposals, sentOf)]);
    const reaped = this.#parts.lineSettlesMs > 0 ? await this.#reapTogether(questions) : await this.#reapEach(questions);
    return { proposed: found.length, reaped, more: reaped > 0 && found.length >= this.#most };
  }

  get #most(): number {
    return this.#parts.tombstonesMax ?? REAP_TOMBSTONES_MAX;
  }

  async #reapEach(questions: readonly (readonly Proposal[])[]): Promise<number> {
    let reaped = 0;
    for (const part of questions) reaped += await this.#propose(part);
    return reaped;
  }

  /** All is asked, all lines are raised, and one wait serves them all: a wait is paid for, where a process is. */
  async #reapTogether(questions: readonly (readonly Proposal[])[]): Promise<number> {
    const { lines, links, clock, lineSettlesMs } = this.#parts;
    const agreements: Agreement[] = [];
    for (const some of chunks(questions, ASKED_AT_ONCE)) agreements.push(...(await Promise.all(some.map((part) => this.#agreed(part, LONG_MS)))).filter((each) => each !== undefined));
    if (agreements.length === 0) return 0;
    const raised = linesOf(agreements.flatMap(({ question }) => question.proposals));
    await lines.raise(raised); // before anything goes
    const body = encodeLines(raised);
    const raisedBy = new Set<RegionId>();
    await Promise.all([...new Set(agreements.flatMap(({ replicas }) => replicas))].map((id) => (links.get(id) as PeerLink).ask('raise', body, LONG_MS).then(() => raisedBy.add(id), (error: unknown) => this.#notTold(id, error))));
    await pause(clock, lineSettlesMs);
    let reaped = 0;
    for (const { question, replicas } of agreements) {
      const told = encodeQuestion(question);
      const [gone] = await Promise.all([this.#delete(question), ...replicas.filter((id) => raisedBy.has(id)).map((id) => this.#tell(links.get(id) as PeerLink, 'forget', told, LONG_MS))]);
      this.stats.told += question.proposals.length;
      reaped += gone;
    }
    return reaped;
  }

  /** The others that hold it: also one that joins or drains, never one that is fenced or lost. Undefined while not all can be asked. */
  #replicas({ group, encoded }: ItemKey): readonly RegionId[] | undefined {
    const { catalog, region, links, lanes } = this.#parts;
    const holders = catalog.holders(group, partitionOf(encoded));
    if (holders?.includes(region) !== true) return undefined;
    const others = holders.filter((id) => id !== region && !isOut(catalog.entry(id)));
    return others.every((id) => links.get(id)?.isUp() === true && lanes.get(id)?.isPaused === false) ? others : undefined;
  }

  /** What is due, of the partitions where something may be: the sweep goes on where the last one ended. */
  async #find(): Promise<Proposal[]> {
    const found: Proposal[] = [];
    const { catalog } = this.#parts;
    if (this.#epoch !== catalog.version.identity) this.#schedule.forget(); // another region may be the first now
    this.#epoch = catalog.version.identity;
    const groups = [...catalog.groups().keys()].sort();
    const places = groups.length * PARTITIONS;
    const start = Math.max(0, this.#at === undefined ? 0 : groups.indexOf(this.#at.group) * PARTITIONS + this.#at.partition);
    let after = this.#at?.after;
    for (let step = 0; step < places; step++) {
      const place = (start + step) % places;
      const [group, partition] = [groups[Math.floor(place / PARTITIONS)] as GroupId, place % PARTITIONS];
      if (after === undefined && !this.#schedule.isDue(group, partition, this.#parts.time.monotonicMs())) continue; // most of them, every time
      after = await this.#look({ group, partition, after }, found);
      if (found.length < this.#most) continue;
      const next = after === undefined ? (place + 1) % places : place;
      this.#at = { group: groups[Math.floor(next / PARTITIONS)] as GroupId, partition: next % PARTITIONS, after };
      return found;
    }
    this.#at = undefined;
    return found;
  }

  /** Adds what is due in a partition; answers where to go on when that is enough. */
  async #look({ group, partition, after: from }: Place, found: Proposal[]): Promise<Uint8Array | undefined> {
    const { table, time } = this.#parts;
    const [startedMs, nowMs] = [time.monotonicMs(), time.nowMs()];
    this.stats.looked++;
    const { isHeld, setting } = this.#settingOf(group, partition);
    let firstMs = from === undefined ? Number.POSITIVE_INFINITY : nowMs; // what was due before is not known any more
    for (let after = from; ; ) {
      const page = await table.tombstones({ group, partition, ...PAGE, ...(after === undefined ? {} : { after }) });
      for (const { key, record } of page.items) {
        const fromMs = isHeld ? reapableFromMs(record.state, setting) : Number.POSITIVE_INFINITY;
        firstMs = Math.min(firstMs, fromMs);
        if (fromMs <= nowMs) found.push({ key, tombstone: tombstoneOf(record.state) });
      }
      after = page.cursor;
      if (after !== undefined && found.length < this.#most) continue;
      if (after === undefined) this.#schedule.looked(group, partition, startedMs, firstMs - nowMs);
      return after;
    }
  }

  #settingOf(group: GroupId, partition: PartitionId): { readonly isHeld: boolean; readonly setting: Omit<ReapSetting, 'nowMs'> } {
    const { catalog, region, graceMs } = this.#parts;
    const holders = catalog.holders(group, partition) ?? [];
    const isFirst = holders.find((id) => !isOut(catalog.entry(id))) === region;
    return { isHeld: holders.includes(region), setting: { graceMs, horizonMs: Math.max(graceMs, Math.min(REGION_HORIZON_MS, graceMs * HORIZON_GRACES)), isFirst } };
  }

  /** Invariants 2 and 3. Answers how many went here. */
  async #propose(proposals: readonly Proposal[]): Promise<number> {
    const agreement = await this.#agreed(proposals);
    if (agreement === undefined) return 0;
    const { question, replicas } = agreement;
    const told = encodeQuestion(question);
    const [gone] = await Promise.all([this.#reap(question), ...replicas.map((id) => this.#tell(this.#parts.links.get(id) as PeerLink, 'reap', told, TELL_MS))]);
    this.stats.told += question.proposals.length;
    return gone;
  }

  /** Those of the proposals that every replica has agreed to, under one epoch. Undefined when there is none. */
  async #agreed(proposals: readonly Proposal[], timeoutMs?: number): Promise<Agreement | undefined> {
    const { agreements, catalog, links, time, log } = this.#parts;
    const [first] = proposals;
    const replicas = first === undefined ? undefined : this.#replicas(first.key);
    if (replicas === undefined) return undefined;
    this.stats.proposed += proposals.length;
    const { version } = catalog;
    const atMs = time.nowMs();
    const asked = encodeQuestion({ atMs, proposals });
    const lives = replicas.map((id) => agreements.life(id));
    try {
      await agreements.agree();
      const answers = await Promise.all(replicas.map(async (id) => decodeAnswers(await (links.get(id) as PeerLink).ask('tombstone', asked, timeoutMs), proposals.length)));
      const agreed = proposals.filter((_, at) => answers.every((answer) => answer[at] === true)); // by all of them
      // mark if (agreed.length < proposals.length): reap question met a new write
      this.stats.refused += proposals.length - agreed.length;
      if (agreed.length === 0) return undefined;
      await agreements.keep();
      if (replicas.some((id, at) => agreements.life(id) !== lives[at])) return undefined; // what has agreed may be a disk that is no more
      // Last, so that nothing lies between this look and the raising of the lines, which a new document waits for.
      if (catalog.version.identity !== version.identity || catalog.version.epoch !== version.epoch || catalog.version.term !== version.term) return undefined;
      return { question: { atMs, proposals: agreed }, replicas };
    } catch (error) {
      if (!isArchipelError(error)) throw error;
      // mark: reap question not answered by all
      this.stats.unreachable++;
      log.write('debug', 'reap.not-agreed', { error: error.message });
      return undefined;
    }
  }

  /** Who is not told keeps its tombstone, and proposes it itself some day. */
  async #tell(link: PeerLink, method: 'reap' | 'forget', body: Uint8Array, timeoutMs: number): Promise<void> {
    await link.ask(method, body, timeoutMs).catch((error: unknown) => this.#notTold(link.id, error));
  }

  #notTold(peer: RegionId, error: unknown): void {
    this.#parts.log.write('debug', 'reap.not-told', { peer, error: String(error) });
  }

  // The answering side ------------------------------------------------------------------------------------------------------

  /** Invariant 2: a replica without a record stores the tombstone first, and then says yes. */
  async answer(body: Uint8Array): Promise<Uint8Array> {
    const { atMs, proposals } = decodeQuestion(body);
    const answers: boolean[] = [];
    for (const { key, tombstone } of proposals) {
      await this.#parts.applier.keep(key, tombstone);
      answers.push(agrees((await this.#parts.table.get(key))?.state, tombstone, atMs));
    }
    if (answers.includes(true)) await this.#parts.agreements.agree();
    return Uint8Array.from(answers, Number);
  }

  /** All replicas have agreed. */
  async told(body: Uint8Array): Promise<void> {
    await this.#reap(decodeQuestion(body));
  }

  /** All replicas have agreed, and what they agreed to is deleted when no process holds an older line: the asker waits for that. */
  async raise(body: Uint8Array): Promise<void> {
    await this.#parts.lines.raise(decodeLines(body));
  }

  /** The lines were raised (`raise`), and the asker has waited. */
  async forget(body: Uint8Array): Promise<void> {
    const question = decodeQuestion(body);
    const { lines } = this.#parts;
    await lines.load(); // raised by another process, perhaps
    if (question.proposals.some(({ key, tombstone }) => lines.of(key) < lineOf(tombstone))) throw new ArchipelError('bad-request', 'The lines have not been raised here.');
    await this.#delete(question);
  }

  /** Invariants 3 and 4. */
  async #reap(question: Question): Promise<number> {
    const { lines, clock, lineSettlesMs } = this.#parts;
    const { proposals } = question;
    await lines.raise(linesOf(proposals)); // before anything goes
    if (lineSettlesMs > 0) await pause(clock, lineSettlesMs);
    return this.#delete(question);
  }

  async #delete({ atMs, proposals }: Question): Promise<number> {
    const gone = await Promise.all(proposals.map((proposal) => this.#deleteOne(proposal, atMs)));
    return gone.filter(Boolean).length;
  }

  async #deleteOne({ key, tombstone }: Proposal, atMs: number): Promise<boolean> {
    const isGone = await this.#parts.table.update<boolean>(key, {
      decide: (current) => (current !== undefined && mayGo(current.state, tombstone, atMs) ? { result: true, remove: true } : { result: false }),
    });
    // mark if (!isGone): agreed to, and spared
    this.stats[isGone ? 'reaped' : 'spared']++;
    return isGone;
  }
}

const TELL_MS = 5_000;
/** Where each of some hundred tombstones in a question is a call or two to a table. */
const LONG_MS = 20_000;
const ASKED_AT_ONCE = 8;
/** Seven days are so many hours: with a shorter grace, for tests, the horizon of what has expired shortens with it. */
const HORIZON_GRACES = 7 * 24;

function byPeers(proposals: readonly Proposal[], replicas: (key: ItemKey) => readonly RegionId[] | undefined): Map<string, Proposal[]> {
  const sets = new Map<string, Proposal[]>();
  for (const proposal of proposals) {
    const peers = replicas(proposal.key);
    if (peers === undefined) continue;
    const name = [...peers].sort().join(' ');
    const set = sets.get(name);
    if (set === undefined) sets.set(name, [proposal]);
    else set.push(proposal);
  }
  return sets;
}

const sentOf = ({ key, tombstone }: Proposal): SentRecord => ({ key: key.encoded, state: encodeState(tombstone) });

function linesOf(proposals: readonly Proposal[]): Line[] {
  const lines = new Map<string, Line>();
  for (const { key, tombstone } of proposals) {
    const line: Line = { group: key.group, partition: partitionOf(key.encoded), stamp: lineOf(tombstone) };
    const known = lines.get(`${line.group} ${line.partition}`);
    if (known === undefined || known.stamp < line.stamp) lines.set(`${line.group} ${line.partition}`, line);
  }
  return [...lines.values()];
}

function encodeQuestion({ atMs, proposals }: Question): Uint8Array {
  const records = encodeRecords(proposals.map(sentOf));
  return new ByteWriter(records.length + 8).varint(atMs).bytes(records).finish();
}

function decodeQuestion(body: Uint8Array): Question {
  const reader = new ByteReader(body);
  const atMs = reader.varint();
  const proposals = decodeRecords(reader.bytes(reader.left)).map((record): Proposal => {
    const key = decodeKey(new Uint8Array(record.key));
    const tombstone = decodeState(record.state);
    if (key === undefined || tombstone.values.length > 0) throw new ArchipelError('bad-request', 'Not a tombstone.');
    return { key, tombstone };
  });
  return { atMs, proposals };
}

const decodeAnswers = (body: Uint8Array, count: number): boolean[] => Array.from({ length: count }, (_, at) => body[at] === 1);
