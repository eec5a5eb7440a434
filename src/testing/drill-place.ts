// A drill in the simulation: the same steps, clients, checks and report as on real processes, in virtual time. The same seed
// gives the same report.

import { forbid } from '../adapters/sim/forbid.ts';
import { Machine, type Process } from '../adapters/sim/machine.ts';
import { World } from '../adapters/sim/world.ts';
import { Client } from '../client/client.ts';
import type { Address } from '../client/addresses.ts';
import type { Certificate } from '../client/types.ts';
import type { View } from '../drill/account.ts';
import { withControl } from '../drill/control.ts';
import { ROLES, type Drill, type PlaceAction, type Role } from '../drill/drill.ts';
import { comparison, decide, keptAt, owedBy, readView } from '../drill/operator.ts';
import type { DrillPlace, Kept } from '../drill/place.ts';
import type { DrillReport } from '../drill/report.ts';
import { runDrill, type RunParts } from '../drill/run.ts';
import type { SimCluster, SimRegion } from './cluster.ts';
import { simTransport } from './transport.ts';
import { runInside } from './with-cluster.ts';

const LIMIT_MS = 600_000;
const LOOK_EVERY_MS = 50;
const OPERATOR_MS = 15_000;
/**
 * Of the messages that are late, each is so by this much on average. Where a fifth of all is late by a second, as in other
 * simulations, one request in a hundred misses its deadline on the way to the edge and back, before anything is done to a region.
 */
const NETWORK = { slowDelayMs: 200 };

/** @throws Error when an invariant of the engine breaks, or the drill has not ended after ten virtual minutes */
export async function drillInSimulation(drill: Drill, seed: number, parts: Pick<RunParts, 'control' | 'onEvent'> = {}): Promise<DrillReport> {
  const world = new World(seed);
  const permit = forbid();
  try {
    const { regions, horizonMs, hints, reconcileEveryMs } = withControl(drill, parts.control);
    return await runInside(world, { seed, regions, faults: ['delays'], limitMs: LIMIT_MS, setting: { horizonMs, hints, reconcileEveryMs }, network: NETWORK }, async (sim) => {
      const { clock } = new Machine('drill', world).boot();
      return runDrill(drill, new SimPlace(sim, withControl(drill, parts.control)), { ...parts, clock, random: world.random.stream('drill') });
    });
  } finally {
    permit();
  }
}

class SimPlace implements DrillPlace {
  readonly name = 'sim';
  readonly regions: readonly string[];
  readonly #sim: SimCluster;
  readonly #drill: Drill;
  readonly #operator: Process;
  #clients = 0;

  constructor(sim: SimCluster, drill: Drill) {
    this.#sim = sim;
    this.#drill = drill;
    this.regions = sim.regions.map(({ id }) => id);
    this.#operator = new Machine('drill operator', sim.world).boot();
  }

