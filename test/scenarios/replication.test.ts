// A write on its way: killed at every step, delivered twice, late and out of order, held back, paused.

import { afterEach, describe, expect, it } from 'vitest';
import { ArchipelError } from '../../src/core/errors.ts';
import { INBOX_BYTES_MAX, INBOX_RECORDS_MAX, MESSAGE_BYTES_PACKED } from '../../src/core/limits.ts';
import { encodeState } from '../../src/core/version/codec.ts';
import { decodeRecords, packed, sentBytes, unseal } from '../../src/engine/envelope.ts';
import { AP, archipelago, EU, lane, US, type Archipelago, type Site } from './archipelago.ts';
import { LevelDisk } from './disks.ts';

const cleanUp: Archipelago[] = [];
afterEach(async () => {
  for (const regions of cleanUp.splice(0)) await regions.end();
});

const isolated = (regions: Archipelago): void => {
  for (const a of regions.ids) for (const b of regions.ids) if (a < b) regions.network.cut(a, b);
};

/** Rows of all ledgers by id, and how many regions hold each. */
async function lossesByRow(regions: Archipelago, collection: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const site of regions.sites) for (const { id } of await site.losses(collection)) found.set(id, (found.get(id) ?? 0) + 1);
  return found;
}

const phases = ['memory', 'level'] as const;
const start = async (where: (typeof phases)[number]): Promise<Archipelago> => {
  const regions = await archipelago(where === 'level' ? { disk: () => new LevelDisk() } : {});
  cleanUp.push(regions);
  return regions;
};

describe('a message', () => {
  const record = (bytes: number) => ({ key: new Uint8Array(4), state: new Uint8Array(bytes - sentBytes({ key: new Uint8Array(4), state: new Uint8Array(0) })) });
  const parts = (...sizes: readonly number[]): number[] => [...packed(sizes.map(record), (each) => each)].map((part) => part.length);

  it('has as many records as fit, and one that does not fit alone', () => {
    expect(parts(MESSAGE_BYTES_PACKED - 1_000, 1_000)).toEqual([2]);
    expect(parts(MESSAGE_BYTES_PACKED - 1_000, 1_001)).toEqual([1, 1]);
    expect(parts(1_000, 3 * MESSAGE_BYTES_PACKED, 1_000)).toEqual([1, 1, 1]);
  });

  it('of a lane that is behind is full and no fuller, but for one large record', async () => {
    const regions = await start('memory');
    const eu = regions.at(EU);
    regions.network.hold(EU, US);
    for (let at = 0; at < 20; at++) await eu.put('demo', `k${at}`, 'x'.repeat(9_000));
    await eu.put('demo', 'large', 'x'.repeat(100_000));
    const held = (): number[][] => regions.network.held.filter(({ to }) => to === US).map(({ question }) => decodeRecords(unseal(question).body).map(sentBytes));
    while (held().flat().length < 21) {
      await Promise.all(regions.network.held.splice(0).map((message) => message.deliver()));
      await regions.advance(10);
      for (const sizes of held()) expect(sizes.length === 1 || sizes.reduce((sum, size) => sum + size, 0) <= MESSAGE_BYTES_PACKED).toBe(true);
      if (held().some((sizes) => sizes.some((size) => size > 100_000))) break;
    }
    expect(held().at(-1)).toHaveLength(1);
    regions.network.heal();
  });
});

