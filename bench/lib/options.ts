// What `npm run bench` can be asked. A wrong option is answered with a sentence.

import { parseArgs } from 'node:util';

export const HELP = `npm run bench [-- OPTIONS]

Starts clusters in temporary folders on loopback and prints each figure of the goals beside its yardstick from the same run.
Ends with 1 when a floor is missed, or when a row has become worse than the baseline.

  --quick         everything in a small size, in less than 100 s on two cores
  --only P1,P2    these rows
  --open P2,P3    these are known not to have reached their floor yet: printed, but no reason to fail
  --json FILE     writes {"P1":{"value","yardstick","floor","goal","met"},…}
  --against FILE  compares with a kept baseline: a row more than 15 % worse is measured again, with five interleaved rounds, and
                  is a reason to fail if their median is worse too. Printed and not judged: on another machine type everything,
                  else times, and what swings by itself (the file says which and why)
  --keep FILE     adds this run to the baseline in FILE; of another commit or machine it begins a new one. Three quiet runs or more
  --help          this

Instead of the table of the goals, one of these; each takes --quick and --json too:

  --layers        microseconds per request by layer (parse, route, … commit, answer; send, receive, apply), from CPU profiles of
                  the processes under load
  --tails         an open loop at shares of what three regions can take: percentiles from when a request was due, and what the
                  processes stood still for (event loop, garbage collection, LevelDB)`;

export const MODES = ['layers', 'tails'] as const;
export type Mode = (typeof MODES)[number];

export interface Asked {
  readonly help: boolean;
  readonly quick: boolean;
  readonly only: ReadonlySet<string>;
  readonly open: ReadonlySet<string>;
  readonly json: string | undefined;
  readonly against: string | undefined;
  readonly keep: string | undefined;
  /** Undefined: the table of the goals. */
  readonly mode: Mode | undefined;
}

const list = (text: string | undefined): string[] | undefined => text?.split(',').filter((each) => each !== '');

/** A text says what is wrong. */
export function asked(args: readonly string[], rows: readonly string[]): Asked | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { help: { type: 'boolean', short: 'h', default: false }, quick: { type: 'boolean', default: false }, only: { type: 'string' }, open: { type: 'string' }, json: { type: 'string' }, against: { type: 'string' }, keep: { type: 'string' }, layers: { type: 'boolean' }, tails: { type: 'boolean' } },
    });
    const only = new Set(list(values.only) ?? rows);
    const open = new Set(list(values.open) ?? []);
    const unknown = [...only, ...open].find((id) => !rows.includes(id));
    if (unknown !== undefined) return `There is no row ${unknown}. Rows: ${rows.join(', ')}.`;
    const modes = MODES.filter((mode) => values[mode] === true);
    if (modes.length > 1) return `One at a time: ${modes.map((mode) => `--${mode}`).join(', ')}.`;
    return { help: values.help, quick: values.quick, only, open, json: values.json, against: values.against, keep: values.keep, mode: modes[0] };
  } catch (error) {
    return `${(error as Error).message.split('. ')[0]}. What there is: npm run bench -- --help`;
  }
}
