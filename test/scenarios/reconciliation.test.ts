// Reconciliation: what it proves, what it moves, when it runs, and what it does beside writes, other runs and broken clocks.

import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import type { ItemKey } from '../../src/core/keys/item-key.ts';
import { LEASE_MS } from '../../src/core/limits.ts';
import { ZERO_SUM } from '../../src/core/merkle/digest.ts';
import { NO_OPERATIONS } from '../../src/core/version/operations.ts';
import { makeStamp } from '../../src/core/version/stamp.ts';
import type { Value } from '../../src/core/version/record.ts';
import { COLLECTIONS } from '../../src/engine/catalog.ts';
import { jsonValue } from '../../src/engine/collections.ts';
import { decodeQuestion, encodeQuestion } from '../../src/engine/digest-protocol.ts';
import { seal, unseal } from '../../src/engine/envelope.ts';
import type { Run, RunRequest } from '../../src/engine/reconciler.ts';
import { AP, archipelago, EU, US, valueOf, type Archipelago, type Site } from './archipelago.ts';

/** EU holds these items and AP does not: their hints are lost. */
async function differ(regions: Archipelago, keys: readonly string[], { text = 'v', collection = 'demo' } = {}): Promise<void> {
  const eu = regions.at(EU);
  regions.network.cut(AP, EU);
  await regions.advance(3_000);
  for (const pk of keys) await eu.put(collection, pk, text);
  await regions.advance(1_000);
  await loseHints(eu);
  regions.network.heal();
  await regions.advance(1_000);
}

/** Of a question between regions, what an earlier release understands. */
function asBefore(question: Uint8Array): Uint8Array {
  const { envelope, body } = unseal(question);
  const asked = decodeQuestion(body);
  if (asked.type === 'sketch' || (asked.type === 'stretches' && asked.stretches.some(({ mine }) => mine.type === 'sums'))) throw new RangeError('Unknown question.');
  return seal(envelope, asked.type === 'root' ? encodeQuestion({ ...asked, withSketch: false }) : body);
}

async function loseHints(site: Site, peer = AP): Promise<void> {
  const hints = site.memory.hints(peer);
  await hints.acknowledge((await hints.receive(10_000)).map(({ receipt }) => receipt));
  expect(await hints.depth()).toBe(0);
}

async function run(regions: Archipelago, site: Site, request: RunRequest): Promise<Run> {
  const begun = site.region.reconciler.run(request);
  await regions.drive(begun.finished);
  return begun;
}

