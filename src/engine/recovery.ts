// A region that starts as somebody new (a wiped folder, a copied one, a volume that was rolled back) takes back what its
// peers hold, the policies first. It does not serve before every peer in reach has given what it has; from a peer that
// cannot be reached it takes later, while it serves, because an island answers alone. Until all have given, the store
// remembers that something may be missing: a start that is killed in the middle is begun again.
//
//   peer in reach      compared before this region serves, again and again until it is done, at most RECOVERY_MS_MAX
//   peer out of reach  compared when it is heard
//   peers that gave before another one did    compared once more, while it serves
//
// The last because of what this region had sent to some only when it was lost: nobody is left to send that to the others,
// and here is where it comes together.

import type { GroupId } from '../core/keys/item-key.ts';
import { isOut } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import { pause, type Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Catalog } from './catalog.ts';
import type { Joining } from './joining.ts';
import type { PeerLink } from './peer-link.ts';
import type { Reconciler } from './reconciler.ts';
import type { Restored } from './restored.ts';

/** Then it serves with what it has: a peer that hangs in the middle must not keep an island silent. */
const RECOVERY_MS_MAX = 60_000;
/** While the heartbeat takes, there is nothing to do but to look again; at once would be a loop that nobody else gets through. */
const AGAIN_MS = 50;
/** Another comparison of the pair may be under way: soon again, then less and less often. */
const AGAIN_FIRST_MS = 100;
const AGAIN_MAX_MS = 5_000;
/** Values first, then what was deleted of them: that shows only where a value is. What comes later is left to the schedule. */
const PASS_ON_ROUNDS_MAX = 3;

export interface RecoveryParts {
  readonly reconciler: Reconciler;
  readonly restored: Restored;
  readonly joining: Joining;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Log;
  /** Nothing is missing any more; durable when it resolves. */
  recovered(): Promise<void>;
  /** False of a peer that the topology has put out of the deployment since. */
  mayGive(peer: RegionId): boolean;
  isStopped(): boolean;
}

export class Recovery {
  readonly #parts: RecoveryParts;
  /** Peers that have not given what they hold. */
  readonly #owing = new Set<RegionId>();
  /** Peers that gave, and may lack what another one gave since. */
  readonly #behindOthers = new Set<RegionId>();
  #roundsLeft = PASS_ON_ROUNDS_MAX;
  #isTaking = false;
  #waitMs = AGAIN_FIRST_MS;
  #notBeforeMs = 0;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  /** Something may be missing that these peers hold. */
  begin(peers: Iterable<RegionId>): void {
    this.#roundsLeft = PASS_ON_ROUNDS_MAX;
    for (const peer of peers) this.#owing.add(peer);
  }

  /** Another process of this region has taken everything. */
  end(): void {
    this.#owing.clear();
  }

  get isPending(): boolean {
    return this.#owing.size > 0;
  }

  /** Now and then while it serves: what is left to do. */
  goOn(): Promise<void> {
    if (this.isPending) return this.take();
    return this.#behindOthers.size > 0 ? this.passOn() : this.#parts.joining.goOn();
  }

  /** Fenced or lost: nobody gives it anything, and it serves nobody. Taken back, it begins again. */
  get #isOut(): boolean {
    return isOut(this.#parts.catalog.self);
  }

  #inReach(): RegionId[] {
    return [...this.#owing].filter((peer) => this.#isUp(peer));
  }

