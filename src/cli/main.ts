// The command line program. It loads only what the command needs, from the compile cache where there is one: a region
// that was killed should answer again in tenths of a second.

import { enableCompileCache } from 'node:module';

enableCompileCache();
const { run } = await import('./program.ts');
await run(process.argv);
