// The code of each function as one file, made by esbuild: the same bytes for the same sources, so that a deployment
// without a change is one without a change. `api` and `peer` have the OpenAPI document beside it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import { build, type Plugin } from 'esbuild';
import { FUNCTIONS, OPENAPI_FILE, type FunctionName } from '../src/adapters/aws/names.ts';
import { leftOut, problemsNamedIn, type Holder } from './left-out.ts';
import { openapiDocument } from './openapi.ts';

export type BundleName = FunctionName | 'edge';
export const BUNDLES: readonly BundleName[] = [...FUNCTIONS, 'edge'];

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const commons = (file: string): string => join(ROOT, 'functions/commons', file);

/** These run the app of a region. */
const hasApp = (name: BundleName): boolean => name === 'api' || name === 'peer';

const holds = (name: BundleName): readonly Holder[] => (name === 'edge' ? ['edge', 'hono'] : hasApp(name) ? ['sdk', 'hono', 'app'] : ['sdk', 'sqs']);

/** What stands in the place of packages. */
const standIns = (name: BundleName): Readonly<Record<string, string>> => ({
  '@aws-sdk/credential-provider-node': commons('credentials.ts'),
  '@aws-sdk/endpoint-cache': commons('endpoint-cache.ts'),
  '@hono/zod-openapi': commons(name === 'edge' ? 'plain-hono.ts' : 'undescribed-hono.ts'),
  ...(hasApp(name) ? { '@aws-sdk/client-sqs': commons('plain-sqs.ts') } : {}),
});

async function codeOf(name: BundleName, ...more: readonly Plugin[]): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [`functions/${name}.ts`],
    write: false,
    bundle: true,
    minify: true,
    charset: 'utf8',
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'],
    legalComments: 'none',
    logLevel: 'error',
    plugins: [leftOut(holds(name)), ...more],
    alias: standIns(name),
  });
  return outputFiles.map(({ text }) => text).join('');
}

/** Writes `<folder>/<function>/index.mjs` for each of them and answers the folder. */
export async function bundle(folder: string, functions: readonly BundleName[] = BUNDLES): Promise<string> {
  const document = functions.some(hasApp) ? deflateRawSync(await openapiDocument()) : undefined;
  await Promise.all(
    functions.map(async (name) => {
      // The edge throws a third of what a region does: the rest of the registry is left out.
      const code = name === 'edge' ? await codeOf(name, problemsNamedIn(await codeOf(name, problemsNamedIn('')))) : await codeOf(name);
      mkdirSync(join(folder, name), { recursive: true });
      writeFileSync(join(folder, name, 'index.mjs'), code);
      if (document !== undefined && hasApp(name)) writeFileSync(join(folder, name, OPENAPI_FILE), document);
    }),
  );
  return folder;
}
