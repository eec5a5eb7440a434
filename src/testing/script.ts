// What a run did, step by step, and which of it is to be done again: a seed together with an *excerpt* is a smaller run. Each
// fault and each operation of a client is noted with its time and with the state of the randomness that it began with, so
// that leaving one out does not change what the others are. What the network does to a message still depends on how many
// were sent before it, with the calm `links` on the same link only: an excerpt is a new run that resembles the old one, and
// has to be tried.

import type { RandomState } from '../adapters/sim/random.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Swarm } from './swarm.ts';

export interface FaultStep {
  /** Since clients and faults began. */
  readonly atMs: number;
  readonly kind: string;
  readonly region: RegionId;
  readonly random: RandomState;
}

export interface OperationStep {
  readonly atMs: number;
  /** From 1. */
  readonly client: number;
  readonly home: RegionId;
  readonly random: RandomState;
}

export interface Script {
  regions: number;
  readonly faults: FaultStep[];
  readonly operations: OperationStep[];
  activeMs: number;
}

/** Parts of a swarm that can be made harmless. */
export const CALMS = ['links', 'loss', 'copies', 'delays', 'drift', 'syncs', 'reads', 'schedule'] as const;
export type Calm = (typeof CALMS)[number];

/** What is kept of a run. Steps are numbered from 1, in the order in which they began. Undefined: all. */
export interface Excerpt {
  readonly regions?: number;
  readonly faults?: readonly number[];
  readonly clients?: readonly number[];
  readonly operations?: readonly number[];
  readonly calm?: readonly Calm[];
}

export const newScript = (): Script => ({ regions: 0, faults: [], operations: [], activeMs: 0 });

const isKept = (kept: readonly number[] | undefined, number: number): boolean => kept === undefined || kept.includes(number);

export function excerptOf(script: Script, excerpt: Excerpt): Script {
  return {
    ...script,
    faults: script.faults.filter((_, at) => isKept(excerpt.faults, at + 1)),
    operations: script.operations.filter(({ client }, at) => isKept(excerpt.operations, at + 1) && isKept(excerpt.clients, client)),
  };
}

/** What the last step begins has its time: a request its retries, a fault its end. */
const AFTER_LAST_STEP_MS = 8_000;

export function activeMsOf({ faults, operations, activeMs }: Script): number {
  const lastMs = Math.max(0, ...[...faults, ...operations].map(({ atMs }) => atMs));
  return Math.min(activeMs, lastMs + AFTER_LAST_STEP_MS);
}

const CALMED: Readonly<Record<Calm, (swarm: Swarm) => Partial<Swarm>>> = {
  links: ({ network }) => ({ network: { ...network, apart: true } }),
  loss: ({ network }) => ({ network: { ...network, lostQuestions: 0, lostAnswers: 0 } }),
  copies: ({ network }) => ({ network: { ...network, twice: 0 } }),
  delays: ({ network }) => ({ network: { ...network, slowDelays: 0 } }),
  drift: () => ({ drift: 0 }),
  syncs: ({ store }) => ({ store: { ...store, failedSyncs: 0 } }),
  reads: ({ table }) => ({ table: { ...table, slowReads: 0 } }),
  schedule: () => ({ reconcileEveryMs: undefined }),
};

export function calmerSwarm(swarm: Swarm, excerpt: Excerpt): Swarm {
  const fewer = { ...swarm, regions: Math.min(swarm.regions, Math.max(REGIONS_MIN, excerpt.regions ?? swarm.regions)) };
  return (excerpt.calm ?? []).reduce<Swarm>((calmer, each) => ({ ...calmer, ...CALMED[each](calmer) }), fewer);
}

export const REGIONS_MIN = 2;

// As words of a command line --------------------------------------------------------------------------------------------------

/** `1-3,7`; `none` for an empty list. */
export function formatNumbers(numbers: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && number <= last[1] + 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.length === 0 ? 'none' : ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

/** @throws TypeError */
export function parseNumbers(text: string): number[] {
  if (text === 'none') return [];
  return text.split(',').flatMap((part) => {
    const [, from, to = from] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part) ?? [];
    if (from === undefined || Number(to) < Number(from)) throw new TypeError(`${text} is not a list of numbers such as 1-3,7.`);
    return Array.from({ length: Number(to) - Number(from) + 1 }, (_, at) => Number(from) + at);
  });
}

/** The flags of `npm run sim` that describe it. */
export function formatExcerpt({ regions, faults, clients, operations, calm = [] }: Excerpt): string {
  const flags = [
    ...(regions === undefined ? [] : [`--regions ${regions}`]),
    ...(faults === undefined ? [] : [`--faults ${formatNumbers(faults)}`]),
    ...(clients === undefined ? [] : [`--clients ${formatNumbers(clients)}`]),
    ...(operations === undefined ? [] : [`--operations ${formatNumbers(operations)}`]),
    ...(calm.length === 0 ? [] : [`--calm ${calm.join(',')}`]),
  ];
  return flags.join(' ');
}
