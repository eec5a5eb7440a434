// A client with several addresses of one cluster: whom it asks when one does not answer, for how long, and how one that was away
// gets its requests back.

import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../src/adapters/memory/clock.ts';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';
import { Client, type ClientParts } from '../../src/client/client.ts';
import { NoAnswer, type Transport, type TransportAnswer, type TransportRequest } from '../../src/client/transport.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { BREAKER_FAILURES_IN_A_ROW, EDGE_ATTEMPT_MS, REJOIN_PROBE_MS, SLOW_START_MS } from '../../src/core/limits.ts';

type Mood = 'well' | 'silent' | 'gone' | 'lagging' | 'distrusted' | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string } | { readonly afterMs: number };

interface Sent extends TransportRequest {
  readonly to: string;
  readonly atMs: number;
}

let clock: ManualClock;
let sent: Sent[];
let moods: Map<string, Mood>;

beforeEach(() => {
  clock = new ManualClock();
  sent = [];
  moods = new Map();
});

function region(name: string): Transport {
  return {
    send: (request) => {
      sent.push({ ...request, to: name, atMs: clock.monotonicMs() });
      const mood = moods.get(name) ?? 'well';
      const well: TransportAnswer = { status: 200, headers: { 'served-by': name, etag: '"t"', 'content-type': 'text/plain' }, body: new Uint8Array(0) };
      const later = (ms: number, settle: (resolve: (answer: TransportAnswer) => void, reject: (error: Error) => void) => void): Promise<TransportAnswer> => new Promise((resolve, reject) => clock.after(ms, () => settle(resolve, reject)));
      const late = (): Promise<TransportAnswer> => later(request.timeoutMs, (_, reject) => reject(new NoAnswer('no answer in time', false)));
      if (mood === 'well') return Promise.resolve(well);
      if (mood === 'lagging') return Promise.resolve({ ...well, headers: { ...well.headers, 'replication-lag': '5000' } });
      if (mood === 'gone') return Promise.reject(new NoAnswer('nothing listens there', true));
      if (mood === 'distrusted') return Promise.reject(new NoAnswer('its certificate is not trusted', true, undefined, true));
      if (mood === 'silent') return late();
      if ('afterMs' in mood) return mood.afterMs > request.timeoutMs ? late() : later(mood.afterMs, (resolve) => resolve(well));
      return Promise.resolve({ status: mood.status, headers: { ...well.headers, ...mood.headers }, body: utf8(mood.body ?? '') });
    },
    close: () => undefined,
  };
}

const clientOf = (parts: Partial<ClientParts> = {}): Client =>
  new Client({ url: 'http://near', transport: region('near'), others: ['far', 'farthest'].map((name) => ({ url: `http://${name}`, transport: region(name) })), key: 'ak_x_y', clock, random: nodeRandom, ...parts });

const itemOf = (pk: string) => ({ collection: 'demo', pk });
const asked = (what = '/items'): readonly string[] => sent.filter(({ target }) => target.includes(what)).map(({ to }) => to);

/** Time passes until it is settled. */
async function settled<T>(promise: Promise<T>, stepMs = 50): Promise<T | Error> {
  let outcome: { readonly value: T | Error } | undefined;
  promise.then((value) => (outcome = { value }), (error: Error) => (outcome = { value: error }));
  for (;;) {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    if (outcome !== undefined) return outcome.value;
    await clock.advance(stepMs);
  }
}

const get = async (client: Client, pk: string): Promise<string> => {
  const answer = await settled(client.get(itemOf(pk)));
  return answer instanceof Error ? answer.message : answer.servedBy.region;
};

