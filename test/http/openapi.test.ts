// The OpenAPI document: well formed, and saying neither more nor less than what the router does.

import { beforeAll, expect, test } from 'vitest';
import { PROBLEM_CODES, statusOf } from '../../src/http/problem.ts';
import { operationsOf, type OpenApi } from './document.ts';
import { startRegion, type TestRegion } from './harness.ts';
import { faults, unknownWords, type Schema } from './json-schema.ts';

let eu: TestRegion;
let document: OpenApi;
beforeAll(async () => {
  eu = await startRegion();
  document = (await eu.send('GET', '/openapi.json', { key: null })).json<OpenApi>();
});

test('it is OpenAPI 3.1 with what a reader needs: title, version, where, how to be let in', () => {
  expect(document.openapi).toBe('3.1.0');
  expect(document.info.title).not.toBe('');
  expect(document.info.description).toContain('HEAD is answered as GET'); // it stands for every GET below
  expect(document.info.version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(document.components.securitySchemes).toEqual({ bearer: expect.objectContaining({ type: 'http', scheme: 'bearer' }) as unknown });
  for (const path of Object.keys(document.paths)) expect(path).toMatch(/^(\/[a-z0-9._-]+|\/\{[a-z]+\})+$/);
});

test('every route of the router is in it and vice versa; what else the app answers are parts of the docs page', () => {
  const described = operationsOf(document).map(({ method, path }) => `${method} ${path}`);
  const routed = eu.routes.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  expect(described.sort()).toEqual(routed.sort());
  expect(new Set(routed).size).toBe(routed.length);
  const answered = eu.app.routes.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
  expect(answered.filter((route) => !routed.includes(route))).toEqual(['GET /docs/*']);
  expect(routed.filter((route) => !answered.includes(route))).toEqual([]);
});

test('every operation has a name of its own, a tag, a summary, its path parameters, and a success', () => {
  const ids = operationsOf(document).map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { path, operation } of operationsOf(document)) {
    expect(operation.operationId).toMatch(/^[a-zA-Z]+$/);
    expect(operation.tags).toHaveLength(1);
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const parameters = operation.parameters ?? [];
    expect(parameters.filter((parameter) => parameter.in === 'path').map(({ name, required }) => [name, required])).toEqual(named.map((name) => [name, true]));
    expect(parameters.every(({ in: place, schema }) => ['path', 'query', 'header'].includes(place) && typeof schema === 'object')).toBe(true);
    expect(new Set(parameters.map(({ name, in: place }) => `${place} ${name}`)).size).toBe(parameters.length);
    const statuses = Object.keys(operation.responses);
    expect(statuses.every((status) => /^[2-5]\d\d$/.test(status))).toBe(true);
    expect(statuses.some((status) => status.startsWith('2'))).toBe(true);
    for (const { description } of Object.values(operation.responses)) expect(description).not.toBe('');
  }
});

test('every part of a path says what goes there; of stranded writes, what becomes of a group', () => {
  const silent = operationsOf(document).flatMap(({ path, operation }) => (operation.parameters ?? []).filter((parameter) => parameter.in === 'path' && parameter.schema.description === undefined && parameter.schema.example === undefined).map(({ name }) => `${path}: ${name}`));
  expect(silent).toEqual([]);
  for (const verb of ['accept', 'restore']) {
    const operation = document.paths[`/v1/c/{collection}/stranded/{group}/${verb}`]?.['post'];
    expect(operation?.description).toContain('declared lost');
    expect(Object.keys(operation?.responses ?? {})).toEqual(expect.arrayContaining(['200', '404', '503']));
  }
  const { properties = {} } = document.components.schemas['Group'] as Schema;
  expect(Object.entries(properties).filter(([, member]) => member.description === undefined)).toEqual([]);
});

