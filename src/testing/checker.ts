// What must hold, whatever was done to the cluster: looked at with every commit, at moments from the seed, and when all
// is quiet. Believes the clients' history and the copies themselves, and the store's contexts only where nothing else can
// tell (last-write-wins without a read).
//
//   with every commit   a dot names one write, ever; contexts cover what they hold and never shrink; nothing lies where
//                       its placement does not put it; `lww` holds one write and its order never turns back
//   at moments          the live RPO is never below what a loss at this instant would lose
//   at the quiet end    the account (every acknowledged and every read value); nothing that was written over returns;
//                       one winner, the largest; a tag is matched once; copies and digests agree; queues are empty

import { EPOCH_MS } from '../adapters/sim/machine.ts';
import type { Disk } from '../adapters/sim/disk.ts';
import { storedItems } from '../adapters/sim/table.ts';
import type { World } from '../adapters/sim/world.ts';
import { keyText, utf8Text } from '../core/bytes.ts';
import { ALL_PARTITIONS, elementOf, addSums, sameSum, ZERO_SUM, type Sum } from '../core/merkle/digest.ts';
import { deriveKey, hmacSha256 } from '../adapters/node/crypto.ts';
import { compareDots, formatDot, type Dot } from '../core/version/dot.ts';
import { formatState } from '../core/version/format.ts';
import { operationOf } from '../core/version/operations.ts';
import { headDot, liveValues, type CommitKind, type State } from '../core/version/record.ts';
import { STAMP_ZERO } from '../core/version/stamp.ts';
import { covers, EMPTY_VECTOR, joinVectors, type VersionVector } from '../core/version/version-vector.ts';
import type { LossRow, StoredItem } from '../ports/table.ts';
import type { SimCluster, SimRegion } from './cluster.ts';
import type { ClientWrite, History } from './history.ts';

export interface Violation {
  readonly rule: string;
  readonly what: string;
}

/** Enough to understand a failure; the rest is usually the same again. */
const VIOLATIONS_MAX = 10;

interface View {
  readonly states: readonly State[];
  readonly losses: readonly LossRow[];
}

export class Checker {
  readonly violations: Violation[] = [];
  readonly #cluster: SimCluster;
  readonly #history: History;
  readonly #conflict: ReadonlyMap<string, 'lww' | 'siblings'>;
  /** What each dot of each item was seen to name. */
  readonly #named = new Map<string, string>();
  /** Dots under which a value was ever committed, by value. */
  readonly #dots = new Map<string, Dot[]>();
  /** The executions of each operation under `lww`: a retry is the same write, so what any of them superseded is its past. */
  readonly #executions = new Map<string, { readonly dots: Dot[]; past: VersionVector }>();
  /** The largest dot ever committed, by item. */
  readonly #heads = new Map<string, Dot>();
  readonly #before = new Map<string, State>();
  readonly damaged = new Set<SimRegion>();

  constructor(cluster: SimCluster, history: History, conflict: ReadonlyMap<string, 'lww' | 'siblings'>) {
    this.#cluster = cluster;
    this.#history = history;
    this.#conflict = conflict;
    cluster.watch = (region, item, kind) => this.#committed(region, item, kind);
  }

