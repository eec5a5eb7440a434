// An HTTP proxy on one link between two regions, which misbehaves as told: cuts the link, delivers twice, lets requests
// overtake each other, loses answers, is slow.

import { Agent, createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ProxyOptions {
  /** Nothing passes. */
  readonly cut: boolean;
  /** Every request is delivered twice; the answer of one of them, by chance, comes back. */
  readonly twice: boolean;
  /** A request may wait for the next one to overtake it, at most this long. 0: never. */
  readonly swapMs: number;
  /** Share of answers that are lost after the request was delivered. */
  readonly loseAnswers: number;
  readonly delayMs: number;
}

const CLEAN: ProxyOptions = { cut: false, twice: false, swapMs: 0, loseAnswers: 0, delayMs: 0 };

interface Delivered {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: Buffer;
}

export class Proxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  #options: ProxyOptions = CLEAN;
  #overtaken: (() => void) | undefined;
  readonly stats = { requests: 0, doubled: 0, swapped: 0, lost: 0, refused: 0 };

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => void this.#handle(incoming, outgoing));
    this.#server.keepAliveTimeout = 60_000;
  }

  static async start(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  set(options: Partial<ProxyOptions>): void {
    this.#options = { ...CLEAN, ...options };
    if (this.#options.cut) this.#server.closeAllConnections();
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    this.stats.requests++;
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (this.#options.cut) return this.#drop(incoming, 'refused');
    if (this.#options.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#options.delayMs));
    await this.#maybeWait();
    try {
      const first = this.#deliver(incoming, body);
      if (!this.#options.twice) return this.#answer(incoming, outgoing, await first);
      this.stats.doubled++;
      const both = await Promise.allSettled([first, this.#deliver(incoming, body)]);
      const arrived = both.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      const chosen = arrived[Math.floor(Math.random() * arrived.length)];
      if (chosen === undefined) return this.#drop(incoming, 'refused');
      this.#answer(incoming, outgoing, chosen);
    } catch {
      this.#drop(incoming, 'refused');
    }
  }

  /** Neighbours swap: this request goes on when the next one has, or when its time is up. */
  async #maybeWait(): Promise<void> {
    const overtaken = this.#overtaken;
    this.#overtaken = undefined;
    if (overtaken !== undefined) {
      this.stats.swapped++;
      setImmediate(overtaken);
      return;
    }
    if (this.#options.swapMs === 0) return;
    await new Promise<void>((resolve) => {
      this.#overtaken = resolve;
      setTimeout(() => {
        if (this.#overtaken === resolve) this.#overtaken = undefined;
        resolve();
      }, this.#options.swapMs);
    });
  }

  #deliver(incoming: IncomingMessage, body: Buffer): Promise<Delivered> {
    return new Promise((resolve, reject) => {
      const request = httpRequest({ host: '127.0.0.1', port: this.#target, method: incoming.method, path: incoming.url, headers: incoming.headers, agent: this.#agent }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 502, headers: response.rawHeaders, body: Buffer.concat(chunks) }));
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  #answer(incoming: IncomingMessage, outgoing: ServerResponse, { status, headers, body }: Delivered): void {
    if (this.#options.cut) return this.#drop(incoming, 'refused');
    if (Math.random() < this.#options.loseAnswers) return this.#drop(incoming, 'lost');
    outgoing.writeHead(status, headers.slice());
    outgoing.end(body);
  }

  #drop(incoming: IncomingMessage, why: 'lost' | 'refused'): void {
    this.stats[why]++;
    incoming.socket.destroy();
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
