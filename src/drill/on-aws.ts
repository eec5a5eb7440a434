// What a drill is on an emulated AWS: which of its steps there are, and with how much load. Pure.

import { withControl } from './control.ts';
import { describeAction, type Action, type ControlName, type Drill } from './drill.ts';

/** Requests a second, in all: each is two invocations, of the edge's function and of the region's, and a write some more. */
export const RATE_MAX = 6;
/** Fewer keys than that, and one request would wait for the other. */
export const KEYS_MIN = 10;

/** Why a step is not there. What is not named is. */
const NOT_THERE: Readonly<Partial<Record<Action['verb'], string>>> = {
  wipe: 'a table belongs to a stack, and a new one under its name comes by a deployment',
  'disk-full': 'a table has no disk that could be full',
  'disk-freed': 'a table has no disk that could be full',
  clock: 'the clock of a function is not ours to set',
  drain: 'on AWS a topology is read when an environment begins, and not again',
  return: 'on AWS a topology is read when an environment begins, and not again',
  fence: 'on AWS a topology is read when an environment begins, and not again',
  lose: 'on AWS a topology is read when an environment begins, and not again',
};

/** Its queues are emptied in the place of a bound that they do not have. */
export const emptiesQueues = (control: ControlName | undefined): boolean => control === 'hints-not-kept';

/** Why a drill, or it with a known bug, cannot run there, before anything is started; undefined: it can. */
export function awsRefusalOf(drill: Drill, control?: ControlName): string | undefined {
  const { name, steps, horizonMs, hints, reconcileEveryMs } = emptiesQueues(control) ? drill : withControl(drill, control);
  if (horizonMs !== undefined) return `${name} says for how long a region may be away before it is rebuilt, and rebuilding is not built on AWS: run it on local or sim.`;
  if (hints !== undefined) return `${name} bounds what a region remembers for its peers, and a queue of SQS has no such bound: run it on local or sim.`;
  if (reconcileEveryMs !== undefined) return `${name} says how often regions compare, and on AWS a schedule does that, once a day: run it on local or sim.`;
  const step = steps.find(({ action }) => NOT_THERE[action.verb] !== undefined);
  if (step === undefined) return undefined;
  return `A step of ${name} is not there on aws-local (${describeAction(step.action, (role) => `the ${role} region`)}): ${NOT_THERE[step.action.verb]}. Run it on local or sim.`;
}

export interface Scaled {
  readonly drill: Drill;
  /** For the report. */
  readonly remarks: readonly string[];
}

/** Fewer requests on as many fewer keys, so that each key is asked for as often, and writes meet as often. */
export function scaledForAws(drill: Drill): Scaled {
  const most = drill.steps.reduce((rate, { action }) => (action.verb === 'rate' ? Math.max(rate, action.rate) : rate), drill.load.rate);
  const factor = Math.min(1, RATE_MAX / most);
  if (factor === 1) return { drill, remarks: [] };
  const rate = (given: number): number => Math.max(1, Math.round(given * factor));
  const load = { ...drill.load, rate: rate(drill.load.rate), keys: Math.max(KEYS_MIN, Math.round(drill.load.keys * factor)) };
  const steps = drill.steps.map((step) => (step.action.verb === 'rate' ? { ...step, action: { ...step.action, rate: rate(step.action.rate) } } : step));
  return {
    drill: { ...drill, load, steps },
    remarks: [`The load was scaled down, to ${load.rate} requests a second on ${load.keys} keys, of ${drill.load.rate} on ${drill.load.keys}: the emulator answers about 140 invocations a second, and each request is several. With so few requests in a second, a single late one decides of it.`],
  };
}
