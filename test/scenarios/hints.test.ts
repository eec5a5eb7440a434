import { describe, expect, it } from 'vitest';
import { keyText, textKey } from '../../src/core/bytes.ts';
import { ArchipelError } from '../../src/core/errors.ts';
import type { ItemKey } from '../../src/core/keys/item-key.ts';
import { HINTS_PER_PEER_MAX } from '../../src/core/limits.ts';
import { Lane, type LaneParts } from '../../src/engine/lane.ts';
import { LIMITS } from '../../src/engine/limits.ts';
import type { Message } from '../../src/ports/queue.ts';
import { AP, archipelago, EU, lane, US, type Archipelago, type Site } from './archipelago.ts';

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

describe('hints', () => {
  it('peer down and no room for hints -> tried again now and then, and the region goes on; room again -> delivered', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.cut(EU, US);
    await regions.advance(5_000);
    const hints = eu.memory.hints(US);
    let tries = 0;
    hints.onSend = () => {
      tries++;
      if (tries < 500) throw new ArchipelError('storage-full', 'The disk is nearly full.');
      return [];
    };
    await eu.put('demo', 'k', 'v');
    await regions.advance(5_000);
    expect(tries).toBeGreaterThan(2);
    expect(tries).toBeLessThan(50);
    expect(await eu.rpo(US)).toMatchObject({ items: 1 });
    hints.onSend = () => [];
    regions.network.heal();
    await regions.converge();
    expect(await us.get('demo', 'k')).toEqual(['v']);
    expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
  });

  it('a hint that the queue does not accept -> not counted as kept, and tried again', async () => {
    const regions = await archipelago();
    const eu = regions.at(EU);
    regions.network.cut(EU, US);
    await regions.advance(5_000);
    const hints = eu.memory.hints(US);
    hints.onSend = (messages) => messages.map((_, at) => at).slice(1);
    await Promise.all(['a', 'b', 'c'].map((pk) => eu.put('demo', pk, pk)));
    await regions.advance(400);
    expect((await eu.rpo(US)).items).toBe(3);
    hints.onSend = () => [];
    await regions.advance(2_000);
    expect(await eu.rpo(US)).toEqual({ items: 3, exact: true });
    regions.network.heal();
    await regions.converge();
    await regions.expectEqual();
    expect(lane(eu, AP).stats.hinted).toBe(0);
  });

  it('an older and a newer write of an item are refused a hint, the older one first -> the newer one waits on, and is what is hinted', async () => {
    let isUp = true;
    let nowMs = 0;
    const arrival = Promise.withResolvers<Uint8Array>();
    const sends: { readonly names: readonly string[]; readonly outcome: PromiseWithResolvers<{ readonly refused: readonly number[] }> }[] = [];
    const hints = {
      supports: { deduplicates: true, exactDepth: true, messageBytesMax: 1_000 },
      depth: async () => 0,
      receive: async () => [],
      send: (messages: readonly Message[]) => {
        const outcome = Promise.withResolvers<{ readonly refused: readonly number[] }>();
        sends.push({ names: messages.map(({ body }) => keyText(body)), outcome });
        return outcome.promise;
      },
    };
    const link = { id: US, isUp: () => isUp, onReturn: () => undefined, ask: () => arrival.promise };
    const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs, after: () => () => undefined };
    const its = new Lane({ link, hints, clock, isGreeted: () => true, log: { write: () => undefined }, limits: LIMITS } as unknown as LaneParts);
    const done: number[] = [];
    const offer = (position: number): void => {
      its.owe('k', position);
      its.offer({ key: { encoded: textKey('k') } as ItemKey, name: 'k', state: new Uint8Array(10), position, committedMs: undefined, done: () => done.push(position) });
      its.wake();
    };
    offer(1); // on its way
    isUp = false;
    offer(2); // hinted at once
    await settled();
    arrival.reject(new ArchipelError('peer-unreachable', 'Gone.'));
    await settled();
    expect(sends.map(({ names }) => names)).toEqual([['k'], ['k']]);
    const [newer, older] = sends.map(({ outcome }) => outcome);
    older?.reject(new ArchipelError('storage-full', 'Full.'));
    await settled();
    newer?.reject(new ArchipelError('storage-full', 'Full.'));
    await settled();
    expect(done).toEqual([1]); // the newer one stands for it
    nowMs = 1_000;
    its.wake();
    await settled();
    sends.at(-1)?.outcome.resolve({ refused: [] });
    await settled();
    expect(done).toEqual([1, 2]);
    expect((await its.unreplicated()).items).toBe(0); // but for the hint, which these hints do not count
  });

  it('a peer is listed no longer while the hint of a message that failed is being written, or waits to be tried again -> not retired before that is over', async () => {
    let nowMs = 0;
    let isUp = true;
    const answer = Promise.withResolvers<Uint8Array>();
    let outcome = Promise.withResolvers<{ readonly refused: readonly number[] }>();
    const hints = { supports: { deduplicates: true, exactDepth: true, messageBytesMax: 1_000 }, depth: async () => 0, receive: async () => [], send: () => outcome.promise };
    const link = { id: US, isUp: () => isUp, onReturn: () => undefined, ask: () => answer.promise };
    const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs, after: () => () => undefined };
    const table = { document: async () => undefined, putDocument: async () => true };
    const its = new Lane({ link, hints, clock, table, isGreeted: () => true, log: { write: () => undefined }, limits: LIMITS } as unknown as LaneParts);
    its.owe('k', 1);
    its.offer({ key: { encoded: textKey('k') } as ItemKey, name: 'k', state: new Uint8Array(10), position: 1, committedMs: undefined, done: () => undefined });
    its.wake();
    expect(await its.retire()).toBe(false); // on its way
    isUp = false;
    answer.reject(new ArchipelError('peer-unreachable', 'Gone.'));
    await settled();
    expect(await its.retire()).toBe(false); // its hint is being written
    const retired = its.retire();
    outcome.reject(new ArchipelError('storage-full', 'Full.'));
    expect(await retired).toBe(false); // it waits to be tried again
    outcome = Promise.withResolvers();
    nowMs = 10_000;
    expect(await its.retire()).toBe(true);
  });

  it('a peer takes nothing for a minute (its disk is full) -> it is asked now and then, not for each hint; room again -> all is there within 20 s', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    us.memory.table.onUpdate = () => {
      throw new ArchipelError('storage-full', 'The disk is full.');
    };
    for (let at = 0; at < 200; at++) await eu.put('demo', `k${at}`, 'v'.padEnd(9_000, '.')); // six to a message
    await regions.advance(60_000);
    const asked = regions.network.count(EU, US, 'inbox');
    await regions.advance(10_000);
    expect(regions.network.count(EU, US, 'inbox') - asked).toBeLessThan(34); // all of them, once
    let left = 3;
    us.memory.table.onUpdate = () => {
      if (left-- > 0) throw new ArchipelError('storage-full', 'There is room in the middle of a message.');
    };
    await regions.advance(20_000);
    expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
    await regions.expectEqual();
  });

  it('one answer of several is lost while hints are forwarded -> its hints are sent again at once, and nobody waits', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.cut(EU, US);
    await regions.advance(5_000);
    const keys = Array.from({ length: 24 }, (_, at) => `k${at}`);
    for (const key of keys) await eu.put('demo', key, key.padEnd(10_000, '.'));
    await regions.advance(1_000);
    regions.network.heal();
    regions.network.hold(EU, US);
    while (regions.network.held.length < 4) await regions.advance(10);
    const [lost, ...others] = regions.network.held.splice(0);
    regions.network.loseAnswers(EU, US);
    await lost?.deliver();
    regions.network.heal();
    for (const message of others) await message.deliver();
    await regions.advance(20);
    expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
    expect(await us.get('demo', 'k23')).toHaveLength(1);
  });

  it('link cut for ten minutes -> a small probe every 500 ms all the same; healed -> delivered within a second', async () => {
    const regions = await archipelago();
    regions.network.cut(EU, US);
    await regions.at(EU).put('demo', 'k', 'v');
    await regions.advance(600_000);
    const before = regions.network.count(EU, US, 'hello');
    await regions.advance(20_000);
    expect(regions.network.count(EU, US, 'hello') - before).toBeGreaterThanOrEqual(38);
    regions.network.heal();
    await regions.advance(1_000);
    expect(await regions.at(US).get('demo', 'k')).toEqual(['v']);
  });
});

