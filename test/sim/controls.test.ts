// Known bugs (src/testing/controls.ts): each can still be put in, and has a catcher. That each is caught is shown by `.ci/run`, with
// the seed or the test that is known to catch it, and by `npm run sim -- --controls`, from fresh seeds.

import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CRASH_CONTROLS } from '../../scripts/lib/crash/controls.ts';
import { CONTROLS } from '../../src/testing/controls.ts';

it('each edit of a known bug finds its text exactly once', () => {
  const all = [...CONTROLS, ...CRASH_CONTROLS.map(({ name, edit }) => ({ name, edits: [edit] }))];
  const stale = all.flatMap(({ name, edits }) =>
    edits.filter(({ file, find, replace }) => readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8').split(find).length !== 2 || replace === find).map(({ file, find }) => `${name}: ${file}: ${find}`),
  );
  expect(stale).toEqual([]);
  expect(new Set(CONTROLS.map(({ name }) => name)).size).toBe(CONTROLS.length);
});

it('each known bug has a catcher: a seed that is known to catch it, or a test', () => {
  expect(CONTROLS.filter(({ seed, test }) => (seed === undefined) === (test === undefined)).map(({ name }) => name)).toEqual([]);
  expect(CONTROLS.filter(({ test }) => test !== undefined && !existsSync(new URL(`../../${test.file}`, import.meta.url))).map(({ name }) => name)).toEqual([]);
});