describe('a comparison', () => {
  it('of equal regions is one question and ends in a certificate that both sides keep, over a restart', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await ap.put('demo', 'k', 'v');
    await regions.converge();
    const { pairs, state } = await run(regions, eu, { peers: [AP] });
    expect([state, pairs[0]?.requests, pairs[0]?.equal]).toEqual(['done', 1, true]);
    expect(pairs[0]?.certificate).toMatchObject({ regions: [AP, EU], term: 1, epoch: 1, deep: false, noDifferenceOlderThanMs: 2_000 });
    expect(ap.region.reconciler.lastCertificate(EU)).toEqual(pairs[0]?.certificate);
    await ap.crash();
    await ap.start();
    expect(ap.region.reconciler.lastCertificate(EU)).toEqual(pairs[0]?.certificate);
  });

  it('moves what differs, only that, and says so', async () => {
    const regions = await archipelago();
    for (let i = 0; i < 50; i++) await regions.at(AP).put('demo', `same${i}`, 'v');
    await differ(regions, ['a', 'b', 'c']);
    await regions.advance(2_500);
    const { pairs } = await run(regions, regions.at(AP), { peers: [EU] });
    expect(pairs[0]).toMatchObject({ differing: 3, pulled: 3, equal: true, rounds: 2 });
    expect(pairs[0]?.pushed).toBeLessThanOrEqual(3);
    await regions.expectEqual(AP, EU);
  });

  it('in which more differs than the first sketch can name asks for a larger one', async () => {
    const regions = await archipelago();
    for (let i = 0; i < 50; i++) await regions.at(AP).put('demo', `same${i}`, 'v');
    await differ(regions, Array.from({ length: 700 }, (_, i) => `k${i}`));
    await regions.advance(2_500);
    const { pairs } = await run(regions, regions.at(AP), { peers: [EU] });
    expect(pairs[0]).toMatchObject({ differing: 700, pulled: 700, equal: true, rounds: 3 });
    await regions.expectEqual(AP, EU);
  });

  it('of an item of which both have a value of their own -> each gets the other\'s, once', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await differ(regions, ['k'], { text: 'theirs', collection: 'carts' });
    regions.network.cut(AP, EU);
    await regions.advance(3_000);
    await ap.put('carts', 'k', 'mine');
    await regions.advance(1_000);
    await loseHints(ap, EU);
    regions.network.heal();
    await regions.advance(2_500);
    const { pairs } = await run(regions, ap, { peers: [EU] });
    expect(pairs[0]).toMatchObject({ differing: 1, pulled: 1, pushed: 1, equal: true });
    expect([await ap.get('carts', 'k'), await eu.get('carts', 'k')].map((values) => values.sort())).toEqual([['mine', 'theirs'], ['mine', 'theirs']]);
  });

  it('of what the peer has deleted, or never heard of -> both hold the delete, and the item', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await ap.put('demo', 'deleted', 'v');
    await regions.converge();
    regions.network.cut(AP, EU);
    await regions.advance(3_000);
    await eu.delete('demo', 'deleted');
    await ap.put('demo', 'unheard', 'v');
    await regions.advance(1_000);
    await loseHints(eu);
    await loseHints(ap, EU);
    regions.network.heal();
    await regions.advance(2_500);
    const { pairs } = await run(regions, ap, { peers: [EU] });
    expect(pairs[0]).toMatchObject({ differing: 2, pulled: 1, equal: true });
    expect([await ap.get('demo', 'deleted'), await eu.get('demo', 'unheard')]).toEqual([[], ['v']]);
    await regions.expectEqual(AP, EU);
  });

  it('with a region of an earlier release, which knows no sketch, goes down the tree', async () => {
    const regions = await archipelago();
    await differ(regions, ['a', 'b']);
    await regions.advance(2_500);
    const { door } = regions.at(EU).region;
    const answer = door.answer.bind(door);
    door.answer = (method, question) => answer(method, method === 'digest' ? asBefore(question) : question);
    const { pairs } = await run(regions, regions.at(AP), { peers: [EU] });
    expect(pairs[0]).toMatchObject({ differing: 2, pulled: 2, equal: true, rounds: 4 });
  });

  it('a policy comes to the peer with the first look -> what is young in its collection has not been looked at, and is moved before anything is proved', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    const { catalog, applier } = eu.region;
    const actor = regions.at(US).region.actor;
    // US has written both, and is gone before AP has heard of them.
    const merge = (key: ItemKey, value: Value, ageMs: number): Promise<unknown> => {
      const dot = { actor, stamp: makeStamp(regions.clock.wallMs() - ageMs, 0) };
      return regions.drive(applier.merge(key, { values: [{ dot, value }], context: new Map([[dot.actor, dot.stamp]]), operations: NO_OPERATIONS }));
    };
    await regions.at(US).crash();
    await merge(catalog.systemKey(COLLECTIONS, 'new'), jsonValue({ conflict: 'lww', regions: 'all', replicas: 4, created: '2026-01-01T00:00:00.000Z', active: true }, sha256), 60_000);
    await merge(eu.key('new', 'young'), valueOf('v'), 0);
    const { pairs } = await run(regions, eu, { peers: [AP] });
    expect(pairs[0]?.certificate?.groups).toHaveLength(3);
    expect(await ap.get('new', 'young')).toEqual(['v']);
  });

  it('while writes go on -> what is on its way is left alone, what is old is moved', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await differ(regions, ['old']);
    await regions.advance(2_500);
    regions.network.hold(EU, AP);
    await eu.put('demo', 'young', 'v');
    const begun = ap.region.reconciler.run({ peers: [EU] });
    await regions.advance(500);
    expect(await ap.get('demo', 'old')).toEqual(['v']);
    expect(await ap.get('demo', 'young')).toEqual([]);
    regions.network.heal();
    for (const message of regions.network.held.splice(0)) await message.deliver();
    await regions.drive(begun.finished);
    expect(begun.pairs[0]).toMatchObject({ differing: 1, equal: true });
  });

  it('an item is written again and again -> what it lacks besides is moved all the same, before a certificate', async () => {
    const regions = await archipelago();
    const ap = regions.at(AP);
    await differ(regions, ['busy'], { text: 'old', collection: 'carts' });
    const begun = ap.region.reconciler.run({ peers: [EU] });
    for (let turn = 0; begun.state === 'running' && turn < 60; turn++) {
      const mine = (await ap.state('carts', 'busy'))?.values.filter(({ dot }) => dot.actor === ap.region.actor) ?? [];
      await ap.put('carts', 'busy', `new ${turn}`, { context: new Map(mine.map(({ dot }) => [dot.actor, dot.stamp])) });
      await regions.advance(300);
    }
    expect(begun.pairs[0]?.certificate).toBeDefined();
    expect(await ap.get('carts', 'busy')).toContain('old');
  });

  it('stamps from before a clock was put back lie an hour ahead -> what differs is repaired all the same, before a certificate', async () => {
    const regions = await archipelago();
    const ahead = makeStamp(regions.clock.wallMs() + 3_600_000);
    for (const site of regions.sites) site.region.time.observe(ahead); // stored when the clocks were wrong
    await differ(regions, ['k']);
    await regions.advance(60_000);
    const { pairs } = await run(regions, regions.at(AP), { peers: [EU] });
    expect(await regions.at(AP).get('demo', 'k')).toEqual(['v']);
    expect(pairs[0]?.differing).toBe(1);
    expect(pairs[0]?.certificate).toBeDefined();
  });

  it('all clocks were an hour ahead and are put back, nobody restarts -> runs go on, and end in certificates', async () => {
    const regions = await archipelago();
    for (const offsetMs of [3_600_000, 0]) {
      for (const site of regions.sites) site.wallOffsetMs = offsetMs;
      await regions.advance(5_000);
    }
    expect(regions.at(AP).table.digests?.lineMs).toBeGreaterThan(regions.clock.wallMs() + 3_000_000);
    await regions.at(EU).put('demo', 'k', 'v');
    await regions.converge();
    const { state, error, pairs } = await run(regions, regions.at(AP), { peers: [EU, US] });
    expect([state, error]).toEqual(['done', undefined]);
    for (const { certificate } of pairs) expect(certificate).toBeDefined();
  });

  it('one clock is an hour ahead, and contradicted -> it compares by the time of its peers, and moves nobody\'s line ahead', async () => {
    const regions = await archipelago();
    const us = regions.at(US);
    await us.crash();
    us.wallOffsetMs = 3_600_000;
    await us.start();
    expect((await run(regions, us, { peers: [EU] })).state).toBe('done');
    for (const site of [us, regions.at(EU)]) expect(site.table.digests?.lineMs).toBeLessThan(regions.clock.wallMs() + 5_000);
  });

  it('a question about a time that has not come -> refused, and the line stays', async () => {
    const regions = await archipelago();
    const atMs = regions.clock.wallMs() + 3_600_000;
    const asked = regions.at(US).region.links.get(EU)?.ask('digest', encodeQuestion({ type: 'root', deep: false, atMs, groups: [], mine: ZERO_SUM }));
    await expect(regions.drive(asked as Promise<Uint8Array>)).rejects.toMatchObject({ code: 'peer-refused', details: { reason: 'clock-unsafe' } });
    expect(regions.at(EU).table.digests?.lineMs).toBeLessThan(regions.clock.wallMs() + 5_000);
  });

  it('hasty: what differs now is moved once, young or not, and there is no certificate', async () => {
    const regions = await archipelago();
    await differ(regions, ['k']);
    const { pairs, state } = await run(regions, regions.at(AP), { peers: [EU], hasty: true });
    expect(state).toBe('done');
    expect(pairs[0]?.certificate).toBeUndefined();
    expect(await regions.at(AP).get('demo', 'k')).toEqual(['v']);
  });

  it('a value that expired on one side only -> settled by sweeping, nothing is sent', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    const expiresMs = regions.clock.wallMs() + 60_000;
    const write = await eu.write('demo', 'k', { value: valueOf('short', expiresMs) });
    expect(write.decision.type).toBe('commit');
    await regions.converge();
    await regions.advance(54_600);
    const { pairs } = await run(regions, ap, { peers: [EU] });
    expect(pairs[0]).toMatchObject({ equal: true, pushed: 0, pulled: 0 });
    await regions.advance(3_000);
    expect(ap.table.digests?.items('demo')).toBe(0);
  });

  it('deletes: a tombstone on one side takes the value off the other', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await ap.put('demo', 'k', 'v');
    await regions.converge();
    regions.network.cut(AP, EU);
    await regions.advance(3_000);
    await eu.delete('demo', 'k');
    await regions.advance(1_000);
    await loseHints(eu);
    regions.network.heal();
    await regions.advance(3_000);
    await run(regions, ap, { peers: [EU] });
    expect(await ap.get('demo', 'k')).toEqual([]);
    await regions.expectEqual(AP, EU);
  });
});

