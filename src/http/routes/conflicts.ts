// Routes about what concurrent writes left behind.

import { z } from '@hono/zod-openapi';
import { ConflictRoutes } from '../conflicts.ts';
import * as schemas from '../schemas.ts';
import { PAGE_QUERY, WRITE_PROBLEMS, type RouteParts } from './parts.ts';

const QUERY = z.object({
  state: z.enum(['siblings', 'lost']).optional().openapi({ description: 'Default: lost.' }),
  since: z.string().optional().openapi({ description: 'Lost at or after this time: ISO 8601, or milliseconds since 1970.' }),
  group: z.string().optional().openapi({ description: 'Only stranded writes of this group: what a region that was declared lost, and was taken back, had not passed on.' }),
  ...PAGE_QUERY,
});

const ABOUT_GROUPS = 'What a region that was declared lost had not passed on, and what lost when it was taken back, is one group: the actor that wrote it. Each region answers for the rows of its own ledger, so ask every region (archipel conflicts does).';
const GROUP_VERBS = [
  ['accept', 'Leave a group of stranded writes as the merge has it', 'The rows stay in the ledger, a group no more; each can still be restored by itself.'],
  ['restore', 'Write a group of stranded writes again', 'But where the item was written since the region was taken back. Each write is one operation, whichever regions are asked and however often; the group is settled when none was refused.'],
] as const;

export function addConflictRoutes({ service, add, json }: RouteParts): void {
  const conflicts = new ConflictRoutes(service);
  add({
    method: 'get',
    path: '/v1/c/{collection}/conflicts',
    guard: { scope: 'read', reach: 'whole-collection' },
    document: { id: 'listConflicts', tag: 'Conflicts', summary: 'Siblings, or the loss ledger of this region', answers: { 200: { description: 'A page.', schema: schemas.conflictPage } }, problems: ['collection-not-found', 'collection-pending', 'key-invalid'], query: QUERY },
    handle: async (call) => json(call, { status: 200, body: await conflicts.list(call) }),
  });
  add({
    method: 'post',
    path: '/v1/c/{collection}/conflicts/{id}/restore',
    guard: { scope: 'write', reach: 'item' },
    document: {
      id: 'restoreLost',
      tag: 'Conflicts',
      summary: 'Write a lost value again',
      description: 'An ordinary write, with the context of what is current. Sent again under its Idempotency-Key, to any region whose ledger has the row, it is the same write.',
      answers: { 200: { description: 'Restored.', schema: schemas.restoreAnswer } },
      problems: ['not-found', 'key-invalid', 'too-many-siblings', 'idempotency-key-reused', 'operation-expired', ...WRITE_PROBLEMS],
      headers: z.object({ 'Idempotency-Key': z.string().optional() }),
    },
    handle: async (call) => {
      service.region.assertServing();
      return json(call, { status: 200, body: await conflicts.restore(call) });
    },
  });
  for (const [verb, summary, description] of GROUP_VERBS) {
    add({
      method: 'post',
      // Not below `conflicts`, where an id stands in this place: hono's fast router knows no such pair.
      path: `/v1/c/{collection}/stranded/{group}/${verb}`,
      guard: { scope: 'write', reach: 'whole-collection' },
      document: { id: `${verb}Group`, tag: 'Conflicts', summary, description: `${ABOUT_GROUPS} ${description}`, answers: { 200: { description: 'What became of its writes, in the ledger of this region.', schema: schemas.groupAnswer } }, problems: ['collection-not-found', 'collection-pending', 'not-found', 'key-invalid', 'too-many-siblings', ...WRITE_PROBLEMS] },
      handle: async (call) => {
        service.region.assertServing();
        return json(call, { status: 200, body: await conflicts.settle(call, verb) });
      },
    });
  }
}