  #isUp(peer: RegionId): boolean {
    const link = this.#parts.links.get(peer);
    return link?.isUp() === true && link.actor !== undefined;
  }

  /** Before this region serves. */
  async beforeServing(): Promise<void> {
    const { clock, log } = this.#parts;
    const endMs = clock.monotonicMs() + RECOVERY_MS_MAX;
    log.write('info', 'region.recovering', { from: this.#inReach() });
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(RECOVERY_MS_MAX, resolve);
    await Promise.race([this.#takeAll(() => clock.monotonicMs() >= endMs || this.#parts.isStopped() || this.#isOut), late]);
    cancel();
  }

  async #takeAll(isOver: () => boolean): Promise<void> {
    while (this.#inReach().length > 0 && !isOver()) {
      await this.take();
      if (this.#inReach().length > 0 && !isOver()) await pause(this.#parts.clock, Math.max(AGAIN_MS, this.#notBeforeMs - this.#parts.clock.monotonicMs()));
    }
  }

  /** From every peer in reach, the policies of all before the rest. */
  async take(): Promise<void> {
    const { catalog, log } = this.#parts;
    if (this.#isOut) return;
    for (const peer of this.#owing) if (!this.#parts.mayGive(peer)) this.#owing.delete(peer);
    if (this.#owing.size === 0 && !this.#isTaking) return this.#noteTaken();
    const peers = this.#inReach();
    if (this.#isTaking || peers.length === 0 || this.#parts.clock.monotonicMs() < this.#notBeforeMs) return;
    this.#isTaking = true;
    try {
      let pulled = 0;
      for (const peer of peers) await this.#compare(peer, [catalog.systemGroup]);
      for (const peer of peers) {
        const taken = this.#parts.isStopped() ? undefined : await this.#compare(peer);
        pulled += taken ?? 0;
        if (taken !== undefined) this.#owing.delete(peer);
        if (taken !== undefined && taken > 0) this.#mayLackOf(peer);
      }
      // mark if (pulled > 0): recovery took back
      // mark if (this.#owing.size > 0): recovery waits for a peer
      if (this.#owing.size === 0) await this.#noteTaken();
      if (this.#inReach().length === 0) log.write('info', 'region.recovered', { pulled, stillFrom: [...this.#owing] });
    } finally {
      this.#isTaking = false;
      this.#wait(this.#inReach().length > 0);
    }
  }

  /** Something came from this one. */
  #mayLackOf(giver: RegionId): void {
    for (const peer of this.#parts.links.keys()) if (peer !== giver && !this.#owing.has(peer) && this.#parts.mayGive(peer)) this.#behindOthers.add(peer);
  }

  /** To peers that gave before others did: what those gave. Compared in the ordinary way, which ends in a certificate. */
  async passOn(): Promise<void> {
    if (this.#owing.size > 0 || this.#behindOthers.size === 0 || this.#isTaking || this.#parts.clock.monotonicMs() < this.#notBeforeMs) return;
    this.#isTaking = true;
    try {
      const given: RegionId[] = [];
      for (const peer of [...this.#behindOthers]) {
        const pulled = this.#parts.mayGive(peer) ? await this.#tell(peer) : 0;
        if (pulled !== undefined) this.#behindOthers.delete(peer);
        if (pulled !== undefined && pulled > 0) given.push(peer);
      }
      if (this.#behindOthers.size > 0) return;
      // mark: recovery passed on what only some had
      if (--this.#roundsLeft > 0) for (const peer of given) this.#mayLackOf(peer);
      await this.#noteTaken();
    } finally {
      this.#isTaking = false;
      this.#wait(this.#behindOthers.size > 0);
    }
  }

  /** How many items came; undefined when it was not told. */
  async #tell(peer: RegionId): Promise<number | undefined> {
    if (!this.#isUp(peer) || this.#parts.isStopped()) return undefined;
    const run = this.#parts.reconciler.run({ peers: [peer] });
    await run.finished;
    return run.state === 'done' ? run.pairs.reduce((sum, { pulled }) => sum + pulled, 0) : undefined;
  }

  async #noteTaken(): Promise<void> {
    if (this.#owing.size === 0 && this.#behindOthers.size === 0) await this.#noteRecovered();
  }

  /** Not noted, it is only done once more at the next start. */
  async #noteRecovered(): Promise<void> {
    try {
      await this.#parts.recovered();
    } catch (error) {
      this.#parts.log.write('warn', 'region.recovery-not-noted', { error: String(error) });
    }
  }

  #wait(again: boolean): void {
    this.#notBeforeMs = again ? this.#parts.clock.monotonicMs() + this.#waitMs : 0;
    this.#waitMs = again ? Math.min(AGAIN_MAX_MS, this.#waitMs * 2) : AGAIN_FIRST_MS;
  }

  /** How many items came; undefined when the comparison was not made. */
  async #compare(peer: RegionId, groups?: readonly GroupId[]): Promise<number | undefined> {
    const knows = await this.#parts.restored.learnLines(peer).then(() => true, () => false); // before anything is sent to it
    if (!knows) return undefined;
    const { stats } = this.#parts.restored;
    const undecidedBefore = stats.undecided;
    const run = this.#parts.reconciler.run({ peers: [peer], hasty: true, ...(groups === undefined ? {} : { groups }) });
    await run.finished;
    // Out of doubt, this region would vouch for a value that it could not ask about, and a deleted one would be back.
    // And what it could not store (its disk is full), it has not taken.
    const isTaken = run.state === 'done' && stats.undecided === undecidedBefore && run.pairs.every(({ notStored }) => notStored === 0);
    return isTaken ? run.pairs.reduce((sum, { pulled }) => sum + pulled, 0) : undefined;
  }
}
