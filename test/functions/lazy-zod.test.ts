// Requests are checked in a bundle by less of zod (functions/commons/lazy-zod.ts), and what it says must be what zod says: the
// same schemas, held against the same bodies, near what is right and far from it.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leftOut } from '../../cdk/left-out.ts';
import * as whole from '../../src/http/schemas.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RUNS = 3_000;
const NAMES = ['collectionName', 'regionId', 'policySpec', 'policyPatch', 'batchRequest', 'reconcileRequest', 'keyRequest'] as const;
type Schemas = Readonly<Record<(typeof NAMES)[number], { safeParse(value: unknown): unknown }>>;

/** What request bodies are made of, at and beyond each edge. */
const TEXTS = ['', 'a', 'lww', 'siblings', 'all', 'get', 'put', 'demo', '_system', '.', '..', 'a b', 'a'.repeat(64), 'a'.repeat(65), 'p'.repeat(512), 'p'.repeat(513), '*', 'demo*', 'eu-central-1', 'EU', 'x'.repeat(40), '\ud800', 'read', 'write', 'admin', '2030-01-31T00:00:00Z', '2030-01-31T00:00:00+01:00', '2030-01-31T00:00:00', '2030-02-30T00:00:00Z', '2030-01-31', '__proto__'];
const NUMBERS = [0, -0, 1, 1.5, -1, 32, 33, 315_360_000, 315_360_001, 262_144, 262_145, 2 ** 53, 1e300, Number.NaN, Number.POSITIVE_INFINITY];
const FIELDS = ['conflict', 'regions', 'replicas', 'ttlSeconds', 'maxValueBytes', 'requireContext', 'operations', 'op', 'pk', 'sk', 'value', 'valueBase64', 'contentType', 'ifMatch', 'ifNoneMatch', 'context', 'peers', 'collection', 'deep', 'scopes', 'collections', 'prefixes', 'expires', 'other', 'toString'];

const leaf = fc.oneof(fc.constantFrom<unknown>(...TEXTS), fc.constantFrom<unknown>(...NUMBERS), fc.constantFrom<unknown>(true, false, null, undefined), fc.string());
const operation = fc.record({ op: fc.constantFrom<unknown>('get', 'put', 'delete', 'patch', 1), pk: leaf, sk: leaf, value: leaf, ttlSeconds: leaf, other: leaf }, { requiredKeys: ['op', 'pk'] });
const list = fc.oneof(fc.array(leaf, { maxLength: 4 }), fc.array(operation, { maxLength: 3 }), fc.constantFrom(101, 32, 33).chain((length) => fc.array(fc.constantFrom<unknown>('eu-central-1', 'demo'), { minLength: length, maxLength: length })), operation.map((one) => Array.from({ length: 101 }, () => one)));
const body = fc.oneof({ weight: 1, arbitrary: leaf }, { weight: 1, arbitrary: list }, { weight: 8, arbitrary: fc.dictionary(fc.constantFrom(...FIELDS), fc.oneof(leaf, list, fc.dictionary(fc.constantFrom(...FIELDS), leaf, { maxKeys: 3 })), { maxKeys: 6 }) });

const some = <T>(arbitrary: fc.Arbitrary<T>, maxLength = 3): fc.Arbitrary<T[]> => fc.array(arbitrary, { maxLength });
const regions = fc.constantFrom('eu-central-1', 'us-east-1', 'US');
const policy = fc.record({ conflict: fc.constantFrom('lww', 'siblings', 'all'), regions: fc.oneof(fc.constant('all'), some(regions)), replicas: fc.constantFrom<unknown>(1, 3, 32, 33, null), ttlSeconds: fc.constantFrom<unknown>(1, null), requireContext: fc.boolean() }, { requiredKeys: [] });

/** Often right. */
const NEAR: Readonly<Record<(typeof NAMES)[number], fc.Arbitrary<unknown>>> = {
  collectionName: fc.constantFrom(...TEXTS),
  regionId: fc.constantFrom(...TEXTS),
  policySpec: policy,
  policyPatch: policy,
  batchRequest: fc.record({ operations: some(fc.record({ op: fc.constantFrom('get', 'put', 'delete'), pk: fc.string(), value: leaf }, { requiredKeys: ['op', 'pk'] })) }),
  reconcileRequest: fc.record({ peers: some(regions), collection: fc.constantFrom(...TEXTS), deep: fc.boolean() }, { requiredKeys: [] }),
  keyRequest: fc.record({ scopes: some(fc.constantFrom('read', 'write', 'admin')), collections: some(fc.constantFrom('*', 'demo', 'a b')), prefixes: some(fc.constantFrom('a', '*', '\ud800')), expires: fc.constantFrom(...TEXTS.filter((text) => text.startsWith('2030'))) }, { requiredKeys: ['scopes'] }),
};

interface Parsed {
  readonly success: boolean;
  readonly data?: unknown;
  readonly error?: { readonly issues: readonly unknown[] };
}

function verdict(schema: { safeParse(value: unknown): unknown }, value: unknown): unknown {
  const { success, data, error } = schema.safeParse(value) as Parsed;
  return success ? { data } : { issues: error?.issues };
}

describe('requests are checked by less of zod', () => {
  let folder: string;
  let lazy: Schemas;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'archipel-schemas-'));
    const outfile = join(folder, 'schemas.mjs');
    await build({ absWorkingDir: ROOT, entryPoints: ['src/http/schemas.ts'], outfile, bundle: true, platform: 'node', format: 'esm', logLevel: 'error', plugins: [leftOut(['app'])], alias: { '@hono/zod-openapi': join(ROOT, 'functions/commons/lazy-zod.ts') } });
    lazy = createRequire(import.meta.url)(outfile) as Schemas;
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  for (const name of NAMES) {
    it(`${name}: the same verdicts, data and words`, () => {
      let right = 0;
      fc.assert(
        fc.property(fc.oneof(body, NEAR[name]), (value) => {
          const expected = verdict(whole[name], value);
          expect(verdict(lazy[name], value)).toStrictEqual(expected);
          if ('data' in (expected as object)) right++;
        }),
        { numRuns: RUNS },
      );
      expect(Math.min(right, RUNS - right)).toBeGreaterThan(100); // both kinds are met
    });
  }

  it('in a process that has no other zod, too', () => {
    const script = `import(process.argv[1]).then(({ policySpec }) => console.log(policySpec.safeParse({ replicas: 0, conflict: 'none' }).error.issues.map(({ message }) => message).join('; ')))`;
    const said = execFileSync(process.execPath, ['--eval', script, join(folder, 'schemas.mjs')], { encoding: 'utf8', env: {} }).trim();
    expect(said).toBe(whole.policySpec.safeParse({ replicas: 0, conflict: 'none' }).error?.issues.map(({ message }) => message).join('; '));
  });

  it('answers have none', () => {
    expect(() => (lazy as unknown as Readonly<Record<string, () => void>>)['collectionAnswer']?.()).toThrow('src/http/answers.ts is left out of this bundle');
  });
});
