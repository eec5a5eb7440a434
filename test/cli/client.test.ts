// The client: what it sends again, when it gives up, and what it then says.

import { describe, expect, it } from 'vitest';
import { Client, servedByOf } from '../../src/client/client.ts';
import { NoAnswer, type Attempt, type Transport, type TransportAnswer, type TransportRequest } from '../../src/client/exchange.ts';
import { utf8, utf8Text } from '../../src/core/bytes.ts';
import type { Clock } from '../../src/ports/clock.ts';

/** Time passes only while somebody waits. */
class HurriedClock implements Clock {
  #nowMs = 1_800_000_000_000;
  /** How much longer every wait takes than was asked for. */
  lateMs = 0;
  wallMs(): number {
    return this.#nowMs;
  }
  monotonicMs(): number {
    return this.#nowMs;
  }
  pass(ms: number): void {
    this.#nowMs += ms;
  }
  after(delayMs: number, task: () => void): () => void {
    let isOff = false;
    queueMicrotask(() => {
      if (isOff) return;
      this.#nowMs += delayMs + this.lateMs;
      task();
    });
    return () => (isOff = true);
  }
}

type Scripted = Partial<TransportAnswer> | 'refused' | 'distrusted' | 'lost';

const problem = (code: string, status: number, headers: Record<string, string> = {}): Scripted => ({
  status,
  headers: { 'content-type': 'application/problem+json', ...headers },
  body: utf8(JSON.stringify({ type: `https://archipel.invalid/problems/${code}`, title: '', status, detail: `It is ${code}.`, instance: 'r1', retryable: status >= 500 })),
});
const stored: Scripted = { status: 204, headers: { 'write-outcome': 'stored', etag: '"t1"', 'served-by': 'eu-central-1; origin=eu-central-1; age-ms=2' } };

/** A server that answers by a script; the last line is repeated. */
function scripted(...script: readonly Scripted[]): { readonly client: Client; readonly sent: TransportRequest[]; readonly attempts: Attempt[]; readonly clock: HurriedClock } {
  const sent: TransportRequest[] = [];
  const attempts: Attempt[] = [];
  const clock = new HurriedClock();
  const transport: Transport = {
    send: (request) => {
      const line = script[Math.min(sent.length, script.length - 1)] as Scripted;
      sent.push(request);
      if (line === 'refused') return Promise.reject(new NoAnswer('nothing listens there', true));
      if (line === 'distrusted') return Promise.reject(new NoAnswer('its certificate is not trusted', true, undefined, true));
      if (line === 'lost') clock.pass(request.timeoutMs);
      if (line === 'lost') return Promise.reject(new NoAnswer('no answer in time', false));
      return Promise.resolve({ status: 200, headers: {}, body: new Uint8Array(0), ...line });
    },
    close: () => undefined,
  };
  let next = 0;
  const random = { bytes: (length: number): Uint8Array => new Uint8Array(length).fill(next++) };
  const client = new Client({ url: 'http://edge', key: 'ak_x_y', transport, clock, random, onAttempt: (attempt) => attempts.push(attempt) });
  return { client, sent, attempts, clock };
}

const ITEM = { collection: 'demo', pk: 'a/b', sk: '..' };

