// A region's LevelDB when the disk fails it: which writes were done, which were not, and what is known of them afterwards.

import { readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LevelDeadLetters, LevelQueue } from '../../src/adapters/level/queue.ts';
import type { LevelStore } from '../../src/adapters/level/store.ts';
import type { LevelTable } from '../../src/adapters/level/table.ts';
import { settle } from '../../src/adapters/memory/clock.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { DEAD_LETTERS_PER_PEER_MAX } from '../../src/core/limits.ts';
import { partitionOf, type ItemKey } from '../../src/core/keys/item-key.ts';
import { isZeroSum, type Sum } from '../../src/core/merkle/digest.ts';
import type { State } from '../../src/core/version/record.ts';
import { A, dot, GROUP, key, texts, written } from '../contract/make.ts';
import { closeAll, newFolder, openLevel, type Opened } from '../contract/opened-level.ts';

afterEach(closeAll);

const open = (folder = newFolder()): Promise<Opened> => openLevel({ folder, durability: 'relaxed' });

const put = (table: LevelTable, item: ItemKey, state: State, kind: 'local' | 'applied' = 'local'): Promise<string> =>
  table.update(item, { decide: () => ({ result: 'done', commit: { state, kind } }) });

/** The next batch fails: nothing of it is written, or all of it is, and then the sync fails. */
function failNextSync(store: LevelStore, { isWritten, when = Promise.resolve() }: { readonly isWritten: boolean; readonly when?: Promise<void> }): void {
  const { database } = store;
  const batch = database.batch.bind(database) as (...given: unknown[]) => Promise<void>;
  Object.defineProperty(database, 'batch', {
    configurable: true,
    value: async (...given: unknown[]) => {
      if (isWritten) await batch(...given);
      await when;
      throw new Error('EIO: i/o error, fdatasync');
    },
  });
}

const codeOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => 'done', (error: unknown) => String((error as { code?: string }).code));

/** A disk takes the time that it takes. */
async function until(condition: () => boolean): Promise<void> {
  const startedMs = performance.now();
  while (!condition() && performance.now() - startedMs < 5_000) await settle(1);
  expect(condition()).toBe(true);
}

async function reopened({ store, clock }: Opened): Promise<void> {
  await clock.advance(300);
  await until(() => store.stats.reopened === 1);
}

const keys = async (table: LevelTable): Promise<string[]> => (await table.changes.read(table.changes.trimmed(), 1_000)).entries.map(({ key: { pk } }) => Buffer.from(pk).toString());
const sumOf = (table: LevelTable, item: ItemKey): Sum => table.digests.partition(GROUP, partitionOf(item.encoded));

describe('a sync fails', () => {
  it('group commit: who was in the group gets unknown, who was decided behind it gets unavailable, nobody is told done', async () => {
    const opened = await open();
    const { store, table } = opened;
    const { promise: when, resolve: fail } = Promise.withResolvers<void>();
    failNextSync(store, { isWritten: false, when });
    const first = [put(table, key('a'), written(dot(A, 1), 'a')), put(table, key('b'), written(dot(A, 2), 'b'))].map(codeOf);
    await settle();
    const behind = codeOf(put(table, key('a'), written(dot(A, 3), 'a again')));
    const read = codeOf(table.update(key('a'), { decide: () => ({ result: 'a precondition' }) }));
    await settle();
    fail();
    expect(await Promise.all(first)).toEqual(['write-outcome-unknown', 'write-outcome-unknown']);
    expect(await behind).toBe('storage-unavailable');
    expect(await read).toBe('storage-unavailable');
    expect(await table.get(key('a'))).toBeUndefined();
    await reopened(opened);
    expect(await codeOf(put(table, key('a'), written(dot(A, 4), 'later')))).toBe('done');
    expect(await keys(table)).toEqual(['a']);
  });

  it('though the group was written -> after the reopening it is in the log, in the digests and known by its stamps', async () => {
    const opened = await open();
    const { store, table } = opened;
    const heard: string[] = [];
    table.changes.subscribe((entries) => heard.push(...entries.map(({ key: { pk } }) => Buffer.from(pk).toString())));
    await put(table, key('before'), written(dot(A, 1), 'before'));
    failNextSync(store, { isWritten: true });
    expect(await codeOf(put(table, key('unknown'), written(dot(A, 2), 'unknown')))).toBe('write-outcome-unknown');
    await reopened(opened);
    expect(texts((await table.get(key('unknown')))?.state)).toEqual(['unknown']);
    expect(table.largestStamps().get(A)).toBe(2n);
    expect(isZeroSum(sumOf(table, key('unknown')))).toBe(false);
    await put(table, key('after'), written(dot(A, 3), 'after'));
    expect(await keys(table)).toEqual(['before', 'unknown', 'after']);
    expect(heard).toEqual(['before', 'unknown', 'after']);
    expect(table.digests.items('demo')).toBe(3);
  });

  it('though a document was written -> the next compare-and-set is judged by it', async () => {
    const opened = await open();
    const { store, table } = opened;
    expect(await table.putDocument('lease', utf8('first'), undefined)).toBe(true);
    failNextSync(store, { isWritten: true });
    expect(await codeOf(table.putDocument('lease', utf8('second'), 1))).toBe('write-outcome-unknown');
    await reopened(opened);
    const document = await table.document('lease');
    expect([Buffer.from(document?.bytes ?? []).toString(), document?.revision]).toEqual(['second', 2]);
    expect(await table.putDocument('lease', utf8('third'), 1)).toBe(false);
  });
});

