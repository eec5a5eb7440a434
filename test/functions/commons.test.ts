// What the functions share, where no emulator is needed.

import type { LambdaFunctionURLEvent } from 'aws-lambda';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compressed, expanded } from '../../src/adapters/aws/compressed.ts';
import { decodeHints, encodeHints, hintOf, lossHintOf, packed, PACKED_BYTES_MAX } from '../../functions/commons/messages.ts';
import { Once } from '../../functions/commons/once.ts';
import { firstTopology, peersOf, settingsOf } from '../../functions/commons/settings.ts';
import { requestOf } from '../../functions/commons/function-url.ts';
import { toBase64 } from '../../src/adapters/aws/base64.ts';
import { LOSSES_KEPT_MS } from '../../src/adapters/aws/ledger.ts';
import { LambdaClock } from '../../src/adapters/aws/lambda-clock.ts';
import { names, peerOfHints } from '../../src/adapters/aws/names.ts';
import { RETRY_BUDGET, RETRY_PRICE, RetryBudget } from '../../src/adapters/aws/retry-budget.ts';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { topologyVersion } from '../../src/core/placement/topology.ts';
import { STAMP_ZERO } from '../../src/core/version/stamp.ts';
import { MalformedError, NewerFormatError } from '../../src/core/version/codec.ts';
import { encodeRecords, seal, unseal } from '../../src/engine/envelope.ts';
import { Timekeeper } from '../../src/engine/timekeeper.ts';
import { A, AP, bytes, EU, key, US } from '../contract/make.ts';

describe('the request of a function URL', () => {
  const event = JSON.parse(readFileSync(new URL('fixtures/url-get.json', import.meta.url), 'utf8')) as LambdaFunctionURLEvent;

  it.each(['a%2Fb', 'a%252Fb', '%00', 'a//b', '.', '..', '%2e%2e', 'caf%C3%A9', '%ff', 'a+b', 'a%20b'])('keeps the path as it was sent: %s', (segment) => {
    const rawPath = `/v1/c/demo/items/${segment}`;
    expect(requestOf({ ...event, rawPath }).rawTarget).toBe(rawPath);
  });

  it('keeps the query as it was sent', () => {
    expect(requestOf({ ...event, rawQueryString: 'pk=a%2Bb&keys=text' }).rawTarget).toBe(`${event.rawPath}?pk=a%2Bb&keys=text`);
  });

  it('drops the body of a GET, and the field that announces it', async () => {
    const { request } = requestOf({ ...event, body: 'aGVsbG8=', isBase64Encoded: true, headers: { ...event.headers, 'content-length': '5' } });
    expect([request.headers.get('content-length'), await request.text()]).toEqual([null, '']);
  });

  it.each(['TRACE', 'CONNECT'])('refuses %s', (method) => {
    expect(() => requestOf({ ...event, requestContext: { ...event.requestContext, http: { ...event.requestContext.http, method } } })).toThrow('not allowed');
  });
});

