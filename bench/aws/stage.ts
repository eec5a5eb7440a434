// Three regions of a deployment in this process: the bundles that would be deployed, each region's loaded apart, over an
// emulated DynamoDB that is metered, and SQS in this process. Streams and queues are driven by hand: what a mapping would
// hand to a function, when it would, and what is paid for it, is reckoned here.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CreateTableCommand, DynamoDBClient, GetItemCommand, type AttributeValue } from '@aws-sdk/client-dynamodb';
import { CreateQueueCommand, DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { APIGatewayProxyStructuredResultV2, DynamoDBRecord, DynamoDBStreamEvent, LambdaFunctionURLEvent, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { buildApp } from 'fauxqs';
import { bundle, type BundleName } from '../../cdk/bundle.ts';
import type { PeerAnswer, PeerEvent } from '../../src/adapters/aws/lambda-peer.ts';
import { fromBase64, toBase64 } from '../../src/adapters/aws/base64.ts';
import { CLIENT_SETTINGS } from '../../src/adapters/aws/failures.ts';
import { places, type Item } from '../../src/adapters/aws/layout.ts';
import { arns, names, queueUrl } from '../../src/adapters/aws/names.ts';
import { SQS_CLIENT_SETTINGS } from '../../src/adapters/aws/sqs-queue.ts';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { itemKey, type ItemKey } from '../../src/core/keys/item-key.ts';
import { groupOf } from '../../src/core/placement/placement.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import type { ReconcileEvent, ReconcileResult } from '../../functions/reconcile.ts';
import { ACCOUNT, ADMIN_KEY, bytesOf, CREDENTIALS, environmentOf } from '../../scripts/lib/functions-place.ts';
import { Meter } from './meter.ts';

export const [EU, US, AP] = ['eu-central-1', 'us-east-1', 'ap-northeast-2'].map(asRegionId) as [RegionId, RegionId, RegionId];
export const REGIONS: readonly RegionId[] = [EU, US, AP];
const DEPLOYMENT = 'bench';
const PLACE = { deployment: DEPLOYMENT, partition: 'aws', account: ACCOUNT };
const COLLECTION = 'demo';
const USED: readonly BundleName[] = ['api', 'peer', 'fan-out', 'apply', 'reconcile'];

interface Handlers {
  readonly api: (event: LambdaFunctionURLEvent) => Promise<APIGatewayProxyStructuredResultV2>;
  readonly peer: (event: PeerEvent) => Promise<PeerAnswer>;
  readonly 'fan-out': (event: DynamoDBStreamEvent) => Promise<void>;
  readonly apply: (event: SQSEvent) => Promise<SQSBatchResponse>;
  readonly reconcile: (event: ReconcileEvent) => Promise<ReconcileResult>;
}

/** What left a region, in messages. */
export interface Sent {
  messages: number;
  textBytes: number;
  /** Sent, received, acknowledged; each 64 KiB of text is one. */
  requests: number;
}

/** What the functions log and measure, line by line, is not for whoever reads the table. */
let listening: () => void = () => undefined;

function deaf(): void {
  const restore = [process.stdout, process.stderr].map((stream) => {
    const write = stream.write.bind(stream);
    stream.write = ((chunk: string | Uint8Array, ...rest: []) => (/^\{"(?:time|_aws)"/.test(String(chunk)) ? true : write(chunk, ...rest)));
    return (): void => void (stream.write = write);
  });
  listening = (): void => restore.forEach((each) => each());
}

export const tableOf = (region: RegionId): string => names.table(DEPLOYMENT, region);

export class Stage {
  readonly meter: Meter;
  readonly #folder: string;
  readonly #sqsUrl: string;
  readonly #stopSqs: () => Promise<void>;
  readonly #services: Server;
  readonly #dynamoUrl: string;
  readonly #raw = new Map<RegionId, DynamoDBClient>();
  readonly #regions = new Map<RegionId, Handlers>();
  #operations = 0;

  private constructor(meter: Meter, dynamoUrl: string, folder: string, sqs: { readonly url: string; readonly stop: () => Promise<void> }) {
    this.meter = meter;
    this.#folder = folder;
    this.#sqsUrl = sqs.url;
    this.#stopSqs = sqs.stop;
    this.#dynamoUrl = dynamoUrl;
    this.#services = createServer((incoming, outgoing) => {
      this.#answer(String(incoming.headers['x-amz-target']), incoming.url ?? '', bytesOf(incoming)).then(
        (body) => outgoing.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
        (error: unknown) => outgoing.writeHead(500).end(String(error)),
      );
    });
  }

  static async on(dynamoUrl: string): Promise<Stage> {
    deaf();
    const app = buildApp({ logger: false });
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    const folder = await bundle(mkdtempSync(join(tmpdir(), 'archipel-bench-aws-')), USED);
    const stage = new Stage(await Meter.before(dynamoUrl), dynamoUrl, folder, { url, stop: async () => void (await app.close()) });
    stage.#services.listen(0, '127.0.0.1');
    await once(stage.#services, 'listening');
    for (const region of REGIONS) await stage.#make(region);
    for (const region of REGIONS) await stage.#load(region);
    await stage.#call(EU, 'PUT', `/v1/c/${COLLECTION}`, utf8('{"conflict":"lww"}'));
    for (const region of REGIONS) await stage.get(region, 'nothing'); // every environment is warm
    return stage;
  }

  async stop(): Promise<void> {
    this.meter.stop();
    this.#services.close();
    this.#services.closeAllConnections();
    for (const client of this.#raw.values()) client.destroy();
    listening();
    await this.#stopSqs();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #make(region: RegionId): Promise<void> {
    const [PK, SK] = [{ AttributeName: 'PK', AttributeType: 'B' as const }, { AttributeName: 'SK', AttributeType: 'B' as const }];
    const dynamo = this.#dynamo(region);
    await dynamo.send(new CreateTableCommand({ TableName: tableOf(region), BillingMode: 'PAY_PER_REQUEST', AttributeDefinitions: [PK, SK], KeySchema: [{ ...PK, KeyType: 'HASH' }, { ...SK, KeyType: 'RANGE' }].map(({ AttributeName, KeyType }) => ({ AttributeName, KeyType: KeyType as 'HASH' | 'RANGE' })) }));
    dynamo.destroy();
    const sqs = this.#sqs(region);
    for (const name of [names.inbox(DEPLOYMENT, region), names.dead(DEPLOYMENT, region), ...REGIONS.filter((peer) => peer !== region).map((peer) => names.hints(DEPLOYMENT, region, peer))]) await sqs.send(new CreateQueueCommand({ QueueName: name }));
    sqs.destroy();
  }

  #dynamo(region: RegionId): DynamoDBClient {
    return new DynamoDBClient({ region, credentials: CREDENTIALS, endpoint: this.meter.url, ...CLIENT_SETTINGS });
  }

  #sqs(region: RegionId): SQSClient {
    return new SQSClient({ region, credentials: CREDENTIALS, endpoint: this.#sqsUrl, ...CLIENT_SETTINGS, ...SQS_CLIENT_SETTINGS });
  }

  /** An environment reads its settings when it is used first: one region after the other. */
  async #load(region: RegionId): Promise<void> {
    const services = `http://127.0.0.1:${(this.#services.address() as AddressInfo).port}`;
    Object.assign(process.env, environmentOf({ deployment: DEPLOYMENT, regions: REGIONS, dynamo: this.meter.url, sqs: this.#sqsUrl, services }, region));
    const modules = await Promise.all(USED.map(async (name) => [name, ((await import(`${pathToFileURL(join(this.#folder, name, 'index.mjs')).href}?${region}`)) as { readonly handler: unknown }).handler] as const));
    const handlers = Object.fromEntries(modules) as unknown as Handlers;
    this.#regions.set(region, handlers);
    await this.get(region, 'nothing');
    await handlers['fan-out']({ Records: [] });
    await handlers.apply({ Records: [] });
    await handlers.reconcile({ what: 'tidy' }).catch(() => undefined); // its peers are not loaded yet
    await handlers.peer({ method: 'hello', question: '' }).catch(() => undefined);
  }

  #of(region: RegionId): Handlers {
    const handlers = this.#regions.get(region);
    if (handlers === undefined) throw new Error(`${region} is not loaded.`);
    return handlers;
  }

  async #answer(target: string, url: string, body: Promise<Buffer>): Promise<unknown> {
    const asked = JSON.parse((await body).toString()) as { readonly Names?: readonly string[] } & PeerEvent;
    if (target === 'AmazonSSM.GetParameters') {
      const all: Readonly<Record<string, string>> = { [names.secret(DEPLOYMENT)]: '00112233445566778899aabbccddeeff', [names.adminKey(DEPLOYMENT)]: ADMIN_KEY };
      return { Parameters: asked.Names?.map((Name) => ({ Name, Type: 'SecureString', Value: all[Name] })), InvalidParameters: [] };
    }
    const arn = decodeURIComponent(/\/functions\/([^/]+)\//.exec(url)?.[1] ?? '');
    const region = REGIONS.find((id) => arn === arns.function(PLACE, 'peer', id));
    if (region === undefined) throw new Error(`There is no function ${arn}.`);
    return this.#of(region).peer(asked);
  }

  async #call(region: RegionId, method: string, rawPath: string, body?: Uint8Array, isOperated = true): Promise<number> {
    const event = {
      version: '2.0',
      rawPath,
      rawQueryString: '',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...(isOperated ? { 'idempotency-key': operationId(++this.#operations) } : {}), ...(body === undefined ? {} : { 'content-length': String(body.length) }) },
      requestContext: { domainName: 'bench', http: { method, path: rawPath, protocol: 'HTTP/1.1', sourceIp: '198.51.100.7', userAgent: 'bench' }, requestId: 'bench' },
      ...(body === undefined ? {} : { body: toBase64(body) }),
      isBase64Encoded: body !== undefined,
    } as unknown as LambdaFunctionURLEvent;
    const { statusCode = 500, body: text = '' } = await this.#of(region).api(event);
    if (statusCode >= 400 && statusCode !== 404) throw new Error(`${method} ${rawPath} in ${region}: ${statusCode} ${utf8Of(text)}`);
    return statusCode;
  }

  put(region: RegionId, pk: string, value: Uint8Array, isOperated = true): Promise<number> {
    return this.#call(region, 'PUT', `/v1/c/${COLLECTION}/items/${pk}`, value, isOperated);
  }

  get(region: RegionId, pk: string): Promise<number> {
    return this.#call(region, 'GET', `/v1/c/${COLLECTION}/items/${pk}`);
  }

  /** What the stream tells of the last commit of an item. */
  async image(region: RegionId, pk: string): Promise<DynamoDBRecord> {
    const image = Object.entries(await this.item(region, pk)).map(([name, value]) => [name, asEvent(value)] as const);
    return { eventName: 'INSERT', dynamodb: { NewImage: Object.fromEntries(image) as Record<string, { S: string }> } };
  }

  /** Past the meter: reading a stream by a function is free. */
  async item(region: RegionId, pk: string): Promise<Item> {
    const client = this.#raw.get(region) ?? new DynamoDBClient({ region, credentials: CREDENTIALS, endpoint: this.#dynamoUrl, ...CLIENT_SETTINGS });
    this.#raw.set(region, client);
    const { PK, SK } = places.record(keyOf(pk).encoded);
    return (await client.send(new GetItemCommand({ TableName: tableOf(region), Key: { PK, SK } }))).Item ?? {};
  }

  fanOut(region: RegionId, Records: DynamoDBRecord[]): Promise<void> {
    return this.#of(region)['fan-out']({ Records });
  }

  reconcile(region: RegionId, event: ReconcileEvent): Promise<ReconcileResult> {
    return this.#of(region).reconcile(event);
  }

  /** Applies what lies in the inbox, a message an invocation, and answers what there was. */
  async drain(region: RegionId): Promise<Sent> {
    const sqs = this.#sqs(region);
    const QueueUrl = queueUrl(PLACE, region, names.inbox(DEPLOYMENT, region));
    const sent: Sent = { messages: 0, textBytes: 0, requests: 0 };
    for (;;) {
      const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['ApproximateReceiveCount'] }));
      if (Messages.length === 0) break;
      for (const { MessageId: messageId = '', Body: body = '', ReceiptHandle: receiptHandle = '' } of Messages) {
        const record = { messageId, receiptHandle, body, attributes: { ApproximateReceiveCount: '1' }, messageAttributes: {}, eventSource: 'aws:sqs', eventSourceARN: arns.queue(PLACE, region, names.inbox(DEPLOYMENT, region)), awsRegion: region };
        const { batchItemFailures } = await this.#of(region).apply({ Records: [record] } as unknown as SQSEvent);
        if (batchItemFailures.length > 0) throw new Error(`${region} did not apply a message.`);
        sent.messages++;
        sent.textBytes += body.length;
        sent.requests += 2 * Math.ceil(body.length / 65_536) + 1;
      }
      await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries: Messages.map(({ MessageId: Id = '', ReceiptHandle = '' }) => ({ Id, ReceiptHandle })) }));
    }
    sqs.destroy();
    return sent;
  }
}

export const keyOf = (pk: string): ItemKey => itemKey(groupOf({ regions: 'all', replicas: 3 }, sha256), { collection: COLLECTION, pk: utf8(pk), sk: new Uint8Array(0) }, sha256);

/** UUIDv7, as an edge mints them: 48 bits of time, then what makes it one of its own. */
function operationId(number: number): string {
  const time = Date.now().toString(16).padStart(12, '0');
  const own = number.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${own}`;
}

const utf8Of = (base64: string): string => Buffer.from(fromBase64(base64) ?? []).toString();

const asEvent = (value: AttributeValue): unknown => (value.L === undefined ? (value.B === undefined ? value : { B: toBase64(value.B) }) : { L: value.L.map(asEvent) });
