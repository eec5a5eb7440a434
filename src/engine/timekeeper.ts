// The region's time: issues stamps, or refuses to while its clock cannot be trusted (core/clock/clock-guard.ts), and
// judges the stamps of others.

import { ClockGuard, type ClockReading, type ClockStatus } from '../core/clock/clock-guard.ts';
import { HybridClock } from '../core/clock/hybrid-clock.ts';
import { ArchipelError } from '../core/errors.ts';
import { CLOCK_DRIFT_MS_MAX } from '../core/limits.ts';
import type { RegionId } from '../core/version/dot.ts';
import { stampMs, type Stamp } from '../core/version/stamp.ts';
import type { Clock } from '../ports/clock.ts';

/** Longer than messages between regions take, as a rule. */
const ONE_WAY_MS = 10_000;
/** Apart enough that they have not waited together; a peer that gets no answer says something every 1.5 s. */
const ONE_WAY_APART_MS = 250;

export class Timekeeper {
  readonly #clock: Clock;
  readonly #guard: ClockGuard;
  readonly #hybrid: HybridClock;
  readonly #hasPeers: () => boolean;
  /** How far from ours the clock of a peer seems, by its last questions, and since when. */
  readonly #told = new Map<RegionId, { readonly offsetMs: number; readonly sinceMs: number }>();
  /** Writes refused because the clock was unsafe, and received stamps refused for drift. */
  readonly stats = { stampsRefused: 0, driftRefused: 0 };

  /** `last`: the largest stamp stored, which the clock resumes above. */
  constructor(clock: Clock, last: Stamp, hasPeers: () => boolean) {
    this.#clock = clock;
    this.#guard = new ClockGuard(this.#reading());
    this.#hybrid = new HybridClock(last);
    this.#hasPeers = hasPeers;
  }

  #reading(): ClockReading {
    return { wallMs: this.#clock.wallMs(), monotonicMs: this.#clock.monotonicMs() };
  }

  /** Physical time: never goes back while the process lives. */
  nowMs(): number {
    return this.#guard.read(this.#reading());
  }

  /** What readers are shown is judged by it: as `nowMs`, but while this clock is in doubt no later than the peers' time. */
  readersMs(): number {
    return this.#guard.readersMs(this.#reading());
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  status(): ClockStatus {
    return this.#statusAt(this.#reading());
  }

  #statusAt(reading: ClockReading): ClockStatus {
    if (this.#clock.isWrong?.() === true) return 'unsafe';
    return this.#guard.status(reading, this.#hasPeers());
  }

  /** @throws ArchipelError `clock-unsafe` */
  stamp(): Stamp {
    return this.issue().stamp;
  }

  /** A stamp and the time at which it was issued, from one look at the clocks. @throws ArchipelError `clock-unsafe` */
  issue(): { readonly stamp: Stamp; readonly nowMs: number } {
    const reading = this.#reading();
    const status = this.#statusAt(reading);
    if (status !== 'safe') {
      // mark if (status === 'unsafe'): clock unsafe, stamp not issued
      this.stats.stampsRefused++;
      throw new ArchipelError('clock-unsafe', status === 'starting' ? 'This region is still comparing its clock with its peers.' : "This region's clock cannot be trusted; reads go on.", { status });
    }
    const nowMs = this.#guard.read(reading);
    return { stamp: this.#hybrid.issue(nowMs), nowMs };
  }

  /** A stamp that is stored here now. */
  observe(stamp: Stamp): void {
    this.#hybrid.observe(stamp);
  }

  /** May a received stamp be accepted? One far ahead would drag every later write of this region along. */
  isAcceptable(stamp: Stamp): boolean {
    const now = this.#reading();
    const referenceMs = Math.max(this.#hybrid.referenceMs(this.nowMs()), now.wallMs, this.#guard.trustedPeerMs(now) ?? 0);
    const acceptable = stampMs(stamp) <= referenceMs + CLOCK_DRIFT_MS_MAX;
    // mark if (!acceptable): stamp refused for drift
    if (!acceptable) this.stats.driftRefused++;
    return acceptable;
  }

  /** A peer's answer told its wall clock. */
  heard(peer: RegionId, status: ClockStatus, peerWallMs: number, roundTripMs: number): void {
    this.#guard.observe(peer, status, peerWallMs, roundTripMs, this.#reading());
  }

  /**
   * A peer asked us something, and told its wall clock. How long that took is not known, so only a difference that no delay
   * explains is taken note of: enough for a region that cannot reach anybody, but is reached, to learn that it is wrong. A
   * message that somebody had kept for long shows such a difference too: it takes two, apart, that show the same.
   */
  heardOneWay(peer: RegionId, status: ClockStatus, peerWallMs: number): void {
    const { wallMs, monotonicMs } = this.#reading();
    const offsetMs = peerWallMs - wallMs;
    const told = this.#told.get(peer);
    if (Math.abs(offsetMs) <= ONE_WAY_MS) this.#told.delete(peer);
    else if (told === undefined || Math.abs(told.offsetMs - offsetMs) > CLOCK_DRIFT_MS_MAX) this.#told.set(peer, { offsetMs, sinceMs: monotonicMs });
    else if (monotonicMs - told.sinceMs >= ONE_WAY_APART_MS) this.heard(peer, status, peerWallMs, 0);
  }

  hasWitness(): boolean {
    return this.#guard.hasWitness(this.#reading());
  }

  /** All peers were asked after the start. */
  finishStart(): void {
    this.#guard.finishStart(this.#reading());
  }

  /** What messages carry, so that peers can compare. */
  wallMs(): number {
    return this.#clock.wallMs();
  }
}
