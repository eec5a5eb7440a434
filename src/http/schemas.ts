// The JSON of the interface. The same schemas check requests and make the OpenAPI document. Unknown fields of a request
// are refused (strict objects); of an answer they must be ignored.

import { z } from '@hono/zod-openapi';
import { BATCH_OPERATIONS_MAX, COLLECTION_NAME_BYTES_MAX, PK_BYTES_MAX, VALUE_BYTES_HARD_MAX } from '../core/limits.ts';
import { isRegionId } from '../core/version/dot.ts';

export const regionId = z
  .string()
  .refine(isRegionId, 'a region id: lower case letters, digits and hyphens')
  .transform((text) => text)
  .openapi({ type: 'string', example: 'eu-central-1' });

export const collectionName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,64}$/)
  .max(COLLECTION_NAME_BYTES_MAX)
  .refine((name) => !name.startsWith('_'), 'names that begin with _ are the system’s')
  .refine((name) => name !== '.' && name !== '..', 'a path cannot name . and ..')
  .openapi({ example: 'carts' });

export const policySpec = z
  .strictObject({
    conflict: z.enum(['lww', 'siblings']).default('lww').openapi({ description: 'How concurrent writes of one item are merged.' }),
    regions: z.union([z.literal('all'), z.array(regionId).min(1).max(32)]).default('all').openapi({ description: 'Residency: the only regions that may hold the data.' }),
    replicas: z.int().min(1).max(32).optional().openapi({ description: 'Regions that hold each partition; default: the cluster’s.' }),
    ttlSeconds: z.int().min(1).max(315_360_000).optional().openapi({ description: 'Expiry of items that bring none of their own.' }),
    maxValueBytes: z.int().min(1).max(VALUE_BYTES_HARD_MAX).optional().openapi({ description: 'lww only: values of up to 256 KiB.' }),
    requireContext: z.boolean().optional().openapi({ description: 'A PUT on an existing item must bring a Causal-Context or a precondition.' }),
  })
  .openapi('Policy', { example: { conflict: 'siblings', ttlSeconds: 86_400 } });

export const policyPatch = z
  .strictObject({
    conflict: z.enum(['lww', 'siblings']).optional().openapi({ description: 'From siblings to lww; what that drops goes to the loss ledger.' }),
    regions: z.union([z.literal('all'), z.array(regionId).min(1).max(32)]).optional().openapi({ description: 'Fixed at creation: anything but what it is gets 409.' }),
    replicas: z.int().min(1).max(32).optional().openapi({ description: 'Fixed at creation: anything but what it is gets 409.' }),
    ttlSeconds: z.int().min(1).max(315_360_000).nullable().optional().openapi({ description: 'null: items do not expire by themselves any more.' }),
    maxValueBytes: z.int().min(1).max(VALUE_BYTES_HARD_MAX).nullable().optional().openapi({ description: 'null: what it is by default.' }),
    requireContext: z.boolean().optional(),
  })
  .openapi('PolicyPatch', { example: { ttlSeconds: 3_600 } });

export const collectionAnswer = z
  .object({
    name: z.string(),
    conflict: z.enum(['lww', 'siblings']),
    regions: z.union([z.literal('all'), z.array(z.string())]),
    replicas: z.int(),
    ttlSeconds: z.int().optional(),
    maxValueBytes: z.int().optional(),
    requireContext: z.boolean().optional(),
    group: z.string(),
    created: z.string(),
    state: z.enum(['active', 'pending']),
  })
  .openapi('Collection');

const valueFields = {
  value: z.unknown().optional(),
  valueBase64: z.string().optional(),
  contentType: z.string(),
  dot: z.string(),
  region: z.string(),
  writtenAt: z.string(),
  expires: z.string().optional(),
};

export const listedValue = z.object(valueFields).openapi('Value');

export const siblingsAnswer = z.object({ siblings: z.array(listedValue), context: z.string() }).openapi('Siblings');

const keyFields = { pk: z.string().optional(), pkBase64: z.string().optional(), sk: z.string().optional(), skBase64: z.string().optional() };

export const listedItem = z
  .object({ ...keyFields, ...valueFields, contentType: z.string().optional(), dot: z.string().optional(), region: z.string().optional(), writtenAt: z.string().optional(), etag: z.string(), siblings: z.array(listedValue).optional(), context: z.string().optional() })
  .openapi('Item');