describe('runs of one pair', () => {
  it('two begun by the same region -> one after the other', async () => {
    const regions = await archipelago();
    const ap = regions.at(AP);
    await regions.at(EU).put('demo', 'k', 'v');
    await regions.converge();
    regions.network.hold(AP, EU, ['digest']);
    const [first, second] = [ap.region.reconciler.run({ peers: [EU] }), ap.region.reconciler.run({ peers: [EU] })];
    await regions.advance(1_000);
    expect(regions.network.held).toHaveLength(1);
    await regions.network.held.shift()?.deliver();
    await regions.drive(first.finished);
    await regions.advance(100);
    expect(regions.network.held).toHaveLength(1);
    await regions.network.held.shift()?.deliver();
    await regions.drive(second.finished);
    expect([first.state, second.state]).toEqual(['done', 'done']);
    const tokens = [first, second].map(({ pairs }) => pairs[0]?.certificate?.token ?? 0);
    expect(tokens[1]).toBeGreaterThan(tokens[0] as number);
  });

  it('begun by both regions -> the second is told lease-held, by its code', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    regions.network.hold(AP, EU, ['digest']);
    const first = ap.region.reconciler.run({ peers: [EU] });
    await regions.advance(100);
    const second = await run(regions, eu, { peers: [AP] });
    expect([second.state, second.code]).toEqual(['failed', 'lease-held']);
    regions.network.heal();
    await regions.network.held.shift()?.deliver();
    await regions.drive(first.finished);
    expect([first.state, first.code]).toEqual(['done', undefined]);
    expect((await run(regions, eu, { peers: [AP] })).state).toBe('done');
  });

  it('a run that lasts longer than a lease -> it keeps its lease, nobody else begins one, and it ends in a certificate', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await regions.at(EU).put('demo', 'k', 'v');
    await regions.converge();
    regions.network.hold(AP, EU, ['digest']);
    const long = ap.region.reconciler.run({ peers: [EU], deep: true });
    await regions.advance(LEASE_MS * 2.5);
    expect((await run(regions, eu, { peers: [AP] })).code).toBe('lease-held');
    await regions.network.held.shift()?.deliver();
    await regions.drive(long.finished);
    expect(long.pairs[0]?.certificate?.deep).toBe(true);
    regions.network.heal();
  });

  it('the same where the lease is the other region’s', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    regions.network.hold(EU, AP, ['digest']);
    const long = eu.region.reconciler.run({ peers: [AP], deep: true });
    await regions.advance(LEASE_MS * 2.5);
    expect((await run(regions, ap, { peers: [EU] })).code).toBe('lease-held');
    await regions.network.held.shift()?.deliver();
    await regions.drive(long.finished);
    expect(long.pairs[0]?.certificate?.deep).toBe(true);
  });

  it('the holder is killed -> its next process takes the lease over at once; another region when it has run out', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    regions.network.hold(AP, EU, ['digest']);
    ap.region.reconciler.run({ peers: [EU] });
    await regions.advance(100);
    await ap.crash();
    regions.network.heal();
    await ap.start();
    expect((await run(regions, eu, { peers: [AP] })).code).toBe('lease-held');
    expect((await run(regions, ap, { peers: [EU] })).state).toBe('done');
    expect((await run(regions, eu, { peers: [AP] })).state).toBe('done');
  });

  it('the question for the lease arrives twice -> one lease, and the run ends in a certificate', async () => {
    const regions = await archipelago();
    regions.network.hold(EU, AP, ['lease', 'digest']);
    const asking = regions.at(EU).region.reconciler.run({ peers: [AP] });
    await regions.advance(100);
    const asked = regions.network.held.shift();
    await asked?.deliver();
    await regions.advance(100);
    await asked?.deliver();
    regions.network.heal();
    for (const message of regions.network.held.splice(0)) await message.deliver();
    await regions.drive(asking.finished);
    expect(asking.pairs[0]?.certificate).toBeDefined();
  });

  it('questions for the lease and to keep it arrive again when the run is over -> the lease stays free', async () => {
    const regions = await archipelago();
    regions.network.hold(EU, AP, ['lease']);
    const asking = regions.at(EU).region.reconciler.run({ peers: [AP], deep: true });
    await regions.advance(100);
    const [asked] = regions.network.held.splice(0);
    regions.network.hold(EU, AP, ['lease', 'digest']);
    await asked?.deliver();
    await regions.advance(LEASE_MS / 2);
    const [digest, renewal] = regions.network.held.splice(0);
    expect([digest?.method, renewal?.method]).toEqual(['digest', 'lease']);
    regions.network.heal();
    await renewal?.deliver();
    await digest?.deliver();
    await regions.drive(asking.finished);
    expect(asking.pairs[0]?.certificate).toBeDefined();
    await asked?.deliver();
    await renewal?.deliver();
    expect((await run(regions, regions.at(AP), { peers: [EU] })).state).toBe('done');
  });

  it('a lease taken over in the middle -> the old run ends without a certificate', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    regions.network.hold(EU, AP, ['digest']);
    const old = eu.region.reconciler.run({ peers: [AP], deep: true });
    await regions.advance(100);
    // EU is cut off from the lease, not from the rest: it runs out, and AP begins.
    regions.network.hold(EU, AP, ['digest', 'lease']);
    await regions.advance(LEASE_MS + 1_000);
    expect((await run(regions, ap, { peers: [EU] })).state).toBe('done');
    regions.network.heal();
    for (const message of regions.network.held.splice(0)) await message.deliver();
    await regions.drive(old.finished);
    expect(old.pairs[0]?.certificate).toBeUndefined();
  });

  it('the table with the leases is wiped -> later certificates count at the other side all the same', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    for (let i = 0; i < 12; i++) await run(regions, eu, { peers: [AP] });
    const before = eu.region.reconciler.lastCertificate(AP);
    await ap.crash();
    ap.memory.wipe();
    await ap.start();
    await regions.advance(5_000);
    await run(regions, ap, { peers: [EU] });
    expect(eu.region.reconciler.lastCertificate(AP)?.atMs).toBeGreaterThan(before?.atMs ?? 0);
  });

  it('a clock was an hour ahead when the lease was granted and is put back -> the other region need not wait an hour', async () => {
    const regions = await archipelago();
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await ap.crash();
    ap.wallOffsetMs = 3_600_000;
    await ap.start();
    regions.network.hold(AP, EU, ['digest']);
    ap.region.reconciler.run({ peers: [EU] });
    await regions.advance(100);
    await ap.crash();
    regions.network.heal();
    ap.wallOffsetMs = 0;
    await ap.start();
    await regions.advance(LEASE_MS);
    expect((await run(regions, eu, { peers: [AP] })).state).toBe('done');
  });
});

