import { ManualClock } from '../../src/adapters/memory/clock.ts';
import { MemoryDeadLetters, MemoryQueue } from '../../src/adapters/memory/queue.ts';
import { MemoryTable } from '../../src/adapters/memory/table.ts';
import { keyedHash } from '../contract/make.ts';
import { queueContract } from '../contract/queue-suite.ts';
import { tableContract } from '../contract/table-suite.ts';

tableContract(
  'memory',
  async () => {
    const table = new MemoryTable(keyedHash);
    return { table, changes: table.changes, close: async () => undefined };
  },
  [
    { name: /^reopen/, reason: 'memory is not durable' },
    { name: /may be changed afterwards/, reason: 'memory keeps the very objects it is given' },
  ],
);

queueContract(
  'memory',
  async () => {
    const clock = new ManualClock();
    return { queue: new MemoryQueue(clock), letters: new MemoryDeadLetters(), advance: (ms) => clock.advance(ms), visibilityMs: 10_000, close: async () => undefined };
  },
  [{ name: /^reopen/, reason: 'memory is not durable' }],
);
