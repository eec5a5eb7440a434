import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { utf8 } from '../../src/core/bytes.ts';
import { LevelDeadLetters, LevelQueue, VISIBILITY_MS } from '../../src/adapters/level/queue.ts';
import { LevelStore } from '../../src/adapters/level/store.ts';
import { LevelTable } from '../../src/adapters/level/table.ts';
import { ManualClock } from '../../src/adapters/memory/clock.ts';
import { SILENT } from '../../src/ports/log.ts';
import { keyedHash } from '../contract/make.ts';
import { queueContract, type QueueUnderTest } from '../contract/queue-suite.ts';
import { tableContract, type TableUnderTest } from '../contract/table-suite.ts';

const folder = (): string => mkdtempSync(join(tmpdir(), 'archipel-level-'));

async function openTable(path: string): Promise<TableUnderTest> {
  const store = await LevelStore.open({ folder: path, durability: 'sync', clock: new ManualClock(), log: SILENT });
  const table = await LevelTable.open(store, keyedHash);
  return {
    table,
    changes: table.changes,
    reopen: async () => {
      await table.close();
      return openTable(path);
    },
    close: async () => {
      await table.close();
      rmSync(path, { recursive: true });
    },
  };
}

async function openQueue(path: string): Promise<QueueUnderTest> {
  const clock = new ManualClock();
  const store = await LevelStore.open({ folder: path, durability: 'sync', clock, log: SILENT });
  const queue = await LevelQueue.open(store, clock, 'hints eu-central-1');
  return {
    queue,
    letters: await LevelDeadLetters.open(store, 'eu-central-1'),
    advance: (ms) => clock.advance(ms),
    visibilityMs: VISIBILITY_MS,
    reopen: async () => {
      await store.close();
      return openQueue(path);
    },
    close: async () => {
      await store.close();
      rmSync(path, { recursive: true });
    },
  };
}

tableContract('level', () => openTable(folder()));
queueContract('level', () => openQueue(folder()));

// A scan of this many rows takes several reads, and sees all of them as they were at the first.
it('Queue: level: what goes while somebody else receives is not delivered again, and counted once', async () => {
  const under = await openQueue(folder());
  const { queue } = under;
  const MESSAGES = 2_000;
  for (let round = 0; round < 5; round++) {
    await queue.send(Array.from({ length: MESSAGES }, (_, at) => ({ body: utf8(`message ${at}`), key: utf8(`a key with some length ${at}`) })));
    const deliveries = await queue.receive(MESSAGES);
    const [, ...others] = await Promise.all([queue.acknowledge(deliveries.map(({ receipt }) => receipt)), queue.receive(MESSAGES), queue.receive(MESSAGES)]);
    expect(others.flat()).toEqual([]);
    expect(await queue.depth()).toBe(0);
  }
  await under.close();
});