describe('the change log', () => {
  it('read to its end, then nothing is written for a second, then killed -> it is still read to its end', async () => {
    const { store, table, clock, folder } = await open();
    await put(table, key('a'), written(dot(A, 1), 'a'));
    table.changes.trim(1);
    await clock.advance(1_100);
    await until(() => table.changes.trimmed() === 1);
    await store.database.close();
    const again = await open(folder);
    expect(again.table.changes.trimmed()).toBe(1);
    expect(await keys(again.table)).toEqual([]);
  });

  it('what was prepared while the disk worked is used when it is durable, before the promise, and never when it failed', async () => {
    const { store, table } = await open();
    const told: string[] = [];
    const commit = { state: written(dot(A, 1), 'v'), kind: 'local' } as const;
    const write = (): Promise<string> => table.update(key('k'), { decide: () => ({ result: 'done', commit }), meanwhile: () => (told.push('prepared'), () => void told.push('durable')) });
    await write().then(() => told.push('resolved'));
    expect(told).toEqual(['prepared', 'durable', 'resolved']);
    failNextSync(store, { isWritten: true });
    expect(await codeOf(write())).toBe('write-outcome-unknown');
    expect(told.slice(3)).toEqual(['prepared']);
  });

  it('one that fails to prepare, or to be told, keeps nobody waiting', async () => {
    const { table } = await open();
    const commit = { state: written(dot(A, 1), 'v'), kind: 'local' } as const;
    const fail = (): never => {
      throw new TypeError('no');
    };
    for (const meanwhile of [fail, () => fail]) expect(await table.update(key('k'), { decide: () => ({ result: 'done', commit }), meanwhile })).toBe('done');
  });

  it('a position whose group failed is not taken for durable', async () => {
    const opened = await open();
    const { store, table } = opened;
    await put(table, key('a'), written(dot(A, 1), 'a'));
    table.changes.trim(1);
    failNextSync(store, { isWritten: false });
    await codeOf(put(table, key('b'), written(dot(A, 2), 'b')));
    expect(table.changes.trimmed()).toBe(0);
    await reopened(opened);
    await put(table, key('c'), written(dot(A, 3), 'c'));
    expect(table.changes.trimmed()).toBe(1);
  });

  it('a listener throws -> the writers are answered, and later ones too', async () => {
    const { table } = await open();
    const forget = table.changes.subscribe(() => {
      throw new Error('a defect of the listener');
    });
    expect(await codeOf(put(table, key('a'), written(dot(A, 1), 'a')))).toBe('done');
    forget();
    expect(await codeOf(put(table, key('b'), written(dot(A, 2), 'b')))).toBe('done');
    expect(await keys(table)).toEqual(['a', 'b']);
  });
});

