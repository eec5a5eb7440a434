// The door between regions: who is let in, what is refused and counted, and how a sender whose clock is off gets in.

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { ManualClock } from '../../src/adapters/memory/clock.ts';
import { deriveKey, hmacSha256, sha256 } from '../../src/adapters/node/crypto.ts';
import type { HttpClient } from '../../src/adapters/node/http-client.ts';
import { HttpPeer, Nonces } from '../../src/adapters/node/http-peer.ts';
import { macOf, OFFSET_FIELD, SIGNATURE_FIELD, Signer, Verifier } from '../../src/auth/signature.ts';
import { utf8, utf8Text } from '../../src/core/bytes.ts';
import { SIGNATURE_WINDOW_MS } from '../../src/core/limits.ts';
import { encodeRecords, seal, unseal, type Envelope } from '../../src/engine/envelope.ts';
import { addPeerRoutes } from '../../src/http/peer-routes.ts';
import { PEER_METHODS, peerPath, type PeerMethod } from '../../src/ports/peer.ts';
import { AP, EU, SECRET, seededRandom, startCluster, type TestCluster, type TestRegion, US } from './harness.ts';

const signerOf = (secret: Uint8Array): Signer => new Signer(hmacSha256(deriveKey(secret, 'signature')), sha256);
const signer = signerOf(SECRET);
const observing = new Signer(hmacSha256(deriveKey(SECRET, 'observer')), sha256);

let cluster: TestCluster;
let eu: TestRegion;
let us: TestRegion;
let verifier: Verifier;
let counter = 0;

beforeEach(async () => {
  cluster = await startCluster({ regions: [AP, EU, US] });
  await cluster.at(US).collection('demo');
  [eu, us] = [cluster.at(EU), cluster.at(US)];
  verifier = open(eu);
});

function open(region: TestRegion): Verifier {
  const opened = new Verifier(signer, region.clock.wallMs());
  addPeerRoutes(region.app, { door: region.region.door, signer, verifier: opened, wallMs: () => region.clock.wallMs(), region: region.id, observers: { signer: observing, verifier: new Verifier(observing, region.clock.wallMs()) }, observe: (observer, question) => region.region.health.observe(observer, question), newRequestId: () => '0123456789abcdef' });
  return opened;
}

const envelope = (): Envelope => (us.region.links.get(EU) as { envelope: () => Envelope }).envelope();
const hello = (): Uint8Array => seal(envelope(), utf8(JSON.stringify({ actor: us.region.actor })));

interface Message {
  readonly field: string;
  readonly path: string;
  readonly method: string;
  readonly body: Uint8Array;
}

/** How a message of us-east-1 differs from a good one. */
interface Made {
  readonly by?: Signer;
  readonly method?: PeerMethod;
  readonly timeMs?: number;
  readonly boot?: string;
  readonly at?: number;
  readonly to?: string;
  readonly body?: Uint8Array;
}

function message({ by = signer, method = 'hello', timeMs = cluster.clock.wallMs(), boot = '00000000000000aa', at = ++counter, to = EU, body = hello() }: Made = {}): Message {
  const path = peerPath(method);
  return { field: by.sign({ from: US, to, method: 'POST', path, timeMs, boot, counter: at }, body), path, method: 'POST', body };
}

const send = ({ field, path, method, body }: Message): ReturnType<TestRegion['send']> => eu.send(method, path, { key: null, body, headers: { [SIGNATURE_FIELD]: field } });

const none = { invalid: 0, expired: 0, replayed: 0 };

