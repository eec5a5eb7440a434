// The way of this region's writes to one peer. A lane sends states as they are committed; when the peer cannot take them
// it writes hints instead (durable, by key) and forwards the current records when the peer is back.
//          offer ──▶ waiting ──▶ in flight ──▶ acknowledged
//            │          │            │
//            │          └────────────┴── peer down, slow or paused ──▶ hint ──▶ forward ──▶ acknowledged
//            └── peer known to be down ────────────────────────────────▲
// Invariants:
//  1. An item is reported done (so that the log may be trimmed past it) only when the peer has it durably, or a hint for
//     it is durable, or the peer is `behind` and the item is counted.
//  2. Until then it counts as unreplicated, from before its writer is answered.
//  3. Nothing waits without a bound: beyond `inboxRecords` records or INBOX_BYTES_MAX bytes the rest becomes hints.
//  4. What a hint forwards is the record as it is then, to the regions that hold it then.
//  5. A row of the ledger is never given up: no comparison would find it missing. Its hint is a fraction of the row beside it.
//     Nor is an item that this region holds no longer.

import { textKey } from '../core/bytes.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { INBOX_BYTES_MAX, MESSAGE_BYTES_PACKED } from '../core/limits.ts';
import { isLossRow } from '../core/version/loss-row.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Queue } from '../ports/queue.ts';
import type { Table } from '../ports/table.ts';
import { Behind } from './behind.ts';
import type { Catalog } from './catalog.ts';
import { decodeReceipts, encodeRecords, isFinal, sentBytes, type SentRecord } from './envelope.ts';
import { Forwarder, RETRY_FIRST_MS } from './forwarder.ts';
import { hintOf } from './hinted.ts';
import { Histogram } from './histogram.ts';
import type { Limits } from './limits.ts';
import { Owed } from './owed.ts';
import type { PeerLink } from './peer-link.ts';

/** Messages in flight to one peer: enough to hide a round trip, few enough that a slow peer is noticed. */
const IN_FLIGHT_MAX = 3;
/** Hints taken at a time when they are thrown away. */
const RETIRED_HINTS = 512;

export interface LaneItem {
  readonly key: ItemKey;
  /** `keyText` of the key, or the name of a row of the ledger. */
  readonly name: string;
  readonly state: Uint8Array;
  readonly position: number;
  readonly committedMs: number | undefined;
  readonly done: () => void; // invariant 1
}

export interface LaneParts {
  readonly link: PeerLink;
  /** Has the peer said, since this region started, what it knows of our stamps? Nothing is sent before. */
  isGreeted(): boolean;
  readonly hints: Queue;
  /** Items whose changes the log has not handed over, where another process reads it. */
  readonly unread?: (() => Promise<number>) | undefined;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: Limits;
}

export class Lane {
  readonly #parts: LaneParts;
  readonly #waiting = new Map<string, LaneItem>();
  #waitingBytes = 0;
  #inFlight = 0;
  #inFlightRecords = 0;
  #spilling = false;
  /** Hints that are being written. */
  #hinting = 0;
  #forwarding = false;
  #stopped = false;
  #paused = false;
  readonly #behind: Behind;
  readonly #forwarder: Forwarder;
  /** The queue took no hints a moment ago: until then nothing more is hinted. */
  #hintAgainMs = 0;
  #hintsSinceMs: number | undefined;
  /** How often hints were written, and up to which of these times all are gone: then nothing is to be forwarded. */
  #hintTurn = 0;
  #forwardedTurn = -1;
  readonly #owed = new Owed();
  /** Items of partitions that this region has given up and the peer has come to hold (hand-over.ts). */
  toHandOver = 0;
  /** Commit to acknowledgement, in milliseconds. */
  readonly lag = new Histogram();
  readonly stats = { sent: 0, messages: 0, bytes: 0, hinted: 0, forwarded: 0, refused: 0, dropped: 0 };

  constructor(parts: LaneParts) {
    this.#parts = parts;
    this.#behind = new Behind(parts.table, parts.link.id);
    this.#forwarder = new Forwarder(parts, { isOpen: () => this.isOpen, push: (records) => this.#push(records), wake: () => this.wake(), stats: this.stats });
    parts.link.onReturn(() => this.wake());
  }

  load(): Promise<void> {
    return this.#behind.load();
  }

  // What is owed ----------------------------------------------------------------------------------------------------------

  /** Invariant 2: called when the write is durable, before its writer is answered. */
  owe(name: string, position: number): void {
    this.#owed.add(name, position, this.#parts.clock.monotonicMs());
  }

  /** Nothing up to this position is owed for the item any more. */
  settle(item: { readonly name: string; readonly position: number }): void {
    this.#owed.settle(item);
  }

  /** May the peer lack the newest local change of this item? A queue that cannot tell says so. */
  owes(name: string): boolean {
    return this.#owed.has(name) || this.#parts.hints.has?.(textKey(name)) !== false;
  }

