// A drill is a file: what clients do, what is done to the regions meanwhile, and what must come of it. Parsed whole before
// anything starts; a mistake is named by its place in the file.

import { parseDocument } from 'yaml';
import { z } from 'zod';
import { parseDuration } from '../config/options.ts';
import { ArchipelError } from '../core/errors.ts';
import { parseExpectation, type Expectation } from './expectation.ts';

/** Regions by what they are to the clients, so that a drill runs on any cluster: `first` is the nearest one to them. */
export const ROLES = ['first', 'second', 'third'] as const;
export type Role = (typeof ROLES)[number];

/** Known bugs of the drill's own equipment: with it the drill has to fail, or it proves nothing. */
export const CONTROLS = ['clients-do-not-fail-over', 'edge-forgets', 'edge-knows-one', 'hints-not-kept', 'nobody-contradicts', 'not-rebuilt', 'never-healed', 'never-reconciled', 'not-awaited', 'not-drained', 'owed-not-asked', 'ledger-not-read', 'record-overlooked'] as const;
export type ControlName = (typeof CONTROLS)[number];

export type Action =
  | { readonly verb: 'kill' | 'stop' | 'pause' | 'resume' | 'start' | 'wipe'; readonly region: Role }
  /** What an operator decides: the topology document says so from then on. */
  | { readonly verb: 'drain' | 'return' | 'fence' | 'lose'; readonly region: Role }
  /** Cut off from its peers and from the edge. */
  | { readonly verb: 'isolate'; readonly region: Role }
  /** The edge does not reach it; its peers do. */
  | { readonly verb: 'cut-edge'; readonly region: Role }
  /** Nothing more can be stored there, until it is freed. */
  | { readonly verb: 'disk-full' | 'disk-freed'; readonly region: Role }
  | { readonly verb: 'cut' | 'cut-one-way'; readonly from: Role; readonly to: Role }
  /** Every message to and from it takes this much longer. */
  | { readonly verb: 'slow'; readonly region: Role; readonly byMs: number }
  /** Every message between the two takes this much longer. */
  | { readonly verb: 'slow-link'; readonly from: Role; readonly to: Role; readonly byMs: number }
  | { readonly verb: 'clock'; readonly region: Role; readonly byMs: number }
  | { readonly verb: 'kill-edge' | 'heal' }
  /** What clients send from now on, in requests a second: nothing is done to any region. */
  | { readonly verb: 'rate'; readonly rate: number };

/** What a place does. */
export type PlaceAction = Exclude<Action, { readonly verb: 'rate' }>;

export interface Step {
  readonly atMs: number;
  readonly action: Action;
}

export interface Load {
  /** Requests a second in all, sent whether or not the last ones were answered. */
  readonly rate: number;
  readonly reads: number;
  readonly keys: number;
  /**
   * `edge`: clients near the first region, through the edge. `client`: clients near the first region that know all regions, and fail over
   * by themselves. `regions`: clients in every region, straight at it, on the same keys.
   */
  readonly through: 'edge' | 'client' | 'regions';
}

export interface Drill {
  readonly name: string;
  readonly about: string;
  readonly regions: number;
  readonly load: Load;
  readonly steps: readonly Step[];
  readonly endMs: number;
  readonly expect: readonly Expectation[];
  readonly control: ControlName;
  /** What of the expectations fails with the control, whatever else does; undefined: nothing is said. */
  readonly fails: string | undefined;
  /** A step sets a clock: regions are started so that it can be. */
  readonly setsClocks: boolean;
  /** For how long a region may be away before it is rebuilt; seven days where none is given. */
  readonly horizonMs: number | undefined;
  /** A step fills a disk: regions are started so that they can be told so. */
  readonly fillsDisks: boolean;
  /** How many keys a region remembers for a peer that is away; a million where none is given. */
  readonly hints: number | undefined;
  /** How often pairs of regions compare. Undefined: not while the drill runs. */
  readonly reconcileEveryMs: number | undefined;
}

/** What of a drill decides how its regions are started. */
export type Setting = Pick<Drill, 'regions' | 'setsClocks' | 'horizonMs' | 'fillsDisks' | 'hints' | 'reconcileEveryMs'>;

