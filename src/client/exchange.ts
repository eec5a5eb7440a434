// One request as the client means it: sent, and sent again while that can help, until its time is up.
//
//  1. What may be repeated (reads, writes that carry an operation id, what is the same done twice) is, after no answer
//     and after 429, 502, 503 and 504. The rest is sent again only when it certainly did not arrive.
//  2. A write is `write-outcome-unknown` when an attempt of it may have been done and no later one says that it was. A
//     refusal (412, say) after a lost answer is no proof that the first attempt was not taken.
//  3. A server that names a time to wait (Retry-After) is given it, or the request ends when that is beyond its own time.
//  4. Of several addresses (addresses.ts) each is asked at once where the one before it gave no answer, or one that says that
//     another may do better; there is a pause when all have been.

import { utf8Text } from '../core/bytes.ts';
import { ArchipelError, type ErrorCode } from '../core/errors.ts';
import { hedged, pause, type Clock } from '../ports/clock.ts';
import { unit, type Random } from '../ports/random.ts';
import type { Addresses, Attempted } from './addresses.ts';
import { NoAnswer, type TransportAnswer, type TransportRequest } from './transport.ts';

export { NoAnswer, type Transport, type TransportAnswer, type TransportRequest } from './transport.ts';

export interface Ask extends Omit<TransportRequest, 'timeoutMs'> {
  readonly isWrite: boolean;
  readonly mayRepeat: boolean;
  /** For the error that leaves the outcome open: what to repeat it under. */
  readonly operation?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** One attempt, for whoever watches: the demo prints them, the command line says that it is waiting. */
export interface Attempt {
  readonly url: string;
  readonly request: Omit<TransportRequest, 'timeoutMs'>;
  readonly attempt: number;
  readonly answer: TransportAnswer | undefined;
  /** Why another attempt follows; undefined for the last one. */
  readonly again: string | undefined;
}

export interface ExchangeParts {
  readonly addresses: Addresses;
  readonly clock: Clock;
  readonly random: Random;
  readonly onAttempt?: ((attempt: Attempt) => void) | undefined;
  /** A read that is not answered for so long is asked of another address too, where there is one. */
  readonly hedgeMs?: number | undefined;
}

export interface Answered extends TransportAnswer {
  /** The client's own, and what an edge tried besides. */
  readonly attempts: number;
}

const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 1_000;
const TRY_AGAIN: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** Another address may do better on these. */
const TRY_ELSEWHERE: ReadonlySet<number> = new Set([421, 502, 503, 504]);
/** Of those: the write may have been done. */
const UNKNOWN: ReadonlySet<number> = new Set([502, 504]);

/** The answer, of whatever status. @throws ArchipelError `no-region-available`, `write-outcome-unknown` */
export async function exchange(parts: ExchangeParts, ask: Ask): Promise<Answered> {
  const deadlineMs = parts.clock.monotonicMs() + ask.timeoutMs;
  const route = parts.addresses.route(ask.target);
  let mayBeDone = false;
  for (let attempt = 1, sent = 0; ; attempt++) {
    const to = route.next();
    const leftMs = deadlineMs - parts.clock.monotonicMs();
    const { outcome, requests } = await once(parts, ask, to, ask.mayRepeat ? Math.min(to.mostMs, leftMs) : leftMs);
    sent += requests;
    const isElsewhere = route.hasOther && (outcome instanceof NoAnswer || TRY_ELSEWHERE.has(outcome.status)); // 4
    const waitMs = isElsewhere ? 0 : waitAfter(outcome, attempt, parts.random);
    const isLate = parts.clock.monotonicMs() + waitMs >= deadlineMs || ask.signal?.aborted === true;
    const again = isLate ? undefined : reasonToRepeat(outcome, ask, isElsewhere);
    parts.onAttempt?.({ url: to.url, request: ask, attempt, answer: outcome instanceof NoAnswer ? undefined : outcome, again });
    mayBeDone ||= leavesOpen(outcome);
    if (again !== undefined && waitMs > 0) await pause(parts.clock, waitMs, ask.signal);
    // A pause may last longer than was asked for: an attempt that begins too late is none.
    if (again !== undefined && parts.clock.monotonicMs() < deadlineMs) continue;
    const isDone = !(outcome instanceof NoAnswer) && outcome.status < 400;
    if (ask.isWrite && mayBeDone && !isDone) throw unknownOutcome(ask, outcome); // 2
    if (outcome instanceof NoAnswer) throw new ArchipelError('no-region-available', `${to.url} gave no answer (${outcome.message}).`, { operation: ask.operation }, outcome);
    return { ...outcome, attempts: sent - 1 + edgeAttempts(outcome) };
  }
}

/** What an edge says of its own (`Server-Timing: edge;desc="attempts=2"`). */
const edgeAttempts = ({ headers }: TransportAnswer): number => Number(/\bedge;desc="attempts=([0-9]{1,3})"/.exec(headers['server-timing'] ?? '')?.[1] ?? 1);

interface Once {
  readonly outcome: TransportAnswer | NoAnswer;
  /** Two, where the other address was asked besides. */
  readonly requests: number;
}

async function once({ hedgeMs, clock }: ExchangeParts, { method, target, headers, body }: Ask, { send, second }: Attempted, timeoutMs: number): Promise<Once> {
  const request = { method, target, headers, timeoutMs, ...(body === undefined ? {} : { body }) };
  let requests = 1;
  try {
    if (hedgeMs === undefined || second === undefined || method !== 'GET' || hedgeMs >= timeoutMs) return { outcome: await send(request), requests };
    const hedge = (): Promise<TransportAnswer> => {
      requests++;
      return second({ ...request, timeoutMs: timeoutMs - hedgeMs }); // both end together: no request outlives its deadline
    };
    const { answer } = await hedged({ clock, afterMs: hedgeMs, first: () => send(request), second: hedge, isGood: ({ status }) => !TRY_AGAIN.has(status) });
    return { outcome: answer, requests };
  } catch (error) {
    return { outcome: error instanceof NoAnswer ? error : new NoAnswer(error instanceof Error ? error.message : String(error), false, error), requests };
  }
}

/** 1 */
function reasonToRepeat(outcome: TransportAnswer | NoAnswer, { mayRepeat }: Ask, isElsewhere: boolean): string | undefined {
  if (outcome instanceof NoAnswer) return (!outcome.isFinal || isElsewhere) && (mayRepeat || outcome.unsent) ? outcome.message : undefined;
  if (!isElsewhere && !TRY_AGAIN.has(outcome.status)) return undefined;
  return mayRepeat ? toError(outcome).message : undefined;
}

const leavesOpen = (outcome: TransportAnswer | NoAnswer): boolean => (outcome instanceof NoAnswer ? !outcome.unsent : UNKNOWN.has(outcome.status));

/** 3: doubling, with jitter, but never less than the server asks for. */
function waitAfter(outcome: TransportAnswer | NoAnswer, attempt: number, random: Random): number {
  const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt - 1, 10)) * (0.5 + unit(random) / 2);
  const seconds = outcome instanceof NoAnswer ? undefined : outcome.headers['retry-after'];
  return seconds !== undefined && /^[0-9]{1,6}$/.test(seconds) ? Math.max(backoffMs, Number(seconds) * 1_000) : backoffMs;
}

