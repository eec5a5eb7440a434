// The code that is deployed: really bundled, weighed, and loaded.

import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientsAlone } from '../../bench/aws/clients-alone.ts';
import { bundle, BUNDLES, type BundleName } from '../../cdk/bundle.ts';
import { LEFT_OUT, leftOut } from '../../cdk/left-out.ts';

/** Kilobytes, minified: a cold start loads every one of them. */
const LIMITS: Readonly<Record<BundleName, number>> = { edge: 50, api: 495, peer: 495, 'fan-out': 380, apply: 380, forward: 380, reconcile: 380, heartbeat: 380 };

describe('bundles', () => {
  let folder: string;
  const file = (name: BundleName, where = folder): string => join(where, name, 'index.mjs');
  beforeAll(async () => {
    folder = await bundle(mkdtempSync(join(tmpdir(), 'archipel-bundles-')));
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  it('stay within their limits', () => {
    const rows = BUNDLES.map((name) => ({ name, kb: Math.ceil(statSync(file(name)).size / 1_000), gzipKb: Math.ceil(gzipSync(readFileSync(file(name))).length / 1_000) }));
    console.log(rows.map(({ name, kb, gzipKb }) => `${name} ${kb} KB (${gzipKb} KB zipped)`).join(', '));
    expect(rows.filter(({ name, kb }) => kb > LIMITS[name])).toEqual([]);
  });

  it('are small beside the clients of the SDK alone', async () => {
    const kb = (path: string): number => statSync(path).size / 1_000;
    const alone = await clientsAlone(folder);
    expect(kb(file('api'))).toBeLessThanOrEqual(1.25 * kb(alone.dynamo));
    for (const name of ['fan-out', 'apply', 'forward'] as const) expect(kb(file(name)), name).toBeLessThanOrEqual(1.1 * kb(alone.both));
  });

  it('name what they leave out, and are not made when it is there no more', async () => {
    const held = BUNDLES.map((name) => readFileSync(file(name), 'utf8')).join('');
    // What is not even linked in any more needs no line.
    expect(LEFT_OUT.map(({ module }) => module).filter((module) => !held.includes(`${module} is left out of this bundle`))).toEqual([]);
    const made = build({ stdin: { contents: 'export {}', resolveDir: folder }, write: false, logLevel: 'silent', plugins: [leftOut(['edge'])] });
    await expect(made).rejects.toThrow('leaves out src/http/json.ts, which is not there');
  });

  it('hold no SDK at the edge, and nowhere the chain of credential providers', () => {
    expect(readFileSync(file('edge'), 'utf8')).not.toMatch(/aws-sdk|smithy|@aws/i);
    for (const name of BUNDLES) expect(readFileSync(file(name), 'utf8'), name).not.toMatch(/sso-oidc|AssumeRoleWithWebIdentity/);
  });

  it('hold no key, and no secret', () => {
    for (const name of BUNDLES) expect(readFileSync(file(name), 'utf8').match(/\bak_[a-z0-9]+_[A-Za-z0-9_-]{20,}|-----BEGIN|AKIA[0-9A-Z]{16}/g), name).toBeNull();
  });

  it('load by themselves, and have a handler', () => {
    const script = `const loaded = await Promise.all(process.argv.slice(1).map((file) => import(file))); console.log(loaded.map(({ handler }) => typeof handler).join());`;
    const environment = { AWS_REGION: 'eu-central-1', AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_ENDPOINT_URL: 'http://127.0.0.1:9', PATH: '' };
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script, ...BUNDLES.map((name) => file(name))], { env: environment, encoding: 'utf8', cwd: folder });
    expect(output.trim()).toBe(BUNDLES.map(() => 'function').join());
  });

  it('are the same bytes for the same sources', async () => {
    const again = await bundle(join(folder, 'again'), ['apply', 'edge']);
    for (const name of ['apply', 'edge'] as const) expect(hash('sha256', readFileSync(file(name, again)))).toBe(hash('sha256', readFileSync(file(name))));
  });
});
