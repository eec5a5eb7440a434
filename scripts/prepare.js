// The end of `npm ci`: the command line program in a few files instead of three hundred, which halves the time that each of
// its processes takes to start. A help, never a need: bin/archipel.js takes it only while it was made of exactly the sources
// that are there, and the sources themselves otherwise. Without esbuild (`--omit=dev`) there is none.

import { statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = 'dist/cli'; // two levels deep, like the sources that find their neighbours from where they are

/** Messages of zod in forty languages; our problems are written by us. */
const englishOnly = { name: 'english-only', setup: (esbuild) => esbuild.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({ contents: 'export {};' })) };

try {
  const { build } = await import('esbuild');
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { main: 'src/cli/main.ts' },
    outdir: folder,
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node22',
    format: 'esm',
    mainFields: ['module', 'main'],
    legalComments: 'none',
    logLevel: 'error',
    metafile: true,
    // A native addon finds itself by where it lies; a library that is put into a page is read as text.
    external: ['classic-level', 'uplot'],
    plugins: [englishOnly],
    banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);" },
  });
  // Packages change with the lock file alone.
  const sources = [...Object.keys(metafile.inputs).filter((path) => !path.startsWith('node_modules/')), 'package-lock.json'];
  const inputs = sources.map((path) => {
    const { size, mtimeMs } = statSync(root + path);
    return [path, size, mtimeMs];
  });
  writeFileSync(`${root}${folder}/inputs.json`, JSON.stringify(inputs));
} catch (error) {
  console.error(`The command line program was not prepared (${error instanceof Error ? error.message.split('\n')[0] : error}): it starts from its sources.`);
}
