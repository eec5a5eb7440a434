// Parts of what a write is answered with.

import { toBase64Url } from '../core/bytes.ts';
import { sameDot, type Dot } from '../core/version/dot.ts';
import { twinDots } from '../core/version/operations.ts';
import type { State } from '../core/version/record.ts';
import type { ReplicationTarget, WriteResult } from '../engine/coordinate.ts';
import type { Preferences } from './fields.ts';
import type { NamedItem } from './named-item.ts';
import { segmentFromKey } from './target.ts';

const NOTHING_APPLIED: Record<string, string> = {};

/** The path of an item; where its key cannot travel in a path, the other form. */
export function locationOf({ collection, key }: NamedItem): string {
  const pk = segmentFromKey(key.pk);
  const sk = key.sk.length === 0 ? '' : segmentFromKey(key.sk);
  const items = `/v1/c/${collection.name}/items`;
  if (pk !== undefined && sk !== undefined) return `${items}/${pk}${sk === '' ? '' : `/${sk}`}`;
  return `${items}?pk=${toBase64Url(key.pk)}${key.sk.length === 0 ? '' : `&sk=${toBase64Url(key.sk)}`}&keys=base64url`;
}

/** `Preference-Applied`: what was done, not what was asked. */
export function applied({ prefer, target }: { readonly prefer: Preferences; readonly target: ReplicationTarget | undefined }, returned: string | undefined): Record<string, string> {
  if (returned === undefined && target === undefined) return NOTHING_APPLIED;
  const done = [...(returned === undefined ? [] : [returned]), ...(target === undefined || prefer.waitSeconds === undefined ? [] : [`wait=${prefer.waitSeconds}`])];
  return done.length === 0 ? {} : { 'preference-applied': done.join(', ') };
}

/** Of the values that stand, the one that this write made, or a twin of it. */
export function isOwn(decision: WriteResult['decision'], state: State, dot: Dot): boolean {
  const own = decision.type === 'commit' ? decision.dot : decision.type === 'duplicate' ? decision.entry.dot : undefined;
  return own !== undefined && (sameDot(own, dot) || twinDots(state.operations, own).some((twin) => sameDot(twin, dot)));
}
