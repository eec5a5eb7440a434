// The loop around a test: many seeds, and the one that failed by name.

const VARIABLE = 'ARCHIPEL_SEED';

export interface ForSeedsOptions {
  /** The first; 1 by default, so that a test run is the same every time. */
  readonly from?: number;
}

/**
 * Calls the test with so many seeds, one after the other. With `ARCHIPEL_SEED=17` in the environment only with that one.
 * @throws Error `seed 17: …` for the first that fails, with what it threw as the cause
 */
export async function forSeeds(count: number, test: (seed: number) => Promise<void>, { from = 1 }: ForSeedsOptions = {}): Promise<void> {
  const only = process.env[VARIABLE];
  const seeds = only === undefined ? Array.from({ length: count }, (_, at) => from + at) : [Number(only)];
  for (const seed of seeds) {
    try {
      await test(seed);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`seed ${seed}: ${message}\n  ${VARIABLE}=${seed} runs it alone.`, { cause: error });
    }
  }
}
