// The writing side of a simulated disk, for one process: writes that arrive while a group is being made durable wait in
// the next one. A group is on the disk whole or not at all; which of the two it is, when the process dies in between, the
// seed decides.

import { ArchipelError } from '../../core/errors.ts';
import type { Cell } from './disk.ts';
import type { Process } from './machine.ts';
import type { SeededRandom } from './random.ts';

export interface StoreFaults {
  /** Mean of a sync, in milliseconds. */
  readonly syncMs: number;
  /** A sync that fails: the writer learns that the outcome is unknown. */
  readonly failedSyncs: number;
  readonly relaxed: boolean;
}

export interface GroupOwner {
  /** The group is complete: adds what concerns it as a whole. */
  seal(changes: readonly unknown[]): readonly Cell[];
  /** The group is durable. Called before any of its writers is answered. */
  durable(changes: readonly unknown[]): void;
  /** The process is dead, and the group is durable all the same. */
  outlived(changes: readonly unknown[]): void;
  failed(): void;
}

interface Group {
  readonly cells: Cell[];
  readonly changes: unknown[];
  readonly settled: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  frees: boolean;
}

export class SimStore {
  readonly #process: Process;
  readonly #faults: StoreFaults;
  readonly #random: SeededRandom;
  #owner: GroupOwner | undefined;
  #filling: Group | undefined;
  #syncing: Group | undefined;
  #isFlushing = false;
  readonly stats = { groups: 0, failed: 0 };

  constructor(process: Process, faults: StoreFaults, random: SeededRandom) {
    this.#process = process;
    this.#faults = faults;
    this.#random = random;
    process.onEnd(() => this.#crash());
  }

  own(owner: GroupOwner): void {
    this.#owner = owner;
  }

  get #disk(): Process['machine']['disk'] {
    return this.#process.machine.disk;
  }

  /** Joins the filling group. Resolves when it is durable. @throws ArchipelError `storage-full`, `write-outcome-unknown` */
  write(cells: readonly Cell[], { change, frees = false }: { readonly change?: unknown; readonly frees?: boolean } = {}): Promise<void> {
    if (this.#disk.isFull && !frees) throw new ArchipelError('storage-full', 'The disk is full.');
    const group = (this.#filling ??= newGroup());
    group.cells.push(...cells);
    if (change !== undefined) group.changes.push(change);
    group.frees &&= frees;
    if (!this.#isFlushing) {
      this.#isFlushing = true;
      void Promise.resolve().then(() => this.#flush());
    }
    return group.settled;
  }

  async #flush(): Promise<void> {
    for (let group = this.#take(); group !== undefined; group = this.#take()) {
      const sealed = this.#owner?.seal(group.changes) ?? [];
      group.cells.push(...sealed);
      this.#syncing = group;
      await this.#process.wait(this.#random.around(this.#faults.syncMs));
      this.#syncing = undefined;
      this.#settle(group);
    }
    this.#isFlushing = false;
  }

  #take(): Group | undefined {
    const group = this.#filling;
    this.#filling = undefined;
    return group;
  }

  #settle(group: Group): void {
    this.stats.groups++;
    if (this.#disk.isFull && !group.frees) return this.#fail(group, new ArchipelError('storage-full', 'The disk is full.'));
    const isFailed = this.#random.chance(this.#disk.isWell ? 0 : this.#faults.failedSyncs);
    if (isFailed && this.#random.chance(0.5)) return this.#fail(group, unknownOutcome());
    this.#disk.batch(group.cells, !this.#faults.relaxed);
    this.#owner?.durable(group.changes);
    // mark if (isFailed): failed sync is there all the same
    if (isFailed) group.reject(unknownOutcome()); // it is there all the same
    else group.resolve();
  }

  /** What was decided behind the group, on states that will not be, fails with it. */
  #fail(group: Group, error: Error): void {
    this.stats.failed++;
    const behind = this.#take();
    // mark if (behind !== undefined): group fails with the one before it
    this.#owner?.failed();
    group.reject(error);
    behind?.reject(new ArchipelError('storage-unavailable', 'The disk failed before the write was begun.'));
  }

  /** The process dies: what is being synced arrives, or does not. */
  #crash(): void {
    const group = this.#syncing;
    if (group === undefined || this.#disk.isFull || !this.#random.chance(0.5)) return;
    // mark: dying sync arrived
    this.#process.world.trace(this.#process.name, 'the dying sync arrived');
    this.#disk.batch(group.cells, !this.#faults.relaxed);
    this.#owner?.outlived(group.changes);
  }
}

const unknownOutcome = (): ArchipelError => new ArchipelError('write-outcome-unknown', 'The disk failed during the write.');

function newGroup(): Group {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined);
  return { cells: [], changes: [], settled: promise, resolve, reject, frees: true };
}
