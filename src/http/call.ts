// One request on its way through a route: what was asked, by whom, and what every answer carries.

import type { Context } from 'hono';
import type { z } from '@hono/zod-openapi';
import { ArchipelError, isArchipelError } from '../core/errors.ts';
import type { Principal } from '../auth/keys.ts';
import { checkConsistency } from './fields.ts';
import { parseUnambiguousJson } from './json.ts';
import type { Reply } from './reply.ts';
import { parseQuery, percentDecodeText, queryText, splitTarget } from './target.ts';

/** What an adapter puts beside the request. */
export interface HttpEnvironment {
  /** The request target as it was sent; where absent, `incoming.url` (Node). */
  readonly rawTarget?: string;
  readonly incoming?: { readonly url?: string };
  /** The request came through another region: it is not passed on again. */
  readonly forwarded?: boolean;
}

export type HttpContext = Context<{ Bindings: HttpEnvironment }>;

/** As sent; a form other than `/path?query` matches no route. */
export function rawTargetOf(request: Request, environment: HttpEnvironment | undefined): string {
  const raw = environment?.rawTarget ?? environment?.incoming?.url;
  if (raw !== undefined) return raw;
  const url = new URL(request.url);
  return url.pathname + url.search;
}

/** What frameworks call the path: as sent, without the query. */
export function rawPathOf(request: Request, options: unknown): string {
  const target = rawTargetOf(request, (options as { env?: HttpEnvironment } | undefined)?.env);
  const at = target.indexOf('?');
  return at === -1 ? target : target.slice(0, at);
}

/** An absolute-form target would let a request choose the host, and has been normalised by whoever made it. */
export function assertOriginForm(target: string): void {
  if (!target.startsWith('/')) throw new ArchipelError('bad-request', 'The request target begins with a slash.');
}

/** What was asked, by whichever door it came in. */
export interface Asked {
  readonly method: string;
  /** As sent. */
  readonly rawTarget: string;
  /** It came through another region: it is not passed on again. */
  readonly forwarded: boolean;
  /** The value of a field by its name in small letters. */
  field(name: string): string | undefined;
  headers(): Headers;
  /** A body whose length was declared; at once when it is there. */
  bytes(): Promise<Uint8Array> | Uint8Array;
  /** Any other body. */
  stream(): ReadableStream<Uint8Array> | null;
  /** Where a door can write an answer before the promise of it resolves: the same one. */
  readonly answerNow?: ((reply: Reply) => void) | undefined;
}

/** What an edge works on (`1.7`: term and epoch); a region that works on another document answers with its own. */
export const TOPOLOGY_FIELD = 'topology';
/** Of an answer to who says what topology it works on: the region has not caught up with its peers, by so many milliseconds. */
export const LAG_FIELD = 'replication-lag';

/** By the main door. */
export function askedOf(context: HttpContext): Asked {
  const { req, env } = context;
  const { raw } = req;
  return {
    method: raw.method,
    rawTarget: rawTargetOf(raw, env),
    forwarded: env?.forwarded === true,
    field: (name) => req.header(name),
    headers: () => raw.headers,
    bytes: async () => new Uint8Array(await req.arrayBuffer()),
    stream: () => raw.body,
  };
}

export interface CallParts {
  readonly asked: Asked;
  readonly principal: Principal;
  readonly startedMs: number;
}

export class Call {
  readonly asked: Asked;
  readonly principal: Principal;
  readonly startedMs: number;
  readonly rawTarget: string;
  readonly #path: string;
  readonly #search: string;
  #segments: readonly string[] | undefined;
  #query: Map<string, string> | undefined;
  #collection: string | undefined;
  #consistency: string | undefined;

  constructor(parts: CallParts) {
    this.asked = parts.asked;
    this.principal = parts.principal;
    this.startedMs = parts.startedMs;
    this.rawTarget = parts.asked.rawTarget;
    assertOriginForm(this.rawTarget);
    const { path, search } = splitTarget(this.rawTarget);
    this.#path = path;
    this.#search = search;
  }

