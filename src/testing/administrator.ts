// Somewhere in a run, `sib` becomes `lww`: asked of one region after the other, until one has said yes.

import { Machine } from '../adapters/sim/machine.ts';
import { utf8 } from '../core/bytes.ts';
import type { SimCluster } from './cluster.ts';

const PATCH = { method: 'PATCH', target: '/v1/c/sib', headers: { 'content-type': 'application/merge-patch+json' }, body: utf8('{"conflict":"lww"}') } as const;

/** Within so long; `begins` before anybody is asked. */
export async function changePolicy(cluster: SimCluster, withinMs: number, begins: () => void): Promise<void> {
  const { world, regions } = cluster;
  const process = new Machine('administrator', world).boot();
  const random = world.random.stream('administrator');
  await process.wait(random.unit() * withinMs);
  cluster.wasChanged.add('sib');
  begins();
  for (let isDone = false; !isDone; ) {
    isDone = await cluster.ask(process, random.pick(regions).id, PATCH, 5_000).then(({ status }) => status === 200, () => false);
    await process.wait(500);
  }
  world.count('siblings became lww');
}
