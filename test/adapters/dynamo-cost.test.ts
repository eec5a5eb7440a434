// What a write on DynamoDB costs, and which writes need no reading.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { places, type Place } from '../../src/adapters/aws/layout.ts';
import { itemBytes as bytesOf } from '../../src/adapters/aws/units.ts';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { OPERATIONS_MAX } from '../../src/core/limits.ts';
import { makeActor, type ActorId, type Dot } from '../../src/core/version/dot.ts';
import { formatState } from '../../src/core/version/format.ts';
import { mergeLww } from '../../src/core/version/lww.ts';
import { operationOf, withOperation, NO_OPERATIONS, type OperationEntry } from '../../src/core/version/operations.ts';
import { floorOf, headDot, sameState, type Record, type State, type Value } from '../../src/core/version/record.ts';
import { asStamp, raiseAbove, STAMP_ZERO } from '../../src/core/version/stamp.ts';
import { decideWrite } from '../../src/core/version/write.ts';
import { itemOf } from '../../src/cost/workload.ts';
import type { Change, Decision } from '../../src/ports/table.ts';
import { DynamoFixture } from '../contract/dynamo-fixture.ts';
import { hasDynoxide } from '../contract/emulators.ts';
import { A, B, C, dot, EU, key, lossRow, operation, several, US, value, vector, written } from '../contract/make.ts';

