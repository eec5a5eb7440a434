// Runs one drill at one place: the clients from the first second to the last, the steps at their times, then the questions.
//
//   1. What a region owes is asked just before it is taken away, of each region at each loss; what it acknowledges after the
//      question counts on top. Real RPO is judged by the survivors alone, before anything brings a lost region back.
//   2. Nothing is repaired by the drill itself before the load has ended and the last step was done.
//   3. Convergence is timed without reconciliation; reconciliation then proves it.

import type { Client } from '../client/client.ts';
import type { Certificate } from '../client/types.ts';
import { pause, type Clock } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import { differences, firstDifference, unaccounted, type LedgerRow, type LoggedWrite, type View } from './account.ts';
import { sabotaged, withControl } from './control.ts';
import { describeAction, ROLES, type Action, type ControlName, type Drill, type Role } from './drill.ts';
import type { Measured, Verdict } from './expectation.ts';
import { Clients, COLLECTION } from './load.ts';
import { judgeLosses, sumOf, type JudgedLoss, type Loss } from './loss.ts';
import { answersOf, badSeconds, detectionMs, errorRate, errorRateFrom, recoveryMs, secondsOf, shareOf, staleReadMs, staleReads, stampsAheadMs } from './measure.ts';
import type { DrillPlace, Kept } from './place.ts';
import type { DrillEvent, DrillReport, Proof } from './report.ts';
import { afterReturn, decided, type Window } from './windows.ts';

export interface RunParts {
  readonly clock: Clock;
  readonly random: Random;
  /** The drill's own known bug, for showing that it can fail. */
  readonly control?: ControlName | undefined;
  readonly onEvent?: (event: DrillEvent) => void;
  /** What every value begins with, where a drill may have been run before. */
  readonly name?: string;
  /** For the report: what was otherwise than the file says. */
  readonly remarks?: readonly string[];
}

const CONVERGE_MS_MAX = 60_000;
const LOOK_EVERY_MS = 50;
/** Less than a second, so that each second has its own figures. */
const ANSWER_MS = 900;
/** Of what a region owes, asked before it is taken away: without an answer there is nothing to hold its loss against. */
const LAST_ANSWER_MS = 3_000;
const COLLECTION_MS_MAX = 20_000;
const EXAMPLES = 3;
/** Steps that take a region away, and those that may bring it back. */
const TAKES: ReadonlySet<Action['verb']> = new Set(['kill', 'stop', 'wipe', 'pause', 'isolate']);
const BRINGS: ReadonlySet<Action['verb']> = new Set(['start', 'resume', 'heal', 'return', 'disk-freed']);
/** What an operator decides. */
const DECIDED: ReadonlySet<Action['verb']> = new Set(['drain', 'fence', 'lose']);
/** Steps by which somebody forgets what had been sent to some only. */
const FORGETS: ReadonlySet<Action['verb']> = new Set(['wipe', 'lose']);

export async function runDrill(drill: Drill, place: DrillPlace, parts: RunParts): Promise<DrillReport> {
  await createCollection(place, parts.clock);
  return new Run(withControl(drill, parts.control), place, parts).all();
}

async function createCollection(place: DrillPlace, clock: Clock): Promise<void> {
  const operator = place.client('first');
  const endMs = clock.monotonicMs() + COLLECTION_MS_MAX;
  for (;;) {
    const { collection } = await operator.createCollection(COLLECTION, { conflict: 'lww' }, { timeoutMs: COLLECTION_MS_MAX });
    if (collection.state === 'active' || clock.monotonicMs() > endMs) return;
    await pause(clock, LOOK_EVERY_MS);
  }
}

