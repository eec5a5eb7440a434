// One thread of a sweep: runs the seeds that it is sent.

import { registerHooks } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { controlNamed } from './controls.ts';
import { collectMarks, loadMarks } from './marks.ts';
import type { Outcome, SeedAnswer, SeedRequest } from './pool.ts';
import type { RareOption } from './rare.ts';
import type { RunOptions } from './run.ts';
import { sabotage } from './sabotage.ts';

const { control, rare } = workerData as { control: string | undefined; rare: readonly RareOption[] };
const put = control === undefined ? undefined : sabotage(controlNamed(control));
if (put !== undefined) registerHooks(put.hooks);
registerHooks({ load: loadMarks });
collectMarks();

// After the hooks: what it imports may be changed by them.
const { runSeed, scriptOf } = await import('./run.ts');
put?.assertDone();

async function answer({ seed, excerpt, isTraced = false }: SeedRequest): Promise<SeedAnswer> {
  const trace: string[] = [];
  const options: RunOptions = { excerpt, rare, ...(isTraced ? { trace: (line: string) => void trace.push(line), stacks: true } : {}) };
  const outcome = await runSeed(seed, options).catch((error: unknown): Outcome => ({ seed, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
  if (excerpt === undefined) return { outcome, trace };
  const { regions, faults, operations } = await scriptOf(seed, options);
  return { outcome, trace, sizes: { regions, faults: faults.length, clients: operations.map(({ client }) => client) } };
}

parentPort?.on('message', (request: SeedRequest) => void answer(request).then((answered) => parentPort?.postMessage(answered)));
