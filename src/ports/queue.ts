// A queue: at least once, in any order, without an answer. Between regions it carries states; inside a region it carries
// hints. Written so that SQS fulfils it.
//
// Contract:
//  - `send` resolves when every message it names as accepted is durable. One that is not accepted was not stored.
//  - A message is delivered at least once, to one receiver at a time, which has `visibilityMs` to settle it; not settled
//    in time, it is delivered again (`received` counts). A late acknowledgement may or may not count.
//  - Order is not kept. Copies happen.
//  - A queue that `supports.deduplicates` keeps one message per `key`, the newest: sending again replaces an undelivered
//    one, and acknowledging a delivery does not remove a newer message of the same key.
//  - Nothing else is promised: no order, no peek, no exact depth on every adapter.

export interface Message {
  readonly body: Uint8Array;
  /** Messages of one key may replace each other. */
  readonly key?: Uint8Array;
}

export interface Delivery extends Message {
  /** Names this delivery, not the message. */
  readonly receipt: string;
  /** 1 at the first delivery, as far as the queue can tell. */
  readonly received: number;
}

export interface QueueSupports {
  readonly deduplicates: boolean;
  /** Whether `depth` is exact after each settled call, or an estimate. */
  readonly exactDepth: boolean;
  readonly messageBytesMax: number;
}

export interface Queue {
  readonly supports: QueueSupports;
  /** The answer lists, by position, the messages that were not accepted. Throws only when none was. */
  send(messages: readonly Message[]): Promise<{ readonly refused: readonly number[] }>;
  /** Up to `limit` messages; waits up to `waitMs` for the first. */
  receive(limit: number, waitMs?: number): Promise<readonly Delivery[]>;
  /** The messages are done with. Unknown receipts are ignored. */
  acknowledge(receipts: readonly string[]): Promise<void>;
  /** Delivers again, not before the delay. */
  retryLater(receipt: string, delayMs: number): Promise<void>;
  /** Messages not yet acknowledged. */
  depth(): Promise<number>;
  /** Does a message of this key wait? Only where the queue deduplicates. */
  has?(key: Uint8Array): boolean;
}

/** What could not be handled, kept aside: listed with its reason, replayable, bounded. */
export interface DeadLetter {
  readonly id: string;
  readonly reason: string;
  readonly atMs: number;
  readonly body: Uint8Array;
}

export interface DeadLetters {
  /** Durable when it resolves. The oldest is given up when `supports`-wide maximum is reached, which is counted. */
  add(letters: readonly Omit<DeadLetter, 'id'>[]): Promise<void>;
  list(limit: number, after?: string): Promise<readonly DeadLetter[]>;
  remove(ids: readonly string[]): Promise<void>;
  count(): Promise<number>;
}
