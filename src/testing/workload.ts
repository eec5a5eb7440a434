// Clients that read and write a few items in all regions, through the edge or not, move about, keep contexts, retry under
// the same operation id elsewhere, and note what was promised to them. They know nothing of what is done to the cluster.

import { sha256 } from '../adapters/node/crypto.ts';
import { Machine, EPOCH_MS, type Process } from '../adapters/sim/machine.ts';
import type { SeededRandom } from '../adapters/sim/random.ts';
import { utf8, utf8Text } from '../core/bytes.ts';
import { isArchipelError } from '../core/errors.ts';
import { hashOf } from '../core/keys/item-key.ts';
import { PARTITIONS } from '../core/limits.ts';
import { isRegionId, type RegionId } from '../core/version/dot.ts';
import { uuidV7 } from '../ports/random.ts';
import { PLACES, type SimCluster } from './cluster.ts';
import type { Exchange, HttpQuestion } from './doors.ts';
import type { ClientWrite, History, Outcome } from './history.ts';
import type { OperationStep } from './script.ts';
import type { WorkloadOptions } from './swarm.ts';

export interface WorkloadCollection {
  readonly name: string;
  readonly conflict: 'lww' | 'siblings';
  readonly replicas?: number;
}

const CONTEXTS_KEPT = 8;
const OLD_CONTEXT_MS = 10_000;
const OTHER_CONTEXTS = 0.01;
/** Of writes, those after which their client goes on from the answer. */
const GOING_ON = 0.15;
const COMING_BACK = 0.3;

interface KeptContext {
  readonly token: string;
  readonly values: readonly string[];
  readonly atMs: number;
}

interface Item {
  readonly collection: WorkloadCollection;
  readonly pk: string;
}

const CLIENTS_MAX = 30;

export class Workload {
  readonly #cluster: SimCluster;
  readonly #history: History;
  readonly #options: WorkloadOptions;
  readonly #collections: readonly WorkloadCollection[];
  #isStopping = false;
  #clients = 0;
  #running = 0;
  #values = 0;

  constructor(cluster: SimCluster, history: History, options: WorkloadOptions, collections: readonly WorkloadCollection[]) {
    this.#cluster = cluster;
    this.#history = history;
    this.#options = options;
    this.#collections = collections;
  }

  /** Told of each operation before it begins. */
  note: (step: Omit<OperationStep, 'atMs'>) => void = () => undefined;

