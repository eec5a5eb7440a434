// A drill on processes of this machine: one per region and one for the edge, each with its own folder, and a proxy on every
// link. Only the command line, signals, proxies and HTTP are used, so that the same steps can be done to real machines.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeRandom, sha256 } from '../adapters/node/crypto.ts';
import { newKey } from '../auth/keys.ts';
import type { Client } from '../client/client.ts';
import type { Certificate } from '../client/types.ts';
import { connect, patientClock } from '../client/node.ts';
import { KNOWN_REGIONS, regionEntry } from '../config/places.ts';
import { toHex } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import type { Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import { programPath, writePrivate } from '../local/files.ts';
import { pause } from '../ports/clock.ts';
import { unit } from '../ports/random.ts';
import type { View } from './account.ts';
import { ROLES, type PlaceAction, type Role, type Setting } from './drill.ts';
import { Proxy } from './link-proxy.ts';
import { comparison, decide, isQuietAt, keptAt, owedBy, readView } from './operator.ts';
import type { DrillPlace, Kept } from './place.ts';

const READY_MS = 60_000;
const STOP_MS = 5_000;
const ASK_EVERY_MS = 25;
const OPERATOR_MS = 15_000;

interface Process {
  readonly args: readonly string[];
  child: ChildProcess | undefined;
}

export class LocalPlace implements DrillPlace {
  readonly name = 'local';
  readonly regions: readonly RegionId[];
  readonly #folder: string;
  readonly #key: string;
  readonly #ports: readonly number[];
  /** By `from>to`; `from` may be the edge. */
  readonly #proxies = new Map<string, Proxy>();
  readonly #processes = new Map<string, Process>();
  readonly #clients: Client[] = [];
  readonly #operators = new Map<string, Client>();

  private constructor(regions: readonly RegionId[], ports: readonly number[], folder: string, key: string) {
    this.regions = regions;
    this.#ports = ports;
    this.#folder = folder;
    this.#key = key;
  }

  static async start(drill: Setting, signal?: AbortSignal): Promise<LocalPlace> {
    const folder = mkdtempSync(join(tmpdir(), 'archipel-drill-'));
    const regions = KNOWN_REGIONS.slice(0, drill.regions);
    const { key } = newKey(nodeRandom, sha256, 'admin');
    const place = new LocalPlace(regions, await freePorts(regions.length + 1), folder, key);
    try {
      await place.#prepare(drill);
      await Promise.all([...place.#processes.keys()].map((name) => place.#launch(name, signal)));
      return place;
    } catch (error) {
      await place.end();
      throw error;
    }
  }

  async #prepare(setting: Setting): Promise<void> {
    const path = (name: string): string => join(this.#folder, name);
    writePrivate(path('secret'), `${toHex(nodeRandom.bytes(32))}\n`);
    writePrivate(path('admin.key'), `${this.#key}\n`);
    const topology: Topology = { format: 1, term: 1, epoch: 1, control: this.regions[0] as RegionId, regions: this.regions.map((id) => regionEntry(id, this.#url(id))) };
    writePrivate(path('topology.json'), `${JSON.stringify(topology)}\n`);
    for (const from of ['edge', ...this.regions]) {
      for (const to of this.regions) if (from !== to) this.#proxies.set(`${from}>${to}`, await Proxy.start(this.#port(to)));
    }
    const link = (from: string, to: RegionId): string => `${to}=${(this.#proxies.get(`${from}>${to}`) as Proxy).url}`;
    for (const id of this.regions) {
      const peers = this.regions.flatMap((peer) => (peer === id ? [] : ['--peer', link(id, peer)]));
      const files = ['--topology', path('topology.json'), '--secret-file', path('secret'), '--admin-key-file', path('admin.key')];
      this.#processes.set(id, { args: ['region', '--id', id, '--listen', `127.0.0.1:${this.#port(id)}`, '--data', path(id), ...files, ...peers, ...this.#unusual(id, setting)], child: undefined });
      if (setting.setsClocks) writeFileSync(this.#clockFile(id), '0');
    }
    this.#processes.set('edge', { args: ['edge', '--listen', `127.0.0.1:${this.#port('edge')}`, '--topology', path('topology.json'), '--secret-file', path('secret'), ...this.regions.flatMap((id) => ['--region', link('edge', id)])], child: undefined });
  }

  /** What a region is started with for this drill alone. */
  #unusual(id: RegionId, { setsClocks, horizonMs, fillsDisks, hints, reconcileEveryMs }: Setting): readonly string[] {
    const unsafe = [
      ...(setsClocks ? ['--clock-offset-file', this.#clockFile(id)] : []),
      ...(horizonMs === undefined ? [] : ['--horizon-ms', String(horizonMs)]),
      ...(fillsDisks ? ['--free-bytes-file', this.#freeFile(id)] : []),
      ...(hints === undefined ? [] : ['--hints-max', String(hints)]),
    ];
    return ['--reconcile-every', reconcileEveryMs === undefined ? 'off' : `${reconcileEveryMs}ms`, ...(unsafe.length === 0 ? [] : ['--unsafe-testing']), ...unsafe];
  }

  #freeFile(id: RegionId): string {
    return join(this.#folder, `${id}.free`);
  }

  #port(name: string): number {
    return this.#ports[name === 'edge' ? 0 : 1 + this.regions.indexOf(name as RegionId)] as number;
  }

  #url(name: string): string {
    return `http://127.0.0.1:${this.#port(name)}`;
  }

  #clockFile(id: RegionId): string {
    return join(this.#folder, `${id}.clock`);
  }

  #region(role: Role): RegionId {
    return this.regions[ROLES.indexOf(role)] as RegionId;
  }

  /** Whom an operator asks about a region. */
  #another(role: Role): RegionId {
    return this.regions.find((id) => id !== this.#region(role)) as RegionId;
  }

  // Processes ---------------------------------------------------------------------------------------------------------------

  /** Resolves when it is ready. */
  #launch(name: string, signal?: AbortSignal): Promise<void> {
    const process_ = this.#processes.get(name) as Process;
    const child = spawn(process.execPath, [...process.execArgv, programPath(), ...process_.args], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    process_.child = child;
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new ArchipelError('internal', `${name} did not start: ${why}.`));
      const cancel = patientClock.after(READY_MS, () => fail(`it was not ready in ${READY_MS / 1_000} s`));
      signal?.addEventListener('abort', () => fail('interrupted'), { once: true });
      child.on('message', (message: { readonly ready?: boolean; readonly error?: string }) => {
        if (message.error !== undefined) fail(message.error);
        if (message.ready === true) resolve();
      });
      child.once('exit', () => {
        cancel();
        fail('it ended');
        if (process_.child === child) process_.child = undefined;
      });
      child.once('message', cancel);
    });
  }

  async #end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#processes.get(name)?.child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGCONT'); // one that is held still hears nothing else
    child.kill(signal);
    const cancel = patientClock.after(STOP_MS, () => child.kill('SIGKILL'));
    await ended;
    cancel();
  }

  // Steps -------------------------------------------------------------------------------------------------------------------

  async do(action: PlaceAction): Promise<void> {
    switch (action.verb) {
      case 'kill':
        return this.#end(this.#region(action.region), 'SIGKILL');
      case 'stop':
        return this.#end(this.#region(action.region), 'SIGTERM');
      case 'pause':
      case 'resume':
        this.#processes.get(this.#region(action.region))?.child?.kill(action.verb === 'pause' ? 'SIGSTOP' : 'SIGCONT');
        return;
      case 'start':
        return this.#launch(this.#region(action.region));
      case 'wipe':
        await this.#end(this.#region(action.region), 'SIGKILL');
        return rmSync(join(this.#folder, this.#region(action.region)), { recursive: true, force: true });
      case 'isolate':
        return this.#links(this.#region(action.region), { cut: true });
      case 'cut-edge':
        return this.#proxies.get(`edge>${this.#region(action.region)}`)?.set({ cut: true });
      case 'disk-full':
        return writeFileSync(this.#freeFile(this.#region(action.region)), '0');
      case 'disk-freed':
        return rmSync(this.#freeFile(this.#region(action.region)), { force: true });
      case 'slow':
        return this.#links(this.#region(action.region), { delayMs: action.byMs });
      case 'cut':
      case 'cut-one-way':
        this.#link(action.from, action.to, { cut: true });
        if (action.verb === 'cut') this.#link(action.to, action.from, { cut: true });
        return;
      case 'slow-link':
        this.#link(action.from, action.to, { delayMs: action.byMs });
        return this.#link(action.to, action.from, { delayMs: action.byMs });
      case 'clock': {
        const id = this.#region(action.region);
        writeFileSync(this.#clockFile(id), String(action.byMs));
        this.#processes.get(id)?.child?.kill('SIGHUP');
        return;
      }
      case 'kill-edge':
        await this.#end('edge', 'SIGKILL');
        return this.#launch('edge');
      case 'drain':
      case 'return':
      case 'fence':
      case 'lose':
        return decide(this.#operator(this.#another(action.region)), this.#region(action.region), action.verb, () => pause(patientClock, ASK_EVERY_MS));
      case 'heal':
        for (const proxy of this.#proxies.values()) proxy.set({});
    }
  }

  #links(id: RegionId, options: Parameters<Proxy['set']>[0]): void {
    for (const [name, proxy] of this.#proxies) if (name.split('>').includes(id)) proxy.set(options);
  }

  #link(from: Role, to: Role, options: Parameters<Proxy['set']>[0]): void {
    this.#proxies.get(`${this.#region(from)}>${this.#region(to)}`)?.set(options);
  }

  async healAll(): Promise<void> {
    for (const proxy of this.#proxies.values()) proxy.set({});
    for (const { child } of this.#processes.values()) child?.kill('SIGCONT');
    for (const id of this.regions) rmSync(this.#freeFile(id), { force: true });
    await Promise.all([...this.#processes].filter(([, { child }]) => child === undefined).map(([name]) => this.#launch(name)));
  }

  /** What shows it from another terminal. The key is in a file that only this user may read, and goes with the folder. */
  get watchedBy(): string {
    return `ARCHIPEL_KEY=$(cat ${join(this.#folder, 'admin.key')}) archipel top --url ${this.#url('edge')}`;
  }

  // Looking -----------------------------------------------------------------------------------------------------------------

  client(at: 'edge' | Role, others: readonly Role[] = []): Client {
    return this.#client(this.#url(at === 'edge' ? at : this.#region(at)), others.map((role) => this.#url(this.#region(role))));
  }

  clientBesideEdge(role: Role): Client {
    return this.#client((this.#proxies.get(`edge>${this.#region(role)}`) as Proxy).url);
  }

  #client(url: string, others: readonly string[] = []): Client {
    const client = connect({ url, others, key: this.#key, keysIn: 'path' });
    this.#clients.push(client);
    return client;
  }

  #operator(id: RegionId): Client {
    const known = this.#operators.get(id) ?? connect({ url: this.#url(id), key: this.#key, timeoutMs: OPERATOR_MS });
    this.#operators.set(id, known);
    return known;
  }

  owed(role: Role): Promise<ReadonlyMap<string, number>> {
    return owedBy(this.#operator(this.#region(role)));
  }

  kept(role: Role): Promise<Kept> {
    return keptAt(this.#operator(this.#region(role)));
  }

  certificates(role: Role): Promise<readonly Certificate[]> {
    return this.#operator(this.#region(role)).certificates();
  }

  view(role: Role, collection: string): Promise<View> {
    return readView(this.#operator(this.#region(role)), this.#region(role), collection);
  }

  isQuiet(): Promise<boolean> {
    return isQuietAt(this.regions.map((id) => this.#operator(id)));
  }

  reconcile(): Promise<string | undefined> {
    return comparison(this.regions.map((id) => this.#operator(id)), () => pause(patientClock, ASK_EVERY_MS));
  }

  async end(): Promise<void> {
    for (const client of [...this.#clients, ...this.#operators.values()]) client.close();
    await Promise.all([...this.#processes.keys()].map((name) => this.#end(name, 'SIGTERM')));
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Below those that the system gives to whoever connects: one of these may be taken before a region that is started again listens. */
const PORT_MIN = 10_000;
const PORT_MAX = 30_000;

async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = PORT_MIN + Math.floor(unit(nodeRandom) * (PORT_MAX - PORT_MIN));
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
