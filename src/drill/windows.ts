// From when to when something was so, as the steps of a drill say. Pure.

import type { Action, Role, Step } from './drill.ts';

/** From and to, in milliseconds since the load began. */
export interface Window {
  readonly region: Role;
  readonly fromMs: number;
  readonly toMs: number;
}

/** An edge, and a region, has heard of a change by then. */
const LEARNT_MS = 2_000;
const ENDS: ReadonlySet<Action['verb']> = new Set(['return', 'stop', 'kill', 'wipe', 'lose']);
/** What is away hears nothing. */
const WAKES: ReadonlySet<Action['verb']> = new Set(['start', 'resume']);

/**
 * While a region is what an operator has decided, from two seconds after that, or after it was last brought back meanwhile, until it
 * is returned or taken away.
 */
export function decided(steps: readonly Step[], verb: 'drain' | 'fence', endMs: number): readonly Window[] {
  return steps.flatMap(({ atMs, action }, at) => {
    if (action.verb !== verb) return [];
    const later = steps.slice(at + 1).filter((step) => 'region' in step.action && step.action.region === action.region);
    const toMs = later.find((step) => ENDS.has(step.action.verb))?.atMs ?? endMs;
    const woken = later.findLast((step) => WAKES.has(step.action.verb) && step.atMs < toMs);
    return [{ region: action.region, fromMs: (woken?.atMs ?? atMs) + LEARNT_MS, toMs }];
  });
}

/** From when a region was first brought back, to the end. */
export function afterReturn(steps: readonly Step[], endMs: number): Window | undefined {
  const back = steps.find(({ action }) => WAKES.has(action.verb));
  return back === undefined || !('region' in back.action) ? undefined : { region: back.action.region, fromMs: back.atMs, toMs: endMs };
}
