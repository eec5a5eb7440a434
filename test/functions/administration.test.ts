// What an operator asks of a region on AWS by HTTP: reconciliations that another function carries out, what each peer lacks,
// and replication that is held back and let go on.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toBase64 } from '../../src/adapters/aws/base64.ts';
import { compressed } from '../../src/adapters/aws/compressed.ts';
import { names } from '../../src/adapters/aws/names.ts';
import type { SqsDeadLetters } from '../../src/adapters/aws/sqs-dead-letters.ts';
import { encodeState } from '../../src/core/version/codec.ts';
import { encodeRecords, seal, type Envelope } from '../../src/engine/envelope.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { LINES_FRESH_MS } from '../../functions/commons/region.ts';
import { noteRun, RUNS_KEPT } from '../../functions/commons/runs.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { A, AP, C, dot, EU, key, texts, US, written } from '../contract/make.ts';
import { ask as asked } from './ask.ts';
import { StreamMapping } from './event-sources.ts';
import { DEPLOYMENT, FakeAws, metricsOf, REGIONS } from './fake-aws.ts';

if (!hasDynoxide) console.log(`administration: skipped, ${NO_DYNOXIDE}`);

interface Peer {
  readonly id: string;
  readonly state: string;
  readonly unreplicatedItems: number;
  readonly exact: boolean;
  readonly hints: number;
  readonly dead: number;
}

