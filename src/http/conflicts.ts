// What happened to concurrent writes: siblings, the loss ledger, and why an item has the value that it has.

import { utf8Text } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX } from '../core/limits.ts';
import { actorRegion, compareDots, formatDot, parseActor, type ActorId } from '../core/version/dot.ts';
import { headDot, isExpired, type State } from '../core/version/record.ts';
import { formatState } from '../core/version/format.ts';
import { operationOf } from '../core/version/operations.ts';
import { formatStamp, stampMs } from '../core/version/stamp.ts';
import { canonicalDot, tagOf, tagOfDots } from '../core/version/tag.ts';
import { vectorEntries } from '../core/version/version-vector.ts';
import type { Groups } from '../engine/stranded.ts';
import type { LossRow, Page } from '../ports/table.ts';
import { mayUsePk } from '../auth/keys.ts';
import type { Call } from './call.ts';
import type { Listing } from './cursors.ts';
import { isJsonType, parseIdempotencyKey } from './fields.ts';
import { parseExactJson } from './json.ts';
import type { NamedItem } from './named-item.ts';
import { isoOf, keyObject, toBase64 } from './representation.ts';
import type { Service } from './service.ts';
import { percentDecodeText } from './target.ts';

/** Of the ledger that is read for one page of a group. */
const GROUP_PAGES_MAX = 20;

interface LostQuery {
  readonly collection: string;
  readonly limit: number;
  readonly since: number | undefined;
  readonly after: Uint8Array | undefined;
  readonly group: ActorId | undefined;
}

const groupField = (group: ActorId | undefined): { readonly group?: ActorId } => (group === undefined ? {} : { group });

export class ConflictRoutes {
  readonly #service: Service;

  constructor(service: Service) {
    this.#service = service;
  }

  async list(call: Call): Promise<unknown> {
    const collection = this.#service.region.catalog.require(call.collectionName);
    const state = call.query('state') ?? 'lost';
    if (state !== 'siblings' && state !== 'lost') throw new ArchipelError('bad-request', 'state is siblings or lost.');
    const limit = call.queryNumber('limit', PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX);
    const since = this.#since(call);
    const group = call.query('group');
    if (group !== undefined && (state !== 'lost' || parseActor(group) === undefined)) throw new ArchipelError('bad-request', 'group is that of lost writes, as the listing shows it.');
    const listing: Listing = { kind: state, scope: [collection.name, String(since ?? ''), ...(group === undefined ? [] : [group])] };
    const after = this.#service.cursors.read(call, listing);
    const page = state === 'lost' ? await this.#lost({ collection: collection.name, limit, since, after, group: group === undefined ? undefined : parseActor(group) }) : await this.#siblings(collection.name, limit, after);
    return { items: page.items, ...(page.cursor === undefined ? {} : { cursor: this.#service.cursors.mint(listing, page.cursor) }) };
  }

  #since(call: Call): number | undefined {
    const text = call.query('since');
    if (text === undefined) return undefined;
    // Date.parse alone takes almost anything for some day.
    const ms = /^[0-9]{1,15}$/.test(text) ? Number(text) : /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?$/.test(text) ? Date.parse(text) : Number.NaN;
    if (!Number.isFinite(ms)) throw new ArchipelError('bad-request', 'since is a time (ISO 8601, or milliseconds since 1970).');
    return ms;
  }

  async #lost({ collection, limit, since, after, group }: LostQuery): Promise<{ items: unknown[]; cursor?: Uint8Array }> {
    const groups = await this.#service.region.stranded.groups();
    const page = group === undefined ? await this.#service.region.parts.table.losses({ collection, limit, ...(since === undefined ? {} : { sinceMs: since }), ...(after === undefined ? {} : { after }) }) : await this.#ofGroup({ collection, limit, since, after, group }, groups);
    const items = page.items.map((row) => ({
      id: row.id,
      kind: 'lost',
      ...keyObject(row.key),
      rule: row.rule,
      loser: loserOf(row),
      ...(row.winner === undefined ? {} : { winner: formatDot(row.winner) }),
      at: isoOf(row.atMs),
      regions: [row.region],
      ...groupField(groups.groupOf(row)),
    }));
    return page.cursor === undefined ? { items } : { items, cursor: page.cursor };
  }

  /** Fewer than asked, with a cursor, where they lie far apart. */
  async #ofGroup({ collection, limit, since, after, group }: LostQuery & { readonly group: ActorId }, groups: Groups): Promise<Page<LossRow>> {
    const first = groups.sinceMs(group);
    if (first === undefined) return { items: [] };
    const found: LossRow[] = [];
    let from = after;
    for (let looked = 0; looked < GROUP_PAGES_MAX; looked++) {
      const page = await this.#service.region.parts.table.losses({ collection, limit: limit - found.length, sinceMs: Math.max(first, since ?? 0), ...(from === undefined ? {} : { after: from }) });
      found.push(...page.items.filter((row) => groups.groupOf(row) === group));
      from = page.cursor;
      if (from === undefined || found.length >= limit) break;
    }
    return from === undefined ? { items: found } : { items: found, cursor: from };
  }

