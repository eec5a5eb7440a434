// Two groups of writes on their way to the disk: in which order they become durable, and what a disk that fails makes of both.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { Journal, SEGMENT_BYTES } from '../../src/adapters/level/journal.ts';
import type { LevelTable } from '../../src/adapters/level/table.ts';
import { settle } from '../../src/adapters/memory/clock.ts';
import { closeAll, codeOf, killed, logged, openLevel, put, reopened, textOf, until, used } from '../contract/opened-level.ts';

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

describe('two groups on their way', () => {
  const MANY = Array.from({ length: 16 }, (_, at) => at);

  /** A sync for each call, which ends when it is told to. */
  function heldSyncs(): PromiseWithResolvers<void>[] {
    const held: PromiseWithResolvers<void>[] = [];
    vi.spyOn(Journal.prototype, 'sync').mockImplementation(() => {
      held.push(Promise.withResolvers());
      return (held.at(-1) as PromiseWithResolvers<void>).promise;
    });
    return held;
  }

  /** A group of many: what it came to, once that is known. */
  function group(table: LevelTable, name: string, bytes = 10): { codes?: readonly string[]; readonly all: Promise<unknown> } {
    const all = Promise.all(MANY.map((at) => codeOf(put(table, `${name}${at}`, 'x'.repeat(bytes)))));
    const told: ReturnType<typeof group> = { all: all.then((codes) => (told.codes = codes)) };
    return told;
  }

  /** Two on their way, and a third behind them. */
  async function twoBegun(table: LevelTable): Promise<{ readonly held: PromiseWithResolvers<void>[] } & Record<'first' | 'second' | 'third', ReturnType<typeof group>>> {
    const held = heldSyncs();
    const first = group(table, 'a');
    await until(() => held.length === 1);
    const second = group(table, 'b');
    await until(() => held.length === 2);
    const third = group(table, 'c');
    return { held, first, second, third };
  }

  it('the second is begun while the first is synced, and told after it, whichever sync ends first', async () => {
    const { table, store } = await openLevel({ durability: 'sync' });
    const { held, first, second, third } = await twoBegun(table);
    await settle(5);
    expect(held.length).toBe(2);
    held[1]?.resolve();
    await settle(5);
    expect([second.codes, store.stats.groups, await textOf(table, 'b0')]).toEqual([undefined, 0, []]);
    held[0]?.resolve();
    await Promise.all([first.all, second.all]);
    expect([first, second].map(({ codes }) => new Set(codes))).toEqual([new Set(['done']), new Set(['done'])]);
    await until(() => held.length === 3);
    held[2]?.resolve();
    await third.all;
    expect((await logged(table)).length).toBe(48);
  });

  it('the first fails -> neither is there once writes go on, also where the second one was synced', async () => {
    const opened = await openLevel({ durability: 'sync' });
    const { table, store } = opened;
    await put(table, 'a0', 'before');
    const { held, first, second, third } = await twoBegun(table);
    held[0]?.reject(new Error('EIO: i/o error, fdatasync'));
    await until(() => store.stats.failures === 1);
    expect(first.codes).toBeUndefined(); // the journal is not closed while a sync is under way
    held[1]?.resolve();
    await Promise.all([first.all, second.all, third.all]);
    expect([first, second, third].map(({ codes }) => [...new Set(codes)].join())).toEqual(['write-outcome-unknown', 'write-outcome-unknown', 'storage-unavailable']);
    expect([await textOf(table, 'a0'), await textOf(table, 'b0')]).toEqual([['before'], []]);
    vi.restoreAllMocks();
    await reopened(opened);
    expect(await codeOf(put(table, 'd', 'after'))).toBe('done');
    const again = await openLevel({ folder: killed(opened), durability: 'sync', bootId: 'another' });
    expect(await logged(again.table)).toEqual(['a0', 'd']);
    expect([await textOf(again.table, 'a0'), await textOf(again.table, 'b0')]).toEqual([['before'], []]);
  });

  it('a segment is begun only when all of the one before is durable', async () => {
    const { table, folder } = await openLevel({ durability: 'sync' });
    const held = heldSyncs();
    const large = Math.floor((SEGMENT_BYTES * 0.7) / MANY.length);
    const first = group(table, 'a', large);
    await until(() => held.length === 1);
    const second = group(table, 'b', large);
    await settle(20);
    expect([held.length, used(folder).length]).toEqual([1, 1]);
    held[0]?.resolve();
    await until(() => held.length === 2);
    expect([second.codes, used(folder).length]).toEqual([undefined, 2]);
    held[1]?.resolve();
    await Promise.all([first.all, second.all]);
    expect(second.codes).toEqual(MANY.map(() => 'done'));
  });
});
