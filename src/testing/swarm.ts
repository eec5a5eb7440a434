// What a seed is like: which faults it has and how heavy they are. Each run switches on a part of them only (swarm
// testing, Groce et al. 2012): faults that hide each other when always together are found apart.

import type { NetworkFaults } from '../adapters/sim/network.ts';
import type { SeededRandom } from '../adapters/sim/random.ts';
import type { StoreFaults } from '../adapters/sim/store.ts';
import type { TableFaults } from '../adapters/sim/table.ts';
import { PARTITIONS } from '../core/limits.ts';
import { drawRare, type Rare, type RareOption, type RareSetting } from './rare.ts';

export type FaultKind = 'kill' | 'stop' | 'freeze' | 'split' | 'clock' | 'disk-full' | 'power-cut' | 'old-disk' | 'wiped-disk' | 'edge' | 'pause-replication' | 'reconcile';

export const FAULT_KINDS: readonly FaultKind[] = ['kill', 'stop', 'freeze', 'split', 'clock', 'disk-full', 'power-cut', 'old-disk', 'wiped-disk', 'edge', 'pause-replication', 'reconcile'];

export interface WorkloadOptions {
  readonly clients: number;
  readonly keys: number;
  /** Of requests, those on the first key. */
  readonly hotKey: number;
  readonly deletes: number;
  readonly blind: number;
  readonly reads: number;
  readonly expiring: number;
  /** Contexts that a client uses again long after it got them. */
  readonly oldContexts: number;
  readonly throughEdge: number;
  readonly thinkMs: number;
  readonly retries: number;
  /** Clients that go to another region before each request. */
  readonly wandering: number;
  /** Of collections, those with two replicas. */
  readonly narrow: boolean;
  /** All keys lie in so few partitions. */
  readonly partitions: number;
  /** How long a client waits for an answer before it asks elsewhere. */
  readonly patienceMs: number;
  /** So long everybody works on the same few items; then these are left alone, as they are by then, for good. Undefined: never. */
  readonly staysMs: number | undefined;
}

export interface Swarm {
  readonly regions: number;
  readonly activeMs: number;
  readonly network: NetworkFaults;
  readonly store: StoreFaults;
  readonly table: TableFaults;
  readonly drift: number;
  /** Wall clocks that are a little wrong all the time, each within this of the right time. */
  readonly skewMs: number;
  readonly reconcileEveryMs: number | undefined;
  /** Undefined: nothing is reaped in so short a life. */
  readonly graceMs: number | undefined;
  readonly faults: readonly FaultKind[];
  readonly faultEveryMs: number;
  readonly workload: WorkloadOptions;
  /** As processes have it; functions do not. */
  readonly directDoor: boolean;
  /** Of two regions neither alone can tell that the other is down. */
  readonly edgeObserves: boolean;
  readonly rare: Rare;
}

const WANDERING = 0.05;
const ROAMING = 0.6;
const HOARDING_MS = 25_000;
/** Each clock is within this of the right time, and within what a region lets pass of another. */
const SKEW_MS = 400;

/** Of how many regions a cluster is. */
export const REGIONS_DRAWN: readonly number[] = [2, 3, 3, 3, 4, 5];

