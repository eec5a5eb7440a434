// The process that is stopped and copied: a region's table, queue and documents on LevelDB, written by many at once.
// What was acknowledged to one of them is noted in a file outside of the folder, only then; and, for each segment of the
// store's journal, how much of it a finished sync covers.
//
//   node writer.ts '{"folder","notes","durability","seed","isTrimming","isCompacting","edits"}'

import { openSync, writeSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { basename } from 'node:path';
import { SeededRandom } from '../../../src/adapters/sim/random.ts';
import { sabotage } from '../../../src/testing/sabotage.ts';
import type { Edit } from '../../../src/testing/controls.ts';

export interface WriterSetting {
  readonly folder: string;
  readonly notes: string;
  readonly durability: 'sync' | 'relaxed';
  readonly seed: number;
  /** Rows of the change log are deleted behind its reader. */
  readonly isTrimming: boolean;
  /** LevelDB is made to turn its log into tables now and then; by itself it does so after 16 MiB, which few copies see. */
  readonly isCompacting: boolean;
  /** A known bug: the test must catch it. */
  readonly edits: readonly Edit[];
}

const WRITERS = 32;
const COMPACT_EVERY = 15;

const setting = JSON.parse(process.argv[2] as string) as WriterSetting;
const put = sabotage({ name: 'crash test', what: '', edits: setting.edits, seed: 0 });
registerHooks(put.hooks);
// After the hooks: what these import may be changed by them.
const { LevelStore } = await import('../../../src/adapters/level/store.ts');
const { Journal } = await import('../../../src/adapters/level/journal.ts');
const { LevelTable } = await import('../../../src/adapters/level/table.ts');
const { LevelQueue } = await import('../../../src/adapters/level/queue.ts');
const { NodeClock } = await import('../../../src/adapters/node/clock.ts');
const { utf8 } = await import('../../../src/core/bytes.ts');
const { SILENT } = await import('../../../src/ports/log.ts');
const { NO_OPERATIONS } = await import('../../../src/core/version/operations.ts');
const { headDot } = await import('../../../src/core/version/record.ts');
const { ACTOR, digestHash, DOCUMENT, dotOf, ITEMS, keyOf, LATE_ACTOR, lossOf, nameOf, QUEUE, valueOf } = await import('./items.ts');
put.assertDone();

const random = new SeededRandom(setting.seed, 'crash');
const clock = new NodeClock();
const notes = openSync(setting.notes, 'a');
const note = (...words: readonly (string | number)[]): void => void writeSync(notes, `${words.join(' ')}\n`);

watchSyncs();
const store = await LevelStore.open({ folder: setting.folder, durability: setting.durability, clock, log: SILENT });
const table = await LevelTable.open(store, digestHash);
const queue = await LevelQueue.open(store, clock, QUEUE);
let numbers = 0;
let read = 0;
let housekeepings = 0;
table.changes.subscribe((entries) => (read = entries.at(-1)?.position ?? read));

/** What a power cut cannot take back: what was in a segment of the store's journal when a sync of it was begun that has ended. */
function watchSyncs(): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the journal that they were called on
  const { syncNow, sync } = Journal.prototype;
  const covered = (journal: InstanceType<typeof Journal>): (() => void) => {
    const { path, number, bytes } = journal.end;
    return () => note('synced', basename(path), `${number}:${bytes}`);
  };
  Object.assign(Journal.prototype, {
    syncNow(this: InstanceType<typeof Journal>): void {
      const done = covered(this);
      syncNow.call(this);
      done();
    },
    async sync(this: InstanceType<typeof Journal>): Promise<void> {
      const done = covered(this);
      await sync.call(this);
      done();
    },
  });
}

async function change(): Promise<void> {
  const name = nameOf(random.between(0, ITEMS - 1));
  const key = keyOf(name);
  const kind = random.pick(['one', 'one', 'one', 'one', 'one', 'two', 'expiring', 'late'] as const);
  const atMs = clock.wallMs();
  const done = await table.update<number>(key, {
    meanwhile: (number) => () => note('stored', name, number),
    decide: (current) => {
      const head = current === undefined ? undefined : headDot(current.state);
      const before = current?.state.values.find(({ dot }) => dot.stamp === head?.stamp);
      const after = Number(head?.stamp ?? 0);
      const number = ++numbers;
      if (kind === 'late') return { result: number, losses: [lossOf(key, dotOf(number, LATE_ACTOR), valueOf(name, number, 0), atMs)] };
      const expiresMs = kind === 'expiring' ? atMs + random.between(0, 500) : undefined;
      const dots = kind === 'two' ? [number, ++numbers] : [number];
      const values = dots.map((each) => ({ dot: dotOf(each), value: valueOf(name, each, after, expiresMs) }));
      const largest = dots.at(-1) as number;
      const state = { values, context: new Map([[ACTOR, dotOf(largest).stamp]]), operations: NO_OPERATIONS };
      const losses = before === undefined ? [] : [lossOf(key, before.dot, before.value, atMs)];
      return { result: largest, commit: { state, kind: random.chance(0.5) ? 'local' : 'applied' }, losses };
    },
  });
  if (kind === 'late') note('late', name, done);
}

async function hint(): Promise<void> {
  const number = ++numbers;
  await queue.send([{ key: utf8(String(number)), body: utf8(String(number)) }]);
  note('sent', number);
  if (random.chance(0.5)) return;
  const deliveries = await queue.receive(random.between(1, 5));
  for (const { body } of deliveries) note('taking', Buffer.from(body).toString());
  await queue.acknowledge(deliveries.map(({ receipt }) => receipt));
  for (const { body } of deliveries) note('taken', Buffer.from(body).toString());
}

async function document(): Promise<void> {
  const before = await table.document(DOCUMENT);
  const revision = (before?.revision ?? 0) + 1;
  if (await table.putDocument(DOCUMENT, utf8(`revision ${revision}`), before?.revision)) note('document', revision);
}

async function keepHouse(): Promise<void> {
  if (setting.isTrimming) table.changes.trim(Math.max(0, read - random.between(0, 50)));
  if (random.chance(0.05)) await table.changes.checkpoint();
  if (random.chance(0.1)) await table.digests.sweep(clock.wallMs());
  if (setting.isCompacting && ++housekeepings % COMPACT_EVERY === 0) await store.database.compactRange(Uint8Array.of(0), Uint8Array.of(0xff));
}

const forEver = async (task: () => Promise<void>): Promise<void> => {
  for (;;) {
    await task();
    if (random.chance(0.2)) await new Promise((resolve) => setImmediate(resolve));
  }
};

note('ready');
await Promise.all([...Array.from({ length: WRITERS }, () => forEver(change)), forEver(hint), forEver(document), forEver(async () => (await keepHouse(), new Promise((resolve) => setTimeout(resolve, 1))))]);
