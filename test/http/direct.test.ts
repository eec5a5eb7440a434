import { Agent, request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serve, type RunningServer } from '../../src/local/http-server.ts';
import { seededRandom, startCluster, AP, EU, US, type TestCluster, type TestRegion } from './harness.ts';

// The direct door and the main one, before two stores that are equal in everything: clock, chance, data. Every request goes
// to both; status, fields and bytes of the answers have to be the same, and so does what is stored in the end.

interface World {
  readonly cluster: TestCluster;
  readonly region: TestRegion;
  readonly server: RunningServer;
  readonly agent: Agent;
  taken: number;
}

interface Sent {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly string[];
  readonly body: Uint8Array | undefined;
}

interface Answered {
  readonly status: number | undefined;
  readonly fields: readonly string[];
  readonly body: string;
}

const REQUESTS = 2_000;

async function startWorld(isDirect: boolean): Promise<World> {
  const cluster = await startCluster({ regions: [AP, EU, US], replicas: 2 });
  const region = cluster.at(EU);
  for (const [name, policy] of [['demo', {}], ['carts', { conflict: 'siblings' }], ['strict', { requireContext: true }], ['away', { regions: [AP, US] }]] as const) await region.collection(name, policy);
  await cluster.converge();
  await region.key(['read']);
  await region.key(['write'], { collections: ['demo'], prefixes: ['a'] });
  const world = { cluster, region, agent: new Agent({ keepAlive: true, maxSockets: 1 }), taken: 0 } as World & { server: RunningServer };
  const direct: typeof region.direct = (asked) => {
    const answer = region.direct(asked);
    if (answer !== undefined) world.taken++;
    return answer;
  };
  world.server = await serve(region.app, { host: '127.0.0.1', port: 0, place: EU, ...(isDirect ? { direct } : {}) });
  return world;
}

