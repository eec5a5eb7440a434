// What a region knows of its own fitness, and of the others', for whoever routes. Nothing here moves data or changes the
// topology.

import { utf8, utf8Text } from '../core/bytes.ts';
import type { ClockStatus } from '../core/clock/clock-guard.ts';
import { ArchipelError } from '../core/errors.ts';
import { Detector, type Standing, type Verdict } from '../core/health/detector.ts';
import { Lag } from '../core/health/lag.ts';
import { isObserverId, received, sendable, type SentReport } from '../core/health/report.ts';
import { OBSERVERS_AGREE } from '../core/limits.ts';
import { isNewerVersion, type Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Table } from '../ports/table.ts';
import { DataPath } from './data-path.ts';
import type { Envelope, EnvelopeNews } from './envelope.ts';
import type { Lane } from './lane.ts';
import type { Phase } from './serving.ts';

export interface HealthParts {
  readonly region: RegionId;
  readonly clock: Clock;
  readonly table: Table;
  readonly log: Log;
  /** How many observers make a region down; OBSERVERS_AGREE by default. */
  readonly agree: number | undefined;
  lanes(): ReadonlyMap<RegionId, Lane>;
  /** The document in force. */
  topology(): Topology;
  phase(): Phase;
}

/** How old what was not even hinted is taken to be. */
const BEHIND_MS = 60_000;
/** Of a region that does not serve yet: nobody knows what it lacks. */
const UNKNOWN_LAG_MS = 3_600_000;

/** What a peer is told that it lacks: the age of the oldest. What an operator holds back is no lag. */
function owedTo(lane: Pick<Lane, 'isPaused' | 'behind' | 'oldestMs'>): number {
  if (lane.isPaused) return 0;
  return Math.ceil(lane.behind > 0 ? Math.max(BEHIND_MS, lane.oldestMs()) : lane.oldestMs());
}

/** An answer to an observer that is no region. */
export interface Observed extends SentReport {
  readonly region: RegionId;
  readonly lagMs: number;
  /** To who works on an older one. */
  readonly topology?: Topology;
}

/** What an observer says: the version of the document that it works on, where it has one. */
export interface Observation extends SentReport {
  readonly t?: readonly [term: number, epoch: number];
}

/** A region as this one sees it. */
export interface Seen extends Standing {
  readonly clock: ClockStatus | undefined;
}

export class Health {
  readonly #parts: HealthParts;
  readonly #lag: Lag;
  readonly #detector: Detector;
  readonly #dataPath: DataPath;
  readonly #clocks = new Map<RegionId, ClockStatus>();
  readonly #verdicts = new Map<RegionId, Verdict>();
  /** A process that exists only while it answers: it hears nobody, and its table is applied to by others. */
  isAlone = false;

  constructor(parts: HealthParts) {
    this.#parts = parts;
    this.#lag = new Lag(parts.clock.monotonicMs());
    this.#detector = new Detector({ observer: parts.region, life: Math.max(0, Math.floor(parts.clock.wallMs())), agree: parts.agree ?? OBSERVERS_AGREE });
    this.#dataPath = new DataPath(parts);
  }

  /** Every half second. */
  tick(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    this.#detector.watch([...this.#parts.lanes().keys()], nowMs);
    this.#detector.tick(nowMs);
    this.#dataPath.check();
    for (const { region, verdict, suspectedBy } of this.#detector.standings(nowMs)) {
      const before = this.#verdicts.get(region) ?? 'alive';
      this.#verdicts.set(region, verdict);
      if (before === verdict || (before !== 'down' && verdict !== 'down')) continue;
      // mark if (verdict === 'down'): observers agree that a region is down
      // mark if (verdict === 'down' && suspectedBy.some(isObserverId)): a region is down by the word of an edge
      this.#parts.log.write(verdict === 'down' ? 'warn' : 'info', 'region.verdict', { region, verdict, suspectedBy });
    }
  }

  // Telling and hearing -------------------------------------------------------------------------------------------------------

  /** What every message to a peer tells besides. */
  news(to: RegionId): EnvelopeNews {
    if (this.isAlone) return {};
    const lane = this.#parts.lanes().get(to);
    const owesMs = lane === undefined ? 0 : owedTo(lane);
    return { health: this.#report(), ...(owesMs > 0 ? { owesMs } : {}) };
  }

  #report(): SentReport {
    return sendable(this.#detector.report(this.isSound, this.#parts.clock.monotonicMs()));
  }

  /** A message of a peer: a question or an answer. */
  told(peer: RegionId, { owesMs = 0, health, clock }: Envelope): void {
    const nowMs = this.#parts.clock.monotonicMs();
    this.#lag.heard(peer, owesMs, nowMs);
    this.#clocks.set(peer, clock);
    const report = received(peer, health);
    if (report !== undefined) this.#detector.heard(report, nowMs);
  }

  /** An edge or a witness tells what it sees, and is told. @throws ArchipelError `bad-request`, `forbidden` */
  observe(observer: string, question: Uint8Array): Uint8Array {
    if (!isObserverId(observer)) throw new ArchipelError('forbidden', `${observer} is no observer.`);
    const observation = parsed(question);
    const report = received(observer, observation);
    if (report === undefined) throw new ArchipelError('bad-request', 'Not a report.');
    this.#detector.heard(report, this.#parts.clock.monotonicMs());
    const topology = this.#newerThan((observation as Observation).t);
    const answer: Observed = { region: this.#parts.region, lagMs: Math.round(this.lagMs()), ...this.#report(), ...(topology === undefined ? {} : { topology }) };
    return utf8(JSON.stringify(answer));
  }

  /** An edge learns it so, whatever its clients may ask. */
  #newerThan(version: Observation['t']): Topology | undefined {
    if (!Array.isArray(version)) return undefined;
    const topology = this.#parts.topology();
    const [term, epoch] = version;
    return isNewerVersion(topology, { term: Number(term), epoch: Number(epoch) }) ? topology : undefined;
  }

  // Asking ----------------------------------------------------------------------------------------------------------------------

  /** A read and a durable write of its own were answered a moment ago. */
  get isSound(): boolean {
    return this.#dataPath.isSound;
  }

  /** How far this region lies behind its peers. */
  lagMs(): number {
    if (this.#parts.phase() !== 'serving') return UNKNOWN_LAG_MS;
    return this.isAlone || this.#parts.lanes().size === 0 ? 0 : this.#lag.lagMs(this.#parts.clock.monotonicMs());
  }

  /** Undefined of a region that is not watched here. */
  seen(region: RegionId): Seen | undefined {
    const standing = this.isAlone ? undefined : this.#detector.standing(region, this.#parts.clock.monotonicMs());
    return standing === undefined ? undefined : { ...standing, clock: this.#clocks.get(region) };
  }
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8Text(bytes) ?? '');
  } catch (error) {
    throw new ArchipelError('bad-request', 'Not a report.', {}, error);
  }
}
