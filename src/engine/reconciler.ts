// When reconciliations run, and what remains of them. The first region of a pair (by id) runs them on schedule; either
// runs one when it starts and finds that one was due while it was down, and on demand. Certificates and the time of the
// last run are documents of the table, so they survive a restart.

import { utf8, utf8Text } from '../core/bytes.ts';
import { ArchipelError, isArchipelError, type ErrorCode } from '../core/errors.ts';
import { CERTIFICATES_PER_PEER_MAX, LEASE_MS, PEER_PROBE_MS } from '../core/limits.ts';
import type { GroupId } from '../core/keys/item-key.ts';
import type { RegionId } from '../core/version/dot.ts';
import { toHex } from '../core/bytes.ts';
import type { Cancel } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import type { Lane } from './lane.ts';
import { keepDocument, readDocument } from './documents.ts';
import { acquireLease, isCurrent, releaseLease, renewLease, type Lease } from './lease.ts';
import type { LeaseQuestion } from './peer-door.ts';
import type { PeerLink } from './peer-link.ts';
import type { Certificate, SentCertificate } from './certificate.ts';
import { Comparison, type PairReport, type ReconcileParts } from './reconcile.ts';
import { giveUntold } from './untold.ts';

export interface ReconcilerParts extends ReconcileParts {
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly lanes: ReadonlyMap<RegionId, Lane>;
  readonly random: Random;
  readonly log: Log;
  /** Undefined: never on schedule. */
  readonly everyMs: number | undefined;
}

export interface RunRequest {
  readonly peers?: readonly RegionId[];
  readonly groups?: readonly GroupId[];
  readonly deep?: boolean;
  /** See Comparison.run. Ends without a certificate where anything differed. */
  readonly hasty?: boolean;
  readonly takesOnly?: boolean;
}

export interface Run {
  readonly id: string;
  state: 'running' | 'done' | 'failed';
  readonly pairs: PairReport[];
  readonly startedMs: number;
  finishedMs?: number;
  /** Of the last pair that failed. */
  error?: string;
  code?: ErrorCode;
  readonly finished: Promise<void>;
}

const RUNS_KEPT = 50;
/** Of what no digest tells, by a peer that is waited for: a whole table may have to be gone through. */
const GIVEN_WITHIN_MS = 60_000;
/** Looks of a peer's runs: the one before the last proves. */
const LOOKS_KEPT = 8;

interface History {
  readonly lastRunMs: number;
  readonly certificates: readonly Certificate[];
}

export class Reconciler {
  readonly #parts: ReconcilerParts;
  readonly #runs = new Map<string, Run>();
  readonly #abort = new AbortController();
  readonly #histories = new Map<RegionId, History>();
  /** The last run of each pair that was begun here: the next waits for it. */
  readonly #turns = new Map<RegionId, Promise<void>>();
  /** Of each peer's run: the lane's turn when a look began, by the time that the peer's question named. */
  readonly #looks = new Map<RegionId, Map<number, number>>();
  /** To each peer: what no digest tells, up to a turn of its lane. */
  readonly #given = new Map<RegionId, { readonly turn: number; readonly given: Promise<boolean> }>();
  #cancel: Cancel = () => undefined;
  #cancelMakeUp: Cancel = () => undefined;
  #scheduled: Promise<void> = Promise.resolve();
  /** One of the schedule waits or is under way. */
  #isScheduled = false;
  readonly stats = { runs: 0, failed: 0, differing: 0, certificates: 0 };

