// Makes the templates of a deployment, offline and without credentials: runs the CDK app as the CDK's command line does,
// without that program.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './run.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Synth {
  /** `3`, or `eu-central-1,us-east-1`. */
  readonly regions: string;
  /** The folder of the templates. */
  readonly out: string;
}

/** Answers the names of the stacks. @throws Error with what the CDK said */
export async function synth({ regions, out }: Synth): Promise<readonly string[]> {
  const { context } = JSON.parse(readFileSync(join(root, 'cdk.json'), 'utf8')) as { context: object };
  await run(process.execPath, ['cdk/app.ts'], { CDK_OUTDIR: out, CDK_CONTEXT_JSON: JSON.stringify({ ...context, regions }) });
  const manifest = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as { artifacts: Readonly<Record<string, { readonly type: string }>> };
  return Object.entries(manifest.artifacts).flatMap(([id, { type }]) => (type === 'aws:cloudformation:stack' ? [id] : []));
}
