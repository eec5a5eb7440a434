// The journal before LevelDB: what is durable, what a start finds, and what a disk that fails makes of it. The clock stands
// still, so LevelDB gets nothing unless a test asks for it: what is read comes from the rows that wait, or from the journal.

import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openDatabase } from '../../src/adapters/level/database.ts';
import { Journal, keptIn, SEGMENT_BYTES } from '../../src/adapters/level/journal.ts';
import { rows } from '../../src/adapters/level/layout.ts';
import { LevelQueue } from '../../src/adapters/level/queue.ts';
import { ManualClock } from '../../src/adapters/memory/clock.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { key, texts } from '../contract/make.ts';
import { closeAll, codeOf, fails, killed, logged, newFolder, openLevel, put, reopened, segments, textOf, until, used, whenDone, type Opened, type OpenOptions } from '../contract/opened-level.ts';

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

const open = (folder = newFolder(), options: Partial<OpenOptions> = {}): Promise<Opened> => openLevel({ folder, durability: 'sync', ...options });

const logs = (folder: string): string[] => readdirSync(folder).filter((name) => name.endsWith('.log')).map((name) => join(folder, name));

describe('a start', () => {
  it('after kill -9 -> finds all that was durable, also what LevelDB never got', async () => {
    const opened = await open();
    for (let at = 0; at < 5; at++) await put(opened.table, `k${at}`, `v${at}`);
    const copy = killed(opened);
    const again = await open(copy);
    for (let at = 0; at < 5; at++) expect(await textOf(again.table, `k${at}`)).toEqual([`v${at}`]);
    expect(await logged(again.table)).toEqual(['k0', 'k1', 'k2', 'k3', 'k4']);
    expect(again.table.digests.items('demo')).toBe(5);
  });

  it.each([['after a power cut that took all of the log of LevelDB', 'another', 0], ['of the same boot, in which nothing of it is lost', 'this', undefined]])('%s -> finds all that was durable', async (_, bootId, logBytes) => {
    const opened = await open();
    await put(opened.table, 'a', 'first');
    await put(opened.table, 'b', 'kept');
    await opened.store.scannable();
    await put(opened.table, 'a', 'second');
    await opened.store.scannable();
    const copy = killed(opened);
    if (logBytes !== undefined) for (const log of logs(copy)) truncateSync(log, logBytes);
    const again = await open(copy, { bootId });
    expect([await textOf(again.table, 'a'), await textOf(again.table, 'b')]).toEqual([['second'], ['kept']]);
    expect(await logged(again.table)).toEqual(['a', 'b', 'a']);
  });

  it('with the last entry torn -> that group is gone whole, what came before is whole, and what is written then is kept', async () => {
    const opened = await open();
    await put(opened.table, 'a', 'kept');
    await Promise.all([put(opened.table, 'x', 'torn'), put(opened.table, 'y', 'torn')]);
    const copy = killed(opened);
    const [path] = used(copy) as [string];
    const bytes = readFileSync(path);
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
    bytes.fill(0, end - 20, end);
    writeFileSync(path, bytes);
    const again = await open(copy);
    expect([await textOf(again.table, 'a'), await textOf(again.table, 'x'), await textOf(again.table, 'y')]).toEqual([['kept'], [], []]);
    await put(again.table, 'z', 'later');
    const third = await open(killed(again));
    expect([await textOf(third.table, 'a'), await textOf(third.table, 'x'), await textOf(third.table, 'z')]).toEqual([['kept'], [], ['later']]);
  });

  it('with a segment missing between others -> refused, and the folder is left as it is', async () => {
    const opened = await open();
    await filled(opened, 3);
    const copy = killed(opened);
    const before = used(copy);
    expect(before.length).toBeGreaterThanOrEqual(3);
    rmSync(before[1] as string);
    const left = readdirSync(copy).length;
    expect(await codeOf(open(copy))).toBe('storage-unavailable');
    expect(used(copy)).toHaveLength(before.length - 1);
    expect(readdirSync(copy).length).toBeGreaterThanOrEqual(left);
  });

  it.each([['another', ['kept']], ['this', []]])('in %s boot, with a row missing in LevelDB that it was given -> given again: %j', async (bootId, expected) => {
    const opened = await open();
    await put(opened.table, 'a', 'kept');
    await opened.store.scannable();
    await put(opened.table, 'b', 'later');
    const copy = killed(opened);
    // What only another boot can bring about: the log of LevelDB that was full was not synced, the newer one was.
    const database = await openDatabase(copy);
    await database.del(rows.record(key('a').encoded));
    await database.close();
    const again = await open(copy, { bootId });
    expect([await textOf(again.table, 'a'), await textOf(again.table, 'b')]).toEqual([expected, ['later']]);
  });

  it('with the oldest segment missing, and LevelDB without what was in it -> refused', async () => {
    const opened = await open();
    await filled(opened, 2);
    const copy = killed(opened);
    rmSync(used(copy)[0] as string);
    expect(await codeOf(open(copy))).toBe('storage-unavailable');
  });

  it('with several segments of which LevelDB got nothing -> finds all that was durable', async () => {
    const opened = await open();
    const values = await filled(opened, 3);
    const again = await open(killed(opened), { bootId: 'another' });
    expect(again.table.digests.items('demo')).toBe(values);
    expect(await textOf(again.table, 'large 0')).toHaveLength(1);
  });

  it('in relaxed durability -> LevelDB has it all, and the journal is gone', async () => {
    const opened = await open();
    await put(opened.table, 'a', 'kept');
    const again = await open(killed(opened), { durability: 'relaxed' });
    expect(await textOf(again.table, 'a')).toEqual(['kept']);
    expect(segments(again.folder)).toEqual([]);
  });

  it('after an orderly end -> there is no journal', async () => {
    const opened = await open();
    await put(opened.table, 'a', 'kept');
    await opened.store.close();
    expect(segments(opened.folder)).toEqual([]);
    expect(await textOf((await open(opened.folder)).table, 'a')).toEqual(['kept']);
  });
});

