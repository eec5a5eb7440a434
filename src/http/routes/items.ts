// Routes of one item: its value, and why it has it.

import { z } from '@hono/zod-openapi';
import type { ErrorCode } from '../../core/errors.ts';
import type { Call } from '../call.ts';
import type { Reply } from '../reply.ts';
import { ConflictRoutes } from '../conflicts.ts';
import { ItemRoutes } from '../items.ts';
import { NamedItems, type NamedItem } from '../named-item.ts';
import type { Guard, RouteDocument } from '../router.ts';
import { VALUE_FIELDS, WRITTEN_FIELDS } from '../answer-fields.ts';
import * as schemas from '../schemas.ts';
import { BODY_PROBLEMS, BYTES, KEYS_QUERY, PLACED_PROBLEMS, WRITE_PROBLEMS, type RouteParts } from './parts.ts';

const READ: Guard = { scope: 'read', reach: 'item' };
const WRITE: Guard = { scope: 'write', reach: 'item' };

const text = (description: string): z.ZodType => z.string().optional().openapi({ description });

const CONDITIONS = {
  'If-Match': text('`*`, or tags: only when the item has one of them.'),
  'If-None-Match': text('`*`, or tags: only when it has none of them.'),
  Consistency: text('A requirement: `eventual`.'),
  Prefer: text('`return=minimal|representation`, `siblings=winner|all`, `wait=5`.'),
  Forward: text('`never`: answer 421 rather than ask another region.'),
};

const READ_FIELDS = z.object({ ...CONDITIONS, 'Want-Content-Digest': text('`sha-256=1`: the answer brings a Content-Digest.') });

const WRITE_FIELDS = z.object({
  ...CONDITIONS,
  'Causal-Context': text('As an answer about this item gave it: what it covers is superseded.'),
  'Idempotency-Key': text('Operation id. A retry in any region is the same write, until eight later writes of the item: a UUIDv7 tells its age, and is refused or superseded then; any other id is a new write.'),
  'Replicate-To': text('A requirement: wait until so many other regions (`1`), or these (`("us-east-1")`), hold the write.'),
});

const PUT_FIELDS = WRITE_FIELDS.extend({ 'Item-TTL': text('Seconds until the item expires.'), 'Content-Digest': text('`sha-256=:…:`, checked.') });

const ITEM_QUERY = z.object({ pk: z.string(), sk: z.string().optional(), keys: KEYS_QUERY });

/** Kept as it is written, like every other value. */
const JSON_VALUE = z.any().openapi({ example: { milk: 2 } });

const FOUND: RouteDocument['answers'] = {
  200: { description: 'The value, with its content type and bytes; of siblings the winner or the list, where Prefer asks for it.', schema: BYTES.openapi({ example: 'hello' }), contentType: '*/*', fields: VALUE_FIELDS },
  300: { description: 'Siblings: resolve by PUT with this Causal-Context. As JSON, or as multipart/mixed where Accept prefers that.', schema: schemas.siblingsAnswer, fields: VALUE_FIELDS },
  304: { description: 'Not modified.', fields: VALUE_FIELDS },
};

const DONE = { 202: { description: 'Stored here; not yet in as many regions as Replicate-To asked. Replicated-To says where.', fields: WRITTEN_FIELDS } };

const WRITTEN: RouteDocument['answers'] = {
  ...DONE,
  200: { description: 'Stored; the value comes back (Prefer: return=representation).', schema: BYTES, contentType: '*/*', fields: [...WRITTEN_FIELDS, 'Content-Digest'] },
  201: { description: 'Stored; there was nothing before. Location names the item.', fields: [...WRITTEN_FIELDS, 'Content-Digest', 'Location'] },
  204: { description: 'Stored. Write-Outcome says what became of it.', fields: WRITTEN_FIELDS },
};

const READ_PROBLEMS: readonly ErrorCode[] = [...PLACED_PROBLEMS, 'not-found', 'precondition-failed', 'not-acceptable'];
const CHANGE_PROBLEMS: readonly ErrorCode[] = [...PLACED_PROBLEMS, ...WRITE_PROBLEMS, 'context-invalid', 'operation-expired', 'precondition-failed', 'idempotency-key-reused', 'context-required'];
const PUT_PROBLEMS: readonly ErrorCode[] = [...CHANGE_PROBLEMS, ...BODY_PROBLEMS, 'too-many-siblings'];

/** The ways to name an item, each with what distinguishes the names of its operations. */
const PATHS = [
  ['/{pk}', '', undefined],
  ['/{pk}/{sk}', 'WithSk', undefined],
  ['', 'ByQuery', ITEM_QUERY],
] as const;

export function addItemRoutes({ service, add, json, where }: RouteParts): void {
  const items = new ItemRoutes(service);
  const names = new NamedItems(service);
  const conflicts = new ConflictRoutes(service);
  const { catalog, id } = service.region;
  const ofItem = (handle: (call: Call, item: NamedItem) => Promise<Response | Reply>) => (call: Call): Promise<Response | Reply> => {
    const item = names.of(call);
    return where(call, catalog.holdersOf(item.key) ?? [id], () => handle(call, item));
  };

  for (const [end, suffix, query] of PATHS) {
    const path = `/v1/c/{collection}/items${end}`;
    const named = (operation: string, fields: RouteDocument['headers']): Pick<RouteDocument, 'id' | 'tag' | 'headers' | 'query' | 'problemFields'> => ({ id: operation + suffix, tag: 'Items', problemFields: ['ETag', 'Causal-Context'], ...(fields === undefined ? {} : { headers: fields }), ...(query === undefined ? {} : { query }) });
    add({
      method: 'get',
      path,
      guard: READ,
      document: { ...named('readItem', READ_FIELDS), summary: 'Read an item', answers: FOUND, problems: READ_PROBLEMS },
      handle: ofItem((call, item) => items.get(call, item)),
    });
    add({
      method: 'put',
      path,
      guard: WRITE,
      replicates: true,
      document: { ...named('writeItem', PUT_FIELDS), summary: 'Write an item', answers: WRITTEN, problems: PUT_PROBLEMS, body: { schema: JSON_VALUE, others: { 'text/plain': z.string(), '*/*': BYTES } } },
      handle: ofItem((call, item) => items.put(call, item)),
    });
    add({
      method: 'patch',
      path,
      guard: WRITE,
      replicates: true,
      document: { ...named('patchItem', PUT_FIELDS), summary: 'Merge-patch a JSON item (lww)', answers: WRITTEN, problems: [...PUT_PROBLEMS, 'not-found'], body: { schema: z.any().openapi({ example: { milk: null, bread: 1 } }), contentType: 'application/merge-patch+json' } },
      handle: ofItem((call, item) => items.patch(call, item)),
    });
    add({
      method: 'delete',
      path,
      guard: WRITE,
      replicates: true,
      document: { ...named('deleteItem', WRITE_FIELDS), summary: 'Delete an item', answers: { ...DONE, 204: { description: 'Deleted.', fields: WRITTEN_FIELDS } }, problems: [...CHANGE_PROBLEMS, 'not-found'] },
      handle: ofItem((call, item) => items.remove(call, item)),
    });
    add({
      method: 'get',
      path: `/v1/c/{collection}/explain${end}`,
      guard: READ,
      document: { ...named('explainItem', undefined), summary: 'Why an item has this value', answers: { 200: { description: 'Candidates, context, losers.', schema: schemas.explainAnswer } }, problems: [...PLACED_PROBLEMS, 'not-found'] },
      handle: ofItem(async (call, item) => json(call, { status: 200, body: await conflicts.explain(item) })),
    });
  }
}