  get #world(): World {
    return this.#cluster.world;
  }

  #violated(rule: string, what: string): void {
    this.#world.trace('checker', `VIOLATION ${rule}: ${what}`);
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push({ rule, what });
  }

  // With every commit ---------------------------------------------------------------------------------------------------------

  #committed(region: SimRegion, { key, record }: StoredItem, kind: CommitKind): void {
    const { state } = record;
    const name = nameOf(key);
    if (this.#before.get(`${region.id} ${name}`) === state) return;
    this.#world.trace(region.id, `${kind} ${name} ${formatState(state)}`);
    for (const { dot, value } of state.values) {
      const text = utf8Text(value.bytes) ?? '';
      this.#names(name, dot, text);
      this.#noteDot(text, dot);
      this.#history.excused.delete(text); // it was under way, and is stored again
      if (!covers(state.context, dot)) this.#violated('a context covers what it holds', `${region.id} ${name} ${formatState(state)}`);
    }
    if (state.deleted !== undefined) this.#names(name, state.deleted, 'deleted');
    const head = headDot(state);
    if (head !== undefined && state.values.length <= 1) this.#noteExecution(name, head, state);
    if (head !== undefined && compareDots(head, this.#heads.get(name) ?? head) >= 0) this.#heads.set(name, head);
    this.#neverBack(region, name, key.collection, state);
    const holders = region.running?.region.catalog.holdersOf(key);
    if (holders !== undefined && !holders.includes(region.id)) this.#violated('nothing outside of its placement', `${region.id} holds ${name}, which belongs to ${holders.join(', ')}`);
  }

  #names(item: string, dot: Dot, what: string): void {
    const name = `${item} ${formatDot(dot)}`;
    const known = this.#named.get(name);
    if (known === undefined) this.#named.set(name, what);
    else if (known !== what) this.#violated('a dot is issued once', `${name} names ${known} and ${what}`);
  }

  #noteDot(value: string, dot: Dot): void {
    const known = this.#dots.get(value);
    if (known === undefined) this.#dots.set(value, [dot]);
    else if (!known.some((other) => compareDots(other, dot) === 0)) known.push(dot);
  }

  #noteExecution(item: string, head: Dot, { context, operations }: State): void {
    const id = operationOf(operations, head);
    if (id === undefined) return;
    const known = this.#executions.get(`${item} ${id}`);
    if (known === undefined) this.#executions.set(`${item} ${id}`, { dots: [head], past: context });
    else {
      known.past = joinVectors(known.past, context);
      if (!known.dots.some((dot) => compareDots(dot, head) === 0)) known.dots.push(head);
    }
  }

  /** What these contexts cover, and what the other executions of what they cover had superseded, and so on. */
  #wholePast(item: string, contexts: readonly VersionVector[]): VersionVector {
    const executions = [...this.#executions].flatMap(([name, execution]) => (name.startsWith(`${item} `) && execution.dots.length > 1 ? [execution] : []));
    let past = contexts.reduce(joinVectors, EMPTY_VECTOR);
    for (let left = executions; ; ) {
      const reached = left.filter(({ dots }) => dots.some((dot) => covers(past, dot)));
      if (reached.length === 0) return past;
      past = reached.reduce((sum, execution) => joinVectors(sum, execution.past), past);
      left = left.filter((execution) => !reached.includes(execution));
    }
  }

  #neverBack(region: SimRegion, item: string, collection: string, state: State): void {
    const place = `${region.id} ${item}`;
    const before = this.#before.get(place);
    this.#before.set(place, state);
    if (before === undefined) return;
    for (const [actor, stamp] of before.context) {
      if ((state.context.get(actor) ?? STAMP_ZERO) < stamp && this.#conflict.get(collection) === 'siblings') this.#violated('a context never shrinks', `${place} ${formatState(before)} -> ${formatState(state)}`);
    }
    // Where the policy is not known yet, every item is kept as siblings.
    if (region.running?.region.catalog.find(collection)?.policy.conflict !== 'lww' || before.values.length > 1) return;
    const [was, is] = [headDot(before), headDot(state)];
    if (was !== undefined && (is === undefined || compareDots(is, was) < 0)) this.#violated('the order of lww never turns back', `${place} ${formatState(before)} -> ${formatState(state)}`);
  }

  // At moments ------------------------------------------------------------------------------------------------------------------

  /** The live RPO of every region towards every peer, against what the peer really lacks. Takes no virtual time. */
  async checkLiveRpo(): Promise<void> {
    for (const region of this.#cluster.regions) for (const peer of this.#cluster.regions) if (peer !== region) await this.#checkRpo(region, peer);
  }

  async #checkRpo(region: SimRegion, peer: SimRegion): Promise<void> {
    const { running } = region;
    // A peer whose disk forgot lacks what it had acknowledged: nobody else can know.
    if (running?.isReady !== true || peer.running === undefined || this.damaged.has(peer)) return;
    const lacking = this.#lacking(region, peer);
    const lane = running.region.lanes.get(peer.id);
    const reported = await lane?.unreplicated();
    if (reported !== undefined && reported.items < lacking.length) this.#violated('live RPO', `${region.id} says that ${peer.id} lacks ${reported.items} items, but it lacks ${lacking.length}: ${lacking.slice(0, 3).join(', ')}`);
  }

  /** Items of which the peer does not have the newest write of this region's present incarnation. */
  #lacking(region: SimRegion, peer: SimRegion): string[] {
    const { running } = region;
    if (running === undefined || peer.running === undefined) return [];
    const actor = running.region.actor;
    const theirs = new Map([...peer.running.table.everything()].map(({ key, record }) => [keyText(key.encoded), record.state]));
    return [...running.table.everything()]
      .filter(({ key, record }) => {
        if (running.region.catalog.holdersOf(key)?.includes(peer.id) !== true) return false;
        const their = theirs.get(keyText(key.encoded));
        if (this.#conflict.get(key.collection) !== 'lww') return (their?.context.get(actor) ?? STAMP_ZERO) < (record.state.context.get(actor) ?? STAMP_ZERO);
        // The state is one whole write: a peer that holds a larger one has no use for this.
        const [mine, held] = [headDot(record.state), their === undefined ? undefined : headDot(their)];
        return mine !== undefined && mine.actor === actor && (held === undefined || compareDots(held, mine) < 0);
      })
      .map(({ key }) => nameOf(key));
  }

  /** What a disk lost with its region: values that no other region accounts for are excused from now on. */
  lost(region: SimRegion): void {
    this.damaged.add(region);
    for (const [place] of this.#before) if (place.startsWith(`${region.id} `)) this.#before.delete(place);
    const others = this.#cluster.regions.filter((other) => other !== region);
    const left = region.machine.disk;
    const lost: string[] = [];
    // What was written over by a write that is lost now, and was nowhere else, is lost with it: until nothing changes.
    for (let found = this.#unaccounted(others, left); found.length > 0; found = this.#unaccounted(others, left)) {
      for (const { value } of found) this.#history.excused.add(value);
      lost.push(...found.map(({ value }) => value));
    }
    this.#world.trace('checker', `lost with ${region.id}: ${lost.join(' ') || 'nothing'}`);
  }

  /** Writes whose answer is still under way count too: it may yet arrive. */
  #unaccounted(regions: readonly SimRegion[], left: Disk): ClientWrite[] {
    const stored = storedItems(left);
    return this.#history.writes.filter((write) => {
      if (write.outcome === 'refused' || this.#history.excused.has(write.value)) return false;
      const view = this.#view(regions, write);
      const own = stored.filter(({ key }) => isItem(key, write)).map(({ record }) => record.state);
      return this.#isLostWithout(write, write.kind === 'put' ? view : { ...view, states: [...view.states, ...own] });
    });
  }

  #isLostWithout(write: ClientWrite, view: View): boolean {
    if (write.kind === 'put') return (this.#dots.has(write.value) || write.effect === 'superseded') && !this.#isAccounted(write, view);
    // A delete leaves nothing to look for but what it did not delete: somebody still holds that, and nobody has dropped it.
    const holds = (state: State, value: string): boolean => state.values.some((each) => utf8Text(each.value.bytes) === value);
    const hasDropped = (state: State, value: string): boolean => !holds(state, value) && (this.#dots.get(value) ?? []).some((dot) => covers(state.context, dot));
    return write.superseded.some((value) => view.states.some((state) => holds(state, value)) && !view.states.some((state) => hasDropped(state, value)));
  }

  // The account -----------------------------------------------------------------------------------------------------------------

  /** Every value that a client was promised, or shown. */
  #promised(): ClientWrite[] {
    const shown = new Set(this.#history.reads.flatMap(({ values }) => values));
    return this.#history.writes.filter(({ kind, outcome, value }) => kind === 'put' && (outcome === 'acknowledged' || shown.has(value)) && !this.#history.excused.has(value));
  }

  #view(regions: readonly SimRegion[], write: ClientWrite): View {
    const tables = regions.flatMap(({ running }) => running?.table ?? []);
    return {
      states: tables.flatMap((table) => [...table.everything()].filter(({ key }) => isItem(key, write)).map(({ record }) => record.state)),
      losses: tables.flatMap((table) => [...table.everyLoss()].filter(({ key }) => isItem(key, write))),
    };
  }

  #isAccounted(write: ClientWrite, view: View): boolean {
    const { value, collection, expiresMs } = write;
    if (view.states.some(({ values }) => values.some((each) => utf8Text(each.value.bytes) === value))) return true;
    if (view.losses.some((row) => row.value !== undefined && utf8Text(row.value.bytes) === value)) return true;
    if (expiresMs !== undefined && expiresMs <= EPOCH_MS + this.#world.nowMs) return true;
    if (this.#isWrittenOver(write)) return true;
    if (this.#conflict.get(collection) === 'siblings') return false;
    const past = this.#wholePast(`${collection}/${write.pk}`, [...view.states.map(({ context }) => context), ...view.losses.map(({ context }) => context)]);
    return (this.#dots.get(value) ?? []).some((dot) => covers(past, dot));
  }

  /**
   * Has a write that had read this one replaced it, or, where nobody knows, may one have? One that was lost with a disk
   * counts when it was read in time: whoever had read it had seen what it replaced.
   */
  #isWrittenOver({ value, collection, pk }: ClientWrite, seen = new Set<string>()): boolean {
    if (seen.has(value)) return false;
    seen.add(value);
    return this.#history.writes.some((other) => {
      if (other.collection !== collection || other.pk !== pk || !other.superseded.includes(value)) return false;
      if (other.outcome === 'refused' || other.effect === 'superseded') return false;
      if (other.outcome === 'unknown' && (other.kind === 'put' ? !this.#dots.has(other.value) : !other.isOver)) return false;
      return other.kind === 'delete' || !this.#history.excused.has(other.value) || this.#isWrittenOver(other, seen);
    });
  }

  // At the quiet end ------------------------------------------------------------------------------------------------------------

  async finish(): Promise<readonly Violation[]> {
    this.#checkConvergence();
    this.#checkAccount();
    this.#checkReturned();
    this.#checkWinners();
    this.#checkConditions();
    this.#checkExpiredReads();
    await this.checkLiveRpo();
    await this.#checkDigests();
    await this.#checkQueues();
    return this.violations;
  }

  #checkConvergence(): void {
    const all = new Map<string, Map<string, string>>();
    for (const { id, running } of this.#cluster.regions) {
      for (const { key, record } of running?.table.everything() ?? []) {
        const name = nameOf(key);
        const states = all.get(name) ?? new Map<string, string>();
        all.set(name, states.set(id, this.#compared(record.state)));
        const holders = running?.region.catalog.holdersOf(key) ?? [];
        for (const holder of holders) if (!states.has(holder)) states.set(holder, 'nothing');
      }
    }
    for (const [name, states] of all) {
      const different = new Set([...states.values()].filter((state) => this.damaged.size === 0 || state !== ''));
      if (different.size > 1 && !(this.damaged.size > 0 && new Set([...states.values()].map((state) => (state === 'nothing' ? '' : state))).size === 1)) this.#violated('copies agree', `${name}: ${[...states].map(([id, state]) => `${id} ${state}`).join(' | ')}`);
    }
  }

  /** Reconciliation compares live values; what else a lost disk knew (tombstones, operations) may stay different. */
  #compared(state: State): string {
    if (this.damaged.size === 0) return formatState(state);
    return liveValues(state, EPOCH_MS + this.#world.nowMs)
      .map(({ dot, value }) => `${formatDot(dot)} ${utf8Text(value.bytes) ?? ''}`)
      .join(', ');
  }

  #checkAccount(): void {
    for (const write of this.#promised()) {
      if (write.effect === 'superseded' && write.status !== undefined && this.#conflict.get(write.collection) === 'siblings') continue;
      if (!this.#isAccounted(write, this.#view(this.#cluster.regions, write))) this.#violated('every acknowledged write is accounted for', describe(write));
    }
  }

  /** Nothing that an acknowledged write had read and replaced is current. */
  #checkReturned(): void {
    const writes = this.#history.writes.filter(({ outcome, effect, value, superseded }) => outcome === 'acknowledged' && effect !== 'superseded' && superseded.length > 0 && !this.#history.excused.has(value));
    for (const write of writes) {
      for (const state of this.#view(this.#cluster.regions, write).states) {
        const back = liveValues(state, EPOCH_MS + this.#world.nowMs).map(({ value }) => utf8Text(value.bytes) ?? '').find((value) => write.superseded.includes(value) && !this.#isForgottenRetry(value, state));
        if (back !== undefined) this.#violated('what was written over stays away', `${back} is back, although ${describe(write)} had replaced it: ${formatState(state)}`);
      }
    }
  }

  /** Operations are remembered for eight later writes of the item: a retry that comes after those is a new write. */
  #isForgottenRetry(value: string, { operations }: State): boolean {
    const dots = this.#dots.get(value) ?? [];
    return dots.length > 1 && dots.some((dot) => operationOf(operations, dot) === undefined);
  }

  /** The largest write ever committed stands. What a disk lost may have been larger. */
  #checkWinners(): void {
    for (const { running, id } of this.#cluster.regions) {
      for (const { key, record } of running?.table.everything() ?? []) {
        if (this.#conflict.get(key.collection) !== 'lww') continue;
        if (record.state.values.length > 1) this.#violated('lww holds one write', `${id} ${nameOf(key)} ${formatState(record.state)}`);
        const [head, largest] = [headDot(record.state), this.#heads.get(nameOf(key))];
        if (this.damaged.size === 0 && (head === undefined || largest === undefined || compareDots(head, largest) !== 0)) this.#violated('the largest write wins', `${id} ${nameOf(key)}: ${formatState(record.state)}, but ${largest === undefined ? '?' : formatDot(largest)} was committed`);
      }
    }
  }

  /** In one region, of all that name one tag in If-Match, one succeeds. */
  #checkConditions(): void {
    const matched = new Map<string, ClientWrite>();
    for (const write of this.#history.writes) {
      const { ifMatch, outcome, effect, servedBy, collection, pk } = write;
      if (ifMatch === undefined || outcome !== 'acknowledged' || (effect !== undefined && effect !== 'stored') || servedBy === undefined) continue;
      if ([...this.damaged].some(({ id }) => id === servedBy)) continue;
      const name = `${servedBy} ${collection} ${pk} ${ifMatch}`;
      const other = matched.get(name);
      if (other !== undefined) this.#violated('a tag is matched once in a region', `${describe(other)}, and ${describe(write)}`);
      matched.set(name, write);
    }
  }

  #checkExpiredReads(): void {
    if (this.#cluster.regions.some(({ machine }) => machine.rate !== 1) || this.clocksWereWrong) return;
    for (const read of this.#history.reads) {
      for (const value of read.values) {
        const expiresMs = this.#history.writer(value)?.expiresMs;
        // Item-TTL counts from the coordinator's reading of the request, at most as much later as the request took.
        const latest = (expiresMs ?? Number.POSITIVE_INFINITY) + LATEST_WRITE_MS;
        if (latest < EPOCH_MS + read.startedMs) this.#violated('nothing expired is read', `${read.client} read ${value} at ${read.servedBy ?? '?'}`);
      }
    }
  }

  /** Set by who steps wall clocks. */
  clocksWereWrong = false;

  async #checkDigests(): Promise<void> {
    const keyedHash = hmacSha256(deriveKey(new TextEncoder().encode('of the simulation'), 'digest'));
    for (const { id, running } of this.#cluster.regions) {
      if (running === undefined) continue;
      const lineMs = await running.table.digests.sweep(running.table.digests.lineMs);
      const fresh = new Map<string, Sum>();
      for (const { key, record } of running.table.everything()) fresh.set(key.group, addSums(fresh.get(key.group) ?? ZERO_SUM, elementOf(key.encoded, record.state, lineMs, keyedHash)));
      for (const [group, sum] of fresh) {
        if (!sameSum(running.table.digests.root(group as never, ALL_PARTITIONS), sum)) this.#violated('digests are of the live values', `${id} ${group}`);
      }
    }
  }

  async #checkQueues(): Promise<void> {
    for (const { id, running } of this.#cluster.regions) {
      if (running === undefined) continue;
      for (const [peer, queue] of running.hints) if ((await queue.depth()) > 0) this.#violated('queues run empty', `${id} still has ${await queue.depth()} hints for ${peer}`);
      for (const [peer, letters] of running.letters) if ((await letters.count()) > 0) this.#violated('nothing is undeliverable', `${id} has ${await letters.count()} dead letters of ${peer}: ${(await letters.list(1))[0]?.reason ?? ''}`);
      if (running.table.changes.size > LOG_ROWS_MAX) this.#violated('the log is trimmed', `${id} keeps ${running.table.changes.size} rows`);
    }
  }
}

const LATEST_WRITE_MS = 60_000;
/** Trimming is durable with the next group, so a few stay. */
const LOG_ROWS_MAX = 50;

const isItem = (key: StoredItem['key'], { collection, pk }: ClientWrite): boolean => key.collection === collection && utf8Text(key.pk) === pk;

const nameOf = (key: StoredItem['key']): string => `${key.collection}/${utf8Text(key.pk) ?? '?'}${key.sk.length > 0 ? `/${utf8Text(key.sk) ?? '?'}` : ''}`;

const describe = ({ client, kind, collection, pk, value, outcome, effect, servedBy, ifMatch, superseded, startedMs, endedMs, operation }: ClientWrite): string =>
  `${kind} ${collection}/${pk} ${value} by ${client} (${startedMs.toFixed(0)}..${endedMs.toFixed(0)} ms, ${outcome} ${effect ?? ''} at ${servedBy ?? '?'}${ifMatch === undefined ? '' : `, If-Match ${ifMatch}`}${superseded.length === 0 ? '' : `, over ${superseded.join(' ')}`}, ${operation.slice(0, 13)})`;

