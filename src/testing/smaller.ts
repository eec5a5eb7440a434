// From a seed that failed to the smallest run that still fails by the same rule, within a time; and its trace.

import { isFailure, Thread, type Outcome } from './pool.ts';
import type { RareOption } from './rare.ts';
import { formatExcerpt, type Excerpt } from './script.ts';
import { shrink } from './shrink.ts';

/** By which rule a run failed; undefined when it did not. */
export function ruleOf(outcome: Outcome): string | undefined {
  return isFailure(outcome) ? (outcome.error.split('\n')[0] ?? '').replaceAll(/\d+/g, 'N') : outcome.violations[0]?.rule;
}

export const replayCommand = (seed: number, excerpt?: Excerpt, control?: string, rare: readonly RareOption[] = []): string =>
  ['npm run sim -- --seed', seed, ...(control === undefined ? [] : ['--control', control]), ...(rare.length === 0 ? [] : ['--rare', rare.join(',')]), ...(excerpt === undefined ? [] : [formatExcerpt(excerpt)])].join(' ');

export interface Smaller {
  readonly excerpt: Excerpt;
  readonly outcome: Outcome;
  readonly trace: readonly string[];
  readonly runs: number;
}

export interface SmallerRequest {
  readonly seed: number;
  readonly rule: string;
  readonly control?: string | undefined;
  readonly rare?: readonly RareOption[];
  readonly isLate: () => boolean;
}

/** Undefined when no smaller run was found that fails so. */
export async function smaller({ seed, rule, control, rare, isLate }: SmallerRequest): Promise<Smaller | undefined> {
  const thread = new Thread(control, rare);
  let runs = 0;
  try {
    const { sizes } = await thread.ask({ seed, excerpt: {} });
    if (sizes === undefined) return undefined;
    const fails = async (excerpt: Excerpt): Promise<boolean> => {
      runs++;
      return ruleOf((await thread.ask({ seed, excerpt })).outcome) === rule;
    };
    const excerpt = await shrink({ sizes, fails, isLate });
    if (excerpt === undefined) return undefined;
    const { outcome, trace } = await thread.ask({ seed, excerpt, isTraced: true });
    return { excerpt, outcome, trace, runs };
  } finally {
    await thread.end();
  }
}
