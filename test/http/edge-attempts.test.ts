// The edge tells of attempts in more than one region: whoever keeps an account of writes has to know that one may have been
// done twice, as one write.

import { describe, expect, it } from 'vitest';
import { nodeRandom, sha256 } from '../../src/adapters/node/crypto.ts';
import { ManualClock } from '../../src/adapters/memory/clock.ts';
import { Client } from '../../src/client/client.ts';
import type { Transport } from '../../src/client/exchange.ts';
import { regionEntry } from '../../src/config/places.ts';
import { ArchipelError } from '../../src/core/errors.ts';
import { EDGE_ATTEMPT_MS, EDGE_ATTEMPTS_MAX, REQUEST_DEADLINE_MS } from '../../src/core/limits.ts';
import { asRegionId } from '../../src/core/version/dot.ts';
import { createEdgeApp, type RegionClient } from '../../src/http/edge-app.ts';

const [NEAR, FAR] = [asRegionId('ap-northeast-2'), asRegionId('us-east-1')];
const stored: RegionClient = { send: ({ target }) => Promise.resolve(target.includes('/items') ? { status: 204, headers: [['Server-Timing', 'total;dur=1.00'], ['Write-Outcome', 'stored']], body: new Uint8Array(0) } : { status: 403, headers: [], body: new Uint8Array(0) }) };
const gone: RegionClient = { send: (request) => (request.target.includes('/items') ? Promise.reject(new ArchipelError('peer-unreachable', 'It is gone.', { unsent: true })) : stored.send(request)) };

function edgeBefore(near: RegionClient, far = stored): (request: Request) => Response | Promise<Response> {
  const topology = { format: 1 as const, term: 1, epoch: 1, control: NEAR, regions: [regionEntry(NEAR, 'http://near'), regionEntry(FAR, 'http://far')] };
  const { app } = createEdgeApp({ topology, clients: new Map([[NEAR, near], [FAR, far]]), clock: new ManualClock(), random: nodeRandom, log: { write: () => undefined }, hash: sha256 });
  return (request) => app.fetch(request, {});
}

const put = (): Request => new Request('http://edge/v1/c/demo/items/k', { method: 'PUT', headers: { 'content-length': '1' }, body: 'v' });

describe('attempts of the edge', () => {
  it('one needs no word; two are told beside what the region says', async () => {
    expect((await edgeBefore(stored)(put())).headers.get('server-timing')).toBe('total;dur=1.00');
    const second = await edgeBefore(gone)(put());
    expect(second.status).toBe(204);
    expect(second.headers.get('server-timing')).toBe('total;dur=1.00, edge;desc="attempts=2"');
  });

  it('the client counts them with its own', async () => {
    const ask = edgeBefore(gone);
    const transport: Transport = {
      send: async ({ method, target, headers, body }) => {
        const response = await ask(new Request(`http://edge${target}`, { method, headers: { ...headers, 'content-length': String(body?.length ?? 0) }, ...(body === undefined ? {} : { body: body.slice() }) }));
        return { status: response.status, headers: Object.fromEntries(response.headers), body: new Uint8Array(await response.arrayBuffer()) };
      },
      close: () => undefined,
    };
    const client = new Client({ url: 'http://edge', transport, clock: new ManualClock(), random: nodeRandom });
    expect((await client.put({ collection: 'demo', pk: 'k' }, 'v')).attempts).toBe(2);
  });
});

describe('time', () => {
  it('no region answers -> three are asked, each for 1.5 seconds, within the 5 seconds of a request', async () => {
    const clock = new ManualClock();
    const asked: number[] = [];
    const silent: RegionClient = {
      send: ({ target, timeoutMs }) => {
        if (target === '/v1/c/demo') return Promise.resolve({ status: 200, headers: [], body: new TextEncoder().encode('{"regions":"all","replicas":5}') });
        if (target.includes('/items')) asked.push(timeoutMs);
        return new Promise((_, reject) => clock.after(timeoutMs, () => reject(new ArchipelError('peer-unreachable', 'no answer in time'))));
      },
    };
    const ids = [NEAR, FAR, ...['eu-central-1', 'eu-west-1', 'sa-east-1'].map(asRegionId)];
    const topology = { format: 1 as const, term: 1, epoch: 1, control: NEAR, regions: ids.map((id) => regionEntry(id, `http://${id}`)) };
    const { app } = createEdgeApp({ topology, clients: new Map(ids.map((id) => [id, silent])), clock, random: nodeRandom, log: { write: () => undefined }, hash: sha256 });
    let tookMs = 0;
    let answer: Response | undefined;
    void Promise.resolve(app.fetch(put(), {})).then((response) => (answer = response));
    for (; answer === undefined && tookMs <= REQUEST_DEADLINE_MS; tookMs += 100) await clock.advance(100);
    expect(answer?.status).toBe(504);
    expect(asked).toEqual(Array.from({ length: EDGE_ATTEMPTS_MAX }, () => EDGE_ATTEMPT_MS));
  });
});

