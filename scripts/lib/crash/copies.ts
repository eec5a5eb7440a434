// Copies of a live data folder, each a state that a crash could have left, opened and looked at.
//
// Copying file after file while others write is no such state: a table that is gone by the time its turn comes, a CURRENT
// that names a MANIFEST of which half was read. So the writer is a process of its own, and it is *stopped* (SIGSTOP) at a
// moment that nobody in it knows; when all of its threads stand, nothing moves, and a copy is what `kill -9` leaves: all
// that was handed to the operating system. What was acknowledged by then is in the notes.
//
// A power cut leaves less. LevelDB syncs a table before a MANIFEST names it, and CURRENT before the old ones go; what may
// be lost is what the journal holds behind the last finished sync, and any part of LevelDB's own log, which nothing syncs
// while it is written. In `sync` durability each copy therefore loses a random end of both, often in the middle of a group,
// and is opened as after another boot. What the file system itself might lose (a file's name in its folder) is not tried.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { headerIn } from '../../../src/adapters/level/journal.ts';
import { SeededRandom } from '../../../src/adapters/sim/random.ts';
import type { Edit } from '../../../src/testing/controls.ts';
import { sleep, until } from '../cluster.ts';
import { readNotes, wrongIn, type Promised } from './check.ts';
import type { WriterSetting } from './writer.ts';

export interface CopiesSetting {
  readonly copies: number;
  readonly durability: 'sync' | 'relaxed';
  /** Default: a power cut in `sync` durability, else the process alone. */
  readonly ends?: 'power' | 'process';
  readonly seed: number;
  /** A known bug, put into the writer. */
  readonly edits?: readonly Edit[];
}

export interface CopiesResult {
  /** The first copy that was wrong, and what about it. */
  readonly wrong: readonly string[];
  readonly copies: number;
  readonly acknowledged: number;
  /** Bytes of log files that the power cuts took, and copies that lost some. */
  readonly bytesCut: number;
  readonly cuts: number;
  /** Copies in which the store had begun to turn logs into tables. */
  readonly withTables: number;
}

/** Then a new folder: a copy is to be small. */
const COPIES_PER_FOLDER = 5;
const LINES_BETWEEN_MAX = 400;
const LATER_MS_MAX = 25;
/** A slow machine takes a second for the first. */
const TABLE_MS_MAX = 60_000;

const writerFile = fileURLToPath(new URL('./writer.ts', import.meta.url));

/** Goes on until a copy is wrong. */
export async function crashCopies({ copies, durability, seed, ends = durability === 'sync' ? 'power' : 'process', edits = [] }: CopiesSetting): Promise<CopiesResult> {
  const random = new SeededRandom(seed, 'copies');
  const total = { copies: 0, acknowledged: 0, bytesCut: 0, cuts: 0, withTables: 0 };
  for (let folders = 0; total.copies < copies; folders++) {
    const root = mkdtempSync(join(tmpdir(), 'archipel-crash-'));
    const isCompacting = folders % 2 === 1;
    const writer = new Writer(root, { durability, seed: random.between(0, 2 ** 31), isTrimming: random.chance(0.5), isCompacting, edits });
    try {
      if (isCompacting) await until('the store has made a table', () => writer.hasTables(), TABLE_MS_MAX);
      let seen = 0;
      for (let at = 0; at < COPIES_PER_FOLDER && total.copies < copies; at++) {
        await writer.reach(random.between(1, LINES_BETWEEN_MAX));
        await sleep(random.unit() * LATER_MS_MAX); // else every copy would be of the moment behind an answer
        await writer.stop();
        const { folder, promised } = writer.copy();
        if (ends === 'power') {
          const bytes = cutPower(folder, promised, random);
          total.bytesCut += bytes;
          if (bytes > 0) total.cuts++;
        }
        total.copies++;
        if (readdirSync(folder).some((name) => name.endsWith('.ldb'))) total.withTables++;
        total.acknowledged += promised.count - seen;
        seen = promised.count;
        const wrong = await wrongIn(folder, promised, ends === 'power').catch((error: unknown) => [`the copy cannot be read: ${String(error)}`]);
        if (wrong.length > 0) return { ...total, wrong };
        rmSync(folder, { recursive: true });
        writer.goOn();
      }
    } finally {
      await writer.end();
      rmSync(root, { recursive: true, force: true });
    }
  }
  return { ...total, wrong: [] };
}

