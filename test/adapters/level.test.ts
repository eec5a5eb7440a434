import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { afterPrefix, utf8 } from '../../src/core/bytes.ts';
import { rows } from '../../src/adapters/level/layout.ts';
import { LevelDeadLetters, LevelQueue, VISIBILITY_MS } from '../../src/adapters/level/queue.ts';
import { LevelStore } from '../../src/adapters/level/store.ts';
import { LevelTable } from '../../src/adapters/level/table.ts';
import { ManualClock } from '../../src/adapters/memory/clock.ts';
import { SILENT } from '../../src/ports/log.ts';
import { A, dot, key, keyedHash, written } from '../contract/make.ts';
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

it('Queue: level: a newer message that comes while somebody receives is not hidden behind the one that the scan saw', async () => {
  const under = await openQueue(folder());
  const { queue } = under;
  const messages = Array.from({ length: 2_000 }, (_, at) => ({ body: utf8(`message ${at}`), key: utf8(`a key with some length ${at}`) }));
  for (let round = 0; round < 2; round++) {
    await queue.send(messages);
    // Given back, as when the peer went away again: what was replaced meanwhile must not stand in the newer one's way.
    const [first] = await Promise.all([queue.receive(messages.length), queue.send(messages)]);
    for (const { receipt } of first) await queue.retryLater(receipt, 0);
    for (let left = 2 * messages.length; left > 0 && (await queue.depth()) > 0; left -= 500) {
      const deliveries = await queue.receive(500);
      // Two at a time: a scan goes on while what was delivered before is acknowledged.
      await Promise.all([queue.acknowledge(deliveries.map(({ receipt }) => receipt)), queue.receive(1).then((more) => queue.acknowledge(more.map(({ receipt }) => receipt)))]);
    }
    expect(await queue.depth()).toBe(0);
  }
  await under.close();
});

it('Table: level: a value that was swept over while it became durable leaves no row in the index of expiry when it is written again', async () => {
  const path = folder();
  const store = await LevelStore.open({ folder: path, durability: 'sync', clock: new ManualClock(), log: SILENT });
  const table = await LevelTable.open(store, keyedHash);
  const put = (at: number): Promise<void> => table.update(key('a'), { decide: () => ({ result: undefined, commit: { state: written(dot(A, at), `${at}`, [], 100), kind: 'local' } }) });
  const first = put(1);
  await table.digests.sweep(200);
  await first;
  await put(2);
  await store.scannable();
  const index = await store.database.keys({ gte: rows.all('e'), lt: afterPrefix(rows.all('e')) as Uint8Array }).all();
  expect(index).toEqual([]);
  expect(table.digests.items('demo')).toBe(0);
  await table.close();
  rmSync(path, { recursive: true });
});

it('Table: level: the sweep of an older value takes the newer one out of the index too, when it was written meanwhile and has expired as well', async () => {
  const path = folder();
  const store = await LevelStore.open({ folder: path, durability: 'relaxed', clock: new ManualClock(), log: SILENT });
  const table = await LevelTable.open(store, keyedHash);
  const put = (at: number, expiresMs: number): Promise<void> => table.update(key('a'), { decide: () => ({ result: undefined, commit: { state: written(dot(A, at), `${at}`, [], expiresMs), kind: 'local' } }) });
  await put(1, 100);
  // The second one waits for its sync when the sweep looks: of the two rows only the first is seen.
  const held = Promise.withResolvers<void>();
  const { database } = store;
  const batch = database.batch.bind(database) as (...args: unknown[]) => Promise<void>;
  Object.assign(database, { batch: async (...args: unknown[]) => (await held.promise, batch(...args)) });
  const second = put(2, 150);
  const swept = table.digests.sweep(200);
  const seen = await database.keys({ gte: rows.all('e'), lt: afterPrefix(rows.all('e')) as Uint8Array }).all();
  held.resolve();
  await Promise.all([second, swept]);
  const left = await database.keys({ gte: rows.all('e'), lt: afterPrefix(rows.all('e')) as Uint8Array }).all();
  expect([seen.length, left]).toEqual([1, []]);
  expect(table.digests.items('demo')).toBe(0);
  await table.close();
  rmSync(path, { recursive: true });
});
