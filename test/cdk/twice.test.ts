// The same sources make the same deployment, to the byte: a deploy without a change changes nothing.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { synth } from '../../scripts/lib/synth.ts';

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'archipel-twice-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const filesOf = (out: string): string[] => readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(out, name)).isFile()).sort();

it('npm run synth, twice: every template, every bundle, every list of assets is the same', async () => {
  const [first, second] = [join(folder, 'first'), join(folder, 'second')] as const;
  const stacks = await synth({ regions: '3' }, first);
  expect(await synth({ regions: '3' }, second)).toEqual(stacks);
  const files = filesOf(first);
  expect(files.filter((name) => name.endsWith('.template.json'))).toHaveLength(4);
  expect(files.filter((name) => name.endsWith('index.mjs'))).toHaveLength(8);
  expect(filesOf(second)).toEqual(files);
  expect(files.filter((name) => !readFileSync(join(first, name)).equals(readFileSync(join(second, name))))).toEqual([]);
}, 120_000);
