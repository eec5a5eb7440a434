// Every limit has a test at its edge where it is enforced; here is what holds between them, and that none is forgotten.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as limits from '../../src/core/limits.ts';

const root = join(import.meta.dirname, '../..');
const files = (folder: string): string[] => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts')).map((name) => join(root, folder, name));
const sources = (folder: string, except: string): string => files(folder).filter((name) => !name.endsWith(except)).map((name) => readFileSync(name, 'utf8')).join('\n');

/** What core itself enforces. The others belong to engine, http and adapters. */
const IN_CORE = [
  'PARTITIONS', 'COLLECTION_NAME_BYTES_MAX', 'PK_BYTES_MAX', 'SK_BYTES_MAX', 'ENCODED_KEY_BYTES_MAX', 'SIBLINGS_SOFT_MAX', 'SIBLINGS_HARD_MAX', 'OPERATIONS_MAX',
  'ACTORS_PER_RECORD_MAX', 'VECTOR_ACTORS_MAX', 'CLOCK_DRIFT_MS_MAX', 'BREAKER_FAILURES_IN_A_ROW', 'BREAKER_SILENCE_MS', 'BREAKER_WINDOW_MS', 'BREAKER_WINDOW_REQUESTS', 'BREAKER_HALF_OPEN_MS', 'BREAKER_HALF_OPEN_MS_MAX',
];

/** Defaults that a test replaces by something that it can wait for, and what the simulation and the contract suites meet. */
const IN_TESTS_SHORTER = ['TOMBSTONE_GRACE_MS', 'REGION_HORIZON_MS', 'REAP_TOMBSTONES_MAX', 'REAP_EVERY_MS', 'RECONCILE_EVERY_MS', 'MESSAGE_BYTES_MAX', 'LATE_QUESTIONS_MAX', 'CERTIFICATES_PER_PEER_MAX'];

describe('limits', () => {
  const core = sources('src/core', 'limits.ts');
  const tests = sources('test', 'limits.test.ts');
  const isIn = (text: string) => (name: string): boolean => new RegExp(`\\b${name}\\b`).test(text);

  it('those that core has to enforce, it does', () => {
    expect(IN_CORE.filter((name) => !isIn(core)(name))).toEqual([]);
  });

  it('all that core enforces are met by a test', () => {
    expect(Object.keys(limits).filter(isIn(core)).filter((name) => !isIn(tests)(name))).toEqual([]);
  });

  it('every one of them is enforced, and met by a test', () => {
    const enforced = isIn(sources('src', 'core/limits.ts'));
    const names = Object.keys(limits);
    expect(names.filter((name) => !enforced(name))).toEqual([]);
    expect(names.filter((name) => !isIn(tests)(name) && !IN_TESTS_SHORTER.includes(name))).toEqual([]);
  });

  it('are positive whole numbers', () => {
    for (const [name, value] of Object.entries(limits)) expect(Number.isSafeInteger(value) && value > 0, name).toBe(true);
  });

  it('fit each other and what carries them', () => {
    expect(limits.PARTITIONS).toBe(256);
    expect(4 + 8 + 1 + limits.COLLECTION_NAME_BYTES_MAX + 2 + limits.PK_BYTES_MAX + limits.SK_BYTES_MAX).toBeLessThanOrEqual(limits.ENCODED_KEY_BYTES_MAX);
    expect(limits.ENCODED_KEY_BYTES_MAX).toBeLessThan(1_024);
    expect(limits.SIBLINGS_SOFT_MAX).toBeLessThan(limits.SIBLINGS_HARD_MAX);
    // The soft cap counts twins once: with all that can be remembered the record still stays below the hard cap.
    expect(limits.SIBLINGS_SOFT_MAX + limits.OPERATIONS_MAX).toBeLessThan(limits.SIBLINGS_HARD_MAX);
    expect(limits.ACTORS_PER_RECORD_MAX).toBeLessThan(256);
    // The held values' own entries, a delete's and those of the operations may come on top.
    expect(limits.VECTOR_ACTORS_MAX + limits.SIBLINGS_HARD_MAX + 1 + limits.OPERATIONS_MAX).toBeLessThanOrEqual(limits.ACTORS_PER_RECORD_MAX);
    expect(limits.ITEM_BYTES_MAX).toBeGreaterThan(limits.ENCODED_KEY_BYTES_MAX);
    expect(limits.VALUE_BYTES_HARD_MAX + limits.ENCODED_KEY_BYTES_MAX).toBeLessThan(limits.MESSAGE_BYTES_MAX);
    expect(limits.SIBLINGS_HARD_MAX * limits.ITEM_BYTES_MAX).toBeLessThan(limits.MESSAGE_BYTES_MAX);
    expect(limits.MESSAGE_BYTES_PACKED).toBeLessThan(64 * 1_024);
    expect(limits.EDGE_ATTEMPT_MS * limits.EDGE_ATTEMPTS_MAX).toBeLessThanOrEqual(limits.REQUEST_DEADLINE_MS);
    expect(limits.BREAKER_HALF_OPEN_MS).toBeLessThan(limits.BREAKER_HALF_OPEN_MS_MAX);
    expect(limits.BREAKER_SILENCE_MS).toBeLessThan(limits.EDGE_ATTEMPT_MS);
    expect(limits.BREAKER_FAILURES_IN_A_ROW).toBeLessThan(limits.BREAKER_WINDOW_REQUESTS);
    expect(limits.PAGE_ITEMS_DEFAULT).toBeLessThanOrEqual(limits.PAGE_ITEMS_MAX);
    expect(limits.TOMBSTONE_GRACE_MS).toBeLessThan(limits.REGION_HORIZON_MS);
  });
});
