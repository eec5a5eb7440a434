// A whole cluster on one machine: the parent of one process per region and one for the edge. It starts a child that dies
// again with the same arguments, and keeps `cluster.json` true. The children do the work; the parent only watches.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { newKey } from '../auth/keys.ts';
import { nodeRandom, sha256 } from '../adapters/node/crypto.ts';
import { regionEntry } from '../config/places.ts';
import { toHex } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import type { Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Log } from '../ports/log.ts';
import { clusterFilePath, type ClusterFile } from './cluster-file.ts';
import { ensureFolder, programPath, readOrMake, readText, readTls, readTopology, topologyPath, writePrivate } from './files.ts';
import { takeFirstSteps } from './first-steps.ts';
import { assertFree } from './http-server.ts';

export interface ClusterOptions {
  readonly data: string;
  readonly port: number;
  readonly regions: readonly RegionId[];
  readonly replicas: number;
  readonly durability: 'sync' | 'relaxed';
  readonly noAuth: boolean;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  readonly restart: boolean;
  readonly reconcileEvery: string;
  /** Of the edge: ask the next region too for a read that is not answered for so long. */
  readonly hedgeMs: number | undefined;
  /** How many observers make a region down; undefined: two. */
  readonly observersAgree: number | undefined;
  /** For tests: a folder with a file per region, of milliseconds to add to its clock. */
  readonly clockOffsetFolder: string | undefined;
  /** Addresses under which the regions reach each other, where a proxy stands on a link: `from>to=url`. */
  readonly links: ReadonlyMap<string, string>;
  readonly verbose: boolean;
  readonly log: Log;
}

export interface RunningCluster {
  readonly file: ClusterFile;
  /** The admin key was made in this start: the only time that it is shown. */
  readonly isFirstStart: boolean;
  stop(): Promise<void>;
}

/**
 * Three times this is what V8 keeps for new objects, in megabytes; what its default of 16 costs more in memory (70 MB after
 * 60,000 writes over 64 connections) it does not give back in speed, because hardly anything of a request outlives it.
 */
const YOUNG_GENERATION = '--max-semi-space-size=8';
/** By how much the rest may grow until it is collected: V8 would let it grow fourfold, by 80 MB under load, at the same speed. */
const OLD_GENERATION = '--heap-growing-percent=90';
const RESTART_FIRST_MS = 100;
const RESTART_MAX_MS = 5_000;
/** A child that lived this long did not die at once. */
const SETTLED_MS = 2_000;
/** Longer than a region that lost its folder takes at most to get its data back. */
const READY_MS = 120_000;
const STOP_MS = 2_500;

/**
 * Resolves when every process is ready. Everything that can be refused is, before a process is started.
 * @param signal stops a start that is under way
 */
export async function startCluster(options: ClusterOptions, signal?: AbortSignal): Promise<RunningCluster> {
  const { data, tls, port, regions } = options;
  if (tls !== undefined) readTls(tls);
  ensureFolder(data);
  const lock = await lockFolder(data);
  try {
    for (const each of [port, ...regions.map((_, at) => port + 1 + at)]) await assertPortFree(each);
    return await new Cluster(options, lock).start(signal);
  } catch (error) {
    await lock.close();
    throw error;
  }
}

async function assertPortFree(port: number): Promise<void> {
  try {
    await assertFree('127.0.0.1', port);
  } catch (error) {
    throw new ArchipelError('bad-request', `${error instanceof Error ? error.message : String(error)} Choose other ports with --port: the edge takes that one, the regions those after it.`, {}, error);
  }
}

/** Held by the operating system for as long as this process lives, so that it never outlives a crash. */
async function lockFolder(data: string): Promise<ClassicLevel> {
  const lock = new ClassicLevel(join(data, 'lock'));
  try {
    await lock.open();
    return lock;
  } catch (error) {
    const cause = (error as { readonly cause?: NodeJS.ErrnoException }).cause;
    const why = cause?.code === 'LEVEL_LOCKED' ? `A cluster is running on ${data} already.` : `The folder ${data} cannot be used (${cause?.message ?? String(error)}).`;
    throw new ArchipelError('storage-unavailable', why, {}, error);
  }
}

interface Child {
  readonly name: string;
  readonly url: string;
  readonly args: readonly string[];
  process: ChildProcess | undefined;
  startedMs: number;
  waitMs: number;
}

class Cluster {
  readonly #options: ClusterOptions;
  readonly #lock: ClassicLevel;
  readonly #children: Child[] = [];
  #adminKey: string | undefined;
  #stopping = false;

