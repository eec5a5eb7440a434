// The known bugs of a drill's own equipment. Some are in the steps, so that they are there wherever the drill runs; some in what
// clients do, or in what is looked at (run.ts). Pure.

import type { LoggedWrite, View } from './account.ts';
import { ROLES, type ControlName, type Drill, type Step } from './drill.ts';

/** As it runs with a known bug. */
export function withControl(drill: Drill, control: ControlName | undefined): Drill {
  switch (control) {
    case 'never-reconciled':
      return { ...drill, reconcileEveryMs: undefined };
    case 'hints-not-kept':
      return { ...drill, hints: 1 };
    case 'not-rebuilt':
      return { ...drill, horizonMs: undefined };
    case 'edge-knows-one':
      return { ...drill, steps: drill.steps.flatMap((step) => (step.action.verb === 'kill-edge' ? [...othersCut(step.atMs, drill.regions), step] : [step])) };
    case 'nobody-contradicts':
      return { ...drill, steps: drill.steps.flatMap((step) => startedAlone(step, drill.regions)) };
    case 'not-awaited':
      return { ...drill, steps: startedAtTheEnd(drill.steps) };
    case 'edge-forgets':
      return { ...drill, steps: drill.steps.flatMap((step) => (isReturn(step) ? [step, { atMs: step.atMs, action: { verb: 'kill-edge' } }] : [step])) };
    default:
      return drill;
  }
}

const isReturn = ({ action: { verb } }: Step): boolean => verb === 'start' || verb === 'resume';

/** Nobody waits for a region to be back before the next one is taken away. */
function startedAtTheEnd(steps: readonly Step[]): readonly Step[] {
  const isStart = ({ action }: Step): boolean => action.verb === 'start';
  const lastMs = steps.findLast(isStart)?.atMs ?? 0;
  return steps.map((step) => (isStart(step) ? { ...step, atMs: lastMs } : step)).sort((a, b) => a.atMs - b.atMs);
}

/** The edge reaches the first region only. */
const othersCut = (atMs: number, regions: number): readonly Step[] => ROLES.slice(1, regions).map((region) => ({ atMs, action: { verb: 'cut-edge', region } }));

/** A clock jumps while its region is not running, and when that starts it reaches nobody who would know better; nor does the edge know that it was away. */
function startedAlone(step: Step, regions: number): readonly Step[] {
  const { atMs, action } = step;
  if (action.verb !== 'clock' || action.byMs === 0) return [step];
  const cuts = ROLES.slice(0, regions).filter((role) => role !== action.region).map((to): Step => ({ atMs, action: { verb: 'cut', from: action.region, to } }));
  return [...cuts, { atMs, action: { verb: 'stop', region: action.region } }, step, { atMs, action: { verb: 'start', region: action.region } }, { atMs, action: { verb: 'kill-edge' } }];
}

const IN_SETTING: ReadonlySet<ControlName> = new Set(['never-reconciled', 'hints-not-kept', 'not-rebuilt']);

/** How regions are started is another than without it. */
export const isInSetting = (control: ControlName): boolean => IN_SETTING.has(control);

/** What was seen, as some of them show it. */
export function sabotaged(views: readonly View[], control: ControlName | undefined, writes: readonly LoggedWrite[]): readonly View[] {
  if (control === 'ledger-not-read') return views.map((view) => ({ ...view, losses: [] }));
  if (control !== 'record-overlooked') return views;
  const pk = writes.find(({ outcome }) => outcome === 'acknowledged')?.pk;
  return views.map((view) => ({ ...view, lines: view.lines.filter((line) => !line.includes(` "${pk}" `)), losses: view.losses.filter((row) => row.pk !== pk) }));
}
