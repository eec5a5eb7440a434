// What stands in memory of the records of a store: never anything but the durable record, and what a decision may take from it.

import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { KeptRecords } from '../../src/adapters/level/kept-records.ts';
import type { StoredRecord } from '../../src/adapters/level/layout.ts';
import { utf8, utf8Text } from '../../src/core/bytes.ts';
import { EMPTY_STATE, type Record } from '../../src/core/version/record.ts';
import type { Decision } from '../../src/ports/table.ts';
import { A, B, dot, key, written } from '../contract/make.ts';
import { closeAll, openLevel, put, type Opened } from '../contract/opened-level.ts';

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

const recordOf = (revision: number): StoredRecord => ({ state: written(dot(A, revision), `v${revision}`), revision, kind: 'local', element: { high: revision, low: revision } });

describe('records in memory', () => {
  it('are the durable ones, whole or without bytes, whatever was read, written and removed, and however much there is', () => {
    const step = fc.record({ name: fc.integer({ min: 0, max: 12 }).map(String), act: fc.constantFrom('read', 'read', 'write', 'write', 'write', 'remove') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const kept = new KeptRecords({ wholeBytesMax: 9_000, leanMax: 3 });
        const durable = new Map<string, StoredRecord>();
        for (const [at, { name, act }] of steps.entries()) {
          const before = durable.get(name);
          if (act === 'remove') {
            durable.delete(name);
            kept.delete(name);
          } else if (act === 'write') {
            durable.set(name, recordOf(at));
            kept.wasWritten(name, recordOf(at), 100);
          } else if (before !== undefined && kept.whole(name) === undefined) kept.wasRead(name, before, 100);
          for (const [each, record] of [...durable, [name, durable.get(name)] as const]) {
            const [whole, lean] = [kept.whole(each), kept.lean(each)];
            if (whole !== undefined) expect(whole).toEqual(record);
            expect(whole === undefined || lean === undefined).toBe(true);
            if (lean !== undefined) expect([lean.revision, lean.element, lean.kind, lean.state.context, lean.state.values.map((value) => value.dot)]).toEqual([record?.revision, record?.element, record?.kind, record?.state.context, record?.state.values.map((value) => value.dot)]);
          }
        }
      }),
    );
  });

  it('are without bytes when they were written once, and when they were not used for a while', () => {
    const kept = new KeptRecords({ wholeBytesMax: 9_000, leanMax: 100 });
    kept.wasWritten('a', recordOf(1), 100);
    expect([kept.whole('a'), kept.lean('a')?.revision]).toEqual([undefined, 1]);
    expect(() => kept.lean('a')?.state.values[0]?.value.bytes).toThrow('without the bytes');
    const copy = (): object => ({ ...kept.lean('a')?.state.values[0]?.value });
    expect(copy).toThrow('without the bytes');
    kept.wasWritten('a', recordOf(2), 100);
    expect([kept.whole('a')?.revision, kept.lean('a')]).toEqual([2, undefined]);
    for (let at = 0; at < 50; at++) kept.wasRead(`other ${at}`, recordOf(at), 100);
    expect([kept.whole('a'), kept.lean('a')?.revision]).toEqual([undefined, 2]);
    kept.clear();
    expect([kept.lean('a'), kept.lean('other 1')]).toEqual([undefined, undefined]);
  });

  it('keep what expires, tombstones and operations', () => {
    const kept = new KeptRecords();
    const value = { bytes: utf8('x'), contentType: 'text/plain', hash: new Uint8Array(8).fill(7), expiresMs: 1_234 };
    const state = { ...EMPTY_STATE, values: [{ dot: dot(A, 1), value }], context: new Map([[A, dot(A, 1).stamp]]), operations: { entries: [{ id: '00000000000000aa' as never, dot: dot(A, 1) }], evicted: dot(A, 1).stamp } };
    kept.wasWritten('a', { state, revision: 3, kind: 'applied', element: { high: 1, low: 2 } }, 100);
    const lean = kept.lean('a') as StoredRecord;
    expect(lean.state).toMatchObject({ operations: state.operations, values: [{ dot: dot(A, 1), value: { contentType: 'text/plain', expiresMs: 1_234 } }] });
    expect(new Uint8Array(lean.state.values[0]?.value.hash ?? [])).toEqual(value.hash);
    kept.wasWritten('b', { ...lean, state: { ...EMPTY_STATE, deleted: dot(A, 2), context: new Map([[A, dot(A, 2).stamp]]) } }, 100);
    expect(kept.lean('b')?.state).toMatchObject({ values: [], deleted: dot(A, 2) });
  });
});

