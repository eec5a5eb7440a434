// Ranges over the sort keys of one pk, scans over a collection, and dumps of everything that a region stores of it.
//
// A page is bounded in items, in bytes and in work: it may be empty and still have a cursor (a stretch of tombstones, or
// of other collections of the group).

import { afterPrefix, concatBytes, toHex } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { groupBytes, partitionOf, type ItemKey } from '../core/keys/item-key.ts';
import { PAGE_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, PARTITIONS, PK_BYTES_MAX } from '../core/limits.ts';
import { formatKeyBytes, formatState } from '../core/version/format.ts';
import type { Collection } from '../engine/catalog.ts';
import { requirePk } from '../auth/keys.ts';
import type { RangeQuery, StoredItem } from '../ports/table.ts';
import type { Call } from './call.ts';
import type { Listing } from './cursors.ts';
import { listedItem } from './representation.ts';
import type { Service } from './service.ts';
import { keyFromQuery, keyFromSegment } from './target.ts';

/** Records looked at for one page. */
const EXAMINED_MAX = 5_000;

/** A key begins with its group: an address of this store, not a name of the item. */
const GROUP_BYTES = 4;

type Bound = NonNullable<RangeQuery['from']>;

interface Bounds {
  readonly from?: Bound;
  readonly to?: Bound;
}

export class ListRoutes {
  readonly #service: Service;

  constructor(service: Service) {
    this.#service = service;
  }

  // Ranges ------------------------------------------------------------------------------------------------------------------

  /** The pk whose items a range lists, and its collection: what decides where the request belongs. */
  rangeOf(call: Call): { readonly collection: Collection; readonly pk: Uint8Array } {
    const [segment, ...rest] = call.segments.slice(4);
    if (rest.length > 0) throw new ArchipelError('key-invalid', 'A range names one pk; a slash in it is %2F.');
    const rawPk = call.rawQuery('pk');
    const pk = segment === undefined ? (rawPk === undefined ? undefined : keyFromQuery(rawPk, call.query('keys'))) : keyFromSegment(segment);
    if (pk === undefined || pk.length === 0) throw new ArchipelError('key-invalid', 'Name the pk in the path or as ?pk=.');
    requirePk(call.principal, pk);
    if (pk.length > PK_BYTES_MAX) throw new ArchipelError('key-too-long', `The partition key has ${pk.length} bytes; at most ${PK_BYTES_MAX} are allowed.`);
    return { collection: this.#service.region.catalog.require(call.collectionName), pk };
  }

  async range(call: Call, { collection, pk }: { readonly collection: Collection; readonly pk: Uint8Array }): Promise<Response> {
    const descending = this.#order(call) === 'desc';
    const limit = call.queryNumber('limit', PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX);
    const prefix = this.#service.region.catalog.prefix(collection, pk);
    const bounds = this.#bounds(call);
    const listing: Listing = { kind: 'range', scope: [prefix.subarray(GROUP_BYTES), descending ? 'desc' : 'asc', ...boundsText(bounds)] };
    const after = this.#service.cursors.read(call, listing);
    const from = continued(bounds, descending, after);
    return this.#page(call, limit, (asked, last) => this.#rangePage(prefix, continued(from, descending, last?.sk), descending, asked), (key) => this.#service.cursors.mint(listing, key.sk));
  }

  #order(call: Call): 'asc' | 'desc' {
    const order = call.query('order') ?? 'asc';
    if (order !== 'asc' && order !== 'desc') throw new ArchipelError('bad-request', 'order is asc or desc.');
    return order;
  }

