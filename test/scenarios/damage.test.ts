// One thing that is broken, and does not stop the others: a record that cannot be read, a log that cannot, a byte that flipped.

import { describe, expect, it } from 'vitest';
import { ArchipelError } from '../../src/core/errors.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { MalformedError } from '../../src/core/version/codec.ts';
import type { ItemKey } from '../../src/core/keys/item-key.ts';
import { encodeRecords, seal } from '../../src/engine/envelope.ts';
import { AP, archipelago, EU, US, type Site } from './archipelago.ts';

const isKey = (pk: string) => (key: ItemKey): boolean => Buffer.from(key.pk).toString() === pk;
const unreadable = (pk: string) => (key: ItemKey): void => {
  if (isKey(pk)(key)) throw new MalformedError('Not a record of this store.');
};

/** Flips a bit of the stored value, behind the back of the engine. */
async function flip(site: Site, pk: string, collection = 'demo'): Promise<void> {
  await site.memory.table.update(site.key(collection, pk), {
    decide: (current) => {
      if (current === undefined) throw new Error('Nothing to flip.');
      const values = current.state.values.map(({ dot, value }) => ({ dot, value: { ...value, bytes: value.bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) } }));
      return { result: undefined, commit: { state: { ...current.state, values }, kind: 'applied' } };
    },
  });
}

describe('a record that cannot be read', () => {
  it('a state for it arrives -> it stays with its sender, no dead letter; readable again -> merged', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    us.memory.table.onUpdate = unreadable('k');
    await eu.put('demo', 'k', 'v');
    await eu.put('demo', 'other', 'w');
    await regions.advance(2_000);
    expect(await us.get('demo', 'other')).toEqual(['w']);
    expect(await us.memory.letters(EU).count()).toBe(0);
    expect(await eu.rpo(US)).toMatchObject({ items: 1 });
    us.memory.table.onUpdate = () => undefined;
    await regions.advance(60_000);
    expect(await us.get('demo', 'k')).toEqual(['v']);
    expect((await eu.rpo(US)).items).toBe(0);
  });

  it('it is among the hints for a peer -> the others are delivered, it waits and is tried again', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.cut(EU, US);
    await regions.advance(3_000);
    for (let i = 0; i < 5; i++) await eu.put('demo', `k${i}`, 'v');
    await regions.advance(1_000);
    eu.memory.table.onGet = unreadable('k2');
    regions.network.heal();
    await regions.advance(5_000);
    for (const i of [0, 1, 3, 4]) expect(await us.get('demo', `k${i}`)).toEqual(['v']);
    expect((await eu.rpo(US)).items).toBe(1);
    eu.memory.table.onGet = () => undefined;
    await regions.advance(60_000);
    expect(await us.get('demo', 'k2')).toEqual(['v']);
  });

  it('it is among the items that a comparison asks for -> the others are moved', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    regions.network.cut(AP, EU);
    await regions.advance(3_000);
    for (let i = 0; i < 3; i++) await eu.put('demo', `k${i}`, 'v');
    await regions.advance(3_000);
    const hints = eu.memory.hints(AP);
    await hints.acknowledge((await hints.receive(100)).map(({ receipt }) => receipt));
    eu.memory.table.onGet = unreadable('k1');
    regions.network.heal();
    await regions.advance(1_000);
    await regions.drive(ap.region.reconciler.run({ peers: [EU] }).finished);
    expect(await ap.get('demo', 'k0')).toEqual(['v']);
    expect(await ap.get('demo', 'k2')).toEqual(['v']);
    expect(await ap.get('demo', 'k1')).toEqual([]);
  });
});

describe('a flipped byte', () => {
  it('in a value that the other side lacks -> it is named, and not handed on', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    regions.network.cut(AP, EU);
    regions.network.cut(US, EU);
    await regions.advance(3_000);
    await eu.put('demo', 'k', 'value');
    await flip(eu, 'k');
    await regions.advance(3_000);
    for (const peer of [AP, US]) {
      const hints = eu.memory.hints(peer);
      await hints.acknowledge((await hints.receive(100)).map(({ receipt }) => receipt));
    }
    regions.network.heal();
    await regions.advance(1_000);
    const run = ap.region.reconciler.run({ peers: [EU] });
    await regions.drive(run.finished);
    expect(await ap.get('demo', 'k')).toEqual([]);
    const back = eu.region.reconciler.run({ peers: [AP] });
    await regions.drive(back.finished);
    expect(await ap.get('demo', 'k')).toEqual([]);
    expect(back.pairs[0]?.corrupt.map(({ key }) => key)).toEqual([eu.key('demo', 'k').encoded]);
    expect(back.pairs[0]?.certificate).toBeUndefined();
  });

  it('in a value that the other side holds -> the deep check names and heals it, from the side that is damaged', async () => {
    const regions = await archipelago();
    const eu = regions.at(EU);
    await eu.put('carts', 'k', 'value');
    await eu.put('carts', 'l', 'sound');
    await regions.converge();
    await flip(eu, 'k', 'carts');
    expect(await eu.get('carts', 'k')).not.toEqual(['value']);
    const run = eu.region.reconciler.run({ peers: [AP], deep: true });
    await regions.drive(run.finished);
    expect(run.pairs[0]?.corrupt.map(({ key }) => key)).toEqual([eu.key('carts', 'k').encoded]);
    expect(await eu.get('carts', 'k')).toEqual(['value']);
    expect(run.pairs[0]?.certificate?.deep).toBe(true);
  });
});

describe('the log cannot be read for a moment', () => {
  it('-> what was committed meanwhile is sent all the same', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    const { changes } = eu.memory.table;
    const read = changes.read.bind(changes);
    changes.read = () => Promise.reject(new ArchipelError('storage-unavailable', 'The store is being opened again.'));
    await eu.put('demo', 'k', 'v');
    await regions.advance(100);
    changes.read = read;
    await regions.advance(2_000);
    expect(await us.get('demo', 'k')).toEqual(['v']);
    expect((await eu.rpo(US)).items).toBe(0);
  });
});

describe('dead letters', () => {
  it('bytes that are no state -> kept aside with the reason, acknowledged, the others merged; replayed -> still dead, once', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    const good = eu.key('demo', 'good');
    await eu.put('demo', 'good', 'v');
    await regions.converge();
    const records = [{ key: good.encoded, state: Uint8Array.of(1, 255) }, { key: utf8('no key'), state: new Uint8Array([1]) }];
    const envelope = (regions.at(EU).region.links.get(US) as NonNullable<ReturnType<Site['region']['links']['get']>>).envelope();
    await us.region.door.answer('inbox', seal(envelope, encodeRecords(records)));
    expect(await us.memory.letters(EU).count()).toBe(2);
    expect((await us.memory.letters(EU).list(10)).map(({ reason }) => reason)).toEqual([expect.stringContaining('flags'), expect.stringContaining('Not a physical key')]);
    expect(await us.region.replayDeadLetters(EU)).toBe(0);
    expect(await us.memory.letters(EU).count()).toBe(2);
    expect(await us.get('demo', 'good')).toEqual(['v']);
  });
});
