// The loss ledger on LevelDB: a row per lost write under its id, with indexes by item and by time, and per item a short
// summary of its newest losers (dot and context), which answers synchronously, within a decision, whether a loser needs a
// row: it does not when it has one, or when a later loser covers it.

import { afterPrefix, ByteReader, ByteWriter, concatBytes, utf8, utf8Text } from '../../core/bytes.ts';
import type { ItemKey } from '../../core/keys/item-key.ts';
import { decodeState, encodeState, MalformedError } from '../../core/version/codec.ts';
import { compareDots, sameDot, type Dot } from '../../core/version/dot.ts';
import { decodeLossRow, encodeLossRow, LOSS_FORMAT, lossName } from '../../core/version/loss-row.ts';
import { NO_OPERATIONS } from '../../core/version/operations.ts';
import { covers, type VersionVector } from '../../core/version/version-vector.ts';
import type { LogEntry } from '../../ports/change-log.ts';
import type { LossQuery, LossRow, Page } from '../../ports/table.ts';
import { nameOf, rows } from './layout.ts';
import type { Operation } from './group.ts';
import type { LevelStore } from './store.ts';

/** Losers that an item's summary names. An older one that arrives again is still found by its id. */
export const LOSERS_SUMMARISED_MAX = 32;

interface Loser {
  readonly dot: Dot;
  readonly context: VersionVector;
}

type Summary = readonly Loser[];

export const lossEntry = (row: LossRow, position: number): LogEntry => ({ position, key: row.key, name: lossName(row.id), loss: row.id, kind: 'local', image: encodeLossRow(row) });

export class LevelLosses {
  readonly #store: LevelStore;
  /** Of items whose newest losses wait for their sync. */
  readonly #pending = new Map<string, { readonly summary: Summary; readonly settled: Promise<void> }>();
  readonly #pendingIds = new Set<string>();

  constructor(store: LevelStore) {
    this.#store = store;
  }

  /** Those that have no row yet and that no other loser of the item covers. */
  fresh(key: ItemKey, losses: readonly LossRow[]): readonly LossRow[] {
    if (losses.length === 0) return losses;
    const summary = this.#summary(key);
    const isKnown = ({ id, dot }: LossRow): boolean =>
      this.#pendingIds.has(id) || summary.some((loser) => !sameDot(loser.dot, dot) && covers(loser.context, dot)) || this.#store.getSync(rows.loss(id)) !== undefined;
    return losses.filter((loss) => !isKnown(loss));
  }

  /** A row that is told of again is as durable as the one before it: groups settle in order. */
  settled(key: ItemKey): Promise<void> | undefined {
    return this.#pending.get(nameOf(key.encoded))?.settled;
  }

  /** What to commit for them; `settled` is of the group that these operations join. */
  operations(key: ItemKey, losses: readonly LossRow[]): { readonly operations: Operation[]; readonly track: (settled: Promise<void>) => void } {
    const name = nameOf(key.encoded);
    const added = losses.map(({ dot, context }): Loser => ({ dot, context }));
    const summary = [...this.#summary(key), ...added].sort((a, b) => compareDots(b.dot, a.dot)).slice(0, LOSERS_SUMMARISED_MAX);
    const operations = losses.flatMap((loss): Operation[] => [
      { type: 'put', key: rows.loss(loss.id), value: encodeLossRow(loss) },
      { type: 'put', key: rows.lossOf(key.encoded, loss), value: utf8(loss.id) },
      { type: 'put', key: rows.lossTime(key.collection, loss.atMs, loss.id), value: utf8(loss.id) },
    ]);
    operations.push({ type: 'put', key: rows.losers(key.encoded), value: encodeSummary(summary) });
    const track = (settled: Promise<void>): void => {
      const waiting = { summary, settled };
      this.#pending.set(name, waiting);
      for (const { id } of losses) this.#pendingIds.add(id);
      const forget = (): void => {
        if (this.#pending.get(name) === waiting) this.#pending.delete(name);
        for (const { id } of losses) this.#pendingIds.delete(id);
      };
      settled.then(forget, forget);
    };
    return { operations, track };
  }

  #summary(key: ItemKey): Summary {
    const pending = this.#pending.get(nameOf(key.encoded));
    if (pending !== undefined) return pending.summary;
    const bytes = this.#store.getSync(rows.losers(key.encoded));
    return bytes === undefined ? [] : decodeSummary(bytes);
  }

  async ofItem(key: ItemKey): Promise<LossRow[]> {
    await this.#store.scannable();
    const prefix = rows.lossesOf(key.encoded);
    const ids = await this.#store.database.values({ gte: prefix, lt: afterPrefix(prefix) as Uint8Array }).all();
    return ids.flatMap((id) => this.#find(utf8Text(id) as string) ?? []);
  }

  /** As it was sealed, in an entry of the change log; undefined for one that cannot be read. */
  entry(id: string, position: number): LogEntry | undefined {
    try {
      const row = this.#find(id);
      return row === undefined ? undefined : lossEntry(row, position);
    } catch (error) {
      if (error instanceof MalformedError) return undefined; // as with a record: the others do not suffer from it
      throw error;
    }
  }

  async find(id: string): Promise<LossRow | undefined> {
    await this.#store.ready();
    return this.#find(id);
  }

  #find(id: string): LossRow | undefined {
    const value = this.#store.getSync(rows.loss(id));
    return value === undefined ? undefined : decodeStored(value);
  }

  async list(query: LossQuery): Promise<Page<LossRow>> {
    await this.#store.scannable();
    const prefix = rows.lossTimes(query.collection);
    const from = query.sinceMs === undefined ? prefix : rows.lossTime(query.collection, Math.max(0, query.sinceMs), '');
    const bounds = query.after === undefined ? { gte: from } : { gt: concatBytes(prefix, query.after) };
    const items: LossRow[] = [];
    let last: Uint8Array | undefined;
    for await (const [row, id] of this.#store.database.iterator({ ...bounds, lt: afterPrefix(prefix) as Uint8Array, limit: query.limit + 1 })) {
      if (items.length === query.limit && last !== undefined) return { items, cursor: last };
      const loss = this.#find(utf8Text(id) as string);
      if (loss !== undefined) items.push(loss);
      last = row.subarray(prefix.length);
    }
    return { items };
  }
}

/** Each loser as a state without values whose delete is the loser's dot: the one encoding for dots and contexts. */
function encodeSummary(summary: Summary): Uint8Array {
  const out = new ByteWriter(1024).varint(summary.length);
  for (const { dot, context } of summary) out.block(encodeState({ values: [], deleted: dot, context, operations: NO_OPERATIONS }));
  return out.finish();
}

function decodeSummary(bytes: Uint8Array): Summary {
  const reader = new ByteReader(bytes);
  return Array.from({ length: reader.varint() }, () => {
    const { deleted, context } = decodeState(reader.block());
    if (deleted === undefined) throw new MalformedError('A loser without a dot.');
    return { dot: deleted, context };
  });
}

/** The first byte, of rows that were stored before they were sent anywhere; what follows is the same. */
const FIRST_FORMAT = 1;

function decodeStored(bytes: Uint8Array): LossRow {
  return decodeLossRow(bytes[0] === FIRST_FORMAT ? Uint8Array.of(LOSS_FORMAT, ...bytes.subarray(1)) : bytes);
}
