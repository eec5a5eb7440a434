// The edge: sends each request to the nearest region that holds the key's partition, and to the next one when that fails,
// writes too, under the same operation id. It holds no key: Authorization is passed on, and what the edge must know to
// route (where a collection is placed) it asks with the client's own.

import { OpenAPIHono } from '@hono/zod-openapi';
import { toHex, utf8Text } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { hashOf, type GroupId } from '../core/keys/item-key.ts';
import { BATCH_BYTES_MAX, EDGE_ATTEMPT_MS, EDGE_ATTEMPTS_MAX, REQUEST_DEADLINE_MS } from '../core/limits.ts';
import { placedLately } from '../core/placement/placed-lately.ts';
import { groupOf, type PartitionMap, type Placement } from '../core/placement/placement.ts';
import { formatTopology, judgeTopology, topologyFault, topologyVersion, type RegionEntry, type Topology, type TopologyVersion } from '../core/placement/topology.ts';
import { nearestFirst, routeOrder, type Place } from '../core/routing/nearest.ts';
import { Reach } from '../core/routing/reach.ts';
import { isRegionId, type RegionId } from '../core/version/dot.ts';
import type { HashFunction } from '../core/version/tag.ts';
import { hedged, type Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import { unit, uuidV7, type Random } from '../ports/random.ts';
import { askedOf, Call, LAG_FIELD, rawPathOf, TOPOLOGY_FIELD, type HttpContext, type HttpEnvironment } from './call.ts';
import { endToEnd, viewerOf } from './forward.ts';
import { keyOf } from './named-item.ts';
import { byField, counter, gauge, OPENMETRICS_TYPE, renderMetrics, type Sample } from './openmetrics.ts';
import { problemResponse, statusOf, toArchipelError } from './problem.ts';
import { keyFromQuery, keyFromSegment, percentDecodeText } from './target.ts';

export interface RegionAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

/** How the edge reaches a region: as any client does. */
export interface RegionClient {
  /** Rejects with `details.unsent` true when the request certainly did not arrive. */
  send(request: { readonly method: string; readonly target: string; readonly headers: readonly (readonly [string, string])[]; readonly body: Uint8Array | undefined; readonly timeoutMs: number }): Promise<RegionAnswer>;
}

export interface EdgeParts {
  readonly topology: Topology;
  readonly clients: ReadonlyMap<RegionId, RegionClient>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly hash: HashFunction;
  /** What is under `/docs`, where the edge shows it itself, so that a problem's page can be read when no region answers. */
  readonly docs?: (name: string) => Promise<Response | undefined>;
  /** A read that is not answered for so long is asked of the next region too. Undefined: never. */
  readonly hedgeMs?: number | undefined;
}

/** Routes of one pk go by key; the fourth segment says which. */
const BY_KEY: ReadonlySet<string> = new Set(['items', 'explain', 'ranges']);
/** What carries an operation id, and so is the same write in whichever regions it is done. */
const isOperation = ({ segments: [, , , what = '', , verb] }: Call): boolean => BY_KEY.has(what) || what === 'batch' || (what === 'conflicts' && verb === 'restore');
/**
 * What an operator decides of a region is the same, decided twice; but `return`, which asked again leads on from joining. Whoever
 * declares a region lost must not wait for it.
 */
const mayBeDecidedAgain = ({ segments: [v1, regions, , verb] }: Call): boolean => v1 === 'v1' && regions === 'regions' && verb !== 'return';
/** For the edge alone. */
const NOT_PASSED: ReadonlySet<string> = new Set(['content-length', TOPOLOGY_FIELD, LAG_FIELD]);
/** Statuses that another region may do better on. */
const TRY_ELSEWHERE: ReadonlySet<number> = new Set([421, 502, 503, 504]);
const POLICIES_MAX = 10_000;
const NOBODY = { id: 'edge', scopes: new Set<never>(), collections: ['*'] };

export class Edge {
  readonly #parts: EdgeParts;
  /** The newest document that a region has shown. */
  #topology: Topology;
  #isLearning = false;
  readonly #reaches: ReadonlyMap<RegionId, Reach>;
  readonly #placements = new Map<string, GroupId>();
  readonly #maps = new Map<GroupId, PartitionMap>();
  readonly stats = { requests: 0, retried: 0, failed: 0, probes: 0, hedged: 0, wonByHedge: 0 };
  readonly #served = new Map<RegionId, number>();

  constructor(parts: EdgeParts) {
    this.#parts = parts;
    this.#topology = parts.topology;
    this.#reaches = new Map([...parts.clients.keys()].map((id) => [id, new Reach()]));
  }

  #isHealthy(id: RegionId): boolean {
    return this.#reaches.get(id)?.isHealthy(this.#parts.clock.monotonicMs()) === true;
  }

  /** Those that the topology lists, as far as this edge can reach them. */
  get observed(): RegionId[] {
    return this.#topology.regions.filter(({ id, state }) => state !== 'lost' && this.#parts.clients.has(id)).map(({ id }) => id);
  }

  /** Observers have agreed that a region is down, or do so no longer. */
  judged(region: RegionId, isDown: boolean): void {
    this.#reaches.get(region)?.judged(isDown, this.#parts.clock.monotonicMs());
  }

  // Choosing ------------------------------------------------------------------------------------------------------------------

  /** The regions to try, in order. */
  async order(call: Call, viewer: Place | undefined): Promise<RegionEntry[]> {
    const topology = this.#topology;
    const everywhere = topology.regions.map(({ id }) => id);
    const asked = call.field('region')?.trim();
    if (asked !== undefined && !BY_KEY.has(call.segments[3] ?? '')) return [this.#named(asked)];
    const silent = new Set<RegionId>();
    const { holders, draw } = await this.#holders(call, viewer, silent);
    const nowMs = this.#parts.clock.monotonicMs();
    const takes = (id: RegionId): boolean => this.#reaches.get(id)?.takes(draw, nowMs) === true;
    // One that has just let this request wait for its placement is not waited for again: an edge that knows nothing yet is slow enough.
    const isHealthy = (id: RegionId): boolean => this.#isHealthy(id) && !silent.has(id);
    return routeOrder({ holders: holders ?? everywhere, regions: topology.regions, viewer, isHealthy, takes });
  }

  #named(id: string): RegionEntry {
    const entry = isRegionId(id) ? this.#topology.regions.find((region) => region.id === id) : undefined;
    if (entry === undefined) throw new ArchipelError('bad-request', `There is no region ${id} here.`);
    return entry;
  }

  /**
   * The holders of the partition that a request is about (undefined when it is about none, or placement is not known), and what
   * decides whether a region that comes back gets it already: the same for the same key.
   */
  async #holders(call: Call, viewer: Place | undefined, silent: Set<RegionId>): Promise<{ readonly holders?: readonly RegionId[] | undefined; readonly draw: number }> {
    const [v1, c, name, what] = call.segments;
    if (v1 !== 'v1' || c !== 'c' || name === undefined || !BY_KEY.has(what ?? '')) return { draw: unit(this.#parts.random) };
    const pk = what === 'ranges' ? rangePk(call) : keyOf(call).pk;
    const collection = percentDecodeText(name);
    const map = await this.#map(call, collection, viewer, silent);
    const hash = hashOf(collection, pk, this.#parts.hash);
    return { holders: map?.[hash[0] as number], draw: (hash[1] as number) / 256 };
  }

  async #map(call: Call, collection: string, viewer: Place | undefined, silent: Set<RegionId>): Promise<PartitionMap | undefined> {
    const known = this.#placements.get(collection);
    if (known !== undefined) return this.#maps.get(known);
    const placement = await this.#askPlacement(call, collection, viewer, silent);
    if (placement === undefined) return undefined;
    const group = groupOf(placement, this.#parts.hash);
    if (!this.#maps.has(group)) this.#maps.set(group, placedLately(group, placement, this.#topology, this.#parts.hash));
    if (this.#placements.size >= POLICIES_MAX) this.#placements.clear();
    this.#placements.set(collection, group);
    return this.#maps.get(group);
  }

  /**
   * Placement is fixed at creation, so one answer is good for ever. Asked with the client's key; no answer steers nothing.
   * `silent` is told of the regions that gave none.
   */
  async #askPlacement(call: Call, collection: string, viewer: Place | undefined, silent: Set<RegionId>): Promise<Placement | undefined> {
    const authorization = call.field('authorization');
    const headers = authorization === undefined ? [] : [['authorization', authorization] as const];
    for (const { id } of nearestFirst(this.#topology.regions, viewer).filter((region) => this.#isHealthy(region.id)).slice(0, 2)) {
      try {
        const answer = await this.#ask(id, { method: 'GET', target: `/v1/c/${encodeURIComponent(collection)}`, headers, body: undefined, timeoutMs: EDGE_ATTEMPT_MS });
        if (answer.status !== 200) return undefined;
        const { regions, replicas } = JSON.parse(utf8Text(answer.body) ?? '') as Placement;
        return { regions, replicas };
      } catch {
        // mark: no placement from a region, which is then asked last
        silent.add(id);
      }
    }
    return undefined;
  }

  // Sending -------------------------------------------------------------------------------------------------------------------

  async #ask(id: RegionId, request: Parameters<RegionClient['send']>[0]): Promise<RegionAnswer> {
    const reach = this.#reaches.get(id);
    const client = this.#parts.clients.get(id);
    if (client === undefined) throw new ArchipelError('no-region-available', `${id} has no address here.`, { unsent: true });
    try {
      const { term, epoch } = this.#topology;
      const answer = await client.send({ ...request, headers: [...request.headers, [TOPOLOGY_FIELD, `${term}.${epoch}`]] });
      reach?.answered(this.#parts.clock.monotonicMs(), hasField(answer, LAG_FIELD));
      if (hasField(answer, TOPOLOGY_FIELD)) void this.#learn(id, client, request);
      return answer;
    } catch (error) {
      reach?.failed(this.#parts.clock.monotonicMs(), isUnsent(error));
      throw error;
    }
  }

  /**
   * Regions that are away are asked whether they are back, and have caught up: no client's request is spent on that. Never
   * waited for.
   */
  #probe(): void {
    for (const [id, reach] of this.#reaches) {
      if (!reach.wantsProbe(this.#parts.clock.monotonicMs())) continue;
      this.stats.probes++;
      this.#ask(id, { method: 'GET', target: '/readyz', headers: [], body: undefined, timeoutMs: EDGE_ATTEMPT_MS }).catch(() => undefined);
    }
  }

  /** A region works on another document than this edge: it is asked for it, with the client's own key. Never waited for. */
  async #learn(id: RegionId, client: RegionClient, { headers }: Pick<Parameters<RegionClient['send']>[0], 'headers'>): Promise<void> {
    if (this.#isLearning) return;
    this.#isLearning = true;
    try {
      const { status, body } = await client.send({ method: 'GET', target: '/v1/topology', headers: headers.filter(([name]) => name.toLowerCase() === 'authorization'), body: undefined, timeoutMs: EDGE_ATTEMPT_MS });
      if (status !== 200) return; // this client may not ask; the next one may
      this.learnt(id, JSON.parse(utf8Text(body) ?? '') as Topology);
    } catch (error) {
      this.#parts.log.write('warn', 'edge.topology-not-learnt', { from: id, error: String(error) });
    } finally {
      this.#isLearning = false;
    }
  }

  get version(): TopologyVersion {
    return topologyVersion(this.#topology);
  }

  /** What a region works on. @throws for what is no document */
  learnt(from: RegionId, { term, epoch, control, regions }: Topology): void {
    const document: Topology = { format: 1, term, epoch, control, regions };
    if (topologyFault(document) !== undefined || judgeTopology(this.version, topologyVersion(document)) !== 'newer') return;
    this.#topology = document;
    this.#maps.clear();
    this.#placements.clear();
    this.#parts.log.write('info', 'edge.topology', { from, topology: formatTopology(document) });
  }

  async handle(context: HttpContext): Promise<Response> {
    this.stats.requests++;
    const startedMs = this.#parts.clock.monotonicMs();
    const call = new Call({ asked: askedOf(context), principal: NOBODY, startedMs });
    const { method, headers } = context.req.raw;
    const viewer = viewerOf(headers, call.rawTarget);
    const body = method === 'GET' || method === 'HEAD' ? undefined : await call.body(BATCH_BYTES_MAX);
    this.#probe();
    const order = await this.order(call, viewer);
    const isKeyed = isOperation(call);
    const sent = endToEnd(headers).filter(([name]) => name !== TOPOLOGY_FIELD).map(([name, value]) => [name, value] as const);
    const isWrite = method !== 'GET' && method !== 'HEAD';
    if (isWrite && isKeyed && !headers.has('idempotency-key')) sent.push(['idempotency-key', uuidV7(this.#parts.random, this.#parts.clock.wallMs())]);
    return this.#attempts(order, { method, target: call.rawTarget, headers: sent, body }, { startedMs, isWrite, mayRepeat: !isWrite || isKeyed || mayBeDecidedAgain(call) });
  }

  /** Of a region; where it takes long to read there, of the next one, if that is faster. */
  async #answer(id: RegionId, next: RegionId | undefined, request: Parameters<RegionClient['send']>[0]): Promise<{ readonly answer: RegionAnswer; readonly by: RegionId }> {
    const { hedgeMs, clock } = this.#parts;
    if (hedgeMs === undefined || next === undefined || !this.#isHealthy(next)) return { answer: await this.#ask(id, request), by: id };
    const second = (): Promise<RegionAnswer> => {
      this.stats.hedged++;
      return this.#ask(next, request);
    };
    const { answer, isSecond } = await hedged({ clock, afterMs: hedgeMs, first: () => this.#ask(id, request), second, isGood: ({ status }) => !TRY_ELSEWHERE.has(status) });
    if (isSecond) this.stats.wonByHedge++;
    return { answer, by: isSecond ? next : id };
  }

  async #attempts(
    order: readonly RegionEntry[],
    request: Omit<Parameters<RegionClient['send']>[0], 'timeoutMs'>,
    how: { readonly startedMs: number; readonly isWrite: boolean; readonly mayRepeat: boolean },
  ): Promise<Response> {
    let last: RegionAnswer | undefined;
    let isUnknown = false;
    let attempts = 0;
    for (const [at, { id }] of order.slice(0, EDGE_ATTEMPTS_MAX).entries()) {
      const leftMs = REQUEST_DEADLINE_MS - (this.#parts.clock.monotonicMs() - how.startedMs);
      if (leftMs <= 0) break;
      if (at > 0) this.stats.retried++;
      // A healthy breaker's half-open trial is taken here; the others wait for its outcome in another region.
      if (this.#reaches.get(id)?.allows(this.#parts.clock.monotonicMs()) === false && at < order.length - 1) continue;
      // Only what may be repeated elsewhere is cut short; the rest gets the whole time.
      const timeoutMs = how.mayRepeat ? Math.min(EDGE_ATTEMPT_MS, leftMs) : leftMs;
      attempts++;
      try {
        const { answer, by } = await this.#answer(id, at === 0 && !how.isWrite ? order[1]?.id : undefined, { ...request, timeoutMs });
        if (by !== id) attempts++;
        // After an attempt of unknown outcome, what another region refuses (a precondition, above all) may be refused
        // because the first one took it: only a success is definite then.
        // mark if (isUnknown && how.isWrite && answer.status >= 400): refusal after a lost answer told as unknown
        // mark if (isUnknown && how.isWrite && answer.status < 300): retry at another region after a lost answer
        if (isUnknown && how.isWrite && answer.status >= 400) break;
        if (!TRY_ELSEWHERE.has(answer.status)) return this.#pass(by, answer, attempts);
        last = answer;
        if (answer.status === 504) isUnknown = true;
        if (!how.mayRepeat && answer.status === 504) break;
      } catch (error) {
        const unsent = isUnsent(error);
        if (!unsent) isUnknown = how.isWrite;
        this.#parts.log.write('warn', 'edge.attempt-failed', { region: id, error: String(error) });
        if (!unsent && !how.mayRepeat) break;
      }
    }
    this.stats.failed++;
    if (isUnknown && how.isWrite) throw new ArchipelError('write-outcome-unknown', 'A region may have done the write, but its answer is lost. Retry with the same Idempotency-Key.');
    if (last !== undefined) return this.#pass(undefined, last, attempts);
    throw new ArchipelError('no-region-available', 'No region that could answer can be reached.');
  }

  /** More attempts than one are told: a write may have been done in more regions than the one that answered. */
  #pass(id: RegionId | undefined, { status, headers, body }: RegionAnswer, attempts: number): Response {
    if (id !== undefined) this.#served.set(id, (this.#served.get(id) ?? 0) + 1);
    const fields = Object.fromEntries(headers.filter(([name]) => !NOT_PASSED.has(name.toLowerCase())).map(([name, value]) => [name.toLowerCase(), value]));
    if (attempts > 1) fields['server-timing'] = [fields['server-timing'], `edge;desc="attempts=${attempts}"`].filter((timing) => timing !== undefined).join(', ');
    const empty = status === 204 || status === 304;
    return new Response(empty ? null : (body as Uint8Array<ArrayBuffer>), { status, headers: fields });
  }

  /** For `/metrics`: is this key good for reading? The edge cannot tell; the nearest region can. */
  async mayRead(authorization: string | undefined): Promise<RegionAnswer> {
    const [nearest] = this.#topology.regions.filter(({ id }) => this.#isHealthy(id));
    if (nearest === undefined) throw new ArchipelError('no-region-available', 'No region can be reached.');
    return this.#ask(nearest.id, { method: 'GET', target: '/v1/certificates', headers: authorization === undefined ? [] : [['authorization', authorization]], body: undefined, timeoutMs: EDGE_ATTEMPT_MS });
  }

  metrics(): string {
    const nowMs = this.#parts.clock.monotonicMs();
    const perRegion = (value: (reach: Reach) => number): Sample[] => [...this.#reaches].map(([id, reach]) => ({ labels: { region: id }, value: value(reach) }));
    return renderMetrics([
      counter('edge_requests', 'Requests, second attempts, failures, probes of regions that are away, reads that were asked of a second region too, and answered by it first.', byField('what', this.stats)),
      counter('edge_served', 'Requests by the region that answered.', byField('region', Object.fromEntries(this.#served))),
      gauge('edge_region_up', '1 while the breaker towards the region is not open.', perRegion((reach) => (reach.isHealthy(nowMs) ? 1 : 0))),
      gauge('edge_region_down', '1 while observers agree that the region is down.', perRegion((reach) => (reach.isDown ? 1 : 0))),
      gauge('edge_region_share', 'Of the traffic that is its own: less than 1 while it comes back.', perRegion((reach) => reach.share(nowMs))),
    ]);
  }

  get isReady(): boolean {
    return this.#topology.regions.some(({ id }) => this.#isHealthy(id));
  }
}

const hasField = ({ headers }: RegionAnswer, wanted: string): boolean => headers.some(([name]) => name.length === wanted.length && name.toLowerCase() === wanted);

/** The request certainly did not arrive. */
const isUnsent = (error: unknown): boolean => error instanceof ArchipelError && error.details['unsent'] === true;

function rangePk(call: Call): Uint8Array {
  const segment = call.segments[4];
  if (segment !== undefined) return keyFromSegment(segment);
  const raw = call.rawQuery('pk');
  if (raw === undefined) throw new ArchipelError('key-invalid', 'Name the pk in the path or as ?pk=.');
  return keyFromQuery(raw, call.query('keys'));
}

export type EdgeApp = OpenAPIHono<{ Bindings: HttpEnvironment }>;

export function createEdgeApp(parts: EdgeParts): { readonly app: EdgeApp; readonly edge: Edge } {
  const edge = new Edge(parts);
  const app: EdgeApp = new OpenAPIHono<{ Bindings: HttpEnvironment }>({ getPath: rawPathOf });
  const fail = (error: unknown): Response => {
    const instance = toHex(parts.random.bytes(8));
    const known = toArchipelError(error);
    if (known.code === 'internal') parts.log.write('error', 'edge.failed', { requestId: instance, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    else parts.log.write('debug', 'edge.problem', { requestId: instance, code: known.code, status: statusOf(known.code) });
    return problemResponse(known, { instance }, { ...(known.details['headers'] as Record<string, string> | undefined), 'request-id': instance });
  };
  const plain = (body: string, status = 200): Response => new Response(body, { status, headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' } });
  app.get('/livez', () => plain('ok\n'));
  app.get('/readyz', () => (edge.isReady ? plain('ok\n') : plain('not ready\n', 503)));
  app.get('/metrics', async (context) => {
    try {
      const { status, headers, body } = await edge.mayRead(context.req.header('authorization'));
      if (status !== 200) return new Response(body as Uint8Array<ArrayBuffer>, { status, headers: Object.fromEntries(headers) });
      return new Response(edge.metrics(), { headers: { 'content-type': OPENMETRICS_TYPE, 'cache-control': 'no-store' } });
    } catch (error) {
      return fail(error);
    }
  });
  const { docs } = parts;
  if (docs !== undefined) {
    const show = async (name: string): Promise<Response> => (await docs(name)) ?? fail(new ArchipelError('not-found', 'There is no such page.'));
    app.get('/docs', () => show(''));
    app.get('/docs/*', ({ req }) => show(req.path.slice('/docs/'.length)));
  }
  app.all('*', async (context) => {
    try {
      return await edge.handle(context);
    } catch (error) {
      return fail(error);
    }
  });
  app.onError((error) => fail(error));
  return { app, edge };
}
