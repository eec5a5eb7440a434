// The stream of a region's table, for somebody who wants to know what it holds: how far Lambda has handed it to a function,
// Lambda tells nobody. The interface of Streams is four calls of JSON (signed-calls.ts).

import { DescribeTableCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { DynamoDBRecord } from 'aws-lambda';
import { utf8, utf8Text } from '../../core/bytes.ts';
import { ArchipelError } from '../../core/errors.ts';
import { errorIn, type SignedCalls } from './signed-calls.ts';

/** A part of the stream: in order in itself, of its own part of the table. */
export interface StreamPart {
  readonly id: string;
  readonly parent: string | undefined;
  /** No other has come out of it: more may come. (Whether it has an end is not asked: an emulator names one for a part that goes on.) */
  readonly isOpen: boolean;
}

/** `newest`: behind all that is there. */
export type From = { readonly after: string } | 'oldest' | 'newest';

export interface StreamPage {
  readonly records: readonly DynamoDBRecord[];
  /** Where to go on; undefined: that was the end of the part. */
  readonly next: string | undefined;
}

/** What is asked about the stream. */
export interface TableStream {
  parts(): Promise<readonly StreamPart[]>;
  iterator(part: string, from: From): Promise<string>;
  /** An open part may answer an empty page though there is more. */
  read(iterator: string): Promise<StreamPage>;
}

export interface TableStreamParts {
  readonly client: DynamoDBClient;
  readonly tableName: string;
  readonly calls: SignedCalls;
}

interface Description {
  readonly StreamDescription: {
    readonly Shards?: readonly { readonly ShardId: string; readonly ParentShardId?: string }[];
    readonly LastEvaluatedShardId?: string;
  };
}

export class DynamoStream implements TableStream {
  readonly #parts: TableStreamParts;
  #arn: string | undefined;

  constructor(parts: TableStreamParts) {
    this.#parts = parts;
  }

  async parts(): Promise<readonly StreamPart[]> {
    const found: Omit<StreamPart, 'isOpen'>[] = [];
    for (let after: string | undefined; ; ) {
      const { StreamDescription: { Shards = [], LastEvaluatedShardId } } = await this.#ask<Description>('DescribeStream', { StreamArn: await this.#stream(), ...(after === undefined ? {} : { ExclusiveStartShardId: after }) });
      found.push(...Shards.map(({ ShardId, ParentShardId }) => ({ id: ShardId, parent: ParentShardId })));
      if (LastEvaluatedShardId === undefined) break;
      after = LastEvaluatedShardId;
    }
    const parents = new Set(found.map(({ parent }) => parent));
    return found.map((part) => ({ ...part, isOpen: !parents.has(part.id) }));
  }

  async iterator(part: string, from: From): Promise<string> {
    const begin = from === 'oldest' ? { ShardIteratorType: 'TRIM_HORIZON' } : from === 'newest' ? { ShardIteratorType: 'LATEST' } : { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: from.after };
    const { ShardIterator } = await this.#ask<{ readonly ShardIterator: string }>('GetShardIterator', { StreamArn: await this.#stream(), ShardId: part, ...begin });
    return ShardIterator;
  }

  async read(iterator: string): Promise<StreamPage> {
    const { Records = [], NextShardIterator } = await this.#ask<{ readonly Records?: readonly DynamoDBRecord[]; readonly NextShardIterator?: string | null }>('GetRecords', { ShardIterator: iterator });
    return { records: Records, next: NextShardIterator ?? undefined };
  }

  async #stream(): Promise<string> {
    if (this.#arn === undefined) {
      const { Table } = await this.#parts.client.send(new DescribeTableCommand({ TableName: this.#parts.tableName }));
      this.#arn = Table?.LatestStreamArn;
    }
    if (this.#arn === undefined) throw new ArchipelError('storage-unavailable', 'The table does not say which stream it has.');
    return this.#arn;
  }

  async #ask<T>(what: string, input: object): Promise<T> {
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `DynamoDBStreams_20120810.${what}` };
    const answer = await this.#parts.calls.post({ path: '/', headers, body: utf8(JSON.stringify(input)) });
    if (answer.status === 200) return JSON.parse(utf8Text(answer.body) ?? '') as T;
    this.#arn = undefined; // a table that was restored has another stream
    const error = errorIn(answer);
    throw new ArchipelError('storage-unavailable', `The stream of the table does not answer ${what}: ${error}.`, { error });
  }
}
