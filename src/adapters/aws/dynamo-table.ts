// The table of one region on DynamoDB, in one table of it (layout.ts).
//
// An ordinary write is one conditional write of one item: an `attempt` without reading, where its guard can be put as a
// condition; else the item is read, decided on, and written if it is still the one that was read. A condition that fails
// brings the stored item along, so the next decision costs no read. Only a decision that also changes other rows (loss
// ledger, index of siblings) costs a transaction, twice the units.
//
// Reads are consistent: a region sees its own writes. All that DynamoDB has answered for is durable.

import { toHex } from '../../core/bytes.ts';
import { ArchipelError } from '../../core/errors.ts';
import { decodeKey, type ItemKey } from '../../core/keys/item-key.ts';
import { MalformedError } from '../../core/version/codec.ts';
import { isCandidate } from '../../core/version/reap.ts';
import { holdsSeveral, type Record } from '../../core/version/record.ts';
import { pause } from '../../ports/clock.ts';
import { unit } from '../../ports/random.ts';
import type { Change, Commit, Decision, LossQuery, LossRow, Page, RangeQuery, ScanQuery, StoredDocument, StoredItem, Table } from '../../ports/table.ts';
import { guardCondition, itIsStill, recordIsStill, type Condition } from './conditions.ts';
import { attributesOf, keyOf, recordOf, STATE_ATTRIBUTES } from './item-codec.ts';
import { binary, bytesIn, partitionKeys, places, whole, wholeIn, type Item } from './layout.ts';
import { DynamoLedger, LOSSES_KEPT_MS, LOSSES_PER_TRANSACTION_MAX } from './ledger.ts';
import { next, pageOf, rangeSpan, scanSpan, type PageLimits, type Span } from './pages.ts';
import { DONE, DynamoRequests, type Delete, type DynamoParts, type Outcome, type Put } from './requests.ts';
import { Turns } from './turns.ts';

/** Decisions on one item that other processes overtake, before the caller is told to come back. */
export const ROUNDS_MAX = 16;
const ROUND_PAUSE_MS = 5;
const ROUND_PAUSE_MS_MAX = 200;

export interface DynamoTableParts extends DynamoParts {
  /** How long loss rows are kept; null for ever. 90 days when left out. */
  readonly lossesKeptMs?: number | null;
  /** Told of each commit of this process, before its caller is. What other processes commit, the stream tells. */
  readonly onCommit?: (key: ItemKey, commit: Commit) => void;
}

export class DynamoTable implements Table {
  readonly supports = { digests: false, attempts: true } as const;
  readonly #parts: DynamoTableParts;
  readonly #requests: DynamoRequests;
  readonly #ledger: DynamoLedger;
  readonly #turns = new Turns();

  constructor(parts: DynamoTableParts) {
    this.#parts = parts;
    this.#requests = new DynamoRequests(parts);
    this.#ledger = new DynamoLedger(this.#requests, { keepMs: parts.lossesKeptMs === undefined ? LOSSES_KEPT_MS : (parts.lossesKeptMs ?? undefined) });
  }

  async get(key: ItemKey): Promise<Record | undefined> {
    const item = await this.#requests.get(places.record(key.encoded));
    return item === undefined ? undefined : recordOf(item);
  }

  update<R>(key: ItemKey, change: Change<R>): Promise<R> {
    return this.#turns.take(toHex(key.encoded), () => this.#update(key, change));
  }

