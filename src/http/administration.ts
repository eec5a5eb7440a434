// Routes about the store itself: collections, replication, reconciliation, topology, keys.

import { utf8, utf8Text } from '../core/bytes.ts';
import { PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, PARTITIONS } from '../core/limits.ts';
import { ArchipelError } from '../core/errors.ts';
import { placementText } from '../core/placement/placement.ts';
import type { Topology } from '../core/placement/topology.ts';
import { changeTopology, promoteRegion, type TopologyVerb } from '../core/placement/topology-change.ts';
import { isRegionId, type RegionId } from '../core/version/dot.ts';
import type { Collection } from '../engine/catalog.ts';
import { KEYS } from '../engine/catalog.ts';
import { jsonValue, type PolicySpec } from '../engine/collections.ts';
import { mayUseCollection, newKey, type KeyRecord } from '../auth/keys.ts';
import type { z } from '@hono/zod-openapi';
import type { Call } from './call.ts';
import type { Listing } from './cursors.ts';
import type { keyRequest, policyPatch, policySpec, reconcileRequest } from './schemas.ts';
import { isoOf, keyObject } from './representation.ts';
import { certificateBody } from './runs.ts';
import type { Service } from './service.ts';
import { percentDecodeText } from './target.ts';

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const KEY_SPREAD_MS = 1_000;
const HOT_SHOWN = 10;
const share = (count: number, total: number): number => Math.round((count / Math.max(1, total)) * 1_000) / 1_000;

export class Administration {
  readonly #service: Service;

  constructor(service: Service) {
    this.#service = service;
  }

  // Collections -------------------------------------------------------------------------------------------------------------