describe('dead letters', () => {
  it('several are added at once at the limit -> as many as the limit are kept, the newest, and counted rightly', async () => {
    const { store } = await open();
    const letters = await LevelDeadLetters.open(store, 'us-east-1');
    const letter = (reason: string) => ({ reason, atMs: 1, body: new Uint8Array(0) });
    await letters.add(Array.from({ length: DEAD_LETTERS_PER_PEER_MAX }, (_, at) => letter(`old ${at}`)));
    await Promise.all(Array.from({ length: 5 }, (_, at) => letters.add([letter(`new ${at}`)])));
    const listed = await letters.list(Number.MAX_SAFE_INTEGER);
    expect([listed.length, await letters.count(), letters.dropped]).toEqual([DEAD_LETTERS_PER_PEER_MAX, DEAD_LETTERS_PER_PEER_MAX, 5]);
    expect(listed[0]?.reason).toBe('old 5');
    expect(listed.at(-1)?.reason).toBe('new 4');
  });
});

describe('a queue of hints', () => {
  const hint = (name: string) => ({ key: utf8(name), body: utf8(name) });

  it('a key is sent again while its acknowledgement is being made durable -> it waits, and is counted', async () => {
    const { store, clock } = await open();
    const queue = await LevelQueue.open(store, clock, 'hints us-east-1');
    await queue.send([hint('k')]);
    const [delivery] = await queue.receive(10);
    const acknowledged = queue.acknowledge([delivery?.receipt ?? '']);
    const sent = queue.send([hint('k')]);
    expect(await queue.depth()).toBe(1);
    await Promise.all([acknowledged, sent]);
    expect(await queue.depth()).toBe(1);
    expect(queue.has(utf8('k'))).toBe(true);
    expect(await queue.receive(10)).toHaveLength(1);
  });

  it('an acknowledgement fails -> the hint still waits, is delivered again, and is counted once', async () => {
    const opened = await open();
    const { store, clock } = opened;
    const queue = await LevelQueue.open(store, clock, 'hints us-east-1');
    await queue.send([hint('k')]);
    const [delivery] = await queue.receive(10);
    failNextSync(store, { isWritten: false });
    expect(await codeOf(queue.acknowledge([delivery?.receipt ?? '']))).toBe('write-outcome-unknown');
    await reopened(opened);
    expect(await queue.depth()).toBe(1);
    await clock.advance(20_000);
    const [again] = await queue.receive(10);
    await queue.acknowledge([again?.receipt ?? '']);
    expect(await queue.depth()).toBe(0);
    expect(await queue.receive(10)).toEqual([]);
  });

  it('sending a key anew fails while its hint is being handled -> the hint is delivered again all the same', async () => {
    const opened = await open();
    const { store, clock } = opened;
    const queue = await LevelQueue.open(store, clock, 'hints us-east-1');
    await queue.send([hint('k')]);
    await queue.receive(10);
    failNextSync(store, { isWritten: false });
    expect(await codeOf(queue.send([hint('k')]))).toBe('write-outcome-unknown');
    await reopened(opened);
    await clock.advance(20_000);
    expect(await queue.receive(10)).toHaveLength(1);
  });

  it('a key that is gone but for its sync does not count as waiting', async () => {
    const { store, clock } = await open();
    const queue = await LevelQueue.open(store, clock, 'hints us-east-1');
    await queue.send([hint('k'), hint('other')]);
    const [delivery] = (await queue.receive(10)).filter(({ body }) => Buffer.from(body).toString() === 'k');
    const acknowledged = queue.acknowledge([delivery?.receipt ?? '']);
    // Either both still count it or neither does: the live RPO subtracts one from the other.
    expect([await queue.depth(), queue.has(utf8('k'))]).toEqual([2, true]);
    await acknowledged;
    expect([await queue.depth(), queue.has(utf8('k'))]).toEqual([1, false]);
  });

  it('a send whose sync failed though it was written -> its hints are found and counted', async () => {
    const opened = await open();
    const { store, clock } = opened;
    const queue = await LevelQueue.open(store, clock, 'hints us-east-1');
    failNextSync(store, { isWritten: true });
    expect(await codeOf(queue.send([hint('k')]))).toBe('write-outcome-unknown');
    await reopened(opened);
    expect(await queue.depth()).toBe(1);
    expect(await queue.receive(10)).toHaveLength(1);
  });
});

