import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Asked } from '../../src/http/call.ts';
import { Reply } from '../../src/http/reply.ts';
import { serve, type RunningServer } from '../../src/local/http-server.ts';

// What the direct door on a bare socket does with connections; what it answers, and with which bytes, is compared with the
// main door elsewhere.

const running: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

type Door = (asked: Asked) => Promise<Reply> | undefined;

/** The main door tells that it was used. */
async function start(direct: Door): Promise<RunningServer> {
  const app = { fetch: async (request: Request) => new Response(`main ${await request.text()}`) };
  const server = await serve(app, { host: '127.0.0.1', port: 0, place: 'here', direct });
  running.push(server);
  return server;
}

const echo: Door = async (asked) => new Reply(200, {}, `${asked.method} ${asked.rawTarget} ${Buffer.from(await asked.bytes()).toString()}`);

/** Everything that comes until `count` answers are there, or the server closes. */
function exchange(server: RunningServer, pieces: readonly string[], { count, end = false }: { readonly count: number; readonly end?: boolean }): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: server.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    let heard = '';
    const bodies = (): string[] => [...heard.matchAll(/HTTP\/1\.1 200 [^]*?content-length: (\d+)[^]*?\r\n\r\n/gi)].map((match) => heard.slice(match.index + match[0].length, match.index + match[0].length + Number(match[1])));
    const finish = (): void => {
      socket.destroy();
      resolve(bodies());
    };
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (bodies().length >= count && !end) finish();
    });
    socket.on('end', finish).on('error', reject);
    const send = ([piece, ...rest]: readonly string[]): void => {
      if (piece === undefined) return void (end && socket.end());
      const before = server.direct.handedOver;
      socket.write(piece, 'latin1', function look() {
        if (rest.length > 0 && server.direct.handedOver === before) setImmediate(look); // or both would be read at once
        else send(rest);
      });
    };
    send(pieces);
  });
}

const put = (name: string, body: string): string => `PUT /${name} HTTP/1.1\r\nHost: here\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const get = (name: string): string => `GET /${name} HTTP/1.1\r\nHost: here\r\n\r\n`;

describe('connections at the direct door', () => {
  it('requests that were sent ahead are answered in order, whoever is ready first', async () => {
    let left = 0;
    const server = await start((asked) => {
      left++;
      expect(left).toBe(1); // one at a time
      return new Promise((resolve) => setImmediate(() => {
        left--;
        resolve(new Reply(200, {}, asked.rawTarget));
      }));
    });
    const names = Array.from({ length: 60 }, (_, at) => `k${at}`);
    expect(await exchange(server, [names.map(get).join('')], { count: 60 })).toEqual(names.map((name) => `/${name}`));
    expect(server.direct).toEqual({ answered: 60, handedOver: 0 });
  });

  it('what comes in pieces is handed over whole, wherever it is cut', async () => {
    const server = await start(echo);
    const bytes = put('a', 'xyz');
    for (let at = 1; at < bytes.length; at++) expect(await exchange(server, [bytes.slice(0, at), bytes.slice(at)], { count: 1 }), `cut at ${at}`).toEqual([expect.stringMatching(/^(PUT \/a xyz|main xyz)$/)]);
    expect(server.direct).toEqual({ answered: 0, handedOver: bytes.length - 1 });
  });

  it('a request that is not for this door goes to the main one, and so does all that follows it', async () => {
    const server = await start((asked) => (asked.rawTarget === '/main' ? undefined : echo(asked)));
    const text = get('a') + put('main', 'b') + get('c');
    expect(await exchange(server, [text], { count: 3 })).toEqual(['GET /a ', 'main b', 'GET /c ']);
    expect(server.direct).toEqual({ answered: 1, handedOver: 1 });
  });

  it.each([
    ['a length twice', 'PUT /a HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx'],
    ['chunks', 'PUT /a HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a length of a GET', 'GET /a HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\n\r\nx'],
    ['a PUT without a length', 'PUT /a HTTP/1.1\r\nHost: here\r\n\r\n'],
    ['no host', 'GET /a HTTP/1.1\r\nX: y\r\n\r\n'],
    ['two hosts', 'GET /a HTTP/1.1\r\nHost: here\r\nHost: here\r\n\r\n'],
    ['a line feed alone', 'GET /a HTTP/1.1\r\nHost: here\nX: y\r\n\r\n'],
    ['a field that goes on in the next line', 'GET /a HTTP/1.1\r\nHost: here\r\nX: y\r\n z\r\n\r\n'],
    ['a space before the colon', 'GET /a HTTP/1.1\r\nHost: here\r\nX : y\r\n\r\n'],
    ['an older version', 'GET /a HTTP/1.0\r\nHost: here\r\n\r\n'],
    ['a wish to close', 'GET /a HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n'],
    ['another method', 'DELETE /a HTTP/1.1\r\nHost: here\r\n\r\n'],
    ['a large body', `PUT /a HTTP/1.1\r\nHost: here\r\nContent-Length: ${300 * 1024}\r\n\r\n${'x'.repeat(300 * 1024)}`],
  ])('%s is never judged here', async (_, text) => {
    const asked: string[] = [];
    const server = await start((request) => {
      asked.push(request.rawTarget);
      return new Promise(() => undefined);
    });
    // Either Node's server answers, or it closes: `direct` sees the request when Node made one of it, not before.
    const socket = connect(server.port, '127.0.0.1');
    await new Promise<void>((resolve) => {
      socket.on('error', () => undefined).on('close', () => resolve()).on('data', () => socket.destroy());
      socket.end(text, 'latin1');
      setImmediate(function look() {
        if (server.direct.handedOver > 0) socket.destroy();
        else setImmediate(look);
      });
    });
    expect(server.direct).toEqual({ answered: 0, handedOver: 1 });
  });

  it('a client that has said all is answered, and then the connection ends', async () => {
    const server = await start(echo);
    expect(await exchange(server, [get('a') + get('b')], { count: 2, end: true })).toEqual(['GET /a ', 'GET /b ']);
  });

  it('a field that would end its line is not sent', async () => {
    const server = await start(async () => new Reply(200, { x: 'a\r\nSet-Cookie: b' }, 'c'));
    const socket = connect(server.port, '127.0.0.1');
    let heard = '';
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk) => (heard += chunk.toString())).on('error', () => undefined).on('close', () => resolve());
      socket.write(get('a'));
    });
    expect(heard).toBe('');
  });

  it('what is under way when the server closes is answered', async () => {
    let answer: (reply: Reply) => void = () => undefined;
    let isAsked: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (isAsked = resolve));
    const server = await start(() => {
      isAsked();
      return new Promise((resolve) => (answer = resolve));
    });
    const idle = connect(server.port, '127.0.0.1');
    const isIdleClosed = new Promise((resolve) => idle.on('close', resolve).on('error', () => undefined));
    await new Promise((resolve) => idle.on('connect', resolve));
    const heard = exchange(server, [get('a')], { count: 1 });
    await asked;
    const isClosed = server.close();
    await isIdleClosed;
    answer(new Reply(200, {}, 'late'));
    expect(await heard).toEqual(['late']);
    running.splice(0);
    await isClosed;
  });
});
