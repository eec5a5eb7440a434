// How a command ends: an exit code that scripts can use, and for what went wrong one sentence (with --json one line).

import { isArchipelError, type ArchipelError, type ErrorCode } from '../core/errors.ts';
import { printable } from './output.ts';
import type { Terminal } from './terminal.ts';

export const EXIT = { done: 0, failed: 1, no: 2, unknown: 3 } as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0  done
  1  could not: bad arguments, nobody answers, not allowed, an error
  2  the answer is no: not found, a precondition or a policy does not hold, a conflict
  3  the outcome is unknown: repeat with the same --idempotency-key`;

/** Ctrl-C, where a command had something to put right first. */
export class Interrupted extends Error {
  constructor() {
    super('Interrupted.');
  }
}

/** The cluster understood and said no. */
const NO: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'not-found',
  'collection-not-found',
  'precondition-failed',
  'too-many-siblings',
  'operation-expired',
  'collection-exists',
  'policy-change-refused',
  'topology-change-refused',
  'context-required',
  'idempotency-key-reused',
]);

export function exitCodeOf(error: unknown): number {
  if (!isArchipelError(error)) return EXIT.failed;
  if (error.code === 'write-outcome-unknown') return EXIT.unknown;
  return NO.has(error.code) ? EXIT.no : EXIT.failed;
}

/** What is not one of our errors is a defect: its stack is what a report of it needs. */
export function sentenceOf(error: unknown): string {
  if (error instanceof Interrupted) return error.message;
  if (!isArchipelError(error)) return error instanceof Error ? (error.stack ?? error.message) : String(error);
  return error.message + hintOf(error);
}

function hintOf({ code, details: { operation } }: ArchipelError): string {
  if (code === 'unauthenticated') return ' Give a key with --key, or in ARCHIPEL_KEY.';
  return code === 'write-outcome-unknown' && typeof operation === 'string' ? ` Repeat it with --idempotency-key ${operation}` : '';
}

export function tell(terminal: Terminal, error: unknown, json: boolean): void {
  terminal.exitCode = exitCodeOf(error);
  if (!json || !isArchipelError(error)) return void terminal.err.write(`${printable(sentenceOf(error)).replaceAll('\\u000a', '\n')}\n`);
  const { status, requestId, region, operation, errors } = error.details;
  void terminal.err.write(`${JSON.stringify({ error: { code: error.code, detail: error.message, retryable: error.retryable, status, requestId, region, idempotencyKey: operation, errors } })}\n`);
}
