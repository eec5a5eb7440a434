// An observer without data: an edge, or a witness. It asks every region whether it is there and tells it what it sees of the
// others, so that where two regions are left, one of them that is dead can be told from a bad link: by the other and by it.
//
// It asks by itself, every half second. The requests that an edge passes on carry the word of the client who sent them, not its
// own; and a witness has none to pass on.

import { utf8, utf8Text } from '../core/bytes.ts';
import { Detector, type Standing, type Verdict } from '../core/health/detector.ts';
import { received, sendable } from '../core/health/report.ts';
import { OBSERVERS_AGREE, PEER_PROBE_MS } from '../core/limits.ts';
import type { Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Cancel, Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Observation, Observed } from './health.ts';

/** An answer that comes later is of no use: the next question is under way by then. */
const ASK_MS = 1_000;

export interface ObserverParts {
  /** As the regions name it: `isObserverId` of report.ts. */
  readonly id: string;
  readonly clock: Clock;
  readonly log: Log;
  /** How many observers make a region down; OBSERVERS_AGREE by default. */
  readonly agree?: number | undefined;
  /** Those to ask now: a newer topology may list others. */
  regions(): readonly RegionId[];
  ask(region: RegionId, question: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /** Of the document that it works on; absent where it works on none. */
  version?(): { readonly term: number; readonly epoch: number };
  /** A region works on a newer one. */
  learnt?(region: RegionId, document: Topology): void;
  /** A region became down for this observer, or is not down any more. */
  judged?(region: RegionId, isDown: boolean): void;
}

export class Observer {
  readonly #parts: ObserverParts;
  readonly #detector: Detector;
  readonly #asking = new Set<RegionId>();
  readonly #verdicts = new Map<RegionId, Verdict>();
  #cancel: Cancel | undefined;

  constructor(parts: ObserverParts) {
    this.#parts = parts;
    this.#detector = new Detector({ observer: parts.id, agree: parts.agree ?? OBSERVERS_AGREE });
  }

  start(): void {
    this.#tick();
    this.#cancel = this.#parts.clock.after(PEER_PROBE_MS, () => this.start());
  }

  stop(): void {
    this.#cancel?.();
  }

  standings(): Standing[] {
    return this.#detector.standings(this.#parts.clock.monotonicMs());
  }

  #tick(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const regions = this.#parts.regions();
    this.#detector.watch(regions, nowMs);
    this.#detector.tick(nowMs);
    for (const region of regions) void this.#ask(region);
    for (const standing of this.#detector.standings(nowMs)) this.#judge(standing);
  }

  async #ask(region: RegionId): Promise<void> {
    if (this.#asking.has(region)) return;
    this.#asking.add(region);
    try {
      const { clock } = this.#parts;
      const report = this.#detector.report(true, clock.monotonicMs());
      const version = this.#parts.version?.();
      const said: Observation = { ...sendable(report), ...(version === undefined ? {} : { t: [version.term, version.epoch] }) };
      const answer = JSON.parse(utf8Text(await this.#parts.ask(region, utf8(JSON.stringify(said)), ASK_MS)) ?? '') as Observed;
      const told = answer.region === region ? received(region, answer) : undefined;
      if (told !== undefined) this.#detector.heard(told, clock.monotonicMs());
      if (told !== undefined && answer.topology !== undefined) this.#learn(region, answer.topology);
    } catch (error) {
      this.#parts.log.write('debug', 'observer.not-answered', { region, error: String(error) });
    } finally {
      this.#asking.delete(region);
    }
  }

  #learn(region: RegionId, document: Topology): void {
    try {
      this.#parts.learnt?.(region, document);
    } catch (error) {
      this.#parts.log.write('error', 'observer.topology-not-learnt', { region, error: String(error) });
    }
  }

  #judge({ region, verdict, suspectedBy }: Standing): void {
    const before = this.#verdicts.get(region) ?? 'alive';
    this.#verdicts.set(region, verdict);
    if (before === verdict || (before !== 'down' && verdict !== 'down')) return;
    this.#parts.log.write(verdict === 'down' ? 'warn' : 'info', 'region.verdict', { region, verdict, suspectedBy });
    this.#parts.judged?.(region, verdict === 'down');
  }
}
