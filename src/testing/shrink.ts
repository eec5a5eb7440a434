// Makes a failing run smaller: fewer regions, faults, clients and operations, a calmer network, as long as the same rule
// still fails. Delta debugging (Zeller and Hildebrandt 2002): halves are left out first, then smaller and smaller parts.
// An excerpt shifts what the network does, so a bug that needs a rare moment may vanish with any excerpt; then less is left out.

import { CALMS, REGIONS_MIN, type Excerpt } from './script.ts';

export interface Sizes {
  readonly regions: number;
  readonly faults: number;
  /** Of each operation, who did it. */
  readonly clients: readonly number[];
}

export interface ShrinkSetting {
  readonly sizes: Sizes;
  /** Does the run that is left still fail, and by the same rule? */
  readonly fails: (excerpt: Excerpt) => Promise<boolean>;
  /** Time is up: what was found by then is the answer. */
  readonly isLate: () => boolean;
}

type WholeExcerpt = Required<Omit<Excerpt, 'clients'>>;

const numbersTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);

/** Undefined when nothing smaller fails. */
export async function shrink({ sizes, fails, isLate }: ShrinkSetting): Promise<Excerpt | undefined> {
  let current: WholeExcerpt = { regions: sizes.regions, faults: numbersTo(sizes.faults), operations: numbersTo(sizes.clients.length), calm: [] };
  let isFound = false;
  const take = async (change: Partial<WholeExcerpt>): Promise<boolean> => {
    if (isLate()) return false;
    const excerpt = { ...current, ...change };
    if (!(await fails(excerpt))) return false;
    current = excerpt;
    return (isFound = true);
  };
  for (let before = -1; before !== sizeOf(current) && !isLate(); ) {
    before = sizeOf(current);
    if (current.calm.length === 0) await take({ calm: CALMS });
    if (current.faults.length > 0) await take({ faults: [] });
    for (let regions = REGIONS_MIN; regions < current.regions; regions++) if (await take({ regions })) break;
    for (let isShorter = true; isShorter; ) isShorter = current.operations.length > 1 && (await take({ operations: current.operations.slice(0, Math.ceil(current.operations.length / 2)) }));
    for (const client of new Set(current.operations.map((number) => sizes.clients[number - 1] ?? 0))) {
      const others = current.operations.filter((number) => sizes.clients[number - 1] !== client);
      if (others.length < current.operations.length) await take({ operations: others });
    }
    await withoutParts(() => current.operations, (operations) => take({ operations }));
    await withoutParts(() => current.faults, (faults) => take({ faults }));
    for (const calm of CALMS) if (!current.calm.includes(calm)) await take({ calm: [...current.calm, calm] });
  }
  return isFound ? current : undefined;
}

const sizeOf = ({ regions, faults, operations, calm }: WholeExcerpt): number => regions + faults.length + operations.length - calm.length;

/** Leaves out parts of a list, from halves to single ones, as long as the others do. */
async function withoutParts(current: () => readonly number[], take: (left: readonly number[]) => Promise<boolean>): Promise<void> {
  for (let length = Math.ceil(current().length / 2); length >= 1; length = length === 1 ? 0 : Math.ceil(length / 2)) {
    for (let from = 0; from < current().length; ) {
      const left = [...current().slice(0, from), ...current().slice(from + length)];
      if (!(await take(left))) from += length;
    }
  }
}