/** Every answer but for what tells when it was made. */
function send({ server, agent }: World, { method, target, fields, body }: Sent): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port: server.port, method, path: target, agent, headers: ['host', 'region', ...fields] as never }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
      response.on('end', () => {
        const told: string[] = [];
        for (let at = 0; at < response.rawHeaders.length; at += 2) {
          const name = (response.rawHeaders[at] as string).toLowerCase();
          if (name !== 'date') told.push(`${name}: ${response.rawHeaders[at + 1]}`);
        }
        resolve({ status: response.statusCode, fields: told.sort(), body: Buffer.concat(chunks).toString('latin1') });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Requests as clients send them, and as nobody should; conditions and contexts are taken from answers before. */
function* requests(adminKey: string, otherKeys: readonly string[], seen: { readonly tags: string[]; readonly contexts: string[] }): Generator<Sent> {
  const random = seededRandom(7);
  const below = (limit: number): number => {
    const [a = 0, b = 0] = random.bytes(2);
    return (a * 256 + b) % limit;
  };
  const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  const sometimes = (share: number, ...fields: readonly string[]): readonly string[] => (below(1_000) < share * 1_000 ? fields : []);
  const keys = ['alice', 'bob', 'a.b', 'a:b', '~', '-', '.', '..', 'x'.repeat(512), 'x'.repeat(513), '%61lice', 'a%2Fb', 'ä', ''];
  for (let at = 0; at < REQUESTS; at++) {
    const method = pick(['GET', 'GET', 'PUT', 'PUT', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'POST']);
    const collection = pick(['demo', 'demo', 'carts', 'carts', 'strict', 'away', 'none', '_keys', 'de%6Do', '.']);
    const sk = below(4) === 0 ? `/${pick(keys)}` : '';
    const target = encodeURI(`/v1/c/${collection}/items/${below(3) === 0 ? pick(keys) : pick(['alice', 'bob', 'a.b'])}${sk}${pick(['', '', '', '', '', '?lat=1&lon=2', '?x=1', '/more'])}`).replaceAll('%25', '%');
    const key = below(20) === 0 ? pick(['ak_no_such', ...otherKeys, '']) : adminKey;
    const json = below(3) === 0;
    const text = json ? pick(['{"a":1}', '{"a":', '[]', '{"a":1,"a":2}']) : 'v'.repeat(pick([0, 1, 20, 1_000, 9_000, 11_000, 70_000]));
    const hasBody = method === 'PUT' || method === 'PATCH' || (method === 'POST' && below(2) === 0);
    const fields = [
      ...(key === '' ? [] : [pick(['authorization', 'Authorization']), `Bearer ${key}`]),
      ...(hasBody ? [pick(['content-type', 'Content-Type']), json ? pick(['application/json', 'application/merge-patch+json']) : pick(['text/plain', 'application/octet-stream', 'text/plain; charset=utf-8'])] : []),
      ...sometimes(0.1, 'If-Match', pick([...seen.tags.slice(-5), '*', '"x"', 'bad'])),
      ...sometimes(0.1, 'if-none-match', pick([...seen.tags.slice(-5), '*', '"x"'])),
      ...sometimes(0.15, 'causal-context', pick([...seen.contexts.slice(-5), 'AAAA'])),
      ...sometimes(0.1, 'idempotency-key', pick(['one', 'two', `"${at}"`, '"'])),
      ...sometimes(0.05, 'item-ttl', pick(['1', '100', 'soon'])),
      ...sometimes(0.1, 'prefer', pick(['return=representation', 'siblings=winner', 'siblings=all, return=minimal', 'wait=1', 'nonsense'])),
      ...sometimes(0.05, 'accept', pick(['multipart/mixed', 'application/json', 'text/html'])),
      ...sometimes(0.05, 'consistency', pick(['eventual', 'strong', 'never'])),
      ...sometimes(0.05, 'replicate-to', pick(['1', '9', '("us-east-1")', 'x'])),
      ...sometimes(0.05, 'traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
      ...sometimes(0.03, 'forward', pick(['never', 'always'])),
      ...sometimes(0.03, 'want-content-digest', 'sha-256=1'),
      ...sometimes(0.03, 'content-digest', pick(['sha-256=:AAAA:', 'md5=:x:'])),
      ...sometimes(0.02, 'content-encoding', pick(['identity', 'gzip'])),
      ...sometimes(0.02, 'content-range', 'bytes 0-1/2'),
      ...sometimes(0.03, 'x-other', 'twice', 'X-Other', 'again'),
      ...sometimes(0.02, 'accept', 'application/json', 'Accept', 'text/plain'),
      ...sometimes(0.02, 'expect', '100-continue'),
    ];
    const body = hasBody ? Buffer.from(text) : undefined;
    const framing = body === undefined ? [] : below(20) === 0 ? ['transfer-encoding', 'chunked'] : ['content-length', String(body.length)];
    yield { method, target, fields: [...fields, ...framing], body };
  }
}

describe('the direct door', () => {
  let [direct, main] = [undefined, undefined] as unknown as [World, World];

  beforeAll(async () => {
    [direct, main] = await Promise.all([startWorld(true), startWorld(false)]);
  }, 30_000);

  afterAll(async () => {
    for (const { server, agent } of [direct, main]) {
      agent.destroy();
      await server.close();
    }
  });

  it(`answers ${REQUESTS} requests as the main door does`, { timeout: 300_000 }, async () => {
    const seen = { tags: [] as string[], contexts: [] as string[] };
    const statuses = new Map<number, number>();
    let sentBefore = 0;
    const others = [await direct.region.key(['read']), await direct.region.key(['write'], { collections: ['demo'], prefixes: ['a'] })];
    await Promise.all([main.region.key(['read']), main.region.key(['write'], { collections: ['demo'], prefixes: ['a'] })]);
    for (const sent of requests(direct.region.adminKey, others, seen)) {
      // A connection that was handed over never comes back: others are made, so that the bare socket has its share.
      if (++sentBefore % 3 === 0) for (const { agent } of [direct, main]) agent.destroy();
      const [a, b] = await Promise.all([send(direct, sent), send(main, sent)]);
      expect(a, JSON.stringify({ ...sent, body: sent.body?.length })).toEqual(b);
      statuses.set(a.status ?? 0, (statuses.get(a.status ?? 0) ?? 0) + 1);
      for (const field of a.fields) {
        if (field.startsWith('etag: ')) seen.tags.push(field.slice(6));
        if (field.startsWith('causal-context: ')) seen.contexts.push(field.slice(16));
      }
      await Promise.all([direct, main].map(({ cluster }) => cluster.clock.advance(3)));
    }
    expect(await direct.region.stored()).toBe(await main.region.stored());
    expect(direct.taken).toBeGreaterThan(REQUESTS / 5);
    expect(direct.server.direct.answered).toBeGreaterThan(REQUESTS / 8);
    expect(direct.server.direct.handedOver).toBeGreaterThan(REQUESTS / 8);
    expect(main.taken).toBe(0);
    for (const status of [200, 201, 204, 300, 304, 400, 401, 403, 404, 412]) expect(statuses.get(status), `${status} was never answered`).toBeGreaterThan(0);
  });
});
