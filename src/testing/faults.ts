// What is done to a cluster while clients use it. One kind after another, at times from the seed; each puts right again
// what it broke, and `healAll` what is still broken when the quiet begins.

import type { SeededRandom } from '../adapters/sim/random.ts';
import { CLOCK_DRIFT_MS_MAX } from '../core/limits.ts';
import type { World } from '../adapters/sim/world.ts';
import type { StoredItem } from '../ports/table.ts';
import type { SimCluster, SimRegion } from './cluster.ts';
import { lastWordsOf, type LastWords } from './last-words.ts';
import { RARE_STRIKES, type Striker } from './rare-faults.ts';
import type { RareFault } from './rare.ts';
import type { FaultStep } from './script.ts';
import type { FaultKind, Swarm } from './swarm.ts';

/** Until all the others are up. */
const FORGET_AGAIN_MS = 300;
/** Within what the quiet waits for. */
const FROZEN_MS_MAX = 100_000;
const RESTART_MS = [50, 500, 3_000, 12_000] as const;

const CLOCK_STEPS_MS = [100, 400, 2_000, 30_000, 3_600_000] as const;

/** Who is told what a disk has lost. */
export interface Loser {
  lost(region: SimRegion, key?: StoredItem['key']): unknown;
  lostForGood(region: SimRegion, last: LastWords): void;
}

export class Faults {
  readonly #cluster: SimCluster;
  readonly #swarm: Swarm;
  #random: SeededRandom;
  readonly #checker: Loser;
  #isOver = false;
  /** Regions whose disk lost something: reconciliation, not replication, gives it back. */
  readonly damaged = new Set<SimRegion>();
  readonly counts = new Map<FaultKind | RareFault, number>();
  /** Lost for good: what comes back in its place, after everything has healed, is whole. */
  readonly #lost: SimRegion[] = [];
  #isCopied = false;
  /** When all that was sent before everything healed has arrived: it may be from a disk that was lost since. */
  arrivedMs = 0;

  /** Told of each before it strikes. */
  note: (step: Omit<FaultStep, 'atMs'>) => void = () => undefined;

  constructor(cluster: SimCluster, swarm: Swarm, checker: Loser) {
    this.#cluster = cluster;
    this.#swarm = swarm;
    this.#checker = checker;
    this.#random = cluster.world.random.stream('faults');
  }

  /** How many took effect. */
  get struck(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Is a region ever started again in this run? */
  get #restarts(): boolean {
    return this.#swarm.faults.some((kind) => kind === 'kill' || kind === 'stop' || kind === 'power-cut' || kind === 'old-disk' || kind === 'wiped-disk');
  }