/** So many segments filled, one value of half a megabyte after the other, each under its own name. */
async function filled({ table }: Opened, count: number): Promise<number> {
  const text = 'x'.repeat(SEGMENT_BYTES / 8);
  const values = Math.ceil(count * 8.5);
  for (let at = 0; at < values; at++) await put(table, `large ${at}`, text + String(at));
  return values;
}

describe('segments', () => {
  it('that LevelDB has and a pause has synced -> are used again, and one waits; nothing that was in them comes back', async () => {
    const opened = await open();
    const { folder, store, table, clock } = opened;
    await put(table, 'a', 'old');
    const values = await filled(opened, 4);
    expect(segments(folder).length).toBeGreaterThan(4);
    await store.scannable();
    await clock.advance(1_100); // a pause is seen when nothing was written between two looks
    await clock.advance(1_100);
    await until(() => segments(folder).length === 2);
    await put(table, 'a', 'new');
    await filled(opened, 2);
    const again = await open(killed(opened), { bootId: 'another' });
    expect(await textOf(again.table, 'a')).toEqual(['new']);
    expect((await textOf(again.table, `large ${values - 1}`))[0]).toHaveLength(SEGMENT_BYTES / 8 + String(values - 1).length);
  });

  const NOTHING = { segments: [], spare: [], number: 0, bootId: undefined };
  const share = (of: number) => ({ type: 'put', key: utf8('k'), value: new Uint8Array(Math.floor(SEGMENT_BYTES / of)).fill(1) }) as const;

  function journalOf(): { readonly folder: string; readonly journal: Journal } {
    const folder = newFolder();
    const journal = new Journal(folder, { kept: NOTHING, sequence: 0, bootId: 'this' });
    whenDone(() => rmSync(folder, { recursive: true }), () => journal.close());
    return { folder, journal };
  }

  const read = (folder: string): (readonly [number, number])[] => keptIn(folder).segments.map(({ first, last }) => [first, last]);

  it('that were let go -> are not read, though they have their entries still', () => {
    const { folder, journal } = journalOf();
    for (let at = 0; at < 4; at++) journal.append([share(2)]);
    expect(journal.closed).toHaveLength(3);
    journal.release(2);
    journal.append([share(2)]);
    expect(read(folder)).toEqual([[3, 3], [4, 4], [5, 5]]);
    expect(keptIn(folder).spare.length).toBeGreaterThan(0);
  });

  it('whose file is used again -> end with their own entries; what an earlier use left behind them, and a header without an entry, count for nothing', () => {
    const { folder, journal } = journalOf();
    for (let at = 0; at < 7; at++) journal.append([share(4)]);
    expect(read(folder)).toEqual([[1, 3], [4, 6], [7, 7]]);
    journal.release(2);
    for (let at = 0; at < 9; at++) journal.append([share(4)]);
    expect(read(folder)).toEqual([[7, 9], [10, 12], [13, 15], [16, 16]]);
    const newest = keptIn(folder).segments.at(-1)?.path as string;
    // The header became durable, its entry did not: behind it stands what was there before.
    const bytes = readFileSync(newest);
    const older = readFileSync(keptIn(folder).segments[0]?.path as string);
    writeFileSync(newest, Buffer.concat([bytes.subarray(0, 64), older.subarray(64)]));
    expect(read(folder)).toEqual([[7, 9], [10, 12], [13, 15]]);
  });

  it('of which LevelDB deleted the log -> are used again while writes go on', async () => {
    const opened = await open();
    for (let round = 0; round < 12; round++) {
      await filled(opened, 2); // the memtable has 16 MiB
      await opened.store.scannable();
    }
    expect(segments(opened.folder).length).toBeLessThan(18);
    const again = await open(killed(opened), { bootId: 'another' });
    expect(again.table.digests.items('demo')).toBe(17);
  });
});