  #collection({ name, group, policy }: Collection): Record<string, unknown> {
    const { active, createdBy: _createdBy, ...fields } = policy;
    return { name, ...fields, group, state: active ? 'active' : 'pending' };
  }

  async createCollection(call: Call, body: z.output<typeof policySpec>): Promise<Answer> {
    const name = call.collectionName;
    const { collection, existed } = await this.#service.region.collections.create(name, this.#spec(body));
    const status = collection.policy.active ? (existed ? 200 : 201) : 202;
    return { status, body: this.#collection(collection), headers: { location: `/v1/c/${name}` } };
  }

  #spec(body: z.output<typeof policySpec>): PolicySpec {
    const regions = this.#service.region.catalog.topology.regions.map(({ id }) => id);
    const foreign = body.regions === 'all' ? undefined : body.regions.find((region) => !regions.includes(region));
    if (foreign !== undefined) throw fault('/regions', `${foreign} is not a region of this cluster`);
    if (body.regions !== 'all' && (body.replicas ?? 1) > new Set(body.regions).size) throw fault('/replicas', `more than the ${body.regions.length} regions named`);
    if (body.maxValueBytes !== undefined && body.conflict !== 'lww') throw fault('/maxValueBytes', 'only values of lww collections may be larger');
    const { conflict, ttlSeconds, maxValueBytes, requireContext } = body;
    return {
      conflict,
      regions: body.regions === 'all' ? 'all' : [...new Set(body.regions)].sort(),
      replicas: body.replicas ?? Math.min(this.#service.defaultReplicas, body.regions === 'all' ? 32 : body.regions.length),
      ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
      ...(maxValueBytes === undefined ? {} : { maxValueBytes }),
      ...(requireContext === undefined ? {} : { requireContext }),
    };
  }

  showCollection(call: Call): Answer {
    const name = call.collectionName;
    const collection = this.#service.region.catalog.find(name);
    if (collection === undefined) throw new ArchipelError('collection-not-found', `There is no collection ${name}.`);
    return { status: 200, body: this.#collection(collection) };
  }

  listCollections(call: Call): Answer {
    const collections = this.#service.region.catalog.list().filter(({ name }) => mayUseCollection(call.principal, name));
    return { status: 200, body: { collections: collections.map((collection) => this.#collection(collection)) } };
  }

  async changeCollection(call: Call, body: z.output<typeof policyPatch>): Promise<Answer> {
    const name = call.collectionName;
    const { policy } = this.#service.region.catalog.require(name);
    const { conflict, regions, replicas, ttlSeconds, maxValueBytes, requireContext } = body;
    const isMoved = (regions !== undefined && placementText({ regions, replicas: 1 }) !== placementText({ regions: policy.regions, replicas: 1 })) || (replicas !== undefined && replicas !== policy.replicas);
    if (isMoved) throw new ArchipelError('policy-change-refused', 'Where a collection is placed is fixed when it is created.');
    if (conflict === 'siblings' && policy.conflict === 'lww') throw new ArchipelError('policy-change-refused', 'A collection of lww cannot become one of siblings: what it dropped would not come back.');
    if (typeof maxValueBytes === 'number' && (conflict ?? policy.conflict) !== 'lww') throw fault('/maxValueBytes', 'only values of lww collections may be larger');
    const patch = {
      ...(conflict === undefined ? {} : { conflict }),
      ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
      ...(maxValueBytes === undefined ? {} : { maxValueBytes }),
      ...(requireContext === undefined ? {} : { requireContext }),
    };
    return { status: 200, body: this.#collection(await this.#service.region.collections.change(name, patch)) };
  }

  // Replication -------------------------------------------------------------------------------------------------------------

  #peer(call: Call, at: number): RegionId {
    const id = percentDecodeText(call.segments[at] ?? '');
    if (!this.#service.region.links.has(id as RegionId)) throw new ArchipelError('not-found', `${id} is not a peer of this region.`);
    return id as RegionId;
  }

  async replication(): Promise<Answer> {
    const { region } = this.#service;
    const peers = await Promise.all(
      [...region.lanes].map(async ([id, lane]) => {
        const unreplicated = await lane.unreplicated();
        const link = region.links.get(id);
        const breaker = link?.breakerState() ?? 'open';
        return {
          id,
          state: lane.isPaused ? 'paused' : lane.behind > 0 ? 'behind' : breaker === 'closed' ? 'up' : 'down',
          unreplicatedItems: unreplicated.items,
          exact: unreplicated.exact,
          oldestMs: Math.round(lane.oldestMs()),
          lagMs: { p50: round(lane.lag.quantile(0.5)), p99: round(lane.lag.quantile(0.99)), max: round(lane.lag.max), count: lane.lag.count },
          hints: await lane.hints(),
          behind: lane.behind,
          breaker,
          dead: await region.parts.deadLetters(id).count(),
          paused: lane.isPaused,
          ...this.#seen(id),
        };
      }),
    );
    const items = Object.fromEntries(region.catalog.list().map(({ name }) => [name, region.parts.table.digests?.items(name) ?? 0]));
    const { proposed, refused, reaped } = region.reaper.stats;
    const { asked, kept, dropped, ledgered, held } = region.applier.late.stats;
    const told = { reaping: { proposed, refused, reaped }, late: { asked, kept, dropped, ledgered, held } };
    return { status: 200, body: { region: region.id, actor: region.actor, clock: region.time.status(), phase: region.phase, items, ...told, peers, ownLagMs: Math.round(region.health.lagMs()), dataPath: region.health.isSound ? 'answers' : 'silent', hot: this.#hot() } };
  }

  #seen(peer: RegionId): Record<string, unknown> {
    const seen = this.#service.region.health.seen(peer);
    return seen === undefined ? {} : { verdict: seen.verdict, suspectedBy: seen.suspectedBy, ...(seen.clock === undefined ? {} : { clock: seen.clock }) };
  }

  #hot(): Record<string, unknown>[] {
    const { hot } = this.#service.region.coordinator;
    return hot.top(HOT_SHOWN).map(({ value, count, error }) => ({ collection: value.collection, ...keyObject(value), share: share(count - error, hot.total) }));
  }

  async pause(call: Call, paused: boolean): Promise<Answer> {
    await this.#service.region.setPaused(this.#peer(call, 2), paused);
    return { status: 204 };
  }

  async deadLetters(call: Call): Promise<Answer> {
    const peer = this.#peer(call, 2);
    const limit = call.queryNumber('limit', PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX);
    const listing: Listing = { kind: 'dead', scope: [this.#service.region.id, peer] };
    const after = this.#service.cursors.read(call, listing);
    const letters = await this.#service.region.parts.deadLetters(peer).list(limit, after === undefined ? undefined : utf8Text(after));
    const last = letters.length === limit ? letters.at(-1) : undefined;
    const items = letters.map(({ id, reason, atMs, body }) => ({ id, reason, at: isoOf(atMs), bytes: body.length }));
    return { status: 200, body: { items, ...(last === undefined ? {} : { cursor: this.#service.cursors.mint(listing, utf8(last.id)) }) } };
  }

  async replay(call: Call): Promise<Answer> {
    return { status: 200, body: { merged: await this.#service.region.replayDeadLetters(this.#peer(call, 2)) } };
  }

  // Reconciliation ------------------------------------------------------------------------------------------------------------

  async reconcile(body: z.output<typeof reconcileRequest>): Promise<Answer> {
    const { region } = this.#service;
    const foreign = body.peers?.find((peer) => !region.links.has(peer));
    if (foreign !== undefined) throw fault('/peers', `${foreign} is not a peer of this region`);
    const collection = body.collection === undefined ? undefined : region.catalog.find(body.collection);
    if (body.collection !== undefined && collection === undefined) throw new ArchipelError('collection-not-found', `There is no collection ${body.collection}.`);
    const { id, state } = await this.#service.runs.begin({ ...(body.peers === undefined ? {} : { peers: body.peers }), ...(collection === undefined ? {} : { groups: [collection.group] }), deep: body.deep === true });
    return { status: 202, body: { id, state }, headers: { location: `/v1/reconcile/${id}` } };
  }

  async reconciliation(call: Call): Promise<Answer> {
    const id = percentDecodeText(call.segments[2] ?? '');
    const run = await this.#service.runs.find(id);
    if (run === undefined) throw new ArchipelError('not-found', `There is no reconciliation ${id} here.`);
    return { status: 200, body: run };
  }

  certificates(): Answer {
    return { status: 200, body: { certificates: this.#service.region.reconciler.certificates().map(certificateBody) } };
  }

  // Topology ----------------------------------------------------------------------------------------------------------------

  topology(): Answer {
    const { catalog } = this.#service.region;
    const { term, epoch, control, regions } = catalog.topology;
    const groups = [...catalog.groups()].map(([id, placement]) => ({ id, regions: placement.regions, replicas: Math.min(placement.replicas, regions.length), partitions: catalog.map(id) ?? [] }));
    return { status: 200, body: { term, epoch, control, partitions: PARTITIONS, regions, groups } };
  }

  /** @throws ArchipelError `not-found`, `topology-change-refused` */
  async changeTopology(call: Call, verb: TopologyVerb): Promise<Answer> {
    const id = percentDecodeText(call.segments[2] ?? '');
    if (!isRegionId(id) || this.#service.region.catalog.entry(id) === undefined) throw new ArchipelError('not-found', `There is no region ${JSON.stringify(id)} in the topology.`);
    const { catalog, joining, topology } = this.#service.region;
    const { epoch } = catalog.version;
    const lacks = verb === 'return' && catalog.entry(id)?.state === 'joining' ? await joining.whyNot(id) : undefined;
    // What it holds was said of this document.
    const lacksNow = (current: Topology): string | undefined => (current.epoch === epoch ? lacks : `${id} is joining under a document that is a newer one by now: ask again.`);
    return changed(await topology.write((current) => changeTopology(current, id, verb, { lacks: lacksNow(current) })));
  }

  /** This region becomes the control region. */
  async promote(): Promise<Answer> {
    const { region } = this.#service;
    return changed(await region.topology.write((current) => promoteRegion(current, region.id)));
  }

  // Keys --------------------------------------------------------------------------------------------------------------------

  listKeys(): Answer {
    const keys = this.#service.keys.list().map(({ id, scopes, collections, prefixes, expiresMs, createdMs }) => ({
      id,
      scopes,
      collections,
      ...(prefixes === undefined ? {} : { prefixes }),
      ...(expiresMs === undefined ? {} : { expires: isoOf(expiresMs) }),
      created: isoOf(createdMs),
    }));
    return { status: 200, body: { keys } };
  }

  async createKey(body: z.output<typeof keyRequest>): Promise<Answer> {
    const { id, key, hash } = newKey(this.#service.region.parts.random, this.#service.hash);
    const { scopes, collections, prefixes, expires } = body;
    const record: KeyRecord = {
      hash,
      scopes,
      collections,
      createdMs: this.#service.nowMs(),
      ...(prefixes === undefined ? {} : { prefixes }),
      ...(expires === undefined ? {} : { expiresMs: Date.parse(expires) }),
    };
    await this.#writeKey(id, record);
    return { status: 201, body: { id, key }, headers: { location: `/v1/keys/${id}` } };
  }

  async revokeKey(call: Call): Promise<Answer> {
    const id = percentDecodeText(call.segments[2] ?? '');
    if (!this.#service.keys.has(id)) throw new ArchipelError('not-found', `There is no key ${id}.`);
    await this.#writeKey(id, undefined);
    return { status: 204 };
  }

  /** Merged at the other regions at once, as far as they can be reached: a revocation should not wait for a queue. */
  async #writeKey(id: string, record: KeyRecord | undefined): Promise<void> {
    const { region } = this.#service;
    const key = region.catalog.systemKey(KEYS, id);
    const { decision, state } = await region.coordinator.write(key, record === undefined ? {} : { value: jsonValue(record, this.#service.hash) });
    if (decision.type !== 'commit' || state === undefined) throw new ArchipelError('not-found', `There is no key ${id}.`);
    await region.coordinator.replicate(key, state, { type: 'count', count: region.links.size }, KEY_SPREAD_MS);
  }
}

const round = (ms: number): number => Math.round(ms * 100) / 100;

const fault = (pointer: string, detail: string): ArchipelError => new ArchipelError('bad-request', 'The body is not what this route takes.', { errors: [{ pointer, detail }] });

const changed = ({ term, epoch, control, regions }: Topology): Answer => ({ status: 200, body: { term, epoch, control, regions: regions.map(({ id, state }) => ({ id, state })) } });
