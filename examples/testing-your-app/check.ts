// The test of the cart: devices in three regions add and take out lines at moments that the seed chooses, while the network
// is slow and cut now and then. At the end everybody sees what was added and not taken out.

import assert from 'node:assert/strict';
import { withCluster } from 'archipel/testing';
import { Cart, type Merge } from './cart.ts';

const LINES_EACH = 3;

export async function checkCart(seed: number, merge: Merge): Promise<void> {
  await withCluster({ seed, faults: ['delays', 'splits'], collections: { carts: { conflict: 'siblings' } } }, async (cluster) => {
    const inCart = new Set<string>();
    const shop = async (region: string): Promise<void> => {
      const cart = new Cart(cluster.client(region), 'alice', merge);
      for (let at = 1; at <= LINES_EACH; at++) {
        const id = `${region} ${at}`;
        await cart.add(id, { item: cluster.random.pick(['apples', 'bread', 'milk']), count: 1 });
        inCart.add(id);
        await cluster.wait(cluster.random.unit() * 2_000);
        if (!cluster.random.chance(0.5)) continue;
        await cart.remove(id);
        inCart.delete(id);
      }
    };
    await cluster.together(cluster.regions.map((region) => () => shop(region)));
    await cluster.converge();
    for (const region of cluster.regions) {
      const lines = await new Cart(cluster.client(region), 'alice', merge).lines();
      assert.deepEqual(Object.keys(lines).sort(), [...inCart].sort(), `the cart as ${region} shows it`);
    }
  });
}
