// What is priced: how many regions, how busy, how large, how unequal; and the item that all of it is about.

import { sha256 } from '../adapters/node/crypto.ts';
import { operationUnits, recordItem, itemBytes, type OperationUnits } from '../adapters/aws/units.ts';
import { KNOWN_REGIONS } from '../config/places.ts';
import { utf8 } from '../core/bytes.ts';
import { itemKey, type ItemKey } from '../core/keys/item-key.ts';
import { groupOf } from '../core/placement/placement.ts';
import { encodeState } from '../core/version/codec.ts';
import { makeActor, type Dot } from '../core/version/dot.ts';
import type { LossRow } from '../core/version/loss-row.ts';
import { asOperationHash, NO_OPERATIONS } from '../core/version/operations.ts';
import type { State } from '../core/version/record.ts';
import { asStamp } from '../core/version/stamp.ts';
import { sentBytes } from '../engine/envelope.ts';

export interface Workload {
  readonly regions: number;
  /** Regions that hold an item. */
  readonly replicas: number;
  /** Of the whole deployment, spread evenly over its regions. */
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  readonly valueBytes: number;
  /** Exponent of a Zipf distribution over KEYS: 0 is uniform. */
  readonly skew: number;
  /** How long fan-out waits for more to send with the first, as the deployment says. */
  readonly gatherSeconds: number;
  /** What is left of a message when it is deflated: 1 when nothing is saved. */
  readonly compressesTo: number;
}

/** Keys that a workload spreads over. */
export const KEYS = 1_000_000;
/** Of a pk like `cart/4711-0815`, in a collection like `carts`. */
const PK = utf8('cart/4711-0815');

export interface Item {
  readonly key: ItemKey;
  readonly state: State;
  readonly units: OperationUnits;
  /** In the table, as DynamoDB counts. */
  readonly storedBytes: number;
  /** In a message between regions, before it becomes text. */
  readonly sentBytes: number;
  /** What an item of a table without our fields would have. */
  readonly bareBytes: number;
}

/** An item that every region which holds it has written once. */
export function itemOf({ replicas, valueBytes }: Workload): Item {
  const key = itemKey(groupOf({ regions: 'all', replicas }, sha256), { collection: 'carts', pk: PK, sk: new Uint8Array(0) }, sha256);
  const dots = KNOWN_REGIONS.slice(0, replicas).map((region, at): Dot => ({ actor: makeActor(region, '0123456ff'), stamp: asStamp(BigInt(Number.MAX_SAFE_INTEGER - at)) }));
  const [head] = dots;
  const [region] = KNOWN_REGIONS;
  if (head === undefined || region === undefined) throw new TypeError('An item is held by one region at least.');
  const value = { bytes: new Uint8Array(valueBytes), contentType: 'application/json', hash: new Uint8Array(8) };
  const context = new Map(dots.map(({ actor, stamp }) => [actor, stamp]));
  const operations = { ...NO_OPERATIONS, entries: [{ id: asOperationHash('00000000000000aa'), dot: head, payload: '00000000000000aa' }] };
  const state: State = { values: [{ dot: head, value }], context, operations };
  const loss: LossRow = { id: '0'.repeat(24), key, rule: 'lww', dot: head, value, context, winner: dots.at(-1) ?? head, atMs: 1, region };
  return {
    key,
    state,
    units: operationUnits(key, state, loss),
    storedBytes: itemBytes(recordItem(key, state)),
    sentBytes: sentBytes({ key: key.encoded, state: encodeState(state) }),
    bareBytes: 'pk'.length + PK.length + 'value'.length + valueBytes,
  };
}

/** The part of `count` writes in a row that is left when only the newest of each key is sent. */
export function distinctPart(count: number, skew: number): number {
  if (skew === 0 || count <= 1) return 1;
  // Ranks far down are alike: there a step stands for as many of them as it is wide.
  const steps: { readonly weight: number; readonly width: number }[] = [];
  for (let rank = 1; rank <= KEYS; ) {
    const width = Math.min(KEYS + 1 - rank, Math.max(1, Math.floor(rank / 500)));
    steps.push({ weight: (rank + (width - 1) / 2) ** -skew, width });
    rank += width;
  }
  const total = steps.reduce((sum, { weight, width }) => sum + weight * width, 0);
  return steps.reduce((sum, { weight, width }) => sum + width * (1 - (1 - weight / total) ** count), 0) / count;
}