  constructor(parts: ReconcilerParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    for (const peer of this.#parts.links.keys()) {
      const history = await readDocument<History>(this.#parts.table, historyName(peer));
      if (history !== undefined) this.#histories.set(peer, history);
    }
  }

  /** Begins the schedule. Runs that were due while the region was down are made up first. */
  startSchedule(): void {
    const everyMs = this.#parts.everyMs;
    if (everyMs === undefined) return;
    this.#makeUp([...this.#parts.links.keys()], everyMs);
    this.#next(everyMs);
  }

  /** With a peer that is itself still starting, as soon as it has been heard. */
  #makeUp(peers: readonly RegionId[], everyMs: number): void {
    const nowMs = this.#parts.time.nowMs();
    const missed = peers.filter((peer) => nowMs - (this.#histories.get(peer)?.lastRunMs ?? 0) >= everyMs);
    const heard = missed.filter((peer) => this.#isHeard(peer));
    const silent = missed.filter((peer) => !this.#isHeard(peer));
    if (heard.length > 0) this.#scheduled = this.#scheduled.then(() => this.#runScheduled(heard, 'made-up'));
    if (silent.length > 0) this.#cancelMakeUp = this.#parts.clock.after(PEER_PROBE_MS, () => this.#makeUp(silent, everyMs));
  }

  /** Since this region started. */
  #isHeard(peer: RegionId): boolean {
    return this.#parts.links.get(peer)?.actor !== undefined;
  }

  #next(everyMs: number): void {
    this.#cancel = this.#parts.clock.after(everyMs, () => {
      // One that lasts beyond its time is not followed by those that it missed, one after the other: the pair's other region,
      // which may have to compare before it can serve, would find the lease held for as long as they go on.
      if (!this.#isScheduled) {
        this.#isScheduled = true;
        const mine = [...this.#parts.links.keys()].filter((peer) => this.#parts.region < peer);
        this.#scheduled = this.#scheduled.then(() => this.#runScheduled(mine, 'scheduled')).finally(() => (this.#isScheduled = false));
      }
      this.#next(everyMs);
    });
  }

  async #runScheduled(peers: readonly RegionId[], why: string): Promise<void> {
    const up = peers.filter((peer) => this.#isHeard(peer) && this.#parts.links.get(peer)?.isUp() === true);
    if (up.length === 0 || this.#abort.signal.aborted) return;
    this.#parts.log.write('debug', 'reconcile.begin', { why, peers: up });
    try {
      await this.run({ peers: up }).finished;
    } catch (error) {
      this.#parts.log.write('warn', 'reconcile.not-begun', { why, error: String(error) });
    }
  }

  async stop(): Promise<void> {
    this.#cancel();
    this.#cancelMakeUp();
    this.#abort.abort();
    await this.#scheduled;
    await Promise.all([...this.#runs.values()].map(({ finished }) => finished));
    await Promise.allSettled([...this.#given.values()].map(({ given }) => given));
  }

  find(id: string): Run | undefined {
    return this.#runs.get(id);
  }

  /** Newest first. */
  certificates(): readonly Certificate[] {
    return [...this.#histories.values()].flatMap(({ certificates }) => certificates).sort((a, b) => b.atMs - a.atMs);
  }

  lastCertificate(peer: RegionId): Certificate | undefined {
    return this.#histories.get(peer)?.certificates[0];
  }

  /**
   * The last one, if it proves something of all that both hold now: it is of the document in force, and names every group. Who has not
   * heard of a collection compares what it knows, and finds it equal.
   */
  proof(peer: RegionId): Certificate | undefined {
    const { catalog } = this.#parts;
    const certificate = this.lastCertificate(peer);
    if (certificate === undefined || certificate.term !== catalog.version.term || certificate.epoch !== catalog.version.epoch) return undefined;
    const named = new Map(certificate.groups.map(({ group, partitions }) => [group, partitions]));
    const isNamed = (group: GroupId): boolean => (named.get(group) ?? 0) >= catalog.shared(group, peer).length;
    return [...catalog.groups().keys()].every(isNamed) ? certificate : undefined;
  }

  // Running -----------------------------------------------------------------------------------------------------------------

  /** Begins a run with these peers (default: all). @throws ArchipelError `overloaded` when RUNS_KEPT are not finished */
  run(request: RunRequest): Run {
    this.#makeRoom();
    const peers = request.peers ?? [...this.#parts.links.keys()];
    const { promise, resolve } = Promise.withResolvers<void>();
    const run: Run = { id: toHex(this.#parts.random.bytes(6)), state: 'running', pairs: [], startedMs: this.#parts.time.nowMs(), finished: promise };
    this.#runs.set(run.id, run);
    void this.#runAll(run, peers, request).then(resolve);
    return run;
  }

  /** The oldest that is finished is forgotten. */
  #makeRoom(): void {
    if (this.#runs.size < RUNS_KEPT) return;
    const oldest = [...this.#runs.values()].find(({ state }) => state !== 'running');
    if (oldest === undefined) throw new ArchipelError('overloaded', `${RUNS_KEPT} reconciliations are under way or wait for their turn.`);
    this.#runs.delete(oldest.id);
  }

  async #runAll(run: Run, peers: readonly RegionId[], request: RunRequest): Promise<void> {
    this.stats.runs++;
    for (const peer of peers) {
      try {
        await this.#inTurn(peer, () => this.#runPair(run, peer, request));
      } catch (error) {
        run.error = `${peer}: ${error instanceof Error ? error.message : String(error)}`;
        run.code = isArchipelError(error) ? error.code : 'internal';
        this.stats.failed++;
        this.#parts.log.write(isArchipelError(error, 'lease-held') ? 'debug' : 'warn', 'reconcile.failed', { peer, error: run.error });
      }
    }
    run.finishedMs = this.#parts.time.nowMs();
    run.state = run.error === undefined ? 'done' : 'failed';
  }

  async #inTurn(peer: RegionId, task: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(peer) ?? Promise.resolve()).then(task);
    this.#turns.set(peer, turn.catch(() => undefined));
    await turn;
  }

  async #runPair(run: Run, peer: RegionId, request: RunRequest): Promise<void> {
    const link = this.#parts.links.get(peer);
    if (link === undefined) throw new ArchipelError('not-found', `${peer} is not a peer of this region.`);
    if (this.#abort.signal.aborted) throw new ArchipelError('overloaded', 'This region is stopping.');
    const comparison = new Comparison(this.#parts, link, request.groups);
    run.pairs.push(comparison.report);
    const lease = await this.#lease(peer);
    if (lease === undefined) throw new ArchipelError('lease-held', `A run with ${peer} is under way.`);
    const lost = new AbortController();
    const stopRenewing = this.#keepRenewing(peer, lease, lost);
    try {
      const deep = request.deep === true;
      const compared = await comparison.run({ deep, hasty: request.hasty === true, takesOnly: request.takesOnly === true }, AbortSignal.any([this.#abort.signal, lost.signal]));
      this.stats.differing += comparison.report.differing;
      // A run of one collection proves nothing about the others, and one under an older document, or a lost lease, nothing at all.
      if (compared.settled && request.groups === undefined && !comparison.isOutdated && (await this.#holds(peer, lease))) {
        const certificate = comparison.certificate(compared, deep, lease.token);
        const tell = (timeoutMs?: number): Promise<unknown> => link.ask('certificate', utf8(JSON.stringify({ ...certificate, lookedAtMs: compared.since.askedMs } satisfies SentCertificate)), timeoutMs);
        // A region that is joining is made active on its word that it has one with every replica (joining.ts): the peer first, or it would
        // go on owing everything that the certificate covers, and take it under the next document no more.
        const isReliedOn = this.#parts.catalog.self.state === 'joining';
        if (isReliedOn) await tell(GIVEN_WITHIN_MS);
        const isOfAll = await this.#take(certificate);
        if (!isReliedOn) await tell();
        if (isOfAll) await this.#endDebt(peer, compared.since.turn).catch(this.#notGiven(peer));
        comparison.report.certificate = certificate;
      } else {
        // mark if (compared.settled && request.groups === undefined): lease lost in mid-run
        await this.#save(peer, {});
      }
    } finally {
      stopRenewing();
      await this.#release(peer, lease).catch(() => undefined);
    }
  }

  /** However long the run takes, nobody else begins one. A lease that was taken over all the same ends it. */
  #keepRenewing(peer: RegionId, lease: Lease, lost: AbortController): Cancel {
    let isOver = false;
    let cancel: Cancel = () => undefined;
    const next = (): void => {
      if (isOver) return;
      cancel = this.#parts.clock.after(LEASE_MS / 3, () => {
        this.#renew(peer, lease).then(
          (isMine) => (isMine || isOver ? next() : lost.abort()),
          () => next(), // not in reach: it may last until it is
        );
      });
    };
    next();
    lost.signal.addEventListener('abort', () => this.#parts.log.write('warn', 'reconcile.lease-lost', { peer }));
    return () => {
      isOver = true;
      cancel();
    };
  }

  async #renew(peer: RegionId, lease: Lease): Promise<boolean> {
    const { region, table, time } = this.#parts;
    const job = jobOf(region, peer);
    if (this.#isMine(peer)) return renewLease(table, job, lease.token, time.nowMs(), LEASE_MS);
    return (await this.#askLease(peer, { job, renew: lease.token })) === true;
  }

  /** The pair's leases live in the table of its first region. */
  #isMine(peer: RegionId): boolean {
    return this.#parts.region < peer;
  }

  async #lease(peer: RegionId): Promise<Lease | undefined> {
    const { region, table, time, random } = this.#parts;
    const job = jobOf(region, peer);
    const asked = toHex(random.bytes(8));
    if (this.#isMine(peer)) return acquireLease(table, job, { holder: region, asked, nowMs: time.nowMs(), lastsMs: LEASE_MS });
    return this.#askLease(peer, { job, asked }) as Promise<Lease | undefined>;
  }

  async #holds(peer: RegionId, lease: Lease): Promise<boolean> {
    const job = jobOf(this.#parts.region, peer);
    if (this.#isMine(peer)) return isCurrent(this.#parts.table, job, lease.token);
    return (await this.#askLease(peer, { job, check: lease.token })) === true;
  }

  async #release(peer: RegionId, lease: Lease): Promise<void> {
    const job = jobOf(this.#parts.region, peer);
    if (this.#isMine(peer)) await releaseLease(this.#parts.table, job, lease);
    else await this.#askLease(peer, { job, release: lease });
  }

  async #askLease(peer: RegionId, question: LeaseQuestion): Promise<unknown> {
    const link = this.#parts.links.get(peer) as PeerLink;
    return (JSON.parse(utf8Text(await link.ask('lease', utf8(JSON.stringify(question)))) ?? 'null') as unknown) ?? undefined;
  }

  // Certificates --------------------------------------------------------------------------------------------------------------

  /** The peer asks for the root, and names this time: a look of its run begins. */
  lookedAt(peer: RegionId, askedMs: number): void {
    const looks = this.#looks.get(peer) ?? new Map<number, number>();
    const turn = this.#parts.lanes.get(peer)?.behindTurn;
    if (turn === undefined || looks.has(askedMs)) return; // of two that name one time, the first proves less
    looks.set(askedMs, turn);
    const [oldest] = looks.keys();
    if (looks.size > LOOKS_KEPT && oldest !== undefined) looks.delete(oldest);
    this.#looks.set(peer, looks);
  }

  /** A run of the peer ended in a proof. Waits for what follows from it only where the peer relies on that (see #runPair). */
  async certified({ lookedAtMs, ...certificate }: SentCertificate): Promise<void> {
    const peer = certificate.regions.find((region) => region !== this.#parts.region);
    const turn = peer === undefined || lookedAtMs === undefined ? undefined : this.#looks.get(peer)?.get(lookedAtMs);
    if (!(await this.#take(certificate)) || peer === undefined || turn === undefined) return;
    const ended = this.#endDebt(peer, turn);
    if (this.#parts.catalog.entry(peer)?.state === 'joining') return ended;
    ended.catch(this.#notGiven(peer));
  }

  /** With the next certificate. */
  #notGiven(peer: RegionId): (error: unknown) => void {
    return (error) => this.#parts.log.write('debug', 'reconcile.untold-not-given', { peer, error: String(error) });
  }

  /** True: it proves something of all that is shared now. An older lease's result is not taken. */
  async #take(certificate: Certificate): Promise<boolean> {
    const peer = certificate.regions.find((region) => region !== this.#parts.region);
    if (peer === undefined || !certificate.regions.includes(this.#parts.region) || !this.#parts.links.has(peer)) return false;
    const newest = this.#histories.get(peer)?.certificates[0];
    // mark if (newest !== undefined && certificate.token < newest.token): older certificate not taken
    if (newest !== undefined && certificate.token < newest.token) return false;
    this.stats.certificates++;
    await this.#save(peer, { certificate });
    return this.proof(peer) === certificate;
  }

  /**
   * Of what the peer was not even hinted: what both hold now is proved to be there, and what no digest tells is given to it
   * before. `turn`: of the lane, when the look that proves it began.
   */
  async #endDebt(peer: RegionId, turn: number): Promise<void> {
    const lane = this.#parts.lanes.get(peer);
    if (lane === undefined || lane.behind === 0 || lane.behindTurn !== turn || !(await this.#giveUntold(peer, turn))) return;
    await lane.caughtUp(turn);
  }

  /** Once for each turn: what is written later is owed like everything else. */
  async #giveUntold(peer: RegionId, turn: number): Promise<boolean> {
    const link = this.#parts.links.get(peer);
    if (link === undefined) return false;
    const before = this.#given.get(peer);
    if (before?.turn === turn) return before.given;
    await before?.given.catch(() => false); // one after the other
    const giving = { turn, given: giveUntold(this.#parts, link, this.#abort.signal) };
    this.#given.set(peer, giving);
    let isGiven = false;
    try {
      isGiven = await giving.given;
    } finally {
      if (!isGiven && this.#given.get(peer) === giving) this.#given.delete(peer);
    }
    return isGiven;
  }

  async #save(peer: RegionId, { certificate }: { readonly certificate?: Certificate }): Promise<void> {
    const before = this.#histories.get(peer)?.certificates ?? [];
    const certificates = (certificate === undefined ? before : [certificate, ...before]).slice(0, CERTIFICATES_PER_PEER_MAX);
    const history: History = { lastRunMs: this.#parts.time.nowMs(), certificates };
    this.#histories.set(peer, history);
    await keepDocument(this.#parts.table, historyName(peer), () => this.#histories.get(peer));
  }
}

const historyName = (peer: RegionId): string => `reconciled/${peer}`;
const jobOf = (a: RegionId, b: RegionId): string => `reconcile/${[a, b].sort().join('/')}`;
