// What a function of a region is told by its stack: names, never secrets. Everything else follows from the names.

import type { Place } from '../../src/adapters/aws/names.ts';
import { regionEntry } from '../../src/config/places.ts';
import type { Topology } from '../../src/core/placement/topology.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';

export interface Settings extends Place {
  readonly region: RegionId;
  /** Of the whole deployment, in the order of the configuration; the first one is control. */
  readonly regions: readonly RegionId[];
  readonly replicas: number;
  /** How long loss rows are kept; null for ever. */
  readonly lossesKeptMs: number | null;
}

/** Environment variables, as the stack sets them; AWS_REGION is Lambda's own. */
export interface Environment {
  readonly ARCHIPEL_DEPLOYMENT: string;
  readonly ARCHIPEL_REGIONS: string;
  readonly ARCHIPEL_REPLICAS: string;
  /** `90`, or `forever`. */
  readonly ARCHIPEL_LEDGER_DAYS: string;
  readonly ARCHIPEL_PARTITION: string;
  readonly ARCHIPEL_ACCOUNT: string;
}

/** @throws TypeError when the stack forgot one */
export function settingsOf(environment: Readonly<Record<string, string | undefined>>): Settings {
  const read = (name: keyof Environment | 'AWS_REGION'): string => {
    const value = environment[name];
    if (value === undefined || value === '') throw new TypeError(`The function has no ${name}.`);
    return value;
  };
  return {
    deployment: read('ARCHIPEL_DEPLOYMENT'),
    partition: read('ARCHIPEL_PARTITION'),
    account: read('ARCHIPEL_ACCOUNT'),
    region: asRegionId(read('AWS_REGION')),
    regions: read('ARCHIPEL_REGIONS').split(',').map(asRegionId),
    replicas: Number(read('ARCHIPEL_REPLICAS')),
    lossesKeptMs: keptMs(read('ARCHIPEL_LEDGER_DAYS')),
  };
}

const DAY_MS = 86_400_000;

/** A number that is none would let rows expire at no time that DynamoDB knows. */
function keptMs(days: string): number | null {
  if (days === 'forever') return null;
  if (!/^[1-9][0-9]{0,4}$/.test(days)) throw new TypeError(`ARCHIPEL_LEDGER_DAYS is a number of days, or forever, not ${JSON.stringify(days)}.`);
  return Number(days) * DAY_MS;
}

export const peersOf = ({ region, regions }: Settings): RegionId[] => regions.filter((id) => id !== region);

/** The document that every region of a new deployment derives for itself, until its table holds a later one. */
export function firstTopology(regions: readonly RegionId[]): Topology {
  const [control] = regions;
  if (control === undefined) throw new TypeError('A deployment has at least one region.');
  return { format: 1, term: 1, epoch: 1, control, regions: regions.map((id) => regionEntry(id)) };
}
