// As whom a region writes. Two may not issue the same dot, and a write above forgotten ones would claim to have seen them: so
// every peer is asked, before anything is sent to it, what it knows of this region's stamps. Whoever has forgotten some,
// cannot know, or did not take part for a while, goes on as somebody new. One incarnation too many is harmless.

import { utf8, utf8Text } from '../core/bytes.ts';
import { isArchipelError } from '../core/errors.ts';
import { isOut } from '../core/placement/topology.ts';
import { makeActor, type ActorId, type RegionId } from '../core/version/dot.ts';
import { formatStamp, maxStamp, parseStamp, STAMP_ZERO, type Stamp } from '../core/version/stamp.ts';
import { largestOfRegion } from '../core/version/version-vector.ts';
import { pause, type Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Agreements } from './agreements.ts';
import type { Catalog } from './catalog.ts';
import { keepDocument, readDocument } from './documents.ts';
import type { Lane } from './lane.ts';
import type { Hello, HelloAnswer } from './peer-door.ts';
import type { PeerLink } from './peer-link.ts';
import type { Recovery } from './recovery.ts';
import type { RegionParts } from './region-parts.ts';

/** A hello that passes when both sides are up. Slower peers are asked again by the heartbeat. */
const START_HELLO_MS = 400;
const LISTEN_MS = 1_500;
const LISTEN_STEP_MS = 100;
/** The largest stamp of ours that a peer told of and this store had forgotten: it went on as somebody new then, and need not again. */
const FORGOTTEN = 'forgotten-stamp';

export interface IdentityParts {
  readonly parts: Pick<RegionParts, 'id' | 'incarnation' | 'isDrawn' | 'table' | 'drawIncarnation'>;
  readonly catalog: Catalog;
  readonly log: Log;
  readonly agreements: Agreements;
  links(): ReadonlyMap<RegionId, PeerLink>;
  lanes(): ReadonlyMap<RegionId, Lane>;
  recovery(): Recovery;
  /** A peer has served for so long without this region. */
  missed(withoutMs: number): void;
  isStopped(): boolean;
}

export class Identity {
  readonly #parts: IdentityParts;
  /** Of its own actor, as the store had it at the start: what a peer knows beyond is forgotten here. */
  readonly #storedStamp: Stamp;
  /** Of every incarnation: a copy from before the last one knows nothing of that one, and its own stamps may all be known to it. */
  readonly #storedEver: Stamp;
  /** Those that this life went on as. */
  readonly #drawn: ActorId[] = [];
  #forgotten = STAMP_ZERO;
  readonly #first: ActorId;
  #actor: ActorId;
  /** Listed when this life began. */
  #firstPeers: ReadonlySet<RegionId> = new Set();
  /** Peers that said in this life what they know of our stamps. */
  readonly #greeted = new Set<RegionId>();
  #forgetting: Promise<void> | undefined;
  #hasForgotten = false;

  constructor(parts: IdentityParts) {
    this.#parts = parts;
    const { id, incarnation, table } = parts.parts;
    this.#actor = this.#first = makeActor(id, incarnation);
    const stored = table.largestStamps?.() ?? new Map<ActorId, Stamp>();
    this.#storedStamp = stored.get(this.#actor) ?? STAMP_ZERO;
    this.#storedEver = largestOfRegion(stored, id);
  }

  get actor(): ActorId {
    return this.#actor;
  }

  begin(): void {
    this.#firstPeers = new Set(this.#parts.links().keys());
  }

  isGreeted(peer: RegionId): boolean {
    return this.#greeted.has(peer);
  }

