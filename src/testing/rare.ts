// What only some seeds have beside the faults of every day. Drawn from a stream of its own, so that a seed keeps its other
// faults when an option is added here.

import type { SeededRandom } from '../adapters/sim/random.ts';
import { LIMITS, type Limits } from '../engine/limits.ts';

/** Things that happen to a region now and then. */
export type RareFault = 'long-pause' | 'slow-region' | 'throttle' | 'amnesia' | 'poison';

/** How a whole run is. */
export type RareSetting = 'few-hints' | 'short-visibility' | 'hoarded-contexts' | 'narrow-everything' | 'policy-change' | 'next-format' | 'small-inbox' | 'skewed-clocks' | 'roaming-clients' | 'crowded-item' | 'topology' | 'much-reaped' | 'region-lost' | 'old-copy';

export type RareOption = RareFault | RareSetting;

const FAULTS: readonly RareFault[] = ['long-pause', 'slow-region', 'throttle', 'amnesia', 'poison'];
const SETTINGS: readonly RareSetting[] = ['few-hints', 'short-visibility', 'hoarded-contexts', 'narrow-everything', 'policy-change', 'next-format', 'small-inbox', 'skewed-clocks', 'roaming-clients', 'crowded-item', 'topology', 'much-reaped', 'region-lost', 'old-copy'];

export const RARE_OPTIONS: readonly RareOption[] = [...FAULTS, ...SETTINGS];

/** A seed has one or two of the nineteen, as a rule: some of them leave the checkers less to look at. */
const PROBABILITY = 0.1;
/** What comes after a reaping, or beside a change of policy, is met by few of the seeds that have one. */
const DENSER: Partial<Record<RareOption, number>> = { 'much-reaped': 0.16, 'policy-change': 0.16 };

export interface Rare {
  readonly faults: readonly RareFault[];
  readonly settings: readonly RareSetting[];
}

/** `asked` are on in any case. */
export function drawRare(random: SeededRandom, asked: readonly RareOption[] = []): Rare {
  // Each option draws, asked for or not: asking for one does not shift the others.
  const isOn = (option: RareOption): boolean => random.chance(DENSER[option] ?? PROBABILITY) || asked.includes(option);
  const faults = FAULTS.filter(isOn);
  const settings = SETTINGS.filter(isOn);
  // The hand that writes the topology loses the region.
  const needsTopology = settings.includes('region-lost') && !settings.includes('topology');
  return { faults, settings: needsTopology ? [...settings, 'topology'] : settings };
}

/** What a peer's hint queue takes with `few-hints`: soon full. */
const FEW_HINTS = 3;
/** What a region takes at a time with `small-inbox`, and what waits in memory for a peer. */
const SMALL_INBOX = 4;
/** Shorter than a slow message takes: hints are delivered again while they are under way. */
export const SHORT_VISIBILITY_MS = 400;

export const limitsOf = ({ settings }: Rare): Limits => ({
  hintsPerPeer: settings.includes('few-hints') ? FEW_HINTS : LIMITS.hintsPerPeer,
  inboxRecords: settings.includes('small-inbox') ? SMALL_INBOX : LIMITS.inboxRecords,
});