class Run {
  readonly #drill: Drill;
  readonly #place: DrillPlace;
  readonly #parts: RunParts;
  readonly #clients: Clients;
  readonly #events: DrillEvent[] = [];
  readonly #owed: (number | undefined)[][] = [];
  readonly #hints: (number | undefined)[][] = [];
  readonly #queued: (number | undefined)[][] = [];
  #oldestMs = 0;
  readonly #actors = new Set<string>();
  #divergedAtHealing: number | undefined;
  readonly #startedMs: number;
  #deadLetters = 0;
  #divergedKeys: number | undefined;
  readonly #notes: string[] = [];
  #behind = 0;
  /** The region that was taken away last, until another one has said of one that it is down; and how long that took. */
  #lastTaken: { readonly role: Role; readonly atMs: number } | undefined;
  #verdictMs: number | undefined;
  #healedMs: number | undefined;
  /** By what each was taken away. */
  readonly #away = new Map<Role, Action['verb']>();
  /** Not judged yet. */
  readonly #open = new Map<Role, Loss>();
  readonly #losses: JudgedLoss[] = [];
  readonly #taken = new Set<LoggedWrite>();
  #isOver = false;

  constructor(drill: Drill, place: DrillPlace, parts: RunParts) {
    this.#drill = drill;
    this.#place = place;
    this.#parts = parts;
    this.#startedMs = parts.clock.wallMs();
    this.#clients = new Clients({ setting: drill.load, clients: this.#connections(), clock: parts.clock, random: parts.random, ...(parts.name === undefined ? {} : { name: parts.name }) });
  }

  get #roles(): readonly Role[] {
    return ROLES.slice(0, this.#drill.regions);
  }