  constructor(options: ClusterOptions, lock: ClassicLevel) {
    this.#options = options;
    this.#lock = lock;
  }

  async start(signal: AbortSignal | undefined): Promise<RunningCluster> {
    const { data, noAuth, regions, port } = this.#options;
    rmSync(clusterFilePath(data), { force: true }); // one of a run that was killed would tell of processes that are gone
    readOrMake(join(data, 'secret'), () => toHex(nodeRandom.bytes(32)));
    const admin = readOrMake(join(data, 'admin.key'), () => newKey(nodeRandom, sha256, 'admin').key);
    this.#adminKey = noAuth ? undefined : admin.content;
    const topology = this.#topology();
    writePrivate(topologyPath(data), `${JSON.stringify(topology, undefined, 2)}\n`);
    for (const [at, id] of regions.entries()) this.#children.push(this.#child(id, port + 1 + at, this.#regionArguments(id, at)));
    this.#children.push(this.#child('edge', port, this.#edgeArguments()));
    const interrupted = Promise.withResolvers<never>();
    const interrupt = (): void => interrupted.reject(new ArchipelError('internal', 'Stopped before the cluster was ready.'));
    signal?.addEventListener('abort', interrupt, { once: true });
    try {
      await Promise.race([interrupted.promise, Promise.all(this.#children.map((child) => this.#launch(child))).then(() => this.#takeFirstSteps())]);
    } catch (error) {
      await this.stop();
      throw error;
    }
    const file = this.#write();
    return { file, isFirstStart: admin.made, stop: () => this.stop() };
  }

  get #scheme(): string {
    return this.#options.tls === undefined ? 'http' : 'https';
  }

  #url(port: number): string {
    return `${this.#scheme}://127.0.0.1:${port}`;
  }

  #child(name: string, port: number, args: readonly string[]): Child {
    return { name, url: this.#url(port), args, process: undefined, startedMs: 0, waitMs: RESTART_FIRST_MS };
  }

  /** Data that was written by certain regions is not started with others: joining and leaving is an operation of its own. */
  #topology(): Topology {
    const { data, regions } = this.#options;
    const path = topologyPath(data);
    const stored = existsSync(path) ? readTopology(path) : undefined;
    const known = stored?.regions.map(({ id }) => id) ?? regions;
    if ([...known].sort().join() !== [...regions].sort().join()) {
      throw new ArchipelError('bad-request', `The data in ${data} is of the regions ${known.join(', ')}; start with --regions ${known.join(',')}, or with another --data.`);
    }
    const entries = regions.map((id, at) => regionEntry(id, this.#url(this.#options.port + 1 + at)));
    return { format: 1, term: stored?.term ?? 1, epoch: stored?.epoch ?? 1, control: stored?.control ?? (regions[0] as RegionId), regions: entries };
  }

  #tlsArguments(): string[] {
    const { tls } = this.#options;
    return tls === undefined ? [] : ['--tls-cert', tls.certFile, '--tls-key', tls.keyFile];
  }

  #regionArguments(id: RegionId, at: number): string[] {
    const { data, port, regions, replicas, durability, noAuth, reconcileEvery, links, clockOffsetFolder, observersAgree, verbose } = this.#options;
    const peers = regions.flatMap((peer, index) => (peer === id ? [] : ['--peer', `${peer}=${links.get(`${id}>${peer}`) ?? this.#url(port + 1 + index)}`]));
    return [
      'region',
      ...['--id', id, '--listen', `127.0.0.1:${port + 1 + at}`, '--data', join(data, id)],
      ...['--topology', topologyPath(data), '--replicas', String(replicas), '--durability', durability],
      ...['--secret-file', join(data, 'secret'), '--reconcile-every', reconcileEvery],
      ...(noAuth ? ['--no-auth'] : ['--admin-key-file', join(data, 'admin.key')]),
      ...(verbose ? ['--verbose'] : []),
      ...(observersAgree === undefined ? [] : ['--observers-agree', String(observersAgree)]),
      ...peers,
      ...this.#tlsArguments(),
      ...(clockOffsetFolder === undefined ? [] : ['--unsafe-testing', '--clock-offset-file', join(clockOffsetFolder, id)]),
    ];
  }

  #edgeArguments(): string[] {
    const { port, regions, data, verbose, hedgeMs, observersAgree } = this.#options;
    const urls = regions.flatMap((id, at) => ['--region', `${id}=${this.#url(port + 1 + at)}`]);
    return ['edge', '--listen', `127.0.0.1:${port}`, '--topology', topologyPath(data), '--secret-file', join(data, 'secret'), ...(hedgeMs === undefined ? [] : ['--hedge-ms', String(hedgeMs)]), ...(observersAgree === undefined ? [] : ['--observers-agree', String(observersAgree)]), ...(verbose ? ['--verbose'] : []), ...urls, ...this.#tlsArguments()];
  }