describe('an edge that knows nothing yet', () => {
  it('the nearest region is silent about the placement -> the next one is asked for it and for the item; the silent one is no last resort lost', async () => {
    const asked: string[] = [];
    const region = (name: string, answer: (target: string) => ReturnType<RegionClient['send']>): RegionClient => ({
      send: ({ target }) => {
        asked.push(`${name} ${target.includes('/items') ? 'item' : 'placement'}`);
        return answer(target);
      },
    });
    const silent = (): Promise<never> => Promise.reject(new ArchipelError('peer-unreachable', 'no answer in time'));
    const holds = (target: string): ReturnType<RegionClient['send']> =>
      Promise.resolve(target.includes('/items') ? { status: 204, headers: [], body: new Uint8Array(0) } : { status: 200, headers: [], body: new TextEncoder().encode('{"regions":"all","replicas":2}') });
    expect((await edgeBefore(region('near', silent), region('far', holds))(put())).status).toBe(204);
    expect(asked).toEqual(['near placement', 'far placement', 'far item']);
    asked.length = 0;
    const onlyPlacement = (target: string): ReturnType<RegionClient['send']> => (target.includes('/items') ? silent() : holds(target));
    const onlyItems = (target: string): ReturnType<RegionClient['send']> => (target.includes('/items') ? holds(target) : silent());
    expect((await edgeBefore(region('near', onlyItems), region('far', onlyPlacement))(put())).status).toBe(204);
    expect(asked).toEqual(['near placement', 'far placement', 'far item', 'near item']);
  });
});