/** Answers how many bytes are gone. */
function cutPower(folder: string, { synced }: Promised, random: SeededRandom): number {
  let bytes = 0;
  for (const path of readdirSync(folder).filter((name) => name.endsWith('.log')).map((name) => join(folder, name))) {
    const { size } = statSync(path);
    const kept = random.between(0, size);
    truncateSync(path, kept);
    bytes += size - kept;
  }
  for (const name of readdirSync(join(folder, 'journal'))) bytes += cutSegment(join(folder, 'journal', name), synced.get(name), random);
  return bytes;
}

/** The length of a segment is durable before it is used: what is lost of it reads as something else. */
function cutSegment(path: string, synced: { readonly number: number; readonly bytes: number } | undefined, random: SeededRandom): number {
  const content = readFileSync(path);
  const end = content.findLastIndex((byte) => byte !== 0) + 1;
  const isCovered = synced !== undefined && synced.number === headerIn(content).number;
  const from = isCovered ? synced.bytes : 0;
  if (from >= end) return 0;
  const kept = random.between(from, end);
  writeFileSync(path, content.fill(random.chance(0.5) ? 0 : 0xa5, kept, end));
  return end - kept;
}

class Writer {
  readonly #root: string;
  readonly #folder: string;
  readonly #notes: string;
  readonly #child: ChildProcess;
  #errors = '';

  constructor(root: string, setting: Omit<WriterSetting, 'folder' | 'notes'>) {
    this.#root = root;
    this.#folder = join(root, 'db');
    this.#notes = join(root, 'notes');
    mkdirSync(this.#folder);
    this.#child = spawn(process.execPath, [writerFile, JSON.stringify({ ...setting, folder: this.#folder, notes: this.#notes } satisfies WriterSetting)], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.on('data', (text: Buffer) => (this.#errors += text.toString()));
  }

  get #bytes(): number {
    return existsSync(this.#notes) ? statSync(this.#notes).size : 0;
  }

  /** Until so much more was acknowledged. */
  async reach(lines: number): Promise<void> {
    const target = this.#bytes + 16 * lines;
    await until('the writer writes', () => this.#assertRuns() || this.#bytes >= target, 60_000, 1);
  }

  /** LevelDB has turned a log of its own into one. */
  hasTables(): boolean {
    return this.#assertRuns() || readdirSync(this.#folder).some((name) => name.endsWith('.ldb'));
  }

  #assertRuns(): false {
    if (this.#child.exitCode !== null) throw new Error(`The writer ended:\n${this.#errors}`);
    return false;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGSTOP');
    await until('every thread of the writer stands', () => isStopped(this.#child.pid as number), 10_000, 1);
  }

  goOn(): void {
    this.#child.kill('SIGCONT');
  }

  copy(): { readonly folder: string; readonly promised: Promised } {
    const folder = join(this.#root, 'copy');
    cpSync(this.#folder, folder, { recursive: true });
    return { folder, promised: readNotes(readFileSync(this.#notes, 'utf8')) };
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}

function isStopped(pid: number): boolean {
  const threads = `/proc/${pid}/task`;
  if (!existsSync(threads)) return spawnSync('ps', ['-o', 'state=', '-p', String(pid)]).stdout.toString().startsWith('T');
  return readdirSync(threads).every((thread) => /\) T /.test(readFileSync(join(threads, thread, 'stat'), 'utf8')));
}
