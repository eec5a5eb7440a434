// When the direct door writes an answer: at once with many requests under way, else at the end of the turn; once, in order.

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
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

/** A server whose door waits until it is told to answer. */
async function begin(): Promise<{ readonly waiting: Waiting[]; readonly connection: () => Promise<{ readonly socket: Socket; readonly read: () => string }> }> {
  const waiting: Waiting[] = [];
  const door = (asked: Asked): Promise<Reply> => new Promise((resolve) => waiting.push({ asked, resolve }));
  const sockets = new DirectSockets({ door, handOver: (socket) => socket.destroy(), idleMs: 60_000, firstMs: 60_000 });
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
  return { waiting, connection };
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
