// A region gives a partition up: by a newer topology document another one holds it. What becomes of the copy that is left.

import { afterEach, describe, expect, it } from 'vitest';
import { partitionOf } from '../../src/core/keys/item-key.ts';
import type { Topology } from '../../src/core/placement/topology.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import { AP, archipelago, EU, US, type Archipelago, type Site } from './archipelago.ts';

const SA = asRegionId('sa-east-1');
const GRACE_MS = 1_000;

const cleanUp: Archipelago[] = [];
afterEach(async () => {
  for (const regions of cleanUp.splice(0)) await regions.end();
});

interface Moved {
  readonly regions: Archipelago;
  readonly document: Topology;
  /** An item that EU holds under the first document, and not under the second. */
  readonly pk: string;
  /** Who holds it under both. */
  readonly other: Site;
}

/** Three regions with two replicas of each partition, and a fourth that is about to come to hold some. */
async function start(): Promise<Moved> {
  const regions = await archipelago({ regions: [AP, EU, US, SA], later: [SA], graceMs: GRACE_MS });
  cleanUp.push(regions);
  await regions.collection('two', { conflict: 'siblings', replicas: 2 });
  const document = regions.topology({ [SA]: 'active' }, { epoch: 2 });
  const { catalog } = regions.at(EU).region;
  for (let at = 0; at < 10_000; at++) {
    const key = regions.at(EU).key('two', `k${at}`);
    const [before, after] = [catalog.holdersOf(key) ?? [], catalog.mapUnder(document, key.group)[partitionOf(key.encoded)] ?? []];
    const other = before.find((id) => id !== EU);
    if (before.includes(EU) && !after.includes(EU) && other !== undefined && after.includes(other)) return { regions, document, pk: `k${at}`, other: regions.at(other) };
  }
  throw new Error('Nothing moves away from EU.');
}

async function join({ regions, document }: Moved): Promise<void> {
  const sa = regions.at(SA);
  for (const id of [AP, EU, US]) await regions.drive(regions.at(id).region.topology.offer(document));
  sa.topology = document;
  sa.memory.isNew = true;
  await sa.start();
  await regions.converge();
}

describe('a partition is given up', () => {
  it('a message from before is delivered again after its item was deleted and reaped -> who gave it up is not asked, and nothing returns', async () => {
    const moved = await start();
    const { regions, pk, other } = moved;
    const eu = regions.at(EU);
    const others: readonly RegionId[] = [AP, US];
    for (const id of others) regions.network.cut(EU, id);
    await eu.put('two', pk, 'v');
    await regions.advance(5_000);
    regions.network.heal();
    for (const id of [...others, SA]) regions.network.hold(EU, id);
    await join(moved);
    const old = regions.network.held.filter(({ to }) => to === other.id);
    regions.network.heal();
    await regions.until('the write has arrived', async () => (await other.get('two', pk)).includes('v'));
    await regions.converge();
    await other.delete('two', pk);
    await regions.until('it is reaped', async () => (await other.line('two', pk)) === 'nothing' && (await regions.at(SA).line('two', pk)) === 'nothing');
    for (const message of old) await regions.drive(message.deliver());
    await regions.converge();
    expect(old.length).toBeGreaterThan(0);
    expect(await other.get('two', pk)).toEqual([]);
    expect(await regions.at(SA).get('two', pk)).toEqual([]);
    expect(await other.ledger('two')).toEqual(['v late']);
  });
});