describe.skipIf(!hasDynoxide).each(['sources', 'bundles'] as const)('administration, from %s', (code) => {
  let aws: FakeAws;
  beforeAll(async () => {
    aws = await FakeAws.start({ code });
    for (const region of REGIONS) await aws.region(region);
    expect(await ask(EU, 'PUT', '/v1/c/demo', { conflict: 'lww' })).toMatchObject({ status: 201 });
  }, 120_000);
  afterAll(() => aws.stop());

  const ask = (region: RegionId, method: string, path: string, body?: unknown): ReturnType<typeof asked> => asked(aws, region, method, path, body);
  const peers = async (region: RegionId): Promise<Peer[]> => (await ask(region, 'GET', '/v1/replication')).body['peers'] as Peer[];

  describe('POST /v1/reconcile', () => {
    it('is answered 202, carried out by another function, and told under its id: what differed, and the certificate', async () => {
      for (const pk of ['one', 'two']) await ask(EU, 'PUT', `/v1/c/demo/items/${pk}`, pk);
      aws.pass(60_000);
      const begun = await ask(EU, 'POST', '/v1/reconcile', { peers: [US] });
      expect(begun).toMatchObject({ status: 202, headers: { location: `/v1/reconcile/${String(begun.body['id'])}` }, body: { state: 'running' } });
      expect(await ask(EU, 'GET', String(begun.headers['location']))).toMatchObject({ status: 200, body: { state: 'running', pairs: [] } });
      await metricsOf(() => aws.settled());
      expect(await ask(EU, 'GET', String(begun.headers['location']))).toMatchObject({
        body: { id: begun.body['id'], state: 'done', pairs: [{ peer: US, differing: 2, pushed: 2, differingKeys: [{ collection: 'demo' }, { collection: 'demo' }], certificate: { deep: true, regions: [EU, US] } }] },
      });
      expect(texts((await aws.table(US).get(key('two')))?.state)).toEqual(['"two"']);
    });

    it('of one collection, with every peer: nothing is proved of the others', async () => {
      const { headers: { location } } = await ask(EU, 'POST', '/v1/reconcile', { collection: 'demo' });
      await metricsOf(() => aws.settled());
      const { body } = await ask(EU, 'GET', String(location));
      expect(body).toMatchObject({ state: 'done', pairs: [{ peer: AP }, { peer: US }] });
      expect((body['pairs'] as object[]).every((pair) => !('certificate' in pair))).toBe(true);
    });

    it('a function that never says how it ended has failed', async () => {
      const { headers: { location } } = await ask(US, 'POST', '/v1/reconcile', { peers: [AP] });
      aws.pass(17 * 60_000);
      expect((await ask(US, 'GET', String(location))).body).toMatchObject({ state: 'failed', code: 'internal' });
      await metricsOf(() => aws.settled());
    });

    it('an unknown id, a peer that is none', async () => {
      expect((await ask(EU, 'GET', '/v1/reconcile/000000000000')).status).toBe(404);
      expect((await ask(EU, 'POST', '/v1/reconcile', { peers: ['sa-east-1'] })).status).toBe(400);
    });

    it(`the newest ${RUNS_KEPT} are remembered`, async () => {
      for (let at = 0; at <= RUNS_KEPT; at++) await noteRun(aws.table(AP), { id: `run-${at}`, state: 'done' }, Date.now());
      const asked = await Promise.all(['run-0', 'run-1', `run-${RUNS_KEPT}`].map((id) => ask(AP, 'GET', `/v1/reconcile/${id}`)));
      expect(asked.map(({ status }) => status)).toEqual([404, 200, 200]);
    });
  });

  describe('GET /v1/replication', () => {
    it('what a peer lacks, at most: hints are counted by messages, and said not to be exact', async () => {
      const { fanOut, forward } = await aws.region(EU);
      const handOver = async (): Promise<void> => void (await metricsOf(async () => new StreamMapping(fanOut, () => undefined).drain(await aws.stream(EU))));
      await peers(EU); // what the stream holds, test/functions/unread.test.ts tells
      await handOver();
      expect(await peers(EU)).toMatchObject([{ id: AP, unreplicatedItems: 0, exact: false, dead: 0 }, { id: US, unreplicatedItems: 0 }]);
      await aws.loseQueue(US, names.inbox(DEPLOYMENT, US));
      await metricsOf(async () => fanOut(await aws.streamed(EU, key('one'))));
      await aws.findQueue(US, names.inbox(DEPLOYMENT, US));
      const [, us] = await peers(EU);
      expect(us?.unreplicatedItems).toBeGreaterThanOrEqual(1);
      expect(us?.unreplicatedItems).toBeLessThanOrEqual(100);
      const hints = await aws.delivered(EU, names.hints(DEPLOYMENT, EU, US));
      aws.pass(60_000); // the breaker
      expect(await forward(hints)).toEqual({ batchItemFailures: [] });
      await aws.done(EU, names.hints(DEPLOYMENT, EU, US), hints);
      expect((await peers(EU)).map(({ unreplicatedItems }) => unreplicatedItems)).toEqual([0, 0]);
      for (const peer of [AP, US]) await aws.take(peer, names.inbox(DEPLOYMENT, peer));
    });
  });

  describe('/v1/replication/{peer}/dead', () => {
    interface Letters {
      readonly items: readonly { readonly id: string; readonly reason: string; readonly bytes: number }[];
      readonly cursor?: string;
    }
    const list = async (peer: RegionId, query = ''): Promise<Letters> => (await ask(EU, 'GET', `/v1/replication/${peer}/dead${query}`)).body as unknown as Letters;
    const reasons = async (peer: RegionId): Promise<string[]> => (await list(peer)).items.map(({ reason }) => reason).sort();
    const replay = async (peer: RegionId): Promise<unknown> => (await ask(EU, 'POST', `/v1/replication/${peer}/dead/replay`)).body;
    const record = (pk: string, value: string): Uint8Array => encodeRecords([{ key: key(pk).encoded, state: encodeState(written(dot(C, 5), value)) }]);
    const envelopeFrom = (from: RegionId): Envelope => ({ from, actor: A, wallMs: 1, clock: 'safe', topology: { term: 1, epoch: 1, identity: 'x' } });
    const letters = (from?: RegionId): SqsDeadLetters => aws.letters(EU, from);

    it('lists what a peer has sent, and what nobody knows the sender of, page by page, again and again', async () => {
      await letters(US).add([{ reason: 'first', atMs: 1_000, body: record('dead-1', 'one') }, { reason: 'second', atMs: 2_000, body: record('dead-2', 'two') }]);
      await letters(AP).add([{ reason: 'of another', atMs: 3_000, body: record('dead-3', 'three') }]);
      await letters().add([{ reason: 'poison', atMs: 4_000, body: Uint8Array.of(1, 2, 3) }]);
      for (let again = 0; again < 2; again++) expect([await reasons(US), await reasons(AP)]).toEqual([['first', 'poison', 'second'], ['of another', 'poison']]);
      const first = await list(US, '?limit=2');
      const rest = await list(US, `?limit=2&cursor=${first.cursor ?? ''}`);
      expect([...first.items, ...rest.items].map(({ reason }) => reason).sort()).toEqual(['first', 'poison', 'second']);
      expect(rest.cursor).toBeUndefined();
    });

    it('a message that SQS gave up is told by its envelope, and its records', async () => {
      await aws.give(EU, names.dead(DEPLOYMENT, EU), toBase64(compressed(seal(envelopeFrom(AP), record('dead-4', 'four')))));
      expect(await reasons(AP)).toEqual([expect.stringContaining('Delivered too often'), 'of another', 'poison']);
      expect(await reasons(US)).toEqual(['first', 'poison', 'second']);
    });

    it('merges them again: then they are gone; what nobody can read stays', async () => {
      expect(await replay(US)).toEqual({ merged: 2 });
      expect(await replay(AP)).toEqual({ merged: 2 });
      for (const [pk, value] of [['dead-1', 'one'], ['dead-2', 'two'], ['dead-3', 'three'], ['dead-4', 'four']] as const) expect(texts((await aws.table(EU).get(key(pk)))?.state)).toEqual([value]);
      for (const peer of [US, AP]) expect(await reasons(peer)).toEqual(['poison']);
      expect(await replay(US)).toEqual({ merged: 0 });
      expect((await peers(EU)).map(({ dead }) => dead)).toEqual([1, 1]);
    });
  });

  describe('POST /v1/replication/{peer}/pause', () => {
    it('what is written is hinted, and what arrives waits, in every function of the region; resumed, both go on', async () => {
      const [eu, us] = [await aws.region(EU), await aws.region(US)];
      expect((await ask(EU, 'POST', `/v1/replication/${US}/pause`)).status).toBe(204);
      expect((await peers(EU)).map(({ id, state }) => [id, state])).toEqual([[AP, 'up'], [US, 'paused']]);
      aws.pass(LINES_FRESH_MS);
      await ask(EU, 'PUT', '/v1/c/demo/items/three', 3);
      await eu.fanOut(await aws.streamed(EU, key('three')));
      expect([await aws.take(US, names.inbox(DEPLOYMENT, US)), await aws.take(AP, names.inbox(DEPLOYMENT, AP))].map(({ length }) => length)).toEqual([0, 1]);
      const hints = await aws.delivered(EU, names.hints(DEPLOYMENT, EU, US));
      expect(await eu.forward(hints)).toEqual({ batchItemFailures: [{ itemIdentifier: hints.Records[0]?.messageId }] });

      await ask(US, 'PUT', '/v1/c/demo/items/four', 4);
      await us.fanOut(await aws.streamed(US, key('four')));
      const inbox = await aws.delivered(EU, names.inbox(DEPLOYMENT, EU));
      expect(await eu.apply(inbox)).toEqual({ batchItemFailures: [{ itemIdentifier: inbox.Records[0]?.messageId }] });
      expect(await aws.table(EU).get(key('four'))).toBeUndefined();

      expect((await ask(EU, 'POST', `/v1/replication/${US}/resume`)).status).toBe(204);
      aws.pass(LINES_FRESH_MS);
      expect(await eu.apply(inbox)).toEqual({ batchItemFailures: [] });
      expect(texts((await aws.table(EU).get(key('four')))?.state)).toEqual(['4']);
      expect(await eu.forward(hints)).toEqual({ batchItemFailures: [] });
      expect(await aws.take(US, names.inbox(DEPLOYMENT, US))).toHaveLength(1);
    });

    it('another peer is paused by an environment that has not heard of the first -> both are', async () => {
      await aws.table(EU).putDocument('paused', new TextEncoder().encode(JSON.stringify([US])), (await aws.table(EU).document('paused'))?.revision);
      expect((await ask(EU, 'POST', `/v1/replication/${AP}/pause`)).status).toBe(204);
      expect((await peers(EU)).map(({ state }) => state)).toEqual(['paused', 'paused']);
      for (const peer of [AP, US]) await ask(EU, 'POST', `/v1/replication/${peer}/resume`);
    });
  });
});
