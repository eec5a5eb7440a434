// Does the data path answer? A process that still talks may have a disk that does not: so a region does for itself, now and
// then, what a request would do, a read and a durable write, and tells its peers whether that came to an end.
//
// A write that is refused (a full disk) has come to an end: the clients are told, and reads go on.

import { DATA_PATH_EVERY_MS, DATA_PATH_MS } from '../core/limits.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Table } from '../ports/table.ts';
import { keepDocument, readDocument } from './documents.ts';

const NAME = 'data-path';

export interface DataPathParts {
  readonly clock: Clock;
  readonly table: Table;
  readonly log: Log;
}

export class DataPath {
  readonly #parts: DataPathParts;
  #isUnderWay = false;
  #begunMs = Number.NEGATIVE_INFINITY;
  #isReadable = true;
  #wasSound = true;

  constructor(parts: DataPathParts) {
    this.#parts = parts;
  }

  /** Begins a check where the last one is over and some time has passed. Never waited for. */
  check(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    this.#tell();
    if (this.#isUnderWay || nowMs - this.#begunMs < DATA_PATH_EVERY_MS) return;
    this.#isUnderWay = true;
    this.#begunMs = nowMs;
    void this.#try().finally(() => (this.#isUnderWay = false));
  }

  async #try(): Promise<void> {
    const { table, clock } = this.#parts;
    try {
      await readDocument(table, NAME);
      this.#isReadable = true;
    } catch {
      this.#isReadable = false;
      return;
    }
    await keepDocument(table, NAME, () => ({ atMs: Math.floor(clock.wallMs()) })).catch(() => undefined);
  }

  get isSound(): boolean {
    return this.#isReadable && !(this.#isUnderWay && this.#parts.clock.monotonicMs() - this.#begunMs > DATA_PATH_MS);
  }

  #tell(): void {
    const isSound = this.isSound;
    if (isSound === this.#wasSound) return;
    this.#wasSound = isSound;
    this.#parts.log.write(isSound ? 'info' : 'error', isSound ? 'data-path.answers' : 'data-path.silent', {});
  }
}
