// AWS for the functions of whole regions, on loopback: tables in Dynoxide, queues in fauxqs, and one server that stands
// for Lambda's Invoke API and for the parameter store. The handlers are the real ones, composed as in a deployment; they
// find these endpoints by the SDK's own environment variables. Each region's functions are loaded anew, as environments
// of their own, and invoke each other's `peer` through the server.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BatchWriteItemCommand, DeleteTableCommand, DescribeTableCommand, GetItemCommand, ScanCommand, type AttributeValue, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DeleteMessageCommand, DeleteQueueCommand, GetQueueAttributesCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient, type Message } from '@aws-sdk/client-sqs';
import { vi } from 'vitest';
import type { DynamoDBRecord, DynamoDBStreamEvent, SQSEvent, SQSRecord } from 'aws-lambda';
import { ACCOUNT, ADMIN_KEY, bytesOf, CREDENTIALS, environmentOf, post } from '../../scripts/lib/functions-place.ts';
import { toBase64 } from '../../src/adapters/aws/base64.ts';
import { DynamoTable } from '../../src/adapters/aws/dynamo-table.ts';
import { CLIENT_SETTINGS } from '../../src/adapters/aws/failures.ts';
import { places, type Item, type Place } from '../../src/adapters/aws/layout.ts';
import { arns, names, queueUrl } from '../../src/adapters/aws/names.ts';
import { SqsDeadLetters } from '../../src/adapters/aws/sqs-dead-letters.ts';
import { SQS_CLIENT_SETTINGS } from '../../src/adapters/aws/sqs-queue.ts';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';
import type { ItemKey } from '../../src/core/keys/item-key.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { LossRow } from '../../src/ports/table.ts';
import { AP, EU, US } from '../contract/make.ts';
import { HastyClock, makeQueue, makeTable, startDynoxide, startFauxqs, type Emulator } from '../contract/emulators.ts';
import { Builds } from './builds.ts';
import { Bundles, sources, type Code, type Handlers } from './code.ts';
import { TableFront } from './table-front.ts';

export const REGIONS: readonly RegionId[] = [AP, EU, US];
export const DEPLOYMENT = 'archipel';
const PLACE = { deployment: DEPLOYMENT, partition: 'aws', account: ACCOUNT };
/** Not what a table keeps when nobody says anything. */
export const LEDGER_DAYS = 7;
/** Unless a test waits for it. */
const VISIBILITY_MS = 30_000;
/** What waits for a service is shorter. */
const LONG_WAIT_MS = 30_000;
/** What DynamoDB takes in one call. */
const ITEMS_PER_BATCH = 25;

type NewImage = NonNullable<NonNullable<DynamoDBRecord['dynamodb']>['NewImage']>;

export class FakeAws {
  readonly #bundles: Bundles | undefined;
  readonly #dynamo: Emulator<DynamoDBClient>;
  readonly #sqs: Emulator<SQSClient>;
  readonly #visibilityMs: number;
  /** Before the tables; what the functions take for DynamoDB. */
  readonly tables: TableFront;
  readonly #server: Server;
  /** Where each stream was read to. */
  readonly #iterators = new Map<RegionId, string>();
  readonly #regions = new Map<RegionId, Handlers>();
  #aheadMs = 0;
  readonly #behind: (() => Promise<unknown>)[] = [];
  /** What the parameter store holds, by name. */
  readonly parameters = new Map([[names.secret(DEPLOYMENT), '00112233445566778899aabbccddeeff'], [names.adminKey(DEPLOYMENT), ADMIN_KEY]]);
  /** What it answers in the place of that. */
  parameterFault: () => { readonly status: number; readonly text: string } | undefined = () => undefined;
  /** Which release each region runs. */
  readonly builds = new Builds();
  /** Regions whose functions cannot be invoked. */
  readonly down = new Set<RegionId>();
  /** Of the functions, in milliseconds; each is over at once, and time has gone on by as much. */
  readonly waits: number[] = [];
  /** Lines that the functions have logged. */
  readonly logged: { readonly event: string; readonly [field: string]: unknown }[] = [];

