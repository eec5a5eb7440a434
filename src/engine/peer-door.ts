// The door for other regions: answers what they ask. The adapter has checked that the question is authentic; here it is
// judged whether the speaker belongs to the topology and works on the same one.

import { ArchipelError, isArchipelError, type ErrorCode } from '../core/errors.ts';
import { decodeKey, type GroupId } from '../core/keys/item-key.ts';
import { sameSum } from '../core/merkle/digest.ts';
import { CELL_BYTES } from '../core/merkle/sketch.ts';
import { CLOCK_DRIFT_MS_MAX, LEASE_MS } from '../core/limits.ts';
import { isOut } from '../core/placement/topology.ts';
import { encodeState, NewerFormatError } from '../core/version/codec.ts';
import { parseActor, type ActorId, type RegionId } from '../core/version/dot.ts';
import { formatStamp } from '../core/version/stamp.ts';
import { largestOfRegion } from '../core/version/version-vector.ts';
import { ByteWriter, utf8, utf8Text } from '../core/bytes.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { PeerMethod } from '../ports/peer.ts';
import type { Table } from '../ports/table.ts';
import type { Agreements } from './agreements.ts';
import type { Applier } from './apply.ts';
import type { Catalog } from './catalog.ts';
import { answerStretch, DeepView, KeptView, type View } from './digest-view.ts';
import { decodeQuestion, encodeRootAnswer, encodeStretchAnswers, encodeSums, mayLag, type DigestQuestion } from './digest-protocol.ts';
import { decodeRecords, encodeReceipts, encodeRecords, seal, sentBytes, unseal, verdictOn, type Envelope, type SentRecord } from './envelope.ts';
import type { Lane } from './lane.ts';
import { canSketch, FIRST_CELLS, sampledBranches, sketchOf, type Scope } from './leaf-sketch.ts';
import { acquireLease, isCurrent, releaseLease, renewLease, type Lease } from './lease.ts';
import type { PeerLink } from './peer-link.ts';
import type { SentCertificate } from './certificate.ts';
import { encodeRecordAnswer } from './late.ts';
import type { Reaper } from './reap.ts';
import { encodeLines, type ReapedLines } from './reaped-lines.ts';
import { readRecord } from './soundness.ts';
import type { Timekeeper } from './timekeeper.ts';

const FETCH_BYTES_MAX = 1024 * 1024;
/** A deep view is kept between the questions of one comparison. */
const DEEP_VIEW_MS = 600_000;

export interface PeerDoorParts {
  readonly region: RegionId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly time: Timekeeper;
  readonly clock: Clock;
  readonly applier: Applier;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly lanes: ReadonlyMap<RegionId, Lane>;
  readonly hash: HashFunction;
  readonly keyedHash: HashFunction;
  readonly log: Log;
  /** Of an answer to this region; to a stranger without what is only for a peer. */
  envelope(to: RegionId | undefined): Envelope;
  forward(request: Uint8Array): Promise<Uint8Array>;
  certified(certificate: SentCertificate): Promise<void>;
  /** A look of the peer's run begins. */
  lookedAt(peer: RegionId, askedMs: number): void;
  readonly lines: ReapedLines;
  readonly agreements: Agreements;
  readonly reaper: Reaper;
  actor(): ActorId;
  /** This region may hold values from before it was restored that nobody else holds. */
  isInDoubt(): boolean;
  /** It was away for too long: nothing but a greeting is answered. */
  isFenced(): boolean;
  servedWithoutMs(peer: RegionId): number;
  /** Of a region that is joining. */
  lacks(): readonly RegionId[];
}

/** How far apart the lines of two regions are that sweep every second. */
const LINE_APART_MS_MAX = 2_000;

/** `hello`: what a region asks when it starts, and when nothing else passes between the two. */
export interface Hello {
  /** The asker's actor: the answer names the largest stamp of it that is known. */
  readonly actor: string;
  /** Asked once a life: the largest stamp of every incarnation of the asker, but these, which it has been in this life. */
  readonly besides?: readonly string[];
}

/** One of: give it back, let it last on, is it the newest; else: may I have it? */
export interface LeaseQuestion {
  readonly job: string;
  /** Of this asking: sent again, it is the same. (A region of an earlier release does not say.) */
  readonly asked?: string;
  readonly lastsMs?: number;
  readonly release?: Lease;
  readonly renew?: number;
  readonly check?: number;
}

