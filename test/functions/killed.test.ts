// `fan-out` killed between send and checkpoint, `apply` between commit and acknowledgement: processes that run what would be
// deployed, ended by SIGKILL before they hear of what they have done. What was not taken note of comes again, to a new process,
// messages after their visibility of a second; and the account is empty: each acknowledged write is in every region.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SQSEvent } from 'aws-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, type BundleName } from '../../cdk/bundle.ts';
import { names } from '../../src/adapters/aws/names.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { formatState } from '../../src/core/version/format.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { EU, key, texts, US } from '../contract/make.ts';
import { ask } from './ask.ts';
import { Environment, EnvironmentKilledError, type Call } from './environment.ts';
import { failuresIn } from './event-sources.ts';
import { DEPLOYMENT, FakeAws, REGIONS } from './fake-aws.ts';

/** Of each function. 200 in `.ci/run`. */
const KILLS = Number(process.env['KILLS'] ?? 6);
/** Of `apply` besides, before its commit: what was acknowledged too early would be lost. */
const EARLY_KILLS = Math.max(2, Math.ceil(KILLS / 10));
const VISIBILITY_MS = 1_000;
/** Written by two regions each. The `fan-out` of every second write is killed: else every message would come twice, and none could be missed. */
const ITEMS = KILLS;
const MESSAGES_PER_BATCH = 2;
const COMMITS: readonly string[] = ['PutItem', 'UpdateItem', 'TransactWriteItems'];

if (!hasDynoxide) console.log(`killed functions: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide)('killed', () => {
  let aws: FakeAws;
  let folder: string;
  const kills = { 'fan-out': 0, apply: 0, early: 0 };
  const isDue = (kind: keyof typeof kills, most = KILLS): boolean => kills[kind] < most && ++kills[kind] > 0;
  const acknowledged: { readonly pk: string; readonly value: string }[] = [];
  let isWriting = true;

  beforeAll(async () => {
    folder = await bundle(mkdtempSync(join(tmpdir(), 'archipel-killed-')), ['fan-out', 'apply']);
    aws = await FakeAws.start({ visibilityMs: VISIBILITY_MS });
    for (const region of REGIONS) await aws.region(region);
    expect((await ask(aws, EU, 'PUT', '/v1/c/demo', { conflict: 'lww' })).status).toBe(201);
  }, 60_000);
  afterAll(async () => {
    await aws.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (region: RegionId, name: BundleName): Promise<Environment> => Environment.start(join(folder, name, 'index.mjs'), { ...aws.variables(region), AWS_ENDPOINT_URL_DYNAMODB: aws.dynamoUrl });

  async function put(region: RegionId, pk: string, value: string): Promise<void> {
    expect((await ask(aws, region, 'PUT', `/v1/c/demo/items/${pk}`, value)).status).toBe(201);
    acknowledged.push({ pk, value: JSON.stringify(value) });
  }

  /** A shard's mapping: in order, a batch again until it is done. Killed when the first peer's inbox has taken it, or the last. */
  async function fanOut(region: RegionId): Promise<void> {
    let environment = await start(region, 'fan-out');
    const records = (await aws.stream(region)).filter(({ dynamodb }) => dynamodb?.NewImage?.['k']?.S === 'l'); // the mapping's filter
    for (const [at, record] of records.entries()) {
      if (at % 2 === 0 && isDue('fan-out')) {
        const dying = environment;
        const deadlySend = at % 4 === 0 ? 1 : REGIONS.length - 1;
        let sends = 0;
        const isDeadly = ({ stage, operation, input }: Call): boolean => stage === 'carried-out' && operation === 'SendMessageBatch' && String(input()['QueueUrl']).includes('inbox') && ++sends === deadlySend;
        dying.meanwhile = async (call) => (isDeadly(call) ? dying.kill() : undefined);
        await expect(dying.invoke({ Records: [record] })).rejects.toThrow(EnvironmentKilledError);
        environment = await start(region, 'fan-out');
      }
      await environment.invoke({ Records: [record] });
    }
    await environment.kill();
  }

  const isNew = ({ Records }: SQSEvent): boolean => Records.every(({ attributes }) => attributes.ApproximateReceiveCount === '1');

  /** A queue's mapping: what is not deleted comes again. Killed at a commit, when it has answered, or before a commit. */
  async function apply(region: RegionId): Promise<void> {
    const inbox = names.inbox(DEPLOYMENT, region);
    let environment = await start(region, 'apply');
    while (isWriting || (await aws.waiting(region, inbox)) > 0) {
      const event = await aws.delivered(region, inbox, { messagesMax: MESSAGES_PER_BATCH, waitSeconds: 1 });
      if (event.Records.length === 0) continue;
      const one = environment;
      const deadlyCommit = kills.apply % 3; // the first, the second where there is one, or none
      let commits = 0;
      one.meanwhile = async ({ stage, service, operation }) => {
        if (service !== 'dynamo' || !COMMITS.includes(operation) || !isNew(event)) return;
        const isDeadly = stage === 'asked' ? isDue('early', Math.min(EARLY_KILLS, kills.apply)) : commits++ === deadlyCommit && isDue('apply');
        if (isDeadly) await one.kill();
      };
      try {
        expect(failuresIn(await one.invoke(event))).toEqual([]);
        if (commits > 0 && isDue('apply')) await one.kill();
        else await aws.done(region, inbox, event);
      } catch (error) {
        if (!(error instanceof EnvironmentKilledError)) throw error;
      }
      if (one.isKilled) environment = await start(region, 'apply');
    }
    await environment.kill();
  }

  it(`${KILLS} times each, with concurrent writes in two regions -> every acknowledged write is in every region`, async () => {
    for (let at = 0; at < ITEMS; at++) await Promise.all([EU, US].map((region) => put(region, `item-${at}`, `${region} ${at}`)));
    const sent = Promise.all([EU, US].map(fanOut)).finally(() => (isWriting = false));
    await Promise.all([sent, ...REGIONS.map(apply)]);
    expect(kills).toEqual({ 'fan-out': KILLS, apply: KILLS, early: EARLY_KILLS });
    await expectAccounted();
  }, 600_000);

  /** Current or superseded by a write that is known to be concurrent: then in the ledger, under one id, once. */
  async function expectAccounted(): Promise<void> {
    for (let at = 0; at < ITEMS; at++) {
      const item = key(`item-${at}`);
      const copies = await Promise.all(REGIONS.map(async (region) => (await aws.table(region).get(item))?.state));
      expect(new Set(copies.map((state) => (state === undefined ? 'nothing' : formatState(state)))).size).toBe(1);
      const ledgers = await Promise.all(REGIONS.map((region) => aws.table(region).lossesOf(item)));
      expect(ledgers.map((rows) => rows.length)).toEqual(REGIONS.map(() => 1));
      expect(new Set(ledgers.flat().map(({ id }) => id)).size).toBe(1);
      const writes = acknowledged.filter(({ pk }) => pk === `item-${at}`).map(({ value }) => value);
      for (const rows of ledgers) expect([...texts(copies[0]), ...rows.map(({ value }) => Buffer.from(value?.bytes ?? []).toString())].sort()).toEqual(writes.sort());
    }
    for (const region of REGIONS) for (const name of aws.queues(region)) expect([name, await aws.waiting(region, name)]).toEqual([name, 0]);
  }
});
