// What a deep check reads, in units as the emulated table counts them (P12): each partition once, for half a unit per 4 KiB.
// Such reads may lag behind; what they show to differ is read again as it is.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { toBase64 } from '../../src/adapters/aws/base64.ts';
import type { Item } from '../../src/adapters/aws/layout.ts';
import { names } from '../../src/adapters/aws/names.ts';
import { itemBytes, recordItem } from '../../src/adapters/aws/units.ts';
import { partitionPrefix } from '../../src/core/keys/item-key.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { SCAN_LAG_MS_MAX } from '../../src/ports/table.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { A, dot, EU, GROUP, key, texts, US, written } from '../contract/make.ts';
import { ask } from './ask.ts';
import { DEPLOYMENT, FakeAws, metricsOf, REGIONS } from './fake-aws.ts';

const GOAL = 1.02;
const PARTITION = 7;
const READ_BYTES = 4_096;
const PKS = Array.from({ length: 20_000 }, (_, at) => `of-one-${at}`).filter((pk) => key(pk).encoded[4] === PARTITION).slice(0, 50);

if (!hasDynoxide) console.log(`reads of a deep check: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide)('reads of a deep check', () => {
  let aws: FakeAws;
  beforeAll(async () => {
    aws = await FakeAws.start();
    for (const region of REGIONS) await aws.region(region);
    expect((await ask(aws, EU, 'PUT', '/v1/c/demo', { conflict: 'lww' })).status).toBe(201);
    aws.pass(SCAN_LAG_MS_MAX);
    await deep();
  }, 60_000);
  beforeEach(() => {
    aws.tables.lagging.clear();
    aws.tables.reads.length = 0;
  });
  afterAll(() => aws.stop());

  async function deep(): Promise<Awaited<ReturnType<Awaited<ReturnType<FakeAws['region']>>['reconcile']>>> {
    const { reconcile } = await aws.region(EU);
    const results: Awaited<ReturnType<typeof reconcile>>[] = [];
    await metricsOf(async () => results.push(await reconcile({ what: 'deep', peers: [US] })));
    const [result] = results;
    if (result === undefined) throw new Error('It answered nothing.');
    return result;
  }

  const readsOf = (region: RegionId): typeof aws.tables.reads => aws.tables.reads.filter(({ table, PK }) => table === names.table(DEPLOYMENT, region) && PK === toBase64(partitionPrefix(GROUP, PARTITION)));
  const unitsOf = (region: RegionId): number => readsOf(region).reduce((sum, { units }) => sum + units, 0);

  it('one copy lags behind what has arrived in both -> it is read again as it is, and nothing is moved', async () => {
    await aws.lag(US);
    for (const region of [EU, US]) await aws.store(region, [recordItem(key(PKS[0] ?? '', 'new'), written(dot(A, 10_000_000), 'new'))]);
    expect(await deep()).toMatchObject({ pairs: [{ differing: 0, pushed: 0, pulled: 0, certificate: { deep: true } }] });
    for (const region of [EU, US]) expect(readsOf(region).some(({ isConsistent }) => isConsistent)).toBe(true);
  });

  it('a copy that lags hides what the other region lacks -> the certificate says that it may; the next check moves it', async () => {
    const pk = PKS[1] ?? '';
    await aws.lag(EU);
    expect((await ask(aws, EU, 'PUT', `/v1/c/demo/items/${pk}`, 'hidden')).status).toBe(201);
    const { pairs } = await deep();
    expect(pairs).toMatchObject([{ differing: 0, certificate: { deep: true } }]);
    expect(pairs[0]?.certificate?.noDifferenceOlderThanMs).toBeGreaterThanOrEqual(SCAN_LAG_MS_MAX);
    aws.tables.lagging.clear();
    aws.pass(SCAN_LAG_MS_MAX);
    expect(await deep()).toMatchObject({ pairs: [{ differing: 1, pushed: 1, certificate: { deep: true } }] });
    expect(texts((await aws.table(US).get(key(pk)))?.state)).toEqual(['"hidden"']);
  });

  it.each([
    { items: 2_000, bytes: 900 },
    { items: 400, bytes: 10_000 }, // DynamoDB ends a page at a megabyte, before the region does
  ])('$items items of $bytes bytes, equal in two regions -> at most 1.02 times half a unit for 4 KiB, on either side', async ({ items: count, bytes }) => {
    const items = Array.from({ length: count }, (_, at): Item => recordItem(key(PKS[at % PKS.length] ?? '', `${bytes}-${at}`), written(dot(A, 1_000 + at), 'x'.repeat(bytes))));
    for (const region of [EU, US]) await aws.store(region, items);
    const stored = (await aws.copy(EU)).filter(({ PK }) => toBase64(PK?.B ?? new Uint8Array(0)) === toBase64(partitionPrefix(GROUP, PARTITION)));
    const least = (stored.reduce((sum, item) => sum + itemBytes(item), 0) / READ_BYTES) * 0.5;
    expect(await deep()).toMatchObject({ pairs: [{ differing: 0, pushed: 0, pulled: 0, certificate: { deep: true } }] });
    const ratios = [EU, US].map((region) => unitsOf(region) / least);
    for (const ratio of ratios) expect(ratio).toBeLessThanOrEqual(GOAL);
    for (const ratio of ratios) expect(ratio).toBeGreaterThanOrEqual(1); // else the measure is none
  });
});
