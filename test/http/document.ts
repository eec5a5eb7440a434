// The OpenAPI document as tests use it: the operation of a request, and whether an answer is what it promises.

import { faults, type Schema } from './json-schema.ts';

export interface Operation {
  readonly operationId: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean; readonly schema: Schema }[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly headers?: Readonly<Record<string, object>>; readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>>;
}

export interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>>; readonly securitySchemes: Readonly<Record<string, { readonly type: string; readonly scheme: string }>> };
}

export interface Named {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

export const operationsOf = (document: OpenApi): Named[] =>
  Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })));

/** The operation that a target belongs to; the most literal path wins. */
export function operationOf(document: OpenApi, method: string, target: string): Named | undefined {
  const segments = (target.split('?')[0] as string).split('/');
  const isLike = (path: string): boolean => {
    const parts = path.split('/');
    return parts.length === segments.length && parts.every((part, at) => (part.startsWith('{') ? segments[at] !== '' : part === segments[at]));
  };
  const asked = method === 'HEAD' ? 'GET' : method;
  return operationsOf(document)
    .filter((named) => named.method === asked && isLike(named.path))
    .sort((a, b) => a.path.split('{').length - b.path.split('{').length)[0];
}

export interface Observed {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Fields that every answer has, or any may have, and that say nothing of this interface. */
const OF_HTTP = new Set(['content-type', 'content-length', 'cache-control', 'vary']);

/** What of this answer the document does not promise. */
export function undocumented(document: OpenApi, method: string, target: string, answer: Observed): string[] {
  const named = operationOf(document, method, target);
  if (named === undefined) return answer.status >= 400 ? [] : [`${method} ${target}: ${answer.status}, but there is no such operation`];
  const where = `${named.operation.operationId} ${answer.status}`;
  const response = named.operation.responses[String(answer.status)];
  if (response === undefined) return [`${where}: the status is not documented (${answer.text.slice(0, 200)})`];
  const general = [...document.info.description.matchAll(/`([A-Z][A-Za-z-]+)`/g)].map(([, name]) => name as string);
  const fields = [...general, ...Object.keys(response.headers ?? {})].map((name) => name.toLowerCase());
  const unknown = [...answer.headers.keys()].filter((name) => !fields.includes(name) && !OF_HTTP.has(name));
  if (unknown.length > 0) return [`${where}: ${unknown.join(', ')} is not documented`];
  const type = answer.headers.get('content-type')?.split(';')[0] ?? '';
  if (type === 'application/problem+json' && method !== 'HEAD') {
    const { type: uri } = JSON.parse(answer.text) as { type: string };
    const code = uri.slice(uri.lastIndexOf('/') + 1);
    if (!response.description.includes(`[${code}](${uri})`)) return [`${where}: ${code} is not documented`];
  }
  const schema = response.content?.[type]?.schema;
  if (schema === undefined || !type.endsWith('json') || method === 'HEAD') return [];
  const resolve = (ref: string): Schema => document.components.schemas[ref.slice(ref.lastIndexOf('/') + 1)] as Schema;
  return faults(JSON.parse(answer.text), schema, resolve).map((fault) => `${where}: ${fault}`);
}
