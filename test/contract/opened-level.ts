// A region's store on LevelDB in a folder of its own, with a clock that is moved by hand.

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { LevelStore, type Durability } from '../../src/adapters/level/store.ts';
import { LevelTable } from '../../src/adapters/level/table.ts';
import { ManualClock, settle } from '../../src/adapters/memory/clock.ts';
import { SILENT } from '../../src/ports/log.ts';
import { A, dot, key, keyedHash, texts, written } from './make.ts';

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

export const segments = (folder: string): string[] => (existsSync(join(folder, 'journal')) ? readdirSync(join(folder, 'journal')).map((name) => join(folder, 'journal', name)) : []);

/** Those with entries, which begin behind the header, oldest first. */
export const used = (folder: string): string[] => {
  const number = (path: string): number => readFileSync(path).readUIntLE(5, 6);
  return segments(folder).filter((path) => statSync(path).size > 72 && readFileSync(path).readUInt32LE(64) > 0).sort((one, other) => number(one) - number(other));
};

/** As `kill -9` leaves it. */
export function killed({ folder }: Opened): string {
  const copy = newFolder();
  cpSync(folder, copy, { recursive: true });
  return copy;
}

let stamps = 0;
/** A write of a text, under the next stamp. */
export const put = (table: LevelTable, name: string, text: string): Promise<string> => table.update(key(name), { decide: () => ({ result: 'done', commit: { state: written(dot(A, ++stamps), text), kind: 'local' } }) });
export const textOf = async (table: LevelTable, name: string): Promise<readonly string[]> => texts((await table.get(key(name)))?.state);
export const codeOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => 'done', (error: unknown) => String((error as { code?: string }).code));
export const logged = async (table: LevelTable): Promise<string[]> => (await table.changes.read(0, 1_000)).entries.map(({ key: { pk } }) => Buffer.from(pk).toString());

/** No bound on how fast it is: on a machine that is busy with others a file may take seconds. */
const UNTIL_MS = 45_000;

export async function until(condition: () => boolean): Promise<void> {
  for (const endMs = performance.now() + UNTIL_MS; !condition() && performance.now() < endMs; ) await settle(1);
  expect(condition()).toBe(true);
}

export const fails = (): never => {
  throw new Error('EIO: i/o error, fdatasync');
};

/** The disk takes writes again. */
export async function reopened({ store, clock }: Opened): Promise<void> {
  await clock.advance(300);
  await until(() => store.stats.reopened === 1);
}