describe('an address that does not answer', () => {
  it('nobody listens there -> the next one is asked at once, and after three failures it first', async () => {
    moods.set('near', 'gone');
    const client = clientOf();
    for (let at = 0; at < BREAKER_FAILURES_IN_A_ROW; at++) expect(await get(client, 'k')).toBe('far');
    expect(clock.monotonicMs()).toBe(sent[0]?.atMs);
    sent.length = 0;
    expect(await get(client, 'k')).toBe('far');
    expect(asked()).toEqual(['far']);
  });

  it('it is silent -> it is left after 1.5 s, and a write goes elsewhere under the same operation id', async () => {
    moods.set('near', 'silent');
    const written = await settled(clientOf().put(itemOf('k'), 'v'));
    expect(written).toMatchObject({ attempts: 2, servedBy: { region: 'far' } });
    expect(sent.map(({ to, timeoutMs }) => [to, timeoutMs])).toEqual([['near', EDGE_ATTEMPT_MS], ['far', EDGE_ATTEMPT_MS]]);
    expect(new Set(sent.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  });

  it('it says that another may do better -> asked at once, however long it wants to be left alone', async () => {
    moods.set('near', { status: 503, headers: { 'retry-after': '60' } });
    expect(await get(clientOf(), 'k')).toBe('far');
    moods.set('near', { status: 421 });
    expect(await get(clientOf(), 'k')).toBe('far');
    expect(clock.monotonicMs()).toBe(sent[0]?.atMs);
  });

  it('a limit of requests is no reason to ask elsewhere', async () => {
    moods.set('near', { status: 429, headers: { 'retry-after': '60' } });
    expect(await settled(clientOf().get(itemOf('k')))).toMatchObject({ details: { status: 429 } });
    expect(asked()).toEqual(['near']);
  });

  it('a certificate that is not trusted here may be there', async () => {
    moods.set('near', 'distrusted');
    expect(await get(clientOf(), 'k')).toBe('far');
  });

  it('what may not be done twice goes elsewhere only if it did not arrive', async () => {
    moods.set('near', 'gone');
    expect(await settled(clientOf().createKey({ scopes: ['read'] }))).toMatchObject({ code: 'internal' }); // answered, with an empty body
    expect(asked('/keys')).toEqual(['near', 'far']);
    sent.length = 0;
    moods.set('near', 'silent');
    expect(await settled(clientOf().createKey({ scopes: ['read'] }))).toMatchObject({ code: 'write-outcome-unknown' });
    expect(asked('/keys')).toEqual(['near']);
  });

  it('a refusal elsewhere after a lost answer is no proof that the write was not done', async () => {
    moods.set('near', 'silent');
    moods.set('far', { status: 412 });
    expect(await settled(clientOf().put(itemOf('k'), 'v', { ifMatch: 't0' }))).toMatchObject({ code: 'write-outcome-unknown' });
  });

  it('what is known of an address is known to all clients that came of one', async () => {
    moods.set('near', 'gone');
    const client = clientOf();
    for (let at = 0; at < BREAKER_FAILURES_IN_A_ROW; at++) await get(client.with({ keysIn: 'path' }), 'k');
    sent.length = 0;
    await get(client, 'k');
    expect(asked()).toEqual(['far']);
  });
});

describe('time', () => {
  it('all are silent -> each is asked in turn, none beyond the end of the request', async () => {
    for (const name of ['near', 'far', 'farthest']) moods.set(name, 'silent');
    const startedMs = clock.monotonicMs();
    expect(await settled(clientOf().put(itemOf('k'), 'v', { timeoutMs: 4_000 }))).toMatchObject({ code: 'write-outcome-unknown' });
    expect(sent.map(({ to, timeoutMs }) => [to, timeoutMs])).toEqual([['near', 1_500], ['far', 1_500], ['farthest', 1_000]]);
    expect(clock.monotonicMs() - startedMs).toBeLessThanOrEqual(4_000);
  });

  it('nobody listens anywhere -> all are asked, then there is a pause, twice as long each time', async () => {
    for (const name of ['near', 'far', 'farthest']) moods.set(name, 'gone');
    expect(await settled(clientOf().get(itemOf('k'), { timeoutMs: 3_000 }))).toMatchObject({ code: 'no-region-available' });
    const times = [...new Set(sent.filter(({ target }) => target.includes('/items')).map(({ atMs }) => atMs))];
    expect(asked().slice(0, 3)).toEqual(['near', 'far', 'farthest']);
    expect(asked()).toHaveLength(3 * times.length);
    expect(times.length).toBeLessThan(10);
  });

  it('a hedge ends when its request does', async () => {
    for (const name of ['near', 'far', 'farthest']) moods.set(name, 'silent');
    const startedMs = clock.monotonicMs();
    await settled(clientOf({ hedgeMs: 200 }).get(itemOf('k'), { timeoutMs: 1_000 }));
    expect(sent.map(({ to, timeoutMs }) => [to, timeoutMs])).toEqual([['near', 1_000], ['far', 800]]);
    expect(clock.monotonicMs() - startedMs).toBe(1_000);
  });

  it('a hedge is asked of one that is known to answer', async () => {
    for (const name of ['near', 'far', 'farthest']) moods.set(name, name === 'farthest' ? 'well' : 'gone');
    const client = clientOf({ hedgeMs: 100 });
    for (let at = 0; at < BREAKER_FAILURES_IN_A_ROW; at++) await get(client, 'k');
    moods.set('farthest', { afterMs: 300 });
    sent.length = 0;
    expect(await get(client, 'k')).toBe('farthest');
    expect(asked()).toEqual(['farthest']);
  });
});

describe('an address that is back', () => {
  const KEYS = Array.from({ length: 200 }, (_, at) => `k${at}`);
  const servedNear = async (client: Client): Promise<readonly string[]> => {
    const near: string[] = [];
    for (const pk of KEYS) if ((await get(client, pk)) === 'near') near.push(pk);
    return near;
  };

  async function away(): Promise<Client> {
    moods.set('near', 'gone');
    const client = clientOf();
    for (let at = 0; at < BREAKER_FAILURES_IN_A_ROW; at++) await get(client, 'k');
    return client;
  }

  /** A request begins the probe, the next one finds what it found. */
  async function probed(client: Client): Promise<void> {
    await clock.advance(REJOIN_PROBE_MS);
    await get(client, 'k');
  }

  it('gets nothing while it says that it has not caught up', async () => {
    const client = await away();
    moods.set('near', 'lagging');
    for (let at = 0; at < 5; at++) await probed(client);
    expect(await servedNear(client)).toEqual([]);
    expect(asked('/readyz').length).toBeGreaterThanOrEqual(5);
  });

  it('gets its keys step by step then, and keeps those that it has', async () => {
    const client = await away();
    moods.set('near', 'well');
    await probed(client);
    const first = await servedNear(client);
    await clock.advance(SLOW_START_MS / 2);
    const later = await servedNear(client);
    await clock.advance(SLOW_START_MS / 2);
    expect(first.length).toBeGreaterThan(5);
    expect(first.length).toBeLessThan(40);
    expect(later.length).toBeGreaterThan(80);
    expect(later.length).toBeLessThan(140);
    expect(later).toEqual(expect.arrayContaining([...first]));
    expect(await servedNear(client)).toHaveLength(KEYS.length);
  });

  it('is asked all the same where nobody else answers', async () => {
    const client = await away();
    moods.set('near', 'lagging');
    moods.set('far', 'gone');
    moods.set('farthest', 'gone');
    expect(await get(client, 'k')).toBe('near');
  });
});

describe('the topology', () => {
  const document = (epoch: number, state: string): Mood => ({ status: 200, headers: { topology: `1.${epoch}` }, body: JSON.stringify({ term: 1, epoch, regions: [{ id: 'near', state, url: 'http://near/' }, { id: 'far', state: 'active', url: 'http://far' }] }) });

  it('a region that is drained is asked after the others, from the answer on that showed another document', async () => {
    const client = clientOf();
    moods.set('near', document(2, 'draining'));
    expect(await get(client, 'k')).toBe('near');
    expect(await get(client, 'k')).toBe('far');
    expect(sent.map(({ to, target }) => [to, target.split('?')[0]])).toContainEqual(['near', '/v1/topology']);
    expect(sent.find(({ target }) => target === '/v1/topology')?.headers).toEqual({ authorization: 'Bearer ak_x_y' });
    moods.set('far', document(3, 'active'));
    await get(client, 'k');
    expect(await get(client, 'k')).toBe('near');
    moods.set('near', document(2, 'draining')); // an older one
    sent.length = 0;
    for (let at = 0; at < 3; at++) expect(await get(client, 'k')).toBe('near');
    expect(asked('/v1/topology')).toEqual([]);
  });

  it('a region that is drained and answers is asked before one that does not', async () => {
    moods.set('near', document(2, 'draining'));
    moods.set('far', 'silent');
    const client = clientOf({ others: [{ url: 'http://far', transport: region('far') }] });
    for (let at = 0; at <= BREAKER_FAILURES_IN_A_ROW; at++) await get(client, 'k');
    sent.length = 0;
    expect(await get(client, 'k')).toBe('near');
    expect(asked()).toEqual(['near']);
  });

  it('who may not read it asks once', async () => {
    moods.set('near', { status: 403, headers: { topology: '1.2' } });
    const client = clientOf();
    for (let at = 0; at < 3; at++) await get(client, 'k');
    expect(asked('/v1/topology')).toEqual(['near']);
  });

  it('of one address nothing is asked', async () => {
    moods.set('near', { status: 200, headers: { topology: '1.2' } });
    const client = clientOf({ others: [] });
    await get(client, 'k');
    expect(sent).toHaveLength(1);
    expect(sent[0]?.headers).not.toHaveProperty('topology');
  });
});
