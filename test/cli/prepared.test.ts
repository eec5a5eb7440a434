// The program that `npm ci` prepared is taken only while it was made of exactly the sources that are there.

import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const { isPrepared } = (await import(new URL('../../bin/prepared.js', import.meta.url).href)) as { readonly isPrepared: (root: string) => boolean };

describe('a prepared program', () => {
  let root: string;
  beforeEach(() => {
    root = `${mkdtempSync(join(tmpdir(), 'archipel-prepared-'))}/`;
    mkdirSync(join(root, 'dist/cli'), { recursive: true });
    mkdirSync(join(root, 'src'));
    writeFileSync(join(root, 'src/a.ts'), 'a');
    const { size, mtimeMs } = statSync(join(root, 'src/a.ts'));
    writeFileSync(join(root, 'dist/cli/inputs.json'), JSON.stringify([['src/a.ts', size, mtimeMs]]));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('is taken while its sources are as they were', () => expect(isPrepared(root)).toBe(true));

  it.each([
    ['changed', () => writeFileSync(join(root, 'src/a.ts'), 'ab')],
    ['newer', () => utimesSync(join(root, 'src/a.ts'), 2e9, 2e9)],
    ['older', () => utimesSync(join(root, 'src/a.ts'), 1e9, 1e9)],
    ['gone', () => rmSync(join(root, 'src/a.ts'))],
  ])('is not when one is %s', (_, change) => {
    change();
    expect(isPrepared(root)).toBe(false);
  });

  it('nor when it is not there, or does not say what it was made of', () => {
    writeFileSync(join(root, 'dist/cli/inputs.json'), '[[');
    expect(isPrepared(root)).toBe(false);
    rmSync(join(root, 'dist'), { recursive: true });
    expect(isPrepared(root)).toBe(false);
  });
});
