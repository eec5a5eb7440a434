// What went wrong with a call to AWS, in the three questions that matter: may it have been done, can the same call
// succeed a moment later, and what is the caller told. The names are the SDK's; its own retries must be off
// (CLIENT_SETTINGS), because one layer retries, and this one knows which writes may be repeated.

import { ArchipelError } from '../../core/errors.ts';

/** For every client that is given to these adapters. */
export const CLIENT_SETTINGS = { maxAttempts: 1 } as const;

export type Failure =
  /** A condition did not hold: not done, and it will not be. */
  | 'refused'
  /** Throttled, or another transaction holds the item: not done, try again. */
  | 'busy'
  /** The service failed or the connection broke: perhaps done, try again. */
  | 'in-doubt'
  /** No answer in time: perhaps done, and there is no time left. */
  | 'timed-out'
  /** Never sent, or refused before anything was looked at: name, rights, credentials, endpoint. */
  | 'unavailable'
  | 'too-large'
  /** We asked for something that cannot be asked for. */
  | 'defect';

const BUSY = new Set([
  'ProvisionedThroughputExceededException',
  'ProvisionedThroughputExceeded',
  'ThrottlingException',
  'ThrottlingError',
  'ThrottledException',
  'RequestThrottled',
  'RequestThrottledException',
  'KmsThrottled',
  'RequestLimitExceeded',
  'LimitExceededException',
  'TransactionConflictException',
  'TransactionConflict',
  'TransactionInProgressException',
]);
const NOT_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE']);
const TOO_LARGE = /item size|exceeded the maximum allowed size|BatchRequestTooLong/i;

/** The parts of the SDK's errors that are looked at. */
interface SdkError {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly $fault?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly CancellationReasons?: readonly { readonly Code?: string; readonly Message?: string }[];
}

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return 'defect';
  const { name, message, code, $fault, $metadata, CancellationReasons: reasons } = error as SdkError;
  if (name === 'ConditionalCheckFailedException') return 'refused';
  if (name === 'TransactionCanceledException') return cancellation(reasons ?? []);
  if (BUSY.has(name) || $metadata?.httpStatusCode === 429) return 'busy';
  if (typeof code === 'string' && NOT_SENT.has(code)) return 'unavailable';
  if (typeof code === 'string' && BROKEN.has(code)) return 'in-doubt';
  if (name === 'TimeoutError' || name === 'AbortError') return 'timed-out';
  if (name === 'ValidationException' || name === 'BatchRequestTooLong') return TOO_LARGE.test(`${name} ${message}`) ? 'too-large' : 'defect';
  if ($fault === 'server' || ($metadata?.httpStatusCode ?? 0) >= 500) return 'in-doubt';
  return $fault === 'client' || name === 'CredentialsProviderError' ? 'unavailable' : 'defect';
}

/** Short of capacity, and not in the way of another transaction. */
export const isThrottled = (error: unknown): boolean => failureOf(error) === 'busy' && !/Transaction/.test(error instanceof Error ? error.name : '');

/** A transaction lists a reason per item; one condition that fails outweighs a conflict, which may pass. */
function cancellation(reasons: readonly { readonly Code?: string; readonly Message?: string }[]): Failure {
  const codes = reasons.map(({ Code }) => Code ?? 'None');
  if (codes.includes('ConditionalCheckFailed')) return 'refused';
  if (codes.some((code) => BUSY.has(code))) return 'busy';
  return reasons.some(({ Message }) => TOO_LARGE.test(Message ?? '')) ? 'too-large' : 'defect';
}

/** What the caller is told in the end. A write of which one attempt is in doubt is `write-outcome-unknown`, whatever came after. */
export function failed(failure: Failure, error: unknown, mayBeDone: boolean): Error {
  if (mayBeDone) return new ArchipelError('write-outcome-unknown', 'The storage did not say whether the write was done.', {}, error);
  switch (failure) {
    case 'busy':
    case 'in-doubt':
      return new ArchipelError('overloaded', 'The storage takes no more at the moment.', {}, error);
    case 'timed-out':
    case 'unavailable':
      return new ArchipelError('storage-unavailable', 'The storage cannot be reached or refuses this region.', {}, error);
    case 'too-large':
      return new ArchipelError('too-large', 'The item is larger than the storage takes.', {}, error);
    case 'refused':
    case 'defect':
      return error instanceof Error ? error : new Error(String(error));
  }
}
