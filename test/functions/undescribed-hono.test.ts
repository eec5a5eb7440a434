// Bundles route requests by another of hono's routers (functions/commons/undescribed-hono.ts): each target must come to the
// handler that it comes to on a machine.

import { OpenAPIHono } from '@hono/zod-openapi';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OpenAPIHono as Undescribed } from '../../functions/commons/undescribed-hono.ts';
import { rawPathOf, type HttpEnvironment } from '../../src/http/call.ts';
import type { App } from '../../src/http/router.ts';
import { EU, startCluster } from '../http/harness.ts';

const METHODS = ['GET', 'HEAD', 'PUT', 'PATCH', 'POST', 'DELETE', 'OPTIONS', 'QUERY'];
const SEGMENTS = ['v1', 'c', 'demo', 'items', 'explain', 'ranges', 'batch', 'conflicts', 'restore', 'topology', 'promote', 'regions', 'drain', 'replication', 'dead', 'replay', 'pause', 'us-east-1', 'reconcile', 'certificates', 'keys', 'docs', 'problems', 'livez', 'metrics', 'openapi.json', '', '.', '..', 'a%2Fb', '%', '*', ':pk', '{pk}', 'é', '__proto__', 'constructor'];

it('a bundle routes as a machine does', async () => {
  const { routes } = (await startCluster()).at(EU);
  const named = <A extends App>(app: A): A => {
    for (const { method, path } of routes) app.on(method.toUpperCase(), path.replaceAll(/\{(\w+)\}/g, ':$1'), ({ req }) => new Response(`${method} ${path} ${req.path}`));
    app.get('/docs/*', () => new Response('docs'));
    app.notFound(() => new Response('none'));
    return app;
  };
  const [there, here] = [named(new OpenAPIHono<{ Bindings: HttpEnvironment }>({ getPath: rawPathOf })), named(new Undescribed<{ Bindings: HttpEnvironment }>({ getPath: rawPathOf }) as unknown as App)];
  const answer = async (app: App, method: string, rawTarget: string): Promise<string> => {
    const { status, headers, body } = await app.fetch(new Request('http://region/', { method }), { rawTarget });
    return `${status} ${headers.get('content-type')} ${body === null ? 'no body' : await new Response(body).text()}`;
  };
  const drawn = fc.array(fc.constantFrom(...SEGMENTS), { minLength: 1, maxLength: 7 }).map((segments) => segments.join('/'));
  const known = fc.constantFrom(...routes.map(({ path }) => path.slice(1))).chain((path) => fc.constantFrom(...SEGMENTS).map((segment) => path.replaceAll(/\{\w+\}/g, segment)));
  const met = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...METHODS), fc.constantFrom('/', '/', '/', ''), fc.oneof(drawn, known), fc.constantFrom('', '/', '?a=b'), async (method, slash, path, end) => {
      const target = `${slash}${path}${end}`;
      fc.pre(!/^(?:\?|$)/.test(target)); // no server hands over an empty path, and hono's other router breaks on one
      const expected = await answer(there, method, target);
      expect(await answer(here, method, target), `${method} ${target}`).toBe(expected);
      met.add(/ ([A-Z]+ \/\S*) \S*$/i.exec(expected)?.[1] ?? '');
    }),
    { numRuns: 5_000 },
  );
  expect(met.size).toBeGreaterThan(routes.length / 2);
});
