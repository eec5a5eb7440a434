// The processes of a benchmark: load generator, yardstick, and what the system says of the regions'. Each ends with its
// parent, because its channel to it closes.

import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, root } from '../../scripts/lib/cluster.ts';
import type { Job, JobResult, LagJob, LoadJob } from './jobs.ts';

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

  end(): void {
    if (this.#process.connected) this.#process.disconnect();
  }
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

  end(): void {
    if (this.#process.connected) this.#process.disconnect();
  }
}

const TICKS_PER_SECOND = 100;

/** Processor seconds of a process since its start; undefined where the system does not tell (no /proc). */
export function cpuSeconds(pid: number): number | undefined {
  const fields = readProc(`/proc/${pid}/stat`)?.replace(/^.*\) /, '').split(' ');
  return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
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