describe('the database is being opened again', () => {
  it('readers of log, ledger and dead letters wait for it instead of failing', async () => {
    const opened = await open();
    const { store, table, clock } = opened;
    const letters = await LevelDeadLetters.open(store, 'us-east-1');
    for (let i = 0; i < 3; i++) await put(table, key(`k${i}`), written(dot(A, i + 1), 'v'));
    failNextSync(store, { isWritten: false });
    expect(await codeOf(put(table, key('x'), written(dot(A, 9), 'x')))).toBe('write-outcome-unknown');
    const { database } = store;
    const close = database.close.bind(database);
    let isClosing = false;
    Object.defineProperty(database, 'close', { value: async () => ((isClosing = true), close()) });
    for (let round = 0; !isClosing && round < 100; round++) await clock.advance(50);
    expect(store.stats.reopened).toBe(0);
    const found = await Promise.all([
      table.lossesOf(key('k0')),
      table.losses({ collection: 'demo', limit: 10 }),
      table.loss('00'),
      letters.list(10),
      table.changes.read(0, 10).then(({ entries }) => entries.length),
    ].map(codeOf));
    expect(found).toEqual(['done', 'done', 'done', 'done', 'done']);
    await settle();
  });
});

describe('the end of a process', () => {
  it('closed while writes are pending -> what was begun is finished, and there again; later writes are refused', async () => {
    const { table, store, folder } = await open();
    const some = (from: number): Promise<string>[] => Array.from({ length: 10 }, (_, at) => codeOf(put(table, key(`k${from + at}`), written(dot(A, from + at + 1), 'v'))));
    const outcomes = some(0);
    for (let turn = 0; turn < 5; turn++) await Promise.resolve(); // that group is on its way to the disk, the next one fills
    outcomes.push(...some(10));
    for (let turn = 0; turn < 3; turn++) await Promise.resolve();
    await store.close();
    const late = codeOf(put(table, key('late'), written(dot(A, 99), 'late')));
    const again = await open(folder);
    for (const [at, outcome] of (await Promise.all(outcomes)).entries()) {
      expect(outcome).toBe('done');
      expect(texts((await again.table.get(key(`k${at}`)))?.state)).toEqual(['v']);
    }
    expect(await late).toBe('storage-unavailable');
    expect(again.table.digests.items('demo')).toBe(20);
  });

  it('closed after a failed write -> the folder is free for the next process all the same', async () => {
    const { store, table, folder } = await open();
    await put(table, key('a'), written(dot(A, 1), 'a'));
    failNextSync(store, { isWritten: false });
    await codeOf(put(table, key('b'), written(dot(A, 2), 'b')));
    await table.close();
    const again = await open(folder);
    expect(texts((await again.table.get(key('a')))?.state)).toEqual(['a']);
  });

  it('the tail of the log file is torn -> the last group is gone whole, what came before is whole', async () => {
    const { table, store, folder } = await open();
    for (let at = 1; at <= 5; at++) await put(table, key(`k${at}`), written(dot(A, at), 'v'));
    await Promise.all([put(table, key('x'), written(dot(A, 10), 'x')), put(table, key('y'), written(dot(A, 11), 'y'))]);
    await store.database.close();
    const [log] = readdirSync(folder).filter((name) => name.endsWith('.log')).map((name) => join(folder, name));
    truncateSync(log as string, statSync(log as string).size - 10);
    const again = await open(folder);
    expect([await again.table.get(key('x')), await again.table.get(key('y'))]).toEqual([undefined, undefined]);
    for (let at = 1; at <= 5; at++) expect(texts((await again.table.get(key(`k${at}`)))?.state)).toEqual(['v']);
    expect(again.table.digests.items('demo')).toBe(5);
    expect(again.table.largestStamps().get(A)).toBe(5n);
    expect(await keys(again.table)).toEqual(['k1', 'k2', 'k3', 'k4', 'k5']);
    await put(again.table, key('x'), written(dot(A, 12), 'again'));
    expect(await keys(again.table)).toEqual(['k1', 'k2', 'k3', 'k4', 'k5', 'x']);
  });

  it('files that are no store -> refused with a code, and nothing is made up', async () => {
    const { table, folder } = await open();
    await put(table, key('a'), written(dot(A, 1), 'a'));
    await table.close();
    writeFileSync(join(folder, 'CURRENT'), 'poisoned\n');
    expect(await codeOf(open(folder))).toBe('storage-unavailable');
  });

  it('a second process on the same folder -> refused', async () => {
    const { folder } = await open();
    expect(await codeOf(open(folder))).toBe('storage-unavailable');
  });
});