export interface HelloAnswer {
  readonly largest: string | null;
  /** Of every incarnation, where that was asked. (A region of an earlier release does not say.) */
  readonly ever?: string;
  /** So often the asker has agreed that something be reaped. (A region of an earlier release does not say.) */
  readonly agreed?: number;
  /** For so long this region has served without the asker. (A region of an earlier release does not say.) */
  readonly withoutMs?: number;
  /** Of a region that is joining: with whom it has no certificate yet. */
  readonly lacks?: readonly RegionId[];
}

export class PeerDoor {
  readonly #parts: PeerDoorParts;
  readonly #deepViews = new Map<RegionId, { readonly view: DeepView; readonly sinceMs: number }>();
  readonly stats = { questions: 0, refused: 0 };

  constructor(parts: PeerDoorParts) {
    this.#parts = parts;
  }

  /** Never throws: what goes wrong is told under the envelope. */
  async answer(method: PeerMethod, question: Uint8Array): Promise<Uint8Array> {
    this.stats.questions++;
    let newer: Pick<Envelope, 'document'> = {};
    let from: RegionId | undefined;
    try {
      const { envelope, body } = unseal(question);
      from = envelope.from;
      // Whoever works on an older document learns from the first answer, also that it was fenced or is listed no longer.
      if (verdictOn(envelope, this.#parts.catalog.version) === 'older') newer = { document: this.#parts.catalog.topology };
      this.#admit(envelope);
      const answer = await this.#handle(method, envelope, body);
      return seal(this.#parts.envelope(from), answer);
    } catch (error) {
      this.stats.refused++;
      return seal({ ...this.#parts.envelope(from), ...newer, refused: refusalOf(error) }, new Uint8Array(0));
    }
  }

  #admit(envelope: Envelope): void {
    const entry = this.#parts.catalog.entry(envelope.from);
    if (entry === undefined || envelope.from === this.#parts.region) throw new ArchipelError('forbidden', `${envelope.from} is not a region of this topology.`);
    if (isOut(entry)) throw new ArchipelError('region-fenced', `${envelope.from} is ${entry.state}: nothing of it is taken.`);
    this.#parts.links.get(envelope.from)?.heardFrom(envelope);
    const verdict = verdictOn(envelope, this.#parts.catalog.version);
    // mark if (verdict === 'older'): older topology refused
    if (verdict === 'older') throw new ArchipelError('topology-older', 'The sender works on an older topology.');
    if (verdict === 'different') throw new ArchipelError('topology-different', 'The sender works on another topology of the same number.');
  }

  async #handle(method: PeerMethod, envelope: Envelope, body: Uint8Array): Promise<Uint8Array> {
    if (method !== 'hello' && this.#parts.isFenced()) throw new ArchipelError('region-fenced', 'This region was away for too long: it has fenced itself.');
    switch (method) {
      case 'hello':
        return this.#hello(envelope.from, body);
      case 'inbox':
        if (this.#parts.lanes.get(envelope.from)?.isPaused === true) throw new ArchipelError('replication-paused', 'Replication with this region is paused here.');
        return encodeReceipts(await this.#parts.applier.apply(envelope.from, decodeRecords(body)));
      case 'merge':
        return encodeReceipts(await this.#parts.applier.apply(envelope.from, decodeRecords(body)));
      case 'fetch':
        return this.#fetch(envelope.from, decodeRecords(body));
      case 'digest':
        return this.#digest(envelope.from, decodeQuestion(body));
      case 'lease':
        return this.#lease(envelope, body);
      case 'certificate':
        this.#deepViews.delete(envelope.from); // the comparison is over, and a view holds a line for every item
        return this.#certificate(body);
      case 'forward':
        return this.#parts.forward(body);
      case 'record':
        this.#assertSameTopology(envelope); // under a newer one this region may have to find out first
        return this.#record(body);
      case 'tombstone':
        this.#assertReaping(envelope);
        return this.#parts.reaper.answer(body);
      case 'reap':
        this.#assertReaping(envelope);
        await this.#parts.reaper.told(body);
        return new Uint8Array(0);
      case 'raise':
        this.#assertReaping(envelope);
        await this.#parts.reaper.raise(body);
        return new Uint8Array(0);
      case 'forget':
        this.#assertReaping(envelope);
        await this.#parts.reaper.forget(body);
        return new Uint8Array(0);
      case 'lines':
        return encodeLines(this.#parts.lines.all());
    }
  }

  // Reaping ---------------------------------------------------------------------------------------------------------------

  /** All replicas agree under one epoch: with another document in force here, not. */
  #assertReaping(envelope: Envelope): void {
    this.#assertSameTopology(envelope);
    if (this.#parts.lanes.get(envelope.from)?.isPaused === true) throw new ArchipelError('replication-paused', 'Replication with this region is paused here.');
    if (this.#parts.isInDoubt()) throw new ArchipelError('region-recovering', 'This region is finding out what was reaped while it was away.');
  }

  #assertSameTopology(envelope: Envelope): void {
    if (verdictOn(envelope, this.#parts.catalog.version) !== 'same') throw new ArchipelError('topology-different', 'The sender works on a topology that is not in force here.');
  }

  /** What this incarnation knows of a key: asked by who got a value late. */
  async #record(body: Uint8Array): Promise<Uint8Array> {
    const key = decodeKey(new Uint8Array(body));
    if (key === undefined) throw new ArchipelError('bad-request', 'Not a physical key.');
    const record = await readRecord(this.#parts.table, key);
    if (record === 'unreadable') throw new ArchipelError('storage-unavailable', 'The record cannot be read here.');
    if (this.#parts.isInDoubt() && (record?.state.values.length ?? 0) > 0) throw new ArchipelError('region-recovering', 'This region is finding out what was reaped while it was away.');
    return encodeRecordAnswer({ actor: this.#parts.actor(), state: record?.state });
  }

  #hello(from: RegionId, body: Uint8Array): Uint8Array {
    const { actor: text, besides } = JSON.parse(utf8Text(body) ?? '') as Hello;
    const actor = parseActor(text);
    const stamps = this.#parts.table.largestStamps?.();
    const largest = actor === undefined ? undefined : stamps?.get(actor);
    const ever = besides === undefined || stamps === undefined ? {} : { ever: formatStamp(largestOfRegion(stamps, from, besides)) };
    if (besides !== undefined) this.#parts.agreements.begins(from);
    const answer: HelloAnswer = { largest: largest === undefined ? null : formatStamp(largest), ...ever, agreed: this.#parts.agreements.of(from), withoutMs: this.#parts.servedWithoutMs(from), ...(this.#parts.catalog.self.state === 'joining' ? { lacks: this.#parts.lacks() } : {}) };
    return utf8(JSON.stringify(answer));
  }

  /** The states of these keys that both regions hold, up to FETCH_BYTES_MAX; the asker asks again for the rest. */
  async #fetch(from: RegionId, keys: readonly SentRecord[]): Promise<Uint8Array> {
    const found: SentRecord[] = [];
    let bytes = 0;
    for (const { key: encoded } of keys) {
      const key = decodeKey(encoded);
      const record = key === undefined ? undefined : await readRecord(this.#parts.table, key);
      if (record === 'unreadable') this.#parts.log.write('error', 'fetch.unreadable', { from });
      if (key === undefined || record === undefined || record === 'unreadable' || !(this.#parts.catalog.holdersOf(key) ?? []).includes(from)) continue;
      const sent: SentRecord = { key: encoded, state: encodeState(record.state) };
      if (found.length > 0 && bytes + sentBytes(sent) > FETCH_BYTES_MAX) break;
      found.push(sent);
      bytes += sentBytes(sent);
    }
    return encodeRecords(found);
  }

  // Digests ---------------------------------------------------------------------------------------------------------------

  async #digest(from: RegionId, question: DigestQuestion): Promise<Uint8Array> {
    const view = this.#view(from, question);
    switch (question.type) {
      case 'root':
        return this.#root(from, question, await view);
      case 'branches':
        return encodeSums((await Promise.all(question.partitions.map(async (ref) => (await view).branches(ref)))).flat());
      case 'leaves':
        return encodeSums((await Promise.all(question.branches.map(async (ref) => (await view).leaves(ref)))).flat());
      case 'sketch':
        return this.#sketch(from, question);
      case 'stretches':
        return encodeStretchAnswers(await Promise.all(question.stretches.map(async (stretch) => answerStretch(await view, stretch))));
    }
  }

  async #view(from: RegionId, question: DigestQuestion): Promise<View> {
    if (question.type === 'root') this.#parts.lookedAt(from, question.atMs);
    const { table, time, hash, keyedHash } = this.#parts;
    const digests = table.digests;
    if (digests === undefined) return this.#scannedView(from, question);
    if (question.type === 'root') {
      // Clocks that were ahead and were put back have left both lines ahead; they move on from there together.
      const latestMs = Math.max(time.nowMs() + CLOCK_DRIFT_MS_MAX, digests.lineMs + LINE_APART_MS_MAX);
      if (question.atMs > latestMs) throw new ArchipelError('clock-unsafe', 'The question names a time that has not come here.');
      await digests.sweep(question.atMs);
    }
    if (!question.deep) return new KeptView(table, digests);
    const known = this.#deepViews.get(from);
    const isFresh = known !== undefined && time.monotonicMs() - known.sinceMs < DEEP_VIEW_MS;
    if (question.type !== 'root' && isFresh) return known.view;
    const view = new DeepView(table, digests.lineMs, hash, keyedHash);
    this.#deepViews.set(from, { view, sinceMs: time.monotonicMs() });
    return view;
  }

  /**
   * Of a table that keeps no digests: what is asked about is scanned, by the process that is asked. The time that the
   * question names tells one comparison from the next.
   */
  #scannedView(from: RegionId, question: DigestQuestion): View {
    const { table, time, hash, keyedHash } = this.#parts;
    const { atMs, deep } = question;
    if (!deep) throw new ArchipelError('not-built', 'This table keeps no digests: ask for a deep check.');
    if (atMs > time.nowMs() + CLOCK_DRIFT_MS_MAX) throw new ArchipelError('clock-unsafe', 'The question names a time that has not come here.');
    const known = this.#deepViews.get(from)?.view;
    if (known?.lineMs === atMs && known.mayLag === mayLag(question)) return known;
    const view = new DeepView(table, atMs, hash, keyedHash, { mayLag: mayLag(question) });
    this.#deepViews.set(from, { view, sinceMs: time.monotonicMs() });
    return view;
  }

  async #root(from: RegionId, question: Extract<DigestQuestion, { type: 'root' }>, view: View): Promise<Uint8Array> {
    const { catalog, table } = this.#parts;
    const unknown = question.groups.filter((group) => !catalog.groups().has(group));
    const scopes = this.#scopes(from, question.groups);
    const sum = await view.root(scopes);
    const isEqual = unknown.length === 0 && sameSum(sum, question.mine);
    const answer = { atMs: table.digests?.lineMs ?? question.atMs, sum, partitions: isEqual ? [] : await view.partitions(scopes), unknown };
    if (isEqual || question.withSketch !== true || table.digests === undefined || !canSketch(scopes)) return encodeRootAnswer(answer);
    const leaves = await sketchOf(table.digests, scopes, { cells: FIRST_CELLS, clock: this.#parts.clock });
    return encodeRootAnswer({ ...answer, sketch: { leaves, branches: await sampledBranches(view, scopes) } });
  }

  /** What is shared, by the groups of a question; of one that is not known here nothing is, and its place is kept. */
  #scopes(from: RegionId, groups: readonly GroupId[]): Scope[] {
    const { catalog } = this.#parts;
    return groups.map((group) => ({ group, partitions: catalog.groups().has(group) ? catalog.shared(group, from) : [] }));
  }

  async #sketch(from: RegionId, { groups, cells }: Extract<DigestQuestion, { readonly type: 'sketch' }>): Promise<Uint8Array> {
    const { table, clock } = this.#parts;
    if (table.digests === undefined) throw new ArchipelError('not-built', 'This table keeps no digests.');
    return (await sketchOf(table.digests, this.#scopes(from, groups), { cells, clock })).encode(new ByteWriter(cells * CELL_BYTES + 16)).finish();
  }

  // Leases and certificates -------------------------------------------------------------------------------------------------

  async #lease(envelope: Envelope, body: Uint8Array): Promise<Uint8Array> {
    const question = JSON.parse(utf8Text(body) ?? '') as LeaseQuestion;
    return utf8(JSON.stringify((await this.#leaseAnswer(envelope.from, question)) ?? null));
  }

  async #leaseAnswer(from: RegionId, { job, asked, lastsMs = LEASE_MS, release, renew, check }: LeaseQuestion): Promise<Lease | boolean | undefined> {
    const { table, time } = this.#parts;
    if (release !== undefined) return void (await releaseLease(table, job, release));
    if (renew !== undefined) return renewLease(table, job, renew, time.nowMs(), lastsMs);
    if (check !== undefined) return isCurrent(table, job, check);
    // mark: lease asked for in another region
    return acquireLease(table, job, { holder: from, asked, nowMs: time.nowMs(), lastsMs });
  }

  async #certificate(body: Uint8Array): Promise<Uint8Array> {
    await this.#parts.certified(JSON.parse(utf8Text(body) ?? '') as SentCertificate);
    return new Uint8Array(0);
  }
}

function refusalOf(error: unknown): { readonly code: ErrorCode; readonly message: string } {
  if (isArchipelError(error)) return { code: error.code, message: error.message };
  if (error instanceof NewerFormatError) return { code: 'peer-refused', message: error.message };
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
}
