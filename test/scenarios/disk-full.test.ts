// A disk that fills up and has room again: writes are refused, certainly not done; reads and replication to others go on.

import type * as fileSystem from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AP, archipelago, EU, lane, operation, US, type Archipelago } from './archipelago.ts';
import { LevelDisk, MemoryDisk } from './disks.ts';

type FileSystem = Pick<typeof fileSystem, 'statfsSync'>;

const space = vi.hoisted(() => ({ isFull: false }));
vi.mock('node:fs', async (load) => {
  const real = await load<FileSystem>();
  return { ...real, statfsSync: (path: string) => (space.isFull ? { bavail: 1, bsize: 4_096 } : real.statfsSync(path)) };
});

const cleanUp: Archipelago[] = [];
afterEach(async () => {
  space.isFull = false;
  for (const regions of cleanUp.splice(0)) await regions.end();
});

/** EU on a real folder, the others in memory. */
async function begin(): Promise<Archipelago> {
  const regions = await archipelago({ disk: (clock, id) => (id === EU ? new LevelDisk() : new MemoryDisk(clock)) });
  cleanUp.push(regions);
  return regions;
}

describe('a full disk', () => {
  it('-> writes are refused, reads go on, what arrives stays with its sender; room again -> all goes on without a restart', async () => {
    const regions = await begin();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await eu.put('demo', 'k', 'before');
    await regions.converge();
    space.isFull = true;
    await regions.advance(300);
    await expect(eu.put('demo', 'k', 'while')).rejects.toMatchObject({ code: 'storage-full' });
    expect(await eu.get('demo', 'k')).toEqual(['before']);
    await us.put('demo', 'l', 'from us');
    await regions.advance(3_000);
    expect(await eu.get('demo', 'l')).toEqual([]);
    expect((await us.rpo(EU)).items).toBe(1);
    expect(await regions.at(AP).get('demo', 'l')).toEqual(['from us']);
    space.isFull = false;
    await regions.advance(5_000);
    await eu.put('demo', 'k', 'after');
    await regions.advance(60_000);
    expect(await eu.get('demo', 'l')).toEqual(['from us']);
    await regions.expectEqual();
  });

  it('while a peer is down and writes are owed to it -> the region goes on, owes them all the same, and delivers them later', async () => {
    const regions = await begin();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await us.crash();
    await regions.advance(200);
    for (let i = 0; i < 3; i++) await eu.put('demo', `k${i}`, 'v');
    space.isFull = true;
    await regions.advance(3_000);
    expect(await eu.get('demo', 'k1')).toEqual(['v']);
    expect((await eu.rpo(US)).items).toBe(3);
    space.isFull = false;
    await regions.advance(2_000);
    await us.start();
    await regions.converge();
    expect(await us.get('demo', 'k2')).toEqual(['v']);
    expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
    expect(lane(eu, US).behind).toBe(0);
  });
});

describe('a disk that fails a sync', () => {
  it('-> the outcome is unknown; opened again, a retry is told what became of it, and the write reaches the peers', async () => {
    const regions = await begin();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    const { store } = eu.disk as LevelDisk;
    if (store === undefined) throw new Error('EU runs.');
    const { database } = store;
    const batch = database.batch.bind(database) as (...given: unknown[]) => Promise<void>;
    Object.defineProperty(database, 'batch', {
      value: async (...given: unknown[]) => {
        await batch(...given);
        throw new Error('EIO: i/o error, fdatasync');
      },
    });
    await expect(eu.put('demo', 'k', 'v', { operation: operation('x') })).rejects.toMatchObject({ code: 'write-outcome-unknown' });
    await regions.until('it is opened again', () => store.stats.reopened === 1);
    const { decision } = await eu.put('demo', 'k', 'v', { operation: operation('x') });
    expect(decision.type).toBe('duplicate');
    await regions.converge();
    expect(await us.get('demo', 'k')).toEqual(['v']);
    expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
    await regions.expectEqual();
  });
});
