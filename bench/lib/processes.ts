// The processes of a benchmark: load generator, yardstick, and what the system says of the regions'. Each ends with its
// parent, because its channel to it closes.

import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, root, sleep } from '../../scripts/lib/cluster.ts';
import type { Job, JobResult, LagJob, LoadJob, LoadResult } from './jobs.ts';

export class Generator {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #next = 0;

  constructor() {
    this.#process = fork(join(root, 'bench/load.ts'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#process.on('message', ({ id, value, error }: { id: number; value?: never; error?: string }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(value as never);
      else waiting?.reject(new Error(error));
    });
  }

  run<J extends Job>(job: J): Promise<JobResult<J>> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#process.send({ id, job });
    });
  }

  load(job: Omit<LoadJob, 'type'>): Promise<JobResult<LoadJob>> {
    return this.run({ type: 'load', ...job });
  }

  lag(job: Omit<LagJob, 'type'>): Promise<JobResult<LagJob>> {
    return this.run({ type: 'lag', ...job });
  }

  end(): Promise<void> {
    return endOf(this.#process);
  }
}

function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    if (child.connected) child.disconnect();
  });
}

export class Yardstick {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#process = child;
  }

  static async start(): Promise<Yardstick> {
    const port = await freePorts(1);
    const child = fork(join(root, 'bench/yardstick.ts'), [String(port)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', () => reject(new Error('The yardstick did not start.')));
    });
    return new Yardstick(`http://127.0.0.1:${port}`, child);
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  end(): Promise<void> {
    return endOf(this.#process);
  }
}

/**
 * How much of this machine's processors others took meanwhile, from 0 to 1: what was used of them, less what this process
 * and those that it has started, and seen the end of, have used. A benchmark on a busy machine measures its neighbours.
 */
export class Neighbours {
  readonly #from = usage();

  share(): number | undefined {
    const [from, to] = [this.#from, usage()];
    if (from === undefined || to === undefined || to.all === from.all) return undefined;
    return Math.max(0, (to.used - from.used - (to.ours - from.ours)) / (to.all - from.all));
  }
}

/** Above this the figures tell more of the neighbours than of us. */
export const NEIGHBOURS_MAX = 0.15;

const LOOK_MS = 1_000;

/** Until others leave this machine alone for a second, or the time is up. */
export async function quietMachine(timeoutMs: number): Promise<void> {
  for (const endMs = performance.now() + timeoutMs; performance.now() < endMs; ) {
    const neighbours = new Neighbours();
    await sleep(LOOK_MS);
    if ((neighbours.share() ?? 0) <= NEIGHBOURS_MAX) return;
  }
}

function usage(): { readonly all: number; readonly used: number; readonly ours: number } | undefined {
  const line = readProc('/proc/stat')?.split('\n')[0]?.trim().split(/\s+/).slice(1, 9).map(Number);
  const own = readProc('/proc/self/stat')?.replace(/^.*\) /, '').split(' ');
  if (line === undefined || own === undefined) return undefined;
  const all = line.reduce((sum, ticks) => sum + ticks, 0);
  const [idle = 0, waiting = 0] = line.slice(3, 5);
  return { all, used: all - idle - waiting, ours: [11, 12, 13, 14].reduce((sum, at) => sum + Number(own[at]), 0) };
}

const TICKS_PER_SECOND = 100;

/** Processor seconds of a process since its start; undefined where the system does not tell (no /proc). */
export function cpuSeconds(pid: number): number | undefined {
  const fields = readProc(`/proc/${pid}/stat`)?.replace(/^.*\) /, '').split(' ');
  return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Of all these together, in microseconds for each request that was done meanwhile. */
export async function withCpu(pids: readonly number[], load: () => Promise<LoadResult>): Promise<LoadResult & { readonly serverMicros: number }> {
  const seconds = (): number => pids.reduce((sum, pid) => sum + (cpuSeconds(pid) ?? Number.NaN), 0);
  const from = seconds();
  const result = await load();
  return { ...result, serverMicros: ((seconds() - from) * 1e6) / result.done };
}

/** Resident memory in megabytes. */
export function residentMb(pid: number): number | undefined {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readProc(`/proc/${pid}/status`) ?? '')?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1024;
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
