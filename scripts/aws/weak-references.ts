// The emulator knows `Fn::GetStackOutput` but looks for the stack in the asking stack's own region. So what the edge
// stack asks of the region stacks is read from them here, and written into its template before it is deployed. The name of
// a template where assets are uploaded is the hash of what it says, in three places.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Reference {
  readonly StackName: string;
  readonly OutputName: string;
  readonly Region: string;
}

export type OutputOf = (reference: Reference) => Promise<string>;

export async function resolveWeakReferences(out: string, stack: string, outputOf: OutputOf): Promise<void> {
  const path = join(out, `${stack}.template.json`);
  const before = readFileSync(path, 'utf8');
  const after = JSON.stringify(await resolved(JSON.parse(before), outputOf), undefined, 1);
  writeFileSync(path, after);
  const assets = join(out, `${stack}.assets.json`);
  const old = templateHash(JSON.parse(readFileSync(assets, 'utf8')) as Assets, `${stack}.template.json`);
  const now = createHash('sha256').update(after).digest('hex');
  for (const file of [assets, join(out, 'manifest.json')]) writeFileSync(file, readFileSync(file, 'utf8').replaceAll(old, now));
}

async function resolved(node: unknown, outputOf: OutputOf): Promise<unknown> {
  if (Array.isArray(node)) return Promise.all(node.map((each) => resolved(each, outputOf)));
  if (typeof node !== 'object' || node === null) return node;
  if ('Fn::GetStackOutput' in node) return outputOf(node['Fn::GetStackOutput'] as Reference);
  return Object.fromEntries(await Promise.all(Object.entries(node).map(async ([name, value]) => [name, await resolved(value, outputOf)] as const)));
}

interface Assets {
  readonly files: Readonly<Record<string, { readonly source: { readonly path: string } }>>;
}

function templateHash({ files }: Assets, path: string): string {
  const found = Object.entries(files).find(([, { source }]) => source.path === path);
  if (found === undefined) throw new Error(`The assembly has no ${path}.`);
  return found[0];
}