describe.skipIf(!hasDynoxide)('DynamoTable', () => {
  const dynamo = DynamoFixture.use();
  const place = (pk: string): Place => places.record(key(pk).encoded);

  /** The change that `apply` makes of a received state under `lww`. */
  const applied = (incoming: State, decide: (current: Record | undefined) => Decision<string>): Change<string> => {
    const head = headDot(incoming) as Dot;
    const mine = operationOf(incoming.operations, head);
    const guard = { type: 'covered', context: incoming.context, ...(mine === undefined ? {} : { operation: mine }) } as const;
    return { decide, attempt: { guard, commit: { state: incoming, kind: 'applied' }, result: 'attempted' } };
  };
  const apply = (incoming: State): Promise<string> => dynamo.table.update(key('a'), applied(incoming, () => ({ result: 'decided' })));
  const knowing = (state: State, ...entries: readonly OperationEntry[]): State => ({ ...state, operations: { entries, evicted: STAMP_ZERO } });
  const entry = (name: string, at: Dot): OperationEntry => ({ id: operation(name), dot: at });

  describe('cost', () => {
    const real = (region: string): ActorId => makeActor(region as typeof EU, '0123456ff');
    const [here, there, far] = [real('eu-central-1'), real('us-east-1'), real('ap-northeast-2')];
    const put = (size: number, past: readonly Dot[] = []): State => {
      const at = dot(here, Number.MAX_SAFE_INTEGER);
      const content = { ...value('x'.repeat(size)), contentType: 'application/json' };
      return { values: [{ dot: at, value: content }], context: vector(...past, at), operations: withOperation(NO_OPERATIONS, { id: operation('X'), payload: '00000000000000aa' }, at) };
    };

    it('metadata: 96 bytes besides pk, sk and value, with one operation id', async () => {
      await dynamo.store(put(500));
      const item = await dynamo.raw(place('a'));
      expect(bytesOf(item) - 1 - 500).toBe(96);
    });

    it('one write unit up to 880 bytes of key and value with three regions, two for 1 KiB', async () => {
      const three = [dot(there, 1), dot(far, 1)];
      const name = 'k'.repeat(20);
      expect(await dynamo.costOf(() => dynamo.store(put(860, three), key(name)))).toBe('get 1, put 1');
      expect(bytesOf(await dynamo.raw(place(name)))).toBeLessThanOrEqual(1_024);
      expect(await dynamo.costOf(() => dynamo.store(put(1_024), key('large')))).toBe('get 1, put 2');
      const room = 1_024 - 96 - 'edge 1'.length;
      expect(await dynamo.costOf(() => dynamo.store(put(room), key('edge 1')))).toBe('get 1, put 1');
      expect(await dynamo.costOf(() => dynamo.store(put(room + 1), key('edge 2')))).toBe('get 1, put 2');
    });

    it('an apply reads nothing: first write, descendant of the same region, descendant of another', async () => {
      expect(await dynamo.costOf(() => apply(written(dot(A, 5), 'v1')))).toBe('put 1');
      expect(await dynamo.costOf(() => apply(written(dot(A, 6), 'v2')))).toBe('put 1');
      expect(await dynamo.costOf(() => apply(written(dot(B, 7), 'v3', [dot(A, 6)])))).toBe('put 1');
      expect(await dynamo.stored()).toBe(formatState(written(dot(B, 7), 'v3', [dot(A, 6)])));
    });

    it('a failed attempt brings what is stored: the decision costs no read', async () => {
      await dynamo.store(written(dot(A, 5), 'v1'));
      expect(await dynamo.costOf(() => apply(written(dot(B, 6), 'concurrent')))).toBe('');
      expect(await dynamo.costOf(() => dynamo.table.update(key('a'), applied(written(dot(B, 6), 'x'), () => ({ result: '', commit: { state: written(dot(B, 6), 'x'), kind: 'applied' } }))))).toBe('put 1');
    });

    it('a concurrent pair costs a transaction of the record and three ledger rows, siblings one of the record and one row', async () => {
      await dynamo.store(written(dot(A, 5), 'v1'));
      const lost = lossRow(key('a'), dot(A, 5), 'v1');
      expect(await dynamo.costOf(() => dynamo.table.update(key('a'), { decide: () => ({ result: '', commit: { state: written(dot(B, 6), 'v2'), kind: 'applied' }, losses: [lost] }) }))).toBe('get 1, query 1, transact 8');
      expect(await dynamo.costOf(() => dynamo.store(several([dot(A, 5), 'x'], [dot(B, 6), 'y'])))).toBe('get 1, transact 4');
      expect(await dynamo.costOf(() => dynamo.store(several([dot(A, 7), 'x'], [dot(B, 6), 'y'])))).toBe('get 1, put 1');
      expect(await dynamo.costOf(() => dynamo.store(written(dot(C, 8), 'z')))).toBe('get 1, transact 4');
    });
  });

  describe('cost, as `archipel cost` reckons it', () => {
    it.each([0, 512, 768, 1_000, 4_000, 10_000])('a value of %i bytes: put, apply, get, replaced and beaten take the units that are counted here', async (valueBytes) => {
      const { key: item, state, units, storedBytes } = itemOf({ regions: 3, replicas: 3, writesPerSecond: 0, readsPerSecond: 0, valueBytes, skew: 0, gatherSeconds: 1, compressesTo: 0.4 });
      const head = headDot(state) as Dot;
      const other = makeActor(US, '0123456ff');
      const rival = (stamp: Dot['stamp']): State => ({ ...state, values: state.values.map((each) => ({ ...each, dot: { actor: other, stamp } })), context: new Map([[other, stamp]]), operations: NO_OPERATIONS });
      const ledger = { ...lossRow(item, head, ''), value: state.values[0]?.value as Value, context: state.context };
      const counted = async (work: () => Promise<unknown>): Promise<string> => dynamo.costOf(work);

      await dynamo.store(state, item);
      expect(bytesOf(await dynamo.raw(places.record(item.encoded)))).toBe(storedBytes);
      expect(await counted(() => dynamo.store(state, item))).toBe(`get ${units.decided.read}, put ${units.decided.write}`);
      const [held] = state.values;
      const blind = { dot: { ...head, stamp: asStamp(head.stamp + 1n) }, value: held?.value as Value, over: () => ({ result: 'blind' }) };
      expect(await counted(() => dynamo.table.update(item, { blind, decide: () => ({ result: 'decided' }) }))).toBe(`update ${units.put.write}`);
      await dynamo.store(state, item);
      expect(await counted(() => dynamo.table.get(item))).toBe(`get ${units.get.read}`);
      const again = { ...state, context: new Map([...state.context, [other, asStamp(2n ** 60n)]]), values: state.values.map((each) => ({ ...each, dot: { actor: other, stamp: asStamp(2n ** 60n) } })) };
      expect(await counted(() => dynamo.table.update(item, applied(again, () => ({ result: 'decided' }))))).toBe(`put ${units.apply.write}`);

      // A condition that fails is billed as the write would have been, and is not reported.
      const failed = units.apply.write;
      const late = rival(asStamp(5n));
      expect(await counted(() => dynamo.table.update(item, applied(late, () => ({ result: '', losses: [{ ...ledger, id: 'f'.repeat(24), dot: { actor: other, stamp: asStamp(5n) }, context: new Map([...state.context.keys()].map((actor) => [actor, asStamp(actor === other ? 5n : 1n)])) }] }))))).toBe(`query ${units.beaten.read}, transact ${units.beaten.write - failed}`);
      const take = rival(asStamp(2n ** 61n));
      expect(await counted(() => dynamo.table.update(item, applied(take, () => ({ result: '', commit: { state: { ...take, context: again.context }, kind: 'applied' }, losses: [ledger] }))))).toBe(`query ${units.replaced.read}, transact ${units.replaced.write - failed}`);
    });
  });

  describe('attempts', () => {
    it('the write itself, delivered again, is not stored again', async () => {
      const state = written(dot(A, 5), 'v1');
      await apply(state);
      expect(await apply(state)).toBe('decided');
      expect((await dynamo.table.get(key('a')))?.revision).toBe(1);
    });

    it('a record that knows an operation which the incoming write does not is decided on, so that it is not forgotten', async () => {
      await dynamo.store(knowing(written(dot(A, 5), 'v1'), entry('X', dot(A, 5)), entry('loser', dot(C, 2))));
      expect(await apply(knowing(written(dot(A, 6), 'v2'), entry('Y', dot(A, 6)), entry('X', dot(A, 5))))).toBe('decided');
      await dynamo.store(knowing(written(dot(A, 5), 'v1'), entry('X', dot(A, 5))));
      expect(await apply(knowing(written(dot(A, 6), 'v2'), entry('Y', dot(A, 6)), entry('X', dot(A, 5))))).toBe('attempted');
    });

    it('no read either while each write evicts the oldest of eight operations; a retry of the evicted one is decided on', async () => {
      let state = written(dot(A, 1), 'v1');
      for (let stamp = 1; stamp <= 3 * OPERATIONS_MAX; stamp++) {
        const at = dot(A, stamp);
        state = { ...written(at, `v${stamp}`), operations: withOperation(state.operations, { id: operation(`op ${stamp}`), payload: '00000000000000aa' }, at) };
        expect(await apply(state)).toBe('attempted');
        expect(await dynamo.stored()).toBe(formatState(state));
      }
      const again = dot(A, 100);
      const evicted = operation(`op ${2 * OPERATIONS_MAX + 1}`);
      expect(await apply({ ...written(again, 'retry'), operations: withOperation(state.operations, { id: evicted }, again) })).toBe('decided');
    });

    it('a record that has forgotten later operations, or knows the operation by a twin, is decided on', async () => {
      await dynamo.store({ ...written(dot(A, 5), 'v1'), operations: { entries: [], evicted: asStamp(4n) } });
      expect(await apply(written(dot(A, 6), 'v2'))).toBe('decided');
      expect(await apply({ ...written(dot(A, 6), 'v2'), operations: { entries: [], evicted: asStamp(3n) } })).toBe('decided');
      const twin = entry('X', dot(C, 3));
      await dynamo.store(knowing(written(dot(A, 7), 'v3'), twin));
      expect(await apply(knowing(written(dot(A, 8), 'v4'), entry('X', dot(A, 8)), twin))).toBe('decided');
    });

    it('pasts of more actors than a condition takes are decided on', async () => {
      const many = Array.from({ length: 40 }, (_, i) => dot(makeActor(EU, `i${i}`), i + 1));
      await dynamo.store(written(many[39] as Dot, 'v1'));
      expect(await apply(written(dot(A, 100), 'v2', many))).toBe('decided');
      expect(await apply(written(dot(A, 100), 'v2', many.slice(10)))).toBe('attempted');
    });

    it('siblings and later formats never fulfil a guard', async () => {
      await dynamo.store(several([dot(A, 5), 'x'], [dot(B, 6), 'y']));
      expect(await apply(written(dot(C, 9), 'z', [dot(A, 5), dot(B, 6)]))).toBe('decided');
    });

    it('any history: attempts and decisions leave what core alone computes', async () => {
      const write = fc.record({ type: fc.constant('write' as const), region: fc.constantFrom(0, 1, 1, 1, 1, 2), what: fc.constantFrom('put', 'put', 'put', 'blind', 'delete'), retryOf: fc.option(fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(10)), { freq: 5 }) });
      const deliver = fc.record({ type: fc.constant('deliver' as const), region: fc.constantFrom(0, 0, 0, 1, 2), back: fc.nat(2) });
      const steps = fc.array(fc.oneof(write, deliver), { minLength: 20, maxLength: 60 });
      let histories = 0;
      let attempted = 0;
      await fc.assert(
        fc.asyncProperty(steps, async (history) => {
          const item = key(`history ${++histories}`);
          const model = new Regions();
          for (const step of history) {
            const before = model.states[step.region];
            const incoming = step.type === 'deliver' ? model.sent.at(-1 - step.back) : undefined;
            const next = step.type === 'write' ? model.write(step.region, step.what, step.retryOf) : model.merge(step.region, incoming);
            if (step.region !== 0 || next === undefined) continue;
            if (incoming === undefined) await dynamo.store(next, item);
            else if ((await dynamo.table.update(item, applied(incoming, () => outcome(before, next)))) === 'attempted') attempted++;
            expect(await dynamo.stored(item)).toBe(formatState(next));
          }
        }),
        { numRuns: 60 },
      );
      expect(attempted).toBeGreaterThan(20);
    }, 30_000);
  });
});

