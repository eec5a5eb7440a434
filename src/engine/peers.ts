// The other regions as this one deals with them: a link for questions and a lane for writes to each. Those that the
// topology comes to list are met, those that it lists no longer are parted from; everybody else looks them up when asking.

import { ArchipelError } from '../core/errors.ts';
import type { RegionId } from '../core/version/dot.ts';
import { pause, type Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Peer } from '../ports/peer.ts';
import type { Table } from '../ports/table.ts';
import type { Catalog } from './catalog.ts';
import { keepDocument, readDocument } from './documents.ts';
import { Lane } from './lane.ts';
import type { Limits } from './limits.ts';
import { PeerLink, type Speaker } from './peer-link.ts';
import type { RegionParts } from './region-parts.ts';
import type { Timekeeper } from './timekeeper.ts';

export interface PeersParts {
  readonly table: Table;
  readonly catalog: Catalog;
  readonly time: Timekeeper;
  readonly clock: Clock;
  readonly log: Log;
  readonly speaker: Speaker;
  readonly limits: Limits;
  readonly ports: Pick<RegionParts, 'peers' | 'peer' | 'hints' | 'changes'>;
  isGreeted(peer: RegionId): boolean;
  /** Says hello. Never rejects. */
  greet(link: PeerLink): Promise<void>;
}

const PAUSES = 'paused';
/** A region that starts asks before it listens. */
const GREET_BACK_MS = [0, 20, 50, 100] as const;

export class Peers {
  readonly links = new Map<RegionId, PeerLink>();
  readonly lanes = new Map<RegionId, Lane>();
  readonly #parts: PeersParts;
  readonly #greeting = new Set<PeerLink>();

  constructor(parts: PeersParts) {
    this.#parts = parts;
    for (const peer of parts.ports.peers) this.#add(peer);
  }

  #add(peer: Peer): Lane {
    const { table, catalog, time, clock, log, speaker, limits, ports } = this.#parts;
    const { id } = peer;
    const link = new PeerLink(peer, speaker, time, log);
    const { changes } = ports;
    const unread = changes.unread === undefined ? undefined : (): Promise<number> => (changes.unread as NonNullable<typeof changes.unread>)(id);
    const lane = new Lane({ link, unread, isGreeted: () => this.#parts.isGreeted(id), hints: ports.hints(id), limits, table, catalog, clock, log });
    link.onReturn(() => void this.#greetBack(link));
    this.links.set(id, link);
    this.lanes.set(id, lane);
    return lane;
  }

  /** A peer that was out of reach has asked something: what waits for it goes when it has answered, not at the next heartbeat. */
  async #greetBack(link: PeerLink): Promise<void> {
    if (this.#greeting.has(link)) return;
    this.#greeting.add(link);
    for (const waitMs of GREET_BACK_MS) {
      if (waitMs > 0) await pause(this.#parts.clock, waitMs);
      if (link.isUp() || this.links.get(link.id) !== link) break;
      await this.#parts.greet(link);
    }
    this.#greeting.delete(link);
  }

  /** What the last run left behind, before anything is counted. */
  async load(): Promise<void> {
    await this.loadPauses();
    await Promise.all([...this.lanes.values()].map((lane) => lane.load()));
  }

  async loadPauses(): Promise<void> {
    const paused = (await readDocument<RegionId[]>(this.#parts.table, PAUSES)) ?? [];
    for (const [id, lane] of this.lanes) if (lane.isPaused !== paused.includes(id)) lane.setPaused(paused.includes(id));
  }

  /** False when nobody says how it is reached. */
  async meet(id: RegionId): Promise<boolean> {
    if (this.lanes.has(id)) return true;
    const peer = this.#parts.ports.peer?.(id);
    if (peer === undefined) return false;
    await this.#add(peer).load();
    return true;
  }

  part(id: RegionId): void {
    this.links.delete(id);
    this.lanes.get(id)?.stop();
    this.lanes.delete(id);
  }

  /** Durable when it resolves. */
  async setPaused(id: RegionId, paused: boolean): Promise<void> {
    const lane = this.lanes.get(id);
    if (lane === undefined) throw new ArchipelError('not-found', `${id} is not a peer of this region.`);
    lane.setPaused(paused);
    await keepDocument(this.#parts.table, PAUSES, () => [...this.lanes].filter(([, each]) => each.isPaused).map(([peer]) => peer));
  }
}