function unknownOutcome({ operation }: Ask, outcome: TransportAnswer | NoAnswer): ArchipelError {
  const last = outcome instanceof NoAnswer ? `the last attempt got no answer: ${outcome.message}` : `the last attempt was answered ${outcome.status}: ${toError(outcome).message}`;
  return new ArchipelError('write-outcome-unknown', `It is unknown whether the write happened (${last.replace(/\.$/, '')}).`, { operation });
}

/** A problem document as the error that it describes. */
export function toError({ status, headers, body }: TransportAnswer): ArchipelError {
  const problem = problemOf(headers['content-type'], body);
  if (problem === undefined) return new ArchipelError('internal', `The server answered ${status} without saying why.`, { status });
  const { type, detail, instance, region, errors } = problem;
  const pointers = (errors ?? []).map(({ pointer, detail: each }) => `${pointer === '/' ? '' : `${pointer}: `}${each}`);
  const message = pointers.length === 0 ? detail : `${detail} (${pointers.join('; ')})`;
  return new ArchipelError(type.slice(type.lastIndexOf('/') + 1) as ErrorCode, message, { status, requestId: instance, region, errors, headers });
}

interface Problem {
  readonly type: string;
  readonly detail: string;
  readonly instance?: string;
  readonly region?: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
}

function problemOf(contentType: string | undefined, body: Uint8Array): Problem | undefined {
  if (contentType?.startsWith('application/problem+json') !== true) return undefined;
  try {
    const problem = JSON.parse(utf8Text(body) ?? '') as Partial<Problem>;
    return typeof problem.type === 'string' && typeof problem.detail === 'string' ? (problem as Problem) : undefined;
  } catch {
    return undefined;
  }
}