  #connections(): readonly Client[] {
    const { control } = this.#parts;
    if (this.#drill.load.through === 'regions') return this.#roles.map((role) => this.#place.client(role));
    const [first, ...others] = this.#roles as [Role, ...Role[]];
    if (this.#drill.load.through === 'client') return [this.#place.client(first, control === 'clients-do-not-fail-over' ? [] : others)];
    return [control === 'clients-do-not-fail-over' ? this.#place.clientBesideEdge(first) : this.#place.client('edge')];
  }

  readonly #name = (role: Role): string => this.#place.regions[ROLES.indexOf(role)] as string;

  #event(what: string): void {
    const event = { atMs: this.#clients.nowMs(), what };
    this.#events.push(event);
    this.#parts.onEvent?.(event);
  }

  async all(): Promise<DrillReport> {
    this.#clients.start();
    const watching = this.#watch();
    try {
      for (const { atMs, action } of this.#drill.steps) {
        await this.#until(atMs);
        await this.#step(action);
      }
      await this.#until(this.#drill.endMs);
    } finally {
      // Behind a step that could not be done nothing goes on, either.
      await this.#clients.stop();
      this.#event('the load ends');
      this.#isOver = true;
      await watching;
    }
    await this.#judgeLosses();
    return this.#conclude();
  }

  #until(atMs: number): Promise<void> {
    const leftMs = atMs - this.#clients.nowMs();
    return leftMs > 0 ? pause(this.#parts.clock, leftMs) : Promise.resolve();
  }

  /** What took longer than a second to find out leaves seconds without figures, not figures of other seconds. */
  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const second = Math.max(this.#owed.length, Math.floor(this.#clients.nowMs() / 1_000)); // a timer may fire a little early, in the second before
      const [owed, kept] = await Promise.all([this.#ofEach((role) => this.#place.owed(role)), this.#look()]);
      for (const rows of [this.#owed, this.#hints, this.#queued]) while (rows.length < second) rows.push([]);
      this.#owed.push(owed.map((each) => each && Math.max(0, ...each.values())));
      this.#hints.push(kept.map((each) => each?.hints));
      this.#queued.push(kept.map((each) => each?.queued));
      await this.#until((second + 1) * 1_000);
    }
  }

  async #look(): Promise<readonly (Kept | undefined)[]> {
    const kept = await this.#ofEach((role) => this.#place.kept(role));
    for (const { actor, behind, oldestMs, deadLetters, down } of kept.filter((each) => each !== undefined)) {
      if (this.#lastTaken !== undefined && this.#away.has(this.#lastTaken.role) && down.includes(this.#name(this.#lastTaken.role))) this.#verdictMs ??= this.#clients.nowMs() - this.#lastTaken.atMs;
      this.#actors.add(actor);
      this.#behind = Math.max(this.#behind, behind);
      this.#oldestMs = Math.max(this.#oldestMs, oldestMs);
      this.#deadLetters = Math.max(this.#deadLetters, deadLetters);
    }
    return kept;
  }

  readonly #ofEach = <T>(figure: (role: Role) => Promise<T>): Promise<readonly (T | undefined)[]> => Promise.all(this.#roles.map((role) => this.#patiently(figure(role))));

  get #answerMs(): number {
    return this.#place.answerMs ?? ANSWER_MS;
  }

  /** A region that does not answer in time has no figure for it. */
  #patiently<T>(figure: Promise<T>, ms = this.#answerMs): Promise<T | undefined> {
    return Promise.race([figure.catch(() => undefined), pause(this.#parts.clock, ms).then(() => undefined)]);
  }

  async #step(action: Action): Promise<void> {
    if (TAKES.has(action.verb) && 'region' in action) await this.#takenAway(action.region, action.verb);
    const back = this.#broughtBackBy(action);
    if (back.some((role) => this.#open.has(role))) await this.#judgeLosses();
    if (BRINGS.has(action.verb)) this.#divergedAtHealing ??= await this.#divergedNow();
    if (BRINGS.has(action.verb) && this.#parts.control === 'never-healed') return this.#event(`(not done: ${describeAction(action, this.#name)})`);
    this.#event(describeAction(action, this.#name));
    if (action.verb === 'rate') return this.#clients.setRate(action.rate);
    if (DECIDED.has(action.verb) && this.#parts.control === 'not-drained') return;
    await this.#place.do(action);
    for (const role of back) this.#away.delete(role);
    if (BRINGS.has(action.verb)) this.#healedMs = this.#clients.nowMs();
    if (action.verb === 'start') this.#event(`${this.#name(action.region)} is ready again`);
  }

  /** Between those that can answer. */
  async #divergedNow(): Promise<number> {
    const there = this.#roles.filter((role) => (this.#away.get(role) ?? 'isolate') === 'isolate');
    const views = await Promise.all(there.map((role) => this.#patiently(this.#place.view(role, COLLECTION))));
    return this.#differing(views.filter((view) => view !== undefined));
  }

  /** 1. One that was cut off before is asked again; where it cannot answer, what it said then stands, and what it acknowledged since. */
  async #takenAway(role: Role, verb: Action['verb']): Promise<void> {
    const askedMs = this.#clients.nowMs();
    const owed = await this.#patiently(this.#place.owed(role), this.#open.has(role) ? this.#answerMs : Math.max(this.#answerMs, LAST_ANSWER_MS));
    if (owed !== undefined || !this.#open.has(role)) this.#open.set(role, { region: this.#name(role), askedMs, owed });
    this.#away.set(role, verb);
    if (this.#verdictMs === undefined) this.#lastTaken = { role, atMs: this.#clients.nowMs() };
  }

  #broughtBackBy(action: Action): readonly Role[] {
    if (action.verb === 'start' || action.verb === 'resume') return [action.region];
    return action.verb === 'heal' ? this.#roles.filter((role) => this.#away.get(role) === 'isolate') : [];
  }

  /** 1 */
  async #judgeLosses(): Promise<void> {
    if (this.#open.size === 0) return;
    const promised = this.#clients.writes.filter(({ outcome }) => outcome === 'acknowledged'); // before anybody is asked: what is acknowledged meanwhile may not be seen
    const survivors = this.#roles.filter((role) => !this.#away.has(role));
    const views = await Promise.all(survivors.map((role) => this.#place.view(role, COLLECTION).catch(() => undefined)));
    const { losses, missing } = judgeLosses([...this.#open.values()], views.filter((view) => view !== undefined), promised, this.#taken);
    this.#open.clear();
    this.#losses.push(...(this.#parts.control === 'owed-not-asked' ? losses.map((loss) => ({ ...loss, live: 0 })) : losses));
    for (const write of missing) this.#taken.add(write);
    for (const { pk, value, servedBy } of missing.slice(0, EXAMPLES)) this.#notes.push(`at no survivor while ${losses.map(({ region }) => region).join(' and ')} ${losses.length === 1 ? 'was' : 'were'} away: ${pk} = ${value}, acknowledged by ${servedBy ?? '?'}`);
  }

  // The end -----------------------------------------------------------------------------------------------------------------

  async #conclude(): Promise<DrillReport> {
    if (this.#parts.control !== 'never-healed') await this.#place.healAll();
    const { convergedMs, views = await this.#views() } = await this.#converge();
    const equalMs = convergedMs === undefined ? undefined : this.#clients.nowMs();
    await this.#look();
    const difference = (views === undefined ? 'a region does not answer' : this.#difference(views)) ?? (await this.#place.reconcile().catch(String));
    if (difference !== undefined) this.#notes.push(`copies differ: ${difference}`);
    const lost = unaccounted(views ?? [], this.#clients.writes);
    for (const write of lost.slice(0, EXAMPLES)) this.#notes.push(`without an account: ${write.pk} = ${write.value} ${write.dot ?? ''}`);
    const measured = this.#measured({ convergedMs, equalAfterHealingMs: equalMs === undefined || this.#healedMs === undefined ? undefined : equalMs - this.#healedMs, copiesEqual: difference === undefined, lost: lost.length, views: views ?? [] });
    const verdicts = this.#drill.expect.map(({ text, judge }): Verdict => ({ expectation: text, ...judge(measured) }));
    return {
      drill: this.#drill.name,
      about: this.#drill.about,
      place: this.#place.name,
      regions: this.#roles.map(this.#name),
      control: this.#parts.control,
      passed: verdicts.every(({ holds }) => holds),
      verdicts,
      measured,
      events: this.#events,
      seconds: secondsOf(this.#clients.samples, this.#drill.endMs),
      owed: this.#owed,
      hints: this.#hints,
      queued: this.#queued,
      oldestMs: this.#oldestMs,
      deadLetters: this.#deadLetters,
      divergedAtHealing: this.#divergedAtHealing,
      divergedKeys: this.#divergedKeys,
      certificates: await this.#proofs(),
      requests: this.#clients.samples.length,
      retriesPerRequest: this.#clients.samples.reduce((sum, { attempts }) => sum + Math.max(0, attempts - 1), 0) / Math.max(1, this.#clients.samples.length),
      skipped: this.#clients.skipped,
      remarks: this.#parts.remarks ?? [],
      notes: this.#notes,
    };
  }

  #measured({ convergedMs, equalAfterHealingMs, copiesEqual, lost, views }: Pick<Measured, 'convergedMs' | 'equalAfterHealingMs' | 'copiesEqual' | 'lost'> & { readonly views: readonly View[] }): Measured {
    const { samples, writes } = this.#clients;
    const faultMs = (this.#drill.steps.find(({ action }) => action.verb !== 'rate') ?? this.#drill.steps[0])?.atMs ?? 0;
    const seconds = secondsOf(samples, this.#drill.endMs);
    const broughtBackMs = this.#drill.steps.find(({ action }) => BRINGS.has(action.verb))?.atMs ?? Number.POSITIVE_INFINITY;
    const returned = afterReturn(this.#drill.steps, this.#drill.endMs);
    const away = new Set(this.#losses.slice(0, 1).map(({ region }) => region));
    return {
      rtoMs: recoveryMs(seconds, faultMs),
      detectionMs: away.size === 0 ? undefined : detectionMs(samples, faultMs, away),
      verdictMs: this.#verdictMs,
      losses: this.#losses,
      rpoLive: sumOf(this.#losses, 'live'),
      rpoReal: sumOf(this.#losses, 'real'),
      acknowledged: writes.filter(({ outcome }) => outcome === 'acknowledged').length,
      lost,
      errorRate: errorRate(samples),
      errorsAfterReturn: errorRateFrom(samples, broughtBackMs),
      convergedMs,
      equalAfterHealingMs,
      copiesEqual,
      conflicts: this.#losers(views, () => true),
      stranded: this.#losers(views, ({ group }) => group !== undefined),
      rebuilt: Math.max(0, this.#actors.size - this.#drill.regions),
      stampsAheadMs: stampsAheadMs(writes, this.#startedMs),
      staleReadMs: staleReadMs(samples, faultMs),
      staleReads: staleReads(samples, faultMs),
      behind: this.#behind,
      askedWhileDrained: this.#answeredWhile('drain'),
      answeredWhileFenced: this.#answeredWhile('fence'),
      badSeconds: badSeconds(seconds, faultMs),
      shareAfterReturn: returned === undefined ? undefined : shareOf(...this.#in(returned)),
      staleAfterReturn: staleReads(samples, broughtBackMs),
    };
  }

  /** Of this run: one is in the ledgers of several regions. */
  #losers(views: readonly View[], counts: (row: LedgerRow) => boolean): number {
    const ofThisRun = views.flatMap(({ losses }) => losses).filter((row) => row.value?.startsWith(this.#parts.name ?? '') !== false && counts(row));
    return new Set(ofThisRun.map(({ pk, value }) => `${pk} ${value ?? ''}`)).size;
  }

  async #proofs(): Promise<readonly Proof[]> {
    const all = (await Promise.all(this.#roles.map((role) => this.#place.certificates(role).catch((): readonly Certificate[] => [])))).flat().sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
    return [...Map.groupBy(all, ({ regions }) => regions.join(' and '))].map(([pair, certificates]) => {
      const [newest] = certificates;
      const before = certificates.find(({ at }) => Date.parse(at) < this.#startedMs)?.at;
      return { pair, before, ...(newest === undefined || newest.at === before ? { after: undefined, digest: undefined } : { after: newest.at, digest: newest.digest }) };
    });
  }

  #answeredWhile(verb: 'drain' | 'fence'): number {
    const { steps, endMs } = this.#drill;
    return decided(steps, verb, endMs).reduce((sum, window) => sum + answersOf(...this.#in(window)), 0);
  }

  readonly #in = ({ region, fromMs, toMs }: Window): Parameters<typeof answersOf> => [this.#clients.samples, this.#name(region), fromMs, toMs];

  /** 3. `views`: as they were found equal; a request that was given up may yet arrive, and be seen in some regions before others. */
  async #converge(): Promise<{ readonly convergedMs: number | undefined; readonly views?: readonly View[] }> {
    const { clock } = this.#parts;
    const fromMs = clock.monotonicMs();
    const atTheEnd = await this.#views();
    this.#divergedKeys = atTheEnd === undefined ? undefined : this.#differing(atTheEnd);
    while (clock.monotonicMs() - fromMs < CONVERGE_MS_MAX) {
      if (await this.#place.isQuiet()) {
        const views = await this.#views();
        if (views !== undefined && this.#difference(views) === undefined) return { convergedMs: clock.monotonicMs() - fromMs, views };
      }
      await pause(clock, LOOK_EVERY_MS);
      if (this.#parts.control === 'never-healed' && clock.monotonicMs() - fromMs > LOOK_EVERY_MS * 40) break; // nothing will change
    }
    return { convergedMs: undefined };
  }

  /**
   * With a disk, a hint that found no room, or what was kept for a region that was declared lost, went what had been sent to some only: those know an operation more, and the
   * tombstones of what was deleted. A comparison does not look at either.
   */
  get #compared(): 'live values' | 'records' {
    const { steps, hints } = this.#drill;
    return hints !== undefined || steps.some(({ action }) => FORGETS.has(action.verb)) ? 'live values' : 'records';
  }

  readonly #difference = (views: readonly View[]): string | undefined => firstDifference(views, this.#compared);
  readonly #differing = (views: readonly View[]): number => differences(views, this.#compared);

  async #views(): Promise<readonly View[] | undefined> {
    const views = await Promise.all(this.#roles.map((role) => this.#place.view(role, COLLECTION).catch(() => undefined)));
    const all = views.filter((view) => view !== undefined);
    return all.length < views.length ? undefined : sabotaged(all, this.#parts.control, this.#clients.writes);
  }
}
