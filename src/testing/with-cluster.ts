// A simulated cluster for an application's own tests: the code under test gets clients of regions and of the edge, and
// runs on virtual time. The seed decides how long messages take and what breaks, so it decides the interleavings; the same
// seed gives the same run.

import { forbid } from '../adapters/sim/forbid.ts';
import { Machine } from '../adapters/sim/machine.ts';
import type { NetworkFaults } from '../adapters/sim/network.ts';
import { World } from '../adapters/sim/world.ts';
import type { Policy } from '../client/types.ts';
import { SimCluster, type ClusterSetting } from './cluster.ts';
import { Faults } from './faults.ts';
import { drawSwarm, type FaultKind, type Swarm } from './swarm.ts';
import { REGIONS_MAX, TestCluster } from './test-cluster.ts';

/**
 * What may go wrong. `delays`: messages take long, and overtake each other. `loss`: questions and answers get lost, so
 * clients try again. `copies`: messages between regions arrive twice. `splits`, `crashes`, `freezes`: of regions, now and
 * then, each ends by itself. No disk loses anything.
 */
export type TestFault = 'delays' | 'loss' | 'copies' | 'splits' | 'crashes' | 'freezes';

export interface WithClusterOptions {
  /** A whole number from 0. */
  readonly seed: number;
  /** How many, from 2 to 5; 3 by default. */
  readonly regions?: number;
  /** `['delays']` by default; `[]` for a network without any surprise. */
  readonly faults?: readonly TestFault[];
  /** Created before the task begins, by name. */
  readonly collections?: Readonly<Record<string, Policy>>;
  /** Virtual time after which a task that has not ended is given up; ten minutes by default. */
  readonly limitMs?: number;
  /** Called with each line of the trace: commits, faults, what regions log. */
  readonly trace?: (line: string) => void;
}

const LIMIT_MS = 600_000;
const START_MS_MAX = 120_000;
const FAULT_EVERY_MS = 1_000;
const KINDS: Readonly<Partial<Record<TestFault, readonly FaultKind[]>>> = { splits: ['split'], crashes: ['kill', 'stop'], freezes: ['freeze'] };

/**
 * Starts a cluster, runs the task against it, and answers what the task answers.
 *
 * The task, and all that it calls, may wait for nothing but the clients and the methods of the cluster: time, randomness,
 * timers, `fetch` and sockets of the machine throw `NotDeterministicError` inside of it. (`new Date()` without arguments
 * is not noticed; take `cluster.clock`.)
 *
 * @throws TypeError for options that are no options
 * @throws Error when the task has not ended at the limit, or the engine broke an invariant of its own
 * @throws whatever the task throws
 */
export async function withCluster<T>(options: WithClusterOptions, task: (cluster: TestCluster) => Promise<T>): Promise<T> {
  const { seed, regions = 3, limitMs = LIMIT_MS } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) throw new TypeError(`A seed is a whole number from 0, not ${seed}.`);
  if (!Number.isInteger(regions) || regions < 2 || regions > REGIONS_MAX) throw new TypeError(`A test has 2 to ${REGIONS_MAX} regions, not ${regions}.`);
  const permit = forbid();
  try {
    return await runInside(new World(seed, options.trace), { ...options, regions, limitMs }, (sim, faults) => task(new TestCluster(sim, faults)));
  } finally {
    permit();
  }
}

/** The same for the house's own: the simulation itself in their hands. What is forbidden inside of one is so already. */
export async function runInside<T>(world: World, options: WithClusterOptions & { readonly regions: number; readonly limitMs: number; readonly setting?: Partial<Pick<ClusterSetting, 'horizonMs' | 'hints' | 'reconcileEveryMs'>>; readonly network?: Partial<NetworkFaults> }, task: (sim: SimCluster, faults: Faults) => Promise<T>): Promise<T> {
  const swarm = swarmOf(world, options);
  const sim = new SimCluster(world, { ...swarm, ...options.setting, network: { ...swarm.network, ...options.network } });
  const { faults } = sim.network;
  sim.network.faults = { ...faults, lostAnswers: 0, lostQuestions: 0 };
  sim.start();
  await reach(world, 'the regions are ready', START_MS_MAX, () => sim.regions.every(({ isUp }) => isUp));
  await create(sim, options.collections ?? {});
  sim.network.faults = faults;
  const breaking = new Faults(sim, swarm, { lost: () => undefined, lostForGood: () => undefined });
  if (swarm.faults.length > 0) breaking.start();
  let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
  world.after(0, () => {
    // Within: a task that throws at once does so in its promise.
    void (async () => task(sim, breaking))().then((value) => (outcome = { value }), (error: unknown) => (outcome = { error }));
  });
  await reach(world, 'the task ended (does it wait for something outside of the simulation?)', options.limitMs, () => outcome !== undefined);
  if (outcome === undefined) throw new Error('The task has no outcome.');
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

async function reach(world: World, what: string, withinMs: number, isDone: () => boolean): Promise<void> {
  if (!(await world.run(world.nowMs + withinMs, isDone))) throw new Error(`Seed ${world.seed}: not within ${withinMs} ms of virtual time: ${what}.`);
}

/** Each part by name, so that what a swarm may have besides is not on by itself here. */
function swarmOf(world: World, { regions = 3, faults = ['delays'] }: WithClusterOptions): Swarm {
  const random = world.random.stream('test cluster');
  const has = (fault: TestFault): boolean => faults.includes(fault);
  const { activeMs, workload } = drawSwarm(world.random.stream('swarm'));
  return {
    regions,
    activeMs,
    workload,
    network: {
      delayMs: has('delays') ? random.pick([1, 5, 20, 80]) : 1,
      slowDelays: has('delays') ? random.pick([0, 0.05, 0.2]) : 0,
      slowDelayMs: random.pick([200, 1_000]),
      lostQuestions: has('loss') ? 0.05 : 0,
      lostAnswers: has('loss') ? 0.1 : 0,
      twice: has('copies') ? 0.2 : 0,
    },
    store: { syncMs: 1, failedSyncs: 0, relaxed: false },
    table: { decisions: 'serial', attempts: false, slowReads: 0, readMs: 1 },
    drift: 0,
    skewMs: 0,
    reconcileEveryMs: undefined,
    graceMs: undefined,
    faults: faults.flatMap((fault) => KINDS[fault] ?? []),
    faultEveryMs: FAULT_EVERY_MS,
    directDoor: true,
    edgeObserves: true,
    rare: { faults: [], settings: [] },
  };
}

async function create(sim: SimCluster, collections: Readonly<Record<string, Policy>>): Promise<void> {
  const process = new Machine('operator', sim.world).boot();
  const [control] = sim.regions;
  const names = Object.entries(collections);
  let created = 0;
  const createOne = async (name: string, policy: Policy): Promise<void> => {
    for (;;) {
      const body = new TextEncoder().encode(JSON.stringify(policy));
      const { status } = await sim.ask(process, control?.id ?? 'edge', { method: 'PUT', target: `/v1/c/${name}`, headers: { 'content-type': 'application/json' }, body }, 10_000);
      if (status === 201 || status === 200) return void created++;
      if (status !== 202 && status < 500) throw new TypeError(`The collection ${name} is refused with ${status}.`);
      await process.wait(200);
    }
  };
  for (const [name, policy] of names) createOne(name, policy).catch((error: unknown) => sim.world.fail(error));
  await reach(sim.world, 'the collections exist', START_MS_MAX, () => created === names.length);
}
