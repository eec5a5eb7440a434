// One region, put together: everything that happens between the ports, without knowing what is behind them.
//
// Starting, in this order: read the policies, take the clock's mark from the largest stamp stored, count what the last
// run left unreplicated; from then on reads are answered. Ask the peers for their time and for the largest stamp of our
// actor that they hold; then writes are. A region that starts as somebody new (a wiped or copied folder) first takes back
// what its peers hold.

import { ArchipelError } from '../core/errors.ts';
import { PEER_PROBE_MS, REAP_EVERY_MS, TOMBSTONE_GRACE_MS } from '../core/limits.ts';
import type { ActorId, RegionId } from '../core/version/dot.ts';
import { maxStamp, STAMP_ZERO } from '../core/version/stamp.ts';
import type { Cancel } from '../ports/clock.ts';
import { Agreements } from './agreements.ts';
import { Applier } from './apply.ts';
import { Attendance } from './attendance.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { Catalog, COLLECTIONS } from './catalog.ts';
import { Collections } from './collections.ts';
import { Coordinator } from './coordinate.ts';
import { replay } from './dead-letters.ts';
import type { Envelope, EnvelopeNews } from './envelope.ts';
import { FanOut } from './fan-out.ts';
import { Health } from './health.ts';
import { Identity } from './incarnation.ts';
import { LIMITS } from './limits.ts';
import { Joining } from './joining.ts';
import type { Lane } from './lane.ts';
import { PeerDoor } from './peer-door.ts';
import type { PeerLink, Speaker } from './peer-link.ts';
import { Peers } from './peers.ts';
import { Reaper } from './reap.ts';
import { ReapedLines } from './reaped-lines.ts';
import { Rebuild } from './rebuild.ts';
import { Reconciler } from './reconciler.ts';
import { Recovery } from './recovery.ts';
import { Restored } from './restored.ts';
import type { RegionParts } from './region-parts.ts';
import { assertServes, type Phase } from './serving.ts';
import { Stranded } from './stranded.ts';
import { Timekeeper } from './timekeeper.ts';
import { TopologyKeeper } from './topology-keeper.ts';
import { decodeState } from '../core/version/codec.ts';
import type { State } from '../core/version/record.ts';

export type { RegionParts } from './region-parts.ts';

/** A commit in a system collection. */
export type SystemListener = (collection: string, pk: Uint8Array, state: State) => void;

const HELLO_MS = 1_000;
const SWEEP_EVERY_MS = 1_000;
const SETTLE_EVERY_MS = 10_000;
const REAP_EVERY_MS_MIN = 100;

export class Region {
  readonly id: RegionId;
  readonly catalog: Catalog;
  readonly time: Timekeeper;
  readonly health: Health;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly lanes: ReadonlyMap<RegionId, Lane>;
  readonly topology: TopologyKeeper;
  readonly applier: Applier;
  readonly coordinator: Coordinator;
  readonly collections: Collections;
  readonly reconciler: Reconciler;
  readonly lines: ReapedLines;
  readonly reaper: Reaper;
  readonly restored: Restored;
  readonly recovery: Recovery;
  readonly joining: Joining;
  readonly stranded: Stranded;
  readonly door: PeerDoor;
  readonly parts: RegionParts;
  readonly #peers: Peers;
  readonly #fanOut: FanOut;
  readonly #agreements: Agreements;
  readonly #identity: Identity;
  readonly #attendance: Attendance;
  readonly #rebuild: Rebuild;
  readonly #timers = new Set<Cancel>();
  readonly #listeners = new Set<SystemListener>();
  #phase: Phase = 'starting';
  #isClockUnsafe = false;
  #isBeating = false;
  #hasBegun = false;
  #forward: (request: Uint8Array) => Promise<Uint8Array> = () => Promise.reject(new ArchipelError('internal', 'This region takes no forwarded requests.'));

