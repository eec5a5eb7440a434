// npm run start:aws -- [--regions N|id,id,…] [--port N] [--data DIR]
//
// The deployment on an emulated AWS, on this machine: the templates, bundles, streams and queues of a real one. Ctrl-C ends
// everything that it started; the emulator keeps nothing.

import { resolve } from 'node:path';
import { Command } from 'commander';
import { parseRegions, parseWhole } from '../../src/config/options.ts';
import { root } from '../lib/cluster.ts';
import { LocalAws } from './local-aws.ts';

interface Options {
  readonly regions: string;
  readonly port: string;
  readonly data: string;
}

const { regions, port, data } = new Command('start:aws')
  .option('--regions <list>', 'how many regions, or which', '3')
  .option('--port <number>', 'of the front; the regions and the emulator take the ports after it', '7500')
  .option('--data <folder>', 'where templates, logs and the admin key go', '.archipel-aws')
  .parse()
  .opts<Options>();

const interrupted = Promise.withResolvers<void>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.resolve());

try {
  const ids = parseRegions(regions);
  const first = parseWhole('--port', port, 1_024, 65_000);
  const say = (step: string, seconds: number): void => console.log(`${seconds.toFixed(1).padStart(6)} s  ${step}`);
  const started = LocalAws.start({ regions, port: first, emulatorPort: first + 1 + ids.length, folder: resolve(root, data), say });
  const aws = await Promise.race([started, interrupted.promise]);
  if (aws !== undefined) {
    console.log(`\nThe front, as CloudFront would be:  ${aws.url('edge')}`);
    for (const id of ids) console.log(`${id.padEnd(34)}  ${aws.url(id)}`);
    console.log(`The emulator's AWS, for your tools: ${aws.emulator.url}`);
    console.log(`\nnpx archipel put demo greeting hello --data ${data}\nnpx archipel get demo greeting --data ${data} --region ${ids.at(-1)}\n\nCtrl-C ends it. Nothing is kept.`);
    await interrupted.promise;
    await aws.stop();
  } else {
    // What was under way ends with this process: the emulator at the end of its pipe, the CDK by the same Ctrl-C.
    await Promise.race([started.then((late) => late.stop(), () => undefined), new Promise((done) => setTimeout(done, 1_000))]);
  }
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
