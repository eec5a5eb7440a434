// Making a deployment needs nobody, and the same sources make the same one, to the byte: a deploy without a change changes nothing.
// `npm run synth`, for 1, 2, 3 and 5 regions, twice each: without credentials, without a network, in at most 30 s. The order of
// regions behind the first, which is control, means nothing, and changes no byte.

import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BUNDLES } from '../../cdk/bundle.ts';
import { parseRegions } from '../../src/config/options.ts';
import { differing, filesOf } from '../lib/assemblies.ts';
import { Report } from '../lib/report.ts';
import { run, type Environment } from '../lib/run.ts';

const COUNTS = [1, 2, 3, 5];
const SECONDS_MAX = 30;

const folder = mkdtempSync(join(tmpdir(), 'archipel-synth-'));
const report = new Report('synth: offline, without credentials, twice the same bytes');

/** No variable of AWS, no file in the home folder, no network. */
const home = join(folder, 'home');
const alone: Environment = {
  ...Object.fromEntries(Object.keys(process.env).flatMap((name) => (name.startsWith('AWS_') || name.startsWith('CDK_') ? [[name, undefined]] : []))),
  HOME: home,
  NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, '../lib/offline.ts')).href}`,
};

/** Whoever is there is not reached: else the rest would show nothing. */
async function seesNobody(): Promise<boolean> {
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const asked = `require('node:net').connect(${(server.address() as AddressInfo).port}, '127.0.0.1').on('connect', () => process.exit(0))`;
  const reaches = (environment: Environment): Promise<boolean> => run(process.execPath, ['--eval', asked], environment).then(() => true, () => false);
  try {
    return (await reaches({})) && !(await reaches(alone));
  } finally {
    server.close();
  }
}

let made = 0;

/** Answers where it is. */
async function synthesised(regions: string): Promise<string> {
  const out = join(folder, String(++made));
  const startedMs = performance.now();
  await run(process.execPath, [join(import.meta.dirname, '../synth.ts'), '--regions', regions, '--out', out], alone);
  const seconds = (performance.now() - startedMs) / 1_000;
  report.check(`${regions} in at most ${SECONDS_MAX} s`, seconds <= SECONDS_MAX, `${seconds.toFixed(1)} s`);
  return out;
}

function same(what: string, one: string, other: string): void {
  const found = differing(one, other);
  const files = filesOf(one);
  const bytes = files.reduce((sum, name) => sum + statSync(join(one, name)).size, 0);
  report.check(`${what}: the same bytes`, found.length === 0, found.length === 0 ? `${files.length} files, ${(bytes / 1e6).toFixed(1)} MB` : found.join(', '));
}

try {
  mkdirSync(home);
  report.check('a server on this machine is reached, and from where the templates are made it is not', await seesNobody());
  const kept = new Map<number, string>();
  for (const count of COUNTS) {
    const first = await synthesised(String(count));
    kept.set(count, first);
    const files = filesOf(first);
    const [templates, bundles] = ['.template.json', 'index.mjs'].map((ending) => files.filter((name) => name.endsWith(ending)).length);
    report.check(`${count}: a template per region and one for the edge, ${BUNDLES.length} bundles`, templates === count + 1 && bundles === BUNDLES.length, `${templates} and ${bundles}`);
    same(`${count}, twice`, first, await synthesised(String(count)));
  }
  const [control, ...others] = parseRegions('3');
  const turned = [control, ...others.reverse()].join(',');
  same(`3, as ${turned}`, kept.get(3) as string, await synthesised(turned));
} finally {
  rmSync(folder, { recursive: true });
}
report.end();
