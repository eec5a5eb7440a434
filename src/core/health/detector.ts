// Which regions are up? Every observer (a region, an edge, a witness) asks every region straight, and tells the others what it
// sees with every message. A verdict steers routing and nothing else: it moves no data, and changes no topology.
//
//   ┌───────┐  one observer has not heard it for SUSPECT_MS   ┌─────────┐  two or more, and nobody has   ┌──────┐
//   │ alive │ ──────────────────────────────────────────────▶ │ suspect │ ─────────────────────────────▶ │ down │
//   └───────┘ ◀────────── heard by all, or refuted ────────── └─────────┘ ◀──── a newer pulse ────────── └──────┘
//
//  1. A region's *pulse* is its life and its beat. The beat grows with every message, the life with every start and with every
//     refutation; what is older than what was heard before is no sign of life, however authentic.
//  2. I suspect what I have not heard myself. I tell the newest pulse that I know of, from whomever, beside it: so one
//     observer that still hears a region keeps the others from taking it for down; to them it is only out of reach.
//  3. A suspicion names the life that it is about. A region that learns that it is suspected begins a new one, and every
//     suspicion of an earlier life is void, wherever that has been heard.
//  4. A suspicion lasts CLAIM_MS from when it was last told: an observer that is gone itself agrees with nobody.
//  5. A gap in my own ticking is my own pause and not their silence: a laptop that slept takes nobody for down.
//  6. A region that goes down again and again stays suspect for a while each time, twice as long as the time before.
//  7. A region that says of itself that its data path does not answer (deep check) is not heard.
//
// Full mesh, no random gossip: see docs/architecture.md. Time is an argument (milliseconds of any monotonic clock).

import { CLAIM_MS, FLAP_FORGET_MS, FLAP_HOLD_MS, FLAP_HOLD_MS_MAX, OBSERVERS_MAX, SUSPECT_MS, TICK_GAP_MS } from '../limits.ts';
import type { RegionId } from '../version/dot.ts';
import type { Pulse, Report, Sight } from './report.ts';

export type Verdict = 'alive' | 'suspect' | 'down';

/** What this observer knows of one region. */
export interface Standing {
  readonly region: RegionId;
  readonly verdict: Verdict;
  readonly suspectedBy: readonly string[];
  /** Since it was heard here. */
  readonly silentMs: number;
  readonly isSound: boolean;
  readonly isFlapping: boolean;
}

interface Subject {
  /** The newest that anybody has told of, and when it last grew. */
  newest: Pulse;
  grewMs: number;
  /** The newest that it told here itself. */
  seen: Pulse;
  heardMs: number;
  isSound: boolean;
  /** Of other observers: the life that they suspect, and when they last said so. */
  readonly claims: Map<string, { readonly life: number; readonly atMs: number }>;
  wasDown: boolean;
  downs: number;
  /** It was last down then, and is held for suspect until. */
  lastDownMs: number;
  heldUntilMs: number;
}

const NEVER: Pulse = { life: 0, beat: 0 };

const isNewer = (a: Pulse, b: Pulse): boolean => a.life > b.life || (a.life === b.life && a.beat > b.beat);

export interface DetectorParts {
  /** As others name it. */
  readonly observer: string;
  /** Of a region: the life that begins now. An observer that is no region has no pulse, and nobody suspects it. */
  readonly life?: number;
  /** How many observers make a region down. */
  readonly agree: number;
}

export class Detector {
  readonly #parts: DetectorParts;
  readonly #subjects = new Map<RegionId, Subject>();
  #pulse: Pulse | undefined;
  #tickMs: number | undefined;

  constructor(parts: DetectorParts) {
    this.#parts = parts;
    this.#pulse = parts.life === undefined ? undefined : { life: parts.life, beat: 0 };
  }

