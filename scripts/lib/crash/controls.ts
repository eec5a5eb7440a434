// Known bugs of a store, to see that a copy tells of each: a check that never fails proves nothing.

import type { Edit } from '../../../src/testing/controls.ts';

export const CRASH_CONTROLS: readonly { readonly name: string; readonly edit: Edit }[] = [
  {
    name: 'acknowledged before it is synced',
    edit: { file: 'adapters/level/store.ts', find: "{ sync: this.#options.durability === 'sync' }", replace: '{ sync: false }' },
  },
  {
    name: 'acknowledged before it is handed to the operating system',
    edit: { file: 'adapters/level/store.ts', find: 'const written = this.#database.batch(', replace: 'for (const prepare of group.meanwhile) prepare()(); group.resolve(); await new Promise((resolve) => setTimeout(resolve, 2)); const written = this.#database.batch(' },
  },
  {
    name: 'an answer that was prepared is given before the disk has done',
    edit: { file: 'adapters/level/store.ts', find: 'await written;', replace: 'for (const answer of prepared) answer(); await written;' },
  },
  {
    name: 'the entry of the change log outside of the batch',
    edit: {
      file: 'adapters/level/store.ts',
      find: 'const written = this.#database.batch([...group.operations, ...sealed], ',
      replace: 'await this.#database.batch(group.operations, { sync: true }); await new Promise((resolve) => setTimeout(resolve, 50)); const written = this.#database.batch([...sealed], ',
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
