// What a region's process leaves behind when it dies: its table, queues and identity. In memory, where the test can make
// any call fail; or a real LevelDB folder, which can be killed, wiped, copied and put back.

import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drawIncarnation, identify, noteCleanStop, noteRecovered } from '../../src/adapters/level/identity.ts';
import { LevelDeadLetters, LevelQueue } from '../../src/adapters/level/queue.ts';
import { LevelStore } from '../../src/adapters/level/store.ts';
import { LevelTable } from '../../src/adapters/level/table.ts';
import { MemoryDeadLetters, MemoryQueue } from '../../src/adapters/memory/queue.ts';
import { MemoryTable } from '../../src/adapters/memory/table.ts';
import { deriveKey, hmacSha256 } from '../../src/adapters/node/crypto.ts';
import { utf8 } from '../../src/core/bytes.ts';
import type { ItemKey } from '../../src/core/keys/item-key.ts';
import type { Record as StoredRecord } from '../../src/core/version/record.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { ChangeLog } from '../../src/ports/change-log.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Log } from '../../src/ports/log.ts';
import type { DeadLetters, Message, Queue } from '../../src/ports/queue.ts';
import type { Random } from '../../src/ports/random.ts';
import type { Change, Table } from '../../src/ports/table.ts';

export const digestHash = hmacSha256(deriveKey(utf8('the secret of a scenario'), 'digest'));

/** A disk as a process has opened it. */
export interface OpenDisk {
  readonly table: Table;
  readonly changes: ChangeLog;
  readonly incarnation: string;
  readonly isNew: boolean;
  readonly isDrawn: boolean;
  hints(peer: RegionId): Queue;
  letters(peer: RegionId): DeadLetters;
  drawIncarnation(): Promise<string>;
  recovered(): Promise<void>;
  /** A clean stop. */
  close(): Promise<void>;
  /** As `kill -9` leaves it. */
  kill(): Promise<void>;
}

export interface OpenOptions {
  readonly peers: readonly RegionId[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Disk {
  open(options: OpenOptions): Promise<OpenDisk>;
  wipe(): Promise<void> | void;
  remove(): void;
}

// In memory -----------------------------------------------------------------------------------------------------------------

/** Calls a fault before the real thing; a fault throws, takes its time, or lets it pass. */
export class FaultyTable extends MemoryTable {
  onUpdate: (key: ItemKey) => void = () => undefined;
  onGet: (key: ItemKey) => void = () => undefined;
  onDocument: (name: string) => void | Promise<void> = () => undefined;
  /** The document is durable, and nobody has been told. */
  afterDocument: (name: string) => void = () => undefined;

  override async update<R>(key: ItemKey, change: Change<R>): Promise<R> {
    this.onUpdate(key);
    return super.update(key, change);
  }

  override async get(key: ItemKey): Promise<StoredRecord | undefined> {
    this.onGet(key);
    return super.get(key);
  }

  override async putDocument(name: string, bytes: Uint8Array, expected: number | undefined): Promise<boolean> {
    await this.onDocument(name);
    const done = await super.putDocument(name, bytes, expected);
    this.afterDocument(name);
    return done;
  }
}

export class FaultyQueue extends MemoryQueue {
  /** Answers the positions to refuse, or throws. */
  onSend: (messages: readonly Message[]) => readonly number[] = () => [];
  /** Added to the depth, as if so many other messages waited. */
  ballast = 0;

  override async send(messages: readonly Message[]): Promise<{ readonly refused: readonly number[] }> {
    const refused = this.onSend(messages);
    await super.send(messages.filter((_, at) => !refused.includes(at)));
    return { refused };
  }

  override async depth(): Promise<number> {
    return (await super.depth()) + this.ballast;
  }
}

export class MemoryDisk implements Disk {
  table = new FaultyTable(digestHash);
  incarnation = 'k1';
  /** The next start finds a folder that is not the one it wrote. */
  isNew = false;
  onRecovered: () => void = () => undefined;
  readonly #hints = new Map<RegionId, FaultyQueue>();
  readonly #letters = new Map<RegionId, MemoryDeadLetters>();
  readonly #clock: Clock;
  #drawn = 1;
  /** It was opened before, and not wiped since. */
  #isKnown = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hints(peer: RegionId): FaultyQueue {
    const known = this.#hints.get(peer) ?? new FaultyQueue(this.#clock);
    this.#hints.set(peer, known);
    return known;
  }

  letters(peer: RegionId): MemoryDeadLetters {
    const known = this.#letters.get(peer) ?? new MemoryDeadLetters();
    this.#letters.set(peer, known);
    return known;
  }

  async open(): Promise<OpenDisk> {
    const { table, isNew } = this;
    const isDrawn = !this.#isKnown;
    this.#isKnown = true;
    return {
      table,
      changes: table.changes,
      incarnation: this.incarnation,
      isNew,
      isDrawn,
      hints: (peer) => this.hints(peer),
      letters: (peer) => this.letters(peer),
      drawIncarnation: async () => {
        this.isNew = true;
        return (this.incarnation = `k${++this.#drawn}`);
      },
      recovered: async () => {
        this.onRecovered();
        this.isNew = false;
      },
      close: async () => undefined,
      kill: async () => undefined,
    };
  }

  wipe(): void {
    this.table = new FaultyTable(digestHash);
    this.#hints.clear();
    this.#letters.clear();
    this.incarnation = `k${++this.#drawn}`;
    this.isNew = true;
    this.#isKnown = false;
  }

  remove(): void {}
}

// On LevelDB ----------------------------------------------------------------------------------------------------------------

export class LevelDisk implements Disk {
  readonly #root = mkdtempSync(join(tmpdir(), 'archipel-scenario-'));
  store: LevelStore | undefined;
  /** Before an incarnation is drawn. */
  onDraw: () => void = () => undefined;

