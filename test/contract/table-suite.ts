// The contract of the Table port (src/ports/table.ts), run by every adapter.

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { afterPrefix, compareBytes, toHex } from '../../src/core/bytes.ts';
import { partitionOf, type ItemKey } from '../../src/core/keys/item-key.ts';
import { ALL_PARTITIONS, formatSum, isZeroSum, leafOf, LEAVES, LEAVES_PER_BRANCH } from '../../src/core/merkle/digest.ts';
import { formatState } from '../../src/core/version/format.ts';
import { encodeState } from '../../src/core/version/codec.ts';
import type { Record, State } from '../../src/core/version/record.ts';
import { decodeLossRow } from '../../src/core/version/loss-row.ts';
import type { ChangeLog, LogEntry } from '../../src/ports/change-log.ts';
import type { Commit, Table } from '../../src/ports/table.ts';
import { A, B, bytes, C, deleted, dot, GROUP, key, lossRow, operation, prefix, several, texts, value, vector, written } from './make.ts';

export interface TableUnderTest {
  readonly table: Table;
  readonly changes?: ChangeLog;
  /** Opens the same data again, after a clean stop. */
  reopen?(): Promise<TableUnderTest>;
  close(): Promise<void>;
}

export interface Skip {
  readonly name: RegExp;
  readonly reason: string;
}

const store = (table: Table, item: ItemKey, state: State, kind: Record['kind'] = 'local'): Promise<void> =>
  table.update(item, { decide: () => ({ result: undefined, commit: { state, kind } }) });

