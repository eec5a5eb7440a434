// Starting processes with the observer in them, and asking them what they did.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, sleep, until } from '../../scripts/lib/cluster.ts';
import { FOLDER_VARIABLE, PROFILE_VARIABLE, type Observed } from './observed.ts';

/** Processes that are started inside of `start` are observed. */
export class Observers {
  readonly #folder = mkdtempSync(join(tmpdir(), 'archipel-observed-'));
  readonly #turns = new Map<number, number>();

  async started<T>(start: () => Promise<T>, { profiled = false } = {}): Promise<T> {
    const before = { ...process.env };
    Object.assign(process.env, { NODE_OPTIONS: `${before['NODE_OPTIONS'] ?? ''} --import ${join(root, 'bench/lib/observer.ts')}`.trim(), [FOLDER_VARIABLE]: this.#folder, ...(profiled ? { [PROFILE_VARIABLE]: '1' } : {}) });
    try {
      return await start();
    } finally {
      for (const name of ['NODE_OPTIONS', FOLDER_VARIABLE, PROFILE_VARIABLE]) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
  }

  /** What each process did while this was done. */
  async during<T>(pids: readonly number[], work: () => Promise<T>): Promise<{ readonly result: T; readonly observed: readonly Observed[] }> {
    await Promise.all(pids.map((pid) => this.#next(pid)));
    const result = await work();
    const observed = (await Promise.all(pids.map((pid) => this.#next(pid)))) as Observed[];
    return { result, observed };
  }

  async #next(pid: number): Promise<unknown> {
    const turn = this.#turns.get(pid) ?? 0;
    this.#turns.set(pid, turn + 1);
    const path = join(this.#folder, `${pid}.${turn}.json`);
    process.kill(pid, 'SIGUSR2');
    await until(`process ${pid} tells what it did`, async () => existsSync(path), 30_000, 5);
    await sleep(20);
    return JSON.parse(readFileSync(path, 'utf8'));
  }

  end(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
