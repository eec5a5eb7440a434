// What a context brings along to a region that has not heard of the write it was read with: the operations of what it covers.

import { describe, expect, it } from 'vitest';
import { ContextTokens } from '../../src/auth/context-tokens.ts';
import { deriveKey, hmacSha256 } from '../../src/adapters/node/crypto.ts';
import { CONTEXT_TOKEN_BYTES_MAX, OPERATIONS_MAX, VECTOR_ACTORS_MAX } from '../../src/core/limits.ts';
import { asRegionId, makeActor } from '../../src/core/version/dot.ts';
import { coveredOperations } from '../../src/core/version/operations.ts';
import { EMPTY_STATE, type State } from '../../src/core/version/record.ts';
import { A, B, dot } from '../contract/make.ts';
import { operation } from '../scenarios/archipelago.ts';
import { AP, EU, SECRET, startThree, US, type TestCluster } from './harness.ts';

const X = { 'idempotency-key': 'operation-x' };

function apart(cluster: TestCluster): void {
  for (const [one, other] of [[AP, EU], [AP, US], [EU, US]] as const) cluster.cut(one, other);
}

const contextOf = async (cluster: TestCluster, path: string): Promise<Record<string, string>> => ({ 'causal-context': (await cluster.at(EU).get(path)).field('causal-context') as string });

describe('a region that knows a write only from a client that had read it elsewhere', () => {
  it.each(['demo', 'carts'])('%s: a retry of that write comes -> told as a duplicate, and what was written over it stands', async (collection) => {
    const cluster = await startThree();
    const [eu, us] = [cluster.at(EU), cluster.at(US)];
    const path = `/v1/c/${collection}/items/k`;
    apart(cluster);
    await eu.put(path, 'X', X);
    const seen = await contextOf(cluster, path);
    await us.put(path, 'Y', seen);
    expect((await us.put(path, 'X', X)).field('write-outcome')).toBe('duplicate');
    expect((await us.get(path)).text).toBe('Y');
    cluster.heal();
    await cluster.converge();
    for (const { id } of cluster.regions) expect((await cluster.at(id).get(path)).text).toBe('Y');
  });

  it.each(['demo', 'carts'])('%s: the retry was done in a third region, and arrives before the first execution does -> what was written over it stands everywhere', async (collection) => {
    const cluster = await startThree();
    const [ap, us] = [cluster.at(AP), cluster.at(US)];
    const path = `/v1/c/${collection}/items/k`;
    apart(cluster);
    await cluster.at(EU).put(path, 'X', X);
    const seen = await contextOf(cluster, path);
    await us.put(path, 'Y', seen);
    await cluster.clock.advance(10);
    expect((await ap.put(path, 'X', X)).field('write-outcome')).toBe('stored');
    cluster.heal();
    cluster.cut(EU, AP);
    cluster.cut(EU, US);
    await cluster.converge();
    for (const region of [ap, us]) expect((await region.get(path)).text).toBe('Y');
    cluster.heal();
    await cluster.converge(40_000);
    for (const { id } of cluster.regions) expect((await cluster.at(id).get(path)).text).toBe('Y');
  });

  it('more writes than are remembered lie between -> the retry is told apart by the time in its id', async () => {
    const cluster = await startThree();
    const path = '/v1/c/demo/items/k';
    const [eu, us] = [cluster.at(EU), cluster.at(US)];
    const id = (name: number): string => `${(cluster.clock.wallMs()).toString(16).padStart(12, '0').replace(/^(.{8})(.{4})$/, '$1-$2')}-7000-8000-00000000000${name.toString(16)}`;
    apart(cluster);
    const first = id(0);
    await eu.put(path, 'v0', { 'idempotency-key': first });
    for (let at = 1; at <= 9; at++) {
      await cluster.clock.advance(10);
      await eu.put(path, `v${at}`, { 'idempotency-key': id(at) });
    }
    await us.put(path, 'Y', await contextOf(cluster, path));
    expect((await us.put(path, 'v0', { 'idempotency-key': first })).field('write-outcome')).toBe('superseded');
    expect((await us.get(path)).text).toBe('Y');
  });
});

describe('the token of a context', () => {
  const tokens = new ContextTokens([hmacSha256(deriveKey(SECRET, 'context'))]);
  const key = { group: 1, collection: 'demo', pk: new Uint8Array([1]), sk: new Uint8Array(0), encoded: new Uint8Array([1, 2, 3]) } as unknown as Parameters<ContextTokens['mint']>[0];
  const seenBy = (state: Pick<State, 'context' | 'operations'>) => tokens.read(key, tokens.mint(key, state));

  it('brings the operations that the context covers, and what was evicted, and no others', () => {
    const context = new Map([[A, dot(A, 5).stamp], [B, dot(B, 3).stamp]]);
    const entry = (name: string, at: ReturnType<typeof dot>) => ({ id: operation(name).id, dot: at });
    const operations = { entries: [entry('loser', dot(B, 9)), entry('x', dot(A, 5)), entry('x', dot(B, 3)), entry('y', dot(A, 2))], evicted: dot(A, 1).stamp };
    const seen = seenBy({ context, operations });
    expect(seen.context).toEqual(context);
    expect(seen.seen).toEqual({ ...operations, entries: operations.entries.slice(1) });
    expect(seen.seen).toEqual(coveredOperations(operations, context));
  });

  it('of an item that hundreds of incarnations wrote is taken back, and what is longer than any is not looked at', () => {
    const actors = Array.from({ length: VECTOR_ACTORS_MAX }, (_, at) => makeActor(asRegionId('a'.repeat(26)), at.toString(36).padStart(9, 'k')));
    const context = new Map(actors.map((actor, at) => [actor, dot(actor, 1_000 + at).stamp]));
    const operations = { entries: actors.slice(-OPERATIONS_MAX).map((actor, at) => ({ id: operation(`op${at}`).id, dot: dot(actor, 1_000) })), evicted: dot(A, 1).stamp };
    const token = tokens.mint(key, { context, operations });
    expect(token.length).toBeGreaterThan(CONTEXT_TOKEN_BYTES_MAX - 100);
    expect(tokens.read(key, token)).toEqual({ context, seen: coveredOperations(operations, context) });
    expect(() => tokens.read(key, 'A'.repeat(CONTEXT_TOKEN_BYTES_MAX + 1))).toThrow('not a context');
  });

  it('without any it is as short as it was before', () => {
    const context = new Map([[A, dot(A, 5).stamp]]);
    const bare = tokens.mint(key, { ...EMPTY_STATE, context });
    expect(seenBy({ ...EMPTY_STATE, context })).toEqual({ context, seen: EMPTY_STATE.operations });
    expect(bare.startsWith('AQ')).toBe(true);
  });
});
