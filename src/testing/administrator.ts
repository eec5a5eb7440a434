// Somewhere in a run, `sib` becomes `lww`: asked of one region after the other, until one has said yes.

import { Machine, type Process } from '../adapters/sim/machine.ts';
import type { SeededRandom } from '../adapters/sim/random.ts';
import { utf8 } from '../core/bytes.ts';
import type { SimCluster, SimRegion } from './cluster.ts';

const PATCH = { method: 'PATCH', target: '/v1/c/sib', headers: { 'content-type': 'application/merge-patch+json' }, body: utf8('{"conflict":"lww"}') } as const;

/** Within so long; `begins` before anybody is asked. */
export async function changePolicy(cluster: SimCluster, withinMs: number, begins: () => void): Promise<void> {
  const { world, regions } = cluster;
  const process = new Machine('administrator', world).boot();
  const random = world.random.stream('administrator');
  await process.wait(random.unit() * withinMs);
  cluster.wasChanged.add('sib');
  begins();
  await ask(cluster, process, random, regions);
  world.count('siblings became lww');
}

/** A change that is acknowledged is with one region, and may be lost with its disk: who made it sees that afterwards, and asks again. */
export async function renewPolicy(cluster: SimCluster): Promise<void> {
  const { world, regions } = cluster;
  if (regions.some(({ running }) => running?.region.catalog.conflictRule('sib') === 'lww')) return;
  world.count('change of policy lost with its region');
  await ask(cluster, new Machine('administrator', world).boot(), world.random.stream('administrator again'), regions);
}

async function ask(cluster: SimCluster, process: Process, random: SeededRandom, regions: readonly SimRegion[]): Promise<void> {
  for (let isDone = false; !isDone; ) {
    isDone = await cluster.ask(process, random.pick(regions).id, PATCH, 5_000).then(({ status }) => status === 200, () => false);
    await process.wait(500);
  }
}