  #region(role: Role): SimRegion {
    return this.#sim.regions[ROLES.indexOf(role)] as SimRegion;
  }

  // Steps -------------------------------------------------------------------------------------------------------------------

  async do(action: PlaceAction): Promise<void> {
    const { network } = this.#sim;
    switch (action.verb) {
      case 'kill':
        return this.#region(action.region).kill();
      case 'stop':
        return this.#region(action.region).stop();
      case 'wipe':
        this.#region(action.region).kill();
        return this.#region(action.region).machine.disk.wipe();
      case 'start':
        return this.#start(this.#region(action.region));
      case 'pause':
        this.#region(action.region).machine.process?.stopFor(this.#pauseMs(action));
        return;
      case 'resume':
        return; // its pause ends now
      case 'isolate':
        for (const other of ['edge', ...this.regions]) if (other !== this.#region(action.region).id) this.#cut(this.#region(action.region).id, other, true);
        return;
      case 'cut-edge':
        return this.#cut('edge', this.#region(action.region).id, true);
      case 'disk-full':
      case 'disk-freed':
        this.#region(action.region).machine.disk.isFull = action.verb === 'disk-full';
        return;
      case 'cut':
      case 'cut-one-way':
        return this.#cut(this.#region(action.from).id, this.#region(action.to).id, action.verb === 'cut');
      case 'slow-link':
        for (const [from, to] of [[action.from, action.to], [action.to, action.from]] as const) network.slow(this.#region(from).id, this.#region(to).id, action.byMs);
        return;
      case 'slow':
        this.#region(action.region).machine.lagMs = action.byMs;
        return;
      case 'clock':
        this.#region(action.region).machine.wallOffsetMs = action.byMs;
        return;
      case 'kill-edge':
        this.#sim.edge.kill();
        return this.#sim.startEdge();
      case 'drain':
      case 'return':
      case 'fence':
      case 'lose':
        return decide(this.#asOperator(action.region === 'first' ? 'second' : 'first'), this.#region(action.region).id, action.verb, () => this.#operator.wait(LOOK_EVERY_MS));
      case 'heal':
        network.heal();
        for (const { machine } of this.#sim.regions) machine.lagMs = 0;
    }
  }

  /** Until the step that ends it. */
  #pauseMs(action: PlaceAction & { readonly region: Role }): number {
    const { steps, endMs } = this.#drill;
    const at = steps.findIndex((step) => step.action === action);
    const resume = steps.slice(at).find(({ action: later }) => later.verb === 'resume' && later.region === action.region);
    return (resume?.atMs ?? endMs) - (steps[at]?.atMs ?? 0);
  }

  #cut(from: string, to: string, both: boolean): void {
    this.#sim.network.cut(from, to);
    if (both) this.#sim.network.cut(to, from);
  }

  async #start(region: SimRegion): Promise<void> {
    if (region.machine.process === undefined) region.start();
    while (!region.isUp) await this.#operator.wait(LOOK_EVERY_MS);
  }

  async healAll(): Promise<void> {
    this.#sim.network.heal();
    for (const { machine } of this.#sim.regions) {
      machine.lagMs = 0;
      machine.disk.isFull = false;
    }
    await Promise.all(this.#sim.regions.map((region) => this.#start(region)));
  }

  // Looking -----------------------------------------------------------------------------------------------------------------

  client(at: 'edge' | Role, others: readonly Role[] = []): Client {
    const process = new Machine(`drill client ${++this.#clients}`, this.#sim.world).boot();
    return this.#connect(process, at === 'edge' ? at : this.#region(at).id, others.map((role) => this.#region(role).id));
  }

  /** What is slow or cut there is so for everybody. */
  clientBesideEdge(role: Role): Client {
    return this.client(role);
  }

  #connect(process: Process, to: SimRegion['id'] | 'edge', others: readonly SimRegion['id'][] = []): Client {
    const sim = this.#sim;
    const address = (at: SimRegion['id'] | 'edge'): Address => ({ url: `http://${at}.sim`, transport: simTransport(sim, process, at, this.#region('first').id) });
    return new Client({ ...address(to), others: others.map(address), clock: process.clock, random: sim.world.random.stream(process.name), timeoutMs: OPERATOR_MS, keysIn: 'path' });
  }

  #asOperator(role: Role): Client {
    return this.#connect(this.#operator, this.#region(role).id);
  }

  owed(role: Role): Promise<ReadonlyMap<string, number>> {
    return owedBy(this.#asOperator(role));
  }

  kept(role: Role): Promise<Kept> {
    return keptAt(this.#asOperator(role));
  }

  certificates(role: Role): Promise<readonly Certificate[]> {
    return this.#asOperator(role).certificates();
  }

  view(role: Role, collection: string): Promise<View> {
    return readView(this.#asOperator(role), this.#region(role).id, collection);
  }

  async isQuiet(): Promise<boolean> {
    for (const { isUp, running } of this.#sim.regions) {
      if (!isUp || running === undefined) return false;
      for (const lane of running.region.lanes.values()) if ((await lane.unreplicated()).items > 0) return false;
    }
    return true;
  }

  reconcile(): Promise<string | undefined> {
    return comparison(ROLES.slice(0, this.regions.length).map((role) => this.#asOperator(role)), () => this.#operator.wait(LOOK_EVERY_MS));
  }

  async end(): Promise<void> {}
}
