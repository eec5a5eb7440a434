// What a region knows of its own fitness and of the others', for whoever routes. Nothing here moves data or changes the
// topology.

import { Lag } from '../core/health/lag.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Envelope } from './envelope.ts';
import type { Lane } from './lane.ts';
import type { Phase } from './region.ts';
import type { Timekeeper } from './timekeeper.ts';

export interface HealthParts {
  readonly time: Pick<Timekeeper, 'monotonicMs'>;
  hasPeers(): boolean;
  phase(): Phase;
}

/** How old what was not even hinted is taken to be. */
const BEHIND_MS = 60_000;

/** What a peer is told that it lacks: the age of the oldest. What an operator holds back is no lag. */
export function owedTo(lane: Pick<Lane, 'isPaused' | 'behind' | 'oldestMs'>): Pick<Envelope, 'owesMs'> {
  if (lane.isPaused) return {};
  const owesMs = Math.ceil(lane.behind > 0 ? Math.max(BEHIND_MS, lane.oldestMs()) : lane.oldestMs());
  return owesMs > 0 ? { owesMs } : {};
}

/** Of a region that does not serve yet: nobody knows what it lacks. */
const UNKNOWN_LAG_MS = 3_600_000;

export class Health {
  readonly #parts: HealthParts;
  readonly #lag: Lag;
  /** A process that exists only while it answers: it hears nobody, and its table is applied to by others. */
  isAlone = false;

  constructor(parts: HealthParts) {
    this.#parts = parts;
    this.#lag = new Lag(parts.time.monotonicMs());
  }

  /** A message of a peer: a question or an answer. */
  told(peer: RegionId, { owesMs = 0 }: Envelope): void {
    this.#lag.heard(peer, owesMs, this.#parts.time.monotonicMs());
  }

  /** How far this region lies behind its peers. */
  lagMs(): number {
    if (this.#parts.phase() !== 'serving') return UNKNOWN_LAG_MS;
    return this.isAlone || !this.#parts.hasPeers() ? 0 : this.#lag.lagMs(this.#parts.time.monotonicMs());
  }
}