  get folder(): string {
    return join(this.#root, 'data');
  }

  get database(): string {
    return join(this.folder, 'db');
  }

  async open({ peers, clock, random, log }: OpenOptions): Promise<OpenDisk> {
    mkdirSync(this.database, { recursive: true });
    // Nothing here depends on the disk's own caches: a sync would only take its time.
    const store = await LevelStore.open({ folder: this.database, durability: 'relaxed', clock, log });
    this.store = store;
    const table = await LevelTable.open(store, digestHash);
    const identity = await identify(this.folder, table, random, 'sync');
    const hints = new Map(await Promise.all(peers.map(async (peer) => [peer, await LevelQueue.open(store, clock, `hints ${peer}`)] as const)));
    const letters = new Map(await Promise.all(peers.map(async (peer) => [peer, await LevelDeadLetters.open(store, peer)] as const)));
    return {
      table,
      changes: table.changes,
      incarnation: identity.incarnation,
      isNew: identity.isNew,
      isDrawn: identity.origin !== 'same',
      hints: (peer) => hints.get(peer) as LevelQueue,
      letters: (peer) => letters.get(peer) as LevelDeadLetters,
      drawIncarnation: async () => {
        this.onDraw();
        return (await drawIncarnation(this.folder, table, random)).incarnation;
      },
      recovered: () => noteRecovered(table),
      close: async () => {
        await noteCleanStop(table);
        await table.close();
      },
      // What LevelDB was given is with the operating system; nothing of ours is written any more.
      kill: () => store.database.close(),
    };
  }

  wipe(): void {
    rmSync(this.folder, { recursive: true });
  }

  /** Copies the folder of a stopped region. */
  backUp(name: string): void {
    cpSync(this.folder, join(this.#root, name), { recursive: true, preserveTimestamps: true });
  }

  /** Puts a copy in the folder's place, as somebody does who restores files. */
  restore(name: string): void {
    this.wipe();
    cpSync(join(this.#root, name), this.folder, { recursive: true, preserveTimestamps: true });
  }

  /** The files go back, the folder with its marker stays what it is: a volume that was rolled back to a snapshot. */
  rollBack(name: string): void {
    rmSync(this.database, { recursive: true });
    cpSync(join(this.#root, name, 'db'), this.database, { recursive: true, preserveTimestamps: true });
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}
