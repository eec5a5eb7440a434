// May this region issue stamps? A clock that is wrong by an hour makes writes win or lose against writes of another hour,
// so a region whose clock cannot be trusted refuses writes (`clock-unsafe`), while reads and replication go on.
//
// Two clocks are read: the wall, which can be set, and the monotonic one, which cannot. While they agree since the
// *anchor* (a pair of readings), the wall is trusted. A step is settled, not remembered:
//
//                    wall steps                      a peer with a good clock agrees with the new wall
//   ┌────────┐  more than the bound   ┌─────────┐   ──────────────────────────────────────────────▶  new anchor
//   │  safe  │ ─────────────────────▶ │ unsafe  │   peers contradict, or none is reachable: stays unsafe
//   └────────┘                        └─────────┘   the step is taken back: as before
//        ▲   peers (if any) do not contradict  ┌──────────┐
//        └──────────────────────────────────── │ starting │   after every start; alone, or with no peer in reach: safe
//                                              └──────────┘
//
// A peer that is itself unsafe is no witness beside one that is not. Where all in reach are unsafe, they settle it when
// all agree: the regions of a laptop that slept have all stepped, and to the same time. Of witnesses, those that agree
// (and I) must outnumber those that contradict, so that one wrong clock does not stop the others. Two or more peers ahead
// of me: my clock is the wrong one, I stop and accept theirs. A single region without peers re-anchors at once.
//
// A settled step leaves a region where a restart would: physical time is the wall's again, also when that lies behind,
// and the hybrid clock alone goes on above what was issued. Kept ahead instead, every later stamp would be ahead too, and
// refused by the peers for ever.

import { CLOCK_DRIFT_MS_MAX } from '../limits.ts';
import type { RegionId } from '../version/dot.ts';

export type ClockStatus = 'safe' | 'starting' | 'unsafe';

export interface ClockReading {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

interface Witness {
  readonly status: ClockStatus;
  /** Peer's wall minus mine, at the time of the observation, half the round trip taken off. */
  readonly offsetMs: number;
  /** My readings then, so that the offset can be re-judged after my wall has stepped. */
  readonly at: ClockReading;
}

/** What a peer said longer ago than this says nothing about now. */
export const WITNESS_MS = 5_000;

const isRecent = ({ at }: Witness, now: ClockReading): boolean => now.monotonicMs - at.monotonicMs <= WITNESS_MS;

export class ClockGuard {
  #anchor: ClockReading;
  #physicalMs: number;
  #lastMonotonicMs: number;
  /** Apart from steps, which are judged anew at each reading. */
  #state: 'safe' | 'starting' | 'contradicted' = 'starting';
  /** Started without a word from anybody: the first peer that is heard is asked as at the start. */
  #isUnproven = false;
  readonly #witnesses = new Map<RegionId, Witness>();
  readonly #boundMs: number;

  constructor(start: ClockReading, boundMs: number = CLOCK_DRIFT_MS_MAX) {
    this.#anchor = start;
    this.#physicalMs = start.wallMs;
    this.#lastMonotonicMs = start.monotonicMs;
    this.#boundMs = boundMs;
  }

