// Rows of the ledger that one region alone would have. That region is lost for good while its live RPO reads 0, and what it
// had acknowledged is accounted for all the same.

import { afterEach, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { decodeKey } from '../../src/core/keys/item-key.ts';
import { OPERATIONS_MAX } from '../../src/core/limits.ts';
import { decodeState, MalformedError, NewerFormatError } from '../../src/core/version/codec.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { decodeLossRow, encodeLossRow, LOSS_FORMAT, lossIdIn, lossNameBytes } from '../../src/core/version/loss-row.ts';
import { makeStamp } from '../../src/core/version/stamp.ts';
import { decodeReceipts, encodeRecords } from '../../src/engine/envelope.ts';
import { lossId } from '../../src/engine/ledger.ts';
import type { PeerLink } from '../../src/engine/peer-link.ts';
import type { LossRow } from '../../src/ports/table.ts';
import { AP, archipelago, EU, lane, operation, US, type Archipelago, type ArchipelagoOptions, type Site } from './archipelago.ts';
import { LevelDisk } from './disks.ts';

const cleanUp: Archipelago[] = [];
afterEach(async () => {
  for (const regions of cleanUp.splice(0)) await regions.end();
});

const start = async (options: ArchipelagoOptions = {}): Promise<Archipelago> => {
  const regions = await archipelago(options);
  cleanUp.push(regions);
  return regions;
};

/** What it says that its peers lack. */
const owed = async (site: Site): Promise<number[]> => Promise.all([...site.region.lanes.keys()].map(async (peer) => (await site.rpo(peer)).items));

/** The item has taken so many operations that the first of them is forgotten; then that one comes again. */
async function lateOperation(site: Site, regions: Archipelago, text: string): Promise<void> {
  const first = operation('first', regions.clock.wallMs());
  for (let i = 0; i <= OPERATIONS_MAX; i++) {
    await regions.advance(10);
    await site.put('demo', 'k', `v${i}`, { operation: operation(`${i}`, regions.clock.wallMs()) });
  }
  const { decision } = await site.put('demo', 'k', text, { operation: first });
  expect(decision.type).toBe('superseded');
}

/** At EU, and nothing of EU arrives anywhere before a larger write of US has arrived there. */
async function beatenBeforeSent(regions: Archipelago): Promise<void> {
  for (const peer of [AP, US]) regions.network.hold(EU, peer);
  await regions.at(EU).put('demo', 'k', 'X');
  await regions.advance(5_000); // a hint by now: a key without its value
  await regions.at(US).put('demo', 'k', 'Y');
  await regions.until('EU has what beats its own', async () => (await regions.at(EU).get('demo', 'k')).includes('Y'));
  expect(await regions.at(EU).ledger('demo')).toEqual(['X lww']);
}

describe('a region is lost for good, its live RPO 0', () => {
  it('it had taken a late operation -> its row is in every other region', async () => {
    const regions = await start();
    await lateOperation(regions.at(EU), regions, 'late');
    await regions.converge();
    expect(await owed(regions.at(EU))).toEqual([0, 0]);
    await regions.at(EU).crash();
    for (const id of [AP, US]) expect(await regions.at(id).ledger('demo')).toEqual(['late late-operation']);
  });

  it('its write was beaten before it was sent -> its row is in every other region', async () => {
    const regions = await start();
    await beatenBeforeSent(regions);
    regions.network.heal();
    await regions.converge();
    expect(await owed(regions.at(EU))).toEqual([0, 0]);
    await regions.at(EU).crash();
    for (const id of [AP, US]) expect(await regions.at(id).ledger('demo')).toEqual(['X lww']);
  });

  it('it replaced what the writer had not seen -> its row is in every other region', async () => {
    const regions = await start();
    const eu = regions.at(EU);
    await eu.put('demo', 'k', 'seen');
    const seen = (await eu.state('demo', 'k'))?.context ?? new Map();
    await eu.put('demo', 'k', 'unseen');
    await eu.put('demo', 'k', 'next', { context: seen });
    await regions.converge();
    await eu.crash();
    for (const id of [AP, US]) expect(await regions.at(id).ledger('demo')).toEqual(['unseen lww']);
  });
});

describe('a row on its way', () => {
  it('counts as lacking until every holder has it, from before its writer is answered', async () => {
    const regions = await start();
    const eu = regions.at(EU);
    for (const peer of [AP, US]) regions.network.cut(EU, peer);
    await lateOperation(eu, regions, 'late');
    expect(await owed(eu)).toEqual([2, 2]); // the item, and the row
    await regions.advance(5_000);
    expect(await owed(eu)).toEqual([2, 2]);
    regions.network.heal();
    await regions.converge();
    expect(await owed(eu)).toEqual([0, 0]);
  });

  it('is sent once by who wrote the loser, and not sent on', async () => {
    const regions = await start();
    await beatenBeforeSent(regions);
    regions.network.heal();
    await regions.converge();
    for (const id of [AP, US]) expect(await regions.at(id).losses('demo')).toHaveLength(1);
    expect(regions.at(US).region.applier.stats.rows).toBe(1);
    expect((await regions.at(EU).losses('demo')).map(({ id }) => id)).toEqual((await regions.at(US).losses('demo')).map(({ id }) => id));
    expect(regions.at(EU).region.applier.stats.rows).toBe(0);
  });

  it('the region is killed before it is sent -> sent by its next life', async () => {
    const regions = await start();
    const eu = regions.at(EU);
    for (const peer of [AP, US]) regions.network.cut(EU, peer);
    await lateOperation(eu, regions, 'late');
    await eu.crash();
    regions.network.heal();
    await eu.start();
    await regions.converge();
    for (const id of [AP, US]) expect(await regions.at(id).ledger('demo')).toEqual(['late late-operation']);
    expect(await owed(eu)).toEqual([0, 0]);
  });

  it('on LevelDB: killed before it is sent, killed again with a hint of it -> sent, once', async () => {
    const regions = await start({ disk: () => new LevelDisk() });
    const eu = regions.at(EU);
    for (const peer of [AP, US]) regions.network.cut(EU, peer);
    await lateOperation(eu, regions, 'late');
    await eu.crash();
    await eu.start();
    await regions.until('all of it is hinted', async () => (await lane(eu, US).hints()) === 2);
    await eu.crash();
    regions.network.heal();
    await eu.start();
    await regions.until('nothing is owed', async () => (await owed(eu)).every((items) => items === 0));
    for (const id of [AP, US]) expect(await regions.at(id).ledger('demo')).toEqual(['late late-operation']);
  }, 60_000);

  it('the hints are full -> the item is given up and counted, the row is kept: no comparison would find it missing', async () => {
    const regions = await start();
    const eu = regions.at(EU);
    for (const peer of [AP, US]) regions.network.cut(EU, peer);
    await regions.advance(5_000);
    eu.memory.hints(US).ballast = 2_000_000;
    await lateOperation(eu, regions, 'late');
    await regions.advance(2_000);
    expect(lane(eu, US).behind).toBeGreaterThan(0);
    eu.memory.hints(US).ballast = 0;
    expect(await lane(eu, US).hints()).toBe(1);
    regions.network.heal();
    await regions.converge();
    expect(await regions.at(US).ledger('demo')).toEqual(['late late-operation']);
  });

  it('goes only to who holds the item', async () => {
    const regions = await start();
    await regions.collection('near', { regions: [EU, US], replicas: 2 });
    const eu = regions.at(EU);
    await eu.put('near', 'k', 'seen');
    const seen = (await eu.state('near', 'k'))?.context ?? new Map();
    await eu.put('near', 'k', 'unseen');
    await eu.put('near', 'k', 'next', { context: seen });
    await regions.converge();
    expect(await regions.at(US).ledger('near')).toEqual(['unseen lww']);
    expect(await regions.at(AP).ledger('near')).toEqual([]);
  });
});

describe('a row that arrives', () => {
  const rowOf = async (regions: Archipelago): Promise<LossRow> => {
    await lateOperation(regions.at(EU), regions, 'late');
    await regions.converge();
    const [row] = await regions.at(EU).losses('demo');
    return row as LossRow;
  };

  /** As a peer would send it. */
  const send = async (regions: Archipelago, to: RegionId, row: LossRow, key = row.key.encoded): Promise<string | undefined> => {
    const link = regions.at(EU).region.links.get(to) as PeerLink;
    return decodeReceipts(await regions.drive(link.ask('inbox', encodeRecords([{ key, state: encodeLossRow(row) }]))), 1)[0];
  };

  it('again -> taken, and nothing changes', async () => {
    const regions = await start();
    const row = await rowOf(regions);
    const before = await regions.at(US).losses('demo');
    expect(await send(regions, US, row)).toBe('applied');
    expect(await regions.at(US).losses('demo')).toEqual(before);
  });

  it('under the id of another, or of another item -> a dead letter, and nothing changes', async () => {
    const regions = await start();
    const row = await rowOf(regions);
    const other = regions.at(EU).key('demo', 'other');
    expect(await send(regions, US, { ...row, id: '0'.repeat(24) })).toBe('dead');
    expect(await send(regions, US, row, other.encoded)).toBe('dead');
    expect(await send(regions, US, { ...row, key: other })).toBe('dead');
    expect(await regions.at(US).losses('demo')).toHaveLength(1);
  });

  it('whose stamp is ahead of every clock -> it stays with its sender', async () => {
    const regions = await start();
    const row = await rowOf(regions);
    const dot = { ...row.dot, stamp: makeStamp(regions.clock.wallMs() + 3_600_000) };
    expect(await send(regions, US, { ...row, rule: 'lww', dot, id: lossId(row.key, dot, sha256) })).toBe('drift');
    expect(await regions.at(US).losses('demo')).toHaveLength(1);
  });

  it('survives its way, byte by byte; its name is told from every physical key', async () => {
    const regions = await start();
    const row = await rowOf(regions);
    const bytes = encodeLossRow(row);
    expect(encodeLossRow(decodeLossRow(bytes))).toEqual(bytes);
    expect(lossIdIn(lossNameBytes(row.id))).toBe(row.id);
    expect(decodeKey(lossNameBytes(row.id))).toBeUndefined();
    expect(lossIdIn(row.key.encoded)).toBeUndefined();
  });

  it('to a reader that knows of no rows is a later format: it stays with its sender; so does a row of a later release here', async () => {
    const regions = await start();
    const row = await rowOf(regions);
    const bytes = encodeLossRow(row);
    expect(() => decodeState(bytes)).toThrow(NewerFormatError);
    expect(() => decodeLossRow(Uint8Array.of(LOSS_FORMAT + 1, ...bytes.subarray(1)))).toThrow(NewerFormatError);
    for (const at of [1, 10, bytes.length - 1]) expect(() => decodeLossRow(bytes.subarray(0, at))).toThrow(MalformedError);
  });
});
