// What the CDK app has written: templates, bundles, lists of assets.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export const filesOf = (out: string): string[] => readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(out, name)).isFile()).sort();

/** Files that one of the two has alone, or that are not the same bytes in both. */
export function differing(one: string, other: string): string[] {
  const [ones, others] = [filesOf(one), filesOf(other)];
  const both = ones.filter((name) => others.includes(name));
  const alone = [...ones, ...others].filter((name) => !both.includes(name));
  return [...alone, ...both.filter((name) => !readFileSync(join(one, name)).equals(readFileSync(join(other, name))))].sort();
}