describe('a crash', () => {
  for (const where of phases) {
    it(`${where}: between the commit and the sending -> owed exactly, and sent after the restart`, async () => {
      const regions = await start(where);
      const [eu, us] = [regions.at(EU), regions.at(US)];
      regions.network.hold(EU, US);
      regions.network.hold(EU, AP);
      for (const pk of ['a', 'b', 'c']) await eu.put('demo', pk, pk);
      await eu.crash();
      await eu.boot();
      expect(await eu.rpo(US)).toEqual({ items: 3, exact: true });
      expect(await eu.rpo(AP)).toEqual({ items: 3, exact: true });
      regions.network.heal();
      await regions.converge();
      expect(await us.get('demo', 'b')).toEqual(['b']);
      expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
      await regions.expectEqual();
    });

    it(`${where}: with hints and writes beyond them -> each item is owed once, at once after the restart`, async () => {
      const regions = await start(where);
      const eu = regions.at(EU);
      isolated(regions);
      await eu.put('demo', 'a', '1');
      await regions.advance(5_000);
      await eu.put('demo', 'a', '2');
      await eu.put('demo', 'b', '1');
      await eu.crash();
      await eu.boot();
      expect(await eu.rpo(US)).toEqual({ items: 2, exact: true });
      regions.network.heal();
      await regions.converge();
      await regions.expectEqual();
      expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
    });
  }

  for (const when of ['before', 'after'] as const) {
    it(`of the receiver ${when} it applies -> it arrives once it is back, and a loser is in the ledger once`, async () => {
      const regions = await start('memory');
      const [eu, us] = [regions.at(EU), regions.at(US)];
      isolated(regions);
      await us.put('demo', 'k', 'of us');
      await regions.advance(100);
      await eu.put('demo', 'k', 'of eu');
      await regions.converge();
      regions.network.once(EU, US, { method: 'inbox', [when]: () => us.crash() });
      regions.network.heal();
      await regions.advance(1_000);
      expect(us.isAlive).toBe(false);
      await us.start();
      await regions.converge();
      await regions.expectEqual();
      expect(await us.get('demo', 'k')).toEqual(['of eu']);
      expect((await lossesByRow(regions, 'demo')).size).toBe(1);
      expect(await us.ledger('demo')).toEqual(['of us lww']);
      expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
    });
  }

  it('of the sender while its message travels -> applied once, though it is sent again', async () => {
    const regions = await start('memory');
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.hold(EU, US);
    await eu.put('carts', 'k', 'v');
    await regions.advance(100);
    const [message] = regions.network.held;
    await eu.crash();
    await message?.deliver();
    regions.network.heal();
    await eu.start();
    await regions.converge();
    await message?.deliver();
    expect(await us.get('carts', 'k')).toEqual(['v']);
    await regions.expectEqual();
  });
});

