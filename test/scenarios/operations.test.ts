// Retries: the same operation at the same region, at another that has heard of it, and at one that has not.

import { describe, expect, it } from 'vitest';
import { SIBLINGS_HARD_MAX, SIBLINGS_SOFT_MAX } from '../../src/core/limits.ts';
import { tagOf } from '../../src/core/version/tag.ts';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { STAMP_ZERO } from '../../src/core/version/stamp.ts';
import { decideWrite } from '../../src/core/version/write.ts';
import { lossRows } from '../../src/engine/ledger.ts';
import type { LossRow } from '../../src/ports/table.ts';
import { AP, archipelago, EU, operation, US, valueOf, type Archipelago, type Site } from './archipelago.ts';

const isolated = (regions: Archipelago): void => {
  for (const a of regions.ids) for (const b of regions.ids) if (a < b) regions.network.cut(a, b);
};

const type = async (result: ReturnType<Site['put']>): Promise<string> => {
  const { decision } = await result;
  return decision.type === 'refused' ? decision.code : decision.type;
};

async function heal(regions: Archipelago): Promise<void> {
  regions.network.heal();
  await regions.converge();
  await regions.expectEqual();
}

describe('a retry', () => {
  it('at the same region -> duplicate, before and after another write; also where its precondition no longer holds', async () => {
    const regions = await archipelago();
    const eu = regions.at(EU);
    const x = operation('x');
    await eu.put('demo', 'k', 'X', { operation: x });
    expect(await type(eu.put('demo', 'k', 'X', { operation: x }))).toBe('duplicate');
    await eu.put('demo', 'k', 'Y');
    expect(await type(eu.put('demo', 'k', 'X', { operation: x, ifMatch: ['long gone'] }))).toBe('duplicate');
    expect(await eu.get('demo', 'k')).toEqual(['Y']);
  });

  it('at a region that has heard of it -> duplicate there too', async () => {
    const regions = await archipelago();
    const x = operation('x');
    await regions.at(EU).put('demo', 'k', 'X', { operation: x });
    await regions.converge();
    expect(await type(regions.at(US).put('demo', 'k', 'X', { operation: x }))).toBe('duplicate');
    await regions.expectEqual();
  });

  it('at a region that has not heard of it nor of what superseded it -> stored there; healed, what superseded it stands', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    const x = operation('x');
    isolated(regions);
    await eu.put('demo', 'k', 'X', { operation: x });
    await regions.advance(10);
    await eu.put('demo', 'k', 'Y', { operation: operation('y') });
    await regions.advance(10);
    expect(await type(us.put('demo', 'k', 'X', { operation: x }))).toBe('commit');
    await heal(regions);
    for (const site of regions.sites) expect(await site.get('demo', 'k')).toEqual(['Y']);
  });

  it('the same, and a third region wrote Z meanwhile -> Y or Z, the same everywhere, never X', async () => {
    const regions = await archipelago();
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    const x = operation('x');
    isolated(regions);
    await eu.put('demo', 'k', 'X', { operation: x });
    await eu.put('demo', 'k', 'Y', { operation: operation('y') });
    await regions.advance(10);
    await ap.put('demo', 'k', 'Z', { operation: operation('z') });
    await regions.advance(10);
    await us.put('demo', 'k', 'X', { operation: x });
    await heal(regions);
    expect(['Y', 'Z']).toContain((await us.get('demo', 'k'))[0]);
  });

  it('siblings: executed in two regions -> one value, one tag, and a context that covers one covers both', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    const x = operation('x');
    isolated(regions);
    await eu.put('carts', 'k', 'X', { operation: x });
    const read = (await eu.state('carts', 'k'))?.context ?? new Map();
    await us.put('carts', 'k', 'X', { operation: x });
    await heal(regions);
    const state = await us.state('carts', 'k');
    expect(state?.values).toHaveLength(2);
    expect(await us.get('carts', 'k')).toEqual(['X']);
    expect(tagOf(state as NonNullable<typeof state>, 0, sha256)).not.toMatch(/^2-/);
    await us.put('carts', 'k', 'Y', { context: read });
    expect(await us.get('carts', 'k')).toEqual(['Y']);
    await heal(regions);
  });

  it('with another payload -> refused as reused', async () => {
    const regions = await archipelago();
    const eu = regions.at(EU);
    await eu.put('demo', 'k', 'X', { operation: { ...operation('x'), payload: '0000000000000001' } });
    expect(await type(eu.put('demo', 'k', 'other', { operation: { ...operation('x'), payload: '0000000000000002' } }))).toBe('idempotency-key-reused');
  });

  it('after nine later writes: an id with a time is told apart, in lww by a row of the ledger, in siblings by a refusal', async () => {
    const regions = await archipelago();
    const eu = regions.at(EU);
    const x = operation('x', regions.clock.wallMs());
    for (const collection of ['demo', 'carts']) {
      await eu.put(collection, 'k', 'X', { operation: x });
      for (let i = 0; i < 9; i++) {
        await regions.advance(10);
        await eu.put(collection, 'k', `v${i}`, { operation: operation(`${i}`, regions.clock.wallMs()), context: (await eu.state(collection, 'k'))?.context ?? new Map() });
      }
    }
    expect(await type(eu.put('demo', 'k', 'X', { operation: x }))).toBe('superseded');
    expect(await type(eu.put('carts', 'k', 'X', { operation: x }))).toBe('operation-expired');
    expect([await eu.get('demo', 'k'), await eu.get('carts', 'k')]).toEqual([['v8'], ['v8']]);
    expect(await eu.ledger('demo')).toEqual(['X late-operation']);
    await regions.converge();
    await regions.expectEqual();
  });

  it('two late operations that are decided on one state at once -> a row each, although nothing gives each a dot of its own', async () => {
    const regions = await archipelago();
    const eu = regions.at(EU);
    for (let i = 0; i <= 9; i++) {
      await eu.put('demo', 'k', `v${i}`, { operation: operation(`${i}`, regions.clock.wallMs()) });
      await regions.advance(1);
    }
    const [state, key] = [await eu.state('demo', 'k'), eu.key('demo', 'k')];
    // Both stamps were issued before a write of a peer, whose clock is a little ahead, raised the record above them.
    const setting = { conflict: 'lww', requireContext: false, actor: eu.region.actor, stamp: STAMP_ZERO, reapedLine: STAMP_ZERO, nowMs: regions.clock.wallMs(), hash: sha256 } as const;
    const late = (text: string): LossRow[] => {
      const decision = decideWrite(state, { value: valueOf(text), operation: operation(text, 1) }, setting);
      return decision.type === 'superseded' ? lossRows(key, decision.losses, { region: EU, atMs: 0, hash: sha256, kind: 'local' }) : [];
    };
    for (const losses of [late('X'), late('Y'), late('X')]) await eu.table.update(key, { decide: () => ({ result: undefined, losses }) });
    expect(await eu.ledger('demo')).toEqual(['X late-operation', 'Y late-operation']);
  });

  it('a late operation, then killed, the clock a little back -> its dot is not issued again', async () => {
    const regions = await archipelago({ regions: [EU] });
    const eu = regions.at(EU);
    for (let i = 0; i <= 9; i++) {
      await eu.put('demo', 'k', `v${i}`, { operation: operation(`${i}`, regions.clock.wallMs()) });
      await regions.advance(10);
    }
    await regions.advance(1_000);
    await eu.put('demo', 'k', 'v0', { operation: operation('0', regions.clock.wallMs() - 1_100) });
    const [row] = await eu.losses('demo');
    expect(row?.rule).toBe('late-operation');
    await eu.crash();
    eu.wallOffsetMs = -500;
    await eu.start();
    const { decision } = await eu.put('demo', 'other', 'w');
    expect(decision.type === 'commit' && decision.dot.stamp > (row?.dot.stamp ?? 0n)).toBe(true);
  });
});

describe('many siblings', () => {
  it('a PUT that would add one over the soft cap is refused; replication goes to the hard cap, and ledgers the rest the same everywhere', async () => {
    const regions = await archipelago();
    isolated(regions);
    for (const site of regions.sites) {
      for (let i = 0; i < SIBLINGS_SOFT_MAX; i++) await site.put('carts', 'k', `${site.id} ${i}`);
      expect(await type(site.put('carts', 'k', 'one more'))).toBe('too-many-siblings');
    }
    await heal(regions);
    const rows = new Set((await Promise.all(regions.sites.map((site) => site.losses('carts')))).flat().map(({ id, rule }) => `${id} ${rule}`));
    const held = await regions.at(EU).get('carts', 'k');
    expect(held.length).toBeLessThanOrEqual(SIBLINGS_HARD_MAX);
    expect(held.length + rows.size).toBe(3 * SIBLINGS_SOFT_MAX);
    expect([...rows].every((row) => row.endsWith('sibling-cap'))).toBe(true);
  });
});
