// Calls to DynamoDB: each with its retries, its errors in our words, and what it cost.
//
// Every write carries a condition that its own success makes false (a revision, `attribute_not_exists`). So a write of
// which nobody knows whether it was done may be sent again: when the repetition succeeds it was done once, and when its
// condition fails the first one may have been done, or another write came in between: then the outcome is unknown, and
// the operation's id decides. A transaction needs no such care: its token makes repetitions one.

import { DeleteItemCommand, GetItemCommand, PutItemCommand, QueryCommand, TransactWriteItemsCommand, UpdateItemCommand, ConditionalCheckFailedException, TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import type { ConsumedCapacity, DynamoDBClient, Put as SdkPut, QueryCommandOutput } from '@aws-sdk/client-dynamodb';
import { toHex } from '../../core/bytes.ts';
import { pause, type Clock } from '../../ports/clock.ts';
import { unit, type Random } from '../../ports/random.ts';
import type { Condition, Names } from './conditions.ts';
import { failed, failureOf, isThrottled } from './failures.ts';
import type { Item, Place } from './layout.ts';
import { RetryBudget } from './retry-budget.ts';

/** After a first failure: five calls in all, about half a second of pauses at worst, a tenth of a request's deadline. */
export const RETRIES_MAX = 4;
const PAUSE_MS = 20;
const PAUSE_MS_MAX = 400;
/** What is short of capacity needs longer than a transaction that holds the item. */
const THROTTLED_PAUSE_MS = 50;

/** Capacity units of one call. What a failed condition costs is not reported by DynamoDB. */
export interface Consumed {
  readonly call: 'get' | 'query' | 'put' | 'update' | 'delete' | 'transact';
  readonly readUnits: number;
  readonly writeUnits: number;
}

export interface DynamoParts {
  /** Made with CLIENT_SETTINGS. */
  readonly client: DynamoDBClient;
  readonly tableName: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly onConsumed?: (consumed: Consumed) => void;
}

export interface Done {
  readonly type: 'done';
  /** What a write that was made unread has replaced, where it asked. */
  readonly replaced?: Item;
}

/** `stored`: the item that made the condition fail, where DynamoDB says it. */
export type Outcome = Done | { readonly type: 'refused'; readonly stored?: Item };

export const DONE: Done = { type: 'done' };

export interface Put {
  readonly item: Item;
  readonly condition?: Condition;
}

export interface Delete {
  readonly place: Place;
}

/** As an expression of DynamoDB. */
export interface Update {
  readonly expression: string;
  readonly names: Names;
  readonly values: Item;
}

export interface KeyCondition {
  readonly expression: string;
  readonly values: Item;
}

/** Whether a repetition can do harm: a read never, a transaction with its token neither, another write may. */
type Effect = 'read' | 'write' | 'write-once';

export class DynamoRequests {
  readonly #parts: DynamoParts;
  readonly #budget = new RetryBudget();

  constructor(parts: DynamoParts) {
    this.#parts = parts;
  }

  /** Consistent: what a write was answered for is seen. */
  async get(place: Place): Promise<Item | undefined> {
    const input = { TableName: this.#parts.tableName, Key: { PK: place.PK, SK: place.SK }, ConsistentRead: true, ...this.#report };
    const output = await this.#call('read', () => this.#parts.client.send(new GetItemCommand(input)));
    this.#consumed('get', output.ConsumedCapacity);
    return output.Item;
  }

  /** Consistent too, unless it may lag: then for half of the units. */
  async query(condition: KeyCondition, options: { readonly descending: boolean; readonly limit: number; readonly mayLag?: boolean; readonly after?: QueryCommandOutput['LastEvaluatedKey'] }): Promise<QueryCommandOutput> {
    const input = {
      TableName: this.#parts.tableName,
      KeyConditionExpression: condition.expression,
      ExpressionAttributeValues: condition.values,
      ScanIndexForward: !options.descending,
      Limit: options.limit,
      ConsistentRead: options.mayLag !== true,
      ...(options.after === undefined ? {} : { ExclusiveStartKey: options.after }),
      ...this.#report,
    };
    const output = await this.#call('read', () => this.#parts.client.send(new QueryCommand(input)));
    this.#consumed('query', output.ConsumedCapacity);
    return output;
  }

  put(put: Put): Promise<Outcome> {
    return this.#write(async () => {
      const output = await this.#parts.client.send(new PutItemCommand({ ...this.#putInput(put), ...this.#report }));
      this.#consumed('put', output.ConsumedCapacity);
    });
  }

  /** Answers what was there before; that costs no read. */
  async update(place: Place, update: Update, condition: Condition): Promise<Outcome> {
    let replaced: Item | undefined;
    const names = { ...update.names, ...condition.names };
    const input = {
      TableName: this.#parts.tableName,
      Key: place,
      UpdateExpression: update.expression,
      ConditionExpression: condition.expression,
      ...(Object.keys(names).length === 0 ? {} : { ExpressionAttributeNames: names }),
      ExpressionAttributeValues: { ...update.values, ...condition.values },
      ReturnValues: 'ALL_OLD' as const,
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
      ...this.#report,
    };
    const outcome = await this.#write(async () => {
      const output = await this.#parts.client.send(new UpdateItemCommand(input));
      replaced = output.Attributes;
      this.#consumed('update', output.ConsumedCapacity);
    });
    return outcome.type === 'done' && replaced !== undefined ? { type: 'done', replaced } : outcome;
  }

  delete(place: Place, condition: Condition): Promise<Outcome> {
    const input = {
      TableName: this.#parts.tableName,
      Key: { PK: place.PK, SK: place.SK },
      ConditionExpression: condition.expression,
      ...namesOf(condition),
      ExpressionAttributeValues: condition.values,
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
      ...this.#report,
    };
    return this.#write(async () => {
      const output = await this.#parts.client.send(new DeleteItemCommand(input));
      this.#consumed('delete', output.ConsumedCapacity);
    });
  }

  /** All or none. `stored` is of the first of them. */
  async transact(writes: readonly (Put | Delete)[]): Promise<Outcome> {
    const TransactItems = writes.map((write) => ('item' in write ? { Put: this.#putInput(write) } : { Delete: { TableName: this.#parts.tableName, Key: write.place } }));
    const ClientRequestToken = toHex(this.#parts.random.bytes(16));
    const command = (): TransactWriteItemsCommand => new TransactWriteItemsCommand({ TransactItems, ClientRequestToken, ...this.#report });
    try {
      const output = await this.#call('write-once', () => this.#parts.client.send(command()));
      for (const consumed of output.ConsumedCapacity ?? []) this.#consumed('transact', consumed);
      return DONE;
    } catch (error) {
      if (error instanceof TransactionCanceledException && failureOf(error) === 'refused') return refusedBy(error.CancellationReasons?.[0]?.Item);
      throw error;
    }
  }

  #putInput({ item, condition }: Put): SdkPut {
    const plain = { TableName: this.#parts.tableName, Item: item };
    if (condition === undefined) return plain;
    const values = Object.keys(condition.values).length === 0 ? {} : { ExpressionAttributeValues: condition.values };
    return { ...plain, ConditionExpression: condition.expression, ...namesOf(condition), ...values, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' };
  }

  async #write(send: () => Promise<void>): Promise<Outcome> {
    try {
      await this.#call('write', send);
      return DONE;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return refusedBy(error.Item);
      throw error;
    }
  }

  /** Retries with full jitter, out of the process's budget: a call that comes back with everyone else's helps nobody. */
  async #call<T>(effect: Effect, send: () => Promise<T>): Promise<T> {
    let isInDoubt = false;
    for (let retry = 0; ; retry++) {
      try {
        const output = await send();
        this.#budget.earn();
        return output;
      } catch (error) {
        const failure = failureOf(error);
        if (failure === 'refused') this.#budget.earn();
        if (failure === 'refused' && !(isInDoubt && effect === 'write')) throw error;
        if (effect !== 'read' && (failure === 'in-doubt' || failure === 'timed-out')) isInDoubt = true;
        const mayHelp = failure === 'busy' || failure === 'in-doubt';
        if (!mayHelp || retry === RETRIES_MAX || !this.#budget.take()) throw failed(failure, error, isInDoubt);
        const firstMs = isThrottled(error) ? THROTTLED_PAUSE_MS : PAUSE_MS;
        await pause(this.#parts.clock, unit(this.#parts.random) * Math.min(PAUSE_MS_MAX, firstMs * 2 ** retry));
      }
    }
  }

  /** Asked for only where somebody listens. */
  get #report(): { ReturnConsumedCapacity?: 'TOTAL' } {
    return this.#parts.onConsumed === undefined ? {} : { ReturnConsumedCapacity: 'TOTAL' };
  }

  #consumed(call: Consumed['call'], capacity: ConsumedCapacity | undefined): void {
    const units = capacity?.CapacityUnits ?? 0;
    const reads = call === 'get' || call === 'query';
    this.#parts.onConsumed?.({ call, readUnits: reads ? units : 0, writeUnits: reads ? 0 : units });
  }
}

const namesOf = ({ names = {} }: Condition): { ExpressionAttributeNames?: Names } => (Object.keys(names).length === 0 ? {} : { ExpressionAttributeNames: names });

const refusedBy = (stored: Item | undefined): Outcome => (stored === undefined ? { type: 'refused' } : { type: 'refused', stored });
