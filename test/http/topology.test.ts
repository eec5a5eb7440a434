// An operator changes the topology: by any region, put in force by the control region, learnt by the others and by an edge.

import { beforeEach, describe, expect, test } from 'vitest';
import { nodeRandom, sha256 } from '../../src/adapters/node/crypto.ts';
import type { Topology } from '../../src/core/placement/topology.ts';
import { createEdgeApp, type RegionClient } from '../../src/http/edge-app.ts';
import { AP, EU, startThree, US, type TestCluster } from './harness.ts';

const ITEM = '/v1/c/demo/items/alice';

describe('topology: drain, return, fence, lose, promote', () => {
  let cluster: TestCluster;
  let control: typeof AP;
  let others: readonly (typeof AP)[];
  beforeEach(async () => {
    cluster = await startThree();
    control = cluster.regions[0]?.region.catalog.topology.control as typeof AP;
    others = [AP, EU, US].filter((id) => id !== control);
  });

  const state = (at: typeof AP, of: typeof AP): string | undefined => cluster.at(at).region.catalog.entry(of)?.state;

  test('any region takes a change and passes it on to the control region; the others learn it', async () => {
    const [first, second] = others as [typeof AP, typeof AP];
    const answer = await cluster.at(first).post(`/v1/regions/${second}/drain`);
    const { term, epoch, control: told, regions } = answer.json<{ term: number; epoch: number; control: string; regions: { id: string; state: string }[] }>();
    expect([answer.status, term, epoch, told]).toEqual([200, 1, 2, control]);
    expect(new Map(regions.map((each) => [each.id, each.state]))).toEqual(new Map([AP, EU, US].map((id) => [id, id === second ? 'draining' : 'active'])));
    expect(state(control, second)).toBe('draining');
    await cluster.converge();
    for (const id of [AP, EU, US]) expect(state(id, second)).toBe('draining');
    // Once more changes nothing; back again is one document later.
    expect((await cluster.at(control).post(`/v1/regions/${second}/drain`)).json()).toMatchObject({ epoch: 2 });
    expect((await cluster.at(second).post(`/v1/regions/${second}/return`)).json()).toMatchObject({ epoch: 3 });
  });

  test('a fenced region refuses reads and writes and says why; returned, it serves what was written meanwhile', async () => {
    const [victim] = others as [typeof AP];
    await cluster.at(control).post(`/v1/regions/${victim}/fence`);
    await cluster.converge();
    for (const answer of [await cluster.at(victim).put(ITEM, 'x'), await cluster.at(victim).get(ITEM)]) expect([answer.status, answer.code]).toEqual([503, 'region-fenced']);
    expect((await cluster.at(control).put(ITEM, 'meanwhile')).status).toBe(201);
    await cluster.at(control).post(`/v1/regions/${victim}/return`);
    await cluster.converge(30_000);
    expect((await cluster.at(victim).get(ITEM)).text).toBe('meanwhile');
  });

  test('a region that was lost is joining first; made active when it holds everything, and not before, whoever is asked', async () => {
    const [victim, third] = others as [typeof AP, typeof AP];
    await cluster.at(control).post(`/v1/regions/${victim}/lose`);
    await cluster.converge();
    await cluster.at(control).put(ITEM, 'meanwhile');
    for (const id of [AP, EU, US]) if (id !== victim) cluster.cut(victim, id);
    expect((await cluster.at(third).post(`/v1/regions/${victim}/return`)).json()).toMatchObject({ epoch: 3 });
    expect(state(control, victim)).toBe('joining');
    await cluster.converge();
    const early = cluster.at(third).post(`/v1/regions/${victim}/return`);
    await cluster.clock.advance(5_000);
    expect([(await early).status, (await early).code]).toEqual([409, 'topology-change-refused']);
    cluster.heal();
    await cluster.converge(30_000);
    expect((await cluster.at(victim).get(ITEM)).code).toBe('region-recovering');
    expect((await cluster.at(victim).post(`/v1/regions/${victim}/return`)).json()).toMatchObject({ epoch: 4 });
    await cluster.converge();
    expect([state(third, victim), (await cluster.at(victim).get(ITEM)).text]).toEqual(['active', 'meanwhile']);
  });

  test('what cannot be is 409, who may not is 403, who is not there is 404', async () => {
    const here = cluster.at(control);
    const refused = await here.post(`/v1/regions/${control}/fence`);
    expect([refused.status, refused.code]).toEqual([409, 'topology-change-refused']);
    expect((await here.post('/v1/regions/mars-1/drain')).status).toBe(404);
    expect((await here.post('/v1/regions/%2e%2e/drain')).status).toBe(404);
    expect((await here.ask('POST', `/v1/regions/${others[0]}/drain`, { key: await here.key(['write']) })).status).toBe(403);
    expect(here.region.catalog.version.epoch).toBe(1);
  });

  test('the control region is gone -> no change, said so; another one is promoted and orders the documents from then on', async () => {
    const [first, second] = others as [typeof AP, typeof AP];
    for (const id of others) cluster.cut(control, id);
    const waiting = cluster.at(first).post(`/v1/regions/${second}/drain`);
    await cluster.clock.advance(10_000);
    expect((await waiting).status).toBeGreaterThanOrEqual(500);
    expect((await cluster.at(first).post('/v1/topology/promote')).json()).toMatchObject({ term: 2, epoch: 2, control: first });
    expect((await cluster.at(first).post(`/v1/regions/${control}/lose`)).json()).toMatchObject({ term: 2, epoch: 3 });
    // The old one does not know yet, and what it writes is older than what it then hears.
    expect((await cluster.at(control).post(`/v1/regions/${second}/drain`)).json()).toMatchObject({ term: 1, epoch: 2 });
    cluster.heal();
    await cluster.converge(30_000);
    for (const id of others) expect([cluster.at(id).region.catalog.version.term, state(id, control), state(id, second)]).toEqual([2, 'lost', 'active']);
  });

  test('an edge with an old document learns the newer one from the first answer, and shows nobody what it asked', async () => {
    const topology: Topology = cluster.at(control).region.catalog.topology;
    const asked: string[] = [];
    const client = (id: typeof AP): RegionClient => ({
      send: async ({ method, target, headers, body }) => {
        asked.push(`${id} ${method} ${target}`);
        const answer = await cluster.at(id).ask(method, target, { headers: Object.fromEntries(headers), key: null, ...(body === undefined ? {} : { body }) });
        return { status: answer.status, headers: [...answer.headers], body: answer.bytes };
      },
    });
    const { app } = createEdgeApp({ topology, clients: new Map([AP, EU, US].map((id) => [id, client(id)])), clock: cluster.clock, random: nodeRandom, log: { write: () => undefined }, hash: sha256 });
    const nearest = topology.regions[0]?.id as typeof AP;
    const get = (): Promise<Response> => Promise.resolve(app.fetch(new Request(`http://edge${ITEM}`, { headers: { authorization: `Bearer ${cluster.at(control).adminKey}`, topology: '9.9' } }), {}));
    const servedBy = async (): Promise<string> => ((await get()).headers.get('served-by') ?? '').split(';')[0] as string;
    await cluster.at(control).put(ITEM, 'x');
    await cluster.converge();
    expect(await servedBy()).toBe(nearest);
    await cluster.at(control).post(`/v1/regions/${nearest}/drain`);
    await cluster.converge();
    const first = await get();
    expect([first.status, first.headers.has('topology')]).toEqual([200, false]);
    await cluster.clock.advance(100);
    expect(asked.filter((line) => line.endsWith('/v1/topology'))).toHaveLength(1);
    expect(await servedBy()).not.toBe(nearest);
  });
});
