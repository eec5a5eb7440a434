// What never becomes a request: raw bytes on a socket of a real server. Each connection is answered 4xx or closed, nothing
// is changed, nothing is read without end, and the server lives on. What is smuggled behind a doubtful request is a write
// with a good key: it would show. Once by the main door alone, once with the direct one before it.

import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sha256, deriveKey, hmacSha256 } from '../../src/adapters/node/crypto.ts';
import { Signer, Verifier } from '../../src/auth/signature.ts';
import { BATCH_BYTES_MAX, HEADER_BYTES_MAX } from '../../src/core/limits.ts';
import { addPeerRoutes } from '../../src/http/peer-routes.ts';
import { serve, type Fetches, type RunningServer } from '../../src/local/http-server.ts';
import { AP, EU, SECRET, startCluster, type TestRegion } from './harness.ts';

export function hostileBytes(isDirect: boolean): void {
  let eu: TestRegion;
  let server: RunningServer;
  const unhandled: unknown[] = [];
  /** The server's ends of the connections on which something became a request, by the client's port. */
  const sockets = new Map<number, Socket>();

  beforeAll(async () => {
    const cluster = await startCluster({ regions: [AP, EU] });
    eu = cluster.at(EU);
    const signer = new Signer(hmacSha256(deriveKey(SECRET, 'signature')), sha256);
    addPeerRoutes(eu.app, { door: eu.region.door, signer, verifier: new Verifier(signer, eu.clock.wallMs()), wallMs: () => eu.clock.wallMs(), observers: { signer, verifier: new Verifier(signer, eu.clock.wallMs()) }, observe: (observer, question) => eu.region.health.observe(observer, question), region: EU, newRequestId: () => '0123456789abcdef' });
    await eu.collection('demo');
    await eu.put('/v1/c/demo/items/alice', '{"a":1}', { 'content-type': 'application/json' });
    const app: Fetches = {
      fetch: (request, environment) => {
        const { socket } = environment.incoming;
        sockets.set(socket.remotePort as number, socket);
        return eu.app.fetch(request, environment);
      },
    };
    server = await serve(app, { host: '127.0.0.1', port: 0, place: EU, ...(isDirect ? { direct: eu.direct } : {}) });
    process.on('unhandledRejection', (error) => unhandled.push(error));
  });
  afterAll(() => server.close());

  const QUIET_MS = 150;
  const OPEN_MS_MAX = 3_000;

  interface Heard {
    readonly text: string;
    /** How much the server read; where nothing became a request, how much of what was sent left this side. */
    readonly bytes: number;
  }

  /** Sends and listens until the server closes, or has been quiet for a while. */
  function exchange(send: (socket: Socket) => void, quietMs = QUIET_MS): Promise<Heard> {
    return new Promise((resolve) => {
      const socket = connect(server.port, '127.0.0.1');
      let text = '';
      let port = 0;
      let quiet: NodeJS.Timeout | undefined;
      const end = (): void => {
        clearTimeout(quiet);
        clearTimeout(most);
        socket.destroy();
        const sent = socket.bytesWritten - socket.writableLength;
        setImmediate(() => resolve({ text, bytes: sockets.get(port)?.bytesRead ?? sent }));
      };
      const most = setTimeout(end, OPEN_MS_MAX);
      const wait = (): void => {
        clearTimeout(quiet);
        quiet = setTimeout(end, quietMs);
      };
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        wait();
      });
      socket.on('error', () => undefined);
      socket.on('close', end);
      socket.on('connect', () => {
        port = socket.localPort as number;
        send(socket);
        wait();
      });
    });
  }

  /** The answers in what was heard. */
  function answersIn(text: string): { readonly status: number; readonly type: string | undefined }[] {
    return [...text.matchAll(/HTTP\/1\.1 (\d{3}) [^\r]*\r\n((?:[^\r]+\r\n)*)\r\n/g)].map(([, status, fields]) => ({ status: Number(status), type: /^content-type: ([^\r;]*)/im.exec(fields ?? '')?.[1] }));
  }

  const key = (): string => `Authorization: Bearer ${eu.adminKey}\r\n`;
  const head = (line: string, fields = ''): string => `${line}\r\nHost: region\r\n${key()}${fields}\r\n`;
  const PUT = 'PUT /v1/c/demo/items/alice HTTP/1.1';
  /** What a desynchronised server would take for the next request. */
  const smuggled = (): string => `${head('PUT /v1/c/demo/items/smuggled HTTP/1.1', 'Content-Length: 1\r\n')}x`;

  /** Each with the bytes; `\n` alone is a bare line feed. */
  const RAW: readonly (readonly [string, () => string])[] = [
    ['CL.TE', () => head(PUT, 'Content-Length: 6\r\nTransfer-Encoding: chunked\r\n') + `0\r\n\r\n${smuggled()}`],
    ['TE.CL', () => head(PUT, 'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n') + `5c\r\n${smuggled()}\r\n0\r\n\r\n`],
    ['TE.TE, the last one unknown', () => head(PUT, 'Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n') + `0\r\n\r\n${smuggled()}`],
    ['TE.TE, the first one unknown', () => head(PUT, 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n') + `0\r\n\r\n${smuggled()}`],
    ...['xchunked', 'chunked, identity', 'chunked;x', '"chunked"', 'chunked\u000b', 'identity', 'gzip, chunked x', '\u000bchunked', 'chu nked', ',', 'cow'].map((coding): [string, () => string] => [`a coding that is none: ${JSON.stringify(coding)}`, () => head(PUT, `Transfer-Encoding: ${coding}\r\nContent-Length: 0\r\n`) + smuggled()]),
    ...['Transfer-Encoding : chunked', ' Transfer-Encoding: chunked', 'Transfer_Encoding: chunked\r\nTransfer-Encoding\t: chunked', 'X: x\r\n Transfer-Encoding: chunked', 'X: x\n\tTransfer-Encoding: chunked', 'X: x\rTransfer-Encoding: chunked', 'Transfer-Encoding:\u0000chunked', 'Transfer-Encoding\u0000: chunked'].map((field): [string, () => string] => [`a field that is none: ${JSON.stringify(field)}`, () => head(PUT, `${field}\r\nContent-Length: 0\r\n`) + smuggled()]),
    ['two lengths', () => head(PUT, 'Content-Length: 1\r\nContent-Length: 5\r\n') + `x${smuggled()}`],
    ['two equal lengths', () => head(PUT, 'Content-Length: 1\r\nContent-Length: 1\r\n') + `x${smuggled()}`],
    ...['1, 1', '1,5', '-1', '+1', '1.0', '0x1', '1 ', '1e1', 'x', '', '18446744073709551616', '99999999999999999999', '1\u0000', '१'].filter((length) => length !== '1 ').map((length): [string, () => string] => [`a length that is none: ${JSON.stringify(length)}`, () => head(PUT, `Content-Length: ${length}\r\n`) + `x${smuggled()}`]),
    ...['x\r\n', '-1\r\nx\r\n', '1 \r\nx\r\n0\r\n\r\n', '0x1\r\nx\r\n', '1\nx\n0\n\n', '1\r\nxy\r\n0\r\n\r\n', '1\rx\r0\r\r', 'FFFFFFFFFFFFFFFFF\r\nx', '1;a="\r\nx\r\n0\r\n\r\n', ';\r\n', '\r\n', '1\r\nx\n0\r\n\r\n', '+1\r\nx\r\n0\r\n\r\n'].map((body): [string, () => string] => [`chunks that are none: ${JSON.stringify(body)}`, () => head(PUT, 'Transfer-Encoding: chunked\r\n') + body + smuggled()]),
    ['a trailer that is a length', () => head('PUT /v1/c/nothing/items/x HTTP/1.1', 'Transfer-Encoding: chunked\r\n') + '1\r\nx\r\n0\r\nContent-Length: 50\r\n\r\n'],
    ['obs-fold', () => head(PUT, 'X: a\r\n b\r\nContent-Length: 0\r\n')],
    ['bare line feeds', () => head(PUT, 'Content-Length: 0\r\n').replaceAll('\r\n', '\n') + smuggled()],
    ['a bare line feed at the end of the head', () => head(PUT, 'Content-Length: 0\r\n').replace(/\r\n\r\n$/, '\n\n') + smuggled()],
    ['a bare carriage return', () => head(PUT, 'X: a\rY: b\r\nContent-Length: 0\r\n')],
    ['a NUL in a field', () => head(PUT, 'X: a\u0000b\r\nContent-Length: 0\r\n')],
    ['a NUL in the target', () => head('PUT /v1/c/demo/items/a\u0000b HTTP/1.1', 'Content-Length: 0\r\n')],
    ['a control character in a field', () => head(PUT, 'X: a\u0001b\r\nContent-Length: 0\r\n')],
    ['a field without a name', () => head(PUT, ': x\r\nContent-Length: 0\r\n')],
    ['a field without a colon', () => head(PUT, 'x\r\nContent-Length: 0\r\n')],
    ['a field with a space in its name', () => head(PUT, 'X Y: x\r\nContent-Length: 0\r\n')],
    ['no host', () => `${PUT}\r\n${key()}Content-Length: 1\r\n\r\nx`],
    ['no host, HTTP/1.0', () => `${PUT.replace('1.1', '1.0')}\r\n${key()}Content-Length: 1\r\n\r\nx`],
    ['two hosts', () => `${PUT}\r\nHost: a\r\nHost: b\r\n${key()}Content-Length: 1\r\n\r\nx`],
    ...['a b', 'a/b', 'a@b', 'a?b', 'a#b', '[::1', 'a\\b', 'a:x', 'a:99999', '%', '<'].map((host): [string, () => string] => [`a host that is none: ${host}`, () => `${PUT}\r\nHost: ${host}\r\n${key()}Content-Length: 1\r\n\r\nx`]),
    ...['GET http://region/v1/c/demo/items/alice HTTP/1.1', 'PUT http://evil.example/v1/c/demo/items/evil HTTP/1.1', 'GET HTTPS://region/v1/c HTTP/1.1', 'OPTIONS * HTTP/1.1', 'PUT * HTTP/1.1', 'CONNECT region:443 HTTP/1.1', 'CONNECT /v1/c HTTP/1.1', 'PUT //evil.example/v1/c/demo/items/evil HTTP/1.1', 'PUT \\v1\\c\\demo\\items\\evil HTTP/1.1', 'PUT /v1/c/demo/items\\evil HTTP/1.1', 'PUT v1/c/demo/items/evil HTTP/1.1', 'PUT ?x HTTP/1.1', 'PUT # HTTP/1.1', 'PUT /v1/c/demo/items/a#b HTTP/1.1', 'PUT /v1/c/demo/items/a b HTTP/1.1', 'PUT /v1/c/demo/items/\u00e9 HTTP/1.1', 'PUT /v1/c/demo/items/\u00ff\u00fe HTTP/1.1', 'PUT /v1/c/demo/items/a\tb HTTP/1.1', 'PUT /v1/c/demo/items/a\u007fb HTTP/1.1', 'PUT /v1/c/demo/items/../../../x HTTP/1.1', 'PUT /v1/c/demo/items/%2e%2e HTTP/1.1', 'PUT /v1/c/demo/items/./x HTTP/1.1', 'PUT /v1/c/demo/items/%zz HTTP/1.1'].map((line): [string, () => string] => [`a target that is none: ${JSON.stringify(line)}`, () => head(line, 'Content-Length: 1\r\n') + 'x']),
    ...['GET /', 'GET /livez', 'GET /livez HTTP', 'GET /livez HTTP/', 'GET /livez HTTP/1', 'GET /livez HTTP/1.2', 'GET /livez HTTP/2.0', 'GET /livez HTTP/9.9', 'GET /livez HTTP/0.9', 'GET /livez http/1.1', 'GET /livez HTTPS/1.1', 'GET /livez  HTTP/1.1 x', ' GET /livez HTTP/1.1', 'GET\t/livez HTTP/1.1', 'GET /livez HTTP/1.1 x', '/livez HTTP/1.1', 'HTTP/1.1 200 OK', 'PRI * HTTP/2.0'].map((line): [string, () => string] => [`a request line that is none: ${JSON.stringify(line)}`, () => `${line}\r\nHost: region\r\n\r\n`]),
    ...['FOO', 'get', 'Get', 'PUTT', 'PU T', 'P\u0000T', 'TRACE', 'TRACK', 'DEBUG', 'PURGE', 'PROPFIND', 'LOCK', 'SEARCH', 'M-SEARCH', 'QUERY', 'LINK', '\u00c4', ''].map((method): [string, () => string] => [`a method that is none: ${JSON.stringify(method)}`, () => head(`${method} /v1/c/demo/items/alice HTTP/1.1`, 'Content-Length: 1\r\n') + 'x']),
    ['TLS to a plain port', () => Buffer.from('16030100f1010000ed0303' + '00'.repeat(64), 'hex').toString('latin1')],
    ['a preface of HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u0000\u0000\u0000\u0004\u0000\u0000\u0000\u0000\u0000'],
    ['an upgrade', () => head('GET /v1/c/nothing HTTP/1.1', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n')],
    ['an upgrade to HTTP/2', () => head('GET /v1/c/nothing HTTP/1.1', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n') + smuggled().slice(0, 0)],
    ['an expectation that is none', () => head(PUT, 'Expect: the-impossible\r\nContent-Length: 1\r\n') + 'x'],
    ['a proxy protocol', () => `PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n${smuggled()}`],
    ['nonsense', () => '\u0000\u0001\u0002\u0003\u00ff\u00fe\r\n\r\n'],
    ['a head of 17 KiB', () => head(PUT, `X: ${'x'.repeat(17 * 1024)}\r\n`)],
    ['a head of a thousand fields', () => head(PUT, Array.from({ length: 2_500 }, (_, at) => `X${at}: x\r\n`).join(''))],
    ['a target of 17 KiB', () => head(`GET /v1/c/demo/items/${'a'.repeat(17 * 1024)} HTTP/1.1`)],
    ['two authorizations, the good one last', () => `GET /v1/c/demo/items/alice HTTP/1.1\r\nHost: region\r\nAuthorization: Bearer ak_x_00000000000000000000\r\n${key()}\r\n`],
    ['an answer split by a field of the request', () => head('GET /v1/c/demo/items/nobody HTTP/1.1', 'traceparent: x%0d%0aSet-Cookie: a=b\r\nprefer: return=minimal\u0085Set-Cookie: a\r\n')],
    ['an answer split by the path', () => head('GET /v1/c/demo/items/a%0d%0aSet-Cookie:%20a=b HTTP/1.1')],
  ];

  describe('bytes that are no request', () => {
    test('each is answered 4xx, or the connection is closed; nothing is changed', { timeout: 20_000 }, async () => {
      const before = await eu.stored();
      const faults: string[] = [];
      const heard = await Promise.all(RAW.map(async ([why, bytes]) => [why, await exchange((socket) => socket.write(bytes(), 'latin1'))] as const));
      for (const [why, { text }] of heard) {
        const answers = answersIn(text);
        for (const { status, type } of answers) {
          if (status < 400 || status > 499) faults.push(`${why}: answered ${status}`);
          else if (type !== undefined && type !== 'application/problem+json') faults.push(`${why}: ${status} is no problem but ${type}`);
        }
        if (text !== '' && answers.length === 0) faults.push(`${why}: heard ${JSON.stringify(text.slice(0, 100))}`);
        if (text.includes('"instance":""')) faults.push(`${why}: the problem has no name in the log`);
        if (/set-cookie/i.test(text)) faults.push(`${why}: the answer was split`);
      }
      expect(faults).toEqual([]);
      expect(await eu.stored()).toBe(before);
      expect(RAW.length).toBeGreaterThan(120);
    });

    test('a request that is in order is not cut short by nonsense behind it: its answer comes first, or none', async () => {
      const { text } = await exchange((socket) => socket.write(`${head('PUT /v1/c/demo/items/first HTTP/1.1', 'Content-Length: 1\r\n')}xnonsense\r\n\r\n`, 'latin1'), OPEN_MS_MAX);
      const [first] = answersIn(text);
      const isStored = (await eu.get('/v1/c/demo/items/first')).status === 200;
      expect(first === undefined || (first.status === 201) === isStored).toBe(true);
      if (isStored) await eu.delete('/v1/c/demo/items/first');
    });
  });

  describe('bytes without end', () => {
    const MOST = 8 * 1024 * 1024;
    const block = (text: string): Buffer => Buffer.from(text.repeat(Math.ceil(65_536 / text.length)), 'latin1');
    const chunked = (fields: string): string => `${fields}Transfer-Encoding: chunked\r\n`;
    const declared = (fields: string): string => `${fields}Content-Length: 100000000000\r\n`;
    const chunk = block(`1000\r\n${'x'.repeat(0x1000)}\r\n`);
    const CHUNK = Buffer.from(`10000\r\n${'x'.repeat(0x10000)}\r\n`, 'latin1');
    const open = (line: string, fields: string): string => `${line}\r\nHost: region\r\n${fields}\r\n`;

    const ENDLESS: readonly (readonly [string, () => string, Buffer])[] = [
      ...(
        [
          ['a PUT', PUT, true],
          ['a PUT without a key', PUT, false],
          ['a PUT of no collection', 'PUT /v1/c/nothing/items/a HTTP/1.1', true],
          ['a PATCH', 'PATCH /v1/c/demo/items/alice HTTP/1.1', true],
          ['a DELETE', 'DELETE /v1/c/demo/items/nobody HTTP/1.1', true],
          ['a GET', 'GET /v1/c/demo/items/nobody HTTP/1.1', true],
          ['a HEAD', 'HEAD /v1/c/demo/items/nobody HTTP/1.1', true],
          ['a batch', 'POST /v1/c/demo/batch HTTP/1.1', true],
          ['a policy', 'PUT /v1/c/evil HTTP/1.1', true],
          ['a route that is none', 'POST /nothing HTTP/1.1', true],
          ['a method that is none', 'POST /v1/c/demo/items/alice HTTP/1.1', true],
          ['a message of no region', 'POST /_region/inbox HTTP/1.1', false],
          ['a public page', 'POST /livez HTTP/1.1', false],
        ] as const
      ).flatMap(([why, line, hasKey]): [string, () => string, Buffer][] => [
        [`${why}, in chunks`, () => open(line, chunked(hasKey ? key() : '')), CHUNK],
        [`${why}, of a declared length`, () => open(line, declared(hasKey ? key() : '')), block('x')],
      ]),
      ['a request line', () => 'GET /', block('a')],
      ['a method', () => '', block('A')],
      ['a field', () => `${PUT}\r\nX: `, block('x')],
      ['a name of a field', () => `${PUT}\r\n`, block('x')],
      ['fields', () => `${PUT}\r\nHost: region\r\n`, block('X: x\r\n')],
      ['a chunk size', () => open(PUT, chunked(key())), block('0')],
      ['an extension of a chunk', () => open(PUT, `${chunked(key())}`) + '1;', block('x')],
      ['extensions of chunks', () => open(PUT, chunked(key())), block('1;x=y\r\nx\r\n')],
      ['small chunks', () => open(PUT, chunked(key())), block('1\r\nx\r\n')],
      ['trailers', () => `${open(PUT, chunked(key()))}0\r\n`, block('X: x\r\n')],
      ['chunks', () => open(PUT, chunked(key())), chunk],
    ];

    /** Writes for as long as the other side reads. */
    function pour(socket: Socket, begin: string, more: Buffer): void {
      const write = (): void => {
        while (!socket.destroyed && socket.writable && socket.bytesWritten < 4 * MOST) {
          if (!socket.write(more)) {
            socket.once('drain', write);
            return;
          }
        }
      };
      socket.write(begin, 'latin1');
      write();
    }

    test('each is refused within 8 MiB; nothing is changed', { timeout: 20_000 }, async () => {
      const before = await eu.stored();
      const faults: string[] = [];
      // A few at a time: all at once would measure this machine.
      for (let at = 0; at < ENDLESS.length; at += 8) {
        await Promise.all(
          ENDLESS.slice(at, at + 8).map(async ([why, begin, more]) => {
            const { text, bytes } = await exchange((socket) => pour(socket, begin(), more));
            const answers = answersIn(text);
            if (bytes > MOST) faults.push(`${why}: ${bytes} bytes were taken`);
            if (answers.some(({ status }) => status < 400 || status > 499)) faults.push(`${why}: answered ${answers.map(({ status }) => status).join(', ')}`);
          }),
        );
      }
      expect(faults).toEqual([]);
      expect(await eu.stored()).toBe(before);
    });
  });

  describe('bytes that are many, and in order', () => {
    const ask = (method: string, target: string, body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>): Promise<Response> =>
      fetch(`http://127.0.0.1:${server.port}${target}`, { method, headers: { authorization: `Bearer ${eu.adminKey}` }, body, duplex: 'half' });
    const stream = (bytes: Uint8Array, size: number): ReadableStream<Uint8Array> => ReadableStream.from((function* () { for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size); })());

    test('a head of the largest size is taken, a larger one is 431', async () => {
      const status = async (bytes: number): Promise<number> => (await fetch(`http://127.0.0.1:${server.port}/v1/c/demo/items/alice`, { headers: { authorization: `Bearer ${eu.adminKey}`, x: 'x'.repeat(bytes) } })).status;
      expect([await status(HEADER_BYTES_MAX - 500), await status(HEADER_BYTES_MAX)]).toEqual([200, 431]);
    });

    test('a body of the largest size is taken, declared and in chunks', async () => {
      const batch = new TextEncoder().encode('{"operations":[{"op":"get","pk":"alice"}]}'.padEnd(BATCH_BYTES_MAX));
      for (const body of [batch, stream(batch, 512), stream(batch, 65_536)]) expect((await ask('POST', '/v1/c/demo/batch', body)).status).toBe(200);
    });

    test('one that is too large is told so, also to a client that writes all of it first', async () => {
      const body = new Uint8Array(BATCH_BYTES_MAX - 1);
      for (const each of [body, stream(body, 65_536)]) {
        const answer = await ask('PUT', '/v1/c/demo/items/alice', each);
        expect([answer.status, ((await answer.json()) as { type: string }).type]).toEqual([413, '/docs/problems/too-large']);
      }
    });
  });

  test('afterwards the server lives, and nothing went unnoticed', async () => {
    const { text } = await exchange((socket) => socket.write('GET /livez HTTP/1.1\r\nHost: region\r\nConnection: close\r\n\r\n'), OPEN_MS_MAX);
    expect(answersIn(text).map(({ status }) => status)).toEqual([200]);
    expect((await eu.get('/v1/c/demo/items/alice')).text).toBe('{"a":1}');
    expect(unhandled).toEqual([]);
  });
}
