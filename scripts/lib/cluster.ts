// A real cluster for scripts: `npm start`'s own program on free ports and a temporary folder, driven from outside only,
// with a proxy on every link between regions where a script asks for it.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request as httpRequest, Agent } from 'node:http';
import { Proxy, type ProxyOptions } from '../../src/drill/link-proxy.ts';

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

/** The first of `count` ports in a row that are free now. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const first = 11_000 + Math.floor(Math.random() * 20_000); // below the ports that outgoing connections take
    const free = await Promise.all(Array.from({ length: count }, (_, at) => isFree(first + at)));
    if (free.every(Boolean)) return first;
  }
  throw new Error('no free ports');
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** Until the process has ended and given back its locks. */
export const gone = (pid: number): Promise<number> =>
  until(`process ${pid} ends`, () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const nodePath = process.execPath;

export interface ClusterFile {
  readonly edge: { readonly url: string; readonly pid: number };
  readonly regions: readonly { readonly id: string; readonly url: string; readonly pid: number; readonly data: string }[];
  readonly adminKey?: string;
}

export interface ClusterSetting {
  readonly regions?: string;
  readonly replicas?: number;
  readonly reconcile?: string;
  readonly proxies?: boolean;
  readonly arguments?: readonly string[];
  readonly folder?: string;
  readonly quiet?: boolean;
}

export class Cluster {
  readonly folder: string;
  readonly port: number;
  readonly proxies: ReadonlyMap<string, Proxy>;
  readonly startedMs: number;
  #process: ChildProcess;
  readonly log: string[] = [];

  private constructor(folder: string, port: number, proxies: Map<string, Proxy>, started: ChildProcess, startedMs: number) {
    this.folder = folder;
    this.port = port;
    this.proxies = proxies;
    this.#process = started;
    this.startedMs = startedMs;
  }

  static async start(setting: ClusterSetting = {}): Promise<Cluster> {
    const folder = setting.folder ?? mkdtempSync(join(tmpdir(), 'archipel-'));
    const ids = (setting.regions ?? 'ap-northeast-2,eu-central-1,us-east-1').split(',');
    const port = await freePorts(ids.length + 1);
    const proxies = new Map<string, Proxy>();
    if (setting.proxies === true) {
      for (const [at, to] of ids.entries()) for (const from of ids) if (from !== to) proxies.set(`${from}>${to}`, await Proxy.start(port + 1 + at));
    }
    const links = [...proxies].flatMap(([link, proxy]) => ['--link', `${link}=${proxy.url}`]);
    const args = ['up', '--data', folder, '--port', String(port), '--regions', ids.join(','), '--reconcile-every', setting.reconcile ?? 'off', '--json', ...links, ...(setting.replicas === undefined ? [] : ['--replicas', String(setting.replicas)]), ...(setting.arguments ?? [])];
    const startedMs = performance.now();
    const started = spawn(nodePath, [join(root, 'bin/archipel.js'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const cluster = new Cluster(folder, port, proxies, started, startedMs);
    started.stderr.on('data', (chunk: Buffer) => {
      cluster.log.push(chunk.toString());
      if (setting.quiet !== true && process.env['ARCHIPEL_LOG'] !== undefined) process.stderr.write(chunk);
    });
    await new Promise<void>((resolve, reject) => {
      started.stdout.once('data', () => resolve());
      started.once('exit', () => reject(new Error(`the cluster did not start:\n${cluster.log.join('')}`)));
    });
    return cluster;
  }

  get file(): ClusterFile {
    return JSON.parse(readFileSync(join(this.folder, 'cluster.json'), 'utf8')) as ClusterFile;
  }

  get regions(): readonly string[] {
    return this.file.regions.map(({ id }) => id);
  }

  url(id: string): string {
    const { edge, regions } = this.file;
    return id === 'edge' ? edge.url : (regions.find((region) => region.id === id) as { url: string }).url;
  }

  region(id: string): ClusterFile['regions'][number] {
    return this.file.regions.find((region) => region.id === id) as ClusterFile['regions'][number];
  }

  get key(): string {
    return readFileSync(join(this.folder, 'admin.key'), 'utf8').trim();
  }

  #key: string | undefined;

  /** A request with the admin key. */
  ask(where: string, target: string, how: Ask = {}): Promise<Answer> {
    this.#key ??= this.key;
    return ask(this.url(where), target, { ...how, headers: { authorization: `Bearer ${this.#key}`, ...how.headers } });
  }

  /** Made, and known to every region: over bad links the answer may be 202 for a while. */
  async collection(name: string, policy: Record<string, unknown>): Promise<void> {
    await until(`the collection ${name} is active`, async () => {
      const answer = await this.ask(this.regions[0] as string, `/v1/c/${name}`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(policy) });
      if (answer.status >= 300) throw new Error(`collection ${name}: ${answer.status} ${answer.text()}`);
      const states = await Promise.all(this.regions.map(async (id) => (await this.ask(id, `/v1/c/${name}`)).json<{ state?: string }>().state));
      return answer.status !== 202 && states.every((state) => state === 'active');
    });
  }

  put(where: string, collection: string, pk: string, value: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.ask(where, `/v1/c/${collection}/items/${encodeURIComponent(pk)}`, { method: 'PUT', body: value, headers: { 'content-type': 'text/plain', ...headers } });
  }

  get(where: string, collection: string, pk: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.ask(where, `/v1/c/${collection}/items/${encodeURIComponent(pk)}`, { headers });
  }

  /** Sets the behaviour of every link, or of those named `from>to`. */
  links(options: Partial<ProxyOptions>, ...names: readonly string[]): void {
    for (const [name, proxy] of this.proxies) if (names.length === 0 || names.includes(name)) proxy.set(options);
  }

  async unreplicated(id: string): Promise<number> {
    const { peers } = (await this.ask(id, '/v1/replication')).json<{ peers: { unreplicatedItems: number }[] }>();
    return peers.reduce((sum, peer) => sum + peer.unreplicatedItems, 0);
  }

  /** Every region has sent everything to everybody. */
  async quiet(timeoutMs = 30_000): Promise<number> {
    return until(
      'live RPO 0 everywhere',
      async () => {
        for (const id of this.regions) if ((await this.unreplicated(id)) > 0) return false;
        return true;
      },
      timeoutMs,
    );
  }

  async dump(id: string, collection: string): Promise<string[]> {
    const lines: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const answer = await this.ask(id, `/v1/c/${collection}/dump${cursor === undefined ? '' : `?cursor=${cursor}`}`, { timeoutMs: 60_000 });
      if (answer.status !== 200) throw new Error(`dump of ${collection} at ${id}: ${answer.status} ${answer.text()}`);
      lines.push(...answer.text().split('\n').filter((line) => line !== ''));
      cursor = answer.headers['next-cursor'];
      if (cursor === undefined) return lines;
    }
  }

  async reconcile(id: string, body: Record<string, unknown> = {}, timeoutMs = 300_000): Promise<{ state: string; error?: string; pairs: Record<string, unknown>[] }> {
    const begun = await this.ask(id, '/v1/reconcile', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    const { id: run } = begun.json<{ id: string }>();
    let last: { state: string; error?: string; pairs: Record<string, unknown>[] } | undefined;
    await until(
      'reconciliation ends',
      async () => {
        last = (await this.ask(id, `/v1/reconcile/${run}`)).json();
        return last?.state !== 'running';
      },
      timeoutMs,
      50,
    );
    return last as NonNullable<typeof last>;
  }

  kill(id: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    const { pid } = id === 'edge' ? this.file.edge : this.region(id);
    if (pid > 0) process.kill(pid, signal);
  }

  ready(id: string, timeoutMs = 60_000): Promise<number> {
    return until(`${id} is ready`, () => ask(this.url(id), '/readyz', { timeoutMs: 1_000 }).then(({ status }) => status === 200, () => false), timeoutMs);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
      this.#process.kill('SIGTERM');
      await ended;
    }
    for (const proxy of this.proxies.values()) await proxy.close();
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