describe('between regions: refused and counted', () => {
  test('an authentic message is answered, once', async () => {
    const answer = await send(message());
    expect([answer.status, unseal(answer.bytes).envelope.from]).toEqual([200, EU]);
    expect(verifier.stats).toEqual(none);
  });

  test('no signature, a wrong secret, the key of another purpose', async () => {
    const wrong = [
      { ...message(), field: '' },
      message({ by: signerOf(utf8('another secret')) }),
      message({ by: new Signer(hmacSha256(deriveKey(SECRET, 'context')), sha256) }),
      { ...message(), field: `Bearer ${eu.adminKey}` },
    ];
    for (const each of wrong) expect(await send(each)).toMatchObject({ status: 401, code: 'signature-invalid' });
    expect((await eu.send('POST', '/_region/hello', { key: eu.adminKey, body: hello() })).code).toBe('signature-invalid');
    expect(verifier.stats).toEqual({ ...none, invalid: wrong.length + 1 });
  });

  test('every part of it: body, path, time, nonce, sender, digest, receiver', async () => {
    const good = message();
    const [from, time, boot, count, digest, mac] = good.field.split(' ') as [string, string, string, string, string, string];
    const flipped = good.body.slice();
    flipped[flipped.length - 2] = (flipped[flipped.length - 2] as number) ^ 1;
    const other = utf8('another body');
    const altered: readonly (readonly [string, Message])[] = [
      ['body', { ...good, body: flipped }],
      ['no body', { ...good, body: new Uint8Array(0) }],
      ['longer body', { ...good, body: Uint8Array.from([...good.body, 0]) }],
      ['path', { ...good, path: peerPath('inbox') }],
      ['sender', { ...good, field: [AP, time, boot, count, digest, mac].join(' ') }],
      ['time', { ...good, field: [from, String(Number(time) + 1), boot, count, digest, mac].join(' ') }],
      ['boot', { ...good, field: [from, time, '00000000000000ab', count, digest, mac].join(' ') }],
      ['counter', { ...good, field: [from, time, boot, String(Number(count) + 1), digest, mac].join(' ') }],
      ['counter with a zero', { ...good, field: [from, time, boot, `0${count}`, digest, mac].join(' ') }],
      ['digest and body', { ...good, body: other, field: [from, time, boot, count, Buffer.from(sha256(other)).toString('hex'), mac].join(' ') }],
      ['mac', { ...good, field: [from, time, boot, count, digest, mac.replace(/^./, (first) => (first === '0' ? '1' : '0'))].join(' ') }],
      ['capitals', { ...good, field: [from, time, boot, count, digest, mac.toUpperCase()].join(' ') }],
      ['cut off', { ...good, field: good.field.slice(0, -1) }],
      ['two', { ...good, field: `${good.field}, ${good.field}` }],
      ['for another region', message({ to: AP })],
    ];
    const before = await eu.stored();
    for (const [at, [what, each]] of altered.entries()) {
      const answer = await send(each);
      expect([what, answer.status, answer.code, verifier.stats.invalid >= at]).toEqual([what, 401, 'signature-invalid', true]);
    }
    expect(await eu.stored()).toBe(before);
  });

  test('a message is taken once, whoever sends it again and however often', async () => {
    const good = message();
    expect((await send(good)).status).toBe(200);
    for (let time = 1; time <= 3; time++) {
      expect(await send(good)).toMatchObject({ status: 409, code: 'replayed' });
      expect(verifier.stats).toEqual({ ...none, replayed: time });
    }
    const twice = message();
    expect((await Promise.all([send(twice), send(twice)])).map(({ status }) => status).sort()).toEqual([200, 409]);
  });

  test('records that are signed anew after a copy arrived first are answered as the copy was, and not merged again', async () => {
    const answered = vi.spyOn(eu.region.door, 'answer');
    const body = seal(envelope(), encodeRecords([]));
    const [first, again] = [await send(message({ method: 'inbox', body })), await send(message({ method: 'inbox', body }))];
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(again.bytes).toEqual(first.bytes);
    expect(answered).toHaveBeenCalledTimes(1);
    expect((await send({ ...message({ method: 'inbox', body }), field: '' })).code).toBe('signature-invalid');
    await send(message({ method: 'inbox', body: seal({ ...envelope(), wallMs: envelope().wallMs + 1 }, encodeRecords([])) }));
    const asked = hello();
    for (let time = 0; time < 2; time++) await send(message({ body: asked }));
    expect(answered).toHaveBeenCalledTimes(4); // other bytes, and what holds no records, are asked
    answered.mockRestore();
  });

  test('a field that was recorded, in front of another body, takes the nonce from nobody', async () => {
    const good = message();
    expect((await send({ ...good, body: utf8('mine') })).code).toBe('signature-invalid');
    expect((await send(good)).status).toBe(200);
  });

  test('messages that overtake each other are all taken', async () => {
    const many = Array.from({ length: 20 }, () => message());
    for (const each of [...many].reverse()) expect((await send(each)).status).toBe(200);
    for (const each of many) expect((await send(each)).code).toBe('replayed');
  });

  test('the window is 60 seconds on either side', async () => {
    const now = cluster.clock.wallMs() + SIGNATURE_WINDOW_MS;
    await cluster.clock.advance(SIGNATURE_WINDOW_MS);
    for (const timeMs of [now - SIGNATURE_WINDOW_MS, now + SIGNATURE_WINDOW_MS]) expect((await send(message({ timeMs }))).status).toBe(200);
    for (const timeMs of [now - SIGNATURE_WINDOW_MS - 1, now + SIGNATURE_WINDOW_MS + 1, 0, 999_999_999_999_999]) expect(await send(message({ timeMs }))).toMatchObject({ status: 401, code: 'signature-expired' });
    expect(verifier.stats).toEqual({ ...none, expired: 4 });
  });

  test('a stranger is refused before a byte of his body is read', async () => {
    let pulled = 0;
    const body = (): ReadableStream<Uint8Array> => new ReadableStream<Uint8Array>({ pull: (controller) => { pulled++; controller.enqueue(new Uint8Array(65_536)); } }, { highWaterMark: 0 });
    for (const method of PEER_METHODS) {
      for (const field of ['', message({ by: signerOf(utf8('x')), method }).field, message({ method, timeMs: 0 }).field]) {
        const request = new Request('http://region/', { method: 'POST', headers: { [SIGNATURE_FIELD]: field }, body: body(), duplex: 'half' });
        expect((await eu.app.fetch(request, { rawTarget: peerPath(method) })).status).toBe(401);
      }
    }
    expect(pulled).toBe(0);
    const endless = new Request('http://region/', { method: 'POST', headers: { [SIGNATURE_FIELD]: message({ method: 'inbox' }).field }, body: body(), duplex: 'half' });
    expect((await eu.app.fetch(endless, { rawTarget: peerPath('inbox') })).status).toBe(413);
    expect(pulled * 65_536).toBeLessThan(17 * 1024 * 1024);
  });

  test('what is in an authentic message is judged by the door: another cluster, nonsense, a region that is not listed', async () => {
    const before = await eu.stored();
    for (const body of [utf8('nonsense'), new Uint8Array(0), seal({ ...envelope(), from: 'mars-1' as typeof EU }, utf8('{}')), seal({ ...envelope(), from: EU }, utf8('{}')), seal({ ...envelope(), topology: { term: 0, epoch: 0, identity: '' } }, utf8('{}'))]) {
      const answer = await send(message({ body }));
      expect([answer.status, typeof unseal(answer.bytes).envelope.refused?.code]).toEqual([200, 'string']);
    }
    for (const method of PEER_METHODS) {
      const answer = await send(message({ method, body: seal(envelope(), utf8('\u0001\u0002\u00ff nonsense')) }));
      expect(answer.status).toBe(200);
    }
    expect(await eu.stored()).toBe(before);
  });

  test('other methods and paths of the door are none', async () => {
    for (const [method, path] of [['GET', '/_region/hello'], ['POST', '/_region/'], ['POST', '/_region/nothing'], ['POST', '/_region/hello/x'], ['POST', '/_region/Hello'], ['POST', '/_region/%68ello']] as const) expect((await eu.send(method, path, { headers: { [SIGNATURE_FIELD]: message().field } })).code).toBe('not-found');
  });
});