describe('requests', () => {
  it('carry keys as base64url, the bearer key, and an operation id', async () => {
    const { client, sent } = scripted(stored);
    await client.put(ITEM, 'v', { context: 'c1', ifMatch: 't0', replicateTo: ['eu-central-1', 'us-east-1'], ttlSeconds: 60, viewer: { lat: 1.5, lon: -2 } });
    expect(sent[0]).toMatchObject({ method: 'PUT', target: '/v1/c/demo/items?pk=YS9i&sk=Li4&keys=base64url&lat=1.5&lon=-2' });
    expect(sent[0]?.headers).toMatchObject({
      authorization: 'Bearer ak_x_y',
      'content-type': 'text/plain; charset=utf-8',
      'causal-context': 'c1',
      'if-match': '"t0"',
      'replicate-to': '("eu-central-1" "us-east-1")',
      'item-ttl': '60',
    });
    expect(sent[0]?.headers['idempotency-key']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(utf8Text(sent[0]?.body as Uint8Array)).toBe('v');
  });

  it('carry keys in the path for people, where they can travel there', async () => {
    const { client, sent } = scripted({ status: 404, ...(problem('not-found', 404) as object) });
    await client.with({ keysIn: 'path' }).get({ collection: 'demo', pk: 'a/b' });
    await client.with({ keysIn: 'path' }).get(ITEM);
    expect(sent.map(({ target }) => target)).toEqual(['/v1/c/demo/items/a%2Fb', '/v1/c/demo/items?pk=YS9i&sk=Li4&keys=base64url']);
  });

  it('to a certain region are not answered by another', async () => {
    const { client } = scripted({ headers: { 'served-by': 'us-east-1' }, body: utf8('{}') });
    await expect(client.with({ region: 'eu-central-1' }).replication()).rejects.toMatchObject({ code: 'wrong-region' });
    await expect(client.with({ region: 'us-east-1' }).replication()).resolves.toEqual({});
  });
});

describe('answers', () => {
  it('a value, siblings, nothing', async () => {
    const common = { etag: '"t1"', 'causal-context': 'c1', 'served-by': 'eu-central-1; origin=us-east-1; age-ms=140' };
    const { client } = scripted(
      { status: 200, headers: { ...common, 'content-type': 'text/plain', sunset: 'Sat, 21 Nov 2026 00:00:00 GMT' }, body: utf8('hello') },
      { status: 300, headers: { ...common, etag: '"t1;json"' }, body: utf8('{"siblings":[{"value":1},{"value":2}],"context":"c1"}') },
      problem('not-found', 404, { 'causal-context': 'c2', 'served-by': 'eu-central-1' }),
      problem('collection-not-found', 404),
    );
    expect(await client.get(ITEM)).toMatchObject({ type: 'value', contentType: 'text/plain', etag: 't1', context: 'c1', expires: new Date('2026-11-21T00:00:00Z'), servedBy: { region: 'eu-central-1', origin: 'us-east-1', ageMs: 140 } });
    expect(await client.get(ITEM)).toMatchObject({ type: 'siblings', siblings: [{ value: 1 }, { value: 2 }], etag: 't1' });
    expect(await client.get(ITEM)).toEqual({ type: 'absent', context: 'c2', servedBy: { region: 'eu-central-1' } });
    await expect(client.get(ITEM)).rejects.toMatchObject({ code: 'collection-not-found' });
  });

  it('of a write that is not yet in as many regions as asked', async () => {
    const { client } = scripted({ status: 202, headers: { 'write-outcome': 'stored', 'replicated-to': '("us-east-1")' } });
    expect(await client.put(ITEM, 'v', { replicateTo: 2 })).toMatchObject({ outcome: 'stored', isReplicated: false, replicatedTo: ['us-east-1'] });
    expect(await scripted(stored).client.put(ITEM, 'v', { replicateTo: 2 })).toMatchObject({ isReplicated: true });
    expect(await scripted(stored).client.put(ITEM, 'v')).not.toHaveProperty('isReplicated'); // nobody asked, and nobody knows
  });

  it('that are no problem documents are errors all the same', async () => {
    const { client } = scripted({ status: 500, body: utf8('<html>') }, { status: 200, body: utf8('<html>') });
    await expect(client.topology()).rejects.toMatchObject({ code: 'internal', message: 'The server answered 500 without saying why.' });
    await expect(client.topology()).rejects.toMatchObject({ code: 'internal', message: 'http://edge answered what is not JSON.' });
  });

  it('Served-By', () => {
    expect(servedByOf('eu-central-1')).toEqual({ region: 'eu-central-1' });
    expect(servedByOf(undefined)).toEqual({ region: '' });
  });
});

describe('sending again', () => {
  it('a write goes again under the same operation id', async () => {
    const { client, sent } = scripted('refused', 'lost', problem('overloaded', 503), problem('write-outcome-unknown', 504), stored);
    expect(await client.put(ITEM, 'v')).toMatchObject({ outcome: 'stored', attempts: 5 });
    expect(new Set(sent.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  });

  it('so does a restore', async () => {
    const { client, sent } = scripted('lost', { status: 200, body: utf8('{"id":"1","outcome":"duplicate"}') });
    expect(await client.restore('demo', '1')).toEqual({ id: '1', outcome: 'duplicate', operation: sent[0]?.headers['idempotency-key'] });
    expect(sent[1]?.headers['idempotency-key']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(sent[1]?.headers['idempotency-key']).toBe(sent[0]?.headers['idempotency-key']);
  });

  it('Retry-After is kept to', async () => {
    const { client, clock } = scripted(problem('overloaded', 503, { 'retry-after': '4' }), stored);
    const startedMs = clock.monotonicMs();
    await client.put(ITEM, 'v');
    expect(clock.monotonicMs() - startedMs).toBe(4_000);
  });

  it('what would come too late is not waited for', async () => {
    const { client, sent } = scripted(problem('overloaded', 503, { 'retry-after': '60' }));
    await expect(client.put(ITEM, 'v')).rejects.toMatchObject({ code: 'overloaded' });
    expect(sent).toHaveLength(1);
  });

  it('nobody listens until the time is over: certainly not written', async () => {
    const { client, sent, attempts, clock } = scripted('refused');
    const startedMs = clock.monotonicMs();
    await expect(client.put(ITEM, 'v', { timeoutMs: 3_000 })).rejects.toMatchObject({ code: 'no-region-available', message: 'http://edge gave no answer (nothing listens there).' });
    expect(clock.monotonicMs() - startedMs).toBeLessThan(3_000);
    expect(sent.length).toBeGreaterThan(4);
    expect(attempts.map(({ again }) => again !== undefined)).toEqual([...sent.slice(1).map(() => true), false]);
  });

  it('a timer that is late does not begin an attempt after the end', async () => {
    const { client, sent, clock } = scripted('refused');
    clock.lateMs = 10_000;
    await expect(client.put(ITEM, 'v', { timeoutMs: 3_000 })).rejects.toMatchObject({ code: 'no-region-available' });
    expect(sent).toHaveLength(1);
  });

  it('a certificate that is not trusted is not tried again, and nothing was written', async () => {
    const { client, sent } = scripted('distrusted');
    await expect(client.put(ITEM, 'v')).rejects.toMatchObject({ code: 'no-region-available' });
    expect(sent).toHaveLength(1);
  });

  it.each(['lost', problem('write-outcome-unknown', 504)] as const)('an answer that is lost leaves the outcome open', async (line) => {
    const { client } = scripted(line);
    await expect(client.put(ITEM, 'v', { operation: 'op1' })).rejects.toMatchObject({ code: 'write-outcome-unknown', details: { operation: 'op1' } });
  });

  it('a refusal after a lost answer is no proof that the write was not done', async () => {
    const { client } = scripted('lost', problem('precondition-failed', 412));
    await expect(client.put(ITEM, 'v', { ifMatch: 't0' })).rejects.toMatchObject({ code: 'write-outcome-unknown', message: 'It is unknown whether the write happened (the last attempt was answered 412: It is precondition-failed).' });
  });

  it('after an attempt that certainly did not arrive a refusal is one', async () => {
    const { client } = scripted('refused', problem('precondition-failed', 412));
    await expect(client.put(ITEM, 'v', { ifMatch: 't0' })).rejects.toMatchObject({ code: 'precondition-failed', details: { status: 412, requestId: 'r1' } });
  });

  it('a read that gets no answer is only that', async () => {
    const { client } = scripted('lost');
    await expect(client.get(ITEM)).rejects.toMatchObject({ code: 'no-region-available' });
  });

  it('what may not be done twice goes again only if it did not arrive', async () => {
    const key = { status: 201, body: utf8('{"id":"1","key":"ak_1_x"}') };
    const first = scripted('refused', key);
    expect(await first.client.createKey({ scopes: ['read'] })).toEqual({ id: '1', key: 'ak_1_x' });
    const second = scripted('lost', key);
    await expect(second.client.createKey({ scopes: ['read'] })).rejects.toMatchObject({ code: 'write-outcome-unknown' });
    expect(second.sent).toHaveLength(1);
  });
});