  async #update<R>(key: ItemKey, change: Change<R>): Promise<R> {
    const attempt = change.attempt;
    const condition = attempt === undefined ? undefined : guardCondition(attempt.guard, attempt.commit.state);
    let last: Outcome | undefined;
    if (attempt !== undefined && condition !== undefined && attempt.isStillGood?.() !== false) {
      last = await this.#replace(key, attempt.commit, condition);
      if (last.type === 'done') return this.#told(key, attempt.commit, attempt.result);
    }
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const current = await this.#current(key, last, round);
      const decision = change.decide(current);
      last = await this.#commit(key, current, decision);
      if (last.type === 'done') return this.#told(key, decision.commit, decision.result);
    }
    throw new ArchipelError('overloaded', 'Too many writers change this item at once.');
  }

  #told<R>(key: ItemKey, commit: Commit | undefined, result: R): R {
    if (commit !== undefined) this.#parts.onCommit?.(key, commit);
    return result;
  }

  /** What made the last condition fail, while it is fresh; who was overtaken twice waits and reads anew. */
  async #current(key: ItemKey, last: Outcome | undefined, round: number): Promise<Record | undefined> {
    if (round <= 1 && last?.type === 'refused' && last.stored !== undefined) return recordOf(last.stored);
    if (round > 1) await pause(this.#parts.clock, unit(this.#parts.random) * Math.min(ROUND_PAUSE_MS_MAX, ROUND_PAUSE_MS * 2 ** round));
    return this.get(key);
  }

  /** Without knowing what was there: every attribute is set or goes, and the revision counts on. */
  #replace(key: ItemKey, { state, kind }: Commit, condition: Condition): Promise<Outcome> {
    const attributes = attributesOf(state, kind);
    const sets = Object.keys(attributes).map((name) => `${name} = :${name}`);
    const gone = STATE_ATTRIBUTES.filter((name) => attributes[name] === undefined);
    const UpdateExpression = `SET n = if_not_exists(n, :none) + :one, ${sets.join(', ')} REMOVE ${gone.join(', ')}`;
    const values = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`:${name}`, value]));
    return this.#requests.update(places.record(key.encoded), { UpdateExpression, values: { ...values, ':none': whole(0), ':one': whole(1) } }, condition);
  }

  async #commit(key: ItemKey, current: Record | undefined, { commit, remove, losses = [] }: Decision<unknown>): Promise<Outcome> {
    if (remove === true && current !== undefined) return this.#remove(key, current);
    const fresh = await this.#ledger.fresh(key, losses);
    const record = commit === undefined ? [] : [recordPut(key, current, commit)];
    const index = commit === undefined ? [] : siblingRow(key, current, commit);
    const [only] = record;
    if (only !== undefined && index.length === 0 && fresh.length === 0) return this.#requests.put(only);
    // More losses than one transaction takes go ahead of it: a row too many is harmless, a missing one is a lost write.
    const ahead = await this.#ledgerAhead(fresh.slice(LOSSES_PER_TRANSACTION_MAX));
    if (ahead.type === 'refused') return ahead;
    const writes = [...record, ...index, ...fresh.slice(0, LOSSES_PER_TRANSACTION_MAX).flatMap((loss) => this.#ledger.writes(loss))];
    if (writes.length === 0) return DONE;
    const outcome = await this.#requests.transact(writes);
    return outcome.type === 'refused' && record.length === 0 ? { type: 'refused' } : outcome;
  }

  /** Of a record without live values; several that have expired also stand in the index of siblings. */
  async #remove(key: ItemKey, current: Record): Promise<Outcome> {
    const outcome = await this.#requests.delete(places.record(key.encoded), recordIsStill(current));
    if (outcome.type === 'done' && holdsSeveral(current.state)) await this.#requests.transact([{ place: places.sibling(key.collection, key.encoded) }]);
    return outcome;
  }

  async #ledgerAhead(losses: readonly LossRow[]): Promise<Outcome> {
    for (let at = 0; at < losses.length; at += LOSSES_PER_TRANSACTION_MAX) {
      const part = losses.slice(at, at + LOSSES_PER_TRANSACTION_MAX);
      const outcome = await this.#requests.transact(part.flatMap((loss) => this.#ledger.writes(loss)));
      if (outcome.type === 'refused') return { type: 'refused' };
    }
    return DONE;
  }

  range(query: RangeQuery): Promise<Page<StoredItem>> {
    return this.#records(rangeSpan(query), query);
  }

  async scan(query: ScanQuery): Promise<Page<StoredItem>> {
    const span = scanSpan(query);
    return span === undefined ? { items: [] } : this.#records(span, query);
  }

  /** From a scan: an index of them would cost each delete a second item. */
  async tombstones(query: ScanQuery): Promise<Page<StoredItem>> {
    const { items, cursor } = await this.scan(query);
    return paged(items.filter(({ record }) => isCandidate(record.state)), cursor);
  }

  async #records(span: Span, limits: PageLimits): Promise<Page<StoredItem>> {
    const { items, more } = await pageOf(this.#requests, span, limits);
    const found = items.map((item): StoredItem => ({ key: keyOf(item), record: recordOf(item) }));
    return paged(found, more ? found.at(-1)?.key.encoded : undefined);
  }

  async siblings(collection: string, limit: number, after?: Uint8Array): Promise<Page<ItemKey>> {
    const span = { PK: partitionKeys.siblings(collection), ...(after === undefined ? {} : { from: next(after) }) };
    const { items, more } = await pageOf(this.#requests, span, { limit });
    const found = items.map(indexedKey);
    return paged(found, more ? found.at(-1)?.encoded : undefined);
  }

  losses(query: LossQuery): Promise<Page<LossRow>> {
    return this.#ledger.list(query);
  }

  lossesOf(key: ItemKey): Promise<readonly LossRow[]> {
    return this.#ledger.ofItem(key);
  }

  loss(id: string): Promise<LossRow | undefined> {
    return this.#ledger.find(id);
  }

  async document(name: string): Promise<StoredDocument | undefined> {
    const item = await this.#requests.get(places.document(name));
    return item === undefined ? undefined : { bytes: bytesIn(item, 'v'), revision: wholeIn(item, 'n') };
  }

  async putDocument(name: string, bytes: Uint8Array, expected: number | undefined): Promise<boolean> {
    const item = { ...places.document(name), n: whole((expected ?? 0) + 1), v: binary(bytes) };
    const outcome = await this.#requests.put({ item, condition: itIsStill(expected) });
    return outcome.type === 'done';
  }
}

const recordPut = (key: ItemKey, current: Record | undefined, { state, kind }: Commit): Put => ({
  item: { ...places.record(key.encoded), n: whole((current?.revision ?? 0) + 1), ...attributesOf(state, kind) },
  condition: recordIsStill(current),
});

/** The item's row in the index of siblings, when it comes or goes. */
function siblingRow(key: ItemKey, current: Record | undefined, { state }: Commit): (Put | Delete)[] {
  const was = current !== undefined && holdsSeveral(current.state);
  const is = holdsSeveral(state);
  if (was === is) return [];
  const place = places.sibling(key.collection, key.encoded);
  return [is ? { item: place } : { place }];
}

function indexedKey(row: Item): ItemKey {
  const key = decodeKey(bytesIn(row, 'SK'));
  if (key === undefined) throw new MalformedError('A row of the sibling index names no physical key.');
  return key;
}

const paged = <T>(items: readonly T[], cursor: Uint8Array | undefined): Page<T> => (cursor === undefined ? { items } : { items, cursor });
