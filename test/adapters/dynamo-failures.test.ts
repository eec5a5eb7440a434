// What is answered when DynamoDB fails, and what several processes of a region do to each other.

import { InternalServerError, ProvisionedThroughputExceededException, TransactionConflictException } from '@aws-sdk/client-dynamodb';
import { describe, expect, it } from 'vitest';
import { isArchipelError } from '../../src/core/errors.ts';
import { ROUNDS_MAX, type DynamoTable } from '../../src/adapters/aws/dynamo-table.ts';
import { places, TTL_ATTRIBUTE, type Item } from '../../src/adapters/aws/layout.ts';
import { RETRIES_MAX } from '../../src/adapters/aws/requests.ts';
import { RETRY_BUDGET, RETRY_PRICE } from '../../src/adapters/aws/retry-budget.ts';
import type { Dot } from '../../src/core/version/dot.ts';
import { DynamoFixture, type Fault } from '../contract/dynamo-fixture.ts';
import { hasDynoxide } from '../contract/emulators.ts';
import { A, B, C, dot, key, lossRow, several, texts, vector, written } from '../contract/make.ts';

const named = (name: string, more: object = {}): Error => Object.assign(new Error(name), { name, ...more });
const THROTTLED = new ProvisionedThroughputExceededException({ message: 'slow down', $metadata: {} });
const INTERNAL = new InternalServerError({ message: 'oops', $metadata: { httpStatusCode: 500 } });
const CONFLICT = new TransactionConflictException({ message: 'conflict', $metadata: {} });
const TIMED_OUT = named('TimeoutError');
const RESET = named('TimeoutError', { code: 'ECONNRESET' });
const UNREACHABLE = named('Error', { code: 'ECONNREFUSED' });
const DENIED = named('AccessDeniedException', { $fault: 'client' });

