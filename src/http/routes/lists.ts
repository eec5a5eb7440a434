// Routes of many items: ranges, scans, dumps, batches.

import { z } from '@hono/zod-openapi';
import { partitionOf } from '../../core/keys/item-key.ts';
import { BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, PARTITIONS } from '../../core/limits.ts';
import { batchAnswer, type Fetch } from '../batch.ts';
import { ListRoutes } from '../listing.ts';
import * as schemas from '../schemas.ts';
import { BODY_PROBLEMS, KEYS_QUERY, PAGE_QUERY, PLACED_PROBLEMS, type RouteParts } from './parts.ts';

const bound = z.string().optional();

const RANGE_QUERY = z.object({
  ge: bound,
  gt: bound,
  le: bound,
  lt: bound,
  prefix: bound.openapi({ description: 'Sort keys that begin so; instead of bounds.' }),
  keys: KEYS_QUERY,
  order: z.enum(['asc', 'desc']).optional(),
  ...PAGE_QUERY,
});

export function addListRoutes({ service, add, json, where }: RouteParts, fetch: Fetch): void {
  const lists = new ListRoutes(service);
  const { catalog, id } = service.region;
  const page = { 200: { description: 'A page; it may be empty and still have a cursor.', schema: schemas.itemPage } };

  for (const [path, operation, query] of [
    ['/v1/c/{collection}/ranges', 'rangeByQuery', RANGE_QUERY.extend({ pk: z.string() })],
    ['/v1/c/{collection}/ranges/{pk}', 'range', RANGE_QUERY],
  ] as const) {
    add({
      method: 'get',
      path,
      guard: { scope: 'read', reach: 'item' },
      document: { id: operation, tag: 'Lists', summary: 'Items of one pk by sort key', answers: page, problems: PLACED_PROBLEMS, query },
      handle: (call) => {
        const range = lists.rangeOf(call);
        const partition = partitionOf(catalog.prefix(range.collection, range.pk));
        return where(call, catalog.holders(range.collection.group, partition) ?? [id], () => lists.range(call, range));
      },
    });
  }
  add({
    method: 'get',
    path: '/v1/c/{collection}/scan',
    guard: { scope: 'read', reach: 'whole-collection' },
    document: { id: 'scan', tag: 'Lists', summary: 'All items, partition by partition', answers: page, problems: PLACED_PROBLEMS, query: z.object(PAGE_QUERY) },
    handle: (call) => {
      const at = lists.scanOf(call);
      const holders = at.partition >= PARTITIONS ? [id] : (catalog.holders(at.collection.group, at.partition) ?? [id]);
      return where(call, holders, () => lists.scan(call, at));
    },
  });
  add({
    method: 'get',
    path: '/v1/c/{collection}/dump',
    guard: { scope: 'admin', reach: 'records' },
    document: { id: 'dump', tag: 'Lists', summary: 'Every record of this region, one line each', answers: { 200: { description: 'Lines in physical order; the cursor is in Next-Cursor.', schema: z.string(), contentType: 'text/plain; charset=utf-8', fields: ['Next-Cursor'] } }, problems: ['collection-not-found', 'key-invalid'], query: z.object(PAGE_QUERY) },
    handle: (call) => lists.dump(call),
  });
  add({
    method: 'post',
    path: '/v1/c/{collection}/batch',
    guard: { scope: 'any', reach: 'collection' },
    document: {
      id: 'batch',
      tag: 'Lists',
      summary: `Up to ${BATCH_OPERATIONS_MAX} gets, puts and deletes`,
      description: 'Each as its own route would do it, with a status of its own; no atomicity between them. An Idempotency-Key makes one for each.',
      answers: { 200: { description: 'A result per operation.', schema: schemas.batchAnswer } },
      problems: ['collection-not-found', 'collection-pending', 'key-invalid', ...BODY_PROBLEMS],
      headers: z.object({ 'Idempotency-Key': z.string().optional(), Consistency: z.string().optional(), Forward: z.string().optional() }),
      body: { schema: schemas.batchRequest },
    },
    handle: async (call) => {
      catalog.require(call.collectionName);
      const { operations } = await call.json(schemas.batchRequest, BATCH_BYTES_MAX);
      const text = await batchAnswer(call, operations, fetch, service);
      const { headers } = json(call, { status: 200 });
      headers.set('content-type', 'application/json');
      return new Response(text, { headers });
    },
  });
}
