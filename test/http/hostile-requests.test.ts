// Some fifteen hundred requests that nobody means well with, through the whole app: each is refused with a problem of 4xx
// and changes nothing, or stores exactly what it says under exactly the key that it names. Never 5xx.

import { beforeAll, expect, test } from 'vitest';
import { toBase64Url } from '../../src/core/bytes.ts';
import type { ProblemDocument } from '../../src/http/problem.ts';
import { startRegion, type Answer, type TestRegion } from './harness.ts';
import { decodedKey, hostileRequests, type Hostile } from './hostile.ts';

const REQUESTS = hostileRequests();

let eu: TestRegion;
const unhandled: unknown[] = [];
beforeAll(async () => {
  eu = await startRegion();
  await eu.put('/v1/c/demo/items/alice', '{"a":1}', { 'content-type': 'application/json' });
  process.on('unhandledRejection', (error) => unhandled.push(error));
});

/** The platform's own Request refuses some methods and field values before we could; those are sent over a socket elsewhere. */
async function send(request: Hostile): Promise<Answer | undefined> {
  try {
    return await eu.send(request.method, request.target, { ...(request.headers === undefined ? {} : { headers: request.headers }), ...(request.body === undefined ? {} : { body: request.body }) });
  } catch (error) {
    if (error instanceof TypeError && /valid HTTP method|ByteString|method is unsupported|invalid header value/i.test(String(error.message) + String(error.cause))) return undefined;
    throw error;
  }
}

const described = ({ why, method, target, headers, body }: Hostile): string => `${why}: ${method} ${JSON.stringify(target.slice(0, 120))} ${JSON.stringify(headers ?? {}).slice(0, 120)} ${JSON.stringify(typeof body === 'string' ? body.slice(0, 80) : `${body?.length ?? 0} B`)}`;

/** What is wrong with an answer that should refuse. */
function faultOf(answer: Answer): string | undefined {
  if (answer.status < 400 || answer.status > 499) return `answered ${answer.status} ${answer.text.slice(0, 200)}`;
  if (answer.field('content-type') !== 'application/problem+json') return `${answer.status} is no problem`;
  const problem = answer.json<ProblemDocument>();
  if (problem.status !== answer.status || !problem.type.startsWith('/docs/problems/') || typeof problem.detail !== 'string' || problem.retryable) return `a problem that is none: ${answer.text}`;
  return undefined;
}

async function faultOfStored({ stores }: Hostile, answer: Answer): Promise<string | undefined> {
  const { pk, sk, value } = stores as NonNullable<Hostile['stores']>;
  if (answer.status < 200 || answer.status > 299) return `answered ${answer.status} ${answer.text.slice(0, 200)}`;
  const target = `/v1/c/demo/items?pk=${toBase64Url(pk)}&sk=${toBase64Url(sk)}&keys=base64url`;
  const got = await eu.send('GET', target);
  if (!Buffer.from(got.bytes).equals(Buffer.from(value))) return `under ${target} lies ${got.text.slice(0, 200)}`;
  const context = got.field('causal-context') as string;
  await eu.send('DELETE', target, { headers: { 'causal-context': context } });
  return undefined;
}

test('there are more than a thousand, each another', () => {
  expect(REQUESTS.length).toBeGreaterThan(1_000);
  expect(REQUESTS.filter(({ why }) => why === 'a generated key').filter(({ stores }) => stores !== undefined).length).toBeGreaterThan(20);
});

test('each is refused with 4xx and changes nothing, or is what it says', async () => {
  const faults: string[] = [];
  let sent = 0;
  // What is stored is compared whenever it could have been changed: comparing it each time would cost most of the time.
  let before = await eu.stored();
  for (const [at, request] of REQUESTS.entries()) {
    const answer = await send(request);
    if (answer === undefined) continue;
    sent++;
    const fault = request.stores !== undefined ? await faultOfStored(request, answer) : request.reads === true ? (answer.status === 200 ? undefined : `answered ${answer.status}`) : faultOf(answer);
    if (fault !== undefined) faults.push(`${described(request)} -> ${fault}`);
    if (request.stores !== undefined) before = await eu.stored();
    else if (at % 10 === 0 || answer.status < 300) {
      const after = await eu.stored();
      if (after !== before) faults.push(`${described(request)} -> or one before it changed what is stored`);
      before = after;
    }
  }
  expect(faults).toEqual([]);
  expect(await eu.stored()).toBe(before);
  expect(sent).toBeGreaterThan(1_000);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  expect(unhandled).toEqual([]);
  expect((await eu.get('/v1/c/demo/items/alice')).text).toBe('{"a":1}');
});

test('a key is the same bytes by every way in, and refused by every way in: paths, queries, ranges, explain, Location', async () => {
  const raws = ['a', '%41', 'a%2Fb', '%25zz', '%zz', '%ff', '%C0%AF', '%00', '+', '%2B', '%20', 'a#b', '%ED%A0%80', '%EF%BB%BF', 'e%CC%81', '%C3%A9'];
  for (const raw of raws) {
    const expected = decodedKey(raw);
    const statuses: number[] = [];
    for (const target of [`/v1/c/demo/items/${raw}`, `/v1/c/demo/items?pk=${raw}`]) statuses.push((await eu.send('PUT', target, { body: raw })).status);
    for (const target of [`/v1/c/demo/ranges/${raw}`, `/v1/c/demo/ranges?pk=${raw}`, `/v1/c/demo/explain/${raw}`, `/v1/c/demo/explain?pk=${raw}`]) statuses.push((await eu.send('GET', target)).status);
    expect([raw, statuses.map((status) => status < 300)]).toEqual([raw, statuses.map(() => expected !== undefined)]);
    if (expected === undefined) expect([raw, statuses]).toEqual([raw, statuses.map(() => 400)]);
    else expect((await eu.send('GET', `/v1/c/demo/items?pk=${toBase64Url(expected)}&keys=base64url`)).text).toBe(raw);
  }
});
