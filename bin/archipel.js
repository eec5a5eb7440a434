#!/usr/bin/env node
// Starts the command line under a Node that can run TypeScript: the one that is running when it is new enough,
// else the one that npm installed beside us (optionalDependencies). Plain old JavaScript, because an old Node reads it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { fileURLToPath } from 'node:url';
import { isPrepared } from './prepared.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = isPrepared(root) ? `${root}dist/cli/main.js` : `${root}src/cli/main.ts`;
const [major, minor] = process.versions.node.split('.').map(Number);

if (major > 22 || (major === 22 && minor >= 18)) {
  // Before the first TypeScript is loaded: with all of it in the cache, what strips types is not even started.
  nodeModule.enableCompileCache();
  await import(main);
} else {
  const bundled = ['x64', 'arm64'].map((cpu) => `${root}node_modules/node-linux-${cpu}/bin/node`).find((path) => existsSync(path));
  if (bundled === undefined) {
    console.error(`archipel needs Node 22.18 or newer; this is ${process.versions.node}. Run it through npm (npx archipel), or install a newer Node.`);
    process.exit(1);
  }
  const child = spawn(bundled, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 128 + 15));
}