  /** Live RPO towards this peer: how many items a loss of this region, now, would lose there. */
  async unreplicated(): Promise<{ readonly items: number; readonly exact: boolean }> {
    // Before the hints are counted: what leaves the log meanwhile comes to them.
    const unread = await this.#parts.unread?.();
    const uncounted = this.behind + this.toHandOver;
    return { items: (await this.#owed.countWith(this.#parts.hints)) + uncounted + (unread ?? 0), exact: uncounted === 0 && unread === undefined && this.#parts.hints.supports.exactDepth };
  }

  oldestMs(): number {
    const nowMs = this.#parts.clock.monotonicMs();
    return nowMs - Math.min(this.#owed.oldestMs() ?? nowMs, this.#hintsSinceMs ?? nowMs);
  }

  /** Not even hinted since the last certificate. */
  get behind(): number {
    return this.#behind.count;
  }

  /** To be noted before a comparison begins to look. */
  get behindTurn(): number {
    return this.#behind.turn;
  }

  /** A certificate proves that the peer has everything that was given up by this turn. */
  caughtUp(turn: number): Promise<void> {
    return this.#behind.caughtUp(turn);
  }

  /** So many items that this region holds may be lacking there. */
  mayLack(count: number): Promise<void> {
    return this.#behind.add(count);
  }

  /** So many more, which the peer comes to hold when a document is in force. */
  willLack(count: number): Promise<void> {
    return this.#behind.addComing(count);
  }

  /** It is in force, or was not taken: comparisons look at them too. */
  hasComeToHold(): void {
    this.#behind.hasCome();
  }

  /** The peer will never take anything again: nothing is kept for it, and nothing is owed. True when nothing is under way either. */
  async retire(): Promise<boolean> {
    for (const item of this.#waiting.values()) item.done();
    this.#waiting.clear();
    this.#waitingBytes = 0;
    this.#owed.clear();
    const { hints } = this.#parts;
    for (let taken = await hints.receive(RETIRED_HINTS); taken.length > 0; taken = await hints.receive(RETIRED_HINTS)) await hints.acknowledge(taken.map(({ receipt }) => receipt));
    await this.#behind.forget();
    this.toHandOver = 0;
    const left = await hints.depth();
    // Looked at last: a hint that is being written, or is tried again in a moment, would be left behind for nobody.
    return left === 0 && this.#inFlight === 0 && this.#hinting === 0 && this.#waiting.size === 0;
  }

  hints(): Promise<number> {
    return this.#parts.hints.depth();
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  setPaused(paused: boolean): void {
    this.#paused = paused;
    this.wake();
  }

  stop(): void {
    this.#stopped = true;
  }

  // Sending ---------------------------------------------------------------------------------------------------------------

  /** The peer takes what it is sent. */
  get isOpen(): boolean {
    return !this.#stopped && !this.#paused && this.#parts.link.isUp() && this.#parts.isGreeted();
  }

  /** Takes over the item; `item.done` is called once, when invariant 1 holds. */
  offer(item: LaneItem): void {
    const older = this.#waiting.get(item.name);
    if (older !== undefined) {
      this.#waiting.delete(item.name);
      this.#waitingBytes -= older.state.length;
      older.done(); // the newer one stands for it, at a later position
    }
    this.#waiting.set(item.name, item);
    this.#waitingBytes += item.state.length;
  }

  /** Sends what waits, or hints it. Called after offers, after answers, and when the peer or the disk is back. */
  wake(): void {
    if (this.#stopped) return;
    // mark if (this.isOpen && this.#isOverfull() && this.#mustSpill()): slow peer, its lane overfull
    if (this.#mustSpill()) void this.#spill();
    else while (this.isOpen && this.#maySend()) void this.#send(this.#takeMessage());
    void this.#forward();
  }

  #mustSpill(): boolean {
    return (!this.isOpen || this.#isOverfull()) && this.#parts.clock.monotonicMs() >= this.#hintAgainMs;
  }

  /** The first message goes at once; behind one that is in flight only full ones do, so that a busy lane sends few and large ones. */
  #maySend(): boolean {
    if (this.#waiting.size === 0 || this.#inFlight >= IN_FLIGHT_MAX) return false;
    return this.#inFlight === 0 || this.#waitingBytes >= MESSAGE_BYTES_PACKED;
  }

  #isOverfull(): boolean {
    return this.#waiting.size + this.#inFlightRecords > this.#parts.limits.inboxRecords || this.#waitingBytes > INBOX_BYTES_MAX; // 3
  }

  #takeMessage(): LaneItem[] {
    const taken: LaneItem[] = [];
    let bytes = 0;
    for (const [name, item] of this.#waiting) {
      bytes += sentBytes({ key: item.key.encoded, state: item.state });
      if (taken.length > 0 && bytes > MESSAGE_BYTES_PACKED) break;
      taken.push(item);
      this.#waiting.delete(name);
      this.#waitingBytes -= item.state.length;
    }
    return taken;
  }

  async #send(items: readonly LaneItem[]): Promise<void> {
    this.#inFlight++;
    this.#inFlightRecords += items.length;
    const refused: LaneItem[] = [];
    try {
      const receipts = await this.#push(items.map(({ key, state }) => ({ key: key.encoded, state })));
      const nowMs = this.#parts.clock.monotonicMs();
      for (const [at, item] of items.entries()) {
        if (!isFinal(receipts[at] ?? 'failed')) refused.push(item);
        else this.#acknowledged(item, nowMs);
      }
      this.stats.refused += refused.length;
    } catch {
      refused.push(...items);
    }
    this.#inFlight--;
    this.#inFlightRecords -= items.length;
    if (refused.length > 0) await this.#hint(refused);
    this.wake();
  }

  #acknowledged(item: LaneItem, nowMs: number): void {
    this.#owed.settle(item);
    if (item.committedMs !== undefined) this.lag.record(nowMs - item.committedMs);
    item.done();
  }

  async #push(records: readonly SentRecord[]): Promise<ReturnType<typeof decodeReceipts>> {
    const body = encodeRecords(records);
    const receipts = decodeReceipts(await this.#parts.link.ask('inbox', body), records.length);
    this.stats.messages++;
    this.stats.sent += records.length;
    this.stats.bytes += body.length;
    return receipts;
  }

  // Hinting ---------------------------------------------------------------------------------------------------------------

  async #spill(): Promise<void> {
    if (this.#spilling) return;
    this.#spilling = true;
    while (this.#waiting.size > 0 && this.#mustSpill() && !this.#stopped) {
      const items = [...this.#waiting.values()].slice(0, Math.ceil(this.#parts.limits.inboxRecords / 10));
      for (const { name } of items) this.#waiting.delete(name);
      for (const { state } of items) this.#waitingBytes -= state.length;
      await this.#hint(items);
    }
    this.#spilling = false;
    if (this.#waiting.size > 0 && this.isOpen) this.wake();
  }

  async #hint(items: readonly LaneItem[]): Promise<void> {
    if (this.#stopped) return;
    const { hints, link, log, limits } = this.#parts;
    this.#hinting++;
    this.#hintTurn++;
    try {
      const room = Math.max(0, limits.hintsPerPeer - (await hints.depth()));
      const kept = items.filter(({ key, state }, at) => isLossRow(state) || at < room || !this.#isCompared(key)); // 5
      const { refused } = kept.length === 0 ? { refused: [] } : await hints.send(kept.map(({ name }) => hintOf(name)));
      await this.#drop(items.length - kept.length);
      if (refused.length > 0) log.write('error', 'hint.failed', { peer: link.id, refused: refused.length });
      const waiting = refused.map((at) => kept[at] as LaneItem);
      this.#hinted(items.filter((item) => !waiting.includes(item)), kept.length - refused.length);
      if (waiting.length > 0) this.#keepWaiting(waiting);
    } catch (error) {
      log.write('error', 'hint.failed', { peer: link.id, error: String(error) });
      this.#keepWaiting(items);
    }
    this.#hinting--;
    this.#parts.clock.after(RETRY_FIRST_MS, () => this.wake());
  }

  #isCompared(key: ItemKey): boolean {
    const { catalog } = this.#parts;
    return catalog.holdersOf(key)?.includes(catalog.self.id) !== false;
  }

  #hinted(items: readonly LaneItem[], count: number): void {
    if (count > 0) this.#hintsSinceMs ??= this.#parts.clock.monotonicMs();
    this.stats.hinted += count;
    for (const item of items) {
      this.settle(item);
      item.done();
    }
  }

  /** No room for hints: the items stay, the log is not trimmed past them, and they are tried again. */
  #keepWaiting(items: readonly LaneItem[]): void {
    // mark: no hint taken, the log keeps the write
    this.#hintAgainMs = this.#parts.clock.monotonicMs() + RETRY_FIRST_MS;
    for (const item of items) {
      const newer = this.#waiting.get(item.name);
      if (newer !== undefined && newer.position > item.position) item.done();
      else this.offer(item);
    }
  }

  async #drop(count: number): Promise<void> {
    if (count === 0) return;
    if (this.behind === 0) this.#parts.log.write('error', 'peer.behind', { peer: this.#parts.link.id });
    // mark: hint overflow, peer behind
    this.stats.dropped += count;
    await this.#behind.add(count);
  }

  // Forwarding ------------------------------------------------------------------------------------------------------------

  async #forward(): Promise<void> {
    if (this.#forwarding || this.#forwardedTurn === this.#hintTurn || !this.isOpen) return;
    this.#forwarding = true;
    const turn = this.#hintTurn;
    try {
      await this.#forwarder.run();
      if ((await this.#parts.hints.depth()) === 0 && this.#hinting === 0) {
        this.#hintsSinceMs = undefined;
        this.#forwardedTurn = turn;
      }
    } catch (error) {
      this.#parts.log.write('warn', 'forward.failed', { peer: this.#parts.link.id, error: String(error) });
      this.#parts.clock.after(RETRY_FIRST_MS, () => this.wake());
    } finally {
      this.#forwarding = false;
    }
  }
}
