// The hand that writes the topology of a simulated cluster, by turns as an operator would: a region is added as `joining`,
// filled by reconciliation with every replica, made active; others are drained, fenced, declared lost, and taken back. It shows each
// document to one region; the others learn from answers. Between the turns it shows what must be refused. One region may be lost
// for good with its disk: it is listed as lost, then no more, and perhaps built anew under its name. Another is declared lost
// while it runs, and taken back.

import { Machine, type Process } from '../adapters/sim/machine.ts';
import type { SeededRandom } from '../adapters/sim/random.ts';
import type { RegionState, Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { SimCluster, SimRegion } from './cluster.ts';

const TURN_MS = 4_000;
const LOOK_MS = 200;
/** Of the regions that are put out of use, those that are declared lost, and come back. */
const LOST_PROBABILITY = 0.4;
const RUN_MS = 10_000;
/** All the others have to be up. */
const LOSE_TRIES_MAX = 20;

export class Hand {
  readonly #cluster: SimCluster;
  readonly #random: SeededRandom;
  /** Of its own, so that what else a hand does stays. */
  readonly #losses: SeededRandom;
  readonly #process: Process;
  readonly #lose: (region: SimRegion) => Promise<boolean>;
  #hasLost = false;
  #isOver = false;
  isDone = false;

  /** `lose`: takes a region with its disk, or says that it may not be now. */
  constructor(cluster: SimCluster, lose: (region: SimRegion) => Promise<boolean>) {
    this.#cluster = cluster;
    this.#lose = lose;
    this.#random = cluster.world.random.stream('hand');
    this.#losses = cluster.world.random.stream('hand that declares lost');
    this.#process = new Machine('hand', cluster.world).boot();
  }

  start(): void {
    this.#turns().then(
      () => (this.isDone = true),
      (error: unknown) => this.#cluster.world.fail(error),
    );
  }

  /** Takes every region back, and is done when all work on that. */
  finish(): void {
    this.#isOver = true;
  }

  async #turns(): Promise<void> {
    await this.#process.wait(this.#random.around(TURN_MS / 2));
    if (this.#mayLose && this.#random.chance(0.3)) await this.#loseOne();
    const joining = this.#cluster.add();
    if (joining !== undefined) await this.#join(joining);
    while (!this.#isOver) {
      await this.#process.wait(this.#random.around(TURN_MS));
      if (!this.#isOver) await this.#turn();
    }
    for (const { id, state } of this.#cluster.topology.regions) if (state === 'lost' && this.#isHere(id)) await this.#join(this.#cluster.region(id));
    await this.#write((id, state) => (this.#isHere(id) ? 'active' : state));
  }

  async #turn(): Promise<void> {
    const { regions } = this.#cluster.topology;
    const other = regions.find(({ id, state }) => state !== 'active' && this.#isHere(id));
    if (this.#mayLose && this.#random.chance(0.5) && (await this.#loseOne())) return;
    if (this.#random.chance(0.4)) return this.#showRefused();
    if (other?.state === 'lost') return this.#join(this.#cluster.region(other.id));
    if (other !== undefined) return this.#write((id, state) => (id === other.id ? 'active' : state));
    const chosen = this.#random.pick(this.#cluster.regions).id;
    const kept = this.#random.pick(['draining', 'fenced'] as const);
    const next = this.#losses.chance(LOST_PROBABILITY) ? 'lost' : kept;
    if (next === 'lost') this.#cluster.world.count('region lost that comes back');
    await this.#write((id, state) => (id === chosen ? next : state));
  }

  /** Not gone with its disk. */
  #isHere(id: RegionId): boolean {
    return this.#cluster.regions.some((region) => region.id === id);
  }

  get #mayLose(): boolean {
    return this.#cluster.setting.rare.settings.includes('region-lost') && !this.#hasLost && this.#cluster.regions.length > 2;
  }

  /** False when none may be lost now. */
  async #loseOne(): Promise<boolean> {
    let region = this.#random.pick(this.#cluster.regions);
    for (let tries = 0; !(await this.#lose(region)); tries++) {
      if (this.#isOver || tries >= LOSE_TRIES_MAX) return false;
      await this.#process.wait(LOOK_MS);
      region = this.#random.pick(this.#cluster.regions);
    }
    this.#hasLost = true;
    await this.#write((id, state) => (id === region.id ? 'lost' : state));
    await this.#process.wait(this.#random.around(TURN_MS / 2));
    const [isRebuilt, isStillListed] = [this.#random.chance(0.5), this.#random.chance(0.5)];
    if (!isRebuilt || !isStillListed) await this.#write((_, state) => state, undefined, region.id);
    if (isRebuilt) await this.#join(region);
    return true;
  }

  async #join(region: SimRegion): Promise<void> {
    const { world } = this.#cluster;
    await this.#write((id, state) => (id === region.id ? 'joining' : state), { id: region.id, state: 'joining' });
    if (region.isGone) region.rebuild(this.#cluster.topology);
    else if (region.machine.process === undefined) region.start();
    const { epoch } = this.#cluster.topology;
    // Every replica sends it everything from now on; what was there before comes by its own comparisons.
    const isReady = (): boolean => region.isUp && region.running?.region.catalog.version.epoch === epoch && region.running.region.joining.lacks().length === 0;
    const wait = async (): Promise<void> => {
      await this.#isKnownBesides(region.id);
      await this.#process.wait(LOOK_MS);
    };
    while (!isReady()) await wait();
    // And once more with each: one that was cut off in between, and remembers no more hints, gives its partitions away with what it alone has.
    for (const peer of this.#cluster.regions) while (peer !== region && !(await this.#isCertified(region, peer.id, epoch))) await wait();
    world.count('region joined');
    await this.#write((id, state) => (id === region.id ? 'active' : state));
  }

  async #isCertified(region: SimRegion, peer: RegionId, epoch: number): Promise<boolean> {
    const { running } = region;
    if (running?.isReady !== true || !running.region.links.has(peer)) return false;
    const run = running.region.reconciler.run({ peers: [peer] });
    // It may die in the middle.
    await Promise.race([run.finished.catch(() => undefined), this.#process.wait(RUN_MS)]);
    return run.state === 'done' && run.pairs.some(({ certificate }) => certificate?.epoch === epoch);
  }

  /** The next document; resolves when every region works on it. */
  async #write(stateOf: (id: RegionId, state: RegionState) => RegionState, more?: { readonly id: RegionId; readonly state: RegionState }, less?: RegionId): Promise<void> {
    const before = this.#cluster.topology;
    const added = more === undefined || before.regions.some(({ id }) => id === more.id) ? [] : [this.#cluster.entry(more.id, more.state)];
    const regions = [...before.regions, ...added].filter(({ id }) => id !== less).map((entry) => ({ ...entry, state: stateOf(entry.id, entry.state) }));
    const document: Topology = { ...before, ...this.#next(before), regions };
    this.#cluster.topology = document;
    this.#cluster.world.trace('hand', `writes ${document.term}.${document.epoch} ${regions.map(({ id, state }) => `${id} ${state}`).join(', ')}`);
    while (!(await this.#isKnownBesides(more?.id))) await this.#process.wait(LOOK_MS);
  }

  /** Every region works on the last document, but perhaps this one. One is shown it and the others hear of it; whoever was may have forgotten it with its disk. */
  async #isKnownBesides(joining?: RegionId): Promise<boolean> {
    const { topology, regions } = this.#cluster;
    const listed = regions.filter(({ id }) => id !== joining);
    const behind = listed.filter(({ running }) => running?.region.catalog.version.epoch !== topology.epoch);
    const up = behind.filter(({ isUp }) => isUp);
    if (behind.length === listed.length && up.length > 0) await this.#show(this.#random.pick(up), topology, 'newer');
    return behind.length === 0;
  }

  /** The control region is gone: another takes its place, under a higher term. */
  #next({ term, epoch, control }: Topology): Pick<Topology, 'term' | 'epoch' | 'control'> {
    const [first] = this.#cluster.regions as readonly [SimRegion];
    return this.#cluster.region(control).isGone ? { term: term + 1, epoch: epoch + 1, control: first.id } : { term, epoch: epoch + 1, control };
  }

  async #show(region: SimRegion, document: Topology, expected: string): Promise<void> {
    const { world } = this.#cluster;
    const { running } = region;
    if (running === undefined) return;
    const before = running.region.catalog.version.epoch;
    const verdict = await Promise.race([running.region.topology.offer(document).catch(() => 'failed'), this.#process.wait(5_000).then(() => 'late')]);
    if (verdict === 'failed' || verdict === 'late' || region.running !== running) return;
    world.count(`topology shown: ${verdict}`);
    if (expected === 'newer' ? verdict !== 'newer' && verdict !== 'same' : verdict !== expected) world.fail(new Error(`${region.id} called a document ${verdict}, not ${expected}.`));
    if (expected !== 'newer' && running.region.catalog.version.epoch !== before) world.fail(new Error(`${region.id} took a document that is ${expected}.`));
  }

  /** Documents that a delayed or a confused writer might bring. */
  async #showRefused(): Promise<void> {
    const region = this.#random.pick(this.#cluster.regions);
    const now = region.running?.region.catalog.topology;
    if (!region.isUp || now === undefined) return;
    const [expected, document] = this.#random.pick([
      ['older', { ...now, epoch: now.epoch - 1 }],
      ['faulty', { ...now, epoch: now.epoch + 1, regions: [] }],
      ['different', { ...now, regions: now.regions.map((entry) => ({ ...entry, weight: entry.weight + 1 })) }],
    ] as const);
    if (document.epoch > 0) await this.#show(region, document, expected);
  }
}
