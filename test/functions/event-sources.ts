// The event source mappings of Lambda by AWS's documented rules, as far as the emulators lack them: what is done with a batch
// whose function fails, or answers something that is no answer; what is given up, when, and what is then told to whom.

import type { DynamoDBRecord, DynamoDBStreamEvent, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { FakeAws } from './fake-aws.ts';

export interface StreamSetting {
  readonly batchSize: number;
  readonly bisects: boolean;
  readonly retriesMax: number;
  readonly recordAgeMsMax: number;
  /** `ReportBatchItemFailures`. */
  readonly isPartial: boolean;
}

/** As the stack sets them (cdk/region-stack.ts, held by test/cdk). */
export const AS_DEPLOYED: StreamSetting = { batchSize: 500, bisects: true, retriesMax: 10_000, recordAgeMsMax: 20 * 3_600_000, isPartial: false };

/** Between two tries of a batch. */
const RETRY_MS = 60_000;

/** What a destination is told: where the records were, and why they were given up; not the records. */
export interface GivenUp {
  readonly condition: 'RetryAttemptsExhausted' | 'RecordAgeExceeded';
  readonly batchSize: number;
  readonly startSequenceNumber: string;
  readonly endSequenceNumber: string;
}

export type StreamHandler = (event: DynamoDBStreamEvent) => Promise<unknown>;

/** One shard: in order, one batch at a time; what is behind a batch that fails waits. */
export class StreamMapping {
  readonly #handler: StreamHandler;
  readonly #setting: StreamSetting;
  readonly #pass: (ms: number) => void;
  readonly givenUp: GivenUp[] = [];
  calls = 0;

  constructor(handler: StreamHandler, pass: (ms: number) => void, setting: Partial<StreamSetting> = {}) {
    this.#handler = handler;
    this.#pass = pass;
    this.#setting = { ...AS_DEPLOYED, ...setting };
  }

  async drain(records: readonly DynamoDBRecord[]): Promise<void> {
    const wanted = records.filter(isWanted);
    const { batchSize } = this.#setting;
    for (let at = 0; at < wanted.length; at += batchSize) await this.#batch(wanted.slice(at, at + batchSize), 0, 0);
  }

  /** `agedMs`: how old its records are. A half of a batch has the tries of the batch behind it; bisecting itself is none. */
  async #batch(batch: readonly DynamoDBRecord[], tries: number, agedMs: number): Promise<void> {
    const { bisects, retriesMax, recordAgeMsMax } = this.#setting;
    const failedFrom = await this.#call(batch);
    if (failedFrom === undefined) return;
    const left = batch.slice(failedFrom);
    if (bisects && left.length > 1) {
      const middle = Math.ceil(left.length / 2);
      await this.#batch(left.slice(0, middle), tries, agedMs);
      return this.#batch(left.slice(middle), tries, agedMs);
    }
    if (agedMs + RETRY_MS > recordAgeMsMax) return this.#giveUp(left, 'RecordAgeExceeded');
    if (tries >= retriesMax) return this.#giveUp(left, 'RetryAttemptsExhausted');
    this.#pass(RETRY_MS);
    return this.#batch(left, tries + 1, agedMs + RETRY_MS);
  }

  /** Where the next try begins; undefined when all is done. */
  async #call(batch: readonly DynamoDBRecord[]): Promise<number | undefined> {
    this.calls++;
    try {
      const answer = await this.#handler({ Records: [...batch] });
      return this.#setting.isPartial ? checkpoint(answer, batch) : undefined;
    } catch {
      return 0;
    }
  }

  #giveUp(batch: readonly DynamoDBRecord[], condition: GivenUp['condition']): void {
    const numberAt = (at: number): string => batch.at(at)?.dynamodb?.SequenceNumber ?? '';
    this.givenUp.push({ condition, batchSize: batch.length, startSequenceNumber: numberAt(0), endSequenceNumber: numberAt(-1) });
  }
}

/** The filter of the mapping: `{"dynamodb":{"NewImage":{"k":{"S":["l"]}}}}`. What does not match is not delivered, and done. */
const isWanted = ({ dynamodb }: DynamoDBRecord): boolean => dynamodb?.NewImage?.['k']?.S === 'l';

/** The lowest of the sequence numbers that failed; an answer that is none fails the batch whole. */
function checkpoint(answer: unknown, batch: readonly DynamoDBRecord[]): number | undefined {
  const failures = failuresIn(answer);
  if (failures === undefined) return 0;
  if (failures.length === 0) return undefined;
  const positions = failures.map((identifier) => batch.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === identifier));
  return positions.includes(-1) ? 0 : Math.min(...positions);
}

/** Undefined: not valid. Nothing, null, an empty object and an empty list say that nothing failed. */
export function failuresIn(answer: unknown): readonly string[] | undefined {
  if (answer === undefined || answer === null) return [];
  if (typeof answer !== 'object') return undefined;
  const { batchItemFailures: failures } = answer as Partial<SQSBatchResponse>;
  if (failures === undefined || failures === null) return [];
  const identifiers = failures.map((failure) => (failure as Partial<typeof failure>).itemIdentifier);
  const valid = identifiers.filter((identifier) => typeof identifier === 'string' && identifier !== '');
  return valid.length === identifiers.length ? (valid as string[]) : undefined;
}

export type QueueHandler = (event: SQSEvent) => Promise<SQSBatchResponse>;

/**
 * What lies in a queue, handed over once, batch by batch; answers how many messages stay. An answer that is not valid, or names
 * a message that is none, and a function that fails, leave all of the batch.
 */
export async function deliverAll(aws: FakeAws, region: RegionId, queue: string, handler: QueueHandler): Promise<number> {
  let left = 0;
  for (;;) {
    const event = await aws.delivered(region, queue);
    if (event.Records.length === 0) return left;
    const failures = await handler(event).then(failuresIn, () => undefined);
    const isValid = failures?.every((identifier) => event.Records.some(({ messageId }) => messageId === identifier)) === true;
    const done = isValid ? event.Records.filter(({ messageId }) => !failures.includes(messageId)) : [];
    await aws.done(region, queue, { Records: done });
    left += event.Records.length - done.length;
  }
}
