// One seed, from the first event to the verdict.

import { createHash } from 'node:crypto';
import { forbid } from '../adapters/sim/forbid.ts';
import { Machine } from '../adapters/sim/machine.ts';
import { World } from '../adapters/sim/world.ts';
import { utf8 } from '../core/bytes.ts';
import type { RegionId } from '../core/version/dot.ts';
import { changePolicy, renewPolicy } from './administrator.ts';
import { Checker, type Violation } from './checker.ts';
import { SimCluster, type SimRegion } from './cluster.ts';
import { Faults } from './faults.ts';
import { Hand } from './hand.ts';
import { History } from './history.ts';
import { OldCopy } from './old-copy.ts';
import { formatDebt, owedIn, type Debt } from './owed.ts';
import type { RareOption, RareSetting } from './rare.ts';
import { activeMsOf, excerptOf, calmerSwarm, newScript, type Excerpt, type Script } from './script.ts';
import { collectMarks } from './marks.ts';
import { drawSwarm, type Swarm } from './swarm.ts';
import { hastyVerdicts, nobodyIsTakenForDown } from './verdicts.ts';
import { Workload, type WorkloadCollection } from './workload.ts';

export interface RunOptions {
  /** On in any case. */
  readonly rare?: readonly RareOption[];
  /** What is kept of it (script.ts); undefined: the run as it is. */
  readonly excerpt?: Excerpt | undefined;
  /** Called with each line of the trace. */
  readonly trace?: (line: string) => void;
  /** Errors tell where they were made. A trace that names one differs then. */
  readonly stacks?: boolean;
}

export interface RunResult {
  readonly seed: number;
  readonly swarm: Swarm;
  readonly violations: readonly Violation[];
  /** SHA-256 of the trace. */
  readonly traceHash: string;
  readonly operations: number;
  readonly requests: number;
  readonly faults: Readonly<Record<string, number>>;
  /** How often what the options are to exercise was. */
  readonly counts: Readonly<Record<string, number>>;
  readonly virtualMs: number;
  readonly steps: number;
  /** Names of the rare states that were met (marks.ts). */
  readonly marks: readonly string[];
}

const START_MS_MAX = 60_000;
/** From healing until nothing is owed any more: breakers that have backed off (30 s), refused hints (60 s), a hidden delivery (10 s). */
const QUIET_MS_MAX = 150_000;
/** Then the quiet begins early: a run is to be short, and to be one of many. */
const WRITES_MAX = 400;
/** Until then it begins late, but not after so many times as long: a run is to be worth its start and its end. */
const OPERATIONS_MIN = 300;
const FAULTS_MIN = 5;
const LONGER = 2;
const LAG_OF_A_CLIENT = 20;
/** A lost question holds the lease of its pair until the connection is given up, and runs of a pair wait for each other. */
const RECONCILE_MS_MAX = 150_000;
/** Hints that are refused now and then are sent by then, and nobody falls behind any more. */
const HINTS_MS = 70_000;
/** A merge that was decided before its region had the policy, and was on the disk after, is found by the next round of `settle`. */
const SETTLED_MS = 11_000;
const CALM_LOOKS = 3;
const RPO_CHECK_EVERY_MS = 1_500;
/** Many heartbeats, some of which are lost. */
const VERDICT_MS_MAX = 20_000;

export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const { excerpt } = options;
  return excerpt === undefined ? once(seed, options, newScript()) : once(seed, options, newScript(), { excerpt, steps: excerptOf(await scriptOf(seed, options), excerpt) });
}

const scripts = new Map<number, Script>();

/** What the whole run of the seed did, as far as it came; the last one is kept. */
export async function scriptOf(seed: number, options: RunOptions = {}): Promise<Script> {
  const known = scripts.get(seed);
  if (known !== undefined) return known;
  const script = newScript();
  await once(seed, { ...options, trace: () => undefined }, script).catch(() => undefined);
  scripts.clear();
  scripts.set(seed, script);
  return script;
}

/** Of a trace at a time: a call for each line costs more than its hash. */
const HASHED_CHARACTERS = 64 * 1024;

/** A part of a run ends with its first violation: the last line of its trace. */
class Enough extends Error {}

interface Replay {
  readonly excerpt: Excerpt;
  readonly steps: Script;
}

async function once(seed: number, options: RunOptions, script: Script, replay?: Replay): Promise<RunResult> {
  const hash = createHash('sha256');
  const permit = forbid();
  const { stackTraceLimit } = Error;
  // Refusals are everyday in a run, and where they were made costs more to note than to make them. Who looks for a bug asks for it.
  if (options.stacks !== true) Error.stackTraceLimit = 0;
  try {
    let lines = '';
    const world = new World(seed, (line) => {
      lines += line;
      if (lines.length > HASHED_CHARACTERS) {
        hash.update(lines);
        lines = '';
      }
      options.trace?.(line);
    });
    return await new Run(world, script, replay, options.rare).all(() => hash.update(lines).digest('hex'));
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    permit();
  }
}

