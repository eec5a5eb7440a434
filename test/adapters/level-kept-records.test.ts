// What stands in memory of the records of a store: never anything but the durable record, and what a decision may take from it.

import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { KeptRecords } from '../../src/adapters/level/kept-records.ts';
import type { StoredRecord } from '../../src/adapters/level/layout.ts';
import { LeanRecords } from '../../src/adapters/level/lean-records.ts';
import { utf8, utf8Text } from '../../src/core/bytes.ts';
import { formatDot } from '../../src/core/version/dot.ts';
import { NO_OPERATIONS } from '../../src/core/version/operations.ts';
import { EMPTY_STATE, type Record, type State, type Value } from '../../src/core/version/record.ts';
import type { Decision } from '../../src/ports/table.ts';
import { A, B, dot, key, written } from '../contract/make.ts';
import { closeAll, openLevel, put, type Opened } from '../contract/opened-level.ts';

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

const IMAGE = new Uint8Array(100);

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
            kept.wasWritten(name, recordOf(at), IMAGE);
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

  it('are without bytes when they were written, and when they were not read for a while', () => {
    const kept = new KeptRecords({ wholeBytesMax: 9_000, leanMax: 100 });
    for (const revision of [1, 2]) {
      kept.wasWritten('a', recordOf(revision), IMAGE);
      expect([kept.whole('a'), kept.lean('a')?.revision]).toEqual([undefined, revision]);
    }
    expect(() => kept.lean('a')?.state.values[0]?.value.bytes.length).toThrow('without the bytes');
    const copy = { ...kept.lean('a')?.state.values[0]?.value };
    expect(() => copy.bytes?.[0]).toThrow('without the bytes');
    kept.wasRead('a', recordOf(2), 100);
    kept.wasWritten('a', recordOf(3), IMAGE);
    expect([kept.whole('a')?.revision, kept.lean('a')]).toEqual([3, undefined]);
    for (let at = 0; at < 50; at++) kept.wasRead(`other ${at}`, recordOf(at), 100);
    expect([kept.whole('a'), kept.lean('a')?.revision]).toEqual([undefined, 3]);
    kept.clear();
    expect([kept.lean('a'), kept.lean('other 1')]).toEqual([undefined, undefined]);
  });

  it('without bytes are of two generations at most', () => {
    const kept = new KeptRecords({ wholeBytesMax: 9_000, leanMax: 3 });
    const names = Array.from({ length: 20 }, (_, at) => String(at));
    for (const name of names) kept.wasWritten(name, recordOf(1), IMAGE);
    expect(names.filter((name) => kept.lean(name) !== undefined)).toEqual(['15', '16', '17', '18', '19']);
  });

  it('that are whole share no bytes with what was written', () => {
    const kept = new KeptRecords();
    kept.wasRead('a', recordOf(1), 100);
    const written = recordOf(2);
    kept.wasWritten('a', written, IMAGE);
    written.state.values[0]?.value.bytes.fill(0);
    written.state.values[0]?.value.hash.fill(0);
    expect(kept.whole('a')).toEqual(recordOf(2));
  });
});

describe('records without bytes', () => {
  const ms = 1_700_000_000_000;
  const anyHash = fc.uint8Array({ minLength: 8, maxLength: 8 });
  const anyValue = fc.record({ bytes: fc.uint8Array({ maxLength: 30 }), contentType: fc.constantFrom('text/plain', 'application/json', 'x/y'), hash: anyHash, expiresMs: fc.option(fc.integer({ min: 0, max: ms }), { nil: undefined }) });
  const anyDot = fc.tuple(fc.constantFrom(A, B), fc.integer({ min: 1, max: 90 })).map(([actor, at]) => dot(actor, at));
  const valueOf = ({ expiresMs, ...rest }: { readonly expiresMs: number | undefined } & Omit<Value, 'expiresMs'>): Value => (expiresMs === undefined ? rest : { ...rest, expiresMs });
  /** Often of the plain form, and else a little off it. */
  const anyState: fc.Arbitrary<State> = fc
    .record({ dots: fc.uniqueArray(anyDot, { maxLength: 2, selector: formatDot }), values: fc.tuple(anyValue, anyValue), more: fc.constantFrom('nothing', 'nothing', 'nothing', 'ahead', 'beside', 'operation', 'deleted', 'removed'), other: anyDot })
    .map(({ dots, values, more, other }) => {
      const context = new Map(dots.map(({ actor, stamp }) => [actor, stamp]));
      if (more === 'ahead' && dots[0] !== undefined) context.set(dots[0].actor, dot(A, 99).stamp);
      if (more === 'beside') context.set(other.actor, other.stamp);
      return {
        values: dots.map((each, at) => ({ dot: each, value: valueOf(values[at] as never) })),
        context,
        operations: more === 'operation' ? { entries: [{ id: '00000000000000aa' as never, dot: other }], evicted: dot(A, 1).stamp } : NO_OPERATIONS,
        ...(more === 'deleted' ? { deleted: other } : {}),
        ...(more === 'removed' ? { removed: [other] } : {}),
      };
    });
  const anyRecord: fc.Arbitrary<StoredRecord> = fc.record({ state: anyState, revision: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant(2 ** 32 + 1)), kind: fc.constantFrom('local', 'applied'), element: fc.record({ high: fc.nat(), low: fc.constant(0xffff_ffff) }) });
  const leanOf = ({ state, ...rest }: StoredRecord): unknown => ({ ...rest, state: { ...state, values: state.values.map(({ dot: its, value: { bytes: _, ...value } }) => ({ dot: its, value: { ...value, hash: [...value.hash] } })) } });

  it('say all else that was stored, whatever form it has, over any other form', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), anyRecord), { maxLength: 20 }), (written) => {
        const lean = new LeanRecords(60);
        const newest = new Map<string, StoredRecord>();
        for (const [name, record] of written) {
          lean.set(name, record);
          newest.set(name, record);
          for (const [each, its] of newest) expect(leanOf(lean.get(each) as StoredRecord)).toEqual(leanOf(its));
        }
      }),
    );
  });

  it('are no more than they may be', () => {
    const lean = new LeanRecords(3);
    const tombstone: StoredRecord = { ...recordOf(1), state: { ...EMPTY_STATE, deleted: dot(A, 1), context: new Map([[A, dot(A, 1).stamp]]) } };
    for (const [at, record] of [recordOf(1), tombstone, recordOf(2), recordOf(3), tombstone].entries()) {
      expect(lean.isFull).toBe(at >= 3);
      lean.set(['a', 'b', 'c', 'a', 'c'][at] as string, record);
    }
    lean.set('b', recordOf(4)); // a row for a text, and no room for a row
    expect(['a', 'b', 'c'].map((name) => lean.get(name)?.revision)).toEqual([3, 4, 1]);
    lean.clear();
    expect([lean.isFull, lean.get('a')]).toEqual([false, undefined]);
  });

  it('number so many content types, and write the others out', () => {
    const lean = new LeanRecords(300);
    const typed = (at: number): StoredRecord => ({ ...recordOf(1), state: { ...recordOf(1).state, values: [{ dot: dot(A, 1), value: { bytes: utf8('x'), contentType: `type/${at}`, hash: new Uint8Array(8) } }] } });
    for (let at = 0; at < 300; at++) lean.set(String(at), typed(at));
    for (let at = 0; at < 300; at++) expect(lean.get(String(at))?.state.values[0]?.value.contentType).toBe(`type/${at}`);
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
