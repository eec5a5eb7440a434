// The yardstick of P13: clients of the SDK as whoever uses them bundles them, with all of their operations, and the chain of
// credential providers that is theirs by default.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Alone {
  readonly dynamo: string;
  readonly both: string;
}

/** Writes the two bundles into the folder and answers where they are. */
export async function clientsAlone(folder: string): Promise<Alone> {
  return { dynamo: await alone(join(folder, 'dynamo.mjs'), ['@aws-sdk/client-dynamodb']), both: await alone(join(folder, 'both.mjs'), ['@aws-sdk/client-dynamodb', '@aws-sdk/client-sqs']) };
}

async function alone(outfile: string, packages: readonly string[]): Promise<string> {
  const contents = packages.map((each, at) => `export * as client${at} from '${each}';`).join('\n');
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  await build({ stdin: { contents, resolveDir: ROOT }, outfile, bundle: true, minify: true, charset: 'utf8', platform: 'node', target: 'node24', format: 'esm', mainFields: ['module', 'main'], legalComments: 'none', logLevel: 'error', banner });
  return outfile;
}
