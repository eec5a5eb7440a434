// A region's store on LevelDB in a folder of its own, with a clock that is moved by hand.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelStore, type Durability } from '../../src/adapters/level/store.ts';
import { LevelTable } from '../../src/adapters/level/table.ts';
import { ManualClock } from '../../src/adapters/memory/clock.ts';
import { SILENT } from '../../src/ports/log.ts';
import { keyedHash } from './make.ts';

export interface Opened {
  readonly folder: string;
  readonly clock: ManualClock;
  readonly store: LevelStore;
  readonly table: LevelTable;
}

export interface OpenOptions {
  readonly folder?: string;
  readonly bootId?: string;
  readonly durability: Durability;
  readonly clock?: ManualClock;
}

const cleanUp: (() => Promise<void> | void)[] = [];

/** Run behind each test by `closeAll`, the last one first. */
export const whenDone = (...tasks: readonly (() => Promise<void> | void)[]): void => void cleanUp.push(...tasks);

export async function closeAll(): Promise<void> {
  for (const task of cleanUp.splice(0).reverse()) await task();
}

export const newFolder = (): string => mkdtempSync(join(tmpdir(), 'archipel-store-'));

export async function openLevel({ folder = newFolder(), bootId = 'this', durability, clock = new ManualClock() }: OpenOptions): Promise<Opened> {
  whenDone(() => rmSync(folder, { recursive: true, force: true }));
  const store = await LevelStore.open({ folder, durability, clock, log: SILENT, bootId });
  const table = await LevelTable.open(store, keyedHash);
  whenDone(() => store.close());
  return { folder, clock, store, table };
}
