// Known bugs of a store, to see that a copy tells of each: a check that never fails proves nothing.

import type { Edit } from '../../../src/testing/controls.ts';

const BATCH = "this.#database.batch([...group.operations, ...sealed], { sync: this.#options.durability === 'sync' })";
const WRITES = `const written = ${BATCH};`;

export const CRASH_CONTROLS: readonly { readonly name: string; readonly edit: Edit }[] = [
  {
    name: 'acknowledged before it is synced',
    edit: { file: 'adapters/level/store.ts', find: "{ sync: this.#options.durability === 'sync' }", replace: '{ sync: false }' },
  },
  {
    name: 'acknowledged before it is handed to the operating system',
    edit: { file: 'adapters/level/store.ts', find: WRITES, replace: `for (const prepare of group.meanwhile) prepare()(); group.resolve(); const written = new Promise((resolve) => setTimeout(resolve, 2)).then(() => ${BATCH});` },
  },
  {
    name: 'an answer that was prepared is given before the disk has done',
    edit: { file: 'adapters/level/store.ts', find: 'const outcome = await begun.outcome;', replace: 'for (const answer of prepared) answer(); const outcome = await begun.outcome;' },
  },
  {
    name: 'the entry of the change log outside of the batch',
    edit: {
      file: 'adapters/level/store.ts',
      find: WRITES,
      replace: 'const written = this.#database.batch(group.operations, { sync: true }).then(() => new Promise((resolve) => setTimeout(resolve, 50))).then(() => this.#database.batch([...sealed], { sync: true }));',
    },
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
