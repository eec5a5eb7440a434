// What a test sees of its simulated cluster: clients, a clock, and hands to break and heal it.

import { Machine } from '../adapters/sim/machine.ts';
import type { SeededRandom } from '../adapters/sim/random.ts';
import { Client } from '../client/client.ts';
import { formatState } from '../core/version/format.ts';
import type { Clock } from '../ports/clock.ts';
import { nameOf } from './names.ts';
import { PLACES, type SimCluster, type SimRegion } from './cluster.ts';
import type { Faults } from './faults.ts';
import { simTransport } from './transport.ts';

export const REGIONS_MAX = PLACES.length;
/** Breakers that have backed off (30 s), refused hints (60 s) and a hidden delivery (10 s) have come round by then. */
const SETTLE_MS_MAX = 150_000;
const LOOK_EVERY_MS = 1_000;
/** Nothing was owed so many times in a row. */
const CALM_LOOKS = 3;

export class TestCluster {
  readonly #sim: SimCluster;
  readonly #faults: Faults;
  readonly #machine: Machine;
  #clients = 0;
  /** Of virtual time. What it posts runs in the simulation. */
  readonly clock: Clock;
  /** For the test's own choices: a stream of the seed. */
  readonly random: Pick<SeededRandom, 'between' | 'chance' | 'pick' | 'unit' | 'bytes'>;
  /** Of the regions, in the order of their names in every method here. */
  readonly regions: readonly string[];

  constructor(sim: SimCluster, faults: Faults) {
    this.#sim = sim;
    this.#faults = faults;
    this.#machine = new Machine('test', sim.world);
    this.clock = this.#machine.boot().clock;
    this.random = sim.world.random.stream('test');
    this.regions = sim.regions.map(({ id }) => id);
  }

  get seed(): number {
    return this.#sim.world.seed;
  }

  // Clients -------------------------------------------------------------------------------------------------------------------

  /**
   * A client of its own that speaks to this region only. While the region is down it tries again until its own time is up
   * (15 s, or the call's `timeoutMs`), then throws `no-region-available` or `write-outcome-unknown`.
   * @throws TypeError for a region that is not there
   */
  client(region: string): Client {
    return this.#client(this.#region(region), this.#region(region).id);
  }

  /** A client near this region that speaks to the edge, which sends its requests to the nearest region that answers. */
  edgeClient(near: string): Client {
    return this.#client(this.#region(near), 'edge');
  }

  #client({ id }: SimRegion, to: SimRegion['id'] | 'edge'): Client {
    const sim = this.#sim;
    const process = new Machine(`client-${++this.#clients}`, sim.world).boot();
    const transport = simTransport(sim, process, to, id);
    return new Client({ url: `http://${to}.sim`, transport, clock: process.clock, random: sim.world.random.stream(process.name) });
  }

  // Time ----------------------------------------------------------------------------------------------------------------------

  /** Resolves so much virtual time later. */
  wait(delayMs: number): Promise<void> {
    return this.#sim.world.pause(delayMs);
  }

  /**
   * Runs all of them at once, each begun at a moment from the seed within so much virtual time; resolves when all have
   * ended. @throws what the first of them throws, when all have ended
   */
  async together(tasks: readonly (() => Promise<unknown>)[], withinMs = 1_000): Promise<void> {
    const begun = tasks.map(async (task) => {
      await this.wait(this.random.unit() * withinMs);
      await task();
    });
    for (const result of await Promise.allSettled(begun)) if (result.status === 'rejected') throw result.reason;
  }

  // Breaking and healing ------------------------------------------------------------------------------------------------------

  #region(id: string): SimRegion {
    const found = this.#sim.regions.find((region) => region.id === id);
    if (found === undefined) throw new TypeError(`There is no region ${id}; there are ${this.regions.join(', ')}.`);
    return found;
  }

  /** Cuts the network between this region and the others (all by default). Clients and edge still reach both sides. */
  split(region: string, from: readonly string[] = this.regions.filter((id) => id !== region)): void {
    const { id } = this.#region(region);
    for (const other of from.map((each) => this.#region(each).id)) {
      this.#sim.network.cut(id, other);
      this.#sim.network.cut(other, id);
    }
  }

  /** Every cut of the network is mended. */
  heal(): void {
    this.#sim.network.heal();
  }

  /** `kill -9`. What was acknowledged is on its disk. Does nothing to a region that is down. */
  crash(region: string): void {
    const found = this.#region(region);
    if (found.machine.process !== undefined) found.kill();
  }

  /** Resolves when the region serves again. */
  async restart(region: string): Promise<void> {
    const found = this.#region(region);
    if (found.machine.process === undefined) found.start();
    await this.#until(`${region} serves again`, async () => found.isUp);
  }

  /**
   * Resolves when every region has what the others have acknowledged.
   * @throws Error when that is not so after 150 s: a region is down, or cut off
   */
  async settle(): Promise<void> {
    let calm = 0;
    await this.#until('nothing is owed any more', async () => (calm = (await this.#isCalm()) ? calm + 1 : 0) >= CALM_LOOKS);
  }

  /**
   * Ends all faults, starts what is down, settles, and compares the copies.
   * @throws Error when two regions hold different states of an item: a defect of Archipel, not of the test
   */
  async converge(): Promise<void> {
    this.#faults.healAll();
    await this.settle();
    for (const [item, states] of this.#states()) {
      if (new Set(states.values()).size > 1) throw new Error(`Seed ${this.seed}: the copies of ${item} differ: ${[...states].map(([id, state]) => `${id} ${state}`).join(' | ')}`);
    }
  }

  async #until(what: string, isDone: () => Promise<boolean>): Promise<void> {
    for (let waitedMs = 0; !(await isDone()); waitedMs += LOOK_EVERY_MS) {
      if (waitedMs >= SETTLE_MS_MAX) throw new Error(`Seed ${this.seed}: not within ${SETTLE_MS_MAX} ms of virtual time: ${what}.`);
      await this.wait(LOOK_EVERY_MS);
    }
  }

  async #isCalm(): Promise<boolean> {
    for (const { isUp, running } of this.#sim.regions) {
      if (!isUp || running === undefined) return false;
      for (const lane of running.region.lanes.values()) if ((await lane.unreplicated()).items > 0) return false;
    }
    return true;
  }

  /** By item: what each region that is to hold it has, on one line. */
  #states(): Map<string, Map<string, string>> {
    const all = new Map<string, Map<string, string>>();
    for (const { id, running } of this.#sim.regions) {
      for (const { key, record } of running?.table.everything() ?? []) {
        const name = nameOf(key);
        const states = all.get(name) ?? new Map<string, string>();
        all.set(name, states.set(id, formatState(record.state)));
        for (const holder of running?.region.catalog.holdersOf(key) ?? []) if (!states.has(holder)) states.set(holder, 'nothing');
      }
    }
    return all;
  }
}
