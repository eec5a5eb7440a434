// What `npm run bench` can be asked. A wrong option is answered with a sentence.

import { parseArgs } from 'node:util';
import type { PeersAsked } from '../peers.ts';
import { CURVE_NAMES, type CurveName, type CurvesAsked } from '../curves.ts';

export const HELP = `npm run bench [-- OPTIONS]

Starts clusters in temporary folders on loopback and prints each figure of the goals beside its yardstick from the same run.
Ends with 1 when a floor is missed, or when a row has become worse than the baseline.

  --quick         everything in a small size, in less than 100 s on two cores
  --only P1,P2    these rows
  --open P2,P3    these are known not to have reached their floor yet: printed, but no reason to fail
  --json FILE     writes {"P1":{"value","yardstick","floor","goal","met"},…}
  --against FILE  compares with a kept baseline: a row more than 15 % worse is measured again, in turns with the code of
                  the baseline's commit, and is a reason to fail if it is as much worse than that beside it. Printed and not
                  judged: on another machine type everything, else times, and what swings by itself (the file says which and why)
  --keep FILE     adds this run to the baseline in FILE; of another commit or machine it begins a new one. Three quiet runs or more
  --help          this

Instead of the table of the goals, one of these; each takes --quick and --json too:

  --layers        microseconds per request by layer (parse, route, … commit, answer; send, receive, apply), from CPU profiles of
                  the processes under load
  --tails         an open loop at shares of what three regions can take: percentiles from when a request was due, and what the
                  processes stood still for (event loop, garbage collection, LevelDB)
  --curves        how costs grow with keys and regions. With --json FILE the points of this run are added to those in FILE and
                  drawn beside it (curves-keys.svg, curves-regions.svg); each point has at most 15 minutes
    --of three,one,regions    these curves: keys in three regions, keys in one, number of regions
    --keys 1000,10000         these points of the first two
    --regions 2,3,5,7         these points of the third
    --value-bytes 100
    --data FOLDER             keeps the data there, so that another run goes on with more keys
  --peers         etcd, NATS, Redis, KeyDB beside the product in the same rounds, where their servers are found
    --peers-folder FOLDER     looks there before PATH`;

export const MODES = ['layers', 'tails', 'curves', 'peers'] as const;
export type Mode = (typeof MODES)[number];

export interface Asked extends CurvesAsked, PeersAsked {
  readonly help: boolean;
  readonly only: ReadonlySet<string>;
  readonly open: ReadonlySet<string>;
  readonly against: string | undefined;
  readonly keep: string | undefined;
  /** Undefined: the table of the goals. */
  readonly mode: Mode | undefined;
}

const list = (text: string | undefined): string[] | undefined => text?.split(',').filter((each) => each !== '');

/** In ascending order; NaN for what is none, or out of bounds. */
const numbers = (text: string | undefined, least: number, most: number): number[] | undefined => list(text)?.map(Number).map((each) => (Number.isInteger(each) && each >= least && each <= most ? each : Number.NaN)).sort((a, b) => a - b);

/** A text says what is wrong. */
export function asked(args: readonly string[], rows: readonly string[]): Asked | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { help: { type: 'boolean', short: 'h', default: false }, quick: { type: 'boolean', default: false }, only: { type: 'string' }, open: { type: 'string' }, json: { type: 'string' }, against: { type: 'string' }, keep: { type: 'string' }, layers: { type: 'boolean' }, tails: { type: 'boolean' }, curves: { type: 'boolean' }, of: { type: 'string' }, keys: { type: 'string' }, regions: { type: 'string' }, 'value-bytes': { type: 'string', default: '100' }, data: { type: 'string' }, peers: { type: 'boolean' }, 'peers-folder': { type: 'string' } },
    });
    const only = new Set(list(values.only) ?? rows);
    const open = new Set(list(values.open) ?? []);
    const unknown = [...only, ...open].find((id) => !rows.includes(id));
    if (unknown !== undefined) return `There is no row ${unknown}. Rows: ${rows.join(', ')}.`;
    const modes = MODES.filter((mode) => values[mode] === true);
    if (modes.length > 1) return `One at a time: ${modes.map((mode) => `--${mode}`).join(', ')}.`;
    const of = (list(values.of) ?? CURVE_NAMES) as CurveName[];
    const strange = of.find((name) => !CURVE_NAMES.includes(name));
    if (strange !== undefined) return `There is no curve ${strange}. Curves: ${CURVE_NAMES.join(', ')}.`;
    const [keys, regions, valueBytes] = [numbers(values.keys, 100, 100_000_000), numbers(values.regions, 2, 7) ?? [2, 3, 5, 7], numbers(values['value-bytes'], 1, 10_000)?.[0]];
    if (valueBytes === undefined || [...(keys ?? []), ...regions, valueBytes].some(Number.isNaN)) return 'Numbers: --keys from 100 to 100,000,000, --regions from 2 to 7, --value-bytes from 1 to 10,000.';
    return { of, keys, regions, valueBytes, data: values.data, peersFolder: values['peers-folder'], help: values.help, quick: values.quick, only, open, json: values.json, against: values.against, keep: values.keep, mode: modes[0] };
  } catch (error) {
    return `${(error as Error).message.split('. ')[0]}. What there is: npm run bench -- --help`;
  }
}
