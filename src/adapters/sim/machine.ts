// A machine of the simulation: an oscillator and a wall clock that may be wrong, a disk, and at most one process. Whatever
// enters a process (a timer, a message, a finished disk write) enters by `post`, so a process that died runs nothing more,
// and one that is stopped runs it later.

import type { Cancel, Clock } from '../../ports/clock.ts';
import { ArchipelError } from '../../core/errors.ts';
import { Disk } from './disk.ts';
import type { SeededRandom } from './random.ts';
import type { World } from './world.ts';

/** 2026-01-01T00:00:00Z: when every run begins. */
export const EPOCH_MS = Date.UTC(2026, 0, 1);

export class Machine {
  readonly id: string;
  readonly world: World;
  disk: Disk;
  process: Process | undefined;
  /** Oscillator against true time: 1.0001 gains 0.1 ms a second. */
  rate = 1;
  /** Of the wall clock, against EPOCH_MS plus the oscillator. */
  wallOffsetMs = 0;
  /** A machine without breath: everything that enters its process comes so much later. */
  lagMs = 0;
  /** Of what is asked of its table and its queues, the part that is turned away. */
  throttled = 0;
  /** Processes started so far. */
  boots = 0;

  constructor(id: string, world: World) {
    this.id = id;
    this.world = world;
    this.disk = new Disk(world, id);
  }

  get oscillatorMs(): number {
    return this.world.nowMs * this.rate;
  }

  /** @throws Error when a process runs already */
  boot(): Process {
    if (this.process !== undefined) throw new Error(`${this.id} runs already.`);
    this.process = new Process(this, ++this.boots);
    return this.process;
  }

  /** `kill -9`. */
  kill(): void {
    this.process?.end();
    this.process = undefined;
  }
}

export class Process {
  readonly machine: Machine;
  readonly world: World;
  readonly name: string;
  readonly clock: Clock;
  #isAlive = true;
  #pausedUntilMs = 0;
  readonly #atEnd: (() => void)[] = [];

  constructor(machine: Machine, boot: number) {
    this.machine = machine;
    this.world = machine.world;
    this.name = `${machine.id}#${boot}`;
    this.clock = new ProcessClock(this);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  end(): void {
    this.#isAlive = false;
    for (const task of this.#atEnd) task();
  }

  /** What the hardware does when the process dies. */
  onEnd(task: () => void): void {
    this.#atEnd.push(task);
  }

  get isPaused(): boolean {
    return this.#pausedUntilMs > this.world.nowMs;
  }

  /** What DynamoDB and SQS do under load: turned away, and nothing was done. @throws ArchipelError `storage-unavailable` */
  assertCapacity(random: SeededRandom): void {
    if (!random.chance(this.machine.throttled)) return;
    this.world.count('throttled');
    throw new ArchipelError('storage-unavailable', 'Throttled.');
  }

  /** SIGSTOP, and SIGCONT after so long. */
  stopFor(durationMs: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.world.nowMs + durationMs);
  }

  /** Runs the task in this process, later; never when it has died by then. */
  post(delayMs: number, task: () => void): Cancel {
    let cancel: Cancel;
    const run = (): void => {
      if (!this.#isAlive) return;
      const leftMs = this.#pausedUntilMs - this.world.nowMs;
      if (leftMs > 0) cancel = this.world.after(leftMs, run);
      else task();
    };
    if (this.machine.lagMs > 0) this.world.count('task that a slow machine did late');
    cancel = this.world.after(delayMs + this.machine.lagMs, run);
    return () => cancel();
  }

  /** A message that has come to the machine: at once, where the process runs and has breath. */
  enter(task: () => void): void {
    if (this.isPaused || this.machine.lagMs > 0) this.post(0, task);
    else if (this.#isAlive) task();
  }

  /** Settles so much later, in this process; never when it has died by then. */
  wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.post(delayMs, resolve));
  }
}

class ProcessClock implements Clock {
  readonly #process: Process;
  readonly #startMs: number;

  constructor(process: Process) {
    this.#process = process;
    this.#startMs = process.machine.oscillatorMs;
  }

  wallMs(): number {
    const { machine } = this.#process;
    return Math.floor(EPOCH_MS + machine.oscillatorMs + machine.wallOffsetMs);
  }

  monotonicMs(): number {
    return this.#process.machine.oscillatorMs - this.#startMs;
  }

  after(delayMs: number, task: () => void): Cancel {
    return this.#process.post(delayMs / this.#process.machine.rate, task);
  }
}
