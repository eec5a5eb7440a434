// Creating and changing collections. Creating is rare, so it asks everybody: a collection takes items only when every
// region (that is not fenced or lost) holds its policy, or a region could receive items whose placement it does not know.
//
//   1. The policy is written here, pending, unless another one is known here.
//   2. It is merged at every region, and each one's copy is fetched back. A creation that crossed ours must have been
//      written there before ours arrived, so it comes back with the copy; the smaller dot stands everywhere.
//   3. When all have answered, it is written again as active. A region that finds a pending policy finishes this later.

import { utf8 } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { isOut } from '../core/placement/topology.ts';
import { oneWrite } from '../core/version/lww.ts';
import { formatDot, type Dot, type RegionId } from '../core/version/dot.ts';
import { EMPTY_STATE, holdsSeveral, type State, type Value } from '../core/version/record.ts';
import { decodeState, encodeState } from '../core/version/codec.ts';
import { decideWrite } from '../core/version/write.ts';
import type { ActorId } from '../core/version/dot.ts';
import type { HashFunction } from '../core/version/tag.ts';
import { STAMP_ZERO } from '../core/version/stamp.ts';
import type { Table } from '../ports/table.ts';
import type { Log } from '../ports/log.ts';
import type { Applier } from './apply.ts';
import { COLLECTIONS, effectivePolicy, parsePolicy, type Catalog, type Collection, type Policy } from './catalog.ts';
import { decodeReceipts, decodeRecords, encodeRecords } from './envelope.ts';
import { lossRows } from './ledger.ts';
import type { PeerLink } from './peer-link.ts';
import type { Timekeeper } from './timekeeper.ts';

export type PolicySpec = Pick<Policy, 'conflict' | 'regions' | 'replicas' | 'ttlSeconds' | 'maxValueBytes' | 'requireContext'>;
/** `null` takes a setting away. */
export type PolicyPatch = Partial<Pick<Policy, 'conflict' | 'requireContext'>> & { readonly ttlSeconds?: number | null; readonly maxValueBytes?: number | null };

export interface CollectionsParts {
  readonly region: RegionId;
  actor(): ActorId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly time: Timekeeper;
  readonly applier: Applier;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly hash: HashFunction;
  readonly log: Log;
}

const SPREAD_TIMEOUT_MS = 2_000;

/** Which fields a client chose, in one order: what "the same policy" means. */
export const specText = (spec: PolicySpec): string =>
  JSON.stringify([spec.conflict, spec.regions === 'all' ? 'all' : [...spec.regions].sort(), spec.replicas, spec.ttlSeconds, spec.maxValueBytes, spec.requireContext === true]);

export class Collections {
  readonly #parts: CollectionsParts;

  constructor(parts: CollectionsParts) {
    this.#parts = parts;
  }