class Run {
  readonly #world: World;
  readonly #swarm: Swarm;
  readonly #cluster: SimCluster;
  readonly #history = new History();
  readonly #checker: Checker;
  readonly #faults: Faults;
  readonly #workload: Workload;
  readonly #collections: readonly WorkloadCollection[];
  readonly #script: Script;
  readonly #replay: Replay | undefined;
  readonly #conflict: Map<string, 'lww' | 'siblings'>;
  #isPolicyChanged = false;
  readonly #marks = collectMarks();
  readonly #hand: Hand | undefined;
  readonly #oldCopy: OldCopy | undefined;

  constructor(world: World, script: Script, replay: Replay | undefined, rare: readonly RareOption[] = []) {
    this.#world = world;
    this.#script = script;
    this.#replay = replay;
    this.#swarm = calmerSwarm(drawSwarm(world.random.stream('swarm'), rare), replay?.excerpt ?? {});
    const swarm = this.#swarm;
    script.regions = swarm.regions;
    this.#cluster = new SimCluster(world, swarm);
    const narrow = (swarm.workload.narrow || this.#has('narrow-everything')) && swarm.regions > 2 ? { replicas: 2 } : {};
    this.#collections = [
      { name: 'win', conflict: 'lww', ...(this.#has('narrow-everything') ? narrow : {}) },
      { name: 'sib', conflict: 'siblings', ...narrow },
    ];
    this.#conflict = new Map(this.#collections.map(({ name, conflict }) => [name, conflict]));
    this.#checker = new Checker(this.#cluster, this.#history, this.#conflict);
    this.#faults = new Faults(this.#cluster, swarm, this.#checker);
    if (this.#has('topology')) this.#hand = new Hand(this.#cluster, (region) => this.#faults.lose(region));
    if (this.#has('old-copy') && this.#hand === undefined) this.#oldCopy = new OldCopy(this.#cluster, world.random.stream('old copy'));
    this.#workload = new Workload(this.#cluster, this.#history, swarm.workload, this.#collections);
    this.#workload.refused = (write, region, sentMs) => this.#checker.refused(write, region, sentMs);
  }

  async all(traceHash: () => string): Promise<RunResult> {
    const world = this.#world;
    world.trace('seed', `${world.seed} ${JSON.stringify(this.#swarm)}`);
    if (this.#replay !== undefined) this.#checker.onViolation = () => world.fail(new Enough());
    try {
      await this.#begin();
      await this.#break();
      await this.#quiet();
    } catch (error) {
      if (!(error instanceof Enough)) throw error;
    }
    return {
      seed: world.seed,
      swarm: this.#swarm,
      violations: this.#checker.violations,
      traceHash: traceHash(),
      operations: this.#operations,
      requests: this.#history.requests,
      faults: Object.fromEntries(this.#faults.counts),
      counts: Object.fromEntries(world.counts),
      virtualMs: world.nowMs,
      steps: world.steps,
      marks: [...this.#marks],
    };
  }

  #has(setting: RareSetting): boolean {
    return this.#swarm.rare.settings.includes(setting);
  }

  async #reach(what: string, withinMs: number, isDone: () => boolean, detail = (): string => ''): Promise<boolean> {
    const done = await this.#world.run(this.#world.nowMs + withinMs, isDone);
    if (!done) this.#checker.violations.push({ rule: 'progress', what: `${what} not within ${withinMs} ms${detail()}` });
    return done;
  }

  async #begin(): Promise<void> {
    const { regions, network } = this.#cluster;
    const faults = network.faults;
    network.faults = { ...faults, lostAnswers: 0, lostQuestions: 0, slowDelays: 0 };
    for (const { machine } of regions) machine.rate = 1 + this.#swarm.drift * (2 * this.#world.random.unit() - 1);
    this.#cluster.start();
    await this.#reach('every region is ready', START_MS_MAX, () => regions.every(({ isUp }) => isUp));
    let created = 0;
    const process = new Machine('operator', this.#world).boot();
    const create = async ({ name, conflict, replicas }: WorkloadCollection): Promise<void> => {
      const body = utf8(JSON.stringify({ conflict, ...(replicas === undefined ? {} : { replicas }) }));
      for (;;) {
        const { status } = await this.#cluster.ask(process, regions[0]?.id ?? 'edge', { method: 'PUT', target: `/v1/c/${name}`, headers: { 'content-type': 'application/json' }, body }, 10_000);
        if (status === 201 || status === 200) return;
        await process.wait(500);
      }
    };
    for (const collection of this.#collections) create(collection).then(() => created++, (error: unknown) => this.#world.fail(error));
    await this.#reach('the collections exist', START_MS_MAX, () => created === this.#collections.length);
    network.faults = faults;
  }

  async #break(): Promise<void> {
    const startMs = this.#world.nowMs;
    const endMs = startMs + (this.#replay === undefined ? this.#swarm.activeMs : activeMsOf(this.#replay.steps));
    this.#checker.clocksWereWrong = this.#swarm.faults.includes('clock') || this.#swarm.skewMs > 0;
    // Each within what a region lets pass of its own clock; of two together it may be more.
    const skews = this.#world.random.stream('skews');
    for (const { machine } of this.#cluster.regions) machine.wallOffsetMs = Math.round(this.#swarm.skewMs * (2 * skews.unit() - 1));
    this.#startAll(startMs);
    if (this.#has('policy-change')) this.#changePolicy();
    if (this.#has('next-format')) this.#upgradeSome();
    this.#hand?.start();
    this.#oldCopy?.takeWithin(this.#swarm.activeMs);
    let isOver = false;
    const watch = (): void => {
      this.#world.after(RPO_CHECK_EVERY_MS, () => {
        if (isOver) return;
        const elapsed = (this.#world.nowMs - startMs) / this.#swarm.activeMs;
        // Those who wait for answers get little done.
        if (this.#replay === undefined) for (let lag = OPERATIONS_MIN * elapsed - this.#operations; lag > 0; lag -= LAG_OF_A_CLIENT) this.#workload.join();
        void this.#checker.checkLiveRpo();
        for (const what of hastyVerdicts(this.#cluster)) this.#checker.violations.push({ rule: 'verdict', what });
        watch();
      });
    };
    watch();
    await this.#world.run(endMs, () => this.#history.writes.length >= WRITES_MAX && this.#isFull);
    if (this.#replay === undefined) await this.#world.run(startMs + LONGER * this.#swarm.activeMs, () => this.#isFull);
    isOver = true;
    this.#script.activeMs = this.#world.nowMs - startMs;
    this.#workload.stop();
    this.#faults.healAll();
  }

  get #isFull(): boolean {
    return this.#operations >= OPERATIONS_MIN && this.#faults.struck >= FAULTS_MIN;
  }

  get #operations(): number {
    return this.#history.writes.length + this.#history.reads.length;
  }

  #startAll(startMs: number): void {
    if (this.#replay !== undefined) {
      this.#workload.replay(this.#replay.steps.operations);
      this.#faults.replay(this.#replay.steps.faults);
      return;
    }
    let struck = 0;
    this.#workload.note = (step) => {
      this.#script.operations.push({ atMs: this.#world.nowMs - startMs, ...step });
      const due = Math.floor((FAULTS_MIN + 1) * this.#script.operations.length / OPERATIONS_MIN);
      if (this.#faults.struck < due && due > struck) this.#faults.strike();
      struck = due;
    };
    this.#faults.note = (step) => this.#script.faults.push({ atMs: this.#world.nowMs - startMs, ...step });
    this.#workload.start();
    this.#faults.start();
  }

  #changePolicy(changed = changePolicy(this.#cluster, this.#swarm.activeMs, () => this.#conflict.set('sib', 'lww'))): void {
    this.#isPolicyChanged = false;
    changed.then(() => (this.#isPolicyChanged = true), (error: unknown) => this.#world.fail(error));
  }

  /** Regions are upgraded one after the other, at times; those that are left, when everything heals. */
  #upgradeSome(): void {
    const random = this.#world.random.stream('upgrades');
    for (const region of this.#cluster.regions.slice(1)) this.#world.after(random.unit() * this.#swarm.activeMs, () => this.#upgrade(region));
  }

  #upgrade(region: SimRegion): void {
    if (region.build === 'next') return;
    this.#world.trace(region.id, 'is upgraded');
    region.kill();
    region.build = 'next';
    region.start();
    this.#world.count('region upgraded');
  }

  async #quiet(): Promise<void> {
    if (this.#has('next-format')) {
      this.#cluster.build = 'next';
      for (const region of this.#cluster.regions) this.#upgrade(region);
    }
    await this.#reach('nobody is frozen any more', QUIET_MS_MAX, () => this.#cluster.regions.every(({ machine }) => machine.process?.isPaused !== true));
    if (this.#has('policy-change')) await this.#reach('the policy is changed', QUIET_MS_MAX, () => this.#isPolicyChanged);
    this.#hand?.finish();
    if (this.#hand !== undefined) await this.#reach('every region works on the last topology', 2 * QUIET_MS_MAX, () => this.#hand?.isDone === true);
    if (!(await this.#reach('every region is ready again', QUIET_MS_MAX, () => this.#cluster.regions.every(({ isUp }) => isUp) && this.#workload.isOver && this.#world.nowMs >= this.#faults.arrivedMs))) return;
    await this.#resumeAll();
    if (this.#has('policy-change')) {
      this.#changePolicy(renewPolicy(this.#cluster));
      await this.#reach('the policy is still changed', QUIET_MS_MAX, () => this.#isPolicyChanged);
      await this.#world.run(this.#world.nowMs + SETTLED_MS);
    }
    if (this.#has('few-hints') || this.#hand !== undefined) {
      // A clock that was ahead when somebody fell behind has to come to that time before a comparison proves anything.
      const calm = this.#whenCalm(({ items, behind }) => items !== behind);
      await this.#world.run(this.#world.nowMs + HINTS_MS, () => calm.isOver() && !this.#checker.clocksWereWrong);
      await this.#reconcileAll();
    }
    await this.#settled();
    await this.#reach('nobody takes a region for down', VERDICT_MS_MAX, () => nobodyIsTakenForDown(this.#cluster));
    if (this.#checker.damaged.size > 0) {
      await this.#reconcileAll();
      await this.#settled();
    }
    await this.#lastLook();
    if (this.#checker.violations.length === 0 && this.#oldCopy?.putBack(this.#checker) === true) await this.#repaired(this.#oldCopy);
  }

  async #repaired(oldCopy: OldCopy): Promise<void> {
    if (!(await this.#reach('the region with the old copy is ready', QUIET_MS_MAX, () => this.#cluster.regions.every(({ isUp }) => isUp)))) return;
    await this.#resumeAll(); // its disk may know of a pause
    // What finds no room among the hints is given up at the start, and a certificate ends that only when it is older than a usual lag.
    if (this.#has('few-hints')) await this.#world.run(this.#world.nowMs + HINTS_MS);
    await this.#reconcileAll();
    this.#checker.checkRepaired();
    oldCopy.speak();
    await this.#settled();
    await this.#lastLook();
  }

  async #lastLook(): Promise<void> {
    let isChecked = false;
    void this.#checker.finish().then(() => (isChecked = true), (error: unknown) => this.#world.fail(error));
    await this.#reach('the last look', 10_000, () => isChecked);
  }

  async #reconcileAll(): Promise<void> {
    for (const region of this.#cluster.regions) for (const peer of region.running?.region.links.keys() ?? []) await this.#reconcile(region, peer);
  }

  async #resumeAll(): Promise<void> {
    for (const region of this.#cluster.regions) for (const id of region.running?.region.lanes.keys() ?? []) await this.#resume(region, id);
  }

  async #resume(region: SimRegion, peer: RegionId): Promise<void> {
    let done = false;
    void region.running?.region.setPaused(peer, false).then(() => (done = true), () => (done = true));
    await this.#world.run(this.#world.nowMs + 1_000, () => done);
  }

  /** Until a run came to its end: another may hold the lease, or a line be ahead of a clock that was wrong. */
  async #reconcile(region: SimRegion, peer: RegionId): Promise<void> {
    let done = false;
    const tryOnce = (): void => {
      const run = region.running?.region.reconciler.run({ peers: [peer] });
      void run?.finished.then(() => {
        if (run.state === 'done') done = true;
        else this.#world.after(1_000, tryOnce);
      });
    };
    tryOnce();
    await this.#reach(`${region.id} reconciles with ${peer}`, RECONCILE_MS_MAX, () => done);
  }

  /** Nothing is owed, nothing is under way. */
  async #settled(): Promise<void> {
    const calm = this.#whenCalm((debt) => debt.items !== 0);
    await this.#reach('nothing is owed any more', QUIET_MS_MAX, calm.isOver, () => `: ${calm.left().map(formatDebt).join(', ')}`);
  }

  /** Looked at every second, until it was so three times in a row. */
  #whenCalm(isOwed: (debt: Debt) => boolean): { readonly isOver: () => boolean; readonly left: () => readonly Debt[] } {
    let calm = 0;
    let left: readonly Debt[] = [];
    const look = (): void => {
      void owedIn(this.#cluster.regions).then((found) => {
        left = found.filter(isOwed);
        calm = left.length === 0 ? calm + 1 : 0;
        if (calm < CALM_LOOKS) this.#world.after(1_000, look);
      });
    };
    look();
    return { isOver: () => calm >= CALM_LOOKS, left: () => left };
  }
}