  /** Of the path, as sent, still escaped: `['v1', 'c', …]`. */
  get segments(): readonly string[] {
    return (this.#segments ??= this.#path.split('/').slice(1));
  }

  field(name: string): string | undefined {
    return this.asked.field(name);
  }

  get isForwarded(): boolean {
    return this.asked.forwarded;
  }

  /** A query parameter, still escaped. */
  rawQuery(name: string): string | undefined {
    return (this.#query ??= parseQuery(this.#search)).get(name);
  }

  query(name: string): string | undefined {
    const raw = this.rawQuery(name);
    return raw === undefined ? undefined : queryText(raw);
  }

  /** @throws ArchipelError `bad-request` when the query names anything else (but for the place of the viewer) */
  allowQuery(known: object = {}): void {
    if (this.#search === '') return;
    for (const name of (this.#query ??= parseQuery(this.#search)).keys()) {
      if (!Object.hasOwn(known, name) && name !== 'lat' && name !== 'lon') throw new ArchipelError('bad-request', `The query parameter ${name} is not known here.`);
    }
  }

  /** @throws ArchipelError `consistency-unsupported`, `bad-request` */
  checkConsistency(): void {
    this.#consistency = checkConsistency(this.field('consistency'));
  }

  /** A whole number within bounds, or the default. */
  queryNumber(name: string, fallback: number, most: number): number {
    const text = this.rawQuery(name);
    if (text === undefined) return fallback;
    const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
    if (value < 1 || value > most) throw new ArchipelError('bad-request', `${name} is a whole number from 1 to ${most}.`);
    return value;
  }

  /** The collection in the path. */
  get collectionName(): string {
    return (this.#collection ??= percentDecodeText(segmentOf(this.#path, 2)));
  }

  /** @throws ArchipelError `too-large`, `unsupported-media-type`, `bad-request` */
  body(most: number): Promise<Uint8Array> | Uint8Array {
    // Bytes are kept as they come: what stands for other bytes (a coding, a part) would be taken for the value itself.
    const coding = this.field('content-encoding');
    if (coding !== undefined && coding.trim() !== 'identity') throw new ArchipelError('unsupported-media-type', 'Bodies are taken without a Content-Encoding.');
    if (this.field('content-range') !== undefined) throw new ArchipelError('bad-request', 'A part of a value cannot be written.');
    const length = this.field('content-length');
    if (length === undefined) return whole(readStream(this.asked.stream(), most));
    if (!/^[0-9]+$/.test(length)) throw new ArchipelError('bad-request', 'Content-Length is no number.');
    if (Number(length) > most) throw tooLarge(most);
    const bytes = this.asked.bytes();
    return bytes instanceof Uint8Array ? atMost(bytes, most) : whole(bytes.then((arrived) => atMost(arrived, most)));
  }

  /** @throws ArchipelError `unsupported-media-type`, `bad-request` with a pointer to each fault */
  async json<S extends z.ZodType>(schema: S, most = 64 * 1024): Promise<z.output<S>> {
    const type = this.field('content-type');
    if (type !== undefined && !/^application\/(?:[a-z0-9.+-]+\+)?json\s*(?:;|$)/i.test(type)) throw new ArchipelError('unsupported-media-type', 'The body has to be application/json.');
    const bytes = await this.body(most);
    const parsed = schema.safeParse(bytes.length === 0 ? {} : parseUnambiguousJson(bytes));
    if (parsed.success) return parsed.data;
    throw new ArchipelError('bad-request', 'The body is not what this route takes.', { errors: parsed.error.issues.flatMap(faultsOf) });
  }

  timing(nowMs: number): string {
    return `total;dur=${(nowMs - this.startedMs).toFixed(2)}`;
  }

  /** What every answer with data carries. */
  headers(region: string, more: Readonly<Record<string, string>>, nowMs: number): Record<string, string> {
    const trace = traceOf(this.field('traceparent'));
    const fields: Record<string, string> = { 'cache-control': 'no-store', vary: 'Accept, Authorization, Prefer', 'served-by': region, 'server-timing': this.timing(nowMs) };
    if (this.#consistency !== undefined) fields['consistency'] = this.#consistency;
    if (trace !== undefined) fields['traceparent'] = trace;
    return Object.assign(fields, more);
  }
}

/** One segment of a path, without making all of them: many requests need no other than the collection. */
function segmentOf(path: string, number: number): string {
  let from = 1;
  for (let left = number; left > 0; left--) {
    const slash = path.indexOf('/', from);
    if (slash === -1) return '';
    from = slash + 1;
  }
  const end = path.indexOf('/', from);
  return end === -1 ? path.slice(from) : path.slice(from, end);
}

/** W3C Trace Context: what is not valid is ignored, not passed on. */
const traceOf = (field: string | undefined): string | undefined => (field !== undefined && /^(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(field) ? field : undefined);

/** RFC 6901. */
const pointerTo = (path: readonly PropertyKey[]): string => path.map((name) => `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

function faultsOf(issue: z.core.$ZodIssue): { readonly pointer: string; readonly detail: string }[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((name) => ({ pointer: pointerTo([...issue.path, name]), detail: 'not known here' }));
  return [{ pointer: pointerTo(issue.path), detail: issue.message }];
}

const whole = (body: Promise<Uint8Array>): Promise<Uint8Array> =>
  body.catch((error: unknown) => {
    throw isArchipelError(error) ? error : new ArchipelError('bad-request', 'The body did not arrive whole.', {}, error);
  });

function atMost(bytes: Uint8Array, most: number): Uint8Array {
  if (bytes.length > most) throw tooLarge(most);
  return bytes;
}

const tooLarge = (most: number): ArchipelError => new ArchipelError('too-large', `The body may have at most ${most} bytes.`);

async function readStream(stream: ReadableStream<Uint8Array> | null, most: number): Promise<Uint8Array> {
  if (stream === null) return new Uint8Array(0);
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > most) {
      void reader.cancel().catch(() => undefined);
      throw tooLarge(most);
    }
    chunks.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
