import { Machine } from '../../src/adapters/sim/machine.ts';
import { SimDeadLetters, SimQueue } from '../../src/adapters/sim/queue.ts';
import { SimStore } from '../../src/adapters/sim/store.ts';
import { SimTable, type TableFaults } from '../../src/adapters/sim/table.ts';
import { World } from '../../src/adapters/sim/world.ts';
import { keyedHash } from '../contract/make.ts';
import { queueContract, type QueueUnderTest } from '../contract/queue-suite.ts';
import { tableContract, type TableUnderTest } from '../contract/table-suite.ts';

/** Virtual time goes on by itself while a suite that knows nothing of it waits for promises. */
function letTimePass(world: World): () => Promise<void> {
  let isOver = false;
  const running = (async () => {
    while (!isOver) await world.run(world.nowMs + 1);
  })();
  return async () => {
    isOver = true;
    await running;
  };
}

const STORE = { syncMs: 1, failedSyncs: 0, relaxed: false };
const SETTINGS: readonly TableFaults[] = [
  { decisions: 'serial', attempts: false, slowReads: 0, readMs: 0 },
  { decisions: 'optimistic', attempts: true, slowReads: 0.5, readMs: 1 },
];

for (const faults of SETTINGS) {
  const start = (machine: Machine, end: () => Promise<void>): TableUnderTest => {
    const process = machine.boot();
    const random = machine.world.random.stream(process.name);
    const table = new SimTable(process, new SimStore(process, STORE, random), { faults, random, keyedHash });
    return {
      table,
      changes: table.changes,
      reopen: async () => {
        machine.kill();
        return start(machine, end);
      },
      close: end,
    };
  };
  tableContract(`sim, ${faults.decisions}`, async () => {
    const world = new World(1);
    return start(new Machine('region', world), letTimePass(world));
  }, [{ name: /may be changed afterwards/, reason: 'the simulation keeps the very objects it is given' }]);
}

const startQueue = (machine: Machine, end: () => Promise<void>): QueueUnderTest => {
  const process = machine.boot();
  const random = machine.world.random.stream(process.name);
  const store = new SimStore(process, STORE, random);
  return {
    queue: new SimQueue(process, store, random, 'hints'),
    letters: new SimDeadLetters(process, store, 'peer'),
    advance: (ms) => machine.world.pause(ms),
    visibilityMs: 10_000,
    reopen: async () => {
      machine.kill();
      return startQueue(machine, end);
    },
    close: end,
  };
};

queueContract('sim', async () => {
  const world = new World(1);
  return startQueue(new Machine('region', world), letTimePass(world));
});