  get #world(): World {
    return this.#cluster.world;
  }

  start(): void {
    const next = (): void => {
      this.#world.after(this.#random.around(this.#swarm.faultEveryMs), () => {
        this.strike();
        if (!this.#isOver) next();
      });
    };
    next();
  }

  /** Also between two of them, where clients get much done in little time. */
  strike(): void {
    if (this.#isOver) return;
    const kind = this.#random.pick([...this.#swarm.faults, ...this.#swarm.rare.faults]);
    const region = this.#random.pick(this.#cluster.regions);
    this.note({ kind, region: region.id, random: this.#random.state });
    this.#strikeAt(kind, region);
  }

  /** These and no others. */
  replay(steps: readonly FaultStep[]): void {
    for (const { atMs, kind, region: id, random } of steps) {
      this.#world.after(atMs, () => {
        const region = this.#cluster.regions.find((each) => each.id === id);
        if (this.#isOver || region === undefined) return;
        this.#random = this.#random.at(random);
        this.#strikeAt(kind as FaultKind | RareFault, region);
      });
    }
  }

  #strikeAt(kind: FaultKind | RareFault, region: SimRegion): void {
    const done = isRare(kind) ? RARE_STRIKES[kind](this.#striker(), region) : STRIKES[kind](this, region);
    if (done) this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  #striker(): Striker {
    return {
      cluster: this.#cluster,
      world: this.#world,
      random: this.#random,
      later: (delayMs, task) => this.#later(delayMs, task),
      forget: (region, how, lose, key) => this.#forget(region, how, lose, key),
    };
  }

  #later(delayMs: number, task: () => void): void {
    this.#world.after(delayMs, () => {
      if (!this.#isOver) task();
    });
  }

  #restartLater(region: SimRegion): void {
    this.#world.after(this.#isOver ? 0 : this.#random.around(this.#random.pick(RESTART_MS)), () => {
      if (region.machine.process === undefined) region.start();
    });
  }

  kill(region: SimRegion): boolean {
    if (region.machine.process === undefined) return false;
    region.kill();
    this.#restartLater(region);
    return true;
  }

  stop(region: SimRegion): boolean {
    if (!region.isUp) return false;
    void region.stop().then(
      () => this.#restartLater(region),
      () => this.kill(region),
    );
    return true;
  }

  freeze(region: SimRegion): boolean {
    const { process } = region.machine;
    if (process === undefined) return false;
    const forMs = Math.min(FROZEN_MS_MAX, this.#random.around(this.#random.pick([200, 3_000, 20_000])));
    this.#world.trace(region.id, `frozen for ${forMs.toFixed(0)} ms`);
    process.stopFor(forMs);
    return true;
  }

  split(region: SimRegion): boolean {
    const shape = this.#random.pick(['one', 'one-way', 'halves', 'swizzle'] as const);
    const ids = this.#cluster.regions.map(({ id }) => id);
    const side = shape === 'halves' ? new Set(ids.filter(() => this.#random.chance(0.5))) : new Set([region.id]);
    const links = ids.flatMap((from) => ids.filter((to) => from !== to && side.has(from) !== side.has(to) && (shape !== 'one-way' || side.has(from))).map((to) => [from, to] as const));
    if (this.#random.chance(0.3)) for (const id of side) links.push(['edge', id] as never, [id, 'edge'] as never);
    this.#world.trace('network', `split ${shape}: ${[...side].join(', ') || 'nobody'}`);
    const forMs = this.#random.around(this.#random.pick([300, 3_000, 15_000]));
    for (const [from, to] of links) {
      const startMs = shape === 'swizzle' ? this.#random.around(200) : 0;
      this.#later(startMs, () => this.#cluster.network.cut(from, to));
      this.#later(startMs + forMs + (shape === 'swizzle' ? this.#random.around(1_000) : 0), () => this.#cluster.network.heal(from, to));
    }
    return links.length > 0;
  }

  clock(region: SimRegion): boolean {
    const { machine } = region;
    if (machine.wallOffsetMs !== 0) return false;
    const isRestarted = this.#random.chance(0.3);
    // A region that starts alone with its clock ahead issues stamps that its peers refuse until their time has come: the
    // quiet must last longer than that.
    const byMs = this.#random.chance(0.5) ? -this.#random.pick(CLOCK_STEPS_MS) : this.#random.pick(isRestarted || this.#restarts || !region.isUp ? CLOCK_STEPS_MS.slice(0, 4) : CLOCK_STEPS_MS);
    // Two that are ahead by the same would agree, and nobody could tell that it is they who are wrong.
    if (byMs > CLOCK_DRIFT_MS_MAX && this.#cluster.regions.some((other) => other.machine.wallOffsetMs > CLOCK_DRIFT_MS_MAX)) return false;
    this.#world.trace(region.id, `its wall clock steps by ${byMs} ms`);
    machine.wallOffsetMs = byMs;
    if (isRestarted) this.kill(region);
    this.#later(this.#random.around(8_000), () => {
      machine.wallOffsetMs = 0;
      this.#world.trace(region.id, 'its wall clock is put right');
    });
    return true;
  }

  diskFull(region: SimRegion): boolean {
    const { disk } = region.machine;
    if (disk.isFull) return false;
    disk.isFull = true;
    this.#world.trace(region.id, 'its disk is full');
    this.#later(this.#random.around(3_000), () => {
      disk.isFull = false;
      this.#world.trace(region.id, 'its disk has room');
    });
    return true;
  }

  /** Only one disk at a time forgets: what two lose together nobody promised. */
  #mayForget(region: SimRegion): boolean {
    return region.machine.process !== undefined && this.damaged.size === 0 && this.#cluster.regions.every((other) => other === region || other.isUp);
  }

  /** `key`: nothing but this one is lost. */
  #forget(region: SimRegion, how: string, lose: () => void, key?: StoredItem['key']): boolean {
    if (!this.#mayForget(region)) return false;
    region.kill();
    this.damaged.add(region);
    this.#world.trace(region.id, how);
    lose();
    this.#checker.lost(region, key);
    this.#restartLater(region);
    return true;
  }

  /** For good, with its disk: what it had not passed on is lost, and no more than it said. */
  async lose(region: SimRegion): Promise<boolean> {
    if (this.#isOver || !this.#mayForget(region)) return false;
    const last = await lastWordsOf(region);
    if (!this.#mayForget(region)) return false;
    region.kill();
    region.isGone = true;
    this.#lost.push(region);
    this.damaged.add(region);
    this.#world.trace(region.id, 'is lost for good');
    region.machine.disk.wipe();
    this.#checker.lostForGood(region, last);
    return true;
  }

  powerCut(region: SimRegion): boolean {
    return this.#forget(region, 'loses power, and what was not synced', () => region.machine.disk.cutPower(this.#random.unit() * 1_000));
  }

  wipedDisk(region: SimRegion): boolean {
    return this.#forget(region, 'its disk is wiped', () => region.machine.disk.wipe());
  }

  /** A copy is taken now, and put back some time later. */
  oldDisk(region: SimRegion): boolean {
    // One in a run: of several, the youngest would as a rule be put back first, and it has forgotten the least.
    if (this.#isCopied || !this.#mayForget(region)) return false;
    this.#isCopied = true;
    const copy = region.machine.disk.copy();
    const sameMarker = this.#random.chance(0.5);
    const putBack = (): void => {
      if (!this.#forget(region, 'its disk is replaced by an older copy', () => region.machine.disk.restore(copy, { sameMarker }))) this.#later(FORGET_AGAIN_MS, putBack);
    };
    // Long enough that something is reaped meanwhile.
    const { graceMs } = this.#swarm;
    this.#later(graceMs === undefined ? this.#random.around(4_000) : graceMs * (1.2 + this.#random.unit()), putBack);
    return true;
  }

  edge(): boolean {
    if (this.#cluster.edge.process === undefined) return false;
    this.#world.trace('edge', 'killed');
    this.#cluster.edge.kill();
    this.#later(this.#random.around(300), () => this.#cluster.startEdge());
    return true;
  }

  pauseReplication(region: SimRegion): boolean {
    const { running } = region;
    const others = this.#cluster.regions.filter((other) => other !== region);
    const peer = this.#random.pick(others).id;
    if (running === undefined || running.region.phase !== 'serving') return false;
    const set = (isPaused: boolean): void => {
      this.#world.trace(region.id, `replication with ${peer} ${isPaused ? 'paused' : 'resumed'}`);
      region.running?.region.setPaused(peer, isPaused).catch(() => undefined);
    };
    set(true);
    this.#later(this.#random.around(5_000), () => set(false));
    return true;
  }

  reconcile(region: SimRegion): boolean {
    const { running } = region;
    if (running?.region.phase !== 'serving') return false;
    this.#world.trace(region.id, 'is asked to reconcile');
    void running.region.reconciler.run({ peers: [...running.region.links.keys()], deep: this.#random.chance(0.2) }).finished.catch(() => undefined);
    return true;
  }

  /** Everything is put right; from here on nothing breaks. */
  healAll(): void {
    this.#isOver = true;
    this.#world.trace('network', 'everything heals');
    const { network, regions, edge } = this.#cluster;
    this.arrivedMs = network.lastArrivalMs;
    network.heal();
    network.faults = { ...network.faults, slowDelays: 0, lostQuestions: 0, lostAnswers: 0, twice: 0, recorded: 0 };
    for (const { machine } of [...regions, ...this.#lost]) {
      machine.wallOffsetMs = -(machine.rate - 1) * this.#world.nowMs;
      machine.disk.isFull = false;
      machine.disk.isWell = true;
      machine.lagMs = machine.throttled = 0;
    }
    for (const region of regions) if (region.machine.process === undefined) region.start();
    if (edge.process === undefined) this.#cluster.startEdge();
  }
}

const isRare = (kind: FaultKind | RareFault): kind is RareFault => Object.hasOwn(RARE_STRIKES, kind);

const STRIKES: Readonly<Record<FaultKind, (faults: Faults, region: SimRegion) => boolean>> = {
  kill: (faults, region) => faults.kill(region),
  stop: (faults, region) => faults.stop(region),
  freeze: (faults, region) => faults.freeze(region),
  split: (faults, region) => faults.split(region),
  clock: (faults, region) => faults.clock(region),
  'disk-full': (faults, region) => faults.diskFull(region),
  'power-cut': (faults, region) => faults.powerCut(region),
  'old-disk': (faults, region) => faults.oldDisk(region),
  'wiped-disk': (faults, region) => faults.wipedDisk(region),
  edge: (faults) => faults.edge(),
  'pause-replication': (faults, region) => faults.pauseReplication(region),
  reconcile: (faults, region) => faults.reconcile(region),
};
