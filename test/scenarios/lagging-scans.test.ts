// Tables that keep no digests (DynamoDB) are compared by scans, and the first may lag: it shows each item as it was at some
// moment of the last minute.

import { describe, expect, it } from 'vitest';
import { compareBytes } from '../../src/core/bytes.ts';
import { PARTITIONS } from '../../src/core/limits.ts';
import type { PairReport } from '../../src/engine/certificate.ts';
import { encodeQuestion } from '../../src/engine/digest-protocol.ts';
import type { RunRequest } from '../../src/engine/reconciler.ts';
import { SCAN_LAG_MS_MAX, type StoredItem } from '../../src/ports/table.ts';
import { AP, archipelago, EU, lane, type Archipelago, type Site } from './archipelago.ts';

/** A table without digests, and how it is scanned. */
class Scanned {
  readonly scans: ('may lag' | 'as it is')[] = [];
  readonly #site: Site;
  #before: readonly StoredItem[] | undefined;

  constructor(site: Site) {
    this.#site = site;
    const { table } = site;
    const scan = table.scan.bind(table);
    Object.defineProperty(table, 'digests', { value: undefined });
    table.scan = (query) => {
      this.scans.push(query.mayLag === true ? 'may lag' : 'as it is');
      if (query.mayLag !== true || this.#before === undefined) return scan(query);
      const items = this.#before.filter(({ key }) => key.group === query.group && key.encoded[4] === query.partition);
      return Promise.resolve({ items: items.sort((one, other) => compareBytes(one.key.encoded, other.key.encoded)) });
    };
  }

  /** From now on, and until it has caught up, what may lag shows the table as it is now. */
  async lag(): Promise<void> {
    const { table, region } = this.#site;
    const all = [...region.catalog.groups().keys()].flatMap((group) => Array.from({ length: PARTITIONS }, (_, partition) => table.scan({ group, partition, limit: 1_000, bytesMax: 1 << 30 })));
    this.#before = (await Promise.all(all)).flatMap(({ items }) => items);
    this.scans.length = 0;
  }

  catchUp(): void {
    this.#before = undefined;
  }
}

interface Pair {
  readonly regions: Archipelago;
  readonly ap: Site;
  readonly eu: Site;
  readonly scanned: readonly [Scanned, Scanned];
}

async function pair(): Promise<Pair> {
  const regions = await archipelago();
  const [ap, eu] = [regions.at(AP), regions.at(EU)];
  await eu.put('demo', 'same', 'v');
  await regions.converge();
  return { regions, ap, eu, scanned: [new Scanned(ap), new Scanned(eu)] };
}

async function checked({ regions, ap, scanned }: Pair, request: RunRequest = {}): Promise<PairReport> {
  for (const { scans } of scanned) scans.length = 0;
  const run = ap.region.reconciler.run({ peers: [EU], deep: true, ...request });
  await regions.drive(run.finished);
  expect(run.error).toBeUndefined();
  return run.pairs[0] as PairReport;
}

/** The write of one that the other is never told of. */
async function untold({ regions, eu }: Pair, pk: string): Promise<void> {
  regions.network.cut(AP, EU);
  await regions.advance(3_000);
  await eu.put('demo', pk, 'untold');
  await regions.advance(1_000);
  const hints = eu.memory.hints(AP);
  await hints.acknowledge((await hints.receive(100)).map(({ receipt }) => receipt));
  regions.network.heal();
  await regions.advance(1_000);
}

const kinds = ({ scanned }: Pair): string[][] => scanned.map(({ scans }) => [...new Set(scans)]);

describe('scans that may lag', () => {
  it('equal regions -> each partition is scanned once, and may lag; the certificate says so by its time', async () => {
    const both = await pair();
    const report = await checked(both);
    expect(report).toMatchObject({ differing: 0, certificate: { deep: true } });
    expect(report.certificate?.noDifferenceOlderThanMs).toBeGreaterThanOrEqual(SCAN_LAG_MS_MAX);
    expect(kinds(both)).toEqual([['may lag'], ['may lag']]);
    expect(both.scanned.map(({ scans }) => scans.length)).toEqual([2 * PARTITIONS, 2 * PARTITIONS]);
  });

  it('what differs is scanned again as it is, and only that', async () => {
    const both = await pair();
    await untold(both, 'k');
    await both.regions.advance(5_000);
    expect(await checked(both)).toMatchObject({ differing: 1, pulled: 1, certificate: { deep: true } });
    expect(await both.ap.get('demo', 'k')).toEqual(['untold']);
    for (const { scans } of both.scanned) {
      expect(scans.filter((each) => each === 'may lag')).toHaveLength(2 * PARTITIONS);
      expect(scans.filter((each) => each === 'as it is')).toHaveLength(2); // once to name it, once to see that it is gone
    }
  });

  it('one side lags behind what has arrived -> a difference that is none: nothing is named, counted or moved', async () => {
    const both = await pair();
    await both.scanned[0].lag();
    await both.eu.put('demo', 'k', 'has arrived');
    await both.regions.advance(5_000);
    expect(await checked(both)).toMatchObject({ differing: 0, pulled: 0, pushed: 0, differingKeys: [], equal: true, certificate: { deep: true } });
    expect(kinds(both)).toEqual([['may lag', 'as it is'], ['may lag', 'as it is']]);
  });

  it('it hides a write that the other lacks -> the certificate denies nothing that young, and the next check moves it', async () => {
    const both = await pair();
    await both.scanned[1].lag();
    const beganMs = both.regions.clock.wallMs();
    await untold(both, 'k');
    await both.regions.advance(30_000);
    const { differing, certificate } = await checked(both);
    const hiddenMs = both.regions.clock.wallMs() - beganMs;
    expect([differing, hiddenMs < SCAN_LAG_MS_MAX]).toEqual([0, true]);
    expect(certificate?.noDifferenceOlderThanMs).toBeGreaterThan(hiddenMs);
    both.scanned[1].catchUp();
    expect(await checked(both)).toMatchObject({ differing: 1, pulled: 1 });
    expect(await both.ap.get('demo', 'k')).toEqual(['untold']);
  });

  it('what the other side has scanned for such a question answers no other', async () => {
    const both = await pair();
    const partitions = [...both.ap.region.catalog.groups().keys()].map((group) => ({ group, partition: 0 }));
    const atMs = both.regions.clock.wallMs();
    for (const mayLag of [true, true, false]) {
      const question = encodeQuestion({ type: 'branches', deep: true, mayLag, atMs, partitions });
      await both.regions.drive(both.ap.region.links.get(EU)?.ask('digest', question) ?? Promise.reject(new Error('no link')));
    }
    expect(both.scanned[1].scans).toEqual(['may lag', 'may lag', 'as it is', 'as it is']);
  });

  it('a region that takes back what it had, one that owes writes to the other, and one that joins -> nothing may lag', async () => {
    const both = await pair();
    await checked(both, { hasty: true });
    expect(kinds(both)).toEqual([['as it is'], ['as it is']]);
    await both.regions.drive(lane(both.ap, EU).mayLack(1));
    expect((await checked(both)).certificate?.noDifferenceOlderThanMs).toBeLessThan(SCAN_LAG_MS_MAX);
    expect([kinds(both), lane(both.ap, EU).behind]).toEqual([[['as it is'], ['as it is']], 0]);
    await checked(both);
    expect(kinds(both)).toEqual([['may lag'], ['may lag']]);
    await both.regions.drive(both.ap.region.topology.offer(both.regions.topology({ [EU]: 'joining' }, { epoch: 2 })));
    await checked(both);
    expect(kinds(both)).toEqual([['as it is'], ['as it is']]);
  });
});
