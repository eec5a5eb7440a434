// What a request names: an item of a collection, by path or by query.

import { EMPTY } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { Recent } from '../core/recent.ts';
import type { Collection } from '../engine/catalog.ts';
import { requirePk } from '../auth/keys.ts';
import type { Call } from './call.ts';
import type { Service } from './service.ts';
import { keyFromQuery, keyFromSegment } from './target.ts';

export interface NamedItem {
  readonly collection: Collection;
  readonly key: ItemKey;
}

const NAMES_MAX = 8_192;
/** Longer ones are not worth a place in memory. */
export const TARGET_CHARACTERS_MAX = 200;

/**
 * What targets name. The same few are asked for again and again, and a key costs a hash and several decodings; who may is
 * asked each time.
 */
export class NamedItems {
  readonly #service: Service;
  readonly #keys = new Recent<string, ItemKey>(NAMES_MAX);

  constructor(service: Service) {
    this.#service = service;
  }

  /** From `/v1/c/{collection}/<what>/{pk}[/{sk}]`, or `?pk=&sk=`. A key that is not for the item learns nothing of it. */
  of(call: Call): NamedItem {
    const { catalog } = this.#service.region;
    const known = this.#keys.get(call.rawTarget);
    const { pk, sk } = known ?? keyOf(call);
    requirePk(call.principal, pk);
    const collection = catalog.require(call.collectionName);
    // The group is another one when the collection that was created is not the one that stood in the end.
    if (known?.group === collection.group) return { collection, key: known };
    const key = catalog.key(collection, pk, sk);
    if (call.rawTarget.length <= TARGET_CHARACTERS_MAX) this.#keys.set(call.rawTarget, key);
    return { collection, key };
  }
}

export function keyOf(call: Call): { readonly pk: Uint8Array; readonly sk: Uint8Array } {
  const [pk, sk, ...rest] = call.segments.slice(4);
  if (pk !== undefined) {
    if (rest.length > 0) throw new ArchipelError('key-invalid', 'A path names a pk and at most one sk; a slash in a key is %2F.');
    return { pk: keyFromSegment(pk), sk: sk === undefined ? EMPTY : keyFromSegment(sk) };
  }
  const encoding = call.query('keys');
  const rawPk = call.rawQuery('pk');
  if (rawPk === undefined) throw new ArchipelError('key-invalid', 'Name the item in the path or as ?pk=&sk=.');
  return { pk: keyFromQuery(rawPk, encoding), sk: keyFromQuery(call.rawQuery('sk') ?? '', encoding) };
}