  // Children ------------------------------------------------------------------------------------------------------------------

  /** Resolves when the child says that it is ready; a first start that fails is an error. */
  #launch(child: Child): Promise<void> {
    return new Promise((resolve, reject) => {
      let isReady = false;
      const timer = setTimeout(() => reject(new ArchipelError('internal', `${child.name} did not become ready in ${READY_MS / 1_000} s.`)), READY_MS);
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        act();
      };
      const started = this.#spawn(child);
      let complaint: string | undefined;
      started.on('message', (message: { readonly ready?: boolean; readonly error?: string }) => {
        if (message.ready === true) settle(resolve);
        isReady ||= message.ready === true;
        complaint = message.error ?? complaint;
      });
      this.#whenGone(started, () => {
        if (!isReady) settle(() => reject(new ArchipelError('internal', complaint ?? `${child.name} ended while it was starting.`)));
        else this.#died(child);
      });
    });
  }

  /** Calls back once: when the process has ended, or could not be started at all. */
  #whenGone(started: ChildProcess, then: () => void): void {
    let isGone = false;
    for (const event of ['exit', 'error'] as const) {
      started.on(event, () => {
        if (!isGone) then();
        isGone = true;
      });
    }
  }

  #spawn(child: Child): ChildProcess {
    child.startedMs = Date.now();
    const started = spawn(process.execPath, [...process.execArgv, YOUNG_GENERATION, OLD_GENERATION, programPath(), ...child.args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.process = started;
    return started;
  }

  #died(child: Child): void {
    const { log, restart } = this.#options;
    const { exitCode, signalCode } = child.process ?? {};
    child.process = undefined;
    if (this.#stopping) return;
    const diedAtOnce = Date.now() - child.startedMs < SETTLED_MS;
    const waitMs = diedAtOnce ? child.waitMs : RESTART_FIRST_MS;
    child.waitMs = Math.min(RESTART_MAX_MS, waitMs * 2);
    log.write('warn', 'process.died', { process: child.name, exitCode, signal: signalCode, ...(restart ? { startsAgainInMs: waitMs } : {}) });
    this.#rewrite();
    if (restart) setTimeout(() => this.#restart(child), waitMs);
  }

  #restart(child: Child): void {
    if (this.#stopping) return;
    const started = this.#spawn(child);
    started.on('message', ({ error }: { readonly error?: string }) => {
      if (error !== undefined) this.#options.log.write('error', 'process.failed', { process: child.name, error });
    });
    this.#whenGone(started, () => this.#died(child));
    this.#rewrite();
  }

  // cluster.json --------------------------------------------------------------------------------------------------------------

  #write(): ClusterFile {
    const { data, regions } = this.#options;
    const find = (name: string): Child => this.#children.find((child) => child.name === name) as Child;
    const edge = find('edge');
    const file: ClusterFile = {
      edge: { url: edge.url, pid: edge.process?.pid ?? 0 },
      regions: regions.map((id) => ({ id, url: find(id).url, pid: find(id).process?.pid ?? 0, data: join(data, id) })),
      adminKey: this.#adminKey,
      ...(this.#options.tls === undefined ? {} : { tlsCert: this.#options.tls.certFile }),
    };
    writePrivate(clusterFilePath(data), `${JSON.stringify(file)}\n`);
    return file;
  }

  /** A disk that is full must not end the parent: the file is written again at the next change. */
  #rewrite(): void {
    try {
      this.#write();
    } catch (error) {
      this.#options.log.write('error', 'cluster-file.not-written', { error: String(error) });
    }
  }

  #takeFirstSteps(): Promise<void> {
    const { tls, log } = this.#options;
    const regions = this.#children.filter(({ name }) => name !== 'edge');
    return takeFirstSteps({ regions, adminKey: this.#adminKey, ca: tls === undefined ? undefined : readText(tls.certFile), log });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#children.map((child) => endChild(child)));
    rmSync(clusterFilePath(this.#options.data), { force: true });
    await this.#lock.close();
  }
}

function endChild(child: Child): Promise<void> {
  const running = child.process;
  if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    const force = setTimeout(() => running.kill('SIGKILL'), STOP_MS);
    running.once('exit', () => {
      clearTimeout(force);
      resolve();
    });
    running.kill('SIGTERM');
  });
}
