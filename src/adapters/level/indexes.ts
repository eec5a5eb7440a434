// The rows of the indexes that a commit of a record changes: of items that hold several values, of what expires when, and of
// candidates for reaping.

import type { ItemKey } from '../../core/keys/item-key.ts';
import { isCandidate } from '../../core/version/reap.ts';
import { holdsSeveral, type State } from '../../core/version/record.ts';
import { rows } from './layout.ts';
import type { Operation } from './group.ts';

const NOTHING = new Uint8Array(0);
const NO_ROWS: readonly Operation[] = [];

/** `lineMs`: what expires up to then is swept already, and in no index. */
export function indexRows(key: ItemKey, before: State | undefined, after: State | undefined, lineMs: number): readonly Operation[] {
  if (isInNoIndex(after) && (before === undefined || isInNoIndex(before))) return NO_ROWS;
  const operations: Operation[] = [];
  const keep = (row: Uint8Array, is: boolean): void => void operations.push(is ? { type: 'put', key: row, value: NOTHING } : { type: 'del', key: row });
  const [had, has] = [isConflict(before), isConflict(after)];
  if (had !== has) keep(rows.sibling(key.collection, key.encoded), has);
  const [was, is] = [before !== undefined && isCandidate(before), after !== undefined && isCandidate(after)];
  if (was !== is) keep(rows.tombstone(key.encoded), is);
  const [old, now] = [expiries(before), expiries(after)];
  // A value that was not yet durable when the line passed it kept its row: nothing is left to be swept.
  for (const ms of old) if (!now.includes(ms) || ms <= lineMs) keep(rows.expiry(ms, key.encoded), false);
  for (const ms of now) if (!old.includes(ms) && ms > lineMs) keep(rows.expiry(ms, key.encoded), true);
  return operations.length === 0 ? NO_ROWS : operations;
}

/** One value that does not expire: nearly every state. */
function isInNoIndex(state: State | undefined): boolean {
  const [only] = state?.values ?? [];
  return only !== undefined && only.value.expiresMs === undefined && state?.values.length === 1 && state.deleted === undefined;
}

const isConflict = (state: State | undefined): boolean => state !== undefined && holdsSeveral(state);

const NEVER: readonly number[] = [];

function expiries(state: State | undefined): readonly number[] {
  return state === undefined || state.values.every(({ value }) => value.expiresMs === undefined) ? NEVER : state.values.flatMap(({ value }) => value.expiresMs ?? []);
}
