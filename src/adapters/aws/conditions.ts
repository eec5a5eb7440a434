// When a write may be made without reading what it replaces. Each clause has a name, so that a condition reads as a
// sentence. A write that replaces a whole state `next` under the guard `covered`:
//
//   NOTHING_IS_STORED, or the stored write lies in my past, and I know all operations that it knows, and it has
//   forgotten none that I could still know
//
// The last two clauses are stricter than the guard: without them a write would drop the memory of an operation that only
// this record has (it took a loser's), and a retry of it would be executed twice. Where they fail, the write is decided
// on what is stored, which the failed condition brings along.

import { OPERATIONS_MAX } from '../../core/limits.ts';
import type { Dot } from '../../core/version/dot.ts';
import type { OperationEntry, OperationHash } from '../../core/version/operations.ts';
import type { Record, State } from '../../core/version/record.ts';
import { asStamp, STAMP_ZERO, type Stamp } from '../../core/version/stamp.ts';
import type { VersionVector } from '../../core/version/version-vector.ts';
import type { Guard } from '../../ports/table.ts';
import { actorName } from './actors.ts';
import { attributesOf, hex8, operationList, wholeWriteDot } from './item-codec.ts';
import { binary, stampBytes, whole, type Item } from './layout.ts';

/** What stands for the names of attributes that are no plain words: those of actors. */
export interface Names {
  readonly [placeholder: string]: string;
}

export interface Condition {
  readonly expression: string;
  readonly values: Item;
  readonly names?: Names;
}

/** DynamoDB takes 300 operators in an expression; an actor costs four. Longer pasts are judged by reading. */
export const CONTEXT_ACTORS_MAX = 32;

export const NOTHING_IS_STORED: Condition = { expression: 'attribute_not_exists(PK)', values: {} };

const IT_KNOWS_NO_OPERATION: Condition = { expression: 'attribute_not_exists(o)', values: {} };
const IT_HAS_FORGOTTEN_NONE: Condition = { expression: 'attribute_not_exists(e)', values: {} };

export const or = (clauses: readonly Condition[]): Condition => joined(' OR ', clauses);
export const and = (clauses: readonly Condition[]): Condition => joined(' AND ', clauses);

function joined(word: string, clauses: readonly Condition[]): Condition {
  const [only] = clauses;
  if (clauses.length === 1 && only !== undefined) return only;
  return {
    expression: `(${clauses.map(({ expression }) => expression).join(word)})`,
    values: Object.assign({}, ...clauses.map(({ values }) => values)) as Item,
    names: Object.assign({}, ...clauses.map(({ names }) => names)) as Names,
  };
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
  const isFirst = read.revision === 1;
  const ofRevision: Condition = isFirst ? { expression: 'attribute_not_exists(n)', values: {} } : { expression: 'n = :read', values: { ':read': whole(read.revision) } };
  const dot = wholeWriteDot(read.state);
  if (dot !== undefined) return and([ofRevision, itWasWrittenBy(dot)]);
  const { s } = attributesOf(read.state, read.kind);
  return and([ofRevision, { expression: 's = :whole', values: { ':whole': s as Item[string] } }]);
}

const itWasWrittenBy = ({ actor, stamp }: Dot): Condition => ({ expression: '(h = :readStamp AND #readActor = h)', values: { ':readStamp': binary(stampBytes(stamp)) }, names: { '#readActor': actorName(actor) } });

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
    const names = { [`#actor${at}`]: actorName(actor) };
    const values = { [`:past${at}`]: binary(stampBytes(stamp)) };
    const isWriter = `#actor${at} = h`;
    if (own?.actor !== actor) return { expression: `(${isWriter} AND h <= :past${at})`, values, names };
    if (own.stamp === stamp) return { expression: `(${isWriter} AND h < :past${at})`, values, names };
    return { expression: `(${isWriter} AND h <= :past${at} AND h <> :own)`, values: { ...values, ':own': binary(stampBytes(own.stamp)) }, names };
  });
  return or(clauses);
}

/**
 * Operations are kept newest first, so what an ancestor knows is, as a rule, the end of what I know: one of the ends is
 * the same list. A full record has room for one more only by forgetting its oldest: then it begins with my end and goes
 * on with the very one that I have evicted.
 */
function iKnowItsOperations(next: State, mine: OperationHash | undefined): Condition {
  const { entries, evicted } = next.operations;
  const ends = entries.map((_, at) => entries.slice(at)).filter((end) => end.every(({ id }) => id !== mine));
  const clauses = [IT_KNOWS_NO_OPERATION];
  if (ends.length > 0) {
    const names = ends.map((_, at) => `:end${at}`);
    clauses.push({ expression: `o IN (${names.join(', ')})`, values: Object.fromEntries(ends.map((end, at) => [`:end${at}`, operationList(end)])) });
  }
  const older = entries.slice(1);
  if (entries.length === OPERATIONS_MAX && evicted > STAMP_ZERO && older.every(({ id }) => id !== mine)) clauses.push(itIsFull(older, evicted, mine));
  return or(clauses);
}

function itIsFull(older: readonly OperationEntry[], evicted: Stamp, mine: OperationHash | undefined): Condition {
  const list = operationList(older).L;
  const same = list.map((element, at): Condition => ({ expression: `o[${at}] = :full${at}`, values: { [`:full${at}`]: element } }));
  const last: Condition = { expression: `begins_with(o[${list.length + 1}], :gone)`, values: { ':gone': binary(stampBytes(evicted)) } };
  const isNotMine: Condition[] = mine === undefined ? [] : [{ expression: `o[${list.length}] <> :mine`, values: { ':mine': binary(hex8(mine)) } }];
  return and([...same, last, ...isNotMine]);
}

function itForgotNothingNewer({ operations: { evicted } }: State): Condition {
  if (evicted === STAMP_ZERO) return IT_HAS_FORGOTTEN_NONE;
  // What a full list gave up unread is stamp and actor: larger than the stamp alone, smaller than the next one.
  return or([IT_HAS_FORGOTTEN_NONE, { expression: 'e < :afterEvicted', values: { ':afterEvicted': binary(stampBytes(asStamp(evicted + 1n))) } }]);
}
