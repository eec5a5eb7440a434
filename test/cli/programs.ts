// The program as a process of its own.

import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import { programPath } from '../../src/local/files.ts';
import type { Outcome } from './support.ts';

export interface Program {
  readonly process: ChildProcess;
  readonly ended: Promise<Outcome>;
  out(): string;
}

export function start(args: readonly string[], options: { readonly channel?: boolean } = {}): Program {
  const started = spawn(process.execPath, [programPath(), ...args], { stdio: ['ignore', 'pipe', 'pipe', ...(options.channel === true ? (['ipc'] as const) : [])] });
  let out = '';
  let err = '';
  started.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  started.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  // Node tells no `close` of a child whose channel was given up before.
  const ended = new Promise<Outcome>((resolve) => started.on(options.channel === true ? 'exit' : 'close', (code: number | null) => resolve({ code: code ?? -1, out, err })));
  return { process: started, ended, out: () => out };
}

export const runProgram = (...args: readonly string[]): Promise<Outcome> => start(args).ended;

export const listenOn = (port: number): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });

export const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

/** The first of `count` ports in a row that nobody listens on, below those that the system gives to clients. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    const servers = await Promise.allSettled(Array.from({ length: count }, (_, at) => listenOn(first + at)));
    const open = servers.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    await Promise.all(open.map(closed));
    if (open.length === count) return first;
  }
  throw new Error(`No ${count} free ports in a row.`);
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