export const itemPage = z.object({ items: z.array(listedItem), cursor: z.string().optional() }).openapi('ItemPage');

export const batchRequest = z
  .strictObject({
    operations: z
      .array(
        z.strictObject({
          op: z.enum(['get', 'put', 'delete']),
          pk: z.string(),
          sk: z.string().optional(),
          value: z.unknown().optional(),
          valueBase64: z.string().optional(),
          contentType: z.string().optional(),
          ttlSeconds: z.int().min(1).max(315_360_000).optional(),
          ifMatch: z.string().optional(),
          ifNoneMatch: z.string().optional(),
          context: z.string().optional(),
        }),
      )
      .min(1)
      .max(BATCH_OPERATIONS_MAX),
  })
  .openapi('Batch', { example: { operations: [{ op: 'put', pk: 'alice', sk: 'cart', value: { milk: 2 } }, { op: 'get', pk: 'alice', sk: 'cart' }] } });

export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    retryable: z.boolean(),
    region: z.string().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
    siblings: z.array(listedValue).optional().openapi({ description: 'Of too-many-siblings: what there is to merge.' }),
    context: z.string().optional().openapi({ description: 'With the siblings: the Causal-Context that covers them.' }),
  })
  .openapi('Problem', { example: { type: '/docs/problems/collection-not-found', title: 'There is no such collection', status: 404, detail: 'There is no collection carts.', instance: '5f2c9d0e7a41b386', retryable: false, region: 'eu-central-1' } });

export const batchAnswer = z.object({ results: z.array(z.looseObject({ status: z.int() })) }).openapi('BatchAnswer');

export const explainAnswer = z
  .object({
    candidates: z.array(z.object({ dot: z.string(), stamp: z.string(), region: z.string(), operation: z.string().optional(), verdict: z.string(), because: z.string() })),
    context: z.record(z.string(), z.string()),
    policy: z.string(),
    state: z.string(),
    losers: z.array(z.object({ id: z.string(), dot: z.string(), rule: z.string(), winner: z.string().optional(), at: z.string() })),
  })
  .openapi('Explanation');

export const conflictPage = z
  .object({
    items: z.array(
      z.object({
        id: z.string(),
        kind: z.enum(['sibling', 'lost']),
        ...keyFields,
        rule: z.string().optional(),
        loser: z.unknown().optional(),
        winner: z.string().optional(),
        at: z.string().optional(),
        regions: z.array(z.string()),
        group: z.string().optional().openapi({ description: 'Of a stranded write: the actor whose region was lost and taken back.' }),
      }),
    ),
    cursor: z.string().optional(),
  })
  .openapi('ConflictPage');

export const restoreAnswer = z.object({ id: z.string(), outcome: z.string(), etag: z.string().optional() }).openapi('Restored');

export const groupAnswer = z
  .object({
    group: z.string().openapi({ description: 'As it was asked for.' }),
    writes: z.int().openapi({ description: 'In this region’s ledger.' }),
    restored: z.int().openapi({ description: 'Current again, or written as one operation before; 0 when the group is accepted.' }),
    overtaken: z.int().openapi({ description: 'Left as they are: the item was written since the region was taken back, or the value has expired.' }),
    refused: z.int().openapi({ description: 'Not possible now; the group stays open.' }),
  })
  .openapi('Group');

export const reconcileRequest = z
  .strictObject({ peers: z.array(regionId).min(1).optional(), collection: collectionName.optional(), deep: z.boolean().optional() })
  .openapi('ReconcileRequest', { example: { peers: ['us-east-1'], deep: false } });

const certificate = z
  .object({
    regions: z.array(z.string()),
    term: z.int(),
    epoch: z.int(),
    groups: z.array(z.object({ group: z.string(), partitions: z.int() })),
    digest: z.string(),
    deep: z.boolean(),
    at: z.string(),
    noDifferenceOlderThanMs: z.int(),
    token: z.int(),
  })
  .openapi('Certificate');

