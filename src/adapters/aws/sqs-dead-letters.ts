// Dead letters of a region lie in one SQS queue: what `apply` could not handle, with its reason and who sent it as
// attributes; what SQS itself moved there after too many deliveries; and what the stream's mapping gave up.
//
// SQS can be received from but not looked through. So a list receives what there is, up to LOOKED_AT_MAX, gives it back at
// once, and answers what is asked for in the order of time. Letters are removed in the same way: received, and only the others
// given back.

import { ChangeMessageVisibilityBatchCommand, DeleteMessageBatchCommand, GetQueueAttributesCommand, ReceiveMessageCommand, SendMessageCommand, type Message, type SQSClient } from '@aws-sdk/client-sqs';
import { utf8 } from '../../core/bytes.ts';
import type { RegionId } from '../../core/version/dot.ts';
import type { DeadLetter, DeadLetters } from '../../ports/queue.ts';
import { toBase64 } from './base64.ts';
import { failed, failureOf } from './failures.ts';
import { readMessage, type SqsParts } from './sqs-queue.ts';

const REASON_CHARACTERS_MAX = 256;
/** Three seconds of receiving, within the ten that a request has. */
export const LOOKED_AT_MAX = 1_000;
const BATCH_MAX = 10;
/** Nobody else receives a letter while it is looked at. */
const LOOK_SECONDS = 30;
/** A long poll asks all servers of the queue: a short one may miss what is there. */
const POLL_SECONDS = 1;
const GIVEN_UP_BY_QUEUE = 'Delivered too often, or given up by the mapping of the stream.';

/** Of a message as it lay in the inbox: who sent it, and its records. */
export interface Sealed {
  readonly from: string;
  readonly body: Uint8Array;
}

export interface SqsDeadLettersParts extends SqsParts {
  /** Of whom these letters are; those of which nobody knows are listed with every peer. Undefined: of nobody known. */
  readonly from?: RegionId | undefined;
  /** Undefined for what is no message between regions. */
  readonly unsealed?: (body: Uint8Array) => Sealed | undefined;
}

export class SqsDeadLetters implements DeadLetters {
  readonly #client: SQSClient;
  readonly #parts: SqsDeadLettersParts;

  constructor(parts: SqsDeadLettersParts) {
    this.#client = parts.client;
    this.#parts = parts;
  }

  async add(letters: readonly Omit<DeadLetter, 'id'>[]): Promise<void> {
    await Promise.all(letters.map((letter) => this.#add(letter)));
  }

  async #add({ reason, atMs, body }: Omit<DeadLetter, 'id'>): Promise<void> {
    const { from, queueUrl: QueueUrl } = this.#parts;
    const text = (StringValue: string): { DataType: string; StringValue: string } => ({ DataType: 'String', StringValue });
    const MessageAttributes = { reason: text(reasonText(reason)), at: text(new Date(atMs).toISOString()), ...(from === undefined ? {} : { from: text(from) }) };
    try {
      await this.#client.send(new SendMessageCommand({ QueueUrl, MessageBody: toBase64(body), MessageAttributes }));
    } catch (error) {
      throw failed(failureOf(error), error, false);
    }
  }

  async list(limit: number, after?: string): Promise<readonly DeadLetter[]> {
    const letters = (await this.#look(() => false)).sort((a, b) => (a.id < b.id ? -1 : 1));
    return letters.filter(({ id }) => after === undefined || id > after).slice(0, limit);
  }

  async remove(ids: readonly string[]): Promise<void> {
    const asked = new Set(ids);
    if (asked.size > 0) await this.#look(({ id }) => asked.has(id));
  }

  /** What is not removed is there again at once. */
  async #look(isRemoved: (letter: DeadLetter) => boolean): Promise<DeadLetter[]> {
    const QueueUrl = this.#parts.queueUrl;
    try {
      const looked = (await this.#received()).map((message) => ({ handle: message.ReceiptHandle ?? '', letter: this.#letterOf(message) }));
      const gone = looked.filter(({ letter }) => letter !== undefined && isRemoved(letter));
      const back = looked.filter((each) => !gone.includes(each));
      for (const Entries of batches(gone)) await this.#client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
      for (const entries of batches(back)) await this.#client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries: entries.map((entry) => ({ ...entry, VisibilityTimeout: 0 })) }));
      return looked.flatMap(({ letter }) => letter ?? []);
    } catch (error) {
      throw failed(failureOf(error), error, false);
    }
  }

  async #received(): Promise<readonly Message[]> {
    const messages: Message[] = [];
    while (messages.length < LOOKED_AT_MAX) {
      const { Messages = [] } = await this.#client.send(
        new ReceiveMessageCommand({
          QueueUrl: this.#parts.queueUrl,
          MaxNumberOfMessages: BATCH_MAX,
          VisibilityTimeout: LOOK_SECONDS,
          WaitTimeSeconds: messages.length === 0 ? POLL_SECONDS : 0,
          MessageAttributeNames: ['All'],
          MessageSystemAttributeNames: ['SentTimestamp'],
        }),
      );
      if (Messages.length === 0) break;
      messages.push(...Messages);
    }
    return messages;
  }

  /** Undefined for a letter of another peer. */
  #letterOf({ MessageId = '', Body = '', Attributes = {}, MessageAttributes = {} }: Message): DeadLetter | undefined {
    const sentMs = Number(Attributes.SentTimestamp ?? 0);
    const body = readMessage(Body)?.body ?? utf8(Body);
    const reason = MessageAttributes['reason']?.StringValue;
    const sealed = reason === undefined ? this.#parts.unsealed?.(body) : undefined;
    const from = MessageAttributes['from']?.StringValue ?? sealed?.from;
    if (from !== undefined && from !== this.#parts.from) return undefined;
    const saidMs = Date.parse(MessageAttributes['at']?.StringValue ?? '');
    const atMs = Number.isNaN(saidMs) ? sentMs : saidMs;
    return { id: `${String(atMs).padStart(15, '0')}-${MessageId}`, reason: reason ?? GIVEN_UP_BY_QUEUE, atMs, body: sealed?.body ?? body };
  }

  /** An estimate, of all letters of the region. */
  async count(): Promise<number> {
    const name = 'ApproximateNumberOfMessages';
    const { Attributes = {} } = await this.#client.send(new GetQueueAttributesCommand({ QueueUrl: this.#parts.queueUrl, AttributeNames: [name] }));
    return Number(Attributes[name] ?? 0);
  }
}

/** Printable ASCII, never empty: what SQS takes. */
const reasonText = (reason: string): string => reason.replaceAll(/[^ -~]/g, '?').slice(0, REASON_CHARACTERS_MAX) || 'unknown';

interface Entry {
  readonly Id: string;
  readonly ReceiptHandle: string;
}

const batches = (looked: readonly { readonly handle: string }[]): Entry[][] => [...chunks(looked.map(({ handle }) => handle), BATCH_MAX)].map((some) => some.map((ReceiptHandle, at) => ({ Id: String(at), ReceiptHandle })));

function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}