  constructor(parts: RegionParts) {
    this.parts = parts;
    this.id = parts.id;
    const { table, clock, hash, log, topology, digestHash, limits = LIMITS } = parts;
    const largest = [...(table.largestStamps?.().values() ?? [])].reduce(maxStamp, STAMP_ZERO);
    this.time = new Timekeeper(clock, largest, () => this.links.size > 0);
    this.catalog = new Catalog({ region: parts.id, topology, hash });
    this.health = new Health({ region: parts.id, clock, table, log, agree: parts.observersAgree, lanes: () => this.lanes, topology: () => this.catalog.topology, phase: () => this.#phase });
    const actor = (): ActorId => this.actor;
    const speaker: Speaker = { region: parts.id, actor, topology: () => this.catalog.version, offered: (document) => this.topology.learn(document), hasNewer: (id) => this.#askNewer(id), news: (id) => this.#news(id), told: (id, envelope) => this.#told(id, envelope) };
    const { catalog, time } = this;
    this.#agreements = new Agreements(table);
    this.#identity = new Identity({ parts, catalog, log, agreements: this.#agreements, links: () => this.links, lanes: () => this.lanes, recovery: () => this.recovery, missed: (withoutMs) => this.#missed(withoutMs), isStopped: () => this.#isStopped() });
    this.#peers = new Peers({ table, catalog, time, clock, log, speaker, limits, ports: parts, isGreeted: (id) => this.#identity.isGreeted(id) && !this.#rebuild.isShut, greet: async (link) => { if (this.#phase === 'serving') await this.#identity.hello(link, HELLO_MS); } });
    this.links = this.#peers.links;
    this.lanes = this.#peers.lanes;
    this.topology = new TopologyKeeper({ region: parts.id, table, changes: parts.changes, catalog, hash, log, peers: this.#peers, raising: () => this.lines.raising(), returning: () => this.#identity.returning(), returned: (how) => this.#returned(how), isServing: () => this.#phase === 'serving', takenBack: (before, after) => this.stranded.returning(before, after), reconcile: (peers) => this.reconciler.run({ peers }).finished });
    this.lines = new ReapedLines(table);
    const shared = { region: parts.id, actor, table, catalog: this.catalog, time: this.time, clock, hash, log, links: this.links, lines: this.lines, agreements: this.#agreements };
    this.applier = new Applier({ ...shared, limits, deadLetters: (peer) => (this.links.has(peer) ? parts.deadLetters(peer) : undefined) });
    this.coordinator = new Coordinator(shared);
    this.collections = new Collections({ ...shared, applier: this.applier });
    this.restored = new Restored(shared);
    this.stranded = new Stranded({ table, coordinator: this.coordinator, wallMs: () => this.time.nowMs(), actorOf: (id) => (id === this.id ? this.actor : this.links.get(id)?.actor) });
    this.reconciler = new Reconciler({ ...shared, restored: this.restored, applier: this.applier, lanes: this.lanes, random: parts.random, keyedHash: digestHash, everyMs: parts.reconcileEveryMs });
    this.reaper = new Reaper({ ...shared, changes: parts.changes, applier: this.applier, lanes: this.lanes, graceMs: this.#graceMs, lineSettlesMs: parts.lineSettlesMs ?? 0, tombstonesMax: parts.reapTombstonesMax });
    this.joining = new Joining({ ...shared, reconciler: this.reconciler, isPending: () => this.recovery.isPending });
    this.recovery = new Recovery({
      ...shared, reconciler: this.reconciler, restored: this.restored, joining: this.joining,
      recovered: () => parts.recovered?.() ?? Promise.resolve(),
      mayGive: (peer) => this.#identity.mayGive(peer),
      isStopped: () => this.#phase === 'stopped',
    });
    this.#attendance = new Attendance({ ...shared, horizonMs: parts.horizonMs });
    this.#rebuild = new Rebuild({ ...shared, lanes: this.lanes, attendance: this.#attendance, identity: this.#identity, recovery: this.recovery, restored: this.restored, reconciler: this.reconciler, isStopped: () => this.#isStopped() });
    this.#fanOut = new FanOut({ region: parts.id, changes: parts.changes, catalog: this.catalog, lanes: this.lanes, log });
    this.door = new PeerDoor({
      ...shared, applier: this.applier, lanes: this.lanes, keyedHash: digestHash,
      envelope: (to) => this.#envelope(to),
      forward: (request) => this.#forward(request),
      certified: (certificate) => this.reconciler.certified(certificate),
      lookedAt: (peer, askedMs) => this.reconciler.lookedAt(peer, askedMs),
      reaper: this.reaper,
      isInDoubt: () => this.#isInDoubt,
      isFenced: () => this.#rebuild.isFenced,
      servedWithoutMs: (peer) => this.#attendance.servedWithoutMs(peer),
      lacks: () => this.joining.lacks(),
    });
  }

  get actor(): ActorId {
    return this.#identity.actor;
  }

  get phase(): Phase {
    return this.#phase;
  }

  #envelope(to: RegionId | undefined): Envelope {
    return { from: this.id, actor: this.actor, wallMs: this.time.wallMs(), clock: this.time.status(), topology: this.catalog.version, ...(this.#isInDoubt ? { isInDoubt: true } : {}), ...(to === undefined ? {} : this.#news(to)) };
  }

  #news(to: RegionId): EnvelopeNews {
    return { ...(this.#isInDoubt ? { isInDoubt: true } : {}), ...this.#agreements.news, ...this.health.news(to) };
  }

  #told(id: RegionId, envelope: Envelope): void {
    this.#agreements.heard(id, envelope.agreed);
    this.health.told(id, envelope);
  }

  /** How requests that other regions pass on are answered here: set by the HTTP layer. */
  answerForwarded(forward: (request: Uint8Array) => Promise<Uint8Array>): void {
    this.#forward = forward;
  }

  /** Told of every commit in a system collection, before its writer is answered. */
  onSystemChange(listener: SystemListener): void {
    this.#listeners.add(listener);
  }

  // Starting ----------------------------------------------------------------------------------------------------------------

  /** Resolves when reads can be answered; `ready` when writes can. */
  async start(): Promise<{ readonly ready: Promise<void> }> {
    await this.topology.load();
    await Promise.all([this.#attendance.load(), this.#agreements.load()]);
    await this.#rebuild.load();
    if (this.#rebuild.isPending) this.#stand();
    this.#identity.begin();
    await this.catalog.load(this.parts.table);
    await this.lines.load();
    this.#learnFromChanges();
    await Promise.all([this.#peers.load(), this.topology.handOver.load()]);
    await this.#fanOut.start();
    await this.reconciler.start();
    return { ready: this.#becomeReady() };
  }

  /**
   * Instead of `start`, where a process exists only while it answers (Lambda): nothing recurs, nothing is sent behind an answer.
   * Another process sends the writes; `catalog` is the caller's to keep. A table that was `restored` is served from `takenBack` on.
   */
  open(how: 'whole' | 'restored' = 'whole'): void {
    this.#fanOut.stop(); // and the lanes with it
    this.time.finishStart();
    this.health.isAlone = true;
    if (how === 'restored') this.recovery.begin(this.links.keys());
    this.#phase = how === 'restored' ? 'recovering' : 'serving';
  }

  /** What the peers hold is here again: taken by `recovery`, or by another process of this region. */
  takenBack(): void {
    this.recovery.end();
    this.#serve();
  }

  #learnFromChanges(): void {
    this.parts.changes.subscribe((entries) => {
      for (const { key, image, loss } of entries) {
        if (key.group === this.catalog.systemGroup && image !== undefined && loss === undefined) this.#learn(key, image);
      }
    });
  }

  /** What one cannot make sense of must not keep the others, or the writer, from being told. */
  #learn(key: ItemKey, image: Uint8Array): void {
    try {
      const state = decodeState(image);
      if (key.collection === COLLECTIONS) this.#learnPolicy(key, state);
      for (const listener of this.#listeners) listener(key.collection, key.pk, state);
    } catch (error) {
      this.parts.log.write('error', 'system.not-learned', { collection: key.collection, error: String(error) });
    }
  }

  #learnPolicy(key: ItemKey, state: State): void {
    const collection = this.catalog.learn(key, state);
    if (collection?.policy.conflict !== 'lww') return;
    // Behind the commit; what fails here is done by the next round of `settle`.
    this.collections.collapse(collection).catch((error: unknown) => this.parts.log.write('error', 'collection.collapse-failed', { collection: collection.name, error: String(error) }));
  }

  async #becomeReady(): Promise<void> {
    await this.#identity.introduce(this.parts.clock);
    this.time.finishStart();
    if (this.parts.isNew) this.#identity.mayLack();
    await this.#identity.startAnew();
    if (this.#isStopped()) return;
    if (this.#rebuild.isPending) return this.#rejoin();
    if (this.recovery.isPending) await this.#recover();
    if (this.#isStopped()) return;
    this.#begin();
  }

  /** It was away for too long, or perhaps was. Behind the start: whoever starts a region does not wait for all the others. */
  #rejoin(): void {
    if (this.#isStopped()) return;
    this.#stand();
    this.#beat();
    const again = (error: unknown): void => {
      this.parts.log.write('error', 'region.not-rebuilt', { error: String(error) });
      this.parts.clock.after(PEER_PROBE_MS, () => this.#rejoin());
    };
    this.#rebuild.run(() => this.#stand()).then(async () => {
      if (this.recovery.isPending) await this.#recover();
      this.#begin();
    }).catch(again);
  }

  #stand(): void {
    this.#phase = this.#rebuild.isFenced ? 'fenced' : 'joining';
  }

  /** A peer has heard nothing of this region while it served. */
  #missed(withoutMs: number): void {
    if (this.#rebuild.heard(withoutMs) && this.#phase === 'serving') this.#rejoin(); // it had found nobody who could tell
  }

  #beat(): void {
    if (this.#isBeating) return;
    this.#isBeating = true;
    this.#every(PEER_PROBE_MS, () => this.#heartbeat());
    this.#every(PEER_PROBE_MS, () => Promise.resolve(this.health.tick()));
  }

  /** Serves from now on. */
  #begin(): void {
    if (this.#isStopped()) return;
    this.#phase = 'serving';
    this.#attendance.begin();
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#beat();
    this.#every(this.#attendance.noteEveryMs, () => this.#attendance.note());
    this.#every(SWEEP_EVERY_MS, () => this.#sweep());
    this.#every(SETTLE_EVERY_MS, () => this.collections.settle());
    this.#every(Math.min(REAP_EVERY_MS, Math.max(REAP_EVERY_MS_MIN, this.#graceMs / 4)), () => this.#reap());
    this.reconciler.startSchedule();
  }

  #isStopped(): boolean {
    return this.#phase === 'stopped';
  }

  /** What is here may have been reaped elsewhere. */
  get #isInDoubt(): boolean {
    return this.#phase === 'starting' || this.recovery.isPending || this.#rebuild.isPending;
  }

  #returned({ fromOutside }: { readonly fromOutside: boolean }): void {
    this.#identity.mayLack();
    if (this.#phase !== 'serving') return; // it is about to find out anyhow
    const recovered = fromOutside ? this.#recover().then(() => this.#serve()) : this.recovery.take();
    recovered.catch((error: unknown) => this.parts.log.write('warn', 'region.not-recovered', { error: String(error) }));
  }

  #serve(): void {
    if (!this.#isStopped()) this.#phase = 'serving';
  }

  async #recover(): Promise<void> {
    if (this.#isStopped()) return;
    this.#phase = 'recovering';
    await this.recovery.beforeServing();
  }

  // Recurring ---------------------------------------------------------------------------------------------------------------

  #every(ms: number, task: () => Promise<void>): void {
    const next = (): void => {
      if (this.#isStopped()) return;
      const cancel = this.parts.clock.after(ms, () => {
        this.#timers.delete(cancel);
        task()
          .catch((error: unknown) => this.parts.log.write('warn', 'region.task-failed', { error: String(error) }))
          .finally(next);
      });
      this.#timers.add(cancel);
    };
    next();
  }

  async #heartbeat(): Promise<void> {
    // Whatever the breaker says: it spares requests that somebody waits for, and growing waits would keep a healed link shut.
    const quiet = [...this.links.values()].filter((link) => link.silentMs() >= PEER_PROBE_MS || !this.#identity.isGreeted(link.id));
    this.#sayClock();
    // A hint may have become visible again, or room on the disk: nothing else would tell the lane.
    for (const lane of this.lanes.values()) lane.wake();
    this.#fanOut.wake();
    await this.topology.tidy();
    await Promise.all(quiet.map((link) => this.#identity.hello(link, HELLO_MS)));
    if (!this.#rebuild.isPending) void this.recovery.goOn().catch((error: unknown) => this.parts.log.write('warn', 'region.not-recovered', { error: String(error) }));
  }

  /** Once, when it changes: writes are refused from now on, or taken again. */
  #sayClock(): void {
    const isUnsafe = this.time.status() === 'unsafe';
    if (isUnsafe === this.#isClockUnsafe) return;
    this.#isClockUnsafe = isUnsafe;
    if (isUnsafe) this.parts.log.write('error', 'clock.unsafe', { meaning: "writes are refused until this region's clock agrees with its peers" });
    else this.parts.log.write('info', 'clock.safe');
  }

  async #reap(): Promise<void> {
    while (!this.#isStopped() && (await this.reaper.round()).more);
  }

  get #graceMs(): number {
    return this.parts.graceMs ?? TOMBSTONE_GRACE_MS;
  }

  /** Not while the clock is in doubt: the line never goes back, and a region whose line lies ahead cannot be compared with. */
  async #sweep(): Promise<void> {
    if (this.time.status() === 'safe') await this.parts.table.digests?.sweep(this.time.nowMs());
  }

  async stop(): Promise<void> {
    this.#phase = 'stopped';
    for (const cancel of this.#timers) cancel();
    this.#fanOut.stop();
    await this.reconciler.stop();
  }

  // What a request must pass --------------------------------------------------------------------------------------------------

  /** @throws ArchipelError `region-recovering`, `region-fenced`, `overloaded` */
  assertServing(): void {
    assertServes(this.#phase, this.catalog.self);
  }

  #askNewer(peer: RegionId): void {
    const link = this.links.get(peer);
    if (link !== undefined) void this.#identity.hello(link, HELLO_MS);
  }

  // Replication ---------------------------------------------------------------------------------------------------------------

  /** Again, where other processes of this region pause and resume. */
  loadPauses = (): Promise<void> => this.#peers.loadPauses();

  /** Holds back both directions with this peer, on this side, until resumed; also over a restart. */
  async setPaused(peer: RegionId, paused: boolean): Promise<void> {
    await this.#peers.setPaused(peer, paused);
  }

  /** Merges dead letters again. Answers how many were merged; the others stay. */
  replayDeadLetters(peer: RegionId): Promise<number> {
    return replay(peer, this.parts.deadLetters(peer), this.applier);
  }
}