export function tableContract(name: string, open: () => Promise<TableUnderTest>, skips: readonly Skip[] = []): void {
  const check = (title: string, body: () => Promise<void>): void => {
    const skip = skips.find((each) => each.name.test(title));
    if (skip === undefined) return void it(title, body);
    it.skip(`${title} (${skip.reason})`, body);
  };

  describe(`Table: ${name}`, () => {
    let under: TableUnderTest;
    let table: Table;
    beforeEach(async () => {
      under = await open();
      table = under.table;
    });
    afterEach(() => under.close());

    const rootOf = (): string => formatSum(table.digests?.root(GROUP, ALL_PARTITIONS) ?? { high: 0, low: 0 });

    describe('update and get', () => {
      check('get answers undefined where nothing was stored', async () => {
        expect(await table.get(key('nobody'))).toBeUndefined();
      });

      check('update gives the decision nothing, then what was committed, with a rising revision', async () => {
        const seen: (number | undefined)[] = [];
        for (const stamp of [1, 2, 3]) {
          await table.update(key('a'), {
            decide: (current) => {
              seen.push(current?.revision);
              return { result: undefined, commit: { state: written(dot(A, stamp), `v${stamp}`), kind: 'local' } };
            },
          });
        }
        expect(seen).toEqual([undefined, 1, 2]);
        expect(texts((await table.get(key('a')))?.state)).toEqual(['v3']);
      });

      check('storedState answers the state that get answers, encoded', async () => {
        for (const stamp of [1, 2]) await table.update(key('a'), { decide: () => ({ result: undefined, commit: { state: written(dot(A, stamp), `v${stamp}`), kind: 'local' } }) });
        if (table.storedState === undefined) return;
        expect(toHex(table.storedState(key('a')) as Uint8Array)).toBe(toHex(encodeState(((await table.get(key('a'))) as Record).state)));
        expect(table.storedState(key('nobody'))).toBeUndefined();
      });

      check('update answers what the decision answered', async () => {
        expect(await table.update(key('a'), { decide: () => ({ result: 'refused' }) })).toBe('refused');
        expect(await table.get(key('a'))).toBeUndefined();
      });

      check('update throws what the decision throws, and stores nothing', async () => {
        await expect(
          table.update(key('a'), {
            decide: () => {
              throw new TypeError('no');
            },
          }),
        ).rejects.toThrow('no');
        expect(await table.get(key('a'))).toBeUndefined();
      });

      check('a state comes back as it was, byte for byte: values, delete, context, operations, expiry, content type', async () => {
        const full: State = {
          values: [
            { dot: dot(A, 5), value: { ...value('x\0é🌍', 4_102_444_800_000), contentType: 'image/x-own' } },
            { dot: dot(B, 7), value: { ...value(''), contentType: 'application/json' } },
          ],
          deleted: dot(C, 3),
          context: vector(dot(A, 5), dot(B, 7), dot(C, 4)),
          operations: { entries: [{ id: operation('X'), dot: dot(B, 7), payload: '00000000000000aa' }, { id: operation('Y'), dot: dot(A, 5) }], evicted: dot(C, 2).stamp },
          removed: [dot(C, 6), dot(B, 8)],
        };
        await store(table, key('a', 's'), full);
        const back = await table.get(key('a', 's'));
        expect(formatState(back?.state as State)).toBe(formatState(full));
        expect(back?.state.values.map((each) => [...each.value.bytes])).toEqual(full.values.map((each) => [...each.value.bytes]));
        expect(back?.state.operations).toEqual(full.operations);
      });

      check('stamps of all 64 bits are exact', async () => {
        const large = { actor: A, stamp: ((1n << 64n) - 1n) as never };
        await store(table, key('a'), { values: [], deleted: large, context: vector(large), operations: { entries: [], evicted: large.stamp } });
        expect((await table.get(key('a')))?.state.deleted?.stamp).toBe((1n << 64n) - 1n);
      });

      check('keys differ in every byte: collections, pks and sks do not run into each other', async () => {
        const keys = [key('a', 'b'), key('ab'), key('a', 'b', 'other'), key('a\0b'), key('a', '\0b'), key('A', 'b'), key('\u00e9'), key('e\u0301')];
        for (const [at, item] of keys.entries()) await store(table, item, written(dot(A, at + 1), `v${at}`));
        for (const [at, item] of keys.entries()) expect(texts((await table.get(item))?.state)).toEqual([`v${at}`]);
      });

      check('64 concurrent decisions on one item are made one after the other', async () => {
        const results = await Promise.all(
          Array.from({ length: 64 }, () =>
            table.update(key('counter'), {
              decide: (current) => {
                const next = Number(texts(current?.state)[0] ?? '0') + 1;
                return { result: next, commit: { state: written(dot(A, next), String(next)), kind: 'local' } };
              },
            }),
          ),
        );
        expect([...results].sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1));
        expect(texts((await table.get(key('counter')))?.state)).toEqual(['64']);
      });

      check('a value of 256 KiB is kept', async () => {
        const large = 'x'.repeat(256 * 1024);
        await store(table, key('a'), written(dot(A, 1), large));
        expect(texts((await table.get(key('a')))?.state)[0]?.length).toBe(large.length);
      });

      check('what was given to a commit may be changed afterwards without harm', async () => {
        const content = bytes('before');
        await store(table, key('a'), { ...written(dot(A, 1), ''), values: [{ dot: dot(A, 1), value: { ...value('before'), bytes: content } }] });
        content.fill(0);
        expect(texts((await table.get(key('a')))?.state)).toEqual(['before']);
      });
    });

    describe('attempts', () => {
      const attempt = async (guard: Parameters<Table['update']>[1]['attempt'], item = key('a')): Promise<string> =>
        table.update(item, { decide: () => ({ result: 'decided' }), ...(guard === undefined ? {} : { attempt: guard as never }) });
      const commit = { state: written(dot(B, 9), 'new'), kind: 'applied' } as const;

      check('an attempt never stores where its guard does not hold', async () => {
        await store(table, key('a'), written(dot(A, 5), 'old'));
        for (const guard of [{ type: 'absent' }, { type: 'covered', context: vector(dot(A, 4)) }, { type: 'covered', context: vector(dot(B, 9)) }] as const) {
          expect(await attempt({ guard, commit, result: 'attempted' })).toBe('decided');
          expect(texts((await table.get(key('a')))?.state)).toEqual(['old']);
        }
      });

      check('an attempt does not hold against a record that knows the operation', async () => {
        await store(table, key('a'), { ...written(dot(A, 5), 'old'), operations: { entries: [{ id: operation('X'), dot: dot(A, 5) }], evicted: 0n as never } });
        expect(await attempt({ guard: { type: 'covered', context: vector(dot(A, 5)), operation: operation('X') }, commit, result: 'attempted' })).toBe('decided');
      });

      check('an attempt does not hold against a record of its own dot: its context may be another', async () => {
        await store(table, key('a'), { ...commit.state, context: vector(dot(A, 7), dot(B, 9)) });
        for (const context of [vector(dot(A, 5), dot(B, 9)), vector(dot(B, 12))]) {
          expect(await attempt({ guard: { type: 'covered', context }, commit: { ...commit, state: { ...commit.state, context } }, result: 'attempted' })).toBe('decided');
        }
      });

      check('where the guard holds the outcome is the same whether the attempt is used or not', async () => {
        for (const [item, before] of [[key('a'), undefined], [key('b'), written(dot(A, 5), 'old')], [key('c'), deleted(dot(A, 5))]] as const) {
          if (before !== undefined) await store(table, item, before);
          const guard = before === undefined ? ({ type: 'absent' } as const) : ({ type: 'covered', context: vector(dot(A, 5)) } as const);
          await table.update(item, { decide: () => ({ result: 'done', commit }), attempt: { guard, commit, result: 'done' } });
          expect(texts((await table.get(item))?.state)).toEqual(['new']);
        }
      });
    });

    describe('meanwhile', () => {
      check('is asked at most once for a commit, and what it answers is called at most once, before the update resolves', async () => {
        const told: string[] = [];
        const commit: Commit = { state: written(dot(A, 1), 'v'), kind: 'local' };
        const meanwhile = (result: string) => (told.push(`asked ${result}`), () => void told.push(`durable ${result}`));
        await table.update(key('a'), { decide: () => ({ result: 'done', commit }), meanwhile });
        told.push('resolved');
        // An adapter may leave it out.
        expect([['asked done', 'durable done', 'resolved'], ['resolved']]).toContainEqual(told);
      });

      check('is not asked where nothing is committed', async () => {
        const asked: string[] = [];
        const meanwhile = (result: string) => (asked.push(result), () => undefined);
        await table.update(key('a'), { decide: () => ({ result: 'refused' }), meanwhile });
        await store(table, key('a'), deleted(dot(A, 2)));
        await table.update(key('a'), { decide: () => ({ result: 'removed', remove: true }), meanwhile });
        expect(asked).toEqual([]);
      });
    });

    describe('ranges', () => {
      const sks = ['', '\0', 'a', 'a\0', 'aa', 'b', 'ba', 'z', 'é', '\u{1f30d}'];
      beforeEach(async () => {
        for (const sk of [...sks].reverse()) await store(table, key('r', sk), written(dot(A, 1), sk));
        await store(table, key('r2', 'a'), written(dot(A, 1), 'other pk'));
        await store(table, key('r', 'a', 'demo2'), written(dot(A, 1), 'other collection'));
      });
      const all = { prefix: prefix('r'), descending: false, limit: 100, bytesMax: 1 << 20 };
      const found = async (query: Partial<Parameters<Table['range']>[0]>): Promise<string[]> =>
        (await table.range({ ...all, ...query })).items.map(({ key: { sk } }) => Buffer.from(sk).toString());

      check('a range is one pk, in byte order of the sort keys, ascending and descending', async () => {
        expect(await found({})).toEqual(sks);
        expect(await found({ descending: true })).toEqual([...sks].reverse());
      });

      check('bounds are inclusive or exclusive as asked', async () => {
        const [a, b] = [bytes('a'), bytes('b')];
        expect(await found({ from: { sk: a, inclusive: true }, to: { sk: b, inclusive: true } })).toEqual(['a', 'a\0', 'aa', 'b']);
        expect(await found({ from: { sk: a, inclusive: false }, to: { sk: b, inclusive: false } })).toEqual(['a\0', 'aa']);
        expect(await found({ from: { sk: a, inclusive: false }, to: { sk: b, inclusive: true }, descending: true })).toEqual(['b', 'aa', 'a\0']);
        expect(await found({ from: { sk: b, inclusive: true }, to: { sk: a, inclusive: true } })).toEqual([]);
      });

      check('pages end with a cursor exactly when there is more', async () => {
        const first = await table.range({ ...all, limit: 4 });
        expect(first.items).toHaveLength(4);
        expect(toHex(first.cursor ?? new Uint8Array())).toBe(toHex(first.items[3]?.key.encoded ?? new Uint8Array()));
        expect((await table.range({ ...all, limit: sks.length })).cursor).toBeUndefined();
      });

      check('a page ends when its bytes are reached, but holds at least one item', async () => {
        expect((await table.range({ ...all, bytesMax: 1 })).items).toHaveLength(1);
      });

      check('tombstones are returned: whether they show is the reader\'s business', async () => {
        await store(table, key('r', 'b'), deleted(dot(A, 2)));
        expect(await found({ from: { sk: bytes('b'), inclusive: true }, to: { sk: bytes('b'), inclusive: true } })).toEqual(['b']);
      });
    });

    describe('scans', () => {
      check('a scan returns one partition of one group, in physical order, and goes on after a cursor', async () => {
        const keys = Array.from({ length: 60 }, (_, i) => key(`k${i}`, 's'));
        await Promise.all(keys.map((item) => store(table, item, written(dot(A, 1), 'v'))));
        const partitions = [...new Set(keys.map(({ encoded }) => partitionOf(encoded)))];
        const scanned: Uint8Array[] = [];
        for (const partition of partitions.sort((a, b) => a - b)) {
          for (let after: Uint8Array | undefined; ; ) {
            const page = await table.scan({ group: GROUP, partition, limit: 1, bytesMax: 1 << 20, ...(after === undefined ? {} : { after }) });
            scanned.push(...page.items.map(({ key: { encoded } }) => encoded));
            if (page.cursor === undefined) break;
            after = page.cursor;
          }
        }
        expect(scanned.map(toHex)).toEqual(keys.map(({ encoded }) => encoded).sort(compareBytes).map(toHex));
      });

      check('a scan keeps to its bounds: after one key, before another, both exclusive, inside the partition or beyond it', async () => {
        const keys = ['a', 'b', 'c', 'd'].map((sk) => key('bounds', sk));
        for (const item of keys) await store(table, item, written(dot(A, 1), 'v'));
        const [a, b, c, d] = keys.map(({ encoded }) => encoded) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
        const partition = partitionOf(a);
        const found = async (bounds: { after?: Uint8Array; before?: Uint8Array }): Promise<string[]> =>
          (await table.scan({ group: GROUP, partition, limit: 100, bytesMax: 1 << 20, ...bounds })).items.map(({ key: { sk } }) => Buffer.from(sk).toString());
        expect(await found({ after: a, before: d })).toEqual(['b', 'c']);
        expect(await found({ after: b })).toEqual(['c', 'd']);
        expect(await found({ before: c })).toEqual(['a', 'b']);
        expect(await found({ after: d })).toEqual([]);
        expect(await found({ before: a })).toEqual([]);
        expect(await found({ after: c, before: b })).toEqual([]);
        const head = a.subarray(0, 5);
        expect(await found({ before: afterPrefix(head) as Uint8Array })).toEqual(['a', 'b', 'c', 'd']);
        expect(await found({ before: head })).toEqual([]);
      });
    });

    describe('removal', () => {
      const remove = (item: ItemKey): Promise<boolean> => table.update<boolean>(item, { decide: (current) => (current === undefined ? { result: false } : { result: true, remove: true }) });

      check('a removed record is as if it had never been, and its key begins again with revision 1', async () => {
        await store(table, key('a'), written(dot(A, 1), 'v'));
        await store(table, key('a'), deleted(dot(A, 2), [dot(A, 1)]));
        expect(await remove(key('a'))).toBe(true);
        expect(await table.get(key('a'))).toBeUndefined();
        expect((await table.scan({ group: GROUP, partition: partitionOf(key('a').encoded), limit: 10, bytesMax: 1 << 20 })).items).toEqual([]);
        expect(await remove(key('a'))).toBe(false);
        await store(table, key('a'), written(dot(B, 9), 'again'));
        expect(texts((await table.get(key('a')))?.state)).toEqual(['again']);
        expect((await table.get(key('a')))?.revision).toBe(1);
      });

      check('a record with several values that expired leaves the index of siblings too', async () => {
        const both: State = { ...several([dot(A, 1), 'x'], [dot(B, 2), 'y']), values: [dot(A, 1), dot(B, 2)].map((at) => ({ dot: at, value: value('x', 1_000) })) };
        await store(table, key('a'), both);
        await table.digests?.sweep(2_000);
        expect(await remove(key('a'))).toBe(true);
        expect((await table.siblings('demo', 10)).items).toEqual([]);
        expect(rootOf()).toBe('0000000000000000');
      });

      check('a removed record that lives is in no digest and no index any more', async () => {
        await store(table, key('a'), several([dot(A, 1), 'x'], [dot(B, 2), 'y']));
        expect(await remove(key('a'))).toBe(true);
        expect((await table.siblings('demo', 10)).items).toEqual([]);
        expect(rootOf()).toBe('0000000000000000');
      });

      check('removals and writes of one item at once are decided one after the other', async () => {
        const outcomes: string[] = [];
        await Promise.all(
          Array.from({ length: 24 }, (_, at) =>
            table.update(key('a'), {
              decide: (current) => {
                outcomes[at] = current === undefined ? 'absent' : texts(current.state)[0] === undefined ? 'dead' : 'alive';
                if (outcomes[at] === 'dead') return { result: undefined, remove: true };
                const next = dot(A, Number(current?.state.context.get(A) ?? 0n) + at + 1);
                return { result: undefined, commit: { state: outcomes[at] === 'alive' ? deleted(next) : written(next, 'v'), kind: 'local' } };
              },
            }),
          ),
        );
        const count = (what: string): number => outcomes.filter((outcome) => outcome === what).length;
        expect([count('absent'), count('alive'), count('dead')]).toEqual([8, 8, 8]);
        expect(await table.get(key('a'))).toBeUndefined();
      });

      check('tombstones are found in physical order, page by page: what holds no value, or only such as expire', async () => {
        const pks = Array.from({ length: 6 }, (_, at) => `t${at}`);
        for (const [at, sk] of pks.entries()) {
          const item = key('one', sk);
          await store(table, item, at % 3 === 0 ? written(dot(A, at + 1), 'v') : at % 3 === 1 ? written(dot(A, at + 1), 'v', [], 5_000) : deleted(dot(A, at + 1)));
        }
        const found: string[] = [];
        let cursor: Uint8Array | undefined;
        for (let page = 0; page < 20; page++) {
          const answer = await table.tombstones({ group: GROUP, partition: partitionOf(key('one').encoded), limit: 2, bytesMax: 1 << 20, ...(cursor === undefined ? {} : { after: cursor }) });
          expect(answer.items.length).toBeLessThanOrEqual(2);
          found.push(...answer.items.map((item) => Buffer.from(item.key.sk).toString()));
          cursor = answer.cursor;
          if (cursor === undefined) break;
        }
        expect(found).toEqual(['t1', 't2', 't4', 't5']);
        await store(table, key('one', 't2'), written(dot(A, 20), 'alive again', [dot(A, 3)]));
        expect(await remove(key('one', 't4'))).toBe(true);
        const left = await table.tombstones({ group: GROUP, partition: partitionOf(key('one').encoded), limit: 100, bytesMax: 1 << 20 });
        expect(left.items.map((item) => Buffer.from(item.key.sk).toString())).toEqual(['t1', 't5']);
      });
    });

    describe('siblings', () => {
      check('items with several values are listed while they have them', async () => {
        await store(table, key('one'), several([dot(A, 1), 'x']));
        await store(table, key('two'), several([dot(A, 1), 'x'], [dot(B, 2), 'y']));
        await store(table, key('three'), several([dot(A, 1), 'x'], [dot(B, 2), 'y']));
        await store(table, key('elsewhere', '', 'other'), several([dot(A, 1), 'x'], [dot(B, 2), 'y']));
        await store(table, key('three'), written(dot(C, 3), 'merged', [dot(A, 1), dot(B, 2)]));
        expect((await table.siblings('demo', 10)).items.map(({ pk }) => Buffer.from(pk).toString())).toEqual(['two']);
      });

      check('an item that holds a value beside a delete is in the list, until one of them is left', async () => {
        const both = { ...written(dot(A, 1), 'x', [dot(B, 2)]), deleted: dot(B, 2) };
        await store(table, key('both'), both);
        expect((await table.siblings('demo', 10)).items.map(({ pk }) => Buffer.from(pk).toString())).toEqual(['both']);
        await store(table, key('both'), deleted(dot(B, 2), [dot(A, 1)]));
        expect((await table.siblings('demo', 10)).items).toEqual([]);
      });

      check('the list has pages', async () => {
        for (const pk of ['a', 'b', 'c']) await store(table, key(pk), several([dot(A, 1), 'x'], [dot(B, 2), 'y']));
        const first = await table.siblings('demo', 2);
        const second = await table.siblings('demo', 2, first.cursor);
        expect([...first.items, ...second.items]).toHaveLength(3);
        expect(second.cursor).toBeUndefined();
      });
    });

    describe('ledger', () => {
      const lose = (item: ItemKey, losses: ReturnType<typeof lossRow>[], state?: State): Promise<void> =>
        table.update(item, { decide: () => ({ result: undefined, losses, ...(state === undefined ? {} : { commit: { state, kind: 'applied' } }) }) });

      check('a loser that is told of again while its row is being written -> answered when the row is there', async () => {
        const row = lossRow(key('a'), dot(A, 1), 'x');
        const first = lose(key('a'), [row]);
        await lose(key('a'), [row]);
        expect((await table.loss(row.id))?.id).toBe(row.id);
        await first;
      });

      check('a loser that is replaced and one that changes nothing are both in the ledger, whole', async () => {
        await lose(key('a'), [lossRow(key('a'), dot(A, 1), 'replaced')], written(dot(B, 2), 'winner'));
        await lose(key('a'), [lossRow(key('a'), dot(C, 1), 'too late', { atMs: 2_000 })]);
        const rows = (await table.losses({ collection: 'demo', limit: 10 })).items;
        expect(rows.map((row) => Buffer.from(row.value?.bytes ?? []).toString())).toEqual(['replaced', 'too late']);
        expect(rows[0]).toMatchObject({ rule: 'lww', dot: dot(A, 1), winner: dot(C, 999), atMs: 1_000, region: 'eu-central-1' });
        expect(rows[0]?.context).toEqual(vector(dot(A, 1)));
        expect(toHex(rows[0]?.key.encoded ?? bytes(''))).toBe(toHex(key('a').encoded));
      });

      check('a row is written once, also when two arrive together', async () => {
        const row = lossRow(key('a'), dot(A, 1), 'x');
        await Promise.all([lose(key('a'), [row]), lose(key('a'), [{ ...row, atMs: 5_000 }])]);
        await lose(key('a'), [{ ...row, atMs: 9_000 }]);
        expect((await table.losses({ collection: 'demo', limit: 10 })).items).toHaveLength(1);
      });

      check('two late operations under one dot, which nothing gave to either of them, have a row each, and both are listed', async () => {
        const late = (text: string): ReturnType<typeof lossRow> => ({ ...lossRow(key('a'), dot(A, 1), text, { context: vector(), rule: 'late-operation' }), id: `${text}`.padEnd(24, '0') });
        await Promise.all([lose(key('a'), [late('0a')]), lose(key('a'), [late('0b')])]);
        await lose(key('a'), [late('0a')]);
        expect((await table.lossesOf(key('a'))).map((row) => Buffer.from(row.value?.bytes ?? []).toString()).sort()).toEqual(['0a', '0b']);
        expect((await table.losses({ collection: 'demo', limit: 10 })).items).toHaveLength(2);
      });

      check('a loser that a later loser of the item covers gets no row; one of another item does', async () => {
        await lose(key('a'), [lossRow(key('a'), dot(A, 5), 'later', { context: vector(dot(A, 5), dot(B, 3)) })]);
        await lose(key('a'), [lossRow(key('a'), dot(A, 4), 'covered'), lossRow(key('a'), dot(B, 3), 'covered too'), lossRow(key('a'), dot(B, 4), 'not covered')]);
        await lose(key('b'), [lossRow(key('b'), dot(A, 4), 'another item')]);
        expect((await table.lossesOf(key('a'))).map((row) => Buffer.from(row.value?.bytes ?? []).toString()).sort()).toEqual(['later', 'not covered']);
        expect(await table.lossesOf(key('b'))).toHaveLength(1);
      });

      check('all losers of one decision have rows, however many', async () => {
        const losses = Array.from({ length: 70 }, (_, i) => lossRow(key('a'), dot(A, i + 1), `v${i}`, { context: vector(dot(B, i + 1)) }));
        await lose(key('a'), losses, written(dot(C, 100), 'winner'));
        expect(await table.lossesOf(key('a'))).toHaveLength(70);
        expect(texts((await table.get(key('a')))?.state)).toEqual(['winner']);
      });

      check('a delete that lost has a row without a value', async () => {
        const { value: _value, ...row } = lossRow(key('a'), dot(A, 1), '');
        await lose(key('a'), [row]);
        expect((await table.loss(row.id))?.value).toBeUndefined();
        expect((await table.loss(row.id))?.dot).toEqual(dot(A, 1));
        expect(await table.loss('nothing')).toBeUndefined();
      });

      check('rows are listed by collection, in the order of their writing, since a time, in pages', async () => {
        for (let i = 0; i < 5; i++) await lose(key(`k${i}`), [lossRow(key(`k${i}`), dot(A, 1), `v${i}`, { atMs: 1_000 + i })]);
        await lose(key('k', '', 'other'), [lossRow(key('k', '', 'other'), dot(A, 1), 'other')]);
        const first = await table.losses({ collection: 'demo', sinceMs: 1_001, limit: 3 });
        expect(first.items.map(({ atMs }) => atMs)).toEqual([1_001, 1_002, 1_003]);
        const second = await table.losses({ collection: 'demo', sinceMs: 1_001, limit: 3, ...(first.cursor === undefined ? {} : { after: first.cursor }) });
        expect(second.items.map(({ atMs }) => atMs)).toEqual([1_004]);
        expect(second.cursor).toBeUndefined();
      });
    });

    describe('documents', () => {
      check('a document is replaced only by who knows its revision', async () => {
        expect(await table.document('d')).toBeUndefined();
        expect(await table.putDocument('d', bytes('1'), undefined)).toBe(true);
        expect(await table.putDocument('d', bytes('lost'), undefined)).toBe(false);
        const first = await table.document('d');
        expect(await table.putDocument('d', bytes('2'), first?.revision)).toBe(true);
        expect(await table.putDocument('d', bytes('lost'), first?.revision)).toBe(false);
        expect(Buffer.from((await table.document('d'))?.bytes ?? []).toString()).toBe('2');
      });

      check('a change that loses to one under way is told when that one can be read: trying again at once is no endless loop', async () => {
        const { table } = under;
        const contend = async (text: string): Promise<unknown> => (await table.putDocument('under way', bytes(text), undefined)) || (await table.document('under way'))?.revision;
        expect((await Promise.all([contend('first'), contend('second')])).map(String).sort()).toEqual(['1', 'true']);
      });

      check('of concurrent contenders one wins', async () => {
        const wins = await Promise.all(Array.from({ length: 16 }, (_, i) => table.putDocument('lease', bytes(String(i)), undefined)));
        expect(wins.filter(Boolean)).toHaveLength(1);
        expect(Buffer.from((await table.document('lease'))?.bytes ?? []).toString()).toBe(String(wins.indexOf(true)));
      });
    });

    describe('change log', () => {
      const collect = (): LogEntry[] => {
        const entries: LogEntry[] = [];
        under.changes?.subscribe((batch) => entries.push(...batch));
        return entries;
      };

      check('log: every commit appears with its kind, before its writer is answered', async () => {
        const entries = collect();
        await store(table, key('a'), written(dot(A, 1), 'v1'), 'local');
        expect(entries.map(({ kind }) => kind)).toEqual(['local']);
        await store(table, key('a'), written(dot(B, 2), 'v2'), 'applied');
        await table.update(key('a'), { decide: () => ({ result: undefined, losses: [lossRow(key('a'), dot(C, 1), 'x')] }) });
        expect(entries.map(({ kind }) => kind)).toEqual(['local', 'applied']);
        expect(entries[0]?.position).toBeLessThan(entries[1]?.position ?? 0);
      });

      check('log: rows of the ledger that are to be sent appear, whole, under their ids; others, and those that are there already, do not', async () => {
        const entries = collect();
        const sent = lossRow(key('a'), dot(A, 1), 'sent', { isSent: true });
        const lose = (losses: ReturnType<typeof lossRow>[], state?: State): Promise<void> => table.update(key('a'), { decide: () => ({ result: undefined, losses, ...(state === undefined ? {} : { commit: { state, kind: 'applied' } }) }) });
        await lose([sent, lossRow(key('a'), dot(B, 1), 'found everywhere')], written(dot(B, 2), 'winner'));
        await lose([sent]);
        await lose([lossRow(key('a'), dot(A, 3), 'late', { isSent: true })]);
        const read = (await (under.changes as ChangeLog).read(0, 100)).entries;
        for (const seen of [entries, read]) {
          expect(seen.map(({ kind, loss }) => (loss === undefined ? kind : `${kind} row`)).sort()).toEqual(['applied', 'local row', 'local row']);
          const rows = seen.flatMap(({ loss, image, key: { encoded } }) => (loss === undefined ? [] : [{ loss, row: decodeLossRow(image ?? bytes('')), encoded }]));
          expect(rows.map(({ row: { value: lost } }) => Buffer.from(lost?.bytes ?? []).toString())).toEqual(['sent', 'late']);
          for (const { loss, row, encoded } of rows) expect([row.id, toHex(encoded)]).toEqual([loss, toHex(key('a').encoded)]);
        }
      });

      check('log: reading from a position gives what came after it, also after trimming behind', async () => {
        for (let i = 1; i <= 30; i++) await store(table, key(`k${i % 7}`), written(dot(A, i), `v${i}`));
        const log = under.changes as ChangeLog;
        const first = await log.read(0, 10);
        expect(first.more).toBe(true);
        const position = first.entries.at(-1)?.position ?? 0;
        log.trim(position);
        const rest = await log.read(position, 1_000);
        expect(first.entries.length + rest.entries.length).toBe(30);
        expect(rest.more).toBe(false);
        expect(rest.entries.every(({ position: at }) => at > position)).toBe(true);
      });

      check('log: entries of one item keep the order of their commits', async () => {
        const entries = collect();
        await Promise.all(
          Array.from({ length: 20 }, () =>
            table.update(key('hot'), {
              decide: (current) => {
                const next = (current?.revision ?? 0) + 1;
                return { result: undefined, commit: { state: written(dot(A, next), String(next)), kind: 'local' } };
              },
            }),
          ),
        );
        expect(entries.map(({ position }) => position)).toEqual([...entries.map(({ position }) => position)].sort((a, b) => a - b));
        expect(entries).toHaveLength(20);
      });
    });

    describe('digests', () => {
      check('digest: order of writes does not matter, values do, tombstones do not', async () => {
        const empty = rootOf();
        await store(table, key('a'), written(dot(A, 1), 'x'));
        await store(table, key('b'), written(dot(A, 2), 'y'));
        const both = rootOf();
        await store(table, key('a'), written(dot(A, 3), 'z'));
        expect(rootOf()).not.toBe(both);
        await store(table, key('a'), written(dot(A, 1), 'x'));
        expect(rootOf()).toBe(both);
        await store(table, key('a'), deleted(dot(A, 4)));
        await store(table, key('b'), deleted(dot(A, 5)));
        expect(rootOf()).toBe(empty);
        expect(table.digests?.items('demo')).toBe(0);
      });

      check('digest: leaves add up to branches, branches to partitions, partitions to the root; lists add up to leaves', async () => {
        await Promise.all(Array.from({ length: 40 }, (_, i) => store(table, key(`k${i}`), written(dot(A, i + 1), `v${i}`))));
        const digests = table.digests as NonNullable<Table['digests']>;
        const item = key('k7');
        const partition = partitionOf(item.encoded);
        const leaf = leafOf(item.encoded);
        const add = (sums: readonly { high: number; low: number }[]): string => formatSum(sums.reduce((a, b) => ({ high: (a.high ^ b.high) >>> 0, low: (a.low ^ b.low) >>> 0 }), { high: 0, low: 0 }));
        expect(add(ALL_PARTITIONS.map((each) => digests.partition(GROUP, each)))).toBe(rootOf());
        expect(add(digests.branches(GROUP, partition))).toBe(formatSum(digests.partition(GROUP, partition)));
        const branch = Math.floor(leaf / LEAVES_PER_BRANCH);
        expect(add(digests.leaves(GROUP, partition, branch))).toBe(formatSum(digests.branches(GROUP, partition)[branch] ?? { high: 0, low: 0 }));
        const at = 2 * leaf;
        expect(formatSum({ high: digests.leafWords(GROUP, partition)?.[at] ?? 0, low: digests.leafWords(GROUP, partition)?.[at + 1] ?? 0 })).toBe(formatSum(digests.leaves(GROUP, partition, branch)[leaf % LEAVES_PER_BRANCH] ?? { high: 0, low: 0 }));
        const list = await digests.fingerprints(GROUP, partition, leaf);
        expect(add(list.map(({ sum }) => sum))).toBe(formatSum(digests.leaves(GROUP, partition, branch)[leaf % LEAVES_PER_BRANCH] ?? { high: 0, low: 0 }));
        expect(list.map(({ key: each }) => toHex(each))).toContain(toHex(item.encoded));
        expect(digests.items('demo')).toBe(40);
      });

      check('digest: items of the first and the last leaf of a partition are in theirs, and nobody else is', async () => {
        const all = Array.from({ length: 6_000 }, (_, at) => key(`p${at}`));
        const edges = all.filter(({ encoded }) => leafOf(encoded) === LEAVES - 1 || leafOf(encoded) === 0).slice(0, 8);
        expect(new Set(edges.map(({ encoded }) => leafOf(encoded))).size).toBe(2);
        const held = [...edges, ...all.filter((each) => edges.some(({ encoded }) => partitionOf(encoded) === partitionOf(each.encoded))).slice(0, 40)];
        for (const each of held) await store(table, each, written(dot(A, 1), 'v'));
        for (const { encoded } of edges) {
          const own = [...new Set(held.filter((each) => partitionOf(each.encoded) === partitionOf(encoded) && leafOf(each.encoded) === leafOf(encoded)).map((each) => toHex(each.encoded)))].sort();
          const list = (await table.digests?.fingerprints(GROUP, partitionOf(encoded), leafOf(encoded))) ?? [];
          expect(list.map((each) => toHex(each.key))).toEqual(own);
        }
      });

      check('digest: an expired value leaves when the sweep passes its time, and not before', async () => {
        const empty = rootOf();
        await store(table, key('a'), written(dot(A, 1), 'x', [], 5_000));
        const digests = table.digests as NonNullable<Table['digests']>;
        expect(await digests.sweep(4_999)).toBe(4_999);
        expect(rootOf()).not.toBe(empty);
        expect(await digests.sweep(5_000)).toBe(5_000);
        expect(rootOf()).toBe(empty);
        expect(await digests.sweep(1)).toBe(5_000);
        await store(table, key('b'), written(dot(A, 2), 'late', [], 4_000));
        expect(rootOf()).toBe(empty);
        expect(texts((await table.get(key('a')))?.state)).toEqual(['x']);
      });

      check('digest: a sweep takes out what was being written when it moved the line, and answers no line that a later sweep is still at', async () => {
        const empty = rootOf();
        const digests = table.digests as NonNullable<Table['digests']>;
        const writing = store(table, key('a'), written(dot(A, 1), 'x', [], 5_000));
        const sweeping = digests.sweep(5_000);
        const later = digests.sweep(6_000);
        expect(await sweeping).toBe(5_000);
        expect(rootOf()).toBe(empty);
        expect(await later).toBe(6_000);
        await writing;
        expect(rootOf()).toBe(empty);
      });

      check('digest: equal to one computed from the records, after any history', async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(fc.tuple(fc.nat(4), fc.nat(3), fc.constantFrom('put', 'delete', 'siblings', 'expiring')), { maxLength: 25 }), async (steps) => {
            for (const [at, [pk, actor, what]] of steps.entries()) {
              const by = dot([A, B, C, A][actor] as typeof A, at + 1);
              const state = what === 'put' ? written(by, `v${at}`) : what === 'delete' ? deleted(by) : what === 'siblings' ? several([dot(C, at), 'a'], [by, 'b']) : written(by, 'e', [], 10_000 + at);
              await store(table, key(`p${pk}`), state);
            }
            const digests = table.digests as NonNullable<Table['digests']>;
            for (let pk = 0; pk <= 4; pk++) {
              const { encoded } = key(`p${pk}`);
              const list = await digests.fingerprints(GROUP, partitionOf(encoded), leafOf(encoded));
              const leaf = digests.leaves(GROUP, partitionOf(encoded), Math.floor(leafOf(encoded) / LEAVES_PER_BRANCH))[leafOf(encoded) % LEAVES_PER_BRANCH];
              const sum = list.reduce((a, { sum: b }) => ({ high: (a.high ^ b.high) >>> 0, low: (a.low ^ b.low) >>> 0 }), { high: 0, low: 0 });
              expect(formatSum(leaf ?? { high: 0, low: 0 })).toBe(formatSum(sum));
              expect(list.every((each) => !isZeroSum(each.sum))).toBe(true);
            }
          }),
          { numRuns: 15 },
        );
      });
    });

    describe('durability', () => {
      check('reopen: records, ledger, documents, digests, counts and the log are there again', async () => {
        await store(table, key('a'), written(dot(A, 1), 'x'));
        await store(table, key('b'), several([dot(A, 1), 'x'], [dot(B, 2), 'y']));
        await table.update(key('a'), { decide: () => ({ result: undefined, losses: [lossRow(key('a'), dot(C, 1), 'lost')] }) });
        await table.putDocument('d', bytes('kept'), undefined);
        const root = rootOf();
        under = (await under.reopen?.()) ?? under;
        table = under.table;
        expect(texts((await table.get(key('a')))?.state)).toEqual(['x']);
        expect((await table.siblings('demo', 10)).items).toHaveLength(1);
        expect(await table.lossesOf(key('a'))).toHaveLength(1);
        expect(Buffer.from((await table.document('d'))?.bytes ?? []).toString()).toBe('kept');
        expect(rootOf()).toBe(root);
        expect(table.digests?.items('demo')).toBe(2);
        expect((await under.changes?.read(0, 10))?.entries).toHaveLength(2);
        expect(table.largestStamps?.()).toEqual(vector(dot(A, 1), dot(B, 2), dot(C, 1)));
      });

      check('reopen: the clock resumes above a stamp that only the ledger holds', async () => {
        await store(table, key('a'), written(dot(A, 1), 'x'));
        await table.update(key('a'), { decide: () => ({ result: undefined, losses: [lossRow(key('a'), dot(A, 7), 'late')] }) });
        under = (await under.reopen?.()) ?? under;
        expect(under.table.largestStamps?.()).toEqual(vector(dot(A, 7)));
        expect((await under.changes?.read(0, 10))?.entries).toHaveLength(1);
        expect(await under.table.lossesOf(key('a'))).toHaveLength(1);
      });
    });
  });
}
