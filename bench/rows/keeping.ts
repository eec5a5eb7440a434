// P10: what the digests cost where they are kept, in this process, on the store's own code: syncs per write, time per
// write, memory, and how long making them anew from the stored bytes takes beside the bare scan.

import { mkdtempSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelStore } from '../../src/adapters/level/store.ts';
import { LevelTable } from '../../src/adapters/level/table.ts';
import { NodeClock } from '../../src/adapters/node/clock.ts';
import { hmacSha256, sha256 } from '../../src/adapters/node/crypto.ts';
import { afterPrefix, utf8 } from '../../src/core/bytes.ts';
import { asGroupId, itemKey, type ItemKey } from '../../src/core/keys/item-key.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import { ALL_PARTITIONS, differingPositions, DigestTree, elementOf, leafOf } from '../../src/core/merkle/digest.ts';
import { asRegionId, makeActor } from '../../src/core/version/dot.ts';
import { NO_OPERATIONS } from '../../src/core/version/operations.ts';
import type { State } from '../../src/core/version/record.ts';
import { makeStamp } from '../../src/core/version/stamp.ts';
import { DeepView } from '../../src/engine/digest-view.ts';
import { median } from '../lib/numbers.ts';
import type { Figure } from '../lib/results.ts';
import type { Scenario } from '../lib/scenario.ts';
import { VALUE_BYTES } from '../lib/stage.ts';

const GROUP = asGroupId('00000001');
const ACTOR = makeActor(asRegionId('eu-central-1'), 'bench');
const keyedHash = hmacSha256(randomBytes(32));
const TURNS = 5;

const keyOf = (number: number): ItemKey => itemKey(GROUP, { collection: 'bench', pk: utf8(`k${number}`), sk: new Uint8Array(0) }, sha256);

/** A hundred bytes of value in the million, so that the scan is of records and not of disk blocks. */
function stateOf(number: number, bytes: Uint8Array): State {
  const dot = { actor: ACTOR, stamp: makeStamp(1_700_000_000_000 + number) };
  return { values: [{ dot, value: { bytes, contentType: 'application/octet-stream', hash: sha256(bytes).subarray(0, 8) } }], context: new Map([[dot.actor, dot.stamp]]), operations: NO_OPERATIONS };
}

export const keeping: Scenario = {
  rows: ['P10'],
  inProcess: ['P10'],
  async measure({ quick }) {
    const folder = mkdtempSync(join(tmpdir(), 'archipel-'));
    const clock = new NodeClock();
    const count = quick ? 50_000 : 1_000_000;
    const memory = memoryOf(count); // first: what others leave behind is given back whenever it pleases
    try {
      const store = await LevelStore.open({ folder: join(folder, 'db'), durability: 'sync', clock, log: { write: () => undefined } });
      const table = await LevelTable.open(store, keyedHash);
      const put = (number: number, bytes: Uint8Array): Promise<void> => table.update(keyOf(number), { decide: () => ({ result: undefined, commit: { state: stateOf(number, bytes), kind: 'local' } }) });

      const alone = 200;
      for (let at = 0; at < alone; at++) await put(at, randomBytes(VALUE_BYTES));
      const syncs = store.stats.groups / alone;

      const bytes = randomBytes(100);
      for (let from = 0; from < count; from += 1_000) await Promise.all(Array.from({ length: 1_000 }, (_, at) => put(from + at, bytes)));
      const [scanMs, rebuildMs] = [median(await turns(() => bareScan(store))), median(await turns(() => rebuild(table)))];
      await table.close();
      return { P10: figures({ syncs, scanMs, rebuildMs, count, memory }) };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function turns(task: () => Promise<void>): Promise<number[]> {
  const taken: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const from = performance.now();
    await task();
    taken.push(performance.now() - from);
  }
  return taken;
}

async function bareScan(store: LevelStore): Promise<void> {
  const prefix = Uint8Array.of(0x72);
  let bytes = 0;
  await store.scannable();
  for await (const [key, value] of store.database.iterator({ gte: prefix, lt: afterPrefix(prefix) as Uint8Array })) bytes += key.length + value.length;
  if (bytes === 0) throw new Error('Nothing was scanned.');
}

/** As the deep check does it: summed from the stored bytes, and compared with what was kept. */
async function rebuild(table: LevelTable): Promise<void> {
  const view = new DeepView(table, table.digests.lineMs, sha256, keyedHash);
  const summed = await view.partitions([{ group: GROUP, partitions: ALL_PARTITIONS }]);
  const kept = ALL_PARTITIONS.map((partition) => table.digests.partition(GROUP, partition));
  if (differingPositions(summed, kept).length > 0) throw new Error('The digests kept are not those of the bytes.');
}

/** One write adds an element and takes the old one out: a keyed hash and two exclusive ors. */
function upkeep(): number {
  const tree = new DigestTree();
  const keys = Array.from({ length: 1_000 }, (_, number) => keyOf(number));
  const states = keys.map((_, number) => stateOf(number, new Uint8Array(0)));
  const writes = 100_000;
  const work = (): void => {
    for (let at = 0; at < writes; at++) {
      const { encoded } = keys[at % 1_000] as ItemKey;
      tree.add(encoded[4] as number, leafOf(encoded), elementOf(encoded, states[at % 1_000], 0, keyedHash));
    }
  };
  work();
  const from = performance.now();
  work();
  return ((performance.now() - from) * 1_000) / writes;
}

/** All that is kept for as many keys, in bytes. */
function memoryOf(count: number): number {
  const used = (): number => process.memoryUsage().arrayBuffers;
  const before = used();
  const tree = new DigestTree();
  for (let number = 0; number < count; number++) tree.add(number % PARTITIONS, Math.floor(number / PARTITIONS) % 1_024, { high: number, low: number });
  const bytes = used() - before;
  return tree.partition(0) === undefined ? Number.NaN : bytes;
}

interface Measured {
  readonly syncs: number;
  readonly scanMs: number;
  readonly rebuildMs: number;
  readonly count: number;
  readonly memory: number;
}

function figures({ syncs, scanMs, rebuildMs, count, memory }: Measured): Figure[] {
  const allowedKb = (count / 1_000) * 0.064 + 13 * PARTITIONS;
  return [
    { name: 'syncs per write, alone', value: syncs, unit: 'x', yardstick: '200 writes, one after the other', floor: 1.01, goal: 1.01, better: 'lower' },
    { name: 'time per write', value: upkeep(), unit: 'us', goal: 3, better: 'lower' },
    { name: 'memory', value: memory / 1_000, unit: 'KB', yardstick: `${count.toLocaleString('en')} keys in ${PARTITIONS} partitions`, goal: allowedKb, better: 'lower' },
    { name: 'rebuild over bare scan', value: rebuildMs / scanMs, unit: 'x', yardstick: `${scanMs.toFixed(0)} ms to read, ${rebuildMs.toFixed(0)} ms to rebuild`, goal: 1.3, better: 'lower' },
  ];
}
