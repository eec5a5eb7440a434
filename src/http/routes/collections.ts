// Routes of collections and their policies.

import { z } from '@hono/zod-openapi';
import { ArchipelError } from '../../core/errors.ts';
import { Administration } from '../administration.ts';
import * as schemas from '../schemas.ts';
import { BODY_PROBLEMS, WRITE_PROBLEMS, type RouteParts } from './parts.ts';

const PATH = '/v1/c/{collection}';

export function addCollectionRoutes({ service, add, json }: RouteParts): void {
  const admin = new Administration(service);
  const collection = { description: 'The collection.', schema: schemas.collectionAnswer };
  const created = { ...collection, fields: ['Location'] } as const;
  add({
    method: 'put',
    path: PATH,
    guard: { scope: 'admin', reach: 'whole-collection' },
    document: {
      id: 'createCollection',
      tag: 'Collections',
      summary: 'Create a collection',
      description: 'Placement and residency are fixed by this. Until every region knows the policy the collection takes no items.',
      answers: { 200: { ...created, description: 'It was there, with this policy.' }, 201: created, 202: { ...created, description: 'Written; some region does not know it yet.' } },
      problems: ['collection-exists', 'key-invalid', ...BODY_PROBLEMS, ...WRITE_PROBLEMS],
      body: { schema: schemas.policySpec, required: false },
    },
    handle: async (call) => {
      if (!schemas.collectionName.safeParse(call.collectionName).success) throw new ArchipelError('bad-request', 'A collection name has 1 to 64 of A-Z a-z 0-9 _ . -, does not begin with _ and is not . or ..');
      service.region.assertServing();
      return json(call, await admin.createCollection(call, await call.json(schemas.policySpec)));
    },
  });
  add({
    method: 'get',
    path: PATH,
    guard: { scope: 'any', reach: 'collection' },
    document: { id: 'showCollection', tag: 'Collections', summary: 'A collection and its policy', answers: { 200: collection }, problems: ['collection-not-found', 'key-invalid'] },
    handle: (call) => json(call, admin.showCollection(call)),
  });
  add({
    method: 'patch',
    path: PATH,
    guard: { scope: 'admin', reach: 'whole-collection' },
    document: {
      id: 'changeCollection',
      tag: 'Collections',
      summary: 'Change a policy',
      description: 'From siblings to lww, the time to live, the limits. What lww then drops goes to the loss ledger.',
      answers: { 200: collection },
      problems: ['collection-not-found', 'collection-pending', 'policy-change-refused', 'key-invalid', ...BODY_PROBLEMS, ...WRITE_PROBLEMS],
      body: { schema: schemas.policyPatch },
    },
    handle: async (call) => {
      service.region.assertServing();
      return json(call, await admin.changeCollection(call, await call.json(schemas.policyPatch)));
    },
  });
  add({
    method: 'get',
    path: '/v1/c',
    guard: { scope: 'any', reach: 'own' },
    document: { id: 'listCollections', tag: 'Collections', summary: 'The collections that the key may use', answers: { 200: { description: 'The list.', schema: z.object({ collections: z.array(schemas.collectionAnswer) }) } } },
    handle: (call) => json(call, admin.listCollections(call)),
  });
}
