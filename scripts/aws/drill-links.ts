// The ways on which the regions of an emulated AWS hear each other and are heard, each with a door that can be shut or be slow:
//
//   client > region · edge > region     a proxy before the door of the region's function URL; operator > region too
//   region > region                     what functions of one ask of SQS and Lambda of another
//
// The emulator is one process for all regions, and functions ask it under one address. So each region's functions are told an address
// of their own for SQS and Lambda, by the SDK's own variables; which region is meant, the signature of a request says.

import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Proxy, type ProxyOptions } from '../../src/drill/link-proxy.ts';

/** Who asks a region from outside. What an operator asks is not load: it has doors of its own. */
export type Outside = 'client' | 'edge' | 'operator';
const OUTSIDE: readonly Outside[] = ['client', 'edge', 'operator'];

const SCOPE = /Credential=[^/]+\/\d+\/([a-z0-9-]+)\//;

export class DrillLinks {
  readonly #emulator: number;
  readonly #regions: readonly string[];
  /** By `from>to`; `from` may be somebody outside. */
  readonly #proxies = new Map<string, Proxy>();
  readonly #servers = new Map<string, Server>();

  private constructor(emulatorUrl: string, regions: readonly string[]) {
    this.#emulator = Number(new URL(emulatorUrl).port);
    this.#regions = regions;
  }

  /** `doorOf`: the port at which a region's function URL is reached. */
  static async start(emulatorUrl: string, regions: readonly string[], doorOf: (from: Outside, region: string) => number): Promise<DrillLinks> {
    const links = new DrillLinks(emulatorUrl, regions);
    for (const to of regions) {
      for (const from of OUTSIDE) links.#proxies.set(`${from}>${to}`, await Proxy.start(doorOf(from, to)));
      for (const from of regions) if (from !== to) links.#proxies.set(`${from}>${to}`, await Proxy.start(links.#emulator));
    }
    for (const from of regions) links.#servers.set(from, await links.#listen(from));
    return links;
  }

  /** Where somebody outside reaches a region. */
  urlOf(from: Outside, to: string): string {
    return (this.#proxies.get(`${from}>${to}`) as Proxy).url;
  }

  /** What the functions of a region are told. */
  variablesOf(region: string): Readonly<Record<string, string>> {
    const url = `http://127.0.0.1:${((this.#servers.get(region) as Server).address() as AddressInfo).port}`;
    return { AWS_ENDPOINT_URL_SQS: url, AWS_ENDPOINT_URL_LAMBDA: url };
  }

  set(from: string, to: string, options: Partial<ProxyOptions>): void {
    this.#proxies.get(`${from}>${to}`)?.set(options);
  }

  /** For everybody outside. */
  setDoors(to: string, options: Partial<ProxyOptions>): void {
    for (const from of OUTSIDE) this.set(from, to, options);
  }

  /** All ways to it, and those from it. */
  around(region: string, options: Partial<ProxyOptions>, but: readonly string[] = []): void {
    for (const [name, proxy] of this.#proxies) {
      const ends = name.split('>');
      if (ends.includes(region) && !ends.some((end) => but.includes(end))) proxy.set(options);
    }
  }

  healAll(): void {
    for (const proxy of this.#proxies.values()) proxy.set({});
  }

  #listen(from: string): Promise<Server> {
    const server = createServer((incoming, outgoing) => this.#pass(from, incoming, outgoing));
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
  }

  #pass(from: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
    const to = SCOPE.exec(incoming.headers.authorization ?? '')?.[1] ?? from;
    const way = this.#regions.includes(to) && to !== from ? this.#proxies.get(`${from}>${to}`) : undefined;
    const port = way === undefined ? this.#emulator : Number(new URL(way.url).port);
    const passed = httpRequest({ host: '127.0.0.1', port, method: incoming.method, path: incoming.url, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
      answer.once('error', () => incoming.socket.destroy());
    });
    passed.once('error', () => incoming.socket.destroy());
    incoming.pipe(passed);
  }

  async end(): Promise<void> {
    for (const server of this.#servers.values()) {
      server.closeAllConnections();
      server.close();
    }
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
  }
}
