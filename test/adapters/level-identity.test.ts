// Under which incarnation a data folder is opened, and whether it may lack what the peers hold.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { identify, noteCleanStop, noteRecovered } from '../../src/adapters/level/identity.ts';
import { MemoryTable } from '../../src/adapters/memory/table.ts';
import { nodeRandom, sha256 } from '../../src/adapters/node/crypto.ts';

let folder: string;
let table: MemoryTable;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'archipel-identity-'));
  table = new MemoryTable(sha256);
});

afterEach(() => rmSync(folder, { recursive: true }));

it('identity: relaxed, stopped cleanly -> the same, and it lacks nothing', async () => {
  const first = await identify(folder, table, nodeRandom, 'relaxed');
  expect(first).toMatchObject({ origin: 'first', isNew: true });
  await noteRecovered(table);
  await noteCleanStop(table);
  expect(await identify(folder, table, nodeRandom, 'relaxed')).toEqual({ incarnation: first.incarnation, origin: 'same', isNew: false });
});

it('identity: relaxed, not stopped cleanly -> somebody else, who may have forgotten until the peers have given back', async () => {
  const first = await identify(folder, table, nodeRandom, 'relaxed');
  await noteRecovered(table);
  const second = await identify(folder, table, nodeRandom, 'relaxed');
  expect(second).toMatchObject({ origin: 'unclean', isNew: true });
  expect(second.incarnation).not.toBe(first.incarnation);
  await noteRecovered(table);
  await noteCleanStop(table);
  expect(await identify(folder, table, nodeRandom, 'relaxed')).toMatchObject({ origin: 'same', isNew: false });
});
