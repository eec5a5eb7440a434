// States, vectors and operations as they may lie in a record: not histories, just well-formed.

import fc from 'fast-check';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { compareDots, makeActor, type ActorId, type Dot } from '../../src/core/version/dot.ts';
import { joinOperations, NO_OPERATIONS, withOperation, type Operations } from '../../src/core/version/operations.ts';
import type { State, Value } from '../../src/core/version/record.ts';
import { asStamp, type Stamp } from '../../src/core/version/stamp.ts';
import { withDot, type VersionVector } from '../../src/core/version/version-vector.ts';
import { A, AP, B, C, EU, operation } from '../contract/make.ts';

export const ACTORS: readonly ActorId[] = [A, B, C, makeActor(EU, 'b2'), makeActor(AP, 'zz')];
export const actor: fc.Arbitrary<ActorId> = fc.constantFrom(...ACTORS);
/** Few, so that ties are frequent. */
export const STAMP_MAX = 12;
export const smallStamp: fc.Arbitrary<Stamp> = fc.integer({ min: 1, max: STAMP_MAX }).map((each) => asStamp(BigInt(each)));
export const anyStamp: fc.Arbitrary<Stamp> = fc.bigInt(0n, 2n ** 64n - 1n).map(asStamp);
export const dotOf = (stamp: fc.Arbitrary<Stamp>): fc.Arbitrary<Dot> => fc.record({ actor, stamp });
export const smallDot = dotOf(smallStamp);

export const vectorOf = (stamp: fc.Arbitrary<Stamp>): fc.Arbitrary<VersionVector> =>
  fc.array(fc.tuple(actor, stamp), { maxLength: 5 }).map((entries) => new Map(entries));
export const smallVector = vectorOf(smallStamp);

export const anyValue: fc.Arbitrary<Value> = fc
  .record({
    bytes: fc.uint8Array({ maxLength: 40 }),
    contentType: fc.constantFrom('application/json', 'text/plain', 'text/plain; charset=utf-8', 'application/octet-stream', 'image/png', ''),
    expiresMs: fc.option(fc.maxSafeNat(), { nil: undefined }),
  })
  .map(({ bytes, contentType, expiresMs }) => ({ bytes, contentType, hash: Uint8Array.from(sha256(bytes).subarray(0, 8)), ...(expiresMs === undefined ? {} : { expiresMs }) }));

/** A set of pairs in which a dot has one operation, as dots are issued once. */
export const operationsOf = (stamp: fc.Arbitrary<Stamp>, maxLength = 14): fc.Arbitrary<Operations> =>
  fc.array(dotOf(stamp), { maxLength }).map((dots) =>
    dots.reduce<Operations>((all, dot) => {
      // The same dot is the same write wherever it is met; a third of the operations have several dots.
      const id = operation(`${dot.stamp % 3n === 0n ? 'retried' : `${dot.actor} ${dot.stamp}`}`);
      const one = withOperation(NO_OPERATIONS, dot.stamp % 2n === 0n ? { id } : { id, payload: operation(`payload ${id}`) }, dot);
      return joinOperations(all, one);
    }, NO_OPERATIONS),
  );

export const stateOf = (stamp: fc.Arbitrary<Stamp>): fc.Arbitrary<State> =>
  fc
    .record({
      values: fc.uniqueArray(fc.record({ dot: dotOf(stamp), value: anyValue }), { maxLength: 4, selector: ({ dot }) => `${dot.actor} ${dot.stamp}` }),
      deleted: fc.option(dotOf(stamp), { nil: undefined }),
      context: vectorOf(stamp),
      operations: operationsOf(stamp),
    })
    .map(({ values, deleted, context, operations }) => ({
      values: values.sort((a, b) => compareDots(a.dot, b.dot)),
      ...(deleted === undefined ? {} : { deleted }),
      context: [...values.map(({ dot }) => dot), ...(deleted === undefined ? [] : [deleted])].reduce(withDot, context),
      operations,
    }));

export const anyState = stateOf(anyStamp);