describe('messages', () => {
  const record = (size: number, name: number): { key: Uint8Array; state: Uint8Array } => ({ key: key(`item ${name}`).encoded, state: new Uint8Array(size) });

  it('are packed so that SQS bills each as one', () => {
    const messages = packed(Array.from({ length: 300 }, (_, at) => record(1_000, at)));
    const envelope = { from: EU, actor: A, wallMs: Date.now(), clock: 'safe', topology: topologyVersion(firstTopology([AP, EU, US])) } as const;
    const texts = messages.map((message) => toBase64(seal(envelope, encodeRecords(message))));
    expect(messages.flat()).toHaveLength(300);
    expect(Math.max(...texts.map(({ length }) => length))).toBeLessThanOrEqual(64 * 1024);
    expect(Math.min(...texts.slice(0, -1).map(({ length }) => length))).toBeGreaterThan(56 * 1024);
  });

  it('carry a record alone that is larger than a message', () => {
    expect(packed([record(10, 1), record(PACKED_BYTES_MAX + 1, 2), record(10, 3)]).map(({ length }) => length)).toEqual([1, 1, 1]);
    expect(packed([])).toEqual([]);
  });

  it('are compressed where that pays, and come out as they were', () => {
    const json = utf8(JSON.stringify(Array.from({ length: 200 }, (_, at) => ({ id: at, name: `customer ${at}`, active: true }))));
    const noise = nodeRandom.bytes(20_000);
    const small = utf8('{"n":1}');
    expect(compressed(json).length).toBeLessThan(json.length / 3);
    expect([compressed(noise), compressed(small)]).toEqual([noise, small]);
    for (const message of [json, noise, small]) expect(expanded(compressed(message))).toEqual(message);
  });

  it('compressed, are a later format to a release that knows nothing of it', () => {
    const message = compressed(utf8('x'.repeat(5_000)));
    expect(() => unseal(message)).toThrow(NewerFormatError);
  });

  it('that are broken, or would grow beyond any message, are malformed', () => {
    const bomb = compressed(new Uint8Array(20 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(200_000);
    for (const message of [bomb, Uint8Array.of(0xc0, 1, 2, 3)]) expect(() => expanded(message)).toThrow(MalformedError);
  });

  it('of hints name keys, under a version', () => {
    const message = encodeHints([hintOf(key('a').encoded), hintOf(key('b', 'c').encoded)]);
    expect(decodeHints(message).map(({ key: { pk } }) => Buffer.from(pk).toString())).toEqual(['a', 'b']);
    const ofRow = encodeHints([hintOf(key('a').encoded), lossHintOf(key('a').encoded, 'f'.repeat(24))]);
    expect(decodeHints(ofRow).map(({ loss }) => loss)).toEqual([undefined, 'f'.repeat(24)]);
    expect(() => decodeHints(encodeHints([{ key: key('a').encoded, state: bytes('loss of what?') }]))).toThrow(MalformedError);
    expect(() => decodeHints(Uint8Array.of(2, 0))).toThrow(NewerFormatError);
    for (const broken of [[], [0, 0], [1, 255, 255, 255], [1, 1, 1, 7, 0]]) expect(() => decodeHints(Uint8Array.from(broken))).toThrow(MalformedError);
  });
});

describe('names', () => {
  it('tell whose hints a queue holds', () => {
    const arn = (name: string): string => `arn:aws:sqs:eu-central-1:000000000000:${name}`;
    expect(peerOfHints('archipel', EU, arn(names.hints('archipel', EU, US)))).toBe(US);
    for (const other of [names.inbox('archipel', EU), names.hints('archipel', US, EU), names.hints('other', EU, US), '']) expect(peerOfHints('archipel', EU, arn(other))).toBeUndefined();
  });

  const environment = { ARCHIPEL_DEPLOYMENT: 'shop', ARCHIPEL_REGIONS: 'eu-central-1,us-east-1', ARCHIPEL_REPLICAS: '2', ARCHIPEL_LEDGER_DAYS: '90', ARCHIPEL_PARTITION: 'aws', ARCHIPEL_ACCOUNT: '000000000000', AWS_REGION: 'us-east-1' };
  it('come from the environment, which must be whole', () => {
    expect(peersOf(settingsOf(environment))).toEqual([EU]);
    for (const name of Object.keys(environment)) expect(() => settingsOf({ ...environment, [name]: undefined })).toThrow(name);
  });

  it('say how long loss rows are kept: days, or for ever; what is no number of days is refused', () => {
    const kept = (days: string): number | null => settingsOf({ ...environment, ARCHIPEL_LEDGER_DAYS: days }).lossesKeptMs;
    expect([kept('90'), kept('1'), kept('forever')]).toEqual([LOSSES_KEPT_MS, 86_400_000, null]);
    for (const days of ['0', '-1', '1.5', 'ever', 'null', 'NaN']) expect(() => kept(days), days).toThrow('ARCHIPEL_LEDGER_DAYS');
  });
});

describe('the clock of a function', () => {
  it('stays safe over a freeze in which only the wall goes on, and is unsafe after a step back', () => {
    const machine = { wall: 1_800_000_000_000, monotonic: 100 };
    const clock = new LambdaClock({ wallMs: () => machine.wall, monotonicMs: () => machine.monotonic });
    const time = new Timekeeper(clock, STAMP_ZERO, () => true);
    time.finishStart();
    const before = time.stamp();
    machine.wall += 600_000; // frozen for ten minutes
    clock.thaw();
    expect([time.status(), time.nowMs(), clock.monotonicMs()]).toEqual(['safe', machine.wall, 600_100]);
    expect(time.stamp() > before).toBe(true);
    machine.wall -= 60_000;
    clock.thaw();
    expect(time.status()).toBe('unsafe');
  });

  it('is unsafe while the time of AWS contradicts it by more than half a second, either way, and safe again when it agrees', () => {
    const clock = new LambdaClock({ wallMs: () => 0, monotonicMs: () => 0 });
    const time = new Timekeeper(clock, STAMP_ZERO, () => true);
    time.finishStart();
    const at = 1_800_000_000_000; // a whole second: what a date names may be up to one later
    const told = (sentMs: number, receivedMs = sentMs): string => {
      clock.compare({ dateMs: at, sentMs, receivedMs });
      return time.status();
    };
    expect([told(at), told(at + 1_500), told(at - 500), told(at - 3_000, at + 3_000)]).toEqual(['safe', 'safe', 'safe', 'safe']); // who waits long learns little
    expect([told(at + 1_501), told(at - 501), told(at)]).toEqual(['unsafe', 'unsafe', 'safe']);
  });
});

describe('retries', () => {
  it('have a budget: some in a row, then as many as calls that succeed have earned', () => {
    const budget = new RetryBudget();
    const inARow = (): number => {
      let count = 0;
      while (budget.take()) count++;
      return count;
    };
    expect(inARow()).toBe(RETRY_BUDGET / RETRY_PRICE);
    for (let call = 0; call < 2 * RETRY_PRICE; call++) budget.earn();
    expect(inARow()).toBe(2);
    for (let call = 0; call < 10 * RETRY_BUDGET; call++) budget.earn();
    expect(inARow()).toBe(RETRY_BUDGET / RETRY_PRICE);
  });
});

describe('once', () => {
  const onceOf = (...results: (Error | string)[]): Once<string | undefined> =>
    new Once(async () => {
      const result = results.shift();
      if (result instanceof Error) throw result;
      return result;
    });

  it('makes a thing once', async () => {
    const once = onceOf('made', 'made twice');
    expect([await once.get(), await once.get()]).toEqual(['made', 'made']);
  });

  it('what failed while loading is made again by the first invocation', async () => {
    expect(await onceOf(new Error('not yet'), 'made').get()).toBe('made');
  });

  it('what fails in an invocation fails it, and is made again by the next', async () => {
    const once = onceOf(new Error('loading'), new Error('not yet'), 'made', 'made twice');
    await expect(once.get()).rejects.toThrow('not yet');
    expect([await once.get(), await once.get()]).toEqual(['made', 'made']);
  });
});

