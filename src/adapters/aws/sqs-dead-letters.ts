// Dead letters of a region lie in one SQS queue: what `apply` could not handle, with its reason as an attribute; what SQS
// itself moved there after too many deliveries; and what the stream's mapping gave up. SQS can be received from but not
// looked through, so listing and replaying are done there, with its own tools, until a later version keeps them otherwise.

import { GetQueueAttributesCommand, SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { ArchipelError } from '../../core/errors.ts';
import type { DeadLetter, DeadLetters } from '../../ports/queue.ts';
import { toBase64 } from './base64.ts';
import { failed, failureOf } from './failures.ts';
import type { SqsParts } from './sqs-queue.ts';

const REASON_CHARACTERS_MAX = 256;

export class SqsDeadLetters implements DeadLetters {
  readonly #client: SQSClient;
  readonly #queueUrl: string;

  constructor({ client, queueUrl }: SqsParts) {
    this.#client = client;
    this.#queueUrl = queueUrl;
  }

  async add(letters: readonly Omit<DeadLetter, 'id'>[]): Promise<void> {
    await Promise.all(letters.map((letter) => this.#add(letter)));
  }

  async #add({ reason, atMs, body }: Omit<DeadLetter, 'id'>): Promise<void> {
    const text = (StringValue: string): { DataType: string; StringValue: string } => ({ DataType: 'String', StringValue });
    const MessageAttributes = { reason: text(reasonText(reason)), at: text(new Date(atMs).toISOString()) };
    try {
      await this.#client.send(new SendMessageCommand({ QueueUrl: this.#queueUrl, MessageBody: toBase64(body), MessageAttributes }));
    } catch (error) {
      throw failed(failureOf(error), error, false);
    }
  }

  list(): Promise<readonly DeadLetter[]> {
    return Promise.reject(new ArchipelError('not-built', 'Dead letters are listed in the console of SQS.'));
  }

  remove(): Promise<void> {
    return Promise.reject(new ArchipelError('not-built', 'Dead letters are replayed in the console of SQS.'));
  }

  /** An estimate. */
  async count(): Promise<number> {
    const name = 'ApproximateNumberOfMessages';
    const { Attributes = {} } = await this.#client.send(new GetQueueAttributesCommand({ QueueUrl: this.#queueUrl, AttributeNames: [name] }));
    return Number(Attributes[name] ?? 0);
  }
}

/** Printable ASCII, never empty: what SQS takes. */
const reasonText = (reason: string): string => reason.replaceAll(/[^ -~]/g, '?').slice(0, REASON_CHARACTERS_MAX) || 'unknown';