describe('what waits for LevelDB', () => {
  it('is found by every read: rows, ranges, scans, ledger, log; and what was removed is not', async () => {
    const { table, store, clock } = await open();
    const queue = await LevelQueue.open(store, clock, 'hints us-east-1');
    await put(table, 'a', 'one');
    await store.scannable();
    await put(table, 'a', 'two');
    await put(table, 'b', 'new');
    await table.update(key('b'), { decide: () => ({ result: undefined, remove: true }) });
    const { items } = await table.range({ prefix: key('a').encoded, limit: 10, bytesMax: 1_000_000, descending: false });
    expect(items.map(({ record }) => texts(record.state))).toEqual([['two']]);
    expect(await table.get(key('b'))).toBeUndefined();
    expect(await logged(table)).toEqual(['a', 'a', 'b']);
    await queue.send([{ key: utf8('k'), body: utf8('k') }]);
    const [delivery] = await queue.receive(10);
    await queue.acknowledge([delivery?.receipt ?? '']);
    expect([await queue.receive(10), await queue.depth()]).toEqual([[], 0]);
  });
});

describe('a disk that fails', () => {

  it('at the sync -> that group is unknown, and not there once writes go on: neither then nor after a start', async () => {
    const opened = await open();
    const { table } = opened;
    await put(table, 'a', 'before');
    vi.spyOn(Journal.prototype, 'syncNow').mockImplementationOnce(fails);
    expect(await codeOf(put(table, 'a', 'unknown'))).toBe('write-outcome-unknown');
    expect(await textOf(table, 'a')).toEqual(['before']);
    expect(await codeOf(put(table, 'b', 'refused'))).toBe('storage-unavailable');
    await reopened(opened);
    expect(await textOf(table, 'a')).toEqual(['before']);
    expect(await codeOf(put(table, 'c', 'after'))).toBe('done');
    const again = await open(killed(opened), { bootId: 'another' });
    expect([await textOf(again.table, 'a'), await textOf(again.table, 'c')]).toEqual([['before'], ['after']]);
    expect(await logged(again.table)).toEqual(['a', 'c']);
  });

  it('at the sync, then the process ends before writes go on -> the group is there whole, or not at all', async () => {
    const opened = await open();
    await put(opened.table, 'a', 'before');
    vi.spyOn(Journal.prototype, 'syncNow').mockImplementationOnce(fails);
    await Promise.all([codeOf(put(opened.table, 'x', 'unknown')), codeOf(put(opened.table, 'y', 'unknown'))]);
    const again = await open(killed(opened));
    expect([await textOf(again.table, 'x'), await textOf(again.table, 'y')]).toEqual([['unknown'], ['unknown']]);
    expect(again.table.digests.items('demo')).toBe(3);
  });

  it('when LevelDB is given what is durable -> nothing that was acknowledged is lost, before and after the reopening', async () => {
    const opened = await open();
    const { table, store } = opened;
    await put(table, 'a', 'first');
    await store.scannable();
    vi.spyOn(store.database, 'batch').mockImplementation(fails);
    await put(table, 'a', 'second');
    const scanned = store.scannable(); // waits until LevelDB has it
    await until(() => store.stats.failures === 1);
    expect(await codeOf(put(table, 'b', 'refused'))).toBe('storage-unavailable');
    expect(await textOf(table, 'a')).toEqual(['second']);
    await reopened(opened);
    await scanned;
    expect(await textOf(table, 'a')).toEqual(['second']);
    expect(await codeOf(put(table, 'b', 'after'))).toBe('done');
    expect(await logged(table)).toEqual(['a', 'a', 'b']);
  });

  it('that is slow -> is waited for in another thread, and tried here again now and then', async () => {
    let nowMs = 0;
    let stepMs = 5;
    const clock = Object.assign(new ManualClock(), { monotonicMs: () => (nowMs += stepMs) });
    const { table } = await open(newFolder(), { clock });
    const here = vi.spyOn(Journal.prototype, 'syncNow');
    const apart = vi.spyOn(Journal.prototype, 'sync');
    for (let at = 0; at < 100; at++) await put(table, 'a', `${at}`);
    expect(apart.mock.calls.length).toBeGreaterThan(75);
    expect(here.mock.calls.length + apart.mock.calls.length).toBe(100);
    stepMs = 0;
    for (let at = 0; at < 600; at++) await put(table, 'a', `${at}`);
    const before = apart.mock.calls.length;
    for (let at = 0; at < 100; at++) await put(table, 'a', `${at}`);
    expect(apart.mock.calls.length).toBe(before);
    expect(await textOf(table, 'a')).toEqual(['99']);
  });
});
