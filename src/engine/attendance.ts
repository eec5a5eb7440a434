// Who took part, and for how long somebody did not. A region that comes back after longer than the horizon may hold what was
// deleted long ago, and its clients would be given it as current. Its own clock alone does not tell that it was away: a cluster
// that was off as a whole for a month has missed nothing, and a clock can be set to any day. So two things have to be true:
//
//   1. by its own notes it did not run for longer than the horizon, and
//   2. a peer served for longer than the horizon without it: counted by that peer in the time that it ran itself.

import { REGION_HORIZON_MS } from '../core/limits.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Table } from '../ports/table.ts';
import { keepDocument, readDocument } from './documents.ts';
import type { PeerLink } from './peer-link.ts';
import type { Timekeeper } from './timekeeper.ts';

const DOCUMENT = 'attendance';
/** A note is a write of the disk: a thousandth of the horizon is near enough (ten minutes of seven days). */
const NOTES_PER_HORIZON = 1_000;
const NOTE_EVERY_MS_MIN = 1_000;
/** A peer that was heard so lately is there: in a quiet link somebody asks every half second. */
const IN_TOUCH_MS = 2_000;

interface Note {
  /** Wall time. */
  readonly lastMs: number;
  /** For how long this region has served in all its life. */
  readonly servedMs: number;
  /** By peer: `servedMs` when it last took part. */
  readonly with: Readonly<Record<string, number>>;
}

export interface AttendanceParts {
  readonly table: Table;
  readonly time: Timekeeper;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly horizonMs?: number | undefined;
}

export class Attendance {
  readonly #parts: AttendanceParts;
  readonly horizonMs: number;
  #note: Note = { lastMs: 0, servedMs: 0, with: {} };
  /** Monotonic; undefined: it does not serve. */
  #servingSinceMs: number | undefined;

  constructor(parts: AttendanceParts) {
    this.#parts = parts;
    this.horizonMs = parts.horizonMs ?? REGION_HORIZON_MS;
  }

  get noteEveryMs(): number {
    return Math.max(NOTE_EVERY_MS_MIN, this.horizonMs / NOTES_PER_HORIZON);
  }

  async load(): Promise<void> {
    this.#note = (await readDocument<Note>(this.#parts.table, DOCUMENT)) ?? this.#note;
  }

  /** 1. Who has no notes was never here. */
  awayMs(): number {
    return this.#note.lastMs === 0 ? 0 : this.#parts.time.wallMs() - this.#note.lastMs;
  }

  /** 2, for the peer to be told. */
  servedWithoutMs(peer: RegionId): number {
    return this.#note.with[peer] === undefined ? 0 : this.#servedMs() - this.#note.with[peer];
  }

  isPast(ms: number): boolean {
    return ms > this.horizonMs;
  }

  begin(): void {
    this.#servingSinceMs ??= this.#parts.time.monotonicMs();
  }

  #servedMs(): number {
    return this.#note.servedMs + (this.#servingSinceMs === undefined ? 0 : this.#parts.time.monotonicMs() - this.#servingSinceMs);
  }

  /** Now and then while it serves. Durable when it resolves. */
  async note(): Promise<void> {
    const { time, links, table } = this.#parts;
    const servedMs = this.#servedMs();
    const present = [...links.values()].filter((link) => link.silentMs() <= IN_TOUCH_MS && !link.isInDoubt);
    this.#note = { lastMs: time.wallMs(), servedMs, with: { ...this.#note.with, ...Object.fromEntries(present.map(({ id }) => [id, servedMs])) } };
    this.#servingSinceMs = time.monotonicMs();
    await keepDocument(table, DOCUMENT, () => this.#note);
  }
}
