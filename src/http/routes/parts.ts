// What the tables of routes have in common.

import { z } from '@hono/zod-openapi';
import { PAGE_ITEMS_MAX } from '../../core/limits.ts';
import type { RegionId } from '../../core/version/dot.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { Answer } from '../administration.ts';
import type { Reply } from '../reply.ts';
import type { Call } from '../call.ts';
import type { Route } from '../router.ts';
import type { Service } from '../service.ts';

export interface RouteParts {
  readonly service: Service;
  readonly add: (route: Route) => void;
  readonly json: (call: Call, answer: Answer) => Response;
  /** Here when this region is one of the holders, else in one that is, unless the request forbids that. */
  readonly where: <A>(call: Call, holders: readonly RegionId[], here: () => Promise<A>) => Promise<A | Response | Reply>;
}

/** A refusal to write, whatever is written. */
export const WRITE_PROBLEMS: readonly ErrorCode[] = ['region-recovering', 'region-fenced', 'clock-unsafe', 'overloaded', 'storage-full', 'storage-unavailable', 'write-outcome-unknown'];

/** Of a route that belongs to the regions which hold a partition. */
export const PLACED_PROBLEMS: readonly ErrorCode[] = ['collection-not-found', 'collection-pending', 'key-invalid', 'key-too-long', 'wrong-region', 'no-region-available', 'region-recovering', 'region-fenced', 'overloaded'];

export const BODY_PROBLEMS: readonly ErrorCode[] = ['too-large', 'unsupported-media-type'];

export const BYTES = z.any().openapi({ type: 'string', format: 'binary' });

const wholeNumber = (most: number): z.ZodType => z.int().min(1).max(most).optional();

/** How a listing is cut into pages. */
export const PAGE_QUERY = { limit: wholeNumber(PAGE_ITEMS_MAX), cursor: z.string().optional().openapi({ description: 'As the page before gave it.' }) };

export const KEYS_QUERY = z.enum(['text', 'base64url']).optional().openapi({ description: 'How keys in the query are written.' });
