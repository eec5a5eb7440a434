// The code of each function as one file, made by esbuild: the same bytes for the same sources, so that a deployment
// without a change is one without a change.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { FUNCTIONS, type FunctionName } from '../src/adapters/aws/names.ts';

export type BundleName = FunctionName | 'edge';
export const BUNDLES: readonly BundleName[] = [...FUNCTIONS, 'edge'];

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const commons = (file: string): string => join(ROOT, 'functions/commons', file);

/** Messages of zod in forty languages, a quarter of a megabyte; our problems are written by us. */
const ENGLISH_ONLY: Plugin = {
  name: 'english-only',
  setup: (esbuild) => esbuild.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({ contents: 'export {};' })),
};

/** Writes `<folder>/<function>/index.mjs` for each of them and answers the folder. */
export async function bundle(folder: string, functions: readonly BundleName[] = BUNDLES): Promise<string> {
  await Promise.all(
    functions.map((name) =>
      build({
        absWorkingDir: ROOT,
        entryPoints: [`functions/${name}.ts`],
        outfile: join(folder, name, 'index.mjs'),
        bundle: true,
        minify: true,
        platform: 'node',
        target: 'node24',
        format: 'esm',
        mainFields: ['module', 'main'],
        legalComments: 'none',
        logLevel: 'error',
        plugins: [ENGLISH_ONLY],
        alias: { '@aws-sdk/credential-provider-node': commons('credentials.ts'), '@aws-sdk/endpoint-cache': commons('endpoint-cache.ts'), ...(name === 'edge' ? { '@hono/zod-openapi': commons('plain-hono.ts') } : {}) },
      }),
    ),
  );
  return folder;
}