export const reconcileAnswer = z
  .object({
    id: z.string(),
    state: z.enum(['running', 'done', 'failed']),
    error: z.string().optional(),
    code: z.string().optional(),
    pairs: z
      .array(
        z.object({
          peer: z.string(),
          compared: z.int(),
          differing: z.int(),
          pushed: z.int(),
          pulled: z.int(),
          requests: z.int(),
          bytes: z.int(),
          rounds: z.int(),
          comparedBytes: z.int(),
          equal: z.boolean(),
          differingKeys: z.array(z.looseObject({})),
          corrupt: z.array(z.looseObject({})),
          wrongDigests: z.int(),
          certificate: certificate.optional(),
        }),
      )
      .optional(),
  })
  .openapi('Reconciliation');

export const certificatesAnswer = z.object({ certificates: z.array(certificate) }).openapi('Certificates');

export const replicationAnswer = z
  .object({
    region: z.string(),
    actor: z.string(),
    clock: z.string(),
    phase: z.string(),
    items: z.record(z.string(), z.int()),
    reaping: z.object({ proposed: z.int(), refused: z.int(), reaped: z.int() }).optional().openapi({ description: 'Tombstones of deleted and expired items, since this region started.' }),
    late: z.object({ asked: z.int(), kept: z.int(), dropped: z.int(), ledgered: z.int(), held: z.int() }).optional().openapi({ description: 'Values that came after their partition was reaped: asked about where they were written, and what became of them.' }),
    peers: z.array(
      z.object({
        id: z.string(),
        state: z.string(),
        unreplicatedItems: z.int(),
        exact: z.boolean(),
        oldestMs: z.number(),
        lagMs: z.object({ p50: z.number(), p99: z.number(), max: z.number(), count: z.int() }),
        hints: z.int(),
        behind: z.int(),
        breaker: z.string(),
        dead: z.int(),
        paused: z.boolean(),
        verdict: z.string().optional().openapi({ description: 'alive, suspect (one observer has not heard it), down (several, and nobody has). Steers routing only.' }),
        suspectedBy: z.array(z.string()).optional(),
        clock: z.string().optional().openapi({ description: 'What the peer last said of its own clock.' }),
      }),
    ),
    ownLagMs: z.int().optional().openapi({ description: 'How old the oldest change is that a peer has for this region and that it lacks.' }),
    dataPath: z.string().optional().openapi({ description: 'answers, or silent: whether a read and a durable write of its own came to an end.' }),
    hot: z.array(z.object({ collection: z.string(), ...keyFields, share: z.number() })).optional(),
  })
  .openapi('Replication');

export const deadLettersAnswer = z.object({ items: z.array(z.object({ id: z.string(), reason: z.string(), at: z.string(), bytes: z.int() })), cursor: z.string().optional() }).openapi('DeadLetters');

export const topologyAnswer = z
  .object({
    term: z.int(),
    epoch: z.int(),
    control: z.string(),
    partitions: z.int(),
    regions: z.array(z.object({ id: z.string(), url: z.string().optional(), lat: z.number(), lon: z.number(), weight: z.number(), state: z.string() })),
    groups: z.array(z.object({ id: z.string(), regions: z.union([z.literal('all'), z.array(z.string())]), replicas: z.int(), partitions: z.array(z.array(z.string())) })),
  })
  .openapi('Topology');

/** The document without its partition map, which may be long. */
export const topologyChanged = z
  .object({ term: z.int(), epoch: z.int(), control: z.string(), regions: z.array(z.object({ id: z.string(), state: z.string() })) })
  .openapi('TopologyChanged');

export const keyRequest = z
  .strictObject({
    scopes: z.array(z.enum(['read', 'write', 'admin'])).min(1),
    collections: z.array(z.string().regex(/^[A-Za-z0-9_.-]{0,64}\*?$/).min(1)).min(1).default(['*']),
    prefixes: z.array(z.string().min(1).max(PK_BYTES_MAX).refine((prefix) => prefix.isWellFormed(), 'not Unicode')).min(1).max(100).optional(),
    expires: z.iso.datetime({ offset: true }).optional(),
  })
  .openapi('KeyRequest', { example: { scopes: ['read'], collections: ['demo'], expires: '2030-01-31T00:00:00Z' } });

export const keyAnswer = z.object({ id: z.string(), key: z.string() }).openapi('NewKey');

export const keysAnswer = z
  .object({ keys: z.array(z.object({ id: z.string(), scopes: z.array(z.string()), collections: z.array(z.string()), prefixes: z.array(z.string()).optional(), expires: z.string().optional(), created: z.string() })) })
  .openapi('Keys');
