// The loss ledger: three rows for each lost write, written in one transaction with the record that replaced it. The row
// itself lies in the list of its collection, in the order of writing; the other two find it by id and by item.
//
// The row by item holds the loser's dot and context. It answers whether another loser needs a row, and its condition
// makes a loss that is found twice at the same moment one row.

import { decodeKey, type ItemKey } from '../../core/keys/item-key.ts';
import { decodeState, encodeState, MalformedError } from '../../core/version/codec.ts';
import { asRegionId, formatDot, parseDot, sameDot, type Dot } from '../../core/version/dot.ts';
import type { LossRule } from '../../core/version/lww.ts';
import { NO_OPERATIONS } from '../../core/version/operations.ts';
import { headDot, type State } from '../../core/version/record.ts';
import { covers, type VersionVector } from '../../core/version/version-vector.ts';
import type { LossQuery, LossRow, Page } from '../../ports/table.ts';
import { NOTHING_IS_STORED } from './conditions.ts';
import { binary, bytesIn, partitionKeys, places, stampBytes, text, textIn, timeBytes, TTL_ATTRIBUTE, whole, wholeIn, type Item } from './layout.ts';
import { next, pageOf, type Span } from './pages.ts';
import type { DynamoRequests, Put } from './requests.ts';

/** A transaction takes 100 items: three rows for each loss, the record, and its row in the sibling index. */
export const LOSSES_PER_TRANSACTION_MAX = 32;
const ROWS_PER_PAGE = 100;

/** Unless a table is told otherwise. */
export const LOSSES_KEPT_DAYS = 90;
export const LOSSES_KEPT_MS = LOSSES_KEPT_DAYS * 86_400_000;

/** What the stream hands to fan-out. */
const SENT: Item = { k: text('l') };

export interface LedgerSetting {
  /** How long rows are kept; for ever when undefined. */
  readonly keepMs: number | undefined;
}

interface Loser {
  readonly id: string;
  readonly rule: string;
  readonly dot: Dot;
  readonly context: VersionVector;
}

export class DynamoLedger {
  readonly #requests: DynamoRequests;
  readonly #setting: LedgerSetting;

  constructor(requests: DynamoRequests, setting: LedgerSetting) {
    this.#requests = requests;
    this.#setting = setting;
  }

  /** Those that have no row yet, and that no row of the item covers. */
  async fresh(key: ItemKey, losses: readonly LossRow[]): Promise<readonly LossRow[]> {
    const [oldest] = [...losses].sort((a, b) => (a.dot.stamp < b.dot.stamp ? -1 : 1));
    if (oldest === undefined) return losses;
    // What covers a dot has a larger stamp than the dot.
    const rows = await this.#losers({ PK: partitionKeys.lossesOf(key.encoded), from: stampBytes(oldest.dot.stamp) });
    return losses.filter(({ id, dot }) => !rows.map(loserIn).some((row) => row.id === id || (!sameDot(row.dot, dot) && supersedes(row, dot))));
  }

  async #losers(span: Span): Promise<Item[]> {
    const rows: Item[] = [];
    for (let at: Span | undefined = span; at !== undefined; ) {
      const page = await pageOf(this.#requests, at, { limit: ROWS_PER_PAGE });
      rows.push(...page.items);
      const last = page.items.at(-1);
      at = page.more && last !== undefined ? { ...span, from: next(bytesIn(last, 'SK')) } : undefined;
    }
    return rows;
  }

