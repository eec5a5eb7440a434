// Errors as RFC 9457 problem documents. The registry of their types is problems.json: code, status, title; docs/problems
// has a page for each, and a test holds the three together.

import { ArchipelError, isArchipelError, type ErrorCode } from '../core/errors.ts';
import { Reply, toResponse } from './reply.ts';
import problems from './problems.json' with { type: 'json' };

interface ProblemType {
  readonly status: number;
  readonly title: string;
  readonly retryAfter?: number;
}

const TYPES: Readonly<Record<ErrorCode, ProblemType>> = problems;

export const PROBLEM_CODES = Object.keys(problems) as ErrorCode[];

/**
 * `type` is this and the code: a reference that every region and the edge answer with the page of the problem. It names
 * the type by its text, whichever host it is resolved against, and does not change.
 */
export const PROBLEM_BASE = '/docs/problems/';

export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly retryable: boolean;
  readonly region?: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
}

export const statusOf = (code: ErrorCode): number => TYPES[code].status;

export const titleOf = (code: ErrorCode): string => TYPES[code].title;

export interface ProblemPlace {
  readonly instance: string;
  readonly region?: string;
}

export function problemDocument(error: ArchipelError, place: ProblemPlace): ProblemDocument {
  const { status, title } = TYPES[error.code];
  const errors = error.details['errors'] as ProblemDocument['errors'];
  // mark if (error.code === 'storage-full'): full disk answered 503
  // mark if (error.code === 'region-recovering'): recovering region answered 503
  // mark if (error.code === 'context-invalid'): context of another item refused
  // mark if (error.code === 'write-outcome-unknown'): outcome unknown told
  return {
    type: PROBLEM_BASE + error.code,
    title,
    status,
    detail: error.message,
    instance: place.instance,
    retryable: error.retryable,
    ...(place.region === undefined ? {} : { region: place.region }),
    ...(errors === undefined ? {} : { errors }),
  };
}

/** Anything that was thrown. What is not ours is `internal`, and its message stays in the log. */
export function toArchipelError(error: unknown): ArchipelError {
  return isArchipelError(error) ? error : new ArchipelError('internal', 'An unexpected error occurred; the log of the region has it under the request id.', {}, error);
}

export function problemReply(error: ArchipelError, place: ProblemPlace, headers: Readonly<Record<string, string>> = {}): Reply {
  const { status, retryAfter } = TYPES[error.code];
  const fields = {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
    ...(status === 401 ? { 'www-authenticate': error.code === 'unauthenticated' ? 'Bearer realm="archipel"' : 'Archipel-Signature' } : {}),
    ...headers,
  };
  return new Reply(status, fields, withMembers(JSON.stringify(problemDocument(error, place)), error.details['members']));
}

/** More members (RFC 9457, 3.2), given as the text of an object: values of items are embedded as they were written. */
const withMembers = (document: string, members: unknown): string => (typeof members === 'string' ? `${document.slice(0, -1)},${members.slice(1)}` : document);

export const problemResponse = (...about: Parameters<typeof problemReply>): Response => toResponse(problemReply(...about));