describe.skipIf(!hasDynoxide)('DynamoTable', () => {
  const dynamo = DynamoFixture.use();

  describe('several processes on one table', () => {
    it('64 decisions of two processes on one item are made one after the other', async () => {
      const other = dynamo.another();
      // Pauses take no time here, so that one of two may be overtaken every time: told so, it comes again.
      const count = async (on: DynamoTable): Promise<number> => {
        for (;;) {
          try {
            return await on.update(key('counter'), {
              decide: (current) => {
                const next = Number(texts(current?.state)[0] ?? '0') + 1;
                return { result: next, commit: { state: written(dot(A, next), String(next)), kind: 'local' } };
              },
            });
          } catch (error) {
            if (!isArchipelError(error, 'overloaded')) throw error;
          }
        }
      };
      const results = await Promise.all(Array.from({ length: 64 }, (_, i) => count(i % 2 === 0 ? dynamo.table : other)));
      expect(results.sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1));
    });

    it('who is overtaken every time is told `overloaded`, and has stored nothing', async () => {
      const other = dynamo.another();
      let rounds = 0;
      dynamo.meanwhile = async (command, input) => {
        const isMine = command === 'PutItemCommand' && Buffer.from((input as { Item: Item }).Item['v']?.B ?? []).toString() === 'mine';
        if (isMine) await dynamo.store(written(dot(B, ++rounds), 'theirs'), key('a'), other);
      };
      await expect(dynamo.store(written(dot(A, 100), 'mine'))).rejects.toMatchObject({ code: 'overloaded' });
      expect(rounds).toBe(ROUNDS_MAX);
      expect(dynamo.clock.pausedMs).toBeLessThan(3_000);
      expect(await dynamo.stored()).toContain('theirs');
    });

    it('a second process sees records, siblings, losses and documents', async () => {
      await dynamo.store(several([dot(A, 1), 'x'], [dot(B, 2), 'y']));
      await dynamo.table.update(key('a'), { decide: () => ({ result: undefined, losses: [lossRow(key('a'), dot(C, 1), 'lost')] }) });
      await dynamo.table.putDocument('d', new Uint8Array([1]), undefined);
      const other = dynamo.another();
      expect(texts((await other.get(key('a')))?.state)).toEqual(['x', 'y']);
      expect((await other.siblings('demo', 10)).items).toHaveLength(1);
      expect(await other.lossesOf(key('a'))).toHaveLength(1);
      expect((await other.document('d'))?.revision).toBe(1);
    });

    it('the same loss found by two processes at once is one row', async () => {
      const rows = [dynamo.table, dynamo.another()].map((on, i) => on.update(key('a'), { decide: () => ({ result: i, losses: [lossRow(key('a'), dot(A, 1), 'x', { atMs: 1_000 + i })] }) }));
      expect(await Promise.all(rows)).toEqual([0, 1]);
      expect((await dynamo.table.losses({ collection: 'demo', limit: 10 })).items).toHaveLength(1);
    });
  });

  describe('ledger', () => {
    it('losers of a cap, whose context is that of the whole state, do not hide each other', async () => {
      const whole = vector(dot(A, 9), dot(B, 9));
      const cap = (at: Dot): Promise<void> => dynamo.table.update(key('a'), { decide: () => ({ result: undefined, losses: [lossRow(key('a'), at, 'capped', { rule: 'sibling-cap', context: whole })] }) });
      await cap(dot(A, 1));
      await cap(dot(B, 2));
      expect(await dynamo.table.lossesOf(key('a'))).toHaveLength(2);
    });

    it('rows live 90 days, counted in seconds from when they were written', async () => {
      const row = lossRow(key('a'), dot(A, 1), 'x', { atMs: 1_500 });
      await dynamo.table.update(key('a'), { decide: () => ({ result: undefined, losses: [row] }) });
      expect((await dynamo.raw(places.loss('demo', 1_500, row.id)))[TTL_ATTRIBUTE]?.N).toBe(String(90 * 86_400 + 2));
    });
  });

  describe('failures', () => {
    const times = (count: number, fault: Fault): Fault[] => Array.from({ length: count }, () => fault);

    it('throttled calls are made again, with pauses', async () => {
      dynamo.faults = [...times(2, { command: 'GetItemCommand', when: 'before', error: THROTTLED }), { command: 'PutItemCommand', when: 'before', error: CONFLICT }];
      await dynamo.store(written(dot(A, 1), 'v1'));
      expect(texts((await dynamo.table.get(key('a')))?.state)).toEqual(['v1']);
      expect(dynamo.clock.pauses).toBe(3);
    });

    it('throttled for longer than the budget: `overloaded`, and nothing was done', async () => {
      dynamo.faults = times(RETRIES_MAX + 1, { command: 'PutItemCommand', when: 'before', error: THROTTLED });
      await expect(dynamo.store(written(dot(A, 1), 'v1'))).rejects.toMatchObject({ code: 'overloaded', retryable: true });
      expect(dynamo.clock.pausedMs).toBeLessThan(1_000);
      expect(await dynamo.table.get(key('a'))).toBeUndefined();
    });

    it('everything is throttled: the first calls are made again, then each is told at once, and the service gets no more than it has to', async () => {
      const calls = 40;
      const most = calls + RETRY_BUDGET / RETRY_PRICE;
      dynamo.faults = times(calls * (RETRIES_MAX + 1), { command: 'GetItemCommand', when: 'before', error: THROTTLED });
      const offered = dynamo.faults.length;
      for (let call = 0; call < calls; call++) await expect(dynamo.table.get(key('a'))).rejects.toMatchObject({ code: 'overloaded' });
      expect(offered - dynamo.faults.length).toBe(most);
      dynamo.faults = [];
      for (let call = 0; call < RETRY_PRICE; call++) await dynamo.table.get(key('a'));
      dynamo.faults = times(1, { command: 'GetItemCommand', when: 'before', error: THROTTLED });
      expect(await dynamo.table.get(key('a'))).toBeUndefined(); // it is made again
    });

    it('a service error before the write is made good by sending it again', async () => {
      dynamo.faults = [{ command: 'PutItemCommand', when: 'before', error: INTERNAL }, { command: 'PutItemCommand', when: 'before', error: RESET }];
      await dynamo.store(written(dot(A, 1), 'v1'));
      expect((await dynamo.table.get(key('a')))?.revision).toBe(1);
    });

    it('a service error after the write is a write of unknown outcome, never a second one', async () => {
      dynamo.faults = [{ command: 'PutItemCommand', when: 'after', error: INTERNAL }];
      await expect(dynamo.store(written(dot(A, 1), 'v1'))).rejects.toMatchObject({ code: 'write-outcome-unknown' });
      expect((await dynamo.table.get(key('a')))?.revision).toBe(1);
    });

    it('a time-out of a write: unknown, at once, whether it was done or not', async () => {
      for (const when of ['before', 'after'] as const) {
        dynamo.faults = [{ command: 'PutItemCommand', when, error: TIMED_OUT }];
        await expect(dynamo.store(written(dot(A, 1), 'v1'), key(when))).rejects.toMatchObject({ code: 'write-outcome-unknown' });
        expect(await dynamo.table.get(key(when)) === undefined).toBe(when === 'before');
      }
      expect(dynamo.clock.pauses).toBe(0);
    });

    it('a service error of an attempt: attempted again when it was not done, unknown when it was', async () => {
      const apply = (at: Dot): Promise<string> => {
        const guard = { type: 'covered', context: vector(at) } as const;
        return dynamo.table.update(key('a'), { decide: () => ({ result: 'decided' }), attempt: { guard, commit: { state: written(at, 'x'), kind: 'applied' }, result: 'attempted' } });
      };
      dynamo.faults = [{ command: 'PutItemCommand', when: 'before', error: INTERNAL }];
      expect(await apply(dot(A, 5))).toBe('attempted');
      dynamo.faults = [{ command: 'PutItemCommand', when: 'after', error: INTERNAL }];
      await expect(apply(dot(A, 6))).rejects.toMatchObject({ code: 'write-outcome-unknown' });
    });

    it('a transaction may be repeated safely: its token makes the two one', async () => {
      const lose = (): Promise<string> => dynamo.table.update(key('a'), { decide: () => ({ result: 'done', commit: { state: written(dot(B, 2), 'v2'), kind: 'applied' }, losses: [lossRow(key('a'), dot(A, 1), 'v1')] }) });
      dynamo.faults = [{ command: 'TransactWriteItemsCommand', when: 'after', error: INTERNAL }, { command: 'TransactWriteItemsCommand', when: 'before', error: CONFLICT }];
      expect(await lose()).toBe('done');
      expect((await dynamo.table.get(key('a')))?.revision).toBe(1);
      expect(await dynamo.table.lossesOf(key('a'))).toHaveLength(1);
    });

    it('what never reached the service, or was refused by it, was not done: `storage-unavailable`', async () => {
      for (const error of [UNREACHABLE, DENIED]) {
        dynamo.faults = [{ command: 'PutItemCommand', when: 'before', error }];
        await expect(dynamo.store(written(dot(A, 1), 'v1'))).rejects.toMatchObject({ code: 'storage-unavailable' });
      }
      dynamo.faults = [{ command: 'GetItemCommand', when: 'before', error: TIMED_OUT }];
      await expect(dynamo.table.get(key('a'))).rejects.toMatchObject({ code: 'storage-unavailable' });
      expect(await dynamo.table.get(key('a'))).toBeUndefined();
    });

    it('an item over 400 KB is `too-large`', async () => {
      await expect(dynamo.store(written(dot(A, 1), 'x'.repeat(410_000)))).rejects.toMatchObject({ code: 'too-large' });
    });

    it('a document of which the outcome is in doubt is neither won nor lost', async () => {
      dynamo.faults = [{ command: 'PutItemCommand', when: 'after', error: INTERNAL }];
      await expect(dynamo.table.putDocument('lease', new Uint8Array([1]), undefined)).rejects.toMatchObject({ code: 'write-outcome-unknown' });
    });
  });
});
