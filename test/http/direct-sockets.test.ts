// When the direct door writes an answer: at once with many requests under way, else at the end of the turn; once, in order.

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import type { Asked } from '../../src/http/call.ts';
import { Reply } from '../../src/http/reply.ts';
import { DirectSockets } from '../../src/local/direct-socket.ts';

interface Waiting {
  readonly asked: Asked;
  readonly resolve: (reply: Reply) => void;
}

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const task of cleanUp.splice(0)) task();
});

interface Begun {
  readonly waiting: Waiting[];
  readonly connection: () => Promise<{ readonly socket: Socket; readonly read: () => string }>;
  readonly server: Server;
}

/** A server whose door waits until it is told to answer. */
async function begin(handOver: (socket: Socket) => void = (socket) => void socket.destroy()): Promise<Begun> {
  const waiting: Waiting[] = [];
  const door = (asked: Asked): Promise<Reply> => new Promise((resolve) => waiting.push({ asked, resolve }));
  const sockets = new DirectSockets({ door, handOver, idleMs: 60_000, firstMs: 60_000 });
  const server = createServer((socket) => sockets.take(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(() => sockets.close(), () => sockets.closeAll(), () => server.close());
  const connection = async (): Promise<{ readonly socket: Socket; readonly read: () => string }> => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    await once(socket, 'connect');
    return { socket, read: () => text };
  };
  return { waiting, connection, server };
}

const put = (name: string): string => `PUT /v1/c/demo/items/${name} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nv`;
const replyTo = ({ rawTarget }: Asked): Reply => new Reply(204, { 'x-of': rawTarget.split('/').at(-1) as string }, null);
const answers = (text: string): string[] => [...text.matchAll(/^x-of: (.*)\r$/gm)].map(([, name]) => name as string);

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

it('many under way -> written when it is ready, before the promise; the next request of the connection comes behind it', async () => {
  const { waiting, connection } = await begin();
  const clients = await Promise.all(Array.from({ length: 10 }, connection));
  for (const [at, { socket }] of clients.entries()) socket.write(put(`a${at}`) + put(`b${at}`));
  await until(() => waiting.length === clients.length);
  for (const { asked } of waiting) asked.answerNow?.(replyTo(asked));
  await until(() => clients.every(({ read }) => answers(read()).length === 1));
  expect(waiting).toHaveLength(clients.length); // the second of each waits for the promise of the first
  for (const { asked, resolve } of waiting.splice(0)) resolve(replyTo(asked));
  await until(() => waiting.length === clients.length);
  for (const { asked, resolve } of waiting.splice(0)) resolve(replyTo(asked));
  await until(() => clients.every(({ read }) => answers(read()).length === 2));
  for (const { read } of clients) expect(answers(read()).map((name) => name[0])).toEqual(['a', 'b']);
});

it('few under way -> written when the promise has resolved, and once', async () => {
  const { waiting, connection } = await begin();
  const { socket, read } = await connection();
  socket.write(put('a'));
  await until(() => waiting.length === 1);
  const { asked, resolve } = waiting[0] as Waiting;
  asked.answerNow?.(replyTo(asked));
  for (let turn = 0; turn < 50; turn++) await new Promise((done) => setImmediate(done));
  expect(read()).toBe('');
  resolve(replyTo(asked));
  await until(() => answers(read()).length > 0);
  socket.write(put('b'));
  await until(() => waiting.length === 2);
  (waiting[1] as Waiting).resolve(replyTo((waiting[1] as Waiting).asked));
  await until(() => answers(read()).length === 2);
  expect(answers(read())).toEqual(['a', 'b']);
});

const putting = (body: string): string => `PUT /v1/c/demo/items/k HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const bodyOf = async ({ asked }: Waiting): Promise<string> => Buffer.from(await asked.bytes()).toString();

it('what waits, of a request and behind it, is not touched by what another connection sends', async () => {
  const { waiting, connection } = await begin();
  const [first, second] = [await connection(), await connection()];
  first.socket.write(putting('a'.repeat(50)) + putting('b'.repeat(50)));
  await until(() => waiting.length === 1);
  second.socket.write(putting('c'.repeat(500)));
  await until(() => waiting.length === 2);
  const [one, other] = waiting.splice(0) as [Waiting, Waiting];
  expect([await bodyOf(one), await bodyOf(other)]).toEqual(['a'.repeat(50), 'c'.repeat(500)]);
  one.resolve(replyTo(one.asked));
  await until(() => waiting.length === 1);
  expect(await bodyOf(waiting[0] as Waiting)).toBe('b'.repeat(50));
});

it('a request in pieces is handed over whole, with all that comes behind it, whatever other connections send meanwhile', async () => {
  const taken: Socket[] = [];
  const { connection } = await begin((socket) => void taken.push(socket.on('readable', () => undefined))); // and read later
  const [first, second] = [await connection(), await connection()];
  const pieces = [...putting('d'.repeat(40))];
  for (const [at, piece] of pieces.entries()) {
    first.socket.write(piece);
    second.socket.write(String(at % 10));
    await until(() => taken.reduce((sum, { readableLength }) => sum + readableLength, 0) === 2 * (at + 1));
  }
  const sent = pieces.map((_, at) => String(at % 10)).join('');
  expect(taken.map((socket) => (socket.read() as Buffer).toString()).sort()).toEqual([pieces.join(''), sent].sort());
});

it('the server that accepted the connections knows when they are gone', async () => {
  const { waiting, connection, server } = await begin();
  const clients = [await connection(), await connection()];
  for (const { socket } of clients) socket.write(put('k'));
  await until(() => waiting.length === clients.length);
  for (const { asked, resolve } of waiting) resolve(replyTo(asked));
  for (const { socket } of clients) socket.end();
  await new Promise((resolve) => server.close(resolve));
});