describe('many runs', () => {
  it('asked for without end -> refused beyond fifty that are not finished; those finish, and the schedule goes on', async () => {
    const regions = await archipelago({ reconcileEveryMs: 60_000 });
    const ap = regions.at(AP);
    await regions.advance(5_000);
    regions.network.hold(AP, EU, ['digest']);
    const begun: Run[] = [];
    const ask = (): void => void begun.push(ap.region.reconciler.run({ peers: [EU] }));
    for (let i = 0; i < 50; i++) ask();
    for (let second = 0; second < 61; second++) {
      expect(() => {
        for (let more = 0; more < 60; more++) ask();
      }).toThrow('under way');
      await regions.advance(1_000);
    }
    expect(ap.logged('reconcile.not-begun').length).toBe(1);
    regions.network.heal();
    for (let round = 0; round < 60; round++) {
      for (const message of regions.network.held.splice(0)) await message.deliver();
      await regions.advance(100);
    }
    await regions.drive(Promise.all(begun.map(({ finished }) => finished)));
    expect(ap.region.reconciler.find(begun.at(-1)?.id ?? '')).toBe(begun.at(-1));
    const before = ap.region.reconciler.stats.runs;
    await regions.advance(60_000);
    expect(ap.region.reconciler.stats.runs).toBe(before + 1);
  });
});