describe('a decision that can do without bytes', () => {
  /** An item that was written once, so that it stands in memory without its bytes; and how often it is read from the disk. */
  async function once(): Promise<{ readonly opened: Opened; readonly reads: () => number }> {
    const opened = await openLevel({ durability: 'sync' });
    await put(opened.table, 'a', 'first');
    const read = vi.spyOn(opened.store, 'getSync');
    return { opened, reads: () => read.mock.calls.length };
  }

  const bytesOf = (current: Record | undefined): string | undefined => {
    const bytes = current?.state.values[0]?.value.bytes;
    return bytes && utf8Text(bytes);
  };

  const over = (current: Record | undefined): Decision<string> => ({ result: 'over', commit: { state: { ...written(dot(A, 1_000), 'second'), context: new Map([...(current?.state.context ?? []), [A, dot(A, 1_000).stamp]]) }, kind: 'local' } });

  it('which replaces the value -> reads nothing', async () => {
    const { opened: { table }, reads } = await once();
    const seen: (number | undefined)[] = [];
    const decide = (current: Record | undefined): Decision<string> => (seen.push(current?.revision), over(current));
    expect(await table.update(key('a'), { canDoWithoutBytes: true, decide })).toBe('over');
    expect([seen, reads()]).toEqual([[1], 0]);
    expect(await table.get(key('a'))).toMatchObject({ revision: 2 });
    expect(bytesOf(await table.get(key('a')))).toBe('second');
  });

  it.each<[string, (current: Record | undefined) => Decision<unknown>]>([
    ['which reads the value', (current) => ({ ...over(current), result: bytesOf(current) })],
    ['which commits nothing', (current) => ({ result: current?.state })],
    ['which keeps the value', (current) => ({ result: 'kept', commit: { state: { ...EMPTY_STATE, values: [...(current?.state.values ?? []), ...written(dot(B, 5), 'beside').values], context: new Map([...(current?.state.context ?? []), [B, dot(B, 5).stamp]]) }, kind: 'local' } })],
    ['which copies the value', (current) => ({ result: 'kept', commit: { state: { ...EMPTY_STATE, ...over(current).commit?.state, values: (current?.state.values ?? []).map(({ value }) => ({ dot: dot(A, 1_000), value: { ...value } })) }, kind: 'local' } })],
    ['which loses the value', (current) => ({ ...over(current), losses: [{ id: 'x', key: key('a'), rule: 'lww', dot: dot(A, 1), context: new Map(), atMs: 1, region: 'eu-central-1' as never, value: current?.state.values[0]?.value as never }] })],
    ['which removes the item', () => ({ result: 'removed', remove: true })],
  ])('%s -> is made again on the whole record', async (_, decide) => {
    const { opened: { table }, reads } = await once();
    const seen: (Record | undefined)[] = [];
    await table.update(key('a'), { canDoWithoutBytes: true, decide: (current) => (seen.push(current), decide(current)) });
    expect([seen.length, bytesOf(seen.at(-1))]).toEqual([2, 'first']);
    expect(reads()).toBeGreaterThan(0);
  });

  it('that fails for another reason -> fails', async () => {
    const { opened: { table } } = await once();
    await expect(table.update(key('a'), { canDoWithoutBytes: true, decide: () => { throw new RangeError('of its own'); } })).rejects.toThrow('of its own');
  });

  it('one that did not say so -> has the bytes', async () => {
    const { opened: { table } } = await once();
    expect(await table.update(key('a'), { decide: (current) => ({ result: bytesOf(current) }) })).toBe('first');
  });
});
