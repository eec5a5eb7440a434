// One thread of a sweep: runs the seeds that it is sent.

import { registerHooks } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { controlNamed } from './controls.ts';
import { sabotage } from './sabotage.ts';

const { control } = workerData as { control: string | undefined };
const put = control === undefined ? undefined : sabotage(controlNamed(control));
if (put !== undefined) registerHooks(put.hooks);

// After the hooks: what it imports may be changed by them.
const { runSeed } = await import('./run.ts');
put?.assertDone();

parentPort?.on('message', (seed: number) => {
  runSeed(seed).then(
    (result) => parentPort?.postMessage(result),
    (error: unknown) => parentPort?.postMessage({ seed, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
