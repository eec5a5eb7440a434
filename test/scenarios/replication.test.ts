import { describe, expect, it } from 'vitest';
import { AP, archipelago, EU, US } from './archipelago.ts';

describe('replication', () => {
  it('put in one region -> the same bytes in all', async () => {
    const regions = await archipelago();
    await regions.at(EU).put('demo', 'k', 'hello');
    await regions.converge();
    expect(await regions.at(US).get('demo', 'k')).toEqual(['hello']);
    await regions.expectEqual();
  });

  it('split all three, write everywhere, heal -> one winner, both losers in the ledgers', async () => {
    const regions = await archipelago();
    regions.network.cut(AP, EU);
    regions.network.cut(AP, US);
    regions.network.cut(EU, US);
    for (const id of regions.ids) await regions.at(id).put('demo', 'k', `of ${id}`);
    await regions.converge();
    regions.network.heal();
    await regions.converge();
    await regions.expectEqual();
    const rows = new Map((await Promise.all(regions.sites.map((site) => site.losses('demo')))).flat().map((row) => [row.id, row]));
    expect(rows.size).toBe(2);
  });
});
