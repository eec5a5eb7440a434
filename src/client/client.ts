// The client of a cluster, over the HTTP interface: a method per route. It speaks to an edge or to a region; writes carry
// an operation id, so that it may send them again wherever it likes. Keys travel as base64url in the query: `.` and `..`
// cannot travel in a path, and nothing on the way rewrites them.

import { toBase64Url, utf8, utf8Text } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { uuidV7, type Random } from '../ports/random.ts';
import type { Clock } from '../ports/clock.ts';
import { Addresses, type Address } from './addresses.ts';
import { exchange, toError, type Answered, type Attempt, type Transport } from './exchange.ts';
import type {
  CallOptions,
  Certificate,
  Collection,
  ConflictOptions,
  ConflictPage,
  Explanation,
  Item,
  ItemPage,
  Key,
  KeyPart,
  KeyRequest,
  ListedValue,
  NewKey,
  PageOptions,
  Place,
  Policy,
  PutOptions,
  RangeOptions,
  Read,
  ReadOptions,
  Reconciliation,
  ReconcileRequest,
  Replication,
  Restored,
  SettledGroup,
  ServedBy,
  Topology,
  TopologyChanged,
  WriteOptions,
  Written,
} from './types.ts';

export interface ClientParts {
  readonly url: string;
  /** `ak_…`; without one only a cluster that runs with `--no-auth` answers. */
  readonly key?: string | undefined;
  readonly transport: Transport;
  /** Of the same cluster, asked where the first does not answer: in this order. */
  readonly others?: readonly Address[] | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** For calls that name none. */
  readonly timeoutMs?: number | undefined;
  /** At an edge: the region that answers routes which are not of one item. */
  readonly region?: string | undefined;
  /** `path`: keys as people read them, where they can travel in a path. */
  readonly keysIn?: 'query' | 'path' | undefined;
  readonly onAttempt?: ((attempt: Attempt) => void) | undefined;
  /** Reads that are not answered for so long are asked of another address too, and the first answer counts. Off by default. */
  readonly hedgeMs?: number | undefined;
  /** For values inside of answers; JSON.parse by default. */
  readonly parseJson?: ((text: string) => unknown) | undefined;
}

interface Request {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly target: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: Uint8Array;
  readonly options?: CallOptions | undefined;
  readonly operation?: string;
  /** May be sent again after an answer that was lost. */
  readonly mayRepeat: boolean;
}

const TIMEOUT_MS = 15_000;
const JSON_TYPE = { 'content-type': 'application/json' };

export class Client {
  readonly #parts: ClientParts;
  /** What is known of them is the same for all that came of `with`. */
  readonly #addresses: Addresses;

  constructor(parts: ClientParts, addresses?: Addresses) {
    this.#parts = parts;
    this.#addresses = addresses ?? new Addresses([{ url: parts.url, transport: parts.transport }, ...(parts.others ?? [])], parts.clock);
  }

  get url(): string {
    return this.#parts.url;
  }