describe('between regions: restarts', () => {
  test('what was taken before the receiver started again is not taken again', async () => {
    const recorded = message();
    expect((await send(recorded)).status).toBe(200);
    await cluster.clock.advance(5_000);
    const restarted = new Verifier(signer, cluster.clock.wallMs());
    const request = { to: EU, method: 'POST', path: recorded.path };
    expect(() => restarted.admit(recorded.field, request, cluster.clock.wallMs())).toThrow(/another time/);
    expect(restarted.stats).toEqual({ ...none, expired: 1 });
    const fresh = message();
    restarted.accept(restarted.admit(fresh.field, request, cluster.clock.wallMs()), fresh.body, cluster.clock.wallMs());
  });

  test('a wall that is put back after the start does not shut the door', () => {
    const clock = new ManualClock();
    const receiver = new Verifier(signer, clock.wallMs());
    clock.stepWall(-3_600_000);
    const { field, body, path } = message({ timeMs: clock.wallMs() });
    const request = { to: EU, method: 'POST', path };
    receiver.accept(receiver.admit(field, request, clock.wallMs()), body, clock.wallMs());
    expect(receiver.stats).toEqual(none);
  });
});

describe('between regions: a clock that is off', () => {
  let senders = 0;
  /** The real sender, over the app instead of a socket; `meddle` is what a bad proxy does to each request. */
  function peerWith(clock: ManualClock, meddle: (question: Parameters<HttpClient['send']>[0], pass: () => ReturnType<HttpClient['send']>) => ReturnType<HttpClient['send']> = (_, pass) => pass()): HttpPeer {
    const client = {
      send: (question: Parameters<HttpClient['send']>[0]): ReturnType<HttpClient['send']> =>
        meddle(question, async () => {
          const { status, headers, bytes } = await eu.send(question.method, question.target, { key: null, headers: question.headers, ...(question.body === undefined ? {} : { body: question.body }) });
          return { status, headers: Object.fromEntries(headers), rawHeaders: [], body: bytes };
        }),
    };
    return new HttpPeer(EU, { self: US, client: client as unknown as HttpClient, signer, clock, nonces: new Nonces(seededRandom(++senders)) });
  }

  test.each([-3_600_000, -61_000, 61_000, 3_600_000])('by %i ms: told by how much under the receiver’s signature, and let in', async (offset) => {
    const peer = peerWith(new ManualClock(cluster.clock.wallMs() + offset));
    expect(unseal(await peer.ask('hello', hello(), 1_000)).envelope.from).toBe(EU);
    expect(verifier.stats).toEqual({ ...none, expired: 1 });
    await peer.ask('hello', hello(), 1_000);
    expect(verifier.stats).toEqual({ ...none, expired: 1 });
  });

  test('the time is believed only under the signature over this very request', async () => {
    const stale = message({ timeMs: 0 });
    const told = (await send(stale)).field(OFFSET_FIELD) as string;
    expect(signer.readClock(told, macOf(stale.field))).toBe(cluster.clock.wallMs());
    expect(signer.readClock(told, macOf(message({ timeMs: 0 }).field))).toBeUndefined();
    expect(signer.readClock(told.replace(/^./, '9'), macOf(stale.field))).toBeUndefined();
    expect(signerOf(utf8('x')).readClock(told, macOf(stale.field))).toBeUndefined();
    const lied = peerWith(new ManualClock(0), async (_, pass) => {
      const answer = await pass();
      return { ...answer, headers: { ...answer.headers, [OFFSET_FIELD]: told } };
    });
    await expect(lied.ask('hello', hello(), 1_000)).rejects.toMatchObject({ code: 'peer-refused', details: { reason: 'signature-expired' } });
  });

  test('an invalid signature is told no time', async () => {
    expect((await send({ ...message(), field: 'x' })).field(OFFSET_FIELD)).toBeUndefined();
  });

  test('a proxy that delivers everything twice: the answer arrives, the copy is refused and counted', async () => {
    const peer = peerWith(new ManualClock(cluster.clock.wallMs()), async (_, pass) => {
      await pass();
      return pass();
    });
    await expect(peer.ask('hello', hello(), 1_000)).rejects.toMatchObject({ code: 'peer-unreachable' });
    const first = peerWith(new ManualClock(cluster.clock.wallMs()), async (_, pass) => {
      const answer = await pass();
      await pass();
      return answer;
    });
    expect(utf8Text((await first.ask('hello', hello(), 1_000)).subarray(0, 1))).toBeDefined();
    expect(verifier.stats).toEqual({ ...none, replayed: 4 });
  });
});