  writes(loss: LossRow): Put[] {
    return lossPuts(loss, this.#setting.keepMs);
  }

  async list({ collection, sinceMs = 0, after, limit }: LossQuery): Promise<Page<LossRow>> {
    const since = timeBytes(Math.max(0, sinceMs));
    const { items, more } = await pageOf(this.#requests, { PK: partitionKeys.losses(collection), from: after === undefined ? since : next(after) }, { limit });
    const last = items.at(-1);
    const rows = items.map(lossOf);
    return more && last !== undefined ? { items: rows, cursor: bytesIn(last, 'SK') } : { items: rows };
  }

  /** In the order of their stamps. A row that the time to live has taken, before its brothers, is not shown. */
  async ofItem(key: ItemKey): Promise<readonly LossRow[]> {
    const rows = await this.#losers({ PK: partitionKeys.lossesOf(key.encoded) });
    const found = await Promise.all(rows.map((row) => this.#at(key.collection, row)));
    return found.filter((loss) => loss !== undefined);
  }

  async find(id: string): Promise<LossRow | undefined> {
    const row = await this.#requests.get(places.lossId(id));
    return row === undefined ? undefined : this.#at(textIn(row, 'y'), row);
  }

  async #at(collection: string, row: Item): Promise<LossRow | undefined> {
    const item = await this.#requests.get(places.loss(collection, wholeIn(row, 'm'), textIn(row, 'i')));
    return item === undefined ? undefined : lossOf(item);
  }
}

/** The rows of one loss; `keepMs`: for so long, for ever when undefined. */
export function lossPuts(loss: LossRow, keepMs: number | undefined): Put[] {
  const { id, key, dot, atMs } = loss;
  const kept = keepMs === undefined ? {} : { [TTL_ATTRIBUTE]: whole(Math.ceil((atMs + keepMs) / 1_000)) };
  const where = { i: text(id), m: whole(atMs), ...kept };
  return [
    { item: { ...places.loss(key.collection, atMs, id), ...where, ...lossAttributes(loss), ...(loss.isSent === true ? SENT : {}) } },
    { item: { ...places.lossId(id), ...where, y: text(key.collection) } },
    { item: { ...places.loser(key.encoded, loss), ...where, u: text(loss.rule), s: binary(encodeState(loserState(dot, loss.context))) }, condition: NOTHING_IS_STORED },
  ];
}

/**
 * Did the write that `row` tells of supersede this dot? Its context says so where it is the write's own. Under the other
 * rules it is the context of the whole state, which covers values that lived beside the loser: each needs its own row.
 */
const supersedes = (row: Loser, dot: Dot): boolean => row.rule !== 'sibling-cap' && row.rule !== 'policy-changed' && covers(row.context, dot);

/** A loser as a state: of a delete, or of a write whose value is elsewhere, only the dot. */
const loserState = (dot: Dot, context: VersionVector, value?: LossRow['value']): State =>
  value === undefined ? { values: [], deleted: dot, context, operations: NO_OPERATIONS } : { values: [{ dot, value }], context, operations: NO_OPERATIONS };

function loserIn(row: Item): Loser {
  const { deleted, context } = decodeState(bytesIn(row, 's'));
  if (deleted === undefined) throw new MalformedError('A loser without a dot.');
  return { id: textIn(row, 'i'), rule: textIn(row, 'u'), dot: deleted, context };
}

const lossAttributes = (loss: LossRow): Item => ({
  y: binary(loss.key.encoded),
  u: text(loss.rule),
  g: text(loss.region),
  s: binary(encodeState(loserState(loss.dot, loss.context, loss.value))),
  ...(loss.winner === undefined ? {} : { w: text(formatDot(loss.winner)) }),
});

/** A loss row as it lies in the list of its collection. @throws MalformedError */
export function lossOf(item: Item): LossRow {
  const key = decodeKey(bytesIn(item, 'y'));
  const state = decodeState(bytesIn(item, 's'));
  const dot = headDot(state);
  const winner = item['w'] === undefined ? undefined : parseDot(textIn(item, 'w'));
  if (key === undefined || dot === undefined) throw new MalformedError('Not a loss row.');
  const value = state.values[0]?.value;
  return {
    id: textIn(item, 'i'),
    key,
    rule: textIn(item, 'u') as LossRule,
    dot,
    context: state.context,
    atMs: wholeIn(item, 'm'),
    region: asRegionId(textIn(item, 'g')),
    ...(value === undefined ? {} : { value }),
    ...(winner === undefined ? {} : { winner }),
  };
}