const role = z.enum(ROLES);
const pair = z.tuple([role, role]).refine(([from, to]) => from !== to, 'a link is between two regions');
const time = z.string().transform((text, context) => {
  try {
    return text === '0s' ? 0 : parseDuration('a time', text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    return z.NEVER;
  }
});
const signedTime = z.string().regex(/^-?\d+(ms|s|m|h)$/, 'a time like 1h or -30s').transform((text) => (Number.parseInt(text, 10) === 0 ? 0 : text.startsWith('-') ? -parseDuration('a time', text.slice(1)) : parseDuration('a time', text)));

const rate = z.int().min(1).max(5_000);

const VERBS = {
  kill: role,
  stop: role,
  pause: role,
  resume: role,
  start: role,
  wipe: role,
  isolate: role,
  'cut-edge': role,
  'disk-full': role,
  'disk-freed': role,
  drain: role,
  return: role,
  fence: role,
  lose: role,
  cut: pair,
  'cut-one-way': pair,
  slow: z.strictObject({ region: role, by: time }),
  'slow-link': z.strictObject({ between: pair, by: time }),
  clock: z.strictObject({ region: role, by: signedTime }),
  'kill-edge': z.literal(true),
  heal: z.literal('links'),
  rate,
} as const;
type Verb = keyof typeof VERBS;

const step = z
  .strictObject({ at: time, ...(Object.fromEntries(Object.entries(VERBS).map(([verb, schema]) => [verb, schema.optional()])) as { [V in Verb]: z.ZodOptional<(typeof VERBS)[V]> }) })
  .transform(({ at, ...rest }, context): Step => {
    const given = Object.entries(rest).filter(([, value]) => value !== undefined) as [Verb, unknown][];
    const [only] = given;
    if (only === undefined || given.length !== 1) {
      context.addIssue({ code: 'custom', message: `a step does one thing: ${Object.keys(VERBS).join(', ')}` });
      return z.NEVER;
    }
    return { atMs: at, action: actionOf(only[0], only[1]) };
  });

function actionOf(verb: Verb, value: unknown): Action {
  switch (verb) {
    case 'cut':
    case 'cut-one-way': {
      const [from, to] = value as [Role, Role];
      return { verb, from, to };
    }
    case 'slow':
    case 'clock': {
      const { region, by } = value as { readonly region: Role; readonly by: number };
      return { verb, region, byMs: by };
    }
    case 'slow-link': {
      const { between: [from, to], by } = value as { readonly between: readonly [Role, Role]; readonly by: number };
      return { verb, from, to, byMs: by };
    }
    case 'kill-edge':
    case 'heal':
      return { verb };
    case 'rate':
      return { verb, rate: value as number };
    default:
      return { verb, region: value as Role };
  }
}

const expectation = z.string().transform((text, context): Expectation => {
  try {
    return parseExpectation(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    return z.NEVER;
  }
});

const file = z.strictObject({
  drill: z.string().regex(/^[a-z0-9-]{1,64}$/, 'small letters, digits and hyphens'),
  about: z.string().min(1).max(1_000),
  regions: z.int().min(2).max(3).default(3),
  horizon: time.optional(),
  hints: z.int().min(1).max(1_000_000).optional(),
  reconcile: time.optional(),
  load: z.strictObject({
    rate,
    reads: z.number().min(0).max(1).default(0.5),
    keys: z.int().min(1).max(100_000).default(1_000),
    through: z.enum(['edge', 'client', 'regions']).default('edge'),
  }),
  steps: z.array(step).min(1).max(200),
  end: time,
  expect: z.array(expectation).min(1),
  control: z.enum(CONTROLS),
  fails: expectation.optional(),
});

/** @throws ArchipelError `bad-request` that names the place */
export function parseDrill(text: string, name: string): Drill {
  const document = parseDocument(text);
  const [broken] = document.errors;
  if (broken !== undefined) throw wrong(name, broken.message.split('\n')[0] ?? 'not YAML');
  const parsed = file.safeParse(document.toJS());
  if (!parsed.success) throw wrong(name, parsed.error.issues.map(({ path, message }) => `${path.length === 0 ? '' : `${path.join('.')}: `}${message}`).join('; '));
  const { drill, about, regions, horizon, hints, reconcile, load, steps, end, expect, control, fails } = parsed.data;
  for (const [at, each] of steps.entries()) {
    if (each.atMs > end || each.atMs < (steps[at - 1]?.atMs ?? 0)) throw wrong(name, `steps.${at}: steps are in the order of their times, and none is behind the end`);
    for (const used of rolesOf(each.action)) if (ROLES.indexOf(used) >= regions) throw wrong(name, `steps.${at}: there is no ${used} region of ${regions}`);
  }
  if (fails !== undefined && !expect.some(({ text: each }) => each === fails.text)) throw wrong(name, `fails: ${JSON.stringify(fails.text)} is none of its expectations`);
  return { name: drill, about: about.trim(), regions, load, steps, endMs: end, expect, control, fails: fails?.text, setsClocks: steps.some(({ action }) => action.verb === 'clock'), fillsDisks: steps.some(({ action }) => action.verb === 'disk-full'), horizonMs: horizon, hints, reconcileEveryMs: reconcile };
}

function rolesOf(action: Action): readonly Role[] {
  if ('region' in action) return [action.region];
  return 'from' in action ? [action.from, action.to] : [];
}

/** In words, for reports. */
export function describeAction(action: Action, name: (role: Role) => string): string {
  switch (action.verb) {
    case 'cut':
      return `cut ${name(action.from)} and ${name(action.to)} off from each other`;
    case 'cut-one-way':
      return `cut ${name(action.from)} > ${name(action.to)}`;
    case 'isolate':
      return `isolate ${name(action.region)}`;
    case 'cut-edge':
      return `cut the edge off from ${name(action.region)}`;
    case 'disk-full':
      return `the disk of ${name(action.region)} is full`;
    case 'disk-freed':
      return `the disk of ${name(action.region)} has room again`;
    case 'slow':
      return `slow ${name(action.region)} by ${action.byMs} ms`;
    case 'slow-link':
      return `slow the link of ${name(action.from)} and ${name(action.to)} by ${action.byMs} ms`;
    case 'rate':
      return `${action.rate} requests a second`;
    case 'clock':
      return `clock of ${name(action.region)} ${action.byMs < 0 ? 'back' : 'forward'} by ${Math.abs(action.byMs) / 1_000} s`;
    case 'kill':
      return `kill -9 ${name(action.region)}`;
    case 'wipe':
      return `kill -9 ${name(action.region)} and delete its folder`;
    case 'kill-edge':
      return 'kill -9 the edge';
    case 'lose':
      return `declare ${name(action.region)} lost`;
    case 'heal':
      return 'heal all links';
    default:
      return `${action.verb} ${name(action.region)}`;
  }
}

const wrong = (name: string, what: string): ArchipelError => new ArchipelError('bad-request', `${name} is not a drill: ${what}.`);