  /** Physical time: the wall, but never less than the last reading plus the monotonic time that has passed since. */
  read(now: ClockReading): number {
    const passed = Math.max(0, now.monotonicMs - this.#lastMonotonicMs);
    this.#lastMonotonicMs = now.monotonicMs;
    // A wall that jumped ahead is not followed before it is settled: the hybrid clock could never come back.
    const wallMs = this.#hasStepped(now) ? 0 : now.wallMs;
    // Fractions of a millisecond add up: dropped at each reading, they would make time stand still.
    this.#physicalMs = Math.max(wallMs, this.#physicalMs + passed);
    return Math.floor(this.#physicalMs);
  }

  #hasStepped(now: ClockReading): boolean {
    return Math.abs(now.wallMs - this.#expectedWall(now)) > this.#boundMs;
  }

  #expectedWall(now: ClockReading): number {
    return this.#anchor.wallMs + (now.monotonicMs - this.#anchor.monotonicMs);
  }

  /** Judged anew at each call; `hasPeers` is whether the topology lists any other region. */
  status(now: ClockReading, hasPeers: boolean): ClockStatus {
    if (!hasPeers && this.#isInDoubt(now)) this.#settle(now);
    if (this.#hasStepped(now)) return 'unsafe';
    // mark if (hasPeers && this.#state === 'safe' && this.#aheadOfMe(now) >= 2): clock contradicted by two peers
    if (hasPeers && this.#state === 'safe' && this.#aheadOfMe(now) >= 2) this.#state = 'contradicted';
    return this.#state === 'contradicted' ? 'unsafe' : this.#state;
  }

  #isInDoubt(now: ClockReading): boolean {
    return this.#state === 'contradicted' || this.#hasStepped(now);
  }

  /** A peer told its time. Decides a step or a contradiction; see the drawing above. */
  observe(peer: RegionId, status: ClockStatus, peerWallMs: number, roundTripMs: number, now: ClockReading): void {
    if (roundTripMs > this.#boundMs) return; // too slow an answer says nothing within the bound
    this.#witnesses.set(peer, { status, offsetMs: peerWallMs + roundTripMs / 2 - now.wallMs, at: now });
    if (this.#state === 'starting') return;
    if (this.#isUnproven && this.#trusted(now).length > 0) this.#prove(now);
    // mark if (this.#isInDoubt(now) && this.#isConfirmed(now)): clock step settled by a peer
    if (this.#isInDoubt(now) && this.#isConfirmed(now)) this.#settle(now);
  }

  #prove(now: ClockReading): void {
    this.#isUnproven = false;
    if (this.#isOutvoted(now)) this.#state = 'contradicted';
  }

  /** Has anybody whose clock can be trusted told its time lately? */
  hasWitness(now: ClockReading): boolean {
    return this.#trusted(now).length > 0;
  }

  /** Every peer was asked after a start, or could not be reached: starts unless those that answered contradict. */
  finishStart(now: ClockReading): void {
    if (this.#state !== 'starting') return;
    this.#isUnproven = !this.hasWitness(now);
    // mark if (this.#isUnproven): started without a witness of its clock
    // mark if (this.#isOutvoted(now)): clock outvoted at the start
    if (this.#isOutvoted(now)) this.#state = 'contradicted';
    else if (!this.#hasStepped(now) || this.#isConfirmed(now)) this.#settle(now);
    else this.#state = 'safe'; // but for the step, which a peer has to settle
  }

  /**
   * While my own clock is in doubt: the time of a trusted peer, carried on; else undefined. Of several the largest but
   * one, because one that is ahead of all others is itself suspect.
   */
  trustedPeerMs(now: ClockReading): number | undefined {
    if (this.#state === 'safe' && !this.#hasStepped(now)) return undefined;
    return this.#largestButOne(this.#trusted(now), now);
  }

  /**
   * What expiry is judged by for readers. A clock that was contradicted may lie hours ahead, and would hide what is still
   * alive, and hand out contexts that cover it unseen. So nothing expires, while there is doubt, that has not expired by the
   * time of the peers as well, as they told it last, however long ago: too late does less harm than too early.
   */
  readersMs(now: ClockReading): number {
    const ownMs = this.read(now);
    if (this.#state === 'safe') return ownMs;
    const witnesses = [...this.#witnesses.values()].filter(({ status }) => status !== 'unsafe');
    const theirMs = this.#largestButOne(witnesses, now);
    return theirMs === undefined ? ownMs : Math.min(ownMs, Math.floor(theirMs));
  }

  #largestButOne(witnesses: readonly Witness[], now: ClockReading): number | undefined {
    const times = witnesses.map((witness) => now.wallMs + this.#offsetNow(witness, now)).sort((a, b) => b - a);
    return times[1] ?? times[0];
  }

  #settle(now: ClockReading): void {
    this.#anchor = now;
    this.#state = 'safe';
    if (this.read(now) - now.wallMs > this.#boundMs) this.#physicalMs = now.wallMs;
  }

  #recent(now: ClockReading): Witness[] {
    return [...this.#witnesses.values()].filter((witness) => isRecent(witness, now));
  }

  #trusted(now: ClockReading): Witness[] {
    return this.#recent(now).filter(({ status }) => status !== 'unsafe');
  }

  /** A peer's time now, minus my wall now: what it said then, carried on by the monotonic clock. */
  #offsetNow(witness: Witness, now: ClockReading): number {
    return witness.at.wallMs + witness.offsetMs + (now.monotonicMs - witness.at.monotonicMs) - now.wallMs;
  }

  #agrees(witness: Witness, now: ClockReading): boolean {
    return Math.abs(this.#offsetNow(witness, now)) <= this.#boundMs;
  }

  #isOutvoted(now: ClockReading): boolean {
    const trusted = this.#trusted(now);
    const agree = trusted.filter((witness) => this.#agrees(witness, now)).length;
    return trusted.length - agree > agree;
  }

  /** Somebody in reach agrees with my wall as it is now, and not too many contradict. */
  #isConfirmed(now: ClockReading): boolean {
    const trusted = this.#trusted(now);
    if (trusted.length > 0) return trusted.some((witness) => this.#agrees(witness, now)) && !this.#isOutvoted(now) && this.#aheadOfMe(now) < 2;
    const inReach = this.#recent(now);
    return inReach.length > 0 && inReach.every((witness) => this.#agrees(witness, now));
  }

  #aheadOfMe(now: ClockReading): number {
    let ahead = 0; // asked for every stamp: without the lists that the rarer questions make
    for (const witness of this.#witnesses.values()) {
      if (witness.status !== 'unsafe' && isRecent(witness, now) && this.#offsetNow(witness, now) > this.#boundMs) ahead++;
    }
    return ahead;
  }
}
