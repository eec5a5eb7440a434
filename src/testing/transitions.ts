// What no commit of a record may do, told from the state before and the state after:
//
//   what it has covered does not come back into it
//   another execution of an operation does not bring back what was written over, as long as both are remembered
//   an actor executes an operation once
//   a context says that its region has seen all that it wrote under this name (under `lww` it is one write's past)

import { storedItems } from '../adapters/sim/stored.ts';
import { equalBytes } from '../core/bytes.ts';
import { actorRegion, formatDot, sameDot, type ActorId, type Dot, type RegionId } from '../core/version/dot.ts';
import { formatState } from '../core/version/format.ts';
import { operationOf, twinDots } from '../core/version/operations.ts';
import type { DottedValue, State } from '../core/version/record.ts';
import { maxStamp, STAMP_ZERO, type Stamp } from '../core/version/stamp.ts';
import { covers } from '../core/version/version-vector.ts';
import { nameOf } from './names.ts';
import type { SimRegion } from './cluster.ts';

export interface Transition {
  readonly place: string;
  readonly item: string;
  /** Undefined: nothing was there, or it is not known. */
  readonly before: State | undefined;
  readonly state: State;
  /** The region knows the collection's policy: else it serves nothing of it, and merges as siblings what was merged otherwise before. */
  readonly isServed: boolean;
}

export class Transitions {
  readonly #violated: (rule: string, what: string) => void;
  /** The largest stamp that each actor gave a write of an item, in collections of siblings. */
  readonly #own = new Map<string, Stamp>();
  /** By item: under which dot each actor executed each operation. */
  readonly #executions = new Map<string, Map<string, Dot>>();

  /** Whether an operation may have been forgotten is told by when its id was made, by its client's clock. */
  readonly #clocksAgree: () => boolean;

  constructor({ violated, clocksAgree }: { readonly violated: (rule: string, what: string) => void; readonly clocksAgree: () => boolean }) {
    this.#violated = violated;
    this.#clocksAgree = clocksAgree;
  }

  check(change: Transition): void {
    const { before, state } = change;
    const added = [...state.values.map(({ dot }) => dot), ...(state.deleted === undefined ? [] : [state.deleted])];
    for (const dot of added) this.#once(change, dot);
    if (before === undefined) return;
    for (const one of state.values) if (!before.values.some((held) => sameDot(held.dot, one.dot))) this.#notBack(change, before, one);
  }

  #notBack({ place, state, isServed }: Transition, before: State, { dot, value }: DottedValue): void {
    const text = (): string => `${place} ${formatDot(dot)}: ${formatState(before)} -> ${formatState(state)}`;
    // Of siblings that become one write, its twins stay: also one that was covered, beside a brother that stands, which changes nothing for a reader.
    const hasBrother = state.values.some((other) => !sameDot(other.dot, dot) && equalBytes(other.value.bytes, value.bytes) && (!covers(before.context, other.dot) || before.values.some((held) => sameDot(held.dot, other.dot))));
    if (covers(before.context, dot) && !hasBrother) this.#violated('what a record has covered stays away from it', text());
    if (!isServed) return; // an operation of last-write-wins comes without the past of its write
    const [first] = twinDots(state.operations, dot).filter((twin) => !sameDot(twin, dot) && operationOf(before.operations, twin) !== undefined);
    if (first === undefined || before.removed !== undefined) return;
    const id = operationOf(before.operations, first);
    if (!before.values.some((held) => operationOf(before.operations, held.dot) === id)) this.#violated('a retry does not bring back what was written over', text());
  }

  #once({ place, item, state }: Transition, dot: Dot): void {
    const id = operationOf(state.operations, dot);
    if (id === undefined || !this.#clocksAgree()) return;
    const executions = this.#executions.get(item) ?? new Map<string, Dot>();
    this.#executions.set(item, executions);
    const name = `${id} ${dot.actor}`;
    const known = executions.get(name);
    if (known === undefined) executions.set(name, dot);
    else if (!sameDot(known, dot)) this.#violated('an operation takes effect once', `${place}: ${id} as ${formatDot(known)} and as ${formatDot(dot)}`);
  }

  /** With their record operations are forgotten, and under which dots it was written: by all who hold it, and nobody misses them. */
  reaped(item: string): void {
    this.#executions.delete(item);
    for (const name of this.#own.keys()) if (name.startsWith(`${item} `)) this.#own.delete(name);
  }

  /**
   * A disk forgot. What of it no other region has heard of nobody can tell its region, which goes on under its name when the copy
   * cannot be told from the disk: what was written under the forgotten dots is lost with them, and they are nobody's any more.
   * `alone`: this record, of last-write-wins, and nothing tells its region, whatever others have heard: a retry is new there.
   */
  forgotten(region: RegionId, others: readonly SimRegion[], alone?: string): void {
    if (alone !== undefined) return this.#forgetExecutions(alone, region, () => true);
    const heard = new Map<string, Stamp>();
    for (const { machine } of others) {
      for (const { key, record } of storedItems(machine.disk)) {
        for (const [actor, stamp] of record.state.context) heard.set(`${nameOf(key)} ${actor}`, maxStamp(stamp, heard.get(`${nameOf(key)} ${actor}`) ?? STAMP_ZERO));
      }
    }
    for (const [name, known] of this.#own) if (name.includes(` ${region}~`)) this.#own.set(name, known < (heard.get(name) ?? STAMP_ZERO) ? known : (heard.get(name) ?? STAMP_ZERO));
    for (const item of this.#executions.keys()) this.#forgetExecutions(item, region, ({ actor, stamp }) => stamp > (heard.get(`${item} ${actor}`) ?? STAMP_ZERO));
  }

  #forgetExecutions(item: string, region: RegionId, isForgotten: (dot: Dot) => boolean): void {
    const executions = this.#executions.get(item);
    for (const [name, dot] of executions ?? []) if (actorRegion(dot.actor) === region && isForgotten(dot)) executions?.delete(name);
  }

  /** Of a write of this actor, in a collection of siblings. */
  knowsItsOwn({ place, item, before, state }: Transition, actor: ActorId): void {
    const [mine, known] = [before?.context.get(actor) ?? STAMP_ZERO, this.#own.get(`${item} ${actor}`) ?? STAMP_ZERO];
    if (mine < known) this.#violated('a region has seen what it wrote under its name', `${place} had forgotten ${formatDot({ actor, stamp: known })}: ${formatState(state)}`);
    this.#own.set(`${item} ${actor}`, state.context.get(actor) ?? known);
  }
}
