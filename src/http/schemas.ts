// The JSON of the interface. The same schemas check requests and make the OpenAPI document. Unknown fields of a request
// are refused (strict objects); of an answer they must be ignored.

import { z } from '@hono/zod-openapi';
import { BATCH_OPERATIONS_MAX, COLLECTION_NAME_BYTES_MAX, PK_BYTES_MAX, VALUE_BYTES_HARD_MAX } from '../core/limits.ts';
import { isRegionId } from '../core/version/dot.ts';

export * from './answers.ts';

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

export const reconcileRequest = z
  .strictObject({ peers: z.array(regionId).min(1).optional(), collection: collectionName.optional(), deep: z.boolean().optional() })
  .openapi('ReconcileRequest', { example: { peers: ['us-east-1'], deep: false } });

export const keyRequest = z
  .strictObject({
    scopes: z.array(z.enum(['read', 'write', 'admin'])).min(1),
    collections: z.array(z.string().regex(/^[A-Za-z0-9_.-]{0,64}\*?$/).min(1)).min(1).default(['*']),
    prefixes: z.array(z.string().min(1).max(PK_BYTES_MAX).refine((prefix) => prefix.isWellFormed(), 'not Unicode')).min(1).max(100).optional(),
    expires: z.iso.datetime({ offset: true }).optional(),
  })
  .openapi('KeyRequest', { example: { scopes: ['read'], collections: ['demo'], expires: '2030-01-31T00:00:00Z' } });