const outcome = (before: State | undefined, next: State): Decision<string> =>
  before !== undefined && sameState(next, before) ? { result: 'decided' } : { result: 'decided', commit: { state: next, kind: 'applied' } };

/** Three regions and one item, by core alone. */
class Regions {
  readonly states: (State | undefined)[] = [undefined, undefined, undefined];
  readonly sent: State[] = [];
  #stamp = 0n;
  #writes = 0;

  #issue(region: number, ...floor: readonly (State | undefined)[]): Dot {
    return { actor: [A, B, C][region] as ActorId, stamp: raiseAbove(asStamp(++this.#stamp), floorOf(...floor)) };
  }

  /** `retryOf`: the operation so many writes ago once more; 0 for a new one, null for a write without. */
  write(region: number, what: string, retryOf: number | null): State | undefined {
    const before = this.states[region];
    const { actor, stamp } = this.#issue(region);
    const write = {
      ...(what === 'delete' ? {} : { value: value(`v${stamp}`) }),
      ...(what === 'blind' || before === undefined ? {} : { context: before.context }),
      ...(retryOf === null ? {} : { operation: { id: operation(String(++this.#writes - retryOf)) } }),
    };
    const decision = decideWrite(before, write, { conflict: 'lww', requireContext: false, actor, stamp, reapedLine: STAMP_ZERO, nowMs: 0, hash: sha256 });
    return decision.type === 'commit' ? this.#set(region, decision.state, true) : before;
  }

  merge(region: number, incoming: State | undefined): State | undefined {
    const before = this.states[region];
    if (incoming === undefined || before === undefined) return this.#set(region, incoming ?? before, false);
    const { state, kind } = mergeLww(before, incoming, () => this.#issue(region, before, incoming));
    return this.#set(region, state, kind === 'local');
  }

  #set(region: number, state: State | undefined, isSent: boolean): State | undefined {
    if (isSent && state !== undefined) this.sent.push(state);
    return (this.states[region] = state);
  }
}