  /** All of a group that this region's ledger holds: written again, or left as the merge has it. */
  async settle(call: Call, verb: 'accept' | 'restore'): Promise<unknown> {
    const { region } = this.#service;
    const collection = region.catalog.require(call.collectionName).name;
    const group = parseActor(percentDecodeText(call.segments[4] ?? ''));
    const groups = await region.stranded.groups();
    const sinceMs = group === undefined ? undefined : groups.sinceMs(group);
    if (group === undefined || sinceMs === undefined) throw new ArchipelError('not-found', `This region knows of no stranded writes of ${JSON.stringify((call.segments[4] ?? '').slice(0, 64))}.`);
    const counts = { writes: 0, restored: 0, overtaken: 0, refused: 0 };
    for (let after: Uint8Array | undefined; ; ) {
      const page = await this.#ofGroup({ collection, limit: PAGE_ITEMS_MAX, since: undefined, after, group }, groups);
      for (const row of page.items) {
        counts.writes++;
        if (verb === 'restore') counts[await region.stranded.restore(row, sinceMs)]++;
      }
      after = page.cursor;
      if (after === undefined) break;
    }
    if (counts.refused === 0) await region.stranded.accept(collection, group);
    return { group, ...counts };
  }

  async #siblings(collection: string, limit: number, after: Uint8Array | undefined): Promise<{ items: unknown[]; cursor?: Uint8Array }> {
    const { table } = this.#service.region.parts;
    const page = await table.siblings(collection, limit, after);
    const items: unknown[] = [];
    for (const key of page.items) {
      const state = (await table.get(key))?.state;
      if (state === undefined || state.values.length < 2) continue;
      const id = tagOf(state, this.#service.nowMs(), this.#service.hash) ?? '';
      items.push({ id, kind: 'sibling', ...keyObject(key), regions: [...new Set(state.values.map(({ dot }) => actorRegion(dot.actor)))] });
    }
    return page.cursor === undefined ? { items } : { items, cursor: page.cursor };
  }

  /** The value of the lost write becomes the current one again: an ordinary write, under the request's operation id. */
  async restore(call: Call): Promise<unknown> {
    const { collectionName } = call;
    const id = percentDecodeText(call.segments[4] ?? '');
    const row = await this.#service.region.parts.table.loss(id);
    const isKnown = row !== undefined && row.key.collection === collectionName;
    // A key of some items is not told whether others have lost writes.
    if (!(isKnown ? mayUsePk(call.principal, row.key.pk) : call.principal.prefixes === undefined)) throw new ArchipelError('forbidden', 'The key is not for this item.');
    if (!isKnown) throw new ArchipelError('not-found', `This region's ledger has no lost write ${JSON.stringify(id.slice(0, 64))} of ${collectionName}.`);
    const { hash } = this.#service;
    const operation = this.#service.operation(parseIdempotencyKey(call.field('idempotency-key')), `restore ${id}`);
    const { decision, state } = await this.#service.region.coordinator.restore(id, operation);
    if (decision.type === 'refused' && decision.code !== 'not-found') throw new ArchipelError(decision.code, 'The lost write cannot be restored now.');
    // Done before: the tag that it had then.
    const etag = state === undefined || decision.type === 'superseded' ? undefined : decision.type === 'duplicate' ? tagOfDots([canonicalDot(state.operations, decision.entry.dot)], hash) : tagOf(state, this.#service.nowMs(), hash);
    return { id, outcome: decision.type === 'commit' ? decision.outcome : decision.type, ...(etag === undefined ? {} : { etag }) };
  }

  async explain({ collection, key }: NamedItem): Promise<unknown> {
    const state = await this.#service.region.coordinator.read(key);
    const losers = await this.#service.region.parts.table.lossesOf(key);
    if (state === undefined && losers.length === 0) throw new ArchipelError('not-found', 'Nothing is known of this item here.');
    return {
      policy: collection.policy.conflict,
      candidates: state === undefined ? [] : this.#candidates(state, collection.policy.conflict),
      context: state === undefined ? {} : Object.fromEntries(vectorEntries(state.context).map(({ actor, stamp }) => [actor, formatStamp(stamp)])),
      state: state === undefined ? '' : formatState(state),
      losers: losers.map((row) => ({ id: row.id, dot: formatDot(row.dot), rule: row.rule, at: isoOf(row.atMs), ...(row.winner === undefined ? {} : { winner: formatDot(row.winner) }) })),
    };
  }

  #candidates(state: State, policy: string): unknown[] {
    const head = headDot(state);
    const dots = [...state.values.map(({ dot, value }) => ({ dot, expired: isExpired(value, this.#service.nowMs()), deleted: false })), ...(state.deleted === undefined ? [] : [{ dot: state.deleted, expired: false, deleted: true }])];
    return dots.map(({ dot, expired, deleted }) => {
      const operation = operationOf(state.operations, dot);
      const stands = policy === 'siblings' || (head !== undefined && compareDots(dot, head) === 0);
      return {
        dot: formatDot(dot),
        stamp: isoOf(stampMs(dot.stamp)),
        region: actorRegion(dot.actor),
        ...(operation === undefined ? {} : { operation }),
        verdict: deleted ? 'deleted' : expired ? 'expired' : stands ? 'stands' : 'superseded',
        because: deleted ? 'a delete is the newest write' : expired ? 'its time to live has passed' : policy === 'siblings' ? 'no write that stands has seen it' : 'its (stamp, actor) is the largest',
      };
    });
  }
}

function loserOf(row: LossRow): unknown {
  const context = Object.fromEntries(vectorEntries(row.context).map(({ actor, stamp }) => [actor, formatStamp(stamp)]));
  const base = { dot: formatDot(row.dot), region: actorRegion(row.dot.actor), writtenAt: isoOf(stampMs(row.dot.stamp)), context };
  if (row.value === undefined) return { ...base, deleted: true };
  const { bytes, contentType, expiresMs } = row.value;
  const isText = isJsonType(contentType) && utf8Text(bytes) !== undefined;
  return { ...(isText ? { value: parseExactJson(bytes) } : { valueBase64: toBase64(bytes) }), contentType, ...base, ...(expiresMs === undefined ? {} : { expires: isoOf(expiresMs) }) };
}
