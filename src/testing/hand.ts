// The hand that writes the topology of a simulated cluster, by turns as an operator would: a region is added as `joining`,
// filled by reconciliation with every replica, made active; others are drained, fenced, and taken back. It shows each
// document to one region; the others learn from answers. Between the turns it shows what must be refused.

import { Machine, type Process } from '../adapters/sim/machine.ts';
import type { SeededRandom } from '../adapters/sim/random.ts';
import type { RegionState, Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { SimCluster, SimRegion } from './cluster.ts';

const TURN_MS = 4_000;
const LOOK_MS = 200;
const RUN_MS = 10_000;

export class Hand {
  readonly #cluster: SimCluster;
  readonly #random: SeededRandom;
  readonly #process: Process;
  #isOver = false;
  isDone = false;

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
    this.#random = cluster.world.random.stream('hand');
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
    const joining = this.#cluster.add();
    if (joining !== undefined) await this.#join(joining);
    while (!this.#isOver) {
      await this.#process.wait(this.#random.around(TURN_MS));
      if (!this.#isOver) await this.#turn();
    }
    await this.#write(() => 'active');
  }

  async #turn(): Promise<void> {
    const { regions } = this.#cluster.topology;
    const other = regions.find(({ state }) => state !== 'active');
    if (this.#random.chance(0.4)) return this.#showRefused();
    if (other !== undefined) return this.#write((id, state) => (id === other.id ? 'active' : state));
    const chosen = this.#random.pick(regions).id;
    const next = this.#random.pick(['draining', 'fenced'] as const);
    await this.#write((id, state) => (id === chosen ? next : state));
  }

  async #join(region: SimRegion): Promise<void> {
    const { world } = this.#cluster;
    await this.#write((_, state) => state, { id: region.id, state: 'joining' });
    if (region.machine.process === undefined) region.start();
    const { epoch } = this.#cluster.topology;
    // Every replica sends it everything from now on; what was there before comes by reconciliation.
    for (const peer of this.#cluster.regions) {
      while (peer !== region && !(await this.#isCertified(region, peer.id, epoch))) await this.#process.wait(LOOK_MS);
    }
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
  async #write(stateOf: (id: RegionId, state: RegionState) => RegionState, more?: { readonly id: RegionId; readonly state: RegionState }): Promise<void> {
    const before = this.#cluster.topology;
    const added = more === undefined ? [] : [this.#cluster.entry(more.id, more.state)];
    const regions = [...before.regions, ...added].map((entry) => ({ ...entry, state: stateOf(entry.id, entry.state) }));
    const document: Topology = { ...before, epoch: before.epoch + 1, regions };
    this.#cluster.topology = document;
    this.#cluster.topologyMs = this.#cluster.world.nowMs;
    this.#cluster.world.trace('hand', `writes ${document.term}.${document.epoch} ${regions.map(({ id, state }) => `${id} ${state}`).join(', ')}`);
    for (;;) {
      const listed = this.#cluster.regions.filter((region) => region.id !== more?.id);
      const behind = listed.filter(({ running }) => running?.region.catalog.version.epoch !== document.epoch);
      if (behind.length === 0) return;
      const up = behind.filter(({ isUp }) => isUp);
      // One is shown it; the others hear of it, unless that one has forgotten it with its disk.
      if (behind.length === listed.length && up.length > 0) await this.#show(this.#random.pick(up), document, 'newer');
      await this.#process.wait(LOOK_MS);
    }
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
