// Known bugs of a store, to see that a copy tells of each: a check that never fails proves nothing.

import type { Edit } from '../../../src/testing/controls.ts';

const STORE = 'adapters/level/store.ts';
const APPEND = 'group.sequence = journal.append(group.operations);';
const PAUSE = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);';

export const CRASH_CONTROLS: readonly { readonly name: string; readonly edit: Edit; readonly ends?: 'process' }[] = [
  { name: 'acknowledged before it is synced', edit: { file: STORE, find: 'return this.#sync(journal, group);', replace: "return 'durable';" } },
  {
    name: 'acknowledged before it is handed to the operating system',
    edit: {
      file: STORE,
      find: APPEND,
      replace: `for (const prepare of group.meanwhile) prepare()(); group.resolve();
        return new Promise((resolve) => setTimeout(resolve, 2)).then(() => { group.sequence = journal.append(group.operations); journal.syncNow(); return 'durable'; });`,
    },
  },
  {
    name: 'an answer that was prepared is given before the disk has done',
    edit: { file: STORE, find: APPEND, replace: `${APPEND} for (const prepare of group.meanwhile) prepare()(); ${PAUSE}` },
  },
  {
    name: 'the entry of the change log outside of the group',
    edit: {
      file: STORE,
      find: 'group.operations.push(...(this.#owner?.seal(group.changes) ?? []));',
      replace: 'const sealed = this.#owner?.seal(group.changes) ?? []; setTimeout(() => { const sequence = this.#journal.append(sealed); this.#journal.syncNow(); this.#applier.give(sequence, sealed); }, 50);',
    },
  },
  {
    name: 'the journal is let go before LevelDB has it on the disk',
    edit: { file: 'adapters/level/applier.ts', find: 'const oldest = isPause ? Number.POSITIVE_INFINITY : (logs[0] ?? Number.POSITIVE_INFINITY);', replace: 'const oldest = Number.POSITIVE_INFINITY;' },
  },
  {
    name: 'LevelDB is told that it has a group before it has it',
    ends: 'process', // after a power cut it is given all that there is
    edit: { file: 'adapters/level/applier.ts', find: 'await this.#database.batch([...this.#applying.values(), appliedRow(sequence)], { sync: false });', replace: 'await this.#database.batch([appliedRow(sequence)], { sync: false }); await new Promise((resolve) => setTimeout(resolve, 5)); await this.#database.batch([...this.#applying.values()], { sync: false });' },
  },
  {
    name: 'the ledger row outside of the batch',
    edit: {
      file: 'adapters/level/table.ts',
      find: 'const operations = ledger?.operations ?? [];',
      replace: 'const operations: Operation[] = []; if (ledger !== undefined) void Promise.resolve().then(() => new Promise((resolve) => setImmediate(resolve))).then(() => this.#store.write({ operations: ledger.operations }));',
    },
  },
  {
    name: 'a checkpoint that claims one position too many',
    edit: { file: 'adapters/level/change-log.ts', find: 'new ByteWriter(4096).bytes(positionBytes(position))', replace: 'new ByteWriter(4096).bytes(positionBytes(position + 1))' },
  },
];
