// Known bugs (src/testing/controls.ts): each can still be put in. That each is caught is shown by `.ci/run`, with the seed that
// is known to catch it, and by `npm run sim -- --controls`, from fresh ones.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CONTROLS } from '../../src/testing/controls.ts';

it('each edit of a known bug finds its text exactly once', () => {
  const stale = CONTROLS.flatMap(({ name, edits }) =>
    edits.filter(({ file, find, replace }) => readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8').split(find).length !== 2 || replace === find).map(({ file, find }) => `${name}: ${file}: ${find}`),
  );
  expect(stale).toEqual([]);
  expect(new Set(CONTROLS.map(({ name }) => name)).size).toBe(CONTROLS.length);
});
