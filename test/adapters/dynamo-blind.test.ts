// Local writes that read nothing: what they cost, what they leave to a decision, and that they leave what core alone computes.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { OPERATIONS_MAX } from '../../src/core/limits.ts';
import { makeActor, type ActorId, type Dot } from '../../src/core/version/dot.ts';
import { formatState } from '../../src/core/version/format.ts';
import { mergeLww } from '../../src/core/version/lww.ts';
import { headDot, floorOf, type Record, type State } from '../../src/core/version/record.ts';
import { asStamp, raiseAbove, STAMP_ZERO, makeStamp } from '../../src/core/version/stamp.ts';
import { decideWrite, type Write } from '../../src/core/version/write.ts';
import { operationOf } from '../../src/core/version/operations.ts';
import type { Change, Decision } from '../../src/ports/table.ts';
import { DynamoFixture } from '../contract/dynamo-fixture.ts';
import { hasDynoxide } from '../contract/emulators.ts';
import { A, B, C, dot, EU, key, operation, several, US, value, written } from '../contract/make.ts';

const HERE = makeActor(EU, '0123456ff');
const NEXT = makeActor(EU, 'fedcba987');

describe.skipIf(!hasDynoxide)('DynamoTable: blind writes', () => {
  const dynamo = DynamoFixture.use();
  let how = '';

  /** The change that a region makes of a PUT under `lww`. */
  const change = (write: Write, { actor, stamp }: Dot): Change<Record | undefined> => {
    const setting = { conflict: 'lww', requireContext: false, actor, stamp, reapedLine: STAMP_ZERO, nowMs: 0, hash: sha256 } as const;
    const decided = (current: Record | undefined): Decision<Record | undefined> => {
      const decision = decideWrite(current?.state, write, setting);
      return decision.type === 'commit' ? { result: current, commit: { state: decision.state, kind: 'local' } } : { result: current };
    };
    const decide = (current: Record | undefined): Decision<Record | undefined> => {
      how = 'decided';
      return decided(current);
    };
    if (write.value === undefined || write.context !== undefined) return { decide };
    const over = (current: Record | undefined): Decision<Record | undefined> => {
      how = 'blind';
      return decided(current);
    };
    return { decide, blind: { dot: { actor, stamp }, value: write.value, over, ...(write.operation === undefined ? {} : { operation: write.operation }) } };
  };
  const put = (at: Dot, text: string, more: Partial<Write> = {}, item = key('a')): Promise<Record | undefined> => dynamo.table.update(item, change({ value: value(text), ...more }, at));

  it('one write, nothing read: the first, over its own, over that of another region, over a delete, with a life and without', async () => {
    expect(await dynamo.costOf(() => put(dot(HERE, 5), 'v1'))).toBe('update 1');
    expect(await dynamo.costOf(() => put(dot(HERE, 6), 'v2', { value: value('v2', 9_000) }))).toBe('update 1');
    expect(await dynamo.costOf(() => put(dot(NEXT, 7), 'v3'))).toBe('update 1');
    expect(await dynamo.stored()).toBe(formatState(written(dot(NEXT, 7), 'v3', [dot(HERE, 6)])));
    await dynamo.store({ values: [], deleted: dot(B, 8), context: new Map([[B, asStamp(8n)]]), operations: { entries: [], evicted: STAMP_ZERO } });
    expect(await dynamo.costOf(() => put(dot(A, 9), 'v4'))).toBe('update 1');
    expect(await dynamo.stored()).toBe(formatState(written(dot(A, 9), 'v4', [dot(B, 8)])));
  });

  it('what was there is told without a read: whether it was created', async () => {
    expect(await put(dot(A, 5), 'v1')).toBeUndefined();
    expect((await put(dot(B, 6), 'v2'))?.state.values[0]?.dot).toEqual(dot(A, 5));
  });

  it('over a larger stamp it is decided, above it, on what the failed condition brought along', async () => {
    await put(dot(B, 90), 'ahead');
    expect(await dynamo.costOf(() => put(dot(A, 5), 'mine'))).toBe('put 1');
    expect(await dynamo.stored()).toBe(formatState(written(dot(A, 91), 'mine', [dot(B, 90)])));
  });

  it('over several values it is decided', async () => {
    await dynamo.store(several([dot(A, 1), 'x'], [dot(B, 2), 'y']));
    await put(dot(C, 9), 'one');
    expect(how).toBe('decided');
  });

  it('a retry is known: of the standing operation, and of one that something else stands above', async () => {
    const [x, y] = [{ id: operation('x'), payload: '00000000000000aa' }, { id: operation('y') }];
    await put(dot(A, 5), 'x', { operation: x });
    await put(dot(A, 6), 'y', { operation: y });
    const stood = await dynamo.stored();
    for (const again of [x, y]) {
      await put(dot(B, 7), 'again', { operation: again });
      expect([how, await dynamo.stored()]).toEqual(['decided', stood]);
    }
  });

  it('one that may have been forgotten is decided; a younger one is not', async () => {
    const old = { ...written(dot(A, 5), 'v'), context: new Map([[A, makeStamp(5_000, 0)]]), values: [{ dot: { actor: A, stamp: makeStamp(5_000, 0) }, value: value('v') }], operations: { entries: [], evicted: makeStamp(3_000, 7) } };
    await dynamo.store(old);
    await put({ actor: B, stamp: makeStamp(6_000, 0) }, 'late', { operation: { id: operation('late'), mintedAtMs: 3_000 } });
    expect(how).toBe('decided');
    expect(await dynamo.stored()).toBe(formatState(old));
    await put({ actor: B, stamp: makeStamp(6_000, 0) }, 'young', { operation: { id: operation('young'), mintedAtMs: 3_001 } });
    expect(how).toBe('blind');
  });

  it('a full list gives up its oldest, unread too: at most one guess fails for an item that this process knows', async () => {
    const costs: string[] = [];
    for (let at = 1; at <= 3 * OPERATIONS_MAX; at++) costs.push(await dynamo.costOf(() => put(dot(A, at), `v${at}`, { operation: { id: operation(`op ${at}`), payload: '00000000000000aa' } })));
    expect(costs.filter((cost) => cost !== 'update 1')).toEqual([]);
    const { operations } = (await dynamo.table.get(key('a')))?.state as State;
    expect(operations.entries.map(({ dot: { stamp } }) => Number(stamp))).toEqual([24, 23, 22, 21, 20, 19, 18, 17]);
    expect(operations.evicted).toBe(asStamp(16n));
  });

  it('a process that meets full lists everywhere guesses so after a while, and reads in between', async () => {
    const full = async (name: string): Promise<void> => {
      const another = dynamo.another();
      for (let at = 1; at <= OPERATIONS_MAX; at++) await another.update(key(name), change({ value: value('v'), operation: { id: operation(`${name} ${at}`) } }, dot(A, at)));
    };
    const costs: string[] = [];
    for (let at = 0; at < 60; at++) {
      const name = `full ${at}`;
      await full(name);
      costs.push(await dynamo.costOf(() => put(dot(B, 100), 'x', { operation: { id: operation('mine') } }, key(name))));
    }
    expect(costs[0]).toBe('put 1'); // after a condition that failed
    expect(costs).toContain('get 1, put 1');
    expect(costs.at(-1)).toBe('update 1');
  }, 30_000);

  it('of an outcome that is in doubt nobody says that it was done', async () => {
    const lost = Object.assign(new Error('reset'), { name: 'InternalServerError', $fault: 'server' as const, $metadata: { httpStatusCode: 500 } });
    dynamo.faults = [{ command: 'UpdateItemCommand', when: 'after', error: lost }];
    await expect(put(dot(A, 5), 'v1')).rejects.toMatchObject({ code: 'write-outcome-unknown' });
    expect(await dynamo.stored()).toBe(formatState(written(dot(A, 5), 'v1')));
  });

  it('any history: puts, deletes, retries and merges leave what core alone computes, and tell what they replaced', async () => {
    const write = fc.record({ type: fc.constant('write' as const), region: fc.constantFrom(0, 0, 0, 1, 2), what: fc.constantFrom('put', 'put', 'put', 'put', 'contextual', 'delete'), retryOf: fc.option(fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(12)), { freq: 6 }), isTimed: fc.boolean() });
    const deliver = fc.record({ type: fc.constant('deliver' as const), region: fc.constantFrom(0, 0, 1, 2), back: fc.nat(3) });
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: write }, { weight: 1, arbitrary: deliver }), { minLength: 20, maxLength: 60 });
    let histories = 0;
    let blind = 0;
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const item = key(`history ${++histories}`);
        const states: (State | undefined)[] = [undefined, undefined, undefined];
        const sent: State[] = [];
        let clock = 0;
        let writes = 0;
        const actors: readonly ActorId[] = [HERE, makeActor(US, '00000000a'), C];
        for (const step of history) {
          const { region } = step;
          const before = states[region];
          const at: Dot = { actor: actors[region] as ActorId, stamp: makeStamp(++clock * 10, 0) };
          if (step.type === 'deliver') {
            const incoming = sent.at(-1 - step.back);
            if (incoming === undefined) continue;
            const merged = before === undefined ? incoming : mergeLww(before, incoming, () => ({ ...at, stamp: raiseAbove(at.stamp, floorOf(before, incoming)) })).state;
            states[region] = merged;
            if (region === 0) await dynamo.table.update(item, merging(incoming, merged));
          } else {
            const number = step.retryOf === null ? 0 : ++writes - step.retryOf;
            const operated = step.retryOf === null ? {} : { operation: { id: operation(String(number)), ...(step.isTimed ? { mintedAtMs: Math.max(1, clock - 2 * step.retryOf) * 10 } : {}) } };
            const given: Write = { ...(step.what === 'delete' ? {} : { value: value(`v${clock}`) }), ...(step.what === 'contextual' && before !== undefined ? { context: before.context } : {}), ...operated };
            const decision = decideWrite(before, given, { conflict: 'lww', requireContext: false, actor: at.actor, stamp: at.stamp, reapedLine: STAMP_ZERO, nowMs: 0, hash: sha256 });
            if (decision.type === 'commit') sent.push((states[region] = decision.state));
            if (region !== 0) continue;
            how = '';
            const replaced = await dynamo.table.update(item, change(given, at));
            if ((how) === 'blind') blind++;
            expect(replaced === undefined ? 'nothing' : formatState(replaced.state)).toBe(before === undefined ? 'nothing' : formatState(before));
          }
          if (region === 0) expect(await dynamo.stored(item)).toBe(states[0] === undefined ? 'nothing' : formatState(states[0]));
        }
      }),
      { numRuns: 50 },
    );
    expect(blind).toBeGreaterThan(300);
  }, 60_000);
});

function merging(incoming: State, merged: State): Change<string> {
  const head = headDot(incoming) as Dot;
  const mine = operationOf(incoming.operations, head);
  const guard = { type: 'covered', context: incoming.context, ...(mine === undefined ? {} : { operation: mine }) } as const;
  return { decide: () => ({ result: 'decided', commit: { state: merged, kind: 'applied' } }), attempt: { guard, commit: { state: incoming, kind: 'applied' }, result: 'attempted' } };
}
