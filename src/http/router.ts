// One table of routes: how each is reached, who may, what it takes and answers. Routing, the OpenAPI document and the test
// that every route refuses strangers are made from the same entries.
//
// Who asks is judged before what is asked: key, scope and reach come before any body is read and any name is looked up,
// so that a refusal tells nothing about what exists.

import { OpenAPIHono, z, type RouteConfig } from '@hono/zod-openapi';
import { requireCollection, requireScope, requireStore, requireWholeCollection, SCOPES, type Principal, type Scope } from '../auth/keys.ts';
import type { ErrorCode } from '../core/errors.ts';
import { ArchipelError, isArchipelError } from '../core/errors.ts';
import { isSystemCollection } from '../core/keys/item-key.ts';
import type { Log } from '../ports/log.ts';
import { FIELD_COMPONENTS, fieldsObject, ON_EVERY_ANSWER, STATUS_FIELDS, type AnswerField } from './answer-fields.ts';
import { askedOf, assertOriginForm, Call, rawPathOf, rawTargetOf, TOPOLOGY_FIELD, type Asked, type HttpContext, type HttpEnvironment } from './call.ts';
import { PROBLEM_BASE, problemReply, statusOf, toArchipelError } from './problem.ts';
import { Reply, toReply, toResponse } from './reply.ts';
import { problem } from './schemas.ts';

export type Method = 'get' | 'put' | 'patch' | 'post' | 'delete';

/**
 * What a key must be for. `item`: the collection, and the handler asks for the pk. `whole-collection`: all its items.
 * `records`: the same, and of the system's collections for keys of the whole store. `own`: the handler shows what the
 * key may see. `store`: everything.
 */
export type Reach = 'item' | 'collection' | 'whole-collection' | 'records' | 'own' | 'store';

export interface Guard {
  readonly scope: Scope | 'any';
  readonly reach: Reach;
}

export interface DocumentedAnswer {
  readonly description: string;
  readonly schema?: z.ZodType;
  readonly contentType?: string;
  /** Besides those that any answer may have. */
  readonly fields?: readonly AnswerField[];
}

export interface RouteDocument {
  /** The operation's name, one of its kind. */
  readonly id: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** Status to what the body is. */
  readonly answers: Readonly<Record<number, DocumentedAnswer>>;
  readonly problems?: readonly ErrorCode[];
  /** Of problems that are about the item as it is. */
  readonly problemFields?: readonly AnswerField[];
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  /** Default content type: JSON. */
  readonly body?: { readonly schema: z.ZodType; readonly contentType?: string; readonly required?: boolean; readonly others?: Readonly<Record<string, z.ZodType>> };
}

export interface Route {
  readonly method: Method;
  /** In OpenAPI form: `/v1/c/{collection}/items/{pk}`. */
  readonly path: string;
  /** `public`: no key at all. */
  readonly guard: Guard | 'public';
  readonly document: RouteDocument;
  /** `Replicate-To` is a requirement: where it cannot be met it is refused. */
  readonly replicates?: boolean;
  handle(call: Call): Promise<Response | Reply> | Response | Reply;
}

export interface RouterParts {
  readonly place: string;
  /** Groups of operations, in the order in which they are shown, with what each is about. */
  readonly tags: Readonly<Record<string, string>>;
  readonly log: Log;
  readonly monotonicMs: () => number;
  readonly newRequestId: () => string;
  /** Fields of a problem for whoever names the topology that it works on. */
  readonly toRouters: () => Readonly<Record<string, string>>;
  /** @throws ArchipelError `unauthenticated` */
  readonly identify: (authorization: string | undefined) => Principal;
}

type ResponseObject = RouteConfig['responses'][string];

export type App = OpenAPIHono<{ Bindings: HttpEnvironment }>;

const NOBODY: Principal = { id: 'nobody', scopes: new Set(), collections: [] };

/** Problems that come after a look at the item. */
const AFTER_READING: ReadonlySet<number> = new Set([404, 409, 412, 422, 428]);

/** What any route may answer that wants a key. */
const GUARDED: readonly ErrorCode[] = ['unauthenticated', 'forbidden', 'bad-request', 'consistency-unsupported', 'internal'];

const PARAMETERS: Readonly<Record<string, z.ZodType>> = {
  collection: z.string().openapi({ example: 'demo' }),
  pk: z.string().openapi({ description: 'Percent-encoded UTF-8, 1 to 512 bytes.', example: 'alice' }),
  sk: z.string().openapi({ description: 'Percent-encoded UTF-8, up to 400 bytes.', example: 'cart' }),
  id: z.string().openapi({ description: 'As a listing, or the answer that began it, gave it.' }),
  group: z.string().openapi({ description: 'The actor that wrote the stranded writes, as a listing of lost writes shows it.', example: 'us-east-1~k3f9a' }),
  peer: z.string().openapi({ example: 'us-east-1' }),
  region: z.string().openapi({ example: 'us-east-1' }),
};