test('problems: each status names codes of the registry that have this status', () => {
  const named = new Set<string>();
  for (const { operation } of operationsOf(document)) {
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      if (content?.['application/problem+json'] === undefined) continue;
      const codes = [...description.matchAll(/\[([a-z-]+)\]\(/g)].map(([, code]) => code as string);
      expect(codes.length).toBeGreaterThan(0);
      for (const code of codes) {
        expect([code, PROBLEM_CODES.includes(code as (typeof PROBLEM_CODES)[number]), statusOf(code as (typeof PROBLEM_CODES)[number])]).toEqual([code, true, Number(status)]);
        named.add(code);
      }
    }
  }
  expect(named.size).toBeGreaterThan(25);
});

const referred = (reference: string): unknown => reference.split('/').slice(1).reduce<unknown>((part, name) => (part as Readonly<Record<string, unknown>> | undefined)?.[name], document);

test('references lead somewhere, and schemas use words that are understood', () => {
  const visit = (value: unknown, at: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, member] of Object.entries(value)) {
      if (name === '$ref') expect([at, referred(String(member))]).toEqual([at, expect.anything()]);
      else if (name === 'schema') expect([at, unknownWords(member as object)]).toEqual([at, []]);
      visit(member, `${at}/${name}`);
    }
  };
  visit(document.paths, '');
  visit(document.components.schemas, '');
});

test('bodies of requests are closed: what is not known is refused', () => {
  const resolve = (schema: Schema): Schema => (schema.$ref === undefined ? schema : (document.components.schemas[schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1)] as Schema));
  const bodies = operationsOf(document).filter(({ operation }) => !operation.tags.includes('Items')).flatMap(({ operation }) => Object.entries(operation.requestBody?.content ?? {})).filter(([type]) => type === 'application/json');
  expect(bodies.length).toBeGreaterThan(4);
  for (const [, { schema }] of bodies) expect(resolve(schema).additionalProperties).toBe(false);
});

test('every JSON body of a request has an example that is valid, and so has a problem', () => {
  const resolve = (reference: string): Schema => referred(reference) as Schema;
  const schemas = operationsOf(document).flatMap(({ operation }) => Object.entries(operation.requestBody?.content ?? {}).flatMap(([type, { schema }]) => (type.endsWith('json') ? [[operation.operationId, schema] as const] : [])));
  expect(schemas.length).toBeGreaterThan(10);
  for (const [name, schema] of [...schemas, ['problem', { $ref: '#/components/schemas/Problem' }] as const]) {
    const { example } = (schema.$ref === undefined ? schema : resolve(schema.$ref)) as { readonly example?: unknown };
    expect([name, example]).toEqual([name, expect.anything()]);
    expect([name, faults(example, schema, resolve)]).toEqual([name, []]);
  }
});

test('methods that a path does not have are 405 with Allow, whoever asks; paths that are none are 404', async () => {
  for (const path of Object.keys(document.paths)) {
    const allowed = Object.keys(document.paths[path] ?? {}).flatMap((method) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
    const target = path.replaceAll(/\{\w+\}/g, 'x');
    for (const method of ['GET', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'LOCK', 'get'].filter((each) => !allowed.includes(each))) {
      const answer = await eu.send(method, target, { key: null });
      if (method === 'get') continue; // the platform writes it in capitals
      expect([method, target, answer.status, answer.code]).toEqual([method, target, 405, 'method-not-allowed']);
      expect(answer.field('allow')?.split(', ').sort()).toEqual([...allowed].sort());
    }
  }
  for (const target of ['/', '/v1', '/v1/', '/v2/c', '/v1/c/', '/v1/c/demo/', '/v1/regions', '/v1/regions/x/rebalance', '/docs/x/y', '//v1/c', '/v1//c', '/V1/c', '/v1/c/demo/transactions', '/livez/', '/metrics/x', '/_region/hello', '/.well-known/x']) {
    const answer = await eu.send('GET', target, { key: null });
    expect([target, answer.status, answer.code]).toEqual([target, 404, 'not-found']);
  }
});
