import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { CONTROL_VARIABLE } from './src/testing/caught-by-test.ts';
import { controlNamed } from './src/testing/controls.ts';
import { sabotagePlugin } from './src/testing/sabotage.ts';

/** Its mock of a module of Node's must be there before the code that it tests is loaded. */
const APART = ['test/scenarios/disk-full.test.ts'];
/** `npm run test:long`: more runs of the simulation, without the 200 seeds of `npm test`; drills; the runbooks, on processes; `npm run deploy`, executed; what streams and queues of AWS do, what is read of a stream, reaped, administered and reconciled there, what that reads, two releases of it side by side, and that functions say no secret; the rules of cdk-nag. */
const LONG = [...['rare', 'reaping', 'regressions', 'shrink'].map((name) => `test/sim/${name}.test.ts`), 'test/drill/seeds.test.ts', 'test/drill/given.test.ts', 'test/drill/simulated.test.ts', ...['event-sources', 'unread', 'unread-parts', 'reap', 'administration', 'reconcile', 'deep-reads', 'releases', 'secrets'].map((name) => `test/functions/${name}.test.ts`), 'test/cli/runbooks.test.ts', 'test/cdk/deploy-executed.test.ts', 'test/cdk/nag.test.ts'];

/** It takes longer than any other: begun last, it would leave the other core idle. */
const FIRST = 'test/sim/seeds.test.ts';

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isFirst = ({ moduleId }: TestSpecification): number => Number(moduleId.endsWith(FIRST));
    return (await super.sort(files)).sort((one, other) => isFirst(other) - isFirst(one));
  }
}

/** A known bug, to see that a test catches it. */
const control = process.env[CONTROL_VARIABLE];

export default defineConfig({
  plugins: control === undefined ? [] : [sabotagePlugin(controlNamed(control))],
  test: {
    // What was loaded with a bug must not be found again without it, nor the other way round.
    fsModuleCache: control === undefined,
    // Two cores: more workers only fight over them. Tests that start processes say so with a longer timeout of their own.
    pool: 'forks',
    maxWorkers: 2,
    // Against what hangs. How long a test takes says more of the machine than of the test.
    testTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    // A process for each file took a seventh of the time: files share one, and with it the modules that were loaded.
    projects: [
      { extends: true, test: { name: 'shared', include: ['test/**/*.test.ts'], exclude: [...APART, ...LONG], isolate: false } },
      { extends: true, test: { name: 'apart', include: APART } },
      { extends: true, test: { name: 'long', include: LONG, isolate: false } },
    ],
  },
});