describe('the schedule', () => {
  const everyMs = 60_000;

  it('the first region of a pair runs it; one that was down over two schedules makes it up at its start', async () => {
    const regions = await archipelago({ reconcileEveryMs: everyMs });
    const us = regions.at(US);
    await regions.advance(5_000);
    const runs = regions.sites.map((site) => site.region.reconciler.stats.runs);
    await regions.advance(everyMs);
    expect(regions.sites.map((site, at) => site.region.reconciler.stats.runs - (runs[at] as number))).toEqual([1, 1, 0]);
    await us.crash();
    await regions.advance(2 * everyMs);
    await us.start();
    await regions.advance(5_000);
    expect(us.region.reconciler.stats.runs).toBe(1);
    const certificate = us.region.reconciler.lastCertificate(EU);
    expect(regions.clock.wallMs() - (certificate?.atMs ?? 0)).toBeLessThan(6_000);
  });

  it('a run that lasts over several schedules -> they are not made up behind it, and the other region gets its turn', async () => {
    const regions = await archipelago({ reconcileEveryMs: 500 });
    const [ap, eu] = [regions.at(AP), regions.at(EU)];
    await regions.advance(5_000);
    regions.network.hold(AP, EU, ['digest']);
    await regions.advance(500); // the run that is held has begun
    const before = ap.region.reconciler.stats.runs;
    await regions.advance(2_500); // less than a question's deadline
    regions.network.heal();
    for (const message of regions.network.held.splice(0)) await message.deliver();
    await regions.advance(100);
    expect(ap.region.reconciler.stats.runs - before).toBe(0);
    expect((await run(regions, eu, { peers: [AP] })).code).toBeUndefined();
    await regions.advance(500);
    expect(ap.region.reconciler.stats.runs - before).toBe(1);
  });

  it('a peer that is heard later than the start -> its missed run is made up then', async () => {
    const regions = await archipelago({ reconcileEveryMs: everyMs });
    const us = regions.at(US);
    await us.crash();
    await regions.advance(2 * everyMs);
    regions.network.cut(US, EU);
    await us.start();
    await regions.advance(5_000);
    expect(us.region.reconciler.stats.runs).toBe(1); // with AP
    regions.network.heal();
    await regions.advance(5_000);
    expect(us.region.reconciler.stats.runs).toBe(3); // the missed one, and what EU may hold of US that US has forgotten
    expect(regions.clock.wallMs() - (us.region.reconciler.lastCertificate(EU)?.atMs ?? 0)).toBeLessThan(6_000);
  });
});

describe('stopping', () => {
  it('in the middle of a deep check whose peer does not answer -> it does not wait for the answer', async () => {
    const regions = await archipelago();
    const ap = regions.at(AP);
    regions.network.hold(AP, EU, ['digest']);
    const begun = ap.region.reconciler.run({ peers: [EU], deep: true });
    await regions.advance(100);
    const startedMs = regions.clock.monotonicMs();
    await regions.drive(ap.region.stop());
    expect(regions.clock.monotonicMs() - startedMs).toBeLessThan(1_000);
    expect(begun.state).toBe('failed');
  });
});