describe('between regions: an edge or a witness tells what it sees', () => {
  const report = utf8(JSON.stringify({ s: { [US]: [1, 1, 1] } }));
  const told = ({ by = observing, from = 'edge-1', body = report }: { readonly by?: Signer; readonly from?: string; readonly body?: Uint8Array }): ReturnType<TestRegion['send']> => {
    const path = peerPath('observe');
    const field = by.sign({ from, to: EU, method: 'POST', path, timeMs: cluster.clock.wallMs(), boot: '00000000000000aa', counter: ++counter }, body);
    return eu.send('POST', path, { key: null, body, headers: { [SIGNATURE_FIELD]: field } });
  };

  test('it is answered with what the region sees', async () => {
    const { status, bytes } = await told({});
    expect([status, JSON.parse(utf8Text(bytes) ?? '')]).toMatchObject([200, { region: EU, b: [expect.any(Number), expect.any(Number), 1] }]);
  });

  test('what a region signs is no report of an observer, nor the other way round; a region is none, and what is no report is refused', async () => {
    expect(await told({ by: signer })).toMatchObject({ status: 401, code: 'signature-invalid' });
    expect(await send(message({ by: observing }))).toMatchObject({ status: 401, code: 'signature-invalid' });
    expect(await told({ from: US })).toMatchObject({ status: 403, code: 'forbidden' });
    expect(await told({ body: utf8('{"s":7}') })).toMatchObject({ status: 400, code: 'bad-request' });
    expect(await told({ body: new Uint8Array(20_000) })).toMatchObject({ status: 413 });
  });
});