describe('delivery', () => {
  it('every message late, twice and in reverse -> the newest stands, nothing is a loss', async () => {
    const regions = await start('memory');
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.hold(EU, US);
    for (let i = 0; i < 5; i++) {
      await eu.put('demo', 'k', `v${i}`);
      await eu.put('carts', 'k', `v${i}`, i === 0 ? {} : { context: (await eu.state('carts', 'k'))?.context ?? new Map() });
      await regions.advance(1_600); // each message is given up for hints before the next
    }
    const late = regions.network.held.splice(0);
    expect(late.length).toBeGreaterThan(3);
    regions.network.heal();
    for (const message of [...late].reverse()) await message.deliver();
    for (const message of late) await message.deliver();
    await regions.converge();
    expect([await us.get('demo', 'k'), await us.get('carts', 'k')]).toEqual([['v4'], ['v4']]);
    expect(await lossesByRow(regions, 'demo')).toEqual(new Map());
    await regions.expectEqual();
  });

  it('answers are lost -> hinted, sent again, applied once; owed until an answer came', async () => {
    const regions = await start('memory');
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.loseAnswers(EU, US);
    await eu.put('demo', 'k', 'v');
    await regions.advance(5_000);
    expect(await us.get('demo', 'k')).toEqual(['v']);
    expect(await eu.rpo(US)).toEqual({ items: 1, exact: true });
    regions.network.heal();
    await regions.converge();
    expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
  });

  it('a slow peer does not delay another, and its writes become hints', async () => {
    const regions = await start('memory');
    const [eu, ap] = [regions.at(EU), regions.at(AP)];
    regions.network.hold(EU, US);
    for (let i = 0; i < 20; i++) {
      await eu.put('demo', `k${i}`, 'v');
      await regions.advance(50);
    }
    expect(await ap.get('demo', 'k19')).toEqual(['v']);
    await regions.advance(5_000);
    expect(await lane(eu, US).hints()).toBe(20);
    expect(eu.memory.table.changes.trimmed()).toBeGreaterThan(0);
    expect((await eu.memory.table.changes.read(eu.memory.table.changes.trimmed(), 100)).entries).toEqual([]);
  });

  it('split three ways, write everywhere, heal -> siblings: one set of three; lww: one winner, each loser once', async () => {
    const regions = await start('memory');
    isolated(regions);
    for (const id of regions.ids) for (let i = 0; i < 10; i++) for (const collection of ['demo', 'carts']) await regions.at(id).put(collection, `k${i}`, `of ${id}`);
    await regions.converge();
    regions.network.heal();
    await regions.converge();
    await regions.expectEqual();
    for (let i = 0; i < 10; i++) expect(await regions.at(EU).get('carts', `k${i}`)).toHaveLength(3);
    expect((await lossesByRow(regions, 'demo')).size).toBe(20);
  });

  it('the ledger in both orders: a loser that is replaced and one that arrives late have one row, and the same id', async () => {
    const rows: string[][] = [];
    for (const first of [EU, US] as const) {
      const regions = await start('memory');
      const [eu, us, ap] = [regions.at(EU), regions.at(US), regions.at(AP)];
      isolated(regions);
      await eu.put('demo', 'k', 'smaller');
      await regions.advance(10);
      await us.put('demo', 'k', 'larger');
      for (const site of first === EU ? [eu, us] : [us, eu]) {
        const state = await site.state('demo', 'k');
        const record = { key: site.key('demo', 'k').encoded, state: encodeState(state as NonNullable<typeof state>) };
        for (let copy = 0; copy < 2; copy++) expect(await ap.region.applier.apply(site.id, [record])).toEqual(['applied']);
      }
      expect(await ap.get('demo', 'k')).toEqual(['larger']);
      expect(await ap.ledger('demo')).toEqual(['smaller lww']);
      rows.push((await ap.losses('demo')).map(({ id }) => id));
    }
    expect(rows[0]).toHaveLength(1);
    expect(rows[0]).toEqual(rows[1]);
  });

  it('a loser is restored -> it stands everywhere, and what it replaced is an ancestor, not a loss', async () => {
    const regions = await start('memory');
    isolated(regions);
    await regions.at(EU).put('demo', 'k', 'smaller');
    await regions.advance(10);
    await regions.at(US).put('demo', 'k', 'larger');
    await regions.converge();
    regions.network.heal();
    await regions.converge();
    const [row] = await regions.at(AP).losses('demo');
    await regions.at(AP).region.coordinator.restore(row?.id ?? '');
    await regions.converge();
    for (const site of regions.sites) expect(await site.get('demo', 'k')).toEqual(['smaller']);
    expect((await lossesByRow(regions, 'demo')).size).toBe(1);
    await regions.expectEqual();
  });
});

describe('back-pressure', () => {
  it('the inbox is full -> refused, and the sender keeps everything; room again -> all arrives', async () => {
    const regions = await start('memory');
    const [eu, us] = [regions.at(EU), regions.at(US)];
    const { table } = us.memory;
    const update = table.update.bind(table);
    const { promise: stuck, resolve: go } = Promise.withResolvers<void>();
    table.update = async (...given) => stuck.then(() => update(...given));
    await eu.put('demo', 'k', 'v');
    await regions.advance(10);
    const record = { key: eu.key('demo', 'k').encoded, state: encodeState((await eu.state('demo', 'k')) as NonNullable<Awaited<ReturnType<Site['state']>>>) };
    const most = us.region.applier.apply(EU, Array.from({ length: INBOX_RECORDS_MAX - 1 }, () => record));
    await expect(us.region.applier.apply(EU, [record])).rejects.toMatchObject({ code: 'overloaded' });
    await eu.put('demo', 'l', 'w');
    await regions.advance(2_000);
    expect((await eu.rpo(US)).items).toBe(2);
    table.update = update;
    go();
    await most;
    await regions.converge();
    expect(await us.get('demo', 'l')).toEqual(['w']);
    expect((await eu.rpo(US)).items).toBe(0);
  });

  it('more waits for a slow peer than an inbox may hold -> the rest becomes hints, nothing is forgotten', async () => {
    const regions = await start('memory');
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.hold(EU, US);
    const large = 'x'.repeat(300 * 1024);
    const count = Math.ceil(INBOX_BYTES_MAX / large.length) + 8;
    for (let i = 0; i < count; i++) await eu.put('demo', `k${i}`, large);
    await regions.advance(100);
    expect(await lane(eu, US).hints()).toBeGreaterThan(0);
    expect(await eu.rpo(US)).toMatchObject({ exact: true, items: count });
    regions.network.heal();
    regions.network.held.splice(0);
    await regions.advance(15_000);
    expect(await us.get('demo', `k${count - 1}`)).toEqual([large]);
    expect((await eu.rpo(US)).items).toBe(0);
  });
});