  /** Those that the topology lists, besides this one. */
  watch(regions: readonly RegionId[], nowMs: number): void {
    for (const region of this.#subjects.keys()) if (!regions.includes(region)) this.#subjects.delete(region);
    for (const region of regions) if (!this.#subjects.has(region)) this.#subjects.set(region, { newest: NEVER, grewMs: nowMs, seen: NEVER, heardMs: nowMs, isSound: true, claims: new Map(), wasDown: false, downs: 0, lastDownMs: Number.NEGATIVE_INFINITY, heldUntilMs: Number.NEGATIVE_INFINITY });
  }

  /** Every half second or so. */
  tick(nowMs: number): void {
    const gapMs = nowMs - (this.#tickMs ?? nowMs);
    this.#tickMs = nowMs;
    for (const subject of this.#subjects.values()) {
      if (gapMs > TICK_GAP_MS) subject.heardMs = subject.grewMs = nowMs; // 5
      this.#damp(subject, nowMs);
    }
  }

  /** 6 */
  #damp(subject: Subject, nowMs: number): void {
    const isDown = this.#suspicions(subject, nowMs).length >= this.#parts.agree && this.#isSilent(subject, nowMs);
    if (isDown && !subject.wasDown) subject.downs = nowMs - subject.lastDownMs > FLAP_FORGET_MS ? 1 : subject.downs + 1;
    if (isDown) subject.lastDownMs = nowMs;
    if (!isDown && subject.wasDown && subject.downs > 1) subject.heldUntilMs = nowMs + Math.min(FLAP_HOLD_MS_MAX, FLAP_HOLD_MS * 2 ** (subject.downs - 2));
    subject.wasDown = isDown;
  }

  // Hearing -----------------------------------------------------------------------------------------------------------------

  /** What an observer told here, straight: its own pulse where it is a region, and what it sees. */
  heard(report: Report, nowMs: number): void {
    const speaker = this.#subjects.get(report.observer as RegionId);
    if (speaker !== undefined && report.pulse !== undefined) this.#heardItself(speaker, report.pulse, report.isSound, nowMs);
    for (const [region, sight] of Object.entries(report.sees)) this.#heardOf(region as RegionId, sight, report.observer, nowMs);
  }

  #heardItself(subject: Subject, pulse: Pulse, isSound: boolean, nowMs: number): void {
    if (!isNewer(pulse, subject.seen)) return; // 1
    subject.seen = pulse;
    subject.isSound = isSound;
    if (!isSound) return; // 7
    subject.heardMs = nowMs;
    this.#grow(subject, pulse, nowMs);
  }

  #grow(subject: Subject, pulse: Pulse, nowMs: number): void {
    if (!isNewer(pulse, subject.newest)) return;
    // 3: what I held against an earlier life is void as well.
    if (pulse.life > subject.newest.life) subject.heardMs = nowMs;
    subject.newest = pulse;
    subject.grewMs = nowMs;
  }

  #heardOf(region: RegionId, { pulse, isSuspected }: Sight, by: string, nowMs: number): void {
    if (region === this.#parts.observer) return this.#refute(pulse, isSuspected);
    const subject = this.#subjects.get(region);
    if (subject === undefined || region === by) return;
    this.#grow(subject, pulse, nowMs); // 2
    if (!isSuspected) subject.claims.delete(by);
    else if (subject.claims.has(by) || subject.claims.size < OBSERVERS_MAX) subject.claims.set(by, { life: pulse.life, atMs: nowMs });
  }

  /** 3 */
  #refute(pulse: Pulse, isSuspected: boolean): void {
    if (this.#pulse === undefined || !isSuspected || pulse.life < this.#pulse.life) return;
    // mark: suspicion refuted by a new life
    this.#pulse = { life: pulse.life + 1, beat: 0 };
  }

  // Telling -----------------------------------------------------------------------------------------------------------------

  /** For one message: each has a beat of its own. */
  report(isSound: boolean, nowMs: number): Report {
    if (this.#pulse !== undefined) this.#pulse = { life: this.#pulse.life, beat: this.#pulse.beat + 1 };
    const sees: Record<string, Sight> = {};
    for (const [region, subject] of this.#subjects) sees[region] = { pulse: subject.newest, isSuspected: this.#suspect(subject, nowMs) };
    return { observer: this.#parts.observer, ...(this.#pulse === undefined ? {} : { pulse: this.#pulse }), isSound, sees };
  }

  // Judging -----------------------------------------------------------------------------------------------------------------

  #suspect(subject: Subject, nowMs: number): boolean {
    return nowMs - subject.heardMs > SUSPECT_MS;
  }

  /** Nobody that I know of has heard it. */
  #isSilent(subject: Subject, nowMs: number): boolean {
    return nowMs - subject.grewMs > SUSPECT_MS; // 2
  }

  #suspicions(subject: Subject, nowMs: number): string[] {
    const others = [...subject.claims].filter(([, { life, atMs }]) => life >= subject.newest.life && nowMs - atMs <= CLAIM_MS).map(([by]) => by); // 3, 4
    return this.#suspect(subject, nowMs) ? [this.#parts.observer, ...others] : others;
  }

  standing(region: RegionId, nowMs: number): Standing | undefined {
    const subject = this.#subjects.get(region);
    if (subject === undefined) return undefined;
    const suspectedBy = this.#suspicions(subject, nowMs);
    const isDown = suspectedBy.length >= this.#parts.agree && this.#isSilent(subject, nowMs);
    const isFlapping = nowMs < subject.heldUntilMs;
    const verdict: Verdict = isDown ? 'down' : suspectedBy.length > 0 || isFlapping || !subject.isSound ? 'suspect' : 'alive';
    return { region, verdict, suspectedBy, silentMs: nowMs - subject.heardMs, isSound: subject.isSound, isFlapping };
  }

  standings(nowMs: number): Standing[] {
    return [...this.#subjects.keys()].flatMap((region) => this.standing(region, nowMs) ?? []);
  }
}
