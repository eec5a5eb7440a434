// Pages of one partition key, between two sort keys.

import { afterPrefix, compareBytes, concatBytes } from '../../core/bytes.ts';
import { partitionPrefix } from '../../core/keys/item-key.ts';
import type { RangeQuery, ScanQuery } from '../../ports/table.ts';
import { binary, bytesIn, RECORD_PK_BYTES, type Item } from './layout.ts';
import type { DynamoRequests, KeyCondition } from './requests.ts';

export interface Span {
  readonly PK: Uint8Array;
  /** From here on, inclusive. */
  readonly from?: Uint8Array;
  /** Up to here, exclusive. */
  readonly below?: Uint8Array;
}

export interface PageLimits {
  readonly descending?: boolean;
  readonly limit: number;
  /** The page ends with the item with which the stored bytes reach this size. */
  readonly bytesMax?: number;
  readonly mayLag?: boolean;
}

const ZERO = Uint8Array.of(0);

/** The next larger byte string: what is above `bytes` begins there, and `bytes` is the last below. */
export const next = (bytes: Uint8Array): Uint8Array => concatBytes(bytes, ZERO);

export function rangeSpan({ prefix, from, to }: RangeQuery): Span {
  const rest = prefix.subarray(RECORD_PK_BYTES);
  const low = from === undefined ? rest : concatBytes(rest, from.sk);
  const below = to === undefined ? afterPrefix(rest) : concatBytes(rest, to.sk);
  return {
    PK: prefix.subarray(0, RECORD_PK_BYTES),
    from: from?.inclusive === false ? next(low) : low,
    ...(below === undefined ? {} : { below: to?.inclusive === true ? next(below) : below }),
  };
}

/** Undefined when the bounds leave nothing of the partition. */
export function scanSpan({ group, partition, after, before }: ScanQuery): Span | undefined {
  const PK = partitionPrefix(group, partition);
  const side = (bound: Uint8Array): number => Math.sign(compareBytes(bound.subarray(0, RECORD_PK_BYTES), PK));
  const rest = (bound: Uint8Array): Uint8Array => bound.subarray(RECORD_PK_BYTES);
  if (after !== undefined && side(after) > 0) return undefined;
  if (before !== undefined && (side(before) < 0 || (side(before) === 0 && rest(before).length === 0))) return undefined;
  return {
    PK,
    ...(after === undefined || side(after) < 0 ? {} : { from: next(rest(after)) }),
    ...(before === undefined || side(before) > 0 ? {} : { below: rest(before) }),
  };
}

/** `more`: something lies behind the last item, so that a cursor is due. */
export async function pageOf(requests: DynamoRequests, span: Span, { descending = false, limit, bytesMax = Infinity, mayLag = false }: PageLimits): Promise<{ readonly items: readonly Item[]; readonly more: boolean }> {
  const items: Item[] = [];
  const condition = keyCondition(span);
  let bytes = 0;
  let after: { [name: string]: Item[string] } | undefined;
  do {
    if (condition === undefined) break;
    // One more tells whether there is more, another is the excluded upper bound.
    const page = await requests.query(condition, { descending, limit: limit - items.length + 2, mayLag, ...(after === undefined ? {} : { after }) });
    for (const item of page.Items ?? []) {
      if (span.below !== undefined && compareBytes(bytesIn(item, 'SK'), span.below) >= 0) continue;
      if (items.length === limit || (items.length > 0 && bytes >= bytesMax)) return { items, more: true };
      items.push(item);
      bytes += storedBytes(item);
    }
    after = page.LastEvaluatedKey;
    // DynamoDB has ended the page at a megabyte. Who wants no more than that would take little of a second one, and pay for all of it.
    if (after !== undefined && items.length > 0 && bytesMax !== Infinity) return { items, more: true };
  } while (after !== undefined);
  return { items, more: false };
}

/** A key condition takes one clause about the sort key, and its upper bound is inclusive: the caller drops that one. */
function keyCondition({ PK, from, below }: Span): KeyCondition | undefined {
  const values = { ':pk': binary(PK) };
  const isFrom = from !== undefined && from.length > 0;
  if (below === undefined) return isFrom ? { expression: 'PK = :pk AND SK >= :from', values: { ...values, ':from': binary(from) } } : { expression: 'PK = :pk', values };
  if (!isFrom) return { expression: 'PK = :pk AND SK < :below', values: { ...values, ':below': binary(below) } };
  if (compareBytes(from, below) >= 0) return undefined;
  return { expression: 'PK = :pk AND SK BETWEEN :from AND :below', values: { ...values, ':from': binary(from), ':below': binary(below) } };
}

/** About what the state is when encoded: the page's limit is for the reader's memory, not to the byte. */
const storedBytes = ({ s, v, c, o }: Item): number => [s, v, c, o].reduce((sum, attribute) => sum + (attribute?.B?.length ?? 0), 32);
