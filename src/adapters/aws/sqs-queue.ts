// The queue of the port on one SQS standard queue: at least once, in any order, copies happen. SQS takes only text that
// is legal in XML, so a message is base64, and what 1 MiB of it holds is 768 KiB of bytes:
//
//   <base64 of the body>   or   <base64 of the key>.<base64 of the body>
//
// Nothing is retried here: what was not accepted is reported by position, and the sender keeps it as a hint. After a
// connection that broke, a message reported as not accepted may have been stored all the same: then there is a copy.

import { ChangeMessageVisibilityCommand, DeleteMessageBatchCommand, GetQueueAttributesCommand, ReceiveMessageCommand, SendMessageBatchCommand } from '@aws-sdk/client-sqs';
import type { Message as SqsMessage, SQSClient } from '@aws-sdk/client-sqs';
import { utf8 } from '../../core/bytes.ts';
import { ENCODED_KEY_BYTES_MAX } from '../../core/limits.ts';
import type { Delivery, Message, Queue } from '../../ports/queue.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { failed, failureOf } from './failures.ts';

/** For every client that is given to this adapter: the host of a queue's URL is not always the endpoint. */
export const SQS_CLIENT_SETTINGS = { useQueueUrlAsEndpoint: false } as const;

/** Of one message, and of all messages of one batch, as text. */
const TEXT_BYTES_MAX = 1024 * 1024;
const BATCH_MAX = 10;
const WAIT_SECONDS_MAX = 20;
/** 12 hours, counted from when the message was received. */
const VISIBILITY_SECONDS_MAX = 43_200;

const base64Length = (bytes: number): number => 4 * Math.ceil(bytes / 3);

/** A body of this size fits with the longest key beside it: 1,048,576 - 1,336 - 1, in groups of four characters. */
export const SQS_BODY_BYTES_MAX = 3 * Math.floor((TEXT_BYTES_MAX - base64Length(ENCODED_KEY_BYTES_MAX) - 1) / 4);

export interface SqsParts {
  /** Made with CLIENT_SETTINGS and SQS_CLIENT_SETTINGS. */
  readonly client: SQSClient;
  readonly queueUrl: string;
}

interface Entry {
  readonly at: number;
  readonly text: string;
}

export class SqsQueue implements Queue {
  readonly supports = { deduplicates: false, exactDepth: false, messageBytesMax: SQS_BODY_BYTES_MAX } as const;
  readonly #client: SQSClient;
  readonly #queueUrl: string;

  constructor({ client, queueUrl }: SqsParts) {
    this.#client = client;
    this.#queueUrl = queueUrl;
  }

