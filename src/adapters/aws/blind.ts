// A write that needs not know what it replaces. It stands above all that is stored, so the record that comes of it is the
// stored one with another value, one more stamp, and one more operation: DynamoDB can make it without telling us first.
//
//   NOTHING_IS_STORED, or what is stored is one whole write of a smaller stamp, and it does not know my operation, and has
//   forgotten none as young as mine, and its list of operations has room (or: is full)
//
// Whether the list has room must be guessed, since it is changed in another way then. A guess that fails costs a write unit,
// five times what reading would have cost; so where guesses fail too often, what is stored is read first.

import { OPERATIONS_MAX } from '../../core/limits.ts';
import type { Operation } from '../../core/version/operations.ts';
import { asStamp } from '../../core/version/stamp.ts';
import type { BlindWrite } from '../../ports/table.ts';
import { actorName } from './actors.ts';
import { and, NOTHING_IS_STORED, or, type Condition } from './conditions.ts';
import { dotBytes, hex8, valueAttributes } from './item-codec.ts';
import { binary, stampBytes, text, whole, type Item } from './layout.ts';
import type { Update } from './requests.ts';

export type Room = 'room' | 'full';

/** Each operation is an id and a dot. */
const LIST_MAX = 2 * OPERATIONS_MAX;
const COUNTER_BITS = 16n;

export function blindUpdate({ dot, value, operation }: Pick<BlindWrite<unknown>, 'dot' | 'value' | 'operation'>, guess: Room): { readonly update: Update; readonly condition: Condition } {
  const values: Record<string, Item[string]> = { ':h': binary(stampBytes(dot.stamp)), ':k': text('l') };
  const sets = ['h = :h', 'k = :k', '#me = :h'];
  const gone = ['n'];
  const content = valueAttributes(value);
  for (const name of ['v', 'q', 't', 'x']) {
    if (content[name] === undefined) gone.push(name);
    else sets.push(`${name} = :${name}`);
    if (content[name] !== undefined) values[`:${name}`] = content[name];
  }
  if (operation !== undefined) {
    sets.push(...(guess === 'room' ? ['o = list_append(:mine, if_not_exists(o, :none))'] : SHIFTED));
    Object.assign(values, guess === 'room' ? { ':mine': { L: [binary(hex8(operation.id)), binary(dotBytes(dot))] }, ':none': { L: [] } } : { ':dot': binary(dotBytes(dot)) }, { ':id': binary(hex8(operation.id)) });
    if (operation.payload === undefined) gone.push('p');
    else sets.push('p = :p');
    if (operation.payload !== undefined) values[':p'] = binary(hex8(operation.payload));
  }
  const update = { expression: `SET ${sets.join(', ')} REMOVE ${gone.join(', ')}`, names: { '#me': actorName(dot.actor) }, values };
  return { update, condition: conditionOf(operation, guess) };
}

/** The oldest of a full list goes, and is remembered as the newest that went. From the end, so that each is read before it is written. */
const SHIFTED = [`e = o[${LIST_MAX - 1}]`, ...Array.from({ length: LIST_MAX - 2 }, (_, at) => `o[${LIST_MAX - 1 - at}] = o[${LIST_MAX - 3 - at}]`), 'o[1] = :dot', 'o[0] = :id'];

/** Its values are the update's, but for two. */
function conditionOf(operation: Operation | undefined, guess: Room): Condition {
  const itIsOlder: Condition = { expression: 'h < :h', values: {} };
  if (operation === undefined) return or([NOTHING_IS_STORED, itIsOlder]);
  const ofItsList: Condition = guess === 'room' ? { expression: '(attribute_not_exists(o) OR (size(o) < :full AND NOT contains(o, :id)))', values: { ':full': whole(LIST_MAX) } } : { expression: '(size(o) = :full AND NOT contains(o, :id))', values: { ':full': whole(LIST_MAX) } };
  const { mintedAtMs } = operation;
  const forgotNoneSoYoung: Condition[] =
    mintedAtMs === undefined ? [] : [{ expression: '(attribute_not_exists(e) OR e < :minted)', values: { ':minted': binary(stampBytes(asStamp(BigInt(Math.max(0, mintedAtMs)) << COUNTER_BITS))) } }];
  const over = and([itIsOlder, ofItsList, ...forgotNoneSoYoung]);
  return guess === 'room' ? or([NOTHING_IS_STORED, over]) : over;
}

/** A write unit costs what five read units do: a guess that is right four times in five is as good as reading. */
const WRONG_MAX = 1 / 5;
const LEARNT = 1 / 32;
const KEYS_MAX = 20_000;

/** What this process knows of the lists of operations: by key where it has met the item, else by what it met of late. */
export class Guesses {
  readonly #met = new Map<string, Room>();
  #full = 0;

  /** Undefined: read first. */
  of(name: string): Room | undefined {
    const met = this.#met.get(name);
    if (met !== undefined) return met;
    if (this.#full <= WRONG_MAX) return 'room';
    return this.#full >= 1 - WRONG_MAX ? 'full' : undefined;
  }

  /** So many operations were met, before mine. */
  learn(name: string, entries: number): void {
    if (!this.#met.has(name)) this.#full += ((entries >= OPERATIONS_MAX ? 1 : 0) - this.#full) * LEARNT;
    this.#met.delete(name);
    this.#met.set(name, entries + 1 >= OPERATIONS_MAX ? 'full' : 'room');
    for (const oldest of this.#met.size > KEYS_MAX ? this.#met.keys() : []) {
      this.#met.delete(oldest);
      break;
    }
  }
}
