// What must hold, whatever was done to the cluster: looked at with every commit, at moments from the seed, and when all
// is quiet. Believes the clients' history and the copies themselves, and the store's contexts only where nothing else can
// tell (last-write-wins without a read).
//
//   with every commit   a dot names one write, ever; contexts cover what they hold and never shrink; nothing lies where
//                       its placement does not put it; `lww` holds one write and its order never turns back; transitions.ts
//   at moments          the live RPO is never below what a loss at this instant would lose
//   at the quiet end    the account (every acknowledged and every read value); nothing that was written over returns;
//                       one winner, the largest; registers.ts; copies and digests agree; queues are empty; refused is not done

import { EPOCH_MS } from '../adapters/sim/machine.ts';
import { storedLosses } from '../adapters/sim/stored.ts';
import type { World } from '../adapters/sim/world.ts';
import { toHex, utf8, utf8Text } from '../core/bytes.ts';
import { sha256 } from '../adapters/node/crypto.ts';
import { compareDots, formatDot, type Dot, type RegionId } from '../core/version/dot.ts';
import { formatState } from '../core/version/format.ts';
import { oneWrite } from '../core/version/lww.ts';
import { asOperationHash, findOperation, type OperationHash } from '../core/version/operations.ts';
import { headDot, liveValues, type CommitKind, type State } from '../core/version/record.ts';
import { STAMP_ZERO } from '../core/version/stamp.ts';
import { covers } from '../core/version/version-vector.ts';
import type { StoredItem } from '../ports/table.ts';
import { Account } from './account.ts';
import { Bounds, overInRecord } from './bounds.ts';
import type { SimCluster, SimRegion } from './cluster.ts';
import { copiesOf, differing } from './copies.ts';
import { FirstOutcomes } from './first-outcomes.ts';
import { describe, type ClientWrite, type History } from './history.ts';
import { beyondLiveRpo, type LastWords } from './last-words.ts';
import { lackingAt, rowsLackingAt } from './lacking.ts';
import { leftBehind } from './left-behind.ts';
import { isItem, nameOf } from './names.ts';
import { Passing } from './passing.ts';
import { Placed } from './placed.ts';
import { PoliciesKnown } from './policies-known.ts';
import { limitsOf } from './rare.ts';
import { Reaped } from './reaped.ts';
import { matchedTwice, seenAgain } from './registers.ts';
import { Transitions } from './transitions.ts';
import { replacedUnseen } from './unseen.ts';

export interface Violation {
  readonly rule: string;
  readonly what: string;
}

const VIOLATIONS_MAX = 10; // the rest is usually the same again

export class Checker {
  readonly violations: Violation[] = [];
  readonly #cluster: SimCluster;
  readonly #history: History;
  readonly #conflict: ReadonlyMap<string, 'lww' | 'siblings'>;
  readonly #account: Account;
  /** What each dot of each item was seen to name. */
  readonly #named = new Map<string, string>();
  /** The largest dot ever committed, by item. */
  readonly #heads = new Map<string, Dot>();
  readonly #before = new Map<string, State>();
  readonly damaged = new Set<SimRegion>();
  readonly #forgotten = new Set<string>(); // items that a disk forgot alone: what their region owed of them, it does not know
  /** Writes were given up for a peer: reconciliation, which compares live values only, repairs it. */
  get wasBehind(): boolean {
    return this.#world.counts.has('peer.behind') || this.#cluster.topology.epoch > 1;
  }

  readonly #passing: Passing;
  readonly #placed = new Placed();
  readonly #policies = new PoliciesKnown();
  readonly #bounds = new Bounds();
  readonly #reaped: Reaped;
  readonly #firstOutcomes: FirstOutcomes;
  readonly #transitions = new Transitions({ violated: (rule, what) => this.#violated(rule, what), clocksAgree: () => this.#clocksAgree });
  /** When each value expires, at the latest: a retry counts from its own time. */
  readonly #expires = new Map<string, number>();

