// Loaded into the process of a region or an edge before its program (`node --import`), so that the product need not know of
// it: what its thread stood still for, and where its time went. SIGUSR2 begins a window, and ends it by writing a file.

import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import { constants, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { ClassicLevel } from 'classic-level';
import { quantile } from './numbers.ts';
import { FOLDER_VARIABLE, PROFILE_VARIABLE, type Observed, type Pause } from './observed.ts';

const RESOLUTION_MS = 1;
const SAMPLE_US = 250;
const folder = process.env[FOLDER_VARIABLE];
const isObserved = folder !== undefined && process.argv.some((argument) => argument === 'region' || argument === 'edge');

const KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'young generation',
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'whole heap',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'whole heap, a step',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weak callbacks',
};

class Window {
  readonly #fromMs = performance.now();
  readonly #cpu = process.cpuUsage();
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #pauses = new Map<string, number[]>();
  readonly #level = levelTotals();
  readonly #collected = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) this.note(KINDS[(entry as unknown as { detail: { kind: number } }).detail.kind] ?? 'other', entry.duration);
  });
  readonly #session: Session | undefined;

  constructor(isProfiled: boolean) {
    this.#delay.enable();
    this.#collected.observe({ entryTypes: ['gc'] });
    if (isProfiled) this.#session = new Session();
  }

  async begin(): Promise<void> {
    this.#session?.connect();
    await this.#session?.post('Profiler.enable');
    await this.#session?.post('Profiler.setSamplingInterval', { interval: SAMPLE_US });
    await this.#session?.post('Profiler.start');
  }

  note(kind: string, ms: number): void {
    const known = this.#pauses.get(kind);
    if (known === undefined) this.#pauses.set(kind, [ms]);
    else known.push(ms);
  }

  async end(): Promise<Observed> {
    const profile = (await this.#session?.post('Profiler.stop'))?.profile;
    this.#session?.disconnect();
    this.#delay.disable();
    this.#collected.disconnect();
    const cpu = process.cpuUsage(this.#cpu);
    const delayMs = (share: number): number => Math.max(0, this.#delay.percentile(share * 100) / 1e6 - RESOLUTION_MS);
    const level = levelTotals();
    return {
      seconds: (performance.now() - this.#fromMs) / 1_000,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      delay: { p50Ms: delayMs(0.5), p99Ms: delayMs(0.99), p999Ms: delayMs(0.999), maxMs: Math.max(0, this.#delay.max / 1e6 - RESOLUTION_MS) },
      pauses: [...this.#pauses].map(([kind, taken]) => pauseOf(kind, taken)),
      compaction: { seconds: level.seconds - this.#level.seconds, readMb: level.readMb - this.#level.readMb, writtenMb: level.writtenMb - this.#level.writtenMb },
      ...(profile === undefined ? {} : { profile: profile as unknown as NonNullable<Observed['profile']> }),
    };
  }
}

function pauseOf(kind: string, taken: number[]): Pause {
  taken.sort((a, b) => a - b);
  return { kind, count: taken.length, sumMs: taken.reduce((sum, ms) => sum + ms, 0), p50Ms: quantile(taken, 0.5), p99Ms: quantile(taken, 0.99), maxMs: taken.at(-1) as number };
}

const databases: ClassicLevel[] = [];
let window: Window | undefined;

/** LevelDB counts the seconds and megabytes of its compactions itself, flushes included. */
function levelTotals(): Observed['compaction'] {
  const totals = { seconds: 0, readMb: 0, writtenMb: 0 };
  for (const database of databases) {
    if (database.status !== 'open') continue;
    for (const [, , , seconds, readMb, writtenMb] of levelRows(database)) {
      totals.seconds += seconds as number;
      totals.readMb += readMb as number;
      totals.writtenMb += writtenMb as number;
    }
  }
  return totals;
}

/** Level, files, MB, seconds, MB read, MB written. */
const levelRows = (database: ClassicLevel): number[][] => database.getProperty('leveldb.stats').split('\n').map((line) => line.trim().split(/\s+/).map(Number)).filter((row) => row.length === 6 && row.every(Number.isFinite));

/** A batch that waits in LevelDB waits for a table that is being written, or for a compaction. */
function watchLevel(): void {
  type Method = (this: unknown, ...all: unknown[]) => Promise<unknown>;
  const inside = ClassicLevel.prototype as unknown as { _open: Method; _batch: Method };
  const open = inside._open;
  const batch = inside._batch;
  inside._open = function (...all) {
    databases.push(this as ClassicLevel);
    return open.apply(this, all);
  };
  inside._batch = async function (...all) {
    const fromMs = performance.now();
    const result = await batch.apply(this, all);
    window?.note('a batch of LevelDB', performance.now() - fromMs);
    return result;
  };
}

if (isObserved) {
  watchLevel();
  let turn = 0;
  process.on('SIGUSR2', () => {
    const open = window;
    window = open === undefined ? new Window(process.env[PROFILE_VARIABLE] !== undefined) : undefined;
    const path = join(folder, `${process.pid}.${turn++}.json`);
    void (open === undefined ? (window as Window).begin().then(() => ({})) : open.end()).then((told) => writeFileSync(path, JSON.stringify(told)));
  });
}
