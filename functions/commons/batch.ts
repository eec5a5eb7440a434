// A batch of SQS messages, each settled by itself:
//
//   done    SQS deletes it
//   later   reported as failed, and hidden for a growing time: it waits for a clock, a policy, an upgrade, a region
//   poison  no delivery can help: kept aside with its reason, then done
//
// Only what SQS itself gives up (a message that ends the function again and again) goes to the dead letters by count.

import type { SQSClient } from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { queueUrl } from '../../src/adapters/aws/names.ts';
import { readMessage, SqsQueue } from '../../src/adapters/aws/sqs-queue.ts';
import { JsonLog } from '../../src/adapters/node/log.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { MalformedError } from '../../src/core/version/codec.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { sqsClient } from './clients.ts';
import type { Once } from './once.ts';
import type { RegionOnLambda } from './region.ts';
import { settingsOf } from './settings.ts';

export type Settled = 'done' | 'later';

/** @throws MalformedError for poison; anything else that it throws means later */
export type Handle = (body: Uint8Array, record: SQSRecord) => Promise<Settled>;

const LATER_MS = 1_000;
/** At this pace the 1,000 deliveries that SQS counts at most take ten days. */
const LATER_MS_MAX = 900_000;

export class Batches {
  readonly #opened: RegionOnLambda;
  readonly #waiting: Waiting;

  constructor(opened: RegionOnLambda) {
    this.#opened = opened;
    this.#waiting = new Waiting(opened);
  }

  async settle({ Records }: SQSEvent, handle: Handle): Promise<SQSBatchResponse> {
    const settled = await Promise.all(Records.map((record) => this.#settle(record, handle)));
    return this.#waiting.later(Records.filter((_, at) => settled[at] === 'later'));
  }

  async #settle(record: SQSRecord, handle: Handle): Promise<Settled> {
    try {
      const message = readMessage(record.body);
      if (message === undefined) throw new MalformedError('Not a message: no base64.');
      return await handle(message.body, record);
    } catch (error) {
      if (error instanceof MalformedError) return this.#setAside(record, error);
      this.#opened.log.write('warn', 'message.failed', { messageId: record.messageId, received: record.attributes.ApproximateReceiveCount, error: String(error) });
      return 'later';
    }
  }

  async #setAside(record: SQSRecord, { message: reason }: MalformedError): Promise<Settled> {
    const { region, log, clock } = this.#opened;
    log.write('error', 'message.dead', { messageId: record.messageId, reason });
    try {
      await region.parts.deadLetters(region.id).add([{ reason, atMs: clock.wallMs(), body: readMessage(record.body)?.body ?? utf8(record.body) }]);
      return 'done';
    } catch (error) {
      log.write('error', 'message.not-set-aside', { messageId: record.messageId, error: String(error) });
      return 'later';
    }
  }
}

/** Messages that come again, after a growing time. */
class Waiting {
  readonly #parts: Pick<RegionOnLambda, 'settings' | 'log'>;
  readonly #client: SQSClient;

  constructor(parts: Pick<RegionOnLambda, 'settings' | 'log'>) {
    this.#parts = parts;
    this.#client = sqsClient(parts.settings.region);
  }

  async later(records: readonly SQSRecord[]): Promise<SQSBatchResponse> {
    await Promise.all(records.map((record) => this.#hide(record)));
    return { batchItemFailures: records.map(({ messageId }) => ({ itemIdentifier: messageId })) };
  }

  /** Best effort: without it the message comes again when the queue's own time is over. */
  async #hide({ receiptHandle, eventSourceARN, attributes, messageId }: SQSRecord): Promise<void> {
    const { settings, log } = this.#parts;
    const [, , , region = '', , name = ''] = eventSourceARN.split(':');
    const queue = new SqsQueue({ client: this.#client, queueUrl: queueUrl(settings, region as RegionId, name) });
    const received = Number(attributes.ApproximateReceiveCount);
    try {
      await queue.retryLater(receiptHandle, Math.min(LATER_MS_MAX, LATER_MS * 2 ** Math.min(received - 1, 20)));
    } catch (error) {
      log.write('warn', 'message.not-hidden', { messageId, error: String(error) });
    }
  }
}

/**
 * A region that cannot be opened now (its table does not answer in time) takes its messages a little later, all of them:
 * again is harmless. Without this they would be hidden as long as the queue hides what ends a function, which is minutes.
 */
export async function whenOpen<T>(opened: Once<T>, { Records }: SQSEvent, settle: (it: T) => Promise<SQSBatchResponse>): Promise<SQSBatchResponse> {
  try {
    return await settle(await opened.get());
  } catch (error) {
    const settings = settingsOf(process.env);
    const log = new JsonLog({ region: settings.region, function: process.env['AWS_LAMBDA_FUNCTION_NAME'] });
    log.write('warn', 'region.not-opened', { error: String(error) });
    return new Waiting({ settings, log }).later(Records);
  }
}
