// Every error that leaves core, engine or an adapter is an ArchipelError: a stable code, typed details, and whether a
// retry can help. The codes are the problem types of the HTTP interface (problems.json), so that the text a user sees,
// the page that documents it and the place that threw it carry the same name. Misuse by our own code throws TypeError.

/** The stable name of everything that can go wrong. Each has a page in docs/problems and an entry in problems.json. */
export type ErrorCode =
  | 'bad-request'
  | 'key-invalid'
  | 'context-invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'collection-not-found'
  | 'method-not-allowed'
  | 'not-acceptable'
  | 'too-many-siblings'
  | 'operation-expired'
  | 'collection-exists'
  | 'policy-change-refused'
  | 'topology-change-refused'
  | 'precondition-failed'
  | 'too-large'
  | 'key-too-long'
  | 'unsupported-media-type'
  | 'wrong-region'
  | 'idempotency-key-reused'
  | 'context-required'
  | 'too-many-requests'
  | 'headers-too-large'
  | 'residency'
  | 'internal'
  | 'consistency-unsupported'
  | 'not-built'
  | 'region-fenced'
  | 'region-draining'
  | 'region-recovering'
  | 'clock-unsafe'
  | 'collection-pending'
  | 'overloaded'
  | 'storage-full'
  | 'storage-unavailable'
  | 'no-region-available'
  | 'write-outcome-unknown'
  // Between regions only:
  | 'signature-invalid'
  | 'signature-expired'
  | 'replayed'
  | 'topology-older'
  | 'topology-different'
  | 'replication-paused'
  | 'peer-unreachable'
  | 'peer-refused'
  | 'lease-held';

/** Codes after which the same request, unchanged, may succeed later or elsewhere. */
const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'too-many-requests',
  'region-fenced',
  'region-draining',
  'region-recovering',
  'clock-unsafe',
  'collection-pending',
  'overloaded',
  'storage-full',
  'storage-unavailable',
  'no-region-available',
  'write-outcome-unknown',
  'signature-expired',
  'replayed',
  'replication-paused',
  'peer-unreachable',
  'lease-held',
]);

export class ArchipelError extends Error {
  override readonly name = 'ArchipelError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
    this.retryable = RETRYABLE.has(code);
  }
}

export function isArchipelError(error: unknown, code?: ErrorCode): error is ArchipelError {
  return error instanceof ArchipelError && (code === undefined || error.code === code);
}

/** An invariant that must hold, in production too: going on with a broken one would spread the damage. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Invariant broken: ${message}`);
}
