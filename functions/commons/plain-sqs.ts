// In the place of @aws-sdk/client-sqs in `api` and `peer`, which count what waits for a peer and look through dead letters:
// the same operations by signed HTTP (JSON 1.0), without the schemas and errors of all others, 30 KB. The functions that
// queues are for have the SDK's client.

import { hash } from 'node:crypto';
import type { ReceiveMessageResult, SendMessageBatchRequest, SendMessageBatchResult, SendMessageRequest, SendMessageResult, SQSClientConfig } from '@aws-sdk/client-sqs';
import { SignedCalls, type ServiceAnswer } from '../../src/adapters/aws/signed-calls.ts';
import { utf8 } from '../../src/core/bytes.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { defaultProvider } from './credentials.ts';
import { endpointOf } from './endpoints.ts';

/** As clients.ts makes them; what it sets besides is what this client does anyway: one attempt, and no queue's URL as the endpoint. */
interface Config extends Pick<SQSClientConfig, 'maxAttempts' | 'useQueueUrlAsEndpoint'> {
  readonly region: RegionId;
  readonly requestHandler: { readonly connectionTimeout: number; readonly requestTimeout: number };
}

interface Command {
  readonly operation: string;
  readonly input: Partial<SendMessageRequest & SendMessageBatchRequest>;
}

type Output = Partial<ReceiveMessageResult & SendMessageResult & SendMessageBatchResult>;

export class SQSClient {
  readonly #calls: SignedCalls;

  constructor({ region, maxAttempts, useQueueUrlAsEndpoint, requestHandler }: Config) {
    if (maxAttempts !== 1 || useQueueUrlAsEndpoint !== false) throw new TypeError('This client tries once, and calls one endpoint.');
    const { connectionTimeout: connectionMs, requestTimeout: attemptMs } = requestHandler;
    this.#calls = new SignedCalls({ service: 'sqs', region, endpoint: endpointOf({ variable: 'SQS', host: 'sqs' }, region), credentials: defaultProvider(), connectionMs, attemptMs });
  }

  /** @throws what the SDK's throws, by its name */
  async send({ operation, input }: Command): Promise<Output> {
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${operation}`, 'x-amzn-query-mode': 'true' };
    const answer = await this.#calls.post({ path: '/', headers, body: utf8(JSON.stringify(input)) });
    if (answer.status !== 200) throw refusal(answer);
    const output = parsed(answer) as Output;
    assertWhole(input, output);
    return output;
  }
}

const parsed = ({ body }: ServiceAnswer): object => JSON.parse(Buffer.from(body).toString()) as object;

function refusal(answer: ServiceAnswer): Error {
  const { status, headers } = answer;
  const { __type = headers['x-amzn-query-error'] ?? 'Unknown', message, Message = 'UnknownError' } = saidBy(answer);
  const name = __type.replace(/^.*#/, '').replace(/[:;].*$/, '');
  return Object.assign(new Error(message ?? Message), { name, $fault: status < 500 ? 'client' : 'server', $metadata: { httpStatusCode: status } });
}

function saidBy(answer: ServiceAnswer): { readonly __type?: string; readonly message?: string; readonly Message?: string } {
  try {
    return parsed(answer);
  } catch {
    return {}; // whatever stands before SQS answers as it likes
  }
}

/** As the SDK does: text of a message, and the digest that SQS has made of it. */
function assertWhole({ MessageBody, Entries = [] }: Command['input'], { Messages = [], MessageId, MD5OfMessageBody, Successful = [] }: Output): void {
  const sent = new Map(Entries.map((entry) => [entry.Id, entry.MessageBody]));
  const digests = [
    ...(MessageBody === undefined ? [] : [{ MessageId, text: MessageBody, digest: MD5OfMessageBody }]),
    ...Messages.map((message) => ({ MessageId: message.MessageId, text: message.Body, digest: message.MD5OfBody })),
    ...Successful.flatMap((each) => (each.MD5OfMessageBody === undefined ? [] : [{ MessageId: each.MessageId, text: sent.get(each.Id), digest: each.MD5OfMessageBody }])),
  ];
  const broken = digests.filter(({ text = '', digest }) => hash('md5', text) !== digest).map((each) => each.MessageId);
  if (broken.length > 0) throw new Error(`Invalid MD5 checksum on messages: ${broken.join(', ')}`);
}

const command = (operation: string): new (input: Command['input']) => Command =>
  class {
    readonly operation = operation;
    readonly input: Command['input'];

    constructor(input: Command['input']) {
      this.input = input;
    }
  };

export const SendMessageCommand = command('SendMessage');
export const SendMessageBatchCommand = command('SendMessageBatch');
export const ReceiveMessageCommand = command('ReceiveMessage');
export const DeleteMessageBatchCommand = command('DeleteMessageBatch');
export const ChangeMessageVisibilityCommand = command('ChangeMessageVisibility');
export const ChangeMessageVisibilityBatchCommand = command('ChangeMessageVisibilityBatch');
export const GetQueueAttributesCommand = command('GetQueueAttributes');
