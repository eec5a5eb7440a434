// What was deleted is reaped by `reconcile`, on emulated AWS: asked of every replica, the lines raised in all tables, and only
// when no environment can hold an older one the records go. What comes late after that is asked about, and brings nothing back.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { names } from '../../src/adapters/aws/names.ts';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { groupOf } from '../../src/core/placement/placement.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { AP, EU, key, texts, US } from '../contract/make.ts';
import { ask as asked } from './ask.ts';
import { DEPLOYMENT, FakeAws, metricsOf, REGIONS } from './fake-aws.ts';

const GRACE_MS = 3_600_000;
const GONE = ['a', 'b', 'c'];

if (!hasDynoxide) console.log(`reaping: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide)('reaping', () => {
  let aws: FakeAws;
  beforeAll(async () => {
    aws = await FakeAws.start();
    for (const region of REGIONS) await aws.region(region);
    expect(await ask(EU, 'PUT', '/v1/c/demo', { conflict: 'lww' })).toBe(201);
  }, 30_000);
  afterAll(() => aws.stop());

  const ask = async (region: RegionId, method: string, path: string, body?: unknown): Promise<number> => (await asked(aws, region, method, path, body)).status;

  /** The newest state of an item, by stream and queues, to all others. Answers the messages. */
  async function replicate(region: RegionId, pk: string): Promise<void> {
    const { fanOut } = await aws.region(region);
    await fanOut(await aws.streamed(region, key(pk)));
    for (const peer of REGIONS.filter((each) => each !== region)) {
      const { apply } = await aws.region(peer);
      expect(await apply(await aws.delivered(peer, names.inbox(DEPLOYMENT, peer)))).toEqual({ batchItemFailures: [] });
    }
  }

  const first = async (): Promise<RegionId> => {
    const { groups } = (await asked(aws, EU, 'GET', '/v1/topology')).body as { groups: { id: string; partitions: RegionId[][] }[] };
    const group = groups.find(({ id }) => id === groupOf({ regions: 'all', replicas: 3 }, sha256));
    return group?.partitions[key('a').encoded[4] as number]?.[0] as RegionId;
  };
  const stored = async (pk: string): Promise<boolean[]> => Promise.all(REGIONS.map(async (region) => (await aws.table(region).get(key(pk))) !== undefined));
  const reap = async (region: RegionId): Promise<number | undefined> => {
    let reaped: number | undefined;
    await metricsOf(async () => ({ reaped } = await (await aws.region(region)).reconcile({ what: 'reap' })));
    return reaped;
  };

  it('deleted an hour ago, known everywhere -> gone in all tables, after no environment holds an older line', async () => {
    for (const pk of [...GONE, 'kept']) {
      expect(await ask(EU, 'PUT', `/v1/c/demo/items/${pk}`, pk)).toBe(201);
      await replicate(EU, pk);
    }
    for (const pk of GONE) {
      expect(await ask(US, 'DELETE', `/v1/c/demo/items/${pk}`)).toBe(204);
      await replicate(US, pk);
    }
    expect(await Promise.all(REGIONS.map(reap))).toEqual([0, 0, 0]); // not yet
    aws.pass(3 * GRACE_MS); // by then any region may propose
    aws.waits.length = 0;
    expect(await reap(await first())).toBe(GONE.length);
    expect(aws.waits).toEqual([30_000]);
    for (const pk of GONE) expect(await stored(pk)).toEqual([false, false, false]);
    expect(await stored('kept')).toEqual([true, true, true]);
    for (const region of REGIONS) expect((await aws.table(region).document('reaped-lines'))?.revision).toBeGreaterThan(0);
  });

  it('a replica cannot be asked -> nothing goes', async () => {
    expect(await ask(EU, 'PUT', '/v1/c/demo/items/d', 1)).toBe(201);
    await replicate(EU, 'd');
    expect(await ask(EU, 'DELETE', '/v1/c/demo/items/d')).toBe(204);
    await replicate(EU, 'd');
    aws.pass(3 * GRACE_MS);
    aws.down.add(AP);
    expect(await reap(EU)).toBe(0);
    aws.down.delete(AP);
    expect(await stored('d')).toEqual([true, true, true]);
  });

  it('a copy of what was deleted comes late -> its issuer is asked, and it does not come back', async () => {
    const pk = 'late';
    expect(await ask(EU, 'PUT', `/v1/c/demo/items/${pk}`, 'old')).toBe(201);
    const { fanOut } = await aws.region(EU);
    await fanOut(await aws.streamed(EU, key(pk)));
    const copy = await aws.delivered(US, names.inbox(DEPLOYMENT, US));
    const { apply } = await aws.region(US);
    expect(await apply(copy)).toEqual({ batchItemFailures: [] });
    await (await aws.region(AP)).apply(await aws.delivered(AP, names.inbox(DEPLOYMENT, AP)));
    expect(await ask(EU, 'DELETE', `/v1/c/demo/items/${pk}`)).toBe(204);
    await replicate(EU, pk);
    aws.pass(3 * GRACE_MS);
    for (const region of REGIONS) await reap(region);
    expect(await stored(pk)).toEqual([false, false, false]);
    expect(await apply(copy)).toEqual({ batchItemFailures: [] });
    expect(await ask(US, 'GET', `/v1/c/demo/items/${pk}`)).toBe(404);
    expect(texts((await aws.table(US).get(key(pk)))?.state)).toEqual([]);
  });
});
