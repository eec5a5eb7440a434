// The JSON of answers: for the OpenAPI document and the types of clients. Nothing is held against these schemas where they are
// answered, so a bundle leaves them out (cdk/left-out.ts).

import { z } from '@hono/zod-openapi';

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

export const keyAnswer = z.object({ id: z.string(), key: z.string() }).openapi('NewKey');

export const keysAnswer = z
  .object({ keys: z.array(z.object({ id: z.string(), scopes: z.array(z.string()), collections: z.array(z.string()), prefixes: z.array(z.string()).optional(), expires: z.string().optional(), created: z.string() })) })
  .openapi('Keys');
