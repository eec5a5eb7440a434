// Has scripts/prepare.js made few files of exactly the sources that are there? What is the least different is older, or newer.

import { readFileSync, statSync } from 'node:fs';

export function isPrepared(root) {
  try {
    const inputs = JSON.parse(readFileSync(`${root}dist/cli/inputs.json`, 'utf8'));
    return inputs.every(([path, size, mtimeMs]) => {
      const found = statSync(root + path);
      return found.size === size && found.mtimeMs === mtimeMs;
    });
  } catch {
    return false;
  }
}