  /** Peers that have not told yet whether we have forgotten something. */
  silent(): PeerLink[] {
    return [...this.#parts.links().values()].filter(({ id }) => !this.#greeted.has(id) && this.mayGive(id));
  }

  /** One that is lost is never asked, one that is fenced not now: taken back, it compares with everybody. */
  mayGive(peer: RegionId): boolean {
    return !isOut(this.#parts.catalog.entry(peer));
  }

  /** What any peer holds may be missing here. */
  mayLack(): void {
    this.#parts.recovery().begin([...this.#parts.links().keys()].filter((peer) => this.mayGive(peer)));
  }

  async goOnAnew(): Promise<void> {
    const { parts } = this.#parts;
    this.#actor = makeActor(parts.id, await parts.drawIncarnation());
    this.#drawn.push(this.#actor);
  }

  /** Noted by the new incarnation: until everything is compared, a start is that of a restored region. */
  async returning(): Promise<void> {
    const before = this.#actor;
    await this.goOnAnew();
    this.#parts.log.write('warn', 'region.returns', { before, now: this.#actor, meaning: 'something may have been deleted and reaped while this region did not take part' });
  }

  /**
   * A peer that was not asked may hold stamps of ours that this store has forgotten, and the peers would drop a write above such a
   * gap. That it knows of none is no proof: it may be a copy from before the first.
   */
  async startAnew(): Promise<void> {
    const { isDrawn = false, table } = this.#parts.parts;
    const silent = this.silent().map(({ id }) => id);
    if (silent.length === 0 || isDrawn || table.largestStamps === undefined || this.#actor !== this.#first || this.#parts.isStopped()) return;
    await this.goOnAnew();
    // mark: not everybody asked, so somebody new
    this.#parts.recovery().begin(silent);
    this.#parts.log.write('warn', 'region.unconfirmed', { before: this.#first, now: this.#actor, silent });
  }

  /**
   * Says hello until every peer has answered, or the time is up. Nobody can be reached? Perhaps we are reached meanwhile, by
   * somebody who shows that our clock is wrong.
   */
  async introduce(clock: Clock): Promise<void> {
    const endMs = clock.monotonicMs() + LISTEN_MS;
    for (let silent = this.silent(); silent.length > 0; silent = this.silent()) {
      await Promise.all(silent.map((link) => this.hello(link, START_HELLO_MS)));
      if (clock.monotonicMs() >= endMs || this.#parts.isStopped()) return;
      if (this.silent().length > 0) await pause(clock, LISTEN_STEP_MS);
    }
  }

  /** Says hello: compares clocks, and asks whether we have forgotten stamps of our own. */
  async hello(link: PeerLink, timeoutMs: number): Promise<void> {
    // The one that this store was written by, until the peer has told about it.
    const asked = this.#greeted.has(link.id) ? this.#actor : this.#first;
    try {
      const answer = JSON.parse(utf8Text(await link.ask('hello', utf8(JSON.stringify({ actor: asked, ...(this.#greeted.has(link.id) ? {} : { besides: this.#drawn }) } satisfies Hello)), timeoutMs)) ?? '') as HelloAnswer;
      if (!this.#greeted.has(link.id)) this.#parts.missed(answer.withoutMs ?? 0); // before anything is sent
      if (!this.#greeted.has(link.id)) await this.#greet(link.id, asked, { theirs: stampIn(answer.largest), ever: stampIn(answer.ever), agreed: answer.agreed ?? 0 });
    } catch (error) {
      if (!isArchipelError(error, 'peer-unreachable')) this.#parts.log.write('warn', 'hello.failed', { peer: link.id, error: String(error) });
    }
  }

  /**
   * Compared with what was stored at the start, not with what is now: writes of this life would hide what was forgotten.
   * Nothing is sent to a peer before, or its answer would count what it has just been sent.
   */
  async #greet(peer: RegionId, asked: ActorId, { theirs, ever, agreed }: { readonly theirs: Stamp; readonly ever: Stamp; readonly agreed: number }): Promise<void> {
    const { agreements, parts } = this.#parts;
    const isNews = asked === this.#first && ever > this.#storedEver && ever > (await this.#forgottenBefore());
    const isOlder = (isNews || agreements.isForgotten(agreed)) && parts.isDrawn !== true;
    if (asked === this.#first && (theirs > this.#storedStamp || isOlder)) await (this.#forgetting ??= this.#forgot(peer).finally(() => (this.#forgetting = undefined)));
    if (isNews) this.#noteForgotten(ever);
    this.#behind(agreements.raise(agreed));
    this.#greeted.add(peer);
    this.#parts.lanes().get(peer)?.wake();
  }

  #noteForgotten(ever: Stamp): void {
    this.#forgotten = maxStamp(this.#forgotten, ever);
    this.#behind(keepDocument(this.#parts.parts.table, FORGOTTEN, () => ({ stamp: formatStamp(this.#forgotten) })));
  }

  /** Nobody waits for it: without the note a start is once more that of somebody new. */
  #behind(noted: Promise<void>): void {
    noted.catch((error: unknown) => this.#parts.log.write('debug', 'region.not-noted', { error: String(error) }));
  }

  async #forgottenBefore(): Promise<Stamp> {
    return stampIn((await readDocument<{ readonly stamp: string }>(this.#parts.parts.table, FORGOTTEN))?.stamp);
  }

  async #forgot(peer: RegionId): Promise<void> {
    if (this.#hasForgotten) return; // another peer has told before
    const isSure = this.#firstPeers.has(peer);
    if (this.#actor === this.#first) await this.goOnAnew(); // a disk that fails now is tried again by the next hello
    this.#hasForgotten = isSure;
    // A peer that is listed since then may have from others what was written since then: nothing tells it from what was forgotten.
    if (!isSure) this.#parts.recovery().begin([peer]);
    if (!isSure) return this.#parts.log.write('warn', 'region.unconfirmed', { before: this.#first, now: this.#actor, silent: [peer] });
    // mark: region forgot
    this.mayLack();
    this.#parts.log.write('error', 'region.forgot', { before: this.#first, now: this.#actor, meaning: 'this store is older than what it has sent' });
  }
}

const stampIn = (text: string | null | undefined): Stamp => parseStamp(text ?? '') ?? STAMP_ZERO;
