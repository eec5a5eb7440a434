// The client of SQS that `api` and `peer` are bundled with, beside the SDK's: the same requests, answers and refusals.

import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as sdk from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { plainEndpoint } from '../../functions/commons/plain-endpoint.ts';
import * as plain from '../../functions/commons/plain-sqs.ts';
import { CLIENT_SETTINGS, failureOf } from '../../src/adapters/aws/failures.ts';
import { SQS_CLIENT_SETTINGS } from '../../src/adapters/aws/sqs-queue.ts';
import { bytesOf, CREDENTIALS } from '../../scripts/lib/functions-place.ts';
import { EU } from '../contract/make.ts';

const QueueUrl = 'https://sqs.eu-central-1.amazonaws.com/000000000000/archipel-dead';
const CONFIG = { region: EU, ...CLIENT_SETTINGS, ...SQS_CLIENT_SETTINGS, requestHandler: { connectionTimeout: 500, requestTimeout: 300, throwOnRequestTimeout: true as const } };

interface Said {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  readonly isSilent?: true;
}

describe('a client of SQS without the SDK', () => {
  let server: Server;
  let said: Said = { status: 200, body: '{}' };
  let asked: object[] = [];
  beforeAll(async () => {
    server = createServer((incoming, outgoing) => {
      void bytesOf(incoming).then((body) => {
        const { 'x-amz-target': target, 'content-type': type, 'x-amzn-query-mode': mode, authorization = '' } = incoming.headers;
        asked.push({ path: incoming.url, target, type, mode, scope: /Credential=[^/]+\/\d+\/([^,]+)/.exec(authorization)?.[1], input: JSON.parse(body.toString()) as unknown });
        if (said.isSilent !== true) outgoing.writeHead(said.status, { 'content-type': 'application/x-amz-json-1.0', ...said.headers }).end(said.body);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    for (const [name, value] of Object.entries({ AWS_ENDPOINT_URL_SQS: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })) vi.stubEnv(name, value);
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    server.close().closeAllConnections();
  });

  const OPERATIONS = [
    ['SendMessageCommand', { QueueUrl, MessageBody: 'YQ==', MessageAttributes: { reason: { DataType: 'String', StringValue: 'poison' } } }],
    ['SendMessageBatchCommand', { QueueUrl, Entries: [{ Id: '0', MessageBody: 'YQ==' }] }],
    ['ReceiveMessageCommand', { QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 30, WaitTimeSeconds: 1, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['SentTimestamp' as const] }],
    ['DeleteMessageBatchCommand', { QueueUrl, Entries: [{ Id: '0', ReceiptHandle: 'r' }] }],
    ['ChangeMessageVisibilityCommand', { QueueUrl, ReceiptHandle: 'r', VisibilityTimeout: 0 }],
    ['ChangeMessageVisibilityBatchCommand', { QueueUrl, Entries: [{ Id: '0', ReceiptHandle: 'r', VisibilityTimeout: 0 }] }],
    ['GetQueueAttributesCommand', { QueueUrl, AttributeNames: ['ApproximateNumberOfMessages' as const] }],
  ] as const;

  const send = (by: 'sdk' | 'plain', name: (typeof OPERATIONS)[number][0], input: object): Promise<object> =>
    by === 'plain' ? new plain.SQSClient(CONFIG).send(new plain[name](input)) : new sdk.SQSClient({ ...CONFIG, credentials: CREDENTIALS }).send(new (sdk[name] as typeof sdk.GetQueueAttributesCommand)(input as never));

  for (const [name, input] of OPERATIONS) {
    it(`${name}: the same request`, async () => {
      [said, asked] = [{ status: 200, body: name === 'SendMessageCommand' ? JSON.stringify({ MD5OfMessageBody: hash('md5', 'YQ==') }) : '{}' }, []];
      for (const by of ['sdk', 'plain'] as const) await send(by, name, input);
      expect(asked).toHaveLength(2);
      expect(asked[1]).toEqual(asked[0]);
      expect(asked[1]).toMatchObject({ target: `AmazonSQS.${name.replace('Command', '')}`, scope: 'eu-central-1/sqs/aws4_request' });
    });
  }

  const WHOLE = hash('md5', 'YQ==');
  const BROKEN = hash('md5', 'Yg==');
  const ANSWERS = [
    ['ReceiveMessageCommand', { QueueUrl }, (MD5OfBody: string) => ({ Messages: [{ MessageId: 'm', ReceiptHandle: 'r', Body: 'YQ==', MD5OfBody, Attributes: { SentTimestamp: '17' } }] })],
    ['SendMessageCommand', { QueueUrl, MessageBody: 'YQ==' }, (MD5OfMessageBody: string) => ({ MessageId: 'm', MD5OfMessageBody })],
    ['SendMessageBatchCommand', { QueueUrl, Entries: [{ Id: '0', MessageBody: 'YQ==' }] }, (MD5OfMessageBody: string) => ({ Successful: [{ Id: '0', MessageId: 'm', MD5OfMessageBody }], Failed: [{ Id: '1', Code: 'InternalError', SenderFault: false }] })],
  ] as const;

  for (const [name, input, answered] of ANSWERS) {
    it(`${name}: the same answer, and no text that came as another`, async () => {
      said = { status: 200, body: JSON.stringify(answered(WHOLE)) };
      const { $metadata: _, ...theirs } = (await send('sdk', name, input)) as { $metadata: object };
      expect(await send('plain', name, input)).toEqual(theirs);
      said = { status: 200, body: JSON.stringify(answered(BROKEN)) };
      for (const by of ['sdk', 'plain'] as const) await expect(send(by, name, input), by).rejects.toThrow(/checksum/i);
    });
  }

  const REFUSALS: Readonly<Record<string, Said>> = {
    'a queue that is not there': { status: 400, headers: { 'x-amzn-query-error': 'AWS.SimpleQueueService.NonExistentQueue;Sender' }, body: '{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}' },
    'a receipt that is old': { status: 400, headers: { 'x-amzn-query-error': 'ReceiptHandleIsInvalid;Sender' }, body: '{"__type":"com.amazonaws.sqs#ReceiptHandleIsInvalid","message":"The input receipt handle is invalid."}' },
    'too much': { status: 400, headers: { 'x-amzn-query-error': 'RequestThrottled;Sender' }, body: '{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slower"}' },
    'what it has no name for': { status: 400, headers: { 'x-amzn-query-error': 'InvalidParameterValue;Sender' }, body: '{"message":"Value for parameter ReceiptHandle is invalid."}' },
    'no right': { status: 403, body: '{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"no"}' },
    'a failure': { status: 500, body: '{"__type":"com.amazonaws.sqs#InternalFailure"}' },
    'a failure that is not JSON': { status: 503, body: '<html>' },
    'no answer in time': { status: 200, body: '', isSilent: true },
  };

  for (const [what, answer] of Object.entries(REFUSALS)) {
    it(`refused by ${what}: the same to whoever asks what went wrong`, async () => {
      said = answer;
      const [theirs, ours] = await Promise.all((['sdk', 'plain'] as const).map((by) => send(by, 'GetQueueAttributesCommand', { QueueUrl }).catch((error: unknown) => error as Error)));
      expect(failureOf(ours)).toBe(failureOf(theirs));
      if (answer.body.startsWith('{"')) expect(ours).toMatchObject({ name: (theirs as Error).name, $fault: (theirs as { $fault?: unknown }).$fault, $metadata: { httpStatusCode: answer.status } });
    });
  }

  it('has no other settings', () => {
    expect(() => new plain.SQSClient({ ...CONFIG, maxAttempts: 3 })).toThrow(TypeError);
  });
});

describe('the endpoint of a service', () => {
  it('is that of its region, or the one that is given', () => {
    const endpoint = plainEndpoint({ variable: 'DYNAMODB', host: 'dynamodb' });
    expect(endpoint({ Region: 'eu-central-1' }).url.href).toBe('https://dynamodb.eu-central-1.amazonaws.com/');
    expect(endpoint({ Region: 'eu-central-1', Endpoint: 'http://127.0.0.1:8000' }).url.href).toBe('http://127.0.0.1:8000/');
    expect(() => endpoint({ Region: 'eu-central-1', UseFIPS: true })).toThrow(TypeError);
    expect(() => endpoint({})).toThrow(TypeError);
  });
});