  private constructor({ dynamo, tables, sqs }: { readonly dynamo: Emulator<DynamoDBClient>; readonly tables: TableFront; readonly sqs: Emulator<SQSClient> }, visibilityMs: number, bundles: Bundles | undefined) {
    this.#visibilityMs = visibilityMs;
    this.#bundles = bundles;
    this.#dynamo = dynamo;
    this.tables = tables;
    this.#sqs = sqs;
    this.#server = createServer((incoming, outgoing) => {
      this.#answer(incoming).then(
        ({ status, text }) => outgoing.writeHead(status, { 'content-type': 'application/json' }).end(text),
        (error: unknown) => outgoing.writeHead(500).end(String(error)),
      );
    });
  }

  /** Of the functions as they are written, or as they are deployed. */
  static async start({ code = 'sources', visibilityMs = VISIBILITY_MS }: { readonly code?: Code; readonly visibilityMs?: number } = {}): Promise<FakeAws> {
    const dynamo = await startDynoxide();
    const emulators = { dynamo, tables: await TableFront.before(dynamo.endpoint), sqs: await startFauxqs() };
    const aws = new FakeAws(emulators, visibilityMs, code === 'bundles' ? await Bundles.make() : undefined);
    aws.#server.listen(0, '127.0.0.1');
    await once(aws.#server, 'listening');
    for (const region of REGIONS) await aws.#makeStores(region);
    const now = Date.now.bind(Date);
    vi.spyOn(Date, 'now').mockImplementation(() => now() + aws.#aheadMs);
    const wait = globalThis.setTimeout;
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((task: () => void, ms = 0) => {
      if (ms < LONG_WAIT_MS) return wait(task, ms);
      aws.waits.push(ms);
      aws.pass(ms);
      return wait(task, 0);
    }));
    const write = process.stderr.write.bind(process.stderr);
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk, ...rest) => {
      const text = String(chunk);
      if (!text.startsWith('{"time"')) return write(chunk, ...(rest as []));
      aws.logged.push(JSON.parse(text) as { event: string });
      return true;
    });
    return aws;
  }

  async stop(): Promise<void> {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    this.tables.stop();
    this.#server.close();
    this.#server.closeAllConnections();
    await Promise.all([this.#dynamo.stop(), this.#sqs.stop()]);
    this.#bundles?.remove();
  }

  async #makeStores(region: RegionId): Promise<void> {
    await makeTable(this.#dynamo.client, names.table(DEPLOYMENT, region));
    const sqs = this.#sqsOf(region);
    for (const name of this.queues(region)) await makeQueue(sqs, this.#visibilityMs, name);
    sqs.destroy();
  }

  queues(region: RegionId): string[] {
    const hints = REGIONS.filter((peer) => peer !== region).map((peer) => names.hints(DEPLOYMENT, region, peer));
    return [names.inbox(DEPLOYMENT, region), names.dead(DEPLOYMENT, region), ...hints];
  }

  #sqsOf(region: RegionId): SQSClient {
    return new SQSClient({ region, credentials: CREDENTIALS, endpoint: this.#sqs.endpoint, ...CLIENT_SETTINGS, ...SQS_CLIENT_SETTINGS });
  }

  /** Past `tables`. */
  get dynamoUrl(): string {
    return this.#dynamo.endpoint;
  }

  /** What the environments of a region's functions begin with. */
  variables(region: RegionId): Readonly<Record<string, string>> {
    const environment = environmentOf({ deployment: DEPLOYMENT, regions: REGIONS, dynamo: this.tables.url, sqs: this.#sqs.endpoint, services: urlOf(this.#server) }, region);
    return { ...environment, ARCHIPEL_LEDGER_DAYS: String(LEDGER_DAYS) };
  }

  /** The functions of one region, in environments of their own. */
  async region(region: RegionId): Promise<Handlers> {
    const known = this.#regions.get(region);
    if (known !== undefined) return known;
    for (const [name, value] of Object.entries(this.variables(region))) vi.stubEnv(name, value);
    vi.resetModules();
    const handlers = await (this.#bundles?.load() ?? sources());
    this.#regions.set(region, handlers);
    return handlers;
  }

  table(region: RegionId): DynamoTable {
    return new DynamoTable({ client: this.#dynamo.client, tableName: names.table(DEPLOYMENT, region), clock: new HastyClock(), random: nodeRandom });
  }

  /** Of nobody known where nobody is named. */
  letters(region: RegionId, from?: RegionId): SqsDeadLetters {
    return new SqsDeadLetters({ client: this.#sqsOf(region), queueUrl: queueUrl(PLACE, region, names.dead(DEPLOYMENT, region)), from });
  }

  /** What lies in a queue of a region, received as a mapping receives it. */
  async take(region: RegionId, name: string, { messagesMax = 10, waitSeconds = 0 } = {}): Promise<readonly Message[]> {
    const sqs = this.#sqsOf(region);
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: queueUrl(PLACE, region, name), MaxNumberOfMessages: messagesMax, WaitTimeSeconds: waitSeconds, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['ApproximateReceiveCount'] }),
    );
    sqs.destroy();
    return Messages;
  }

  /** What a mapping hands to its function of what lies in a queue. */
  async delivered(region: RegionId, name: string, how: Parameters<FakeAws['take']>[2] = {}): Promise<SQSEvent> {
    const messages = await this.take(region, name, how);
    const Records = messages.map(({ MessageId = '', ReceiptHandle = '', Body = '', Attributes = {} }): SQSRecord => ({
      messageId: MessageId,
      receiptHandle: ReceiptHandle,
      body: name === names.inbox(DEPLOYMENT, region) ? this.builds.message(Body, region) : Body,
      attributes: { ApproximateReceiveCount: Attributes.ApproximateReceiveCount ?? '1', SentTimestamp: '0', SenderId: 'test', ApproximateFirstReceiveTimestamp: '0' },
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: arns.queue(PLACE, region, name),
      awsRegion: region,
    }));
    return { Records };
  }

  /** How many there are, whether somebody has received them or not. */
  async waiting(region: RegionId, name: string): Promise<number> {
    const sqs = this.#sqsOf(region);
    const { Attributes = {} } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: queueUrl(PLACE, region, name), AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] }));
    sqs.destroy();
    return Object.values(Attributes).reduce((sum, count) => sum + Number(count), 0);
  }

  /** As a mapping does when its function has said that they are done. */
  async done(region: RegionId, name: string, { Records }: SQSEvent): Promise<void> {
    const sqs = this.#sqsOf(region);
    for (const { receiptHandle: ReceiptHandle } of Records) await sqs.send(new DeleteMessageCommand({ QueueUrl: queueUrl(PLACE, region, name), ReceiptHandle }));
    sqs.destroy();
  }

  /** What the stream tells of the last commit of an item. */
  async streamed(region: RegionId, item: ItemKey): Promise<DynamoDBStreamEvent> {
    return { Records: [await this.#streamed(region, places.record(item.encoded))] };
  }

  /** The same of rows of the ledger. */
  async streamedRows(region: RegionId, rows: readonly LossRow[]): Promise<DynamoDBStreamEvent> {
    return { Records: await Promise.all(rows.map(({ key, atMs, id }) => this.#streamed(region, places.loss(key.collection, atMs, id)))) };
  }

  async #streamed(region: RegionId, { PK, SK }: Place): Promise<DynamoDBRecord> {
    const { Item = {} } = await this.#dynamo.client.send(new GetItemCommand({ TableName: names.table(DEPLOYMENT, region), Key: { PK, SK } }));
    const image = Object.entries(Item).map(([name, value]) => [name, asEvent(value)] as const);
    return { eventName: 'INSERT', eventSource: 'aws:dynamodb', awsRegion: region, dynamodb: { NewImage: Object.fromEntries(image) as NewImage, SequenceNumber: '1', StreamViewType: 'NEW_IMAGE' } };
  }

  /** What the stream holds that has not been taken yet, in the order of the commits. */
  async stream(region: RegionId): Promise<DynamoDBRecord[]> {
    const ask = async <T>(target: string, input: object): Promise<T> => {
      const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `DynamoDBStreams_20120810.${target}`, authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${region}/dynamodb/aws4_request, SignedHeaders=host, Signature=0`, 'x-amz-date': '20260101T000000Z' };
      return JSON.parse((await post(this.#dynamo.endpoint, headers, Buffer.from(JSON.stringify(input)))).bytes.toString()) as T;
    };
    let iterator = this.#iterators.get(region);
    if (iterator === undefined) {
      const { Table } = await this.#dynamo.client.send(new DescribeTableCommand({ TableName: names.table(DEPLOYMENT, region) }));
      const StreamArn = Table?.LatestStreamArn;
      const { StreamDescription } = await ask<{ StreamDescription: { Shards: { ShardId: string }[] } }>('DescribeStream', { StreamArn });
      ({ ShardIterator: iterator } = await ask<{ ShardIterator: string }>('GetShardIterator', { StreamArn, ShardId: StreamDescription.Shards[0]?.ShardId, ShardIteratorType: 'TRIM_HORIZON' }));
    }
    const found: DynamoDBRecord[] = [];
    for (;;) {
      const page: { Records: DynamoDBRecord[]; NextShardIterator?: string } = await ask('GetRecords', { ShardIterator: iterator });
      if (page.NextShardIterator !== undefined) this.#iterators.set(region, (iterator = page.NextShardIterator));
      if (page.Records.length === 0 || page.NextShardIterator === undefined) return found;
      found.push(...page.Records);
    }
  }

  /** A restore: the table is another one under the same name, with these items and an id of its own; environments begin anew. */
  async restore(region: RegionId, items: readonly Item[]): Promise<void> {
    const TableName = names.table(DEPLOYMENT, region);
    await this.#dynamo.client.send(new DeleteTableCommand({ TableName }));
    await makeTable(this.#dynamo.client, TableName);
    await this.#store(TableName, items);
    this.#iterators.delete(region);
    await this.stream(region);
    this.#regions.delete(region);
  }

  async copy(region: RegionId): Promise<Item[]> {
    const items: Item[] = [];
    let after: Item | undefined;
    do {
      const page = await this.#dynamo.client.send(new ScanCommand({ TableName: names.table(DEPLOYMENT, region), ConsistentRead: true, ...(after === undefined ? {} : { ExclusiveStartKey: after }) }));
      items.push(...(page.Items ?? []));
      after = page.LastEvaluatedKey;
    } while (after !== undefined);
    return items;
  }

  /** Into a table, past its region: nothing is decided, and none of it is new. */
  async store(region: RegionId, items: readonly Item[]): Promise<void> {
    await this.#store(names.table(DEPLOYMENT, region), items);
  }

  async #store(TableName: string, items: readonly Item[]): Promise<void> {
    for (let at = 0; at < items.length; at += ITEMS_PER_BATCH) {
      const puts = items.slice(at, at + ITEMS_PER_BATCH).map((Item) => ({ PutRequest: { Item } }));
      await this.#dynamo.client.send(new BatchWriteItemCommand({ RequestItems: { [TableName]: puts } }));
    }
  }

  /** Until it has caught up, reads of the region's table that need not be consistent show it as it is now. */
  async lag(region: RegionId): Promise<void> {
    const table = names.table(DEPLOYMENT, region);
    const copy = await makeTable(this.#dynamo.client);
    await this.#store(copy, await this.copy(region));
    this.tables.lagging.set(table, copy);
  }

  async give(region: RegionId, name: string, MessageBody: string): Promise<void> {
    const sqs = this.#sqsOf(region);
    await sqs.send(new SendMessageCommand({ QueueUrl: queueUrl(PLACE, region, name), MessageBody }));
    sqs.destroy();
  }

  /** Its functions are loaded anew when they are called next. */
  endEnvironments(region: RegionId): void {
    this.#regions.delete(region);
  }

  /** From now on the queue cannot be reached. */
  async loseQueue(region: RegionId, name: string): Promise<void> {
    const sqs = this.#sqsOf(region);
    await sqs.send(new DeleteQueueCommand({ QueueUrl: queueUrl(PLACE, region, name) }));
    sqs.destroy();
  }

  async findQueue(region: RegionId, name: string): Promise<void> {
    const sqs = this.#sqsOf(region);
    await makeQueue(sqs, this.#visibilityMs, name);
    sqs.destroy();
  }

  /** What was invoked, and nobody waits for, begins and ends. */
  async settled(): Promise<void> {
    for (let work = this.#behind.shift(); work !== undefined; work = this.#behind.shift()) await work();
  }

  /** Time goes on, while the environments are frozen. */
  pass(ms: number): void {
    this.#aheadMs += ms;
  }

  async #answer(incoming: IncomingMessage): Promise<{ readonly status: number; readonly text: string }> {
    const body = JSON.parse((await bytesOf(incoming)).toString()) as unknown;
    if (incoming.headers['x-amz-target'] === 'AmazonSSM.GetParameters') return this.parameterFault() ?? { status: 200, text: parametersIn(this.parameters, (body as { Names: string[] }).Names) };
    const arn = decodeURIComponent(/^\/2015-03-31\/functions\/([^/]+)\/invocations/.exec(incoming.url ?? '')?.[1] ?? '');
    const region = REGIONS.find((id) => arn === `arn:aws:lambda:${id}:${ACCOUNT}:function:${names.function(DEPLOYMENT, 'peer', id)}`);
    const reconciled = REGIONS.find((id) => arn === names.function(DEPLOYMENT, 'reconcile', id));
    if (reconciled !== undefined && incoming.headers['x-amz-invocation-type'] === 'Event') {
      const { reconcile } = await this.region(reconciled);
      this.#behind.push(() => reconcile(body as Parameters<typeof reconcile>[0]));
      return { status: 202, text: 'null' };
    }
    if (region === undefined || this.down.has(region)) return { status: 404, text: JSON.stringify({ Type: 'User', Message: `Function not found: ${arn}` }) };
    const { peer } = await this.region(region);
    return { status: 200, text: JSON.stringify(await this.builds.ask(body as Parameters<typeof peer>[0], region, peer)) };
  }
}

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** As Lambda's events have it: binary as text, in lists too. */
const asEvent = (value: AttributeValue): unknown => (value.L === undefined ? (value.B === undefined ? value : { B: toBase64(value.B) }) : { L: value.L.map(asEvent) });

/** The metrics that are written meanwhile: `PeerDown us-east-1 1`. */
export async function metricsOf(work: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = [];
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((line) => lines.push(String(line)) > 0);
  try {
    await work();
  } finally {
    write.mockRestore();
  }
  return lines.filter((line) => line.startsWith('{"_aws"')).flatMap((line) => {
    const { _aws, Peer, ...values } = JSON.parse(line) as { _aws: { CloudWatchMetrics: { Metrics: { Name: string }[] }[] }; Peer?: string; [name: string]: unknown };
    return (_aws.CloudWatchMetrics[0]?.Metrics ?? []).map(({ Name }) => [Name, ...(Peer === undefined ? [] : [Peer]), values[Name]].join(' '));
  });
}

const parametersIn = (all: ReadonlyMap<string, string>, wanted: readonly string[]): string =>
  JSON.stringify({ Parameters: wanted.flatMap((Name) => (all.has(Name) ? [{ Name, Type: 'SecureString', Value: all.get(Name) }] : [])), InvalidParameters: wanted.filter((name) => !all.has(name)) });
