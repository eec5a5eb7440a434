// The table of one region on DynamoDB, in one table of it (layout.ts).
//
// An ordinary write is one conditional write of one item: an `attempt` without reading, where its guard can be put as a
// condition; else the item is read, decided on, and written if it is still the one that was read. A condition that fails
// brings the stored item along, so the next decision costs no read. Only a decision that also changes other rows (loss
// ledger, index of siblings) costs a transaction, twice the units.
//
// Reads are consistent, so that a region sees its own writes; all but scans that say they may lag. All that DynamoDB has
// answered for is durable.

import { toHex } from '../../core/bytes.ts';
import { ArchipelError } from '../../core/errors.ts';
import { decodeKey, type ItemKey } from '../../core/keys/item-key.ts';
import { MalformedError } from '../../core/version/codec.ts';
import { isCandidate } from '../../core/version/reap.ts';
import { holdsSeveral, type Record } from '../../core/version/record.ts';
import { pause } from '../../ports/clock.ts';
import { unit } from '../../ports/random.ts';
import type { BlindWrite, Change, Commit, Decision, LossQuery, LossRow, Page, RangeQuery, ScanQuery, StoredDocument, StoredItem, Table } from '../../ports/table.ts';
import { blindUpdate, Guesses } from './blind.ts';
import { guardCondition, itIsStill, recordIsStill } from './conditions.ts';
import { attributesOf, keyOf, recordOf } from './item-codec.ts';
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

interface Tried<R> {
  readonly outcome: Outcome;
  /** Where it was done. */
  readonly result?: { readonly value: R };
  readonly commit?: Commit;
}

export class DynamoTable implements Table {
  readonly supports = { digests: false, attempts: true } as const;
  readonly #parts: DynamoTableParts;
  readonly #requests: DynamoRequests;
  readonly #ledger: DynamoLedger;
  readonly #turns = new Turns();
  readonly #guesses = new Guesses();

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
    const tried = await this.#unread(key, change);
    if (tried?.result !== undefined) return this.#told(key, tried.commit, tried.result.value);
    let last: Outcome | undefined = tried?.outcome;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const current = await this.#current(key, last, round);
      if (round === 0 && tried === undefined && change.blind !== undefined) this.#guesses.learn(toHex(key.encoded), entriesOf(current));
      const decision = change.decide(current);
      last = await this.#commit(key, current, decision);
      if (last.type === 'done') return this.#told(key, decision.commit, decision.result);
    }
    throw new ArchipelError('overloaded', 'Too many writers change this item at once.');
  }

  /** Undefined when the change cannot be made without knowing what is stored, or had better not. */
  async #unread<R>(key: ItemKey, { attempt, blind }: Change<R>): Promise<Tried<R> | undefined> {
    if (blind !== undefined && blind.isStillGood?.() !== false) return this.#over(key, blind);
    const condition = attempt === undefined ? undefined : guardCondition(attempt.guard, attempt.commit.state);
    if (attempt === undefined || condition === undefined || attempt.isStillGood?.() === false) return undefined;
    const outcome = await this.#requests.put({ item: { ...places.record(key.encoded), ...attributesOf(attempt.commit.state, attempt.commit.kind) }, condition });
    return outcome.type === 'done' ? { outcome, result: { value: attempt.result }, commit: attempt.commit } : { outcome };
  }

  async #over<R>(key: ItemKey, blind: BlindWrite<R>): Promise<Tried<R> | undefined> {
    const name = toHex(key.encoded);
    const guess = this.#guesses.of(name);
    if (guess === undefined && blind.operation !== undefined) return undefined;
    const { update, condition } = blindUpdate(blind, guess ?? 'room');
    const outcome = await this.#requests.update(places.record(key.encoded), update, condition);
    const met = outcome.type === 'done' ? outcome.replaced : outcome.stored;
    // Where nothing was, an emulator answers the key: what was replaced had a stamp.
    const replaced = met === undefined || (outcome.type === 'done' && met['h'] === undefined) ? undefined : recordOf(met);
    if (blind.operation !== undefined) this.#guesses.learn(name, entriesOf(replaced));
    if (outcome.type !== 'done') return { outcome };
    const { result, commit } = blind.over(replaced);
    return { outcome, result: { value: result }, ...(commit === undefined ? {} : { commit }) };
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
  item: { ...places.record(key.encoded), ...(current === undefined ? {} : { n: whole(current.revision + 1) }), ...attributesOf(state, kind) },
  condition: recordIsStill(current),
});

const entriesOf = (record: Record | undefined): number => record?.state.operations.entries.length ?? 0;

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