describe('pause', () => {
  it('holds back both directions of that side, over a restart, and is counted; resumed -> all arrives', async () => {
    const regions = await start('memory');
    const [eu, us] = [regions.at(EU), regions.at(US)];
    await eu.region.setPaused(US, true);
    await eu.put('demo', 'out', 'v');
    await us.put('demo', 'in', 'w');
    await regions.converge();
    expect([await us.get('demo', 'out'), await eu.get('demo', 'in')]).toEqual([[], []]);
    await eu.crash();
    await eu.start();
    await regions.converge();
    expect([await us.get('demo', 'out'), await eu.get('demo', 'in')]).toEqual([[], []]);
    expect((await eu.rpo(US)).items).toBe(1);
    expect((await us.rpo(EU)).items).toBe(1);
    expect(await regions.at(AP).get('demo', 'out')).toEqual(['v']);
    await eu.region.setPaused(US, false);
    await regions.advance(70_000);
    await regions.expectEqual();
  });

  it('two peers are paused at once -> both are after a restart', async () => {
    const regions = await start('memory');
    const eu = regions.at(EU);
    await Promise.all([eu.region.setPaused(US, true), eu.region.setPaused(AP, true)]);
    await eu.crash();
    await eu.start();
    expect([lane(eu, US).isPaused, lane(eu, AP).isPaused]).toEqual([true, true]);
  });
});

describe('what is said of a peer', () => {
  it('regions started together: one that is not up yet is no news; one that stays away is told once, and again when it was back', async () => {
    const regions = await start('memory');
    const eu = regions.at(EU);
    const told = (): unknown[] => eu.logged('peer.down').map(({ level, fields }) => [level, fields['peer']]);
    await eu.crash();
    regions.network.cut(EU, US);
    await eu.boot();
    await regions.advance(5_000);
    expect(told()).toEqual([]);
    await regions.advance(60_000);
    expect(told()).toEqual([['warn', US]]);
    regions.network.heal();
    await regions.advance(60_000);
    regions.network.cut(EU, US);
    await regions.advance(60_000);
    expect(told()).toEqual([['warn', US], ['warn', US]]);
  });
});

describe('waiting for others', () => {
  it('Replicate-To: answered with who holds it durably; the log carries it to the others all the same', async () => {
    const regions = await start('memory');
    const [ap, eu, us] = [regions.at(AP), regions.at(EU), regions.at(US)];
    regions.network.cut(EU, US);
    regions.network.hold(EU, AP);
    const { state } = await eu.put('demo', 'k', 'v');
    const held = await regions.drive(eu.region.coordinator.replicate(eu.key('demo', 'k'), state as NonNullable<typeof state>, { type: 'count', count: 2 }, 1_000));
    expect(held).toEqual([AP]);
    expect([await ap.get('demo', 'k'), await us.get('demo', 'k')]).toEqual([['v'], []]);
    regions.network.heal();
    await regions.converge();
    expect(await us.get('demo', 'k')).toEqual(['v']);
  });

  it('the peer cannot store it -> it does not count as holding it', async () => {
    const regions = await start('memory');
    const eu = regions.at(EU);
    regions.at(US).memory.table.onUpdate = () => {
      throw new ArchipelError('storage-full', 'The disk is nearly full.');
    };
    const { state } = await eu.put('demo', 'k', 'v');
    const held = await regions.drive(eu.region.coordinator.replicate(eu.key('demo', 'k'), state as NonNullable<typeof state>, { type: 'count', count: 2 }, 1_000));
    expect(held).toEqual([AP]);
  });
});