  start(): void {
    while (this.#clients < this.#options.clients) this.join();
  }

  /** One more client; at most CLIENTS_MAX. */
  join(): void {
    if (this.#clients < CLIENTS_MAX) this.#run(++this.#clients, (client) => client.run());
  }

  /** These operations and no others. */
  replay(steps: readonly OperationStep[]): void {
    const clients = new Set(steps.map(({ client }) => client));
    for (const at of clients) this.#run(at, (client) => client.replay(steps.filter((step) => step.client === at)));
  }

  #run(at: number, run: (client: Client) => Promise<void>): void {
    const machine = new Machine(`client-${at}`, this.#cluster.world);
    this.#running++;
    run(new Client(this, machine.boot(), at)).then(
      () => this.#running--,
      (error: unknown) => this.#cluster.world.fail(error),
    );
  }

  /** Clients keep their contexts for ever, and use the first ones again and again. */
  get hoards(): boolean {
    return this.#cluster.setting.rare.settings.includes('hoarded-contexts');
  }

  stop(): void {
    this.#isStopping = true;
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  get isOver(): boolean {
    return this.#running === 0;
  }

  get cluster(): SimCluster {
    return this.#cluster;
  }

  get history(): History {
    return this.#history;
  }

  get options(): WorkloadOptions {
    return this.#options;
  }

  item(random: SeededRandom): Item {
    const collection = random.pick(this.#collections);
    const { hotKey, keys, staysMs, partitions } = this.#options;
    const at = random.chance(hotKey) ? 0 : random.between(0, keys - 1);
    const first = staysMs === undefined ? 0 : Math.floor((this.#cluster.world.nowMs - this.#backMs(random)) / staysMs) * keys;
    const number = Math.max(0, first) + at;
    return { collection, pk: partitions < PARTITIONS ? keyIn(collection.name, partitions, number) : `k${number}` };
  }

  /** To items that were left alone a while ago, some of them deleted, clients come back at about the time when these are reaped. */
  #backMs(random: SeededRandom): number {
    const { graceMs } = this.#cluster.setting;
    return graceMs !== undefined && random.chance(COMING_BACK) ? graceMs * (1 + random.unit()) : 0;
  }

  /** Told of a 412: checkers look whether the region had taken the operation before. */
  refused: (write: ClientWrite, region: RegionId, sentMs: number) => void = () => undefined;

  nextValue(): string {
    return `v${++this.#values}`;
  }
}

class Client {
  readonly #workload: Workload;
  readonly #process: Process;
  readonly #number: number;
  #random: SeededRandom;
  readonly #kept = new Map<string, KeptContext[]>();
  #home: RegionId;

  constructor(workload: Workload, process: Process, number: number) {
    this.#workload = workload;
    this.#process = process;
    this.#number = number;
    this.#random = workload.cluster.world.random.stream(process.machine.id);
    this.#home = this.#random.pick(workload.cluster.topology.regions).id;
  }

  get #nowMs(): number {
    return this.#process.world.nowMs;
  }

  async run(): Promise<void> {
    const { options } = this.#workload;
    while (!this.#workload.isStopping) {
      await this.#process.wait(this.#random.around(options.thinkMs));
      this.#wander();
      this.#workload.note({ client: this.#number, home: this.#home, random: this.#random.state });
      await this.#step();
    }
  }

  async replay(steps: readonly OperationStep[]): Promise<void> {
    const startMs = this.#nowMs;
    const { regions } = this.#workload.cluster.topology;
    for (const { atMs, home, random } of steps) {
      await this.#process.wait(Math.max(0, startMs + atMs - this.#nowMs));
      if (this.#workload.isStopping) return;
      this.#home = regions.some(({ id }) => id === home) ? home : (regions[0]?.id ?? home);
      this.#random = this.#random.at(random);
      await this.#step();
    }
  }

  async #step(): Promise<void> {
    const item = this.#workload.item(this.#random);
    if (this.#random.chance(this.#workload.options.reads)) await this.#read(item);
    else await this.#change(item);
  }

  #trace(what: string): void {
    this.#process.world.trace(this.#process.machine.id, what);
  }

  // Asking --------------------------------------------------------------------------------------------------------------------

  async #ask(to: RegionId | 'edge', question: HttpQuestion): Promise<Exchange> {
    const place = PLACES.find(({ id }) => id === this.#home) as (typeof PLACES)[number];
    const viewer = { 'cloudfront-viewer-latitude': String(place.lat), 'cloudfront-viewer-longitude': String(place.lon) };
    const answer = await this.#workload.cluster.ask(this.#process, to, { ...question, headers: { ...viewer, ...question.headers } }, this.#workload.options.patienceMs);
    this.#workload.history.answered(answer.status);
    return answer;
  }

  #wander(): void {
    if (this.#random.chance(this.#workload.options.wandering)) this.#home = this.#random.pick(this.#workload.cluster.topology.regions).id;
  }

  #target(): RegionId | 'edge' {
    return this.#random.chance(this.#workload.options.throughEdge) ? 'edge' : this.#home;
  }

  async #read({ collection, pk }: Item): Promise<{ readonly values: readonly string[]; readonly tag: string | undefined; readonly token: string | undefined } | undefined> {
    const startedMs = this.#nowMs;
    try {
      const answer = await this.#ask(this.#target(), { method: 'GET', target: targetOf(collection.name, pk), headers: { accept: 'application/json' } });
      if (answer.status !== 200 && answer.status !== 300 && answer.status !== 404) return undefined;
      const values = valuesOf(answer);
      const tag = answer.fields.get('etag');
      const token = answer.fields.get('causal-context');
      this.#trace(`read ${collection.name}/${pk}: ${values.map((value) => JSON.stringify(value)).join(', ') || 'nothing'}, served by ${servedBy(answer) ?? '?'}`);
      this.#workload.history.reads.push({ client: this.#process.name, collection: collection.name, pk, values, tag, servedBy: servedBy(answer), startedMs, endedMs: this.#nowMs });
      if (token !== undefined) this.#keep(`${collection.name} ${pk}`, { token, values, atMs: this.#nowMs });
      return { values, tag, token };
    } catch (error) {
      if (!isArchipelError(error)) throw error;
      return undefined;
    }
  }

  #keep(name: string, context: KeptContext): void {
    const kept = this.#kept.get(name) ?? [];
    if (kept.length === CONTEXTS_KEPT && !this.#workload.hoards) kept.splice(this.#random.between(0, CONTEXTS_KEPT - 1), 1);
    kept.push(context);
    this.#kept.set(name, kept);
  }

  // Writing -------------------------------------------------------------------------------------------------------------------

  async #change(item: Item): Promise<void> {
    const { options } = this.#workload;
    const kind = this.#random.chance(options.deletes) ? 'delete' : 'put';
    const isLww = item.collection.conflict === 'lww';
    // A blind delete of siblings removes what the region holds, which nobody outside can know: it is left to other tests.
    if (this.#random.chance(options.blind) && (isLww || kind === 'put')) return this.#write(item, kind, {});
    if (this.#random.chance(OTHER_CONTEXTS)) return this.#tryOtherContext(item);
    const old = this.#kept.get(`${item.collection.name} ${item.pk}`);
    const context = old !== undefined && old.length > 0 && this.#random.chance(this.#workload.hoards ? 0.3 : options.oldContexts) ? this.#random.pick(this.#workload.hoards ? old.slice(0, CONTEXTS_KEPT) : old) : undefined;
    if (context !== undefined && this.#nowMs - context.atMs > OLD_CONTEXT_MS) this.#process.world.count('context used again after ten seconds');
    if (context !== undefined) return this.#write(item, kind, { context });
    const read = await this.#read(item);
    if (read === undefined) return;
    this.#wander();
    if (isLww && read.tag !== undefined && this.#random.chance(0.7)) return this.#write(item, kind, { ifMatch: read.tag, values: read.values });
    if (read.token === undefined) return;
    return this.#write(item, kind, { context: { token: read.token, values: read.values, atMs: this.#nowMs } });
  }

  /** A context of another item must be refused, and change nothing. */
  async #tryOtherContext({ collection, pk }: Item): Promise<void> {
    const name = [...this.#kept.keys()].find((each) => each !== `${collection.name} ${pk}`);
    const [context] = name === undefined ? [] : (this.#kept.get(name) ?? []);
    if (context === undefined) return;
    try {
      const { status } = await this.#ask(this.#target(), { method: 'PUT', target: targetOf(collection.name, pk), headers: { 'causal-context': context.token, 'content-type': 'text/plain' }, body: utf8('never') });
      if (status < 300) this.#workload.cluster.world.fail(new Error(`A context of ${name ?? ''} was taken for ${collection.name} ${pk}.`));
    } catch (error) {
      if (!isArchipelError(error)) throw error;
    }
  }

  async #write({ collection, pk }: Item, kind: 'put' | 'delete', basis: { readonly context?: KeptContext; readonly ifMatch?: string; readonly values?: readonly string[] }): Promise<void> {
    const { history, options } = this.#workload;
    const nowMs = EPOCH_MS + this.#nowMs;
    const operation = uuidV7(this.#random, Math.floor(nowMs));
    const ttlSeconds = kind === 'put' && this.#random.chance(options.expiring) ? this.#random.between(1, 20) : undefined;
    const write = history.begin({
      client: this.#process.name,
      collection: collection.name,
      pk,
      kind,
      value: this.#workload.nextValue(),
      operation,
      superseded: basis.context?.values ?? basis.values ?? [],
      ifMatch: basis.ifMatch,
      isBlind: basis.context === undefined && basis.ifMatch === undefined,
      expiresMs: ttlSeconds === undefined ? undefined : nowMs + ttlSeconds * 1_000,
      startedMs: this.#nowMs,
      endedMs: this.#nowMs,
      isOver: false,
      outcome: 'unknown',
      status: undefined,
      servedBy: undefined,
      effect: undefined,
    });
    const headers: Record<string, string> = { 'idempotency-key': operation, 'content-type': 'text/plain' };
    if (basis.context !== undefined) headers['causal-context'] = basis.context.token;
    if (basis.ifMatch !== undefined) headers['if-match'] = basis.ifMatch;
    if (ttlSeconds !== undefined) headers['item-ttl'] = String(ttlSeconds);
    const question: HttpQuestion = { method: kind === 'put' ? 'PUT' : 'DELETE', target: targetOf(collection.name, pk), headers, ...(kind === 'put' ? { body: utf8(write.value) } : {}) };
    const over = write.superseded.length === 0 ? '' : ` over ${write.superseded.map((value) => JSON.stringify(value)).join(', ')}`;
    const name = `${kind}s ${collection.name}/${pk} ${kind === 'put' ? JSON.stringify(write.value) : `(${write.value})`}`;
    this.#trace(`${name}${write.isBlind ? ' blindly' : ''}${over}${ttlSeconds === undefined ? '' : ` for ${ttlSeconds} s`}`);
    const outcome = await this.#untilDefinite(write, question, options.retries);
    this.#trace(`${name}: ${outcome}${write.status === undefined ? '' : `, ${write.status}`}${write.effect === undefined ? '' : ` ${write.effect}`}${write.servedBy === undefined ? '' : `, served by ${write.servedBy}`}`);
    write.outcome = outcome;
    write.endedMs = this.#nowMs;
    write.isOver = true;
    await this.#goOn({ collection, pk }, write);
  }

  /** Somebody who has just written writes again at once, perhaps in another region by then. */
  async #goOn(item: Item, { value, outcome }: ClientWrite): Promise<void> {
    const last = this.#kept.get(`${item.collection.name} ${item.pk}`)?.at(-1);
    if (outcome !== 'acknowledged' || last?.values.length !== 1 || last.values[0] !== value || !this.#random.chance(GOING_ON)) return;
    this.#wander();
    await this.#write(item, 'put', { context: last });
  }

  /** Tries until the outcome is definite, in one region after another, always as the same operation. */
  async #untilDefinite(write: ClientWrite, question: HttpQuestion, retries: number): Promise<Outcome> {
    let isMaybeDone = false;
    for (let attempt = 0; attempt <= retries; attempt++) {
      const to = attempt === 0 ? this.#target() : this.#random.chance(0.5) ? 'edge' : this.#random.pick(this.#workload.cluster.topology.regions).id;
      const sentMs = this.#nowMs;
      try {
        const answer = await this.#ask(to, question);
        write.status = answer.status;
        write.servedBy = servedBy(answer);
        if (answer.status >= 200 && answer.status < 300) {
          write.effect = answer.fields.get('write-outcome');
          const token = answer.fields.get('causal-context');
          if (token !== undefined && write.kind === 'put') this.#keep(`${write.collection} ${write.pk}`, { token, values: [write.value], atMs: this.#nowMs });
          return 'acknowledged';
        }
        if (answer.status === 412 && write.servedBy !== undefined) this.#workload.refused(write, write.servedBy, sentMs);
        // Definite for this region; but an earlier attempt may have been taken elsewhere.
        if (answer.status < 500) return isMaybeDone || codeOf(answer) === 'operation-expired' ? 'unknown' : 'refused';
        if (answer.status === 504 || answer.status === 500) isMaybeDone = true;
        if (answer.status === 500) this.#workload.cluster.world.fail(new Error(`500 for ${question.method} ${question.target}: ${utf8Text(answer.body)}`));
      } catch (error) {
        if (!isArchipelError(error)) throw error;
        if (error.details['unsent'] !== true) isMaybeDone = true;
      }
      await this.#process.wait(this.#random.around(100));
    }
    return isMaybeDone ? 'unknown' : 'refused';
  }
}

/** Found so far, by collection and number of partitions. */
const keysFound = new Map<string, { readonly keys: string[]; tried: number }>();

/** One of the keys that lie in the first so many partitions. */
function keyIn(collection: string, partitions: number, number: number): string {
  const name = `${collection} ${partitions}`;
  const found = keysFound.get(name) ?? { keys: [], tried: 0 };
  keysFound.set(name, found);
  for (; found.keys.length <= number; found.tried++) if ((hashOf(collection, utf8(`k${found.tried}`), sha256)[0] ?? 0) < partitions) found.keys.push(`k${found.tried}`);
  return found.keys[number] as string;
}

const targetOf = (collection: string, pk: string): string => `/v1/c/${collection}/items/${pk}`;

function servedBy(answer: Exchange): RegionId | undefined {
  const [id] = (answer.fields.get('served-by') ?? '').split(';');
  return id !== undefined && isRegionId(id) ? id : undefined;
}

/** Of a problem: the end of its type. */
const codeOf = ({ body }: Exchange): string => /"type":"[^"]*\/([a-z-]+)"/.exec(utf8Text(body) ?? '')?.[1] ?? '';

interface SiblingList {
  readonly siblings: readonly { readonly valueBase64?: string; readonly value?: unknown }[];
}

/** The values that an answer shows, none, one or several. */
export function valuesOf({ status, body }: Exchange): string[] {
  const text = utf8Text(body) ?? '';
  if (status === 200) return [text];
  if (status !== 300) return [];
  return (JSON.parse(text) as SiblingList).siblings.map(({ valueBase64, value }) => (valueBase64 === undefined ? String(value) : Buffer.from(valueBase64, 'base64').toString()));
}