export class Router {
  readonly app: App;
  readonly #parts: RouterParts;
  readonly routes: Route[] = [];
  /** So many of them stand in the registry. */
  #described = 0;

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.app = new OpenAPIHono<{ Bindings: HttpEnvironment }>({ getPath: rawPathOf });
    this.app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer', description: 'A key of the form ak_<id>_<secret>.' });
    for (const [name, component] of FIELD_COMPONENTS) this.app.openAPIRegistry.registerComponent('headers', name, component);
    this.app.notFound((context) => toResponse(this.#problem(context.req.method, this.#unmatched(context))));
    this.app.onError((error, context) => toResponse(this.#problem(context.req.method, error)));
  }

  add(route: Route): void {
    this.routes.push(route);
    this.app.on(route.method.toUpperCase(), route.path.replaceAll(/\{(\w+)\}/g, ':$1'), (context) => this.#run(route, askedOf(context), toResponse));
  }

  /** For a door that knows the route. */
  run(route: Route, asked: Asked): Promise<Reply> {
    return this.#run(route, asked, asReply);
  }

  /** Without `async`: the promise of the handler is the only one on the way of nearly every request. */
  #run<A>(route: Route, asked: Asked, as: (answer: Response | Reply) => A | Promise<A>): Promise<A> {
    const startedMs = this.#parts.monotonicMs();
    const failed = (error: unknown): A | Promise<A> => as(this.#problem(asked.method, error, startedMs, asked.field(TOPOLOGY_FIELD) === undefined ? {} : this.#parts.toRouters()));
    try {
      const isPublic = route.guard === 'public';
      const principal = isPublic ? NOBODY : this.#parts.identify(asked.field('authorization'));
      const call = new Call({ asked, principal, startedMs });
      if (route.guard !== 'public') admit(route, route.guard, call);
      const answer = route.handle(call);
      return answer instanceof Promise ? answer.then(as, failed) : Promise.resolve(as(answer));
    } catch (error) {
      return Promise.resolve(failed(error));
    }
  }

  // What matches no route -----------------------------------------------------------------------------------------------------

  #unmatched(context: HttpContext): ArchipelError {
    try {
      assertOriginForm(rawTargetOf(context.req.raw, context.env));
    } catch (error) {
      return toArchipelError(error);
    }
    const segments = context.req.path.split('/');
    const methods = this.routes.filter(({ path }) => isLike(path.split('/'), segments)).map(({ method }) => method);
    if (methods.length > 0) {
      const allow = methods.flatMap((method) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()])).join(', ');
      return new ArchipelError('method-not-allowed', `This is done by ${allow}.`, { headers: { allow } });
    }
    const [, v1, c, , what, ...key] = segments;
    if (v1 === 'v1' && c === 'c' && key.length > 0 && (what === 'items' || what === 'explain' || what === 'ranges')) {
      return new ArchipelError('key-invalid', 'A path names a pk and at most one sk, neither empty; a slash in a key is %2F. Any key can be given as ?pk=&sk= with keys=base64url.');
    }
    return new ArchipelError('not-found', 'There is no such route.');
  }

  #problem(method: string, thrown: unknown, startedMs?: number, more: Readonly<Record<string, string>> = {}): Reply {
    const error = toArchipelError(thrown);
    const instance = this.#parts.newRequestId();
    if (statusOf(error.code) >= 500 && (!isArchipelError(thrown) || error.code === 'internal')) {
      this.#parts.log.write('error', 'http.failed', { requestId: instance, method, error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) });
    } else {
      // Neither target nor detail: both may tell a key.
      this.#parts.log.write('debug', 'http.problem', { requestId: instance, method, code: error.code, status: statusOf(error.code) });
    }
    const headers = {
      vary: 'Accept, Authorization, Prefer',
      'request-id': instance,
      'served-by': this.#parts.place,
      ...(startedMs === undefined ? {} : { 'server-timing': `total;dur=${(this.#parts.monotonicMs() - startedMs).toFixed(2)}` }),
      ...(error.details['headers'] as Record<string, string> | undefined),
      ...more,
    };
    return problemReply(error, { instance, region: this.#parts.place }, headers);
  }

  // The document --------------------------------------------------------------------------------------------------------------

  #describe({ method, path, guard, document }: Route): void {
    const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
    const problems = new Set<ErrorCode>([...(guard === 'public' ? [] : GUARDED), ...(document.problems ?? [])]);
    const byStatus = new Map<number, ErrorCode[]>();
    for (const code of problems) byStatus.set(statusOf(code), [...(byStatus.get(statusOf(code)) ?? []), code]);
    this.app.openAPIRegistry.registerPath({
      method,
      path,
      operationId: document.id,
      tags: [document.tag],
      summary: document.summary,
      ...(document.description === undefined ? {} : { description: document.description }),
      // Several requirements are alternatives; several scopes in one would all be required.
      security: guard === 'public' ? [] : (guard.scope === 'any' ? SCOPES : [guard.scope]).map((scope) => ({ bearer: [scope] })),
      request: {
        ...(parameters.length === 0 ? {} : { params: z.object(Object.fromEntries(parameters.map((name) => [name, PARAMETERS[name] ?? z.string()]))) }),
        ...(document.query === undefined ? {} : { query: document.query }),
        ...(document.headers === undefined ? {} : { headers: document.headers }),
        ...(document.body === undefined ? {} : { body: { required: document.body.required ?? true, content: contentOf(document.body) } }),
      },
      responses: {
        ...Object.fromEntries(Object.entries(document.answers).map(([status, answer]) => [status, answerObject(answer)])),
        ...Object.fromEntries([...byStatus].map(([status, codes]) => [status, problemObject(status, codes, AFTER_READING.has(status) ? (document.problemFields ?? []) : [])])),
      },
    });
  }

  /** Made from the routes when it is asked for: a region in a function, or in a simulation, is never asked. */
  document(): unknown {
    for (const route of this.routes.slice(this.#described)) this.#describe(route);
    this.#described = this.routes.length;
    return this.app.getOpenAPI31Document({
      openapi: '3.1.0',
      info: { title: 'Archipel', version: '0.1.0', description: ABOUT, license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' } },
      servers: [{ url: '/' }],
      tags: Object.entries(this.#parts.tags).map(([name, description]) => ({ name, description })),
    });
  }
}

const ABOUT = `A multi-region key-value store. Every acknowledged write is accounted for.

Any region answers for any key, and so does the edge, which asks the nearest region that holds it. A key is sent as
*Authorization: Bearer ak_…*. What was asked as *Consistency*, *Replicate-To* or *Forward* is done or refused; *Prefer* may be
ignored. HEAD is answered as GET, without the body. Ignore in answers what you do not know. Errors are [problems](${PROBLEM_BASE}), each with a page.

Any answer about data may have:

${ON_EVERY_ANSWER}`;

const answerObject = ({ description, schema, contentType = 'application/json', fields = [] }: DocumentedAnswer): ResponseObject => ({
  description,
  ...fieldsObject(fields),
  ...(schema === undefined ? {} : { content: { [contentType]: { schema } } }),
});

const problemObject = (status: number, codes: readonly ErrorCode[], fields: readonly AnswerField[]): ResponseObject => ({
  description: codes.map((code) => `[${code}](${PROBLEM_BASE}${code})`).join(', '),
  ...fieldsObject([...(STATUS_FIELDS[status] ?? []), ...fields]),
  content: { 'application/problem+json': { schema: problem } },
});

const contentOf = ({ schema, contentType = 'application/json', others = {} }: NonNullable<RouteDocument['body']>): Record<string, { schema: z.ZodType }> =>
  Object.fromEntries([[contentType, schema] as const, ...Object.entries(others)].map(([type, each]) => [type, { schema: each }]));

function admit(route: Route, { scope, reach }: Guard, call: Call): void {
  const { principal } = call;
  if (scope !== 'any') requireScope(principal, scope);
  if (reach === 'store') requireStore(principal);
  else if (reach === 'item' || reach === 'collection') requireCollection(principal, call.collectionName);
  else if (reach === 'records' && isSystemCollection(call.collectionName)) requireStore(principal);
  else if (reach !== 'own') requireWholeCollection(principal, call.collectionName);
  call.allowQuery(route.document.query?.shape);
  call.checkConsistency();
  if (route.replicates !== true && call.field('replicate-to') !== undefined) throw new ArchipelError('bad-request', 'Replicate-To is for writes of one item.');
}

const asReply = (answer: Response | Reply): Reply | Promise<Reply> => (answer instanceof Reply ? answer : toReply(answer));

const isLike = (path: readonly string[], segments: readonly string[]): boolean =>
  path.length === segments.length && path.every((part, at) => (part.startsWith('{') ? segments[at] !== '' : part === segments[at]));