describe('a restore', () => {
  it('the nearest region hangs -> the next one is asked, under the same operation id; its refusal proves nothing', async () => {
    const keys: (string | undefined)[] = [];
    const sees = (answer: () => ReturnType<RegionClient['send']>): RegionClient => ({
      send: ({ headers, target }) => {
        if (target.endsWith('/restore')) keys.push(headers.find(([name]) => name === 'idempotency-key')?.[1]);
        return answer();
      },
    });
    const silent = sees(() => Promise.reject(new ArchipelError('peer-unreachable', 'no answer in time')));
    const restore = async (status: number): Promise<number> => (await edgeBefore(silent, sees(() => Promise.resolve({ status, headers: [], body: new Uint8Array(0) })))(new Request('http://edge/v1/c/demo/conflicts/1/restore', { method: 'POST', headers: { 'content-length': '0' } }))).status;
    expect(await restore(200)).toBe(200);
    expect([keys.length, new Set(keys).size]).toEqual([2, 1]);
    expect(keys[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(await restore(404)).toBe(504);
  });
});

describe('what an operator decides', () => {
  const silent: RegionClient = { send: () => Promise.reject(new ArchipelError('peer-unreachable', 'no answer in time')) };
  const done: RegionClient = { send: () => Promise.resolve({ status: 200, headers: [], body: new Uint8Array(0) }) };
  const decide = async (verb: string, far: RegionClient): Promise<number> => (await edgeBefore(silent, far)(new Request(`http://edge/v1/regions/${NEAR}/${verb}`, { method: 'POST', headers: { 'content-length': '0' } }))).status;

  it('the nearest region hangs -> drained, fenced and declared lost by the next one: done twice it is done once', async () => {
    for (const verb of ['drain', 'fence', 'lose']) expect([verb, await decide(verb, done)]).toEqual([verb, 200]);
    expect(await decide('lose', { send: () => Promise.resolve({ status: 409, headers: [], body: new Uint8Array(0) }) })).toBe(504); // it may be refused because it is done
  });

  it('asked twice, return leads from lost to joining to active: it is not asked twice by itself', async () => {
    expect(await decide('return', done)).toBe(504);
  });

  it('the client asks again for what is done once', async () => {
    const asked: string[] = [];
    const transport: Transport = {
      send: ({ target }) => {
        asked.push(target);
        return asked.length === 1 ? Promise.reject(new ArchipelError('peer-unreachable', 'no answer in time')) : Promise.resolve({ status: 200, headers: {}, body: new TextEncoder().encode('{}') });
      },
      close: () => undefined,
    };
    const clock = new ManualClock();
    const client = new Client({ url: 'http://edge', transport, clock, random: nodeRandom });
    const lost = client.changeRegion(NEAR, 'lose');
    await clock.advance(0); // it is refused
    await clock.advance(100);
    expect([await lost, asked]).toEqual([{}, [`/v1/regions/${NEAR}/lose`, `/v1/regions/${NEAR}/lose`]]);
    asked.length = 0;
    await expect(client.changeRegion(NEAR, 'return')).rejects.toThrow('unknown');
  });
});

describe('a region that comes back', () => {
  const get = (pk: string): Request => new Request(`http://edge/v1/c/demo/items/${pk}`);
  const said: { status: number; headers: [string, string][] } = { status: 200, headers: [] };
  const clock = new ManualClock();
  let isGone = false;
  let probes = 0;
  const near: RegionClient = {
    send: ({ target }) => {
      if (target === '/readyz') probes++;
      return isGone ? Promise.reject(new ArchipelError('peer-unreachable', 'It is gone.', { unsent: true })) : Promise.resolve({ ...said, headers: [...said.headers, ['x', 'near']], body: new Uint8Array(0) });
    },
  };
  const far: RegionClient = { send: () => Promise.resolve({ status: 200, headers: [['x', 'far']], body: new Uint8Array(0) }) };
  const topology = { format: 1 as const, term: 1, epoch: 1, control: NEAR, regions: [regionEntry(NEAR, 'http://near'), regionEntry(FAR, 'http://far')] };
  const { app } = createEdgeApp({ topology, clients: new Map([[NEAR, near], [FAR, far]]), clock, random: nodeRandom, log: { write: () => undefined }, hash: sha256 });
  /** How many of a hundred keys it answers. */
  const share = async (): Promise<number> => {
    const answers = await Promise.all(Array.from({ length: 100 }, async (_, at) => app.fetch(get(`k${at}`), {})));
    return answers.filter(({ headers }) => headers.get('x') === 'near').length;
  };

  it('gets nothing while it says that it lags, then its traffic step by step; one probe at a time finds out', async () => {
    expect(await share()).toBe(100);
    isGone = true;
    expect(await share()).toBe(0);
    isGone = false;
    said.headers = [['Replication-Lag', '4000']];
    await clock.advance(1_000);
    expect(await share()).toBe(0);
    await clock.advance(1_000);
    expect(await share()).toBe(0);
    expect(probes).toBeLessThanOrEqual(3);
    said.headers = [];
    await clock.advance(1_000);
    await share();
    expect(await share()).toBeLessThan(25);
    await clock.advance(5_000);
    const half = await share();
    expect(half).toBeGreaterThan(35);
    expect(half).toBeLessThan(75);
    await clock.advance(5_000);
    expect(await share()).toBe(100);
  });

  it('is used all the same when no other one answers', async () => {
    isGone = true;
    expect(await share()).toBe(0);
    isGone = false;
    said.headers = [['Replication-Lag', '4000']];
    await clock.advance(1_000);
    far.send = () => Promise.reject(new ArchipelError('peer-unreachable', 'It is gone.', { unsent: true }));
    await share();
    expect(await share()).toBe(100);
  });
});

describe('a region that observers take for down', () => {
  it('is not asked while another answers, and alone it is', async () => {
    const asked: string[] = [];
    const answers = (id: string): RegionClient => ({
      send: ({ target }) => {
        if (target.includes('/items')) asked.push(id);
        return Promise.resolve({ status: 200, headers: [], body: new Uint8Array(0) });
      },
    });
    const topology = { format: 1 as const, term: 1, epoch: 1, control: NEAR, regions: [regionEntry(NEAR, 'http://near'), regionEntry(FAR, 'http://far')] };
    const { app, edge } = createEdgeApp({ topology, clients: new Map([[NEAR, answers('near')], [FAR, answers('far')]]), clock: new ManualClock(), random: nodeRandom, log: { write: () => undefined }, hash: sha256 });
    const get = async (): Promise<number> => (await app.fetch(new Request('http://edge/v1/c/demo/items/k?lat=37&lon=127'), {})).status;
    await get();
    edge.judged(NEAR, true);
    await get();
    edge.judged(FAR, true);
    await get();
    expect(edge.observed).toEqual([NEAR, FAR]);
    expect(asked).toEqual(['near', 'far', 'near']);
  });
});

describe('hedged reads', () => {
  const answer = (by: string, status = 200): { status: number; headers: [string, string][]; body: Uint8Array } => ({ status, headers: [['x', by]], body: new Uint8Array(0) });
  /** `near` answers after so long, `far` at once. */
  function edgeWith(hedgeMs: number | undefined, nearMs: number, farStatus = 200): { readonly ask: (method: string) => Promise<Response>; readonly clock: ManualClock; readonly asked: string[]; readonly stats: { readonly hedged: number; readonly wonByHedge: number } } {
    const clock = new ManualClock();
    const asked: string[] = [];
    const region = (id: string, ms: number, status: number): RegionClient => ({
      send: ({ target }) => {
        if (!target.includes('/items')) return Promise.resolve(answer(id, 403));
        asked.push(id);
        return new Promise((resolve) => (ms === 0 ? resolve(answer(id, status)) : clock.after(ms, () => resolve(answer(id, status)))));
      },
    });
    const topology = { format: 1 as const, term: 1, epoch: 1, control: NEAR, regions: [regionEntry(NEAR, 'http://near'), regionEntry(FAR, 'http://far')] };
    const { app, edge } = createEdgeApp({ topology, clients: new Map([[NEAR, region('near', nearMs, 200)], [FAR, region('far', 0, farStatus)]]), clock, random: nodeRandom, log: { write: () => undefined }, hash: sha256, hedgeMs });
    const ask = (method: string): Promise<Response> => Promise.resolve(app.fetch(new Request('http://edge/v1/c/demo/items/k?lat=37&lon=127', { method, ...(method === 'PUT' ? { headers: { 'content-length': '1' }, body: 'v' } : {}) }), {}));
    return { ask, clock, asked, stats: edge.stats };
  }
  const settled = async (clock: ManualClock, response: Promise<Response>): Promise<string | null> => {
    for (let step = 0; step < 20; step++) await clock.advance(50); // a body is read before anything is sent
    return (await response).headers.get('x');
  };

  it('one that is answered in time is asked once; one that is not, of the next region too, whose answer counts', async () => {
    const quick = edgeWith(50, 40);
    expect([await settled(quick.clock, quick.ask('GET')), quick.asked, quick.stats.hedged]).toEqual(['near', ['near'], 0]);
    const slow = edgeWith(50, 400);
    const response = slow.ask('GET');
    expect([await settled(slow.clock, response), slow.asked, slow.stats.hedged, slow.stats.wonByHedge]).toEqual(['far', ['near', 'far'], 1, 1]);
    expect((await response).headers.get('server-timing')).toBe('edge;desc="attempts=2"');
  });

  it('off by default, never for a write, and a refusal of the second does not count', async () => {
    const off = edgeWith(undefined, 400);
    expect([await settled(off.clock, off.ask('GET')), off.asked]).toEqual(['near', ['near']]);
    const write = edgeWith(50, 400);
    expect([await settled(write.clock, write.ask('PUT')), write.asked]).toEqual(['near', ['near']]);
    const refused = edgeWith(50, 400, 503);
    expect([await settled(refused.clock, refused.ask('GET')), refused.asked, refused.stats.wonByHedge]).toEqual(['near', ['near', 'far'], 0]);
  });

  it('of the client: a read that waits is sent the other way too, a write is not', async () => {
    const clock = new ManualClock();
    const sent: string[] = [];
    const transport = (name: string, ms: number): Transport => ({
      send: ({ method }) => {
        sent.push(`${name} ${method}`);
        return new Promise((resolve) => clock.after(ms, () => resolve({ status: 200, headers: { etag: `"${name}"`, 'content-type': 'text/plain' }, body: new Uint8Array(0) })));
      },
      close: () => undefined,
    });
    const client = new Client({ url: 'http://near', transport: transport('near', 300), others: [{ url: 'http://far', transport: transport('far', 10) }], hedgeMs: 50, clock, random: nodeRandom });
    const read = client.get({ collection: 'demo', pk: 'k' });
    const write = client.put({ collection: 'demo', pk: 'k' }, 'v');
    for (let step = 0; step < 20; step++) await clock.advance(50);
    expect(await read).toMatchObject({ etag: 'far' });
    expect((await write).etag).toBe('near');
    expect(sent).toEqual(['near GET', 'near PUT', 'far GET']);
  });
});
