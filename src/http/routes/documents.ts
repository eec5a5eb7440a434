// Health, metrics, and the documents about the interface.

import { z } from '@hono/zod-openapi';
import { ArchipelError } from '../../core/errors.ts';
import { TOPOLOGY_FIELD } from '../call.ts';
import { docsAnswer, type DocsFiles } from '../docs-page.ts';
import { OPENMETRICS_TYPE, renderMetrics, type Metric } from '../openmetrics.ts';
import { regionMetrics } from '../region-metrics.ts';
import type { Router } from '../router.ts';
import type { Service } from '../service.ts';

export interface DocumentParts {
  readonly docs?: DocsFiles;
  /** Of the adapters: the store, the signatures. */
  readonly moreMetrics?: () => Metric[];
}

const PLAIN = { schema: z.string(), contentType: 'text/plain; charset=utf-8' };

const plain = (body: string, status = 200, more: Readonly<Record<string, string>> = {}): Response => new Response(body, { status, headers: { 'content-type': PLAIN.contentType, 'cache-control': 'no-store', ...more } });

export function addDocumentRoutes(router: Router, service: Service, parts: DocumentParts): void {
  const { region } = service;
  const tag = 'Health and documents';
  router.add({
    method: 'get',
    path: '/livez',
    guard: 'public',
    document: { id: 'livez', tag, summary: 'Is the process alive?', answers: { 200: { description: 'ok', ...PLAIN } } },
    handle: () => plain('ok\n'),
  });
  router.add({
    method: 'get',
    path: '/readyz',
    guard: 'public',
    document: { id: 'readyz', tag, summary: 'Does it answer requests?', answers: { 200: { description: 'ok', ...PLAIN }, 503: { description: 'not yet', ...PLAIN } } },
    handle: (call) => {
      const more = call.field(TOPOLOGY_FIELD) === undefined ? {} : service.lag();
      return region.phase === 'serving' && region.health.isSound ? plain('ok\n', 200, more) : plain('not ready\n', 503, more);
    },
  });
  router.add({
    method: 'get',
    path: '/metrics',
    guard: { scope: 'read', reach: 'store' },
    document: { id: 'metrics', tag, summary: 'OpenMetrics', answers: { 200: { description: 'Metrics.', schema: z.string(), contentType: OPENMETRICS_TYPE } } },
    handle: async () => {
      const text = renderMetrics([...(await regionMetrics(region)), ...(parts.moreMetrics?.() ?? [])]);
      return new Response(text, { headers: { 'content-type': OPENMETRICS_TYPE, 'cache-control': 'no-store' } });
    },
  });
  let document: string | undefined;
  router.add({
    method: 'get',
    path: '/openapi.json',
    guard: 'public',
    document: { id: 'openapi', tag, summary: 'This document', answers: { 200: { description: 'OpenAPI 3.1.', schema: z.looseObject({}) } } },
    handle: () => new Response((document ??= JSON.stringify(router.document())), { headers: { 'content-type': 'application/json', 'cache-control': 'no-cache' } }),
  });
  const docs = async (path: string): Promise<Response> => {
    const answer = await docsAnswer(path, parts.docs);
    if (answer === undefined) throw new ArchipelError('not-found', 'There is no such page.');
    return answer;
  };
  router.add({
    method: 'get',
    path: '/docs',
    guard: 'public',
    document: { id: 'docs', tag, summary: 'This document, to read', answers: { 200: { description: 'A page.', contentType: 'text/html; charset=utf-8', schema: z.string() } } },
    handle: () => docs(''),
  });
  // Parts of that page, not of the interface.
  router.app.get('/docs/*', (context) => docs(context.req.path.slice('/docs/'.length)));
}
