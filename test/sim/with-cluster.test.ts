// `archipel/testing` as a user's test sees it.

import { describe, expect, it, onTestFinished } from 'vitest';
import { forSeeds, NotDeterministicError, withCluster, type TestCluster } from 'archipel/testing';

const TIMEOUT = { timeout: 300_000 };
const ITEM = { collection: 'demo', pk: 'greeting' };
const demo = { collections: { demo: { conflict: 'lww' } } } as const;

async function textAt(cluster: TestCluster, region: string): Promise<string | undefined> {
  const read = await cluster.client(region).get(ITEM);
  return read.type === 'value' ? new TextDecoder().decode(read.bytes) : undefined;
}

describe('withCluster', () => {
  it('split one region, write on both sides, converge -> one value everywhere, the other in the ledger', TIMEOUT, async () => {
    await withCluster({ seed: 1, ...demo }, async (cluster) => {
      const [first = '', second = ''] = cluster.regions;
      cluster.split(first);
      await cluster.client(first).put(ITEM, 'one');
      await cluster.client(second).put(ITEM, 'two');
      expect(await textAt(cluster, first)).toBe('one');
      await cluster.converge();
      const values = await Promise.all(cluster.regions.map((region) => textAt(cluster, region)));
      expect(new Set(values).size).toBe(1);
      const { items } = await cluster.client(first).conflicts('demo');
      expect(items).toHaveLength(1);
    });
  });

  it('crash a region: its client is told, the edge goes elsewhere, and what it had acknowledged is there again', TIMEOUT, async () => {
    await withCluster({ seed: 2, faults: [], ...demo }, async (cluster) => {
      const [region = ''] = cluster.regions;
      await cluster.client(region).put(ITEM, 'before');
      cluster.crash(region);
      await expect(cluster.client(region).get(ITEM, { timeoutMs: 2_000 })).rejects.toMatchObject({ code: 'no-region-available' });
      const { servedBy } = await cluster.edgeClient(region).get(ITEM);
      expect(servedBy.region).not.toBe(region);
      await cluster.restart(region);
      expect(await textAt(cluster, region)).toBe('before');
    });
  });

  it('a split that stays keeps it from settling, and the error says how long it waited', TIMEOUT, async () => {
    await withCluster({ seed: 3, regions: 2, faults: [], ...demo }, async (cluster) => {
      const [region = ''] = cluster.regions;
      cluster.split(region);
      await cluster.client(region).put(ITEM, 'alone');
      await expect(cluster.settle()).rejects.toThrow('not within 150000 ms of virtual time');
    });
  });

  it('the same seed gives the same run, another one another', TIMEOUT, async () => {
    const traceOf = async (seed: number): Promise<string> => {
      const lines: string[] = [];
      await withCluster({ seed, faults: ['delays', 'loss', 'copies', 'splits', 'crashes', 'freezes'], ...demo, trace: (line) => lines.push(line) }, async (cluster) => {
        await cluster.together(cluster.regions.map((region, at) => () => cluster.edgeClient(region).put(ITEM, `${at}`, { timeoutMs: 60_000 }).catch(() => undefined)));
        await cluster.converge();
      });
      return lines.join('\n');
    };
    const first = await traceOf(4);
    expect(await traceOf(4)).toBe(first);
    expect(await traceOf(5)).not.toBe(first);
  });

  it('the task has no clock but the virtual one, and its errors come out', TIMEOUT, async () => {
    await expect(withCluster({ seed: 1, regions: 2 }, async () => Date.now())).rejects.toThrow(NotDeterministicError);
    const waitedMs = await withCluster({ seed: 1, regions: 2 }, async ({ clock }) => {
      const beginMs = clock.monotonicMs();
      await new Promise<void>((resolve) => clock.after(360_000, resolve));
      return clock.monotonicMs() - beginMs;
    });
    expect(waitedMs).toBeCloseTo(360_000, 0);
    expect(Date.now()).toBeGreaterThan(0);
  });

  it('a task that waits for something outside is given up', TIMEOUT, async () => {
    await expect(withCluster({ seed: 1, regions: 2, limitMs: 5_000 }, () => new Promise(() => undefined))).rejects.toThrow('does it wait for something outside of the simulation?');
  });

  it('refuses what is no option', async () => {
    const nothing = async (): Promise<void> => undefined;
    await expect(withCluster({ seed: -1 }, nothing)).rejects.toThrow(TypeError);
    await expect(withCluster({ seed: 1, regions: 6 }, nothing)).rejects.toThrow(TypeError);
    await expect(withCluster({ seed: 1, regions: 1 }, nothing)).rejects.toThrow(TypeError);
    await expect(withCluster({ seed: 1, regions: 2 }, async (cluster) => cluster.client('mars'))).rejects.toThrow(TypeError);
  });
});

describe('forSeeds', () => {
  it('names the seed that failed, and runs only that one when asked', async () => {
    const seen: number[] = [];
    const test = async (seed: number): Promise<void> => {
      seen.push(seed);
      if (seed === 3) throw new Error('three');
    };
    await expect(forSeeds(5, test)).rejects.toThrow(/^seed 3: three\n {2}ARCHIPEL_SEED=3/);
    expect(seen).toEqual([1, 2, 3]);
    process.env['ARCHIPEL_SEED'] = '7';
    onTestFinished(() => void delete process.env['ARCHIPEL_SEED']);
    await forSeeds(5, test);
    expect(seen.at(-1)).toBe(7);
  });
});
