// Requests from scripts, and waiting for what they show.

import { Agent, request as httpRequest } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
  text(): string;
  json<T = Record<string, unknown>>(): T;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
  readonly timeoutMs?: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: 128 });

/** One HTTP request, the target exactly as given. Rejects when there was no whole answer in time. */
export function ask(base: string, target: string, { method = 'GET', headers = {}, body, timeoutMs = 10_000 }: Ask = {}): Promise<Answer> {
  const url = new URL(base);
  const bytes = body === undefined ? undefined : Buffer.from(body);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: url.hostname, port: url.port, method, path: target, agent, headers: { ...headers, ...(bytes === undefined ? {} : { 'content-length': String(bytes.length) }) } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        clearTimeout(timer);
        const whole = Buffer.concat(chunks);
        resolve({ status: response.statusCode ?? 0, headers: response.headers as Record<string, string>, body: whole, text: () => whole.toString(), json: () => JSON.parse(whole.toString()) as never });
      });
    });
    const timer = setTimeout(() => request.destroy(new Error(`no answer from ${base}${target} in ${timeoutMs} ms`)), timeoutMs);
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    request.end(bytes);
  });
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls until the condition holds; answers the milliseconds that it took. */
export async function until(what: string, condition: () => Promise<boolean> | boolean, timeoutMs = 15_000, everyMs = 20): Promise<number> {
  const started = performance.now();
  for (;;) {
    if (await Promise.resolve(condition())) return performance.now() - started;
    if (performance.now() - started > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(everyMs);
  }
}