  constructor(cluster: SimCluster, history: History, conflict: ReadonlyMap<string, 'lww' | 'siblings'>) {
    this.#cluster = cluster;
    this.#history = history;
    this.#conflict = conflict;
    this.#account = new Account(cluster, history, conflict);
    this.#firstOutcomes = new FirstOutcomes(cluster.world);
    this.#passing = new Passing({
      damaged: this.damaged, isInDoubt: () => this.clocksWereWrong, logged: (commit) => this.#account.noteLogged(commit), takesDocument: (region) => this.#bounds.look(region),
      wasDurable: (value) => history.writer(value) === undefined || this.#account.dotsOf(value).length > 0,
      violated: (rule, what) => this.#violated(rule, what),
    });
    this.#reaped = new Reaped(cluster, { damaged: this.damaged, worksForMs: (region) => this.#placed.worksForMs(region, this.#world.nowMs), violated: (rule, what) => this.#violated(rule, what) });
    cluster.watch = this.#passing.watcher((region, item, kind) => this.#committed(region, item, kind));
  }

  get #world(): World {
    return this.#cluster.world;
  }

  #violated(rule: string, what: string): void {
    this.#world.trace('checker', `VIOLATION ${rule}: ${what}`);
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push({ rule, what });
    this.onViolation();
  }

  onViolation: () => void = () => undefined;

  // With every commit ---------------------------------------------------------------------------------------------------------

  #committed(region: SimRegion, { key, record }: StoredItem, kind: CommitKind | 'reaped'): void {
    const { state } = record;
    const name = nameOf(key);
    if (kind === 'reaped') return this.#noteReaped(region, key, state);
    this.#passing.logged(region, key, kind);
    this.#policies.look(region, key.collection, this.#world.nowMs);
    const before = this.#before.get(`${region.id} ${name}`);
    if (before === state) return;
    // Reaped elsewhere, and the item written anew: by the order of its actor that write covers the delete, and nothing of what the delete had covered.
    if (kind === 'applied' && before?.deleted !== undefined && before.values.length === 0) this.#account.noteReaped(region, name, before);
    this.#world.trace(region.id, `${kind} ${name} ${formatState(state)}`);
    this.#firstOutcomes.committed(region, name, state, before);
    for (const { dot, value } of state.values) {
      const text = utf8Text(value.bytes) ?? '';
      this.#names(name, dot, text);
      this.#account.noteValue(text, dot, value.expiresMs);
      if (value.expiresMs !== undefined) this.#expires.set(text, Math.max(value.expiresMs, this.#expires.get(text) ?? 0));
      this.#history.excused.delete(text); // it was under way, and is stored again
      if (!covers(state.context, dot)) this.#violated('a context covers what it holds', `${region.id} ${name} ${formatState(state)}`);
    }
    if (state.deleted !== undefined) this.#names(name, state.deleted, 'deleted');
    const head = headDot(state);
    if (head !== undefined && state.values.length <= 1) this.#account.noteExecution(name, head, state);
    const isLww = this.#conflict.get(key.collection) === 'lww' && region.running?.region.catalog.conflictRule(key.collection) === 'lww'; // known there
    if (kind === 'local' && isLww) this.#noneUnseen(region, name, state);
    if (kind === 'local' && isLww) this.#account.noteReplacing(state);
    if (head !== undefined && compareDots(head, this.#heads.get(name) ?? head) >= 0) this.#heads.set(name, head);
    this.#checkTransition(region, key, state, kind);
    this.#neverBack(region, name, key.collection, state);
    const others = this.#placed.whose(region, key, this.#world.nowMs);
    if (others !== undefined) this.#violated('nothing outside of its placement', `${region.id} holds ${name}, which belongs to ${others}`);
  }

  /** What it covered is deleted or has expired for good: the account goes on believing it. */
  #noteReaped(region: SimRegion, key: StoredItem['key'], state: State): void {
    const name = nameOf(key);
    this.#world.trace(region.id, `reaped ${name} ${formatState(state)}`);
    this.#before.delete(`${region.id} ${name}`);
    this.#account.noteReaped(region, name, state);
    this.#reaped.note(region, key, state);
    this.#transitions.reaped(name);
    if (liveValues(state, EPOCH_MS + this.#world.nowMs - LATEST_WRITE_MS).length > 0) this.#violated('only what is dead is reaped', `${region.id} ${name} ${formatState(state)}`);
  }

  #noneUnseen({ id, machine }: SimRegion, item: string, state: State): void {
    const what = replacedUnseen({
      region: id, before: this.#before.get(`${id} ${item}`), state, writer: (value) => this.#history.writer(value),
      pastOf: (value) => this.#account.pastOf(item, value), dotsOf: (value) => this.#account.dotsOf(value), isWrittenOver: (value) => this.#account.isWrittenOver(value),
      pastOfRow: (row) => this.#account.pastOfRow(row), rows: () => storedLosses(machine.disk), // the process may be gone that left them
    });
    if (what !== undefined) this.#violated('what was replaced unseen is in the ledger', `${id} ${item}: ${what}`);
  }

  #checkTransition(region: SimRegion, key: StoredItem['key'], state: State, kind: CommitKind): void {
    const place = `${region.id} ${nameOf(key)}`;
    const change = { place, item: nameOf(key), before: this.#before.get(place), state, isServed: this.#policies.areKnown(region, key.collection, this.#world.nowMs) };
    this.#transitions.check(change);
    for (const what of overInRecord(state)) this.#violated('a record is bounded', `${place}: ${what}`);
    const actor = region.running?.region.actor;
    const isWrite = kind === 'local' && actor !== undefined && this.#conflict.get(key.collection) === 'siblings' && !this.#cluster.wasChanged.has(key.collection);
    if (isWrite && !(change.before === undefined && this.#isReaping)) this.#transitions.knowsItsOwn(change, actor);
  }

  #names(item: string, dot: Dot, what: string): void {
    const name = `${item} ${formatDot(dot)}`;
    const known = this.#named.get(name);
    if (known === undefined) this.#named.set(name, what);
    else if (known !== what) this.#violated('a dot is issued once', `${name} names ${known} and ${what}`);
  }

  #neverBack(region: SimRegion, item: string, collection: string, state: State): void {
    const place = `${region.id} ${item}`;
    const before = this.#before.get(place);
    this.#before.set(place, state);
    if (before === undefined) return;
    if (this.#cluster.wasChanged.has(collection)) return;
    for (const [actor, stamp] of before.context) {
      if ((state.context.get(actor) ?? STAMP_ZERO) < stamp && this.#conflict.get(collection) === 'siblings') this.#violated('a context never shrinks', `${place} ${formatState(before)} -> ${formatState(state)}`);
    }
    // Where the policy is not known yet, every item is kept as siblings.
    if (region.running?.region.catalog.find(collection)?.policy.conflict !== 'lww' || before.values.length > 1) return;
    if (!this.#policies.areKnown(region, collection, this.#world.nowMs)) return;
    const [was, is] = [headDot(before), headDot(state)];
    if (is === undefined && this.#isReaping) return; // what its author had reaped was removed
    if (was !== undefined && (is === undefined || compareDots(is, was) < 0)) this.#violated('the order of lww never turns back', `${place} ${formatState(before)} -> ${formatState(state)}`);
  }

  /** With 412. */
  refused(write: ClientWrite, at: RegionId, sentMs: number): void {
    const held = [...(this.#cluster.region(at).running?.table.everything() ?? [])].filter(({ key }) => isItem(key, write)).map(({ record }) => record.state);
    if (this.#firstOutcomes.wasKnown(at, `${write.collection}/${write.pk}`, operationHash(write.operation), sentMs, held)) this.#violated('a retry is told its first outcome', `${describe(write)} got 412 at ${at}`);
  }

  // At moments ------------------------------------------------------------------------------------------------------------------

  /** The live RPO of every region towards every peer, against what the peer really lacks. Takes no virtual time. */
  async checkLiveRpo(): Promise<void> {
    for (const region of this.#cluster.regions) this.#placed.look(region, this.#world.nowMs);
    for (const region of this.#cluster.regions) for (const peer of this.#cluster.regions) if (peer !== region) await this.#checkRpo(region, peer);
    for (const region of this.#cluster.regions) for (const what of await this.#bounds.over(region, limitsOf(this.#cluster.setting.rare), this.#world.counts.get('hint.failed') ?? 0)) this.#violated('what a region keeps is bounded', `${region.id}: ${what}`);
  }

  async #checkRpo(region: SimRegion, peer: SimRegion): Promise<void> {
    const { running } = region;
    // A peer whose disk forgot lacks what it had acknowledged: nobody else can know.
    if (running?.isReady !== true || peer.running === undefined || this.damaged.has(peer)) return;
    // Who comes to hold an item by a later topology document is not sent the rows from before it.
    const lacking = [...this.#lacking(region, peer), ...(this.#cluster.topology.epoch > 1 ? [] : rowsLackingAt(region, peer))];
    const lane = running.region.lanes.get(peer.id);
    const reported = await lane?.unreplicated();
    if (reported !== undefined && reported.items < lacking.length) this.#violated('live RPO', `${region.id} says that ${peer.id} lacks ${reported.items} items, but it lacks ${lacking.length}: ${lacking.slice(0, 3).join(', ')}`);
  }

  #lacking(region: SimRegion, peer: SimRegion): string[] {
    return lackingAt(region, peer, { nowMs: this.#world.nowMs, isLww: (collection) => this.#conflict.get(collection) === 'lww', wasBehind: this.wasBehind, isReaping: this.#isReaping, regionOf: (id) => this.#cluster.region(id), hasReaped: (at, key, dots) => this.#account.hasReaped(at, nameOf(key), dots), isLedgered: (key, dot) => this.#cluster.regions.some(({ running }) => [...(running?.table.everyLoss() ?? [])].some((row) => nameOf(row.key) === nameOf(key) && compareDots(row.dot, dot) === 0)), isWrittenOver: (value, dropped) => this.#account.isWrittenOver(value, [dropped]) }).map(({ key }) => nameOf(key)).filter((name) => !this.#forgotten.has(name));
  }

  /** What a disk lost with its region: values that no other region accounts for are excused from now on. */
  lost(region: SimRegion, key?: StoredItem['key']): readonly string[] {
    this.damaged.add(region);
    for (const [place] of this.#before) if (place.startsWith(`${region.id} `)) this.#before.delete(place);
    if (key !== undefined) this.#forgotten.add(nameOf(key));
    else this.#reaped.lost(region);
    this.#transitions.forgotten(region.id, this.#cluster.regions.filter((other) => other !== region), key && nameOf(key));
    const lost = this.#account.lost(region, key);
    // mark if (lost.length > 0): writes lost with a disk
    this.#world.trace('checker', `lost with ${region.id}: ${lost.join(' ') || 'nothing'}`);
    return lost;
  }

  /** All is quiet: the others account for every write without this disk, which holds its rows still. */
  checkOwesNothing(region: SimRegion): void {
    for (const write of this.#account.unaccountedWithout(region)) this.#violated('a loss is in the live RPO', `${region.id} owed nothing, and ${describe(write)} went with its disk`);
  }

  /** What a region was given back it holds as the others do. */
  checkRepaired(): void {
    this.#checkConvergence();
    this.#checkReturned();
  }

  /** It is lost for good: what goes with it was in its live RPO. */
  lostForGood(region: SimRegion, last: LastWords): void {
    const lost = this.lost(region).flatMap((value) => {
      const write = this.#history.writer(value);
      if (write === undefined) return [];
      const isOwn = this.#account.dotsOf(value).some((dot) => dot.actor === last.actor) || (write.effect === 'superseded' && write.servedBy === region.id); // committed nowhere: its row is there
      return isOwn ? [`${write.collection}/${write.pk}`] : [];
    });
    for (const what of beyondLiveRpo(last, lost)) this.#violated('a loss is in the live RPO', `${region.id} ${what}`);
    this.#world.count('region lost for good');
    if (lost.length > 0) this.#world.count('write lost with its region');
  }

  // At the quiet end ------------------------------------------------------------------------------------------------------------

  async finish(): Promise<readonly Violation[]> {
    this.#account.still(() => {
      this.#checkConvergence();
      this.#checkAccount();
      this.#checkArrived();
      this.#checkReturned();
      this.#checkWinners();
      this.#checkConditions();
      this.#checkRefused();
    });
    this.#checkExpiredReads();
    this.#reaped.finish();
    await this.checkLiveRpo();
    for (const { rule, what } of await leftBehind(this.#cluster.regions)) this.#violated(rule, what);
    return this.violations;
  }

  /** Reconciliation brought what replication could not: it compares live values, and the rest may stay different. */
  get #isPartial(): boolean {
    return this.damaged.size > 0 || this.wasBehind;
  }

  #checkConvergence(): void {
    for (const what of differing(copiesOf(this.#cluster.regions, (state, collection) => this.#compared(state, collection)), { byValue: this.#isByValue })) this.#violated('copies agree', what);
  }

  /** A record that was reaped equals its tombstone. */
  get #isReaping(): boolean {
    return this.#cluster.setting.graceMs !== undefined;
  }

  get #isByValue(): boolean {
    return this.#isPartial || this.#isReaping;
  }

  /** Reconciliation compares live values; what else a lost disk knew (tombstones, operations), or each region when it made one of siblings (contexts), may stay different. */
  #compared(state: State, collection: string): string {
    if (!this.#isByValue && !this.#cluster.wasChanged.has(collection)) return formatState(state);
    // A line that a wrong clock led ahead does not go back: what has expired by it is not compared.
    return liveValues(state, Math.max(EPOCH_MS + this.#world.nowMs, this.clocksWereWrong ? this.#cluster.latestTrustedMs : 0))
      .map(({ dot, value }) => `${formatDot(dot)} ${utf8Text(value.bytes) ?? ''}`)
      .join(', ');
  }

  #checkAccount(): void {
    for (const write of this.#account.promised()) {
      if (write.effect === 'superseded' && write.status !== undefined && this.#conflict.get(write.collection) === 'siblings') continue;
      if (!this.#account.isAccounted(write, this.#account.view(this.#cluster.regions, write, { placed: true }))) this.#violated('every acknowledged write is accounted for', describe(write));
    }
  }

  /**
   * What a region took from another it accounts for alone, also when it lost at once: the one that sent it may be gone the
   * next moment, and its ledger with it.
   */
  #checkArrived(): void {
    for (const [region, values] of this.#passing.arrivals) {
      if (this.damaged.has(region)) continue;
      for (const value of values) {
        const write = this.#history.writer(value);
        if (write === undefined || this.#history.excused.has(value)) continue;
        if (!this.#account.isAccounted(write, this.#account.view([region], write))) this.#violated('what arrived is accounted for where it arrived', `${region.id}: ${describe(write)}`);
      }
    }
  }

  /** Nothing that an acknowledged write had read and replaced is current. */
  #checkReturned(): void {
    const writes = this.#history.writes.filter(({ outcome, effect, value, superseded }) => outcome === 'acknowledged' && effect !== 'superseded' && superseded.length > 0 && !this.#history.excused.has(value));
    for (const write of writes) {
      const view = this.#account.view(this.#cluster.regions, write, { placed: true });
      for (const state of view.states) {
        const back = liveValues(state, EPOCH_MS + this.#world.nowMs).map(({ value }) => utf8Text(value.bytes) ?? '').find((value) => write.superseded.includes(value) && !this.#account.isLateRetry(value, view));
        if (back !== undefined) this.#violated('what was written over stays away', `${back} is back, although ${describe(write)} had replaced it: ${formatState(state)}`);
      }
    }
  }

  /** A write that was done twice may stand with both of its dots. The largest write ever committed stands. What a disk lost may have been larger. */
  #checkWinners(): void {
    // A region that came back as somebody new gives up what of its own nobody else had heard of before a tombstone was reaped.
    const isLate = (largest: Dot): boolean => this.#cluster.regions.some(({ running }) => [...(running?.table.everyLoss() ?? [])].some(({ rule, dot }) => rule === 'late' && compareDots(dot, largest) === 0));
    for (const { running, id } of this.#cluster.regions) {
      for (const { key, record } of running?.table.everything() ?? []) {
        if (this.#conflict.get(key.collection) !== 'lww') continue;
        if (oneWrite(record.state)[0].values.length < record.state.values.length) this.#violated('lww holds one write', `${id} ${nameOf(key)} ${formatState(record.state)}`);
        if (this.#cluster.wasChanged.has(key.collection) || running?.region.catalog.holdersOf(key)?.includes(id) === false) continue; // left behind when the topology changed
        const [head, largest] = [headDot(record.state), this.#heads.get(nameOf(key))];
        if ((this.#isReaping || this.wasBehind) && liveValues(record.state, EPOCH_MS + this.#world.nowMs).length === 0) continue;
        if (this.damaged.size === 0 && !this.#world.counts.has('peer.behind') && (head === undefined || largest === undefined || (compareDots(head, largest) !== 0 && !isLate(largest)))) this.#violated('the largest write wins', `${id} ${nameOf(key)}: ${formatState(record.state)}, but ${largest === undefined ? '?' : formatDot(largest)} was committed`);
      }
    }
  }

  #checkConditions(): void {
    const { writes, reads } = this.#history;
    const isSound = (region: RegionId): boolean => ![...this.damaged].some(({ id }) => id === region);
    const counts = (region: RegionId, collection: string): boolean => isSound(region) && this.#conflict.get(collection) === 'lww' && !this.#cluster.wasChanged.has(collection);
    for (const what of matchedTwice(writes.filter(({ servedBy }) => servedBy !== undefined && isSound(servedBy)))) this.#violated('a tag is matched once in a region', what);
    for (const what of seenAgain({ writes, reads, counts })) this.#violated('a version that was written over in a region is not seen there again', what);
  }

  /** An answer says done, not done, or unknown, and never guesses. */
  #checkRefused(): void {
    for (const write of this.#history.writes) {
      if (write.outcome !== 'refused') continue;
      const isKnown = (): boolean => this.#account.view(this.#cluster.regions, write).states.some(({ operations }) => findOperation(operations, operationHash(write.operation)) !== undefined);
      if (write.kind === 'put' ? this.#account.dotsOf(write.value).length > 0 : isKnown()) this.#violated('what was refused was not done', describe(write));
    }
  }

  #checkExpiredReads(): void {
    if (!this.#clocksAgree) return;
    for (const read of this.#history.reads) {
      for (const value of read.values) {
        if ((this.#expires.get(value) ?? Number.POSITIVE_INFINITY) < EPOCH_MS + read.startedMs) this.#violated('nothing expired is read', `${read.client} read ${value} at ${read.servedBy ?? '?'}`);
      }
    }
  }

  get #clocksAgree(): boolean {
    return !this.clocksWereWrong && this.#cluster.regions.every(({ machine }) => machine.rate === 1);
  }

  get clocksWereWrong(): boolean {
    return this.#account.clocksWereWrong;
  }

  /** Set by who steps wall clocks. */
  set clocksWereWrong(isSo: boolean) {
    this.#account.clocksWereWrong = isSo;
  }
}

const operationHash = (id: string): OperationHash => asOperationHash(toHex(sha256(utf8(id)).subarray(0, 8)));
const LATEST_WRITE_MS = 60_000;