  /**
   * Answers the collection and whether it was there before; `policy.active` says whether it may be used.
   * @throws ArchipelError `collection-exists` when another policy stands under the name
   */
  async create(name: string, spec: PolicySpec): Promise<{ readonly collection: Collection; readonly existed: boolean }> {
    const policy: Policy = { ...spec, created: new Date(this.#parts.time.nowMs()).toISOString(), active: false };
    this.#parts.catalog.assertNoCollision(policy);
    const existed = await this.#writePending(name, policy);
    const before = this.#known(name);
    if (specText(before.policy) !== specText(spec)) throw exists(name);
    if (before.policy.active) return { collection: before, existed };
    await this.finish(name);
    const collection = this.#known(name);
    if (specText(collection.policy) !== specText(spec)) throw exists(name);
    return { collection, existed };
  }

  #known(name: string): Collection {
    const collection = this.#parts.catalog.find(name);
    if (collection === undefined) throw new ArchipelError('internal', `The policy of ${name} was written but is not known.`);
    return collection;
  }

  /** True when a policy was there already. */
  #writePending(name: string, policy: Policy): Promise<boolean> {
    return this.#update(name, (state) => {
      if (effectivePolicy(state) !== undefined) return undefined;
      if (state.values.length > 0) throw exists(name); // one of a later release: not understood here, but it stands
      return { policy, supersedes: false };
    }).then((written) => !written);
  }

  /** Spreads a pending policy and activates it when every region holds it. True when it is active. */
  async finish(name: string): Promise<boolean> {
    const collection = this.#known(name);
    if (collection.policy.active) return true;
    const isSpread = await this.#spread(name);
    // mark if (!isSpread): collection pending
    if (!isSpread) return false;
    await this.#update(name, (state) => {
      const effective = effectivePolicy(state);
      return effective === undefined || effective.active ? undefined : { policy: { ...effective, active: true, createdBy: creationOf(state, effective) }, supersedes: true };
    });
    await this.#spread(name);
    return true;
  }

  /** Merges the policy at every region and takes back what it holds. True when all have it. */
  async #spread(name: string): Promise<boolean> {
    const others = this.#parts.catalog.topology.regions.filter((entry) => entry.id !== this.#parts.region && !isOut(entry));
    const held = await Promise.all(others.map(({ id }) => this.#exchange(name, id)));
    return held.every(Boolean);
  }

  async #exchange(name: string, region: RegionId): Promise<boolean> {
    const link = this.#parts.links.get(region);
    const key = this.#parts.catalog.systemKey(COLLECTIONS, name);
    const record = await this.#parts.table.get(key);
    if (link === undefined || record === undefined) return false;
    try {
      const sent = encodeRecords([{ key: key.encoded, state: encodeState(record.state) }]);
      if (decodeReceipts(await link.ask('merge', sent, SPREAD_TIMEOUT_MS), 1)[0] !== 'applied') return false;
      const [theirs] = decodeRecords(await link.ask('fetch', encodeRecords([{ key: key.encoded, state: new Uint8Array(0) }]), SPREAD_TIMEOUT_MS));
      if (theirs !== undefined) await this.#parts.applier.merge(key, decodeState(theirs.state));
      return true;
    } catch (error) {
      this.#parts.log.write('warn', 'collection.not-spread', { collection: name, region, error: String(error) });
      return false;
    }
  }

  /** @throws ArchipelError `collection-not-found` */
  async change(name: string, patch: PolicyPatch): Promise<Collection> {
    this.#parts.catalog.require(name);
    await this.#update(name, (state) => {
      const before = effectivePolicy(state);
      return before === undefined ? undefined : { policy: { ...patched(before, patch), createdBy: creationOf(state, before) }, supersedes: true };
    });
    await this.#spread(name);
    return this.#known(name);
  }

  /** False when `next` found nothing to write. */
  #update(name: string, next: (state: State) => { policy: Policy; supersedes: boolean } | undefined): Promise<boolean> {
    const { catalog, time, hash, table } = this.#parts;
    const key = catalog.systemKey(COLLECTIONS, name);
    const setting = { conflict: 'siblings' as const, requireContext: false, actor: this.#parts.actor(), stamp: time.stamp(), reapedLine: STAMP_ZERO, nowMs: time.nowMs(), hash };
    return table.update(key, {
      decide: (current) => {
        const state = current?.state ?? EMPTY_STATE;
        const chosen = next(state);
        if (chosen === undefined) return { result: false };
        const decision = decideWrite(state, { value: jsonValue(chosen.policy, hash), ...(chosen.supersedes ? { context: state.context } : {}) }, setting);
        if (decision.type !== 'commit') return { result: false };
        time.observe(decision.dot.stamp);
        return { result: true, commit: { state: decision.state, kind: 'local' } };
      },
    });
  }

  /**
   * What somebody left half done is finished by whoever finds it: a policy whose creator went away, items that hold several
   * values in a collection that is `lww` now (or whose policy came after them). One that fails does not keep the others.
   */
  async settle(): Promise<void> {
    for (const collection of this.#parts.catalog.list()) {
      const { name, policy } = collection;
      try {
        if (!policy.active) await this.finish(name);
        if (policy.conflict === 'lww') await this.collapse(collection);
      } catch (error) {
        this.#parts.log.write('warn', 'collection.not-settled', { collection: name, error: String(error) });
      }
    }
  }

  /** After a change from `siblings` to `lww`, and when the policy comes to be known: every item with several values keeps the largest and ledgers the rest. */
  async collapse(collection: Collection): Promise<number> {
    let count = 0;
    for (let after: Uint8Array | undefined; ; ) {
      const page = await this.#parts.table.siblings(collection.name, 100, after);
      for (const key of page.items) {
        count++;
        await this.#parts.table.update(key, {
          decide: (current) => {
            if (current === undefined || !holdsSeveral(current.state)) return { result: undefined };
            const [state, losses] = oneWrite(current.state);
            // Twins stay. Whoever took one of them by order alone holds that one: it is sent both, once.
            if (state === current.state && current.kind === 'local') return { result: undefined };
            // mark if (state === current.state): twins sent when their collection became lww
            return { result: undefined, commit: { state, kind: 'local' }, losses: lossRows(key, losses, { region: this.#parts.region, atMs: this.#parts.time.nowMs(), hash: this.#parts.hash, kind: 'local' }) };
          },
        });
      }
      if (page.cursor === undefined) return count;
      after = page.cursor;
    }
  }
}

function patched(before: Policy, patch: PolicyPatch): Policy {
  const { ttlSeconds, maxValueBytes, ...rest } = { ...before, ...patch };
  return { ...rest, ...(typeof ttlSeconds === 'number' ? { ttlSeconds } : {}), ...(typeof maxValueBytes === 'number' ? { maxValueBytes } : {}) };
}

const exists = (name: string): ArchipelError => new ArchipelError('collection-exists', `There is a collection ${name} with another policy.`);

/** The dot of the creation that the effective policy descends from. */
function creationOf(state: State, policy: Policy): string {
  if (policy.createdBy !== undefined) return policy.createdBy;
  const text = JSON.stringify(policy);
  const dot: Dot | undefined = state.values.find(({ value }) => JSON.stringify(parsePolicy(value.bytes)) === text)?.dot;
  if (dot === undefined) throw new TypeError('The effective policy is one of the values.');
  return formatDot(dot);
}

export function jsonValue(content: unknown, hash: HashFunction): Value {
  const bytes = utf8(JSON.stringify(content));
  return { bytes, contentType: 'application/json', hash: hash(bytes).slice(0, 8) };
}