/** EU has given up `n` writes for US, whose hint queue is full. */
async function behindBy(n: number): Promise<{ regions: Archipelago; eu: Site; us: Site }> {
  const regions = await archipelago();
  const [eu, us] = [regions.at(EU), regions.at(US)];
  regions.network.cut(EU, US);
  await regions.advance(5_000);
  eu.memory.hints(US).ballast = HINTS_PER_PEER_MAX;
  for (let i = 0; i < n; i++) await eu.put('demo', `k${i}`, `v${i}`);
  await regions.advance(1_000);
  eu.memory.hints(US).ballast = 0;
  return { regions, eu, us };
}

describe('a peer that is behind', () => {
  it('full hint queue -> local writes go on, each is counted, the figure is an upper bound, and it is alarmed', async () => {
    const { eu } = await behindBy(3);
    expect(await eu.rpo(US)).toEqual({ items: 3, exact: false });
    expect(lane(eu, US).behind).toBe(3);
    expect(eu.logged('peer.behind')).toMatchObject([{ level: 'error', fields: { peer: US } }]);
  });

  it('killed and started again -> still behind, still not exact', async () => {
    const { regions, eu } = await behindBy(3);
    await eu.crash();
    await eu.start();
    await regions.converge();
    expect(await eu.rpo(US)).toEqual({ items: 3, exact: false });
  });

  it('no document can be written -> the log is not trimmed past the writes, and they are sent after a restart', async () => {
    const regions = await archipelago();
    const [eu, us] = [regions.at(EU), regions.at(US)];
    regions.network.cut(EU, US);
    await regions.advance(5_000);
    eu.memory.hints(US).ballast = HINTS_PER_PEER_MAX;
    eu.memory.table.onDocument = (name) => {
      if (name.startsWith('behind/')) throw new ArchipelError('storage-unavailable', 'The disk is gone.');
    };
    await eu.put('demo', 'k', 'v');
    await regions.advance(2_000);
    await eu.crash();
    eu.memory.hints(US).ballast = 0;
    regions.network.heal();
    await eu.start();
    await regions.converge();
    expect(await us.get('demo', 'k')).toEqual(['v']);
  });

  it('reconciled -> nothing is owed any more, and the figure is exact again', async () => {
    const { regions, eu, us } = await behindBy(3);
    regions.network.heal();
    await regions.converge();
    expect(await us.get('demo', 'k1')).toEqual([]);
    await regions.drive(eu.region.reconciler.run({ peers: [US] }).finished);
    expect(await us.get('demo', 'k1')).toEqual(['v1']);
    expect(await eu.rpo(US)).toEqual({ items: 0, exact: true });
    await regions.expectEqual();
  });

  it('a write given up after the comparison began to look -> its certificate does not count for it, whatever the clocks say', async () => {
    const { regions, eu } = await behindBy(1);
    const { reconciler, catalog } = eu.region;
    const groups = [...catalog.groups().keys()].map((group) => ({ group, partitions: catalog.shared(group, US).length }));
    const certified = (lookedAtMs: number | undefined, token: number): Promise<void> =>
      regions.drive(reconciler.certified({ regions: [EU, US], term: 1, epoch: 1, groups, digest: '0', deep: false, atMs: eu.region.time.nowMs() + 60_000, noDifferenceOlderThanMs: 2_000, token, ...(lookedAtMs === undefined ? {} : { lookedAtMs }) }));
    await certified(undefined, 1);
    await certified(99, 2); // nobody was asked then
    expect(lane(eu, US).behind).toBe(1);
    reconciler.lookedAt(US, 100);
    await lane(eu, US).mayLack(1);
    await certified(100, 3);
    await regions.advance(100);
    expect(lane(eu, US).behind).toBe(2);
    reconciler.lookedAt(US, 200);
    await certified(200, 4);
    await regions.until('the debt has ended', () => lane(eu, US).behind === 0);
  });

  it('what a peer comes to hold under a document that is not in force yet -> no comparison under the last one ends that', async () => {
    const { regions, eu } = await behindBy(1);
    regions.network.heal();
    await lane(eu, US).willLack(2);
    await regions.drive(eu.region.reconciler.run({ peers: [US] }).finished);
    expect(lane(eu, US).behind).toBe(2);
    lane(eu, US).hasComeToHold();
    await regions.drive(eu.region.reconciler.run({ peers: [US] }).finished);
    expect(lane(eu, US).behind).toBe(0);
  });
});
