// One region's side of the link to another: asks questions under the envelope, learns from each answer (clock, topology),
// and keeps the breaker that says whether asking is worth while.

import { isArchipelError, ArchipelError } from '../core/errors.ts';
import { EDGE_ATTEMPT_MS } from '../core/limits.ts';
import { Breaker, type BreakerState } from '../core/routing/breaker.ts';
import type { ActorId, RegionId } from '../core/version/dot.ts';
import type { Topology, TopologyVerdict, TopologyVersion } from '../core/placement/topology.ts';
import type { Log } from '../ports/log.ts';
import type { Peer, PeerMethod } from '../ports/peer.ts';
import { seal, unseal, verdictOn, type Envelope, type EnvelopeNews } from './envelope.ts';
import type { Timekeeper } from './timekeeper.ts';

/** Regions that are started together are not all up at once: within this time, a peer that never answered is no news. */
const STARTING_MS = 10_000;

export interface Speaker {
  readonly region: RegionId;
  actor(): ActorId;
  topology(): TopologyVersion;
  /** What every message to the peer tells besides. */
  news(peer: RegionId): EnvelopeNews;
  /** A message of the peer arrived, authentic and of now. */
  told(peer: RegionId, envelope: Envelope): void;
  /** A peer's answer brought the document that it works on. */
  offered(document: Topology): void;
  /** A peer asked us on a newer document: its answer to anything would bring it. */
  hasNewer(peer: RegionId): void;
}

export class PeerLink {
  readonly id: RegionId;
  readonly #peer: Peer;
  readonly #speaker: Speaker;
  readonly #time: Timekeeper;
  readonly #log: Log;
  readonly #breaker = new Breaker();
  readonly #listeners = new Set<() => void>();
  readonly #sinceMs: number;
  #answeredMs = Number.NEGATIVE_INFINITY;
  #isSaidToBeDown = false;
  #actor: ActorId | undefined;
  #isInDoubt = false;
  /** On the peer's topology: said once, when it changes. */
  #verdict: TopologyVerdict = 'same';
  readonly stats = { questions: 0, unreachable: 0, refused: 0, roundTripMs: 0 };

  constructor(peer: Peer, speaker: Speaker, time: Timekeeper, log: Log) {
    this.id = peer.id;
    this.#peer = peer;
    this.#speaker = speaker;
    this.#time = time;
    this.#log = log;
    this.#sinceMs = time.monotonicMs();
  }

  /** The actor that the peer last spoke as. */
  get actor(): ActorId | undefined {
    return this.#actor;
  }

  /** As it last said. */
  get isOnSameTopology(): boolean {
    return this.#verdict === 'same';
  }

  /** What it holds may have been reaped elsewhere: as it last said. */
  get isInDoubt(): boolean {
    return this.#isInDoubt;
  }

  breakerState(): BreakerState {
    return this.#breaker.state(this.#time.monotonicMs());
  }

  /** Worth sending to, without being a trial. */
  isUp(): boolean {
    return this.breakerState() === 'closed';
  }

  /**
   * Milliseconds since the peer last answered a question. What it asks does not count: only an answer, whose round trip is
   * known, compares clocks.
   */
  silentMs(): number {
    return this.#time.monotonicMs() - this.#answeredMs;
  }

  /** Calls back when the peer shows that it lives after it did not. */
  onReturn(listener: () => void): void {
    this.#listeners.add(listener);
  }

  envelope(): Envelope {
    return { from: this.#speaker.region, actor: this.#speaker.actor(), wallMs: this.#time.wallMs(), clock: this.#time.status(), topology: this.#speaker.topology(), ...this.#speaker.news(this.id) };
  }

  /** As the port's `ask`: `peer-unreachable` or `peer-refused` (with `details.reason`). */
  async ask(method: PeerMethod, body: Uint8Array, timeoutMs = EDGE_ATTEMPT_MS): Promise<Uint8Array> {
    const startMs = this.#time.monotonicMs();
    this.stats.questions++;
    try {
      const answer = unseal(await this.#peer.ask(method, seal(this.envelope(), body), timeoutMs));
      if (answer.envelope.from !== this.id) throw new ArchipelError('peer-unreachable', `${answer.envelope.from} answers in the place of ${this.id}.`);
      this.#heard(answer.envelope, startMs);
      const refused = answer.envelope.refused;
      if (refused !== undefined) throw new ArchipelError('peer-refused', `${this.id} refused: ${refused.message}`, { reason: refused.code });
      return answer.body;
    } catch (error) {
      if (isArchipelError(error, 'peer-refused')) this.stats.refused++;
      else this.#failed();
      throw isArchipelError(error) ? error : new ArchipelError('peer-unreachable', `${this.id} gave no usable answer.`, {}, error);
    }
  }

  #failed(): void {
    const nowMs = this.#time.monotonicMs();
    this.stats.unreachable++;
    this.#breaker.fail(nowMs);
    const isStarting = this.#answeredMs === Number.NEGATIVE_INFINITY && nowMs - this.#sinceMs < STARTING_MS;
    if (this.isUp() || this.#isSaidToBeDown || isStarting) return;
    this.#isSaidToBeDown = true;
    this.#log.write('warn', 'peer.down', { peer: this.id });
  }

  #heard(envelope: Envelope, startMs: number): void {
    const nowMs = this.#time.monotonicMs();
    this.stats.roundTripMs = nowMs - startMs;
    this.#time.heard(this.id, envelope.clock, envelope.wallMs, nowMs - startMs);
    this.#answeredMs = nowMs;
    this.#note(envelope);
    if (envelope.document !== undefined) this.#speaker.offered(envelope.document);
    const wasUp = this.#breaker.state(nowMs) === 'closed';
    this.#breaker.succeed(nowMs);
    if (wasUp) return;
    this.#isSaidToBeDown = false;
    this.#log.write('info', 'peer.up', { peer: this.id });
    for (const listener of this.#listeners) listener();
  }

  /** Answers the verdict when it has changed. */
  #note(envelope: Envelope): TopologyVerdict | undefined {
    this.#actor = envelope.actor;
    this.#isInDoubt = envelope.isInDoubt === true;
    this.#speaker.told(this.id, envelope);
    const verdict = verdictOn(envelope, this.#speaker.topology());
    if (verdict === this.#verdict) return undefined;
    this.#verdict = verdict;
    if (verdict !== 'same') this.#log.write('warn', 'topology.differs', { peer: this.id, verdict, theirs: envelope.topology });
    return verdict;
  }

  /** The peer sent us something: it lives, so try again at once. */
  heardFrom(envelope: Envelope): void {
    const nowMs = this.#time.monotonicMs();
    this.#time.heardOneWay(this.id, envelope.clock, envelope.wallMs);
    if (this.#note(envelope) === 'newer') this.#speaker.hasNewer(this.id);
    if (this.#breaker.state(nowMs) === 'closed') return;
    this.#breaker.nudge(nowMs);
    for (const listener of this.#listeners) listener();
  }
}