  /** The same, but something else. */
  with(parts: Omit<Partial<ClientParts>, 'url' | 'transport' | 'others' | 'clock'>): Client {
    return new Client({ ...this.#parts, ...parts }, this.#addresses);
  }

  close(): void {
    this.#addresses.close();
  }

  // Items -------------------------------------------------------------------------------------------------------------------

  async get(item: Item, options: ReadOptions = {}): Promise<Read> {
    const headers = options.siblings === undefined ? {} : { prefer: `siblings=${options.siblings}` };
    const answer = await this.#send({ method: 'GET', target: this.#itemTarget('items', item, options.viewer), headers, options, mayRepeat: true });
    return this.#read(answer);
  }

  #read(answer: Answered): Read {
    const { status, headers, body } = answer;
    const servedBy = servedByOf(headers['served-by']);
    if (status === 404) {
      const error = toError(answer);
      if (error.code !== 'not-found') throw error;
      return { type: 'absent', servedBy, ...named('context', headers['causal-context']) };
    }
    if (status >= 400) throw toError(answer);
    const common = { etag: unquoted(headers['etag'] ?? ''), context: headers['causal-context'] ?? '', servedBy };
    const conflicts = headers['conflicts'];
    const isList = status === 300 || headers['preference-applied']?.includes('siblings=all') === true;
    if (isList) return { type: 'siblings', siblings: (this.#json(body) as { siblings: ListedValue[] }).siblings, ...common };
    return {
      type: 'value',
      bytes: body,
      contentType: headers['content-type'] ?? 'application/octet-stream',
      ...common,
      ...(headers['sunset'] === undefined ? {} : { expires: new Date(headers['sunset']) }),
      ...(conflicts === undefined ? {} : { conflicts: Number(conflicts) }),
    };
  }

  /** @throws ArchipelError `precondition-failed`, `too-many-siblings`, `write-outcome-unknown` and others */
  put(item: Item, value: Uint8Array | string, options: PutOptions = {}): Promise<Written> {
    const body = typeof value === 'string' ? utf8(value) : value;
    const headers = {
      'content-type': options.contentType ?? (typeof value === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream'),
      'item-ttl': options.ttlSeconds?.toString(),
    };
    return this.#write('PUT', item, options, headers, body);
  }

  /** @throws ArchipelError `not-found` where the region does not hold the item, and as `put` */
  delete(item: Item, options: WriteOptions = {}): Promise<Written> {
    return this.#write('DELETE', item, options, {});
  }

  async #write(method: 'PUT' | 'DELETE', item: Item, options: WriteOptions, more: Readonly<Record<string, string | undefined>>, body?: Uint8Array): Promise<Written> {
    const operation = options.operation ?? this.#newOperation();
    const { replicateTo, waitSeconds } = options;
    const headers = {
      ...more,
      'idempotency-key': operation,
      'causal-context': options.context,
      'if-match': options.ifMatch === undefined ? undefined : quoted(options.ifMatch),
      'if-none-match': options.ifNoneMatch === undefined ? undefined : quoted(options.ifNoneMatch),
      'replicate-to': typeof replicateTo === 'object' ? `(${replicateTo.map((region) => `"${region}"`).join(' ')})` : replicateTo?.toString(),
      prefer: waitSeconds === undefined ? undefined : `wait=${waitSeconds}`,
    };
    const answer = await this.#done({ method, target: this.#itemTarget('items', item, options.viewer), headers, options, operation, mayRepeat: true, ...(body === undefined ? {} : { body }) });
    const replicatedTo = answer.headers['replicated-to'];
    return {
      outcome: (answer.headers['write-outcome'] ?? 'stored') as Written['outcome'],
      created: answer.status === 201,
      ...named('etag', answer.headers['etag'] === undefined ? undefined : unquoted(answer.headers['etag'])),
      ...named('context', answer.headers['causal-context']),
      ...(replicatedTo === undefined ? {} : { replicatedTo: [...replicatedTo.matchAll(/"([^"]*)"/g)].map(([, region]) => region as string) }),
      ...(replicateTo === undefined ? {} : { isReplicated: answer.status !== 202 }),
      operation,
      attempts: answer.attempts,
      servedBy: servedByOf(answer.headers['served-by']),
    };
  }

  #newOperation(): string {
    return uuidV7(this.#parts.random, this.#parts.clock.wallMs());
  }

  async explain(item: Item, options: CallOptions = {}): Promise<Explanation & { readonly servedBy: ServedBy }> {
    const answer = await this.#done({ method: 'GET', target: this.#itemTarget('explain', item, options.viewer), options, mayRepeat: true });
    return { ...(this.#json(answer.body) as Explanation), servedBy: servedByOf(answer.headers['served-by']) };
  }

  // Lists -------------------------------------------------------------------------------------------------------------------

  /** A page of the items of one pk, by sort key. */
  range(collection: string, pk: KeyPart, options: RangeOptions = {}): Promise<ItemPage> {
    const { order, limit, cursor, viewer } = options;
    const bounds = (['ge', 'gt', 'le', 'lt', 'prefix'] as const).map((name) => [name, options[name] === undefined ? undefined : encodeKey(options[name])] as const);
    const query = { pk: encodeKey(pk), ...Object.fromEntries(bounds), keys: 'base64url', order, limit, cursor, ...viewer };
    return this.#got(`${collectionPath(collection)}/ranges${queryOf(query)}`, options);
  }

  /** A page of all items, in physical order; it may be empty and still have a cursor. */
  scan(collection: string, { limit, cursor, viewer, ...options }: PageOptions = {}): Promise<ItemPage> {
    return this.#got(`${collectionPath(collection)}/scan${queryOf({ limit, cursor, ...viewer })}`, options);
  }

  /** Records of the answering region, one line each, in physical order. */
  async dump(collection: string, { limit, cursor, ...options }: PageOptions = {}): Promise<{ readonly lines: readonly string[]; readonly cursor?: string }> {
    const { body, headers } = await this.#done({ method: 'GET', target: `${collectionPath(collection)}/dump${queryOf({ limit, cursor })}`, options, mayRepeat: true });
    const lines = textOf(body).split('\n');
    return { lines: lines.slice(0, -1), ...named('cursor', headers['next-cursor']) };
  }

  // Conflicts ---------------------------------------------------------------------------------------------------------------

  conflicts(collection: string, { state, since, group, limit, cursor, ...options }: ConflictOptions = {}): Promise<ConflictPage> {
    return this.#got(`${collectionPath(collection)}/conflicts${queryOf({ state, since, group, limit, cursor })}`, options);
  }

  /** @throws ArchipelError `not-found` where the answering region's ledger does not hold the row */
  async restore(collection: string, id: string, options: CallOptions & Pick<WriteOptions, 'operation'> = {}): Promise<Restored & { readonly operation: string }> {
    const { operation = this.#newOperation() } = options;
    const answer = await this.#done({ method: 'POST', target: `${collectionPath(collection)}/conflicts/${encodeURIComponent(id)}/restore`, headers: { 'idempotency-key': operation }, options, operation, mayRepeat: true });
    return { ...(this.#json(answer.body) as Restored), operation };
  }

  /** All of a group of stranded writes, as far as the answering region's ledger holds them: as the merge has it, or written again. */
  settleGroup(collection: string, group: string, verb: 'accept' | 'restore', options: CallOptions = {}): Promise<SettledGroup> {
    return this.#posted(`${collectionPath(collection)}/stranded/${encodeURIComponent(group)}/${verb}`, undefined, options);
  }

  // Collections -------------------------------------------------------------------------------------------------------------

  /** @throws ArchipelError `collection-exists` with another policy */
  async createCollection(name: string, policy: Policy = {}, options: CallOptions = {}): Promise<{ readonly collection: Collection; readonly created: boolean }> {
    const answer = await this.#done({ method: 'PUT', target: collectionPath(name), headers: JSON_TYPE, body: utf8(JSON.stringify(policy)), options, mayRepeat: true });
    return { collection: this.#json(answer.body) as Collection, created: answer.status !== 200 };
  }

  collection(name: string, options: CallOptions = {}): Promise<Collection> {
    return this.#got(collectionPath(name), options);
  }

  /** Those that the key may use. */
  async collections(options: CallOptions = {}): Promise<readonly Collection[]> {
    return (await this.#got<{ collections: Collection[] }>('/v1/c', options)).collections;
  }

  // The store ---------------------------------------------------------------------------------------------------------------

  topology(options: CallOptions = {}): Promise<Topology> {
    return this.#got('/v1/topology', options);
  }

  /** @throws ArchipelError `topology-change-refused`, `not-found` */
  changeRegion(region: string, verb: 'drain' | 'return' | 'fence' | 'lose', options: CallOptions = {}): Promise<TopologyChanged> {
    return this.#posted(`/v1/regions/${encodeURIComponent(region)}/${verb}`, undefined, options, verb !== 'return'); // which, asked again, leads on from joining
  }

  /** The answering region becomes the control region. @throws ArchipelError `topology-change-refused` */
  promote(options: CallOptions = {}): Promise<TopologyChanged> {
    return this.#posted('/v1/topology/promote', undefined, options, true);
  }

  /** The answering region's side. */
  replication(options: CallOptions = {}): Promise<Replication> {
    return this.#got('/v1/replication', options);
  }

  /** OpenMetrics text of what answers. */
  async metrics(options: CallOptions = {}): Promise<string> {
    return textOf((await this.#done({ method: 'GET', target: '/metrics', options, mayRepeat: true })).body);
  }

  async certificates(options: CallOptions = {}): Promise<readonly Certificate[]> {
    return (await this.#got<{ certificates: Certificate[] }>('/v1/certificates', options)).certificates;
  }

  /** Holds back both directions with a peer, on the answering region's side. */
  async pause(peer: string, options: CallOptions = {}): Promise<void> {
    await this.#done({ method: 'POST', target: `/v1/replication/${encodeURIComponent(peer)}/pause`, options, mayRepeat: true });
  }

  async resume(peer: string, options: CallOptions = {}): Promise<void> {
    await this.#done({ method: 'POST', target: `/v1/replication/${encodeURIComponent(peer)}/resume`, options, mayRepeat: true });
  }

  /** Begins a run of the answering region with its peers. */
  reconcile(request: ReconcileRequest = {}, options: CallOptions = {}): Promise<Reconciliation> {
    return this.#posted('/v1/reconcile', request, options);
  }

  reconciliation(id: string, options: CallOptions = {}): Promise<Reconciliation> {
    return this.#got(`/v1/reconcile/${encodeURIComponent(id)}`, options);
  }

  // Keys --------------------------------------------------------------------------------------------------------------------

  createKey(request: KeyRequest, options: CallOptions = {}): Promise<NewKey> {
    return this.#posted('/v1/keys', request, options);
  }

  async keys(options: CallOptions = {}): Promise<readonly Key[]> {
    return (await this.#got<{ keys: Key[] }>('/v1/keys', options)).keys;
  }

  async revokeKey(id: string, options: CallOptions = {}): Promise<void> {
    await this.#done({ method: 'DELETE', target: `/v1/keys/${encodeURIComponent(id)}`, options, mayRepeat: false });
  }

  // Sending -----------------------------------------------------------------------------------------------------------------

  #itemTarget(what: 'items' | 'explain', { collection, pk, sk }: Item, viewer: Place | undefined): string {
    const path = `${collectionPath(collection)}/${what}`;
    const segments = this.#parts.keysIn === 'path' ? [segmentOf(pk), ...(sk === undefined ? [] : [segmentOf(sk)])] : [undefined];
    if (segments.every((segment) => segment !== undefined)) return `${path}/${segments.join('/')}${queryOf({ ...viewer })}`;
    return `${path}${queryOf({ pk: encodeKey(pk), sk: sk === undefined ? undefined : encodeKey(sk), keys: 'base64url', ...viewer })}`;
  }

  async #got<T>(target: string, options: CallOptions): Promise<T> {
    return this.#json((await this.#done({ method: 'GET', target, options, mayRepeat: true })).body) as T;
  }

  async #posted<T>(target: string, content: unknown, options: CallOptions, mayRepeat = false): Promise<T> {
    const body = content === undefined ? {} : { headers: JSON_TYPE, body: utf8(JSON.stringify(content)) };
    return this.#json((await this.#done({ method: 'POST', target, options, mayRepeat, ...body })).body) as T;
  }

  /** @throws ArchipelError what the problem document says */
  async #done(request: Request): Promise<Answered> {
    const answer = await this.#send(request);
    if (answer.status >= 400) throw toError(answer);
    return answer;
  }

  async #send({ method, target, headers, body, options, operation, mayRepeat }: Request): Promise<Answered> {
    const { key, region, timeoutMs, clock, random, onAttempt, hedgeMs } = this.#parts;
    const fields = { ...headers, authorization: key === undefined ? undefined : `Bearer ${key}`, region };
    const answer = await exchange({ addresses: this.#addresses, clock, random, onAttempt, hedgeMs }, {
      method,
      target,
      headers: Object.fromEntries(Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined)),
      isWrite: method !== 'GET',
      mayRepeat,
      timeoutMs: options?.timeoutMs ?? timeoutMs ?? TIMEOUT_MS,
      signal: options?.signal,
      ...(body === undefined ? {} : { body }),
      ...(operation === undefined ? {} : { operation }),
    });
    this.#checkRegion(answer);
    return answer;
  }

  /** A region takes no notice of `Region`; its answer must not pass for the other's. */
  #checkRegion({ status, headers }: Answered): void {
    const { region } = this.#parts;
    const served = headers['served-by'];
    if (region === undefined || served === undefined || status >= 400 || servedByOf(served).region === region) return;
    throw new ArchipelError('wrong-region', `${this.url} answers for ${servedByOf(served).region}, not for ${region}.`);
  }

  #json(body: Uint8Array): unknown {
    try {
      return (this.#parts.parseJson ?? JSON.parse)(textOf(body));
    } catch (error) {
      throw new ArchipelError('internal', `${this.url} answered what is not JSON.`, {}, error);
    }
  }
}

const collectionPath = (name: string): string => `/v1/c/${encodeURIComponent(name)}`;

const encodeKey = (part: KeyPart): string => toBase64Url(typeof part === 'string' ? utf8(part) : part);

/** Undefined where a key cannot travel in a path. */
function segmentOf(part: KeyPart): string | undefined {
  const text = typeof part === 'string' ? part : utf8Text(part);
  return text === undefined || text === '' || text === '.' || text === '..' ? undefined : encodeURIComponent(text);
}

function queryOf(query: Readonly<Record<string, string | number | undefined>>): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
  return pairs.length === 0 ? '' : `?${pairs.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&')}`;
}

const textOf = (body: Uint8Array): string => new TextDecoder().decode(body);

const quoted = (tag: string): string => (tag === '*' || tag.includes('"') ? tag : `"${tag}"`);

/** Without quotes, and without the suffix of the representation: what `If-Match` compares. */
const unquoted = (etag: string): string => etag.replace(/^"|"$/g, '').split(';')[0] as string;

const named = <N extends string>(name: N, value: string | undefined): { [K in N]?: string } => (value === undefined ? {} : { [name]: value }) as { [K in N]?: string };

/** `eu-central-1; origin=us-east-1; age-ms=140` */
export function servedByOf(field: string | undefined): ServedBy {
  const [region = '', ...rest] = (field ?? '').split(';').map((part) => part.trim());
  const parameters = new Map(rest.map((part) => part.split('=') as [string, string]));
  const ageMs = parameters.get('age-ms');
  return { region, ...named('origin', parameters.get('origin')), ...(ageMs === undefined ? {} : { ageMs: Number(ageMs) }) };
}
