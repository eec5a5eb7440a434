// A region that knows an operation answers a retry with its first outcome, whatever the precondition says now.

import type { World } from '../adapters/sim/world.ts';
import type { RegionId } from '../core/version/dot.ts';
import { findOperation, type OperationHash } from '../core/version/operations.ts';
import type { State } from '../core/version/record.ts';
import type { SimRegion } from './cluster.ts';

export class FirstOutcomes {
  readonly #world: World;
  /** Since when a region has known an operation of an item. */
  readonly #knownMs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  committed({ id: region }: SimRegion, item: string, state: State, before: State | undefined): void {
    if (before?.operations === state.operations) return;
    for (const { id } of state.operations.entries) {
      const name = nameOf(region, item, id);
      if (!this.#knownMs.has(name)) this.#knownMs.set(name, this.#world.nowMs);
    }
  }

  /** Before the request was sent: what came to be known while the refusal was on its way says nothing. */
  wasKnown(region: RegionId, item: string, id: OperationHash, sentMs: number, states: Iterable<State>): boolean {
    const knownMs = this.#knownMs.get(nameOf(region, item, id));
    if (knownMs === undefined || knownMs > sentMs) return false;
    for (const { operations } of states) if (findOperation(operations, id) !== undefined) return true; // not lost with a disk since
    return false;
  }
}

const nameOf = (region: RegionId, item: string, id: OperationHash): string => `${region} ${item} ${id}`;