export function drawSwarm(random: SeededRandom, asked: readonly RareOption[] = []): Swarm {
  const some = (probability: number, value: () => number): number => (random.chance(probability) ? value() : 0);
  const regions = random.pick(REGIONS_DRAWN);
  const relaxed = random.chance(0.2);
  const chosen = FAULT_KINDS.filter((kind) => (kind === 'power-cut' ? relaxed : random.chance(0.4)));
  const swarm: Omit<Swarm, 'graceMs' | 'skewMs'> = {
    regions,
    activeMs: random.between(10_000, 30_000),
    network: {
      delayMs: random.pick([0.5, 2, 20, 80]),
      slowDelays: some(0.4, () => random.unit() * 0.1),
      slowDelayMs: random.pick([100, 500, 2_000]),
      lostQuestions: some(0.4, () => random.unit() * 0.1),
      lostAnswers: some(0.5, () => random.unit() * 0.15),
      twice: some(0.5, () => random.unit() * 0.3),
    },
    store: { syncMs: random.pick([0.2, 1, 5, 40, 150]), failedSyncs: some(0.3, () => random.unit() * 0.05), relaxed },
    table: {
      decisions: random.pick(['serial', 'serial', 'optimistic']),
      attempts: random.chance(0.5),
      slowReads: some(0.5, () => random.unit() * 0.5),
      readMs: random.pick([0.2, 2, 10]),
    },
    drift: some(0.5, () => random.unit() * 0.000_2),
    reconcileEveryMs: random.pick([undefined, undefined, 2_000, 10_000]),
    faults: chosen.length > 0 ? chosen : ['kill'],
    faultEveryMs: random.pick([500, 1_500, 4_000]),
    workload: {
      clients: random.between(2, 12),
      keys: random.pick([1, 3, 10, 40]),
      hotKey: some(0.3, () => 0.6),
      deletes: random.pick([0.05, 0.05, 0.15, 0.4]),
      blind: random.pick([0.2, 0.5, 0.8]),
      reads: random.pick([0.1, 0.3]),
      expiring: some(0.3, () => random.pick([0.05, 0.4])),
      oldContexts: some(0.4, () => 0.15),
      throughEdge: random.pick([0, 0.5, 1]),
      thinkMs: random.pick([5, 50, 300]),
      retries: random.between(1, 6),
      narrow: random.chance(0.5),
      wandering: WANDERING,
      partitions: PARTITIONS,
      ...drawManner(random.stream('manner')),
    },
    directDoor: random.stream('doors').chance(0.75),
    edgeObserves: regions === 2,
    rare: drawRare(random.stream('rare'), asked),
  };
  // Drawn last: what a seed was before there was reaping, it is still. Operations are forgotten with the record that is reaped, so
  // that the grace is longer than any client tries again.
  const graceMs = random.chance(0.3) ? random.pick([10_000, 20_000]) : undefined;
  return rarely({ ...swarm, graceMs, skewMs: 0, network: { ...swarm.network, ...(graceMs === undefined ? {} : { recorded: random.pick([0, 0.02, 0.2]) }) } });
}

/** From a stream of its own, so that what else a seed is like stays. */
const drawManner = (random: SeededRandom): Pick<WorkloadOptions, 'patienceMs' | 'staysMs'> => ({ patienceMs: random.pick([800, 6_000]), staysMs: random.pick([undefined, undefined, 1_500, 5_000]) });

/** What the settings of rare.ts change in a swarm. */
function rarely(swarm: Swarm): Swarm {
  const has = (setting: RareSetting): boolean => swarm.rare.settings.includes(setting);
  const patient = has('hoarded-contexts') ? { ...swarm, activeMs: HOARDING_MS, workload: { ...swarm.workload, thinkMs: 300 } } : swarm; // contexts are to grow old
  const roaming = has('roaming-clients') ? { ...patient, workload: { ...patient.workload, wandering: ROAMING } } : patient;
  // Steps that are tried come on top of it, and two of them would be more than anybody lets pass.
  const isSkewed = has('skewed-clocks') && !swarm.faults.includes('clock');
  const skewed = isSkewed ? { ...roaming, skewMs: SKEW_MS, workload: { ...roaming.workload, wandering: ROAMING, oldContexts: 0.3 } } : roaming;
  if (has('crowded-item')) return crowded(skewed);
  return has('much-reaped') ? muchReaped(skewed) : skewed;
}

/**
 * Items that are left alone once they are deleted, in few partitions, so that lines rise above what is still under way. No
 * question lasts as long as the grace, and nobody asks again: operations are forgotten with the record that is reaped.
 */
function muchReaped(swarm: Swarm): Swarm {
  const faults: readonly FaultKind[] = ['pause-replication', 'split', 'kill', 'old-disk'];
  const workload = { ...swarm.workload, clients: 4, keys: 8, partitions: 4, hotKey: 0, deletes: 0.4, thinkMs: 300, retries: 0, staysMs: 2_000 };
  return { ...swarm, faults, activeMs: 30_000, graceMs: 6_000, network: { ...swarm.network, slowDelays: 0, recorded: 0.2 }, workload };
}

/** Everybody adds to one item, in regions that do not hear of each other: more siblings than a record may hold. */
function crowded(swarm: Swarm): Swarm {
  const faults: readonly FaultKind[] = ['split', 'pause-replication'];
  return { ...swarm, regions: 4, reconcileEveryMs: undefined, faults, faultEveryMs: 300, workload: { ...swarm.workload, keys: 1, clients: 12, blind: 0.95, deletes: 0.01, oldContexts: 0, expiring: 0, thinkMs: 50, narrow: false, staysMs: undefined } };
}

/** One line. */
export const formatSwarm = (swarm: Swarm): string => JSON.stringify(swarm);