  async send(messages: readonly Message[]): Promise<{ readonly refused: readonly number[] }> {
    const tooLarge = messages.flatMap((message, at) => (fits(message) ? [] : [at]));
    const parts = batches(messages.flatMap((message, at): Entry[] => (fits(message) ? [{ at, text: encodeMessage(message) }] : [])));
    const sent = await Promise.allSettled(parts.map((part) => this.#sendBatch(part)));
    const broken = sent.find((each) => each.status === 'rejected');
    if (broken !== undefined && sent.every((each) => each.status === 'rejected')) throw told(broken.reason, true);
    const notTaken = parts.flatMap((part, number) => {
      const answer = sent[number];
      return answer?.status === 'fulfilled' ? answer.value : part.map(({ at }) => at);
    });
    return { refused: [...tooLarge, ...notTaken].sort((a, b) => a - b) };
  }

  /** The positions that SQS did not take. */
  async #sendBatch(batch: readonly Entry[]): Promise<number[]> {
    const Entries = batch.map(({ at, text }) => ({ Id: String(at), MessageBody: text }));
    const { Failed = [] } = await this.#client.send(new SendMessageBatchCommand({ QueueUrl: this.#queueUrl, Entries }));
    return Failed.map(({ Id }) => Number(Id));
  }

  /** Waits for the first message only; then takes what is there, ten at a time. */
  async receive(limit: number, waitMs = 0): Promise<readonly Delivery[]> {
    const found: Delivery[] = [];
    for (let isFull = true; isFull && found.length < limit; ) {
      const MaxNumberOfMessages = Math.min(BATCH_MAX, limit - found.length);
      const WaitTimeSeconds = found.length > 0 ? 0 : Math.min(WAIT_SECONDS_MAX, Math.ceil(waitMs / 1_000));
      const received = await this.#receive(MaxNumberOfMessages, WaitTimeSeconds, found.length > 0);
      found.push(...received.map(deliveryOf));
      isFull = received.length === MaxNumberOfMessages;
    }
    return found;
  }

  /** What was received before is not thrown away because a later call fails. */
  async #receive(MaxNumberOfMessages: number, WaitTimeSeconds: number, hasSome: boolean): Promise<readonly SqsMessage[]> {
    try {
      const input = { QueueUrl: this.#queueUrl, MaxNumberOfMessages, WaitTimeSeconds, MessageSystemAttributeNames: ['ApproximateReceiveCount' as const] };
      return (await this.#client.send(new ReceiveMessageCommand(input))).Messages ?? [];
    } catch (error) {
      if (hasSome) return [];
      throw told(error, false);
    }
  }

  async acknowledge(receipts: readonly string[]): Promise<void> {
    const unique = [...new Set(receipts)].filter((receipt) => receipt !== '');
    const parts = Array.from({ length: Math.ceil(unique.length / BATCH_MAX) }, (_, part) => unique.slice(part * BATCH_MAX, (part + 1) * BATCH_MAX));
    // A receipt that SQS no longer knows fails alone, in the answer: its message is gone, or comes again.
    await Promise.all(parts.map((part) => this.#acknowledgeBatch(part)));
  }

  async #acknowledgeBatch(receipts: readonly string[]): Promise<void> {
    const Entries = receipts.map((ReceiptHandle, at) => ({ Id: String(at), ReceiptHandle }));
    try {
      await this.#client.send(new DeleteMessageBatchCommand({ QueueUrl: this.#queueUrl, Entries }));
    } catch (error) {
      throw told(error, true);
    }
  }

  async retryLater(receipt: string, delayMs: number): Promise<void> {
    const VisibilityTimeout = Math.min(VISIBILITY_SECONDS_MAX, Math.ceil(delayMs / 1_000));
    try {
      await this.#client.send(new ChangeMessageVisibilityCommand({ QueueUrl: this.#queueUrl, ReceiptHandle: receipt, VisibilityTimeout }));
    } catch (error) {
      if (!isOldReceipt(error)) throw told(error, true);
    }
  }

  /** An estimate: SQS counts some seconds late. */
  async depth(): Promise<number> {
    const names = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible', 'ApproximateNumberOfMessagesDelayed'] as const;
    try {
      const { Attributes = {} } = await this.#client.send(new GetQueueAttributesCommand({ QueueUrl: this.#queueUrl, AttributeNames: [...names] }));
      return names.reduce((sum, name) => sum + Number(Attributes[name] ?? 0), 0);
    } catch (error) {
      throw told(error, false);
    }
  }
}

const told = (error: unknown, changes: boolean): Error => {
  const failure = failureOf(error);
  return failed(failure, error, changes && (failure === 'in-doubt' || failure === 'timed-out'));
};

const isOldReceipt = (error: unknown): boolean => error instanceof Error && /ReceiptHandleIsInvalid|MessageNotInflight|InvalidParameterValue/.test(error.name);

const fits = ({ body, key }: Message): boolean => body.length <= SQS_BODY_BYTES_MAX && (key?.length ?? 0) <= ENCODED_KEY_BYTES_MAX;

const encodeMessage = ({ body, key }: Message): string => (key === undefined ? toBase64(body) : `${toBase64(key)}.${toBase64(body)}`);

/** The message that a text of the queue is; undefined for text that is not ours. */
export function readMessage(text: string): Message | undefined {
  const at = text.indexOf('.');
  const key = at < 0 ? undefined : fromBase64(text.slice(0, at));
  const body = fromBase64(text.slice(at + 1));
  if (body === undefined || (at >= 0 && key === undefined)) return undefined;
  return key === undefined ? { body } : { body, key };
}

/** Text that is not ours is delivered as it is: what handles messages keeps it aside, with its reason. */
const deliveryOf = ({ Body = '', ReceiptHandle = '', Attributes = {} }: SqsMessage): Delivery => ({
  ...(readMessage(Body) ?? { body: utf8(Body) }),
  receipt: ReceiptHandle,
  received: Number(Attributes.ApproximateReceiveCount ?? 1),
});

/** As many as ten, and 1 MiB together. */
function batches(entries: readonly Entry[]): (readonly Entry[])[] {
  const all: Entry[][] = [];
  let bytes = 0;
  for (const entry of entries) {
    const last = all.at(-1);
    if (last !== undefined && last.length < BATCH_MAX && bytes + entry.text.length <= TEXT_BYTES_MAX) {
      last.push(entry);
      bytes += entry.text.length;
    } else {
      all.push([entry]);
      bytes = entry.text.length;
    }
  }
  return all;
}
