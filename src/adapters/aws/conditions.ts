// When a write may be made without reading what it replaces. Each clause has a name, so that a condition reads as a
// sentence. A write that replaces a whole state `next` under the guard `covered`:
//
//   NOTHING_IS_STORED, or the stored write lies in my past, and I know all operations that it knows, and it has
//   forgotten none that I could still know
//
// The last two clauses are stricter than the guard: without them a write would drop the memory of an operation that only
// this record has (it took a loser's), and a retry of it would be executed twice. Where they fail, the write is decided
// on what is stored, which the failed condition brings along.

import { concatBytes } from '../../core/bytes.ts';
import { OPERATIONS_MAX } from '../../core/limits.ts';
import type { OperationHash } from '../../core/version/operations.ts';
import type { Record, State } from '../../core/version/record.ts';
import { STAMP_ZERO } from '../../core/version/stamp.ts';
import type { VersionVector } from '../../core/version/version-vector.ts';
import type { Guard } from '../../ports/table.ts';
import { attributesOf, hex8, operationBytes, wholeWriteDot } from './item-codec.ts';
import { binary, stampBytes, text, whole, type Item } from './layout.ts';

export interface Condition {
  readonly expression: string;
  readonly values: Item;
}

/** DynamoDB takes 300 operators in an expression; an actor costs four. Longer pasts are judged by reading. */
export const CONTEXT_ACTORS_MAX = 32;

export const NOTHING_IS_STORED: Condition = { expression: 'attribute_not_exists(PK)', values: {} };

const IT_KNOWS_NO_OPERATION: Condition = { expression: 'attribute_not_exists(o)', values: {} };
const IT_HAS_FORGOTTEN_NONE: Condition = { expression: 'attribute_not_exists(e)', values: {} };

const or = (clauses: readonly Condition[]): Condition => joined(' OR ', clauses);
const and = (clauses: readonly Condition[]): Condition => joined(' AND ', clauses);

function joined(word: string, clauses: readonly Condition[]): Condition {
  const [only] = clauses;
  if (clauses.length === 1 && only !== undefined) return only;
  return { expression: `(${clauses.map(({ expression }) => expression).join(word)})`, values: Object.assign({}, ...clauses.map(({ values }) => values)) as Item };
}

/** The stored document is the one that was read. */
export const itIsStill = (revision: number | undefined): Condition =>
  revision === undefined ? NOTHING_IS_STORED : { expression: 'n = :read', values: { ':read': whole(revision) } };

/**
 * The stored record is the one that was read. Revisions begin again under a key whose record was reaped, so the dot of what
 * was read counts too, or all of it where the item is no single write.
 */
export function recordIsStill(read: Record | undefined): Condition {
  if (read === undefined) return NOTHING_IS_STORED;
  const attributes = attributesOf(read.state, read.kind);
  const { r, h, s } = attributes;
  const values = { ':read': whole(read.revision) };
  if (s !== undefined) return { expression: '(n = :read AND s = :whole)', values: { ...values, ':whole': s } };
  return { expression: '(n = :read AND r = :readActor AND h = :readStamp)', values: { ...values, ':readActor': r as Item[string], ':readStamp': h as Item[string] } };
}

/** Undefined where the guard cannot be judged by a condition on this table. */
export function guardCondition(guard: Guard, next: State): Condition | undefined {
  if (guard.type === 'absent') return next.values.length > 1 ? undefined : NOTHING_IS_STORED;
  if (wholeWriteDot(next) === undefined || guard.context.size > CONTEXT_ACTORS_MAX) return undefined;
  if (guard.context.size === 0) return NOTHING_IS_STORED;
  return or([NOTHING_IS_STORED, and([itLiesInMyPast(guard.context, next), iKnowItsOperations(next, guard.operation), itForgotNothingNewer(next)])]);
}

/** By the dot of what is stored. The write itself, delivered again, does not count: its context may be another. */
function itLiesInMyPast(context: VersionVector, next: State): Condition {
  const own = wholeWriteDot(next);
  const clauses = [...context].map(([actor, stamp], at): Condition => {
    const values = { [`:actor${at}`]: text(actor), [`:past${at}`]: binary(stampBytes(stamp)) };
    if (own?.actor !== actor) return { expression: `(r = :actor${at} AND h <= :past${at})`, values };
    if (own.stamp === stamp) return { expression: `(r = :actor${at} AND h < :past${at})`, values };
    return { expression: `(r = :actor${at} AND h <= :past${at} AND h <> :own)`, values: { ...values, ':own': binary(stampBytes(own.stamp)) } };
  });
  return or(clauses);
}

/**
 * Operations are kept newest first, so what an ancestor knows is, as a rule, the end of what I know: one of the ends is
 * the same bytes. A full record has room for one more only by forgetting its oldest: then it begins with my end and goes
 * on with the very one that I have evicted.
 */
function iKnowItsOperations(next: State, mine: OperationHash | undefined): Condition {
  const { entries, evicted } = next.operations;
  const ends = entries.map((_, at) => entries.slice(at)).filter((end) => end.every(({ id }) => id !== mine));
  const clauses = [IT_KNOWS_NO_OPERATION];
  if (ends.length > 0) {
    const names = ends.map((_, at) => `:end${at}`);
    clauses.push({ expression: `o IN (${names.join(', ')})`, values: Object.fromEntries(ends.map((end, at) => [`:end${at}`, binary(operationBytes(end))])) });
  }
  const older = entries.slice(1);
  if (entries.length === OPERATIONS_MAX && evicted > STAMP_ZERO && older.every(({ id }) => id !== mine)) clauses.push(itIsFull(concatBytes(operationBytes(older), stampBytes(evicted)), mine));
  return or(clauses);
}

function itIsFull(untilEvicted: Uint8Array, mine: OperationHash | undefined): Condition {
  const full: Condition = { expression: 'begins_with(o, :full)', values: { ':full': binary(untilEvicted) } };
  if (mine === undefined) return full;
  const evictedIsMine: Item = { ':fullOfMine': binary(concatBytes(untilEvicted, hex8(mine))) };
  return and([full, { expression: 'NOT begins_with(o, :fullOfMine)', values: evictedIsMine }]);
}

function itForgotNothingNewer({ operations: { evicted } }: State): Condition {
  if (evicted === STAMP_ZERO) return IT_HAS_FORGOTTEN_NONE;
  return or([IT_HAS_FORGOTTEN_NONE, { expression: 'e <= :evicted', values: { ':evicted': binary(stampBytes(evicted)) } }]);
}
