// A region that the document lists as `joining` (one that was lost and is taken back) is sent everything from then on, and takes
// from the others what there was before. It holds everything when it has a certificate of this document with every replica: until
// then it compares again and again, and says with whom it has none. That makes it no more than ready: an operator makes it active.

import { utf8, utf8Text } from '../core/bytes.ts';
import { isArchipelError } from '../core/errors.ts';
import { isOut } from '../core/placement/topology.ts';
import type { ActorId, RegionId } from '../core/version/dot.ts';
import type { Catalog } from './catalog.ts';
import type { HelloAnswer } from './peer-door.ts';
import type { PeerLink } from './peer-link.ts';
import type { Reconciler } from './reconciler.ts';

const HELLO_MS = 1_000;

export interface JoiningParts {
  readonly region: RegionId;
  readonly catalog: Catalog;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly reconciler: Reconciler;
  actor(): ActorId;
  /** What the peers hold has not been taken yet. */
  isPending(): boolean;
}

export class Joining {
  readonly #parts: JoiningParts;
  #isComparing = false;

  constructor(parts: JoiningParts) {
    this.#parts = parts;
  }

  /** Replicas with which there is no certificate of the document in force and of everything that both hold, or that are not in reach now: what they took since, they alone may have. */
  lacks(): RegionId[] {
    const { catalog, links, reconciler } = this.#parts;
    return [...links.keys()].filter((peer) => !isOut(catalog.entry(peer)) && (this.#parts.isPending() || links.get(peer)?.isUp() !== true || reconciler.proof(peer) === undefined));
  }

  /** Now and then: with those in reach. */
  async goOn(): Promise<void> {
    const { catalog, links, reconciler } = this.#parts;
    if (this.#isComparing || catalog.self.state !== 'joining') return;
    const peers = this.lacks().filter((peer) => links.get(peer)?.isUp() === true);
    if (peers.length === 0) return;
    this.#isComparing = true;
    try {
      await reconciler.run({ peers }).finished;
    } finally {
      this.#isComparing = false;
    }
  }

  /** Why a joining region cannot be made active yet, in one sentence; undefined when it holds everything. As it says itself. */
  async whyNot(region: RegionId): Promise<string | undefined> {
    const lacks = region === this.#parts.region ? this.lacks() : await this.#ask(region);
    if (typeof lacks === 'string') return lacks;
    return lacks.length === 0 ? undefined : `${region} is joining: it has no certificate with ${lacks.join(', ')} yet.`;
  }

  async #ask(region: RegionId): Promise<readonly RegionId[] | string> {
    const link = this.#parts.links.get(region);
    try {
      const answer = await link?.ask('hello', utf8(JSON.stringify({ actor: this.#parts.actor() })), HELLO_MS);
      const { lacks } = JSON.parse(answer === undefined ? '{}' : (utf8Text(answer) ?? '')) as HelloAnswer;
      return lacks === undefined || link?.isOnSameTopology !== true ? `${region} is joining: it does not say yet whether it holds everything.` : lacks;
    } catch (error) {
      return `${region} is joining, and does not answer: ${isArchipelError(error) ? error.message : String(error)}`;
    }
  }
}
