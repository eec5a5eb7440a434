// The change log of a region on DynamoDB is its table's stream. Lambda reads it and hands its records to fan-out: there
// is nothing to poll, no position to keep. A record carries the item as it was committed (NEW_IMAGE is all that is needed:
// a state says by itself what it supersedes).
//
// What the stream delivers is filtered before a function is even called, on a positive marker: `k` is `l` in a record
// that a write of this region committed, in a row of the ledger that is to be sent, and in a milestone. Applied records, other rows of ledger
// and index, and removals by time to live have no such attribute.

import type { DynamoDBRecord } from 'aws-lambda';
import { utf8Text } from '../../core/bytes.ts';
import type { ItemKey } from '../../core/keys/item-key.ts';
import { encodeState } from '../../core/version/codec.ts';
import { encodeLossRow, lossName } from '../../core/version/loss-row.ts';
import type { LogEntry } from '../../ports/change-log.ts';
import { fromBase64 } from './base64.ts';
import { lossOf } from './ledger.ts';
import { keyOf, recordOf } from './item-codec.ts';
import { bytesIn, type Item } from './layout.ts';
import { milestoneIn } from './milestones.ts';

type Image = NonNullable<NonNullable<DynamoDBRecord['dynamodb']>['NewImage']>;

/** Of the event source mapping. */
export const STREAM_FILTER = { dynamodb: { NewImage: { k: { S: ['l'] } } } } as const;

/** A record whose state cannot be read here (a later format): its key is enough for a hint. */
export interface UnreadableEntry {
  readonly key: ItemKey;
  readonly loss?: undefined;
  readonly error: unknown;
}

export type StreamEntry = LogEntry | UnreadableEntry;

export const isReadable = (entry: StreamEntry): entry is LogEntry => 'image' in entry;

/**
 * Undefined for what is neither a record nor a row to be sent. `position` counts within the batch: a sequence number of a stream has 21 digits or
 * more, and Lambda keeps it.
 */
export function streamEntry(record: DynamoDBRecord, position: number): StreamEntry | undefined {
  const { dynamodb } = record;
  const item = dynamodb?.NewImage === undefined ? undefined : itemOf(dynamodb.NewImage);
  if (item?.['k'] === undefined || milestoneIn(record) !== undefined) return undefined;
  if (isLossItem(item)) {
    const row = lossOf(item);
    return { position, key: row.key, name: lossName(row.id), loss: row.id, kind: 'local', image: encodeLossRow(row) };
  }
  const key = keyOf(item);
  try {
    const { state, kind } = recordOf(item);
    return { position, key, kind, image: encodeState(state) };
  } catch (error) {
    return { key, error };
  }
}

/** A record's PK is shorter than that. */
const isLossItem = (item: Item): boolean => utf8Text(bytesIn(item, 'PK'))?.startsWith('loss/') === true;

/** In an event binary attributes are base64, in lists too. Types that a record does not have stay as they are: reading them fails. */
const itemOf = (image: Image): Item => Object.fromEntries(Object.entries(image).map(([name, value]) => [name, attributeOf(value)]));

function attributeOf(value: Image[string]): Item[string] {
  if (value.L !== undefined) return { L: value.L.map(attributeOf) };
  return (value.B === undefined ? value : { B: fromBase64(value.B) ?? new Uint8Array(0) }) as Item[string];
}