  #bounds(call: Call): Bounds {
    const named = (name: string): Uint8Array | undefined => {
      const raw = call.rawQuery(name);
      return raw === undefined ? undefined : keyFromQuery(raw, call.query('keys'));
    };
    const [ge, gt, le, lt, prefix] = ['ge', 'gt', 'le', 'lt', 'prefix'].map(named);
    if ([ge, gt, prefix].filter((each) => each !== undefined).length > 1 || [le, lt, prefix].filter((each) => each !== undefined).length > 1) {
      throw new ArchipelError('bad-request', 'Give at most one lower and one upper bound, or a prefix.');
    }
    const low = ge ?? gt ?? prefix;
    const end = prefix === undefined ? undefined : afterPrefix(prefix);
    const high = le ?? lt ?? end;
    return {
      ...(low === undefined ? {} : { from: { sk: low, inclusive: gt === undefined } }),
      ...(high === undefined ? {} : { to: { sk: high, inclusive: le !== undefined } }),
    };
  }

  async #rangePage(prefix: Uint8Array, bounds: Bounds, descending: boolean, limit: number): Promise<{ items: readonly StoredItem[]; more: boolean }> {
    const page = await this.#service.region.parts.table.range({ prefix, ...bounds, descending, limit, bytesMax: PAGE_BYTES_MAX });
    return { items: page.items, more: page.cursor !== undefined };
  }

  // Filling a page ------------------------------------------------------------------------------------------------------------

  /** Fetches until enough live items are found, or the bounds of a page are reached. */
  async #page(
    call: Call,
    limit: number,
    fetch: (limit: number, last: ItemKey | undefined) => Promise<{ readonly items: readonly StoredItem[]; readonly more: boolean }>,
    cursorOf: (key: ItemKey) => string,
  ): Promise<Response> {
    const shown: string[] = [];
    let last: ItemKey | undefined;
    let more = true;
    let examined = 0;
    let bytes = 0;
    while (more && shown.length < limit && examined < EXAMINED_MAX && bytes < PAGE_BYTES_MAX) {
      const page = await fetch(Math.min(PAGE_ITEMS_MAX, limit - shown.length), last);
      for (const { key, record } of page.items) {
        last = key;
        const text = listedItem(key, record.state, this.#service.nowMs(), this.#service.hash, () => this.#service.tokens.mint(key, record.state));
        if (text === undefined) continue;
        shown.push(text);
        bytes += text.length;
      }
      examined += page.items.length;
      more = page.more;
      if (page.items.length === 0) break;
    }
    const cursor = more && last !== undefined ? `,"cursor":"${cursorOf(last)}"` : '';
    return this.#json(call, `{"items":[${shown.join(',')}]${cursor}}`);
  }

  #json(call: Call, body: string): Response {
    return new Response(body, { headers: { ...this.#service.headers(call, undefined), 'content-type': 'application/json' } });
  }

  // Scans -------------------------------------------------------------------------------------------------------------------

  /** The partition where a scan goes on, and the key after which; `undefined` partition: done. */
  scanOf(call: Call): { readonly collection: Collection; readonly partition: number; readonly after: Uint8Array | undefined } {
    const collection = this.#service.region.catalog.require(call.collectionName);
    const position = this.#service.cursors.read(call, scanOf(collection));
    if (position === undefined) return { collection, partition: 0, after: undefined };
    const partition = position[0];
    if (partition === undefined) throw new ArchipelError('bad-request', 'The cursor is not of this listing.');
    return { collection, partition, after: position.length === 1 ? undefined : position.subarray(1) };
  }

  /**
   * Scans on from a partition through those that this region holds in a row; a page ends before one that it does not.
   * Items of other collections of the group lie between; they count as work, not as items.
   */
  async scan(call: Call, at: { readonly collection: Collection; readonly partition: number; readonly after: Uint8Array | undefined }): Promise<Response> {
    const limit = call.queryNumber('limit', PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX);
    const { catalog, parts, id } = this.#service.region;
    const shown: string[] = [];
    let { partition, after } = at;
    let examined = 0;
    let bytes = 0;
    const isHeld = (): boolean => catalog.holders(at.collection.group, partition)?.includes(id) === true;
    while (partition < PARTITIONS && isHeld() && shown.length < limit && examined < EXAMINED_MAX && bytes < PAGE_BYTES_MAX) {
      const page = await parts.table.scan({ group: at.collection.group, partition, limit: Math.min(500, limit - shown.length), bytesMax: PAGE_BYTES_MAX, ...(after === undefined ? {} : { after }) });
      for (const { key, record } of page.items) {
        after = key.encoded;
        const text = key.collection === at.collection.name ? listedItem(key, record.state, this.#service.nowMs(), this.#service.hash, () => this.#service.tokens.mint(key, record.state)) : undefined;
        if (text === undefined) continue;
        shown.push(text);
        bytes += text.length;
      }
      examined += page.items.length + 1;
      if (page.cursor === undefined) [partition, after] = [partition + 1, undefined];
    }
    const position = concatBytes(Uint8Array.of(partition), after ?? new Uint8Array(0));
    const cursor = partition >= PARTITIONS ? '' : `,"cursor":"${this.#service.cursors.mint(scanOf(at.collection), position)}"`;
    return this.#json(call, `{"items":[${shown.join(',')}]${cursor}}`);
  }

  // Dumps -------------------------------------------------------------------------------------------------------------------

  /** Every record of this region, tombstones too, one line each, in physical order. Text, so that `diff` can compare. */
  async dump(call: Call): Promise<Response> {
    const name = call.collectionName;
    const group = name === '_collections' || name === '_keys' ? this.#service.region.catalog.systemGroup : this.#service.region.catalog.find(name)?.group;
    if (group === undefined) throw new ArchipelError('collection-not-found', `There is no collection ${name}.`);
    const listing: Listing = { kind: 'dump', scope: [name] };
    const limit = call.queryNumber('limit', PAGE_ITEMS_MAX, PAGE_ITEMS_MAX);
    let after = this.#service.cursors.read(call, listing);
    let partition = after === undefined ? 0 : partitionOf(after);
    const lines: string[] = [];
    let examined = 0;
    while (partition < PARTITIONS && lines.length < limit && examined < 10 * EXAMINED_MAX) {
      const page = await this.#service.region.parts.table.scan({ group, partition, limit: Math.min(500, limit - lines.length), bytesMax: 1 << 20, ...(after === undefined ? {} : { after }) });
      for (const { key, record } of page.items) {
        after = key.encoded;
        if (key.collection === name) lines.push(dumpLine(key, formatState(record.state)));
      }
      examined += page.items.length;
      if (page.cursor === undefined) [partition, after] = [partition + 1, undefined];
    }
    const position = after ?? concatBytes(groupBytes(group), Uint8Array.of(Math.min(partition, 255)));
    const headers = { ...this.#service.headers(call, undefined), 'content-type': 'text/plain; charset=utf-8' };
    const body = lines.map((line) => `${line}\n`).join('');
    return new Response(body, { headers: partition >= PARTITIONS ? headers : { ...headers, 'next-cursor': this.#service.cursors.mint(listing, position) } });
  }
}

const dumpLine = (key: ItemKey, state: string): string =>
  `${toHex(key.encoded.subarray(0, 12))} ${key.collection} ${formatKeyBytes(key.pk)}${key.sk.length === 0 ? '' : ` ${formatKeyBytes(key.sk)}`} ${state}`;

const scanOf = ({ name }: Collection): Listing => ({ kind: 'scan', scope: [name] });

const boundsText = ({ from, to }: Bounds): (string | Uint8Array)[] => [from, to].flatMap((bound) => (bound === undefined ? ['open'] : [bound.inclusive ? 'with' : 'without', bound.sk]));

function continued(bounds: Bounds, descending: boolean, after: Uint8Array | undefined): Bounds {
  if (after === undefined) return bounds;
  const next: Bound = { sk: after, inclusive: false };
  return descending ? { ...bounds, to: next } : { ...bounds, from: next };
}
