// Items as checkers name them: `win/alice`, `sib/alice/cart`. Asked for with every commit, and at the end for every write of every
// item, so each key is read once.

import { utf8Text } from '../core/bytes.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import type { ClientWrite } from './history.ts';

interface Names {
  readonly item: string;
  readonly pk: string | undefined;
}

const known = new WeakMap<ItemKey, Names>();

function namesOf(key: ItemKey): Names {
  let names = known.get(key);
  if (names === undefined) {
    const pk = utf8Text(key.pk);
    names = { pk, item: `${key.collection}/${pk ?? '?'}${key.sk.length > 0 ? `/${utf8Text(key.sk) ?? '?'}` : ''}` };
    known.set(key, names);
  }
  return names;
}

export const nameOf = (key: ItemKey): string => namesOf(key).item;

/** Of all the items of a partition key. */
export const partitionNameOf = (key: ItemKey): string => `${key.collection}/${namesOf(key).pk ?? '?'}`;

export const isItem = (key: ItemKey, { collection, pk }: Pick<ClientWrite, 'collection' | 'pk'>): boolean => key.collection === collection && namesOf(key).pk === pk;
