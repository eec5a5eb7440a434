// The registry, the union of codes, the OpenAPI document and the pages say the same.

import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { ManualClock } from '../../src/adapters/memory/clock.ts';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { ArchipelError, type ErrorCode } from '../../src/core/errors.ts';
import { docsAnswer } from '../../src/http/docs-page.ts';
import { createEdgeApp } from '../../src/http/edge-app.ts';
import { renderMarkdown } from '../../src/http/markdown.ts';
import { PROBLEM_BASE, PROBLEM_CODES, problemDocument, problemResponse, statusOf, toArchipelError, type ProblemDocument } from '../../src/http/problem.ts';
import registry from '../../src/http/problems.json' with { type: 'json' };
import { installedDocs } from '../../src/local/files.ts';
import { SILENT, type Log } from '../../src/ports/log.ts';
import { operationsOf, type OpenApi } from './document.ts';
import { seededRandom, startCluster, type TestRegion } from './harness.ts';

const ROOT = new URL('../../', import.meta.url);
const PAGES = new URL('docs/problems/', ROOT);
const pageOf = (name: string): string => readFileSync(new URL(`${name}.md`, PAGES), 'utf8');

/** Told by the server under the routes, by the door between regions, or not by anything yet. */
const OUTSIDE_OF_OPERATIONS: readonly ErrorCode[] = [
  ...(['method-not-allowed', 'headers-too-large'] as const),
  ...(['signature-invalid', 'signature-expired', 'replayed', 'topology-older', 'topology-different', 'replication-paused', 'peer-unreachable', 'peer-refused', 'lease-held'] as const),
  ...(['too-many-requests', 'residency', 'region-draining', 'not-built'] as const),
];

let eu: TestRegion;
beforeAll(async () => {
  eu = (await startCluster({ docs: installedDocs() })).regions[0] as TestRegion;
});

describe('problems: one list', () => {
  test('the union of codes is the registry', () => {
    const source = readFileSync(new URL('src/core/errors.ts', ROOT), 'utf8');
    const union = source.slice(source.indexOf('export type ErrorCode'), source.indexOf('const RETRYABLE'));
    expect([...union.matchAll(/^ {2}\| '([a-z-]+)'/gm)].map(([, code]) => code).sort()).toEqual([...PROBLEM_CODES].sort());
  });

  test('each has a page, and each page a code', () => {
    expect(readdirSync(PAGES).sort()).toEqual([...PROBLEM_CODES.map((code) => `${code}.md`), 'README.md'].sort());
  });

  test('each is documented with an operation, or known to come from elsewhere', async () => {
    const document = (await eu.send('GET', '/openapi.json')).json<OpenApi>();
    const named = new Set(operationsOf(document).flatMap(({ operation }) => Object.values(operation.responses).flatMap(({ description }) => [...description.matchAll(/\[([a-z-]+)\]\(/g)].map(([, code]) => code))));
    expect([...named, ...OUTSIDE_OF_OPERATIONS].sort()).toEqual([...PROBLEM_CODES].sort());
  });

  test('a status of 503 tells when to come again, and everything that tells so is worth a retry', () => {
    for (const [code, { status, ...more }] of Object.entries(registry)) {
      expect([code, 'retryAfter' in more]).toEqual([code, status === 503]);
      if (status === 503 && code !== 'peer-refused') expect([code, new ArchipelError(code as ErrorCode, '').retryable]).toEqual([code, true]);
    }
  });
});

describe('problems: pages', () => {
  test.each(PROBLEM_CODES)('%s: what it means, when, what to do, and an answer as it would be given', (code) => {
    const page = pageOf(code);
    const { retryable } = new ArchipelError(code, '');
    const { status, title } = registry[code];
    expect(page.split('\n')[0]).toBe(`# ${code}`);
    expect(page.split('\n')[2]).toBe(`**${status}** · ${title} · the same request ${retryable ? 'may succeed later' : 'does not succeed unchanged'}`);
    expect([...page.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)).toEqual(['When', 'What to do', 'Example']);
    const example = /```http\n([\s\S]*?)\n\n([\s\S]*?)\n```/.exec(page);
    const [head = '', body = ''] = example?.slice(1) ?? [];
    const { siblings, context, ...document } = JSON.parse(body) as ProblemDocument & { readonly siblings?: unknown; readonly context?: unknown };
    expect([siblings, context].map((member) => member !== undefined)).toEqual(code === 'too-many-siblings' ? [true, true] : [false, false]);
    expect(document).toEqual({ ...problemDocument(new ArchipelError(code, document.detail, document.errors === undefined ? {} : { errors: document.errors }), { instance: document.instance, region: 'eu-central-1' }) });
    expect(head).toContain(`HTTP/1.1 ${status} `);
    const answered = problemResponse(new ArchipelError(code, ''), { instance: '' }).headers;
    for (const name of ['Retry-After', 'WWW-Authenticate']) expect([name, new RegExp(`^${name}: (.*)$`, 'm').exec(head)?.[1] ?? null]).toEqual([name, answered.get(name)]);
  });

  test('the index lists each once, with its status and whether to retry', () => {
    const rows = [...pageOf('README').matchAll(/^\| \[([a-z-]+)\]\(([a-z-]+)\.md\) \| (\d+) \| (.*?) \| (yes|no) \|$/gm)].map(([, label, target, status, title, retry]) => [label, target, status, title, retry]);
    expect(rows.sort()).toEqual(PROBLEM_CODES.map((code) => [code, code, String(statusOf(code)), registry[code].title, new ArchipelError(code, '').retryable ? 'yes' : 'no']).sort());
  });

  test('the server shows them, without a key and without a request that leaves it', async () => {
    for (const code of PROBLEM_CODES) {
      const answer = await eu.send('GET', PROBLEM_BASE + code, { key: null });
      expect([code, answer.status, answer.field('content-type')]).toEqual([code, 200, 'text/html; charset=utf-8']);
      expect(answer.text).toContain(`<h1>${code}</h1>`);
      expect(answer.text).toContain(`&quot;status&quot;: ${statusOf(code)}`);
      expect(answer.text).not.toMatch(/(src|href)="(?!\/docs)/);
      expect(answer.text).not.toContain('<script');
      expect(answer.field('content-security-policy')).toContain("default-src 'self'");
    }
    for (const index of ['/docs/problems', '/docs/problems/']) {
      const { text } = await eu.send('GET', index, { key: null });
      for (const code of PROBLEM_CODES) expect(text).toContain(`<a href="/docs/problems/${code}">${code}</a>`);
    }
  });

  test('and nothing else from the disk', async () => {
    for (const name of ['problems/nothing', 'problems/../architecture', 'problems/%2e%2e/glossary', 'problems/README.md', 'problems/bad-request.md', 'problems//bad-request', 'problems/bad-request/', 'problems/toString', '../package.json', '%2e%2e/package.json', 'index.html', 'swagger-ui.js', 'problems\\bad-request', 'problems/bad-request%00']) {
      const answer = await eu.send('GET', `/docs/${name}`, { key: null });
      expect([name, answer.status, answer.code]).toEqual([name, 404, 'not-found']);
    }
  });

  test('the type of a real answer leads to its page', async () => {
    const problem = (await eu.send('GET', '/v1/c/demo', { key: null })).json<ProblemDocument>();
    expect(problem.type).toBe('/docs/problems/unauthenticated');
    const resolved = new URL(problem.type, 'http://127.0.0.1:7400/v1/c/demo').pathname;
    expect((await eu.send('GET', resolved, { key: null })).status).toBe(200);
  });
});

describe('problems: pages where little is there', () => {
  test('the edge shows them itself: also when no region answers', async () => {
    const { app } = createEdgeApp({ topology: eu.region.catalog.topology, clients: new Map(), clock: new ManualClock(), random: seededRandom(1), log: SILENT, hash: sha256, docs: (name) => docsAnswer(name, installedDocs()) });
    const ask = async (target: string): Promise<Response> => app.fetch(new Request(`http://edge${target}`), { rawTarget: target });
    const answer = await ask('/v1/c/demo');
    const { type } = (await answer.json()) as ProblemDocument;
    expect([answer.status, type]).toEqual([503, '/docs/problems/no-region-available']);
    const page = await ask(type);
    expect([page.status, (await page.text()).includes('<h2>What to do</h2>')]).toEqual([200, true]);
    expect([(await ask('/docs')).status, (await ask('/docs/swagger-ui.css')).status]).toEqual([200, 200]);
    const nothing = await ask('/docs/problems/nothing');
    expect([nothing.status, ((await nothing.json()) as ProblemDocument).type]).toEqual([404, '/docs/problems/not-found']);
  });

  test('without the files a page has what the registry knows', async () => {
    const bare = (await startCluster()).regions[0] as TestRegion;
    for (const code of PROBLEM_CODES) {
      const { status, text } = await bare.send('GET', PROBLEM_BASE + code, { key: null });
      expect([code, status, text.includes(`<h1>${code}</h1>\n<p><strong>${statusOf(code)}</strong> · ${registry[code].title}</p>`)]).toEqual([code, 200, true]);
    }
    expect((await bare.send('GET', PROBLEM_BASE, { key: null })).text).toContain('<a href="/docs/problems/not-found">not-found</a>: 404, There is nothing here');
    for (const name of ['problems/nothing', 'problems/README.md', 'swagger-ui.css', 'start.js']) expect([name, (await bare.send('GET', `/docs/${name}`, { key: null })).status]).toEqual([name, 404]);
  });
});

describe('problems: answers', () => {
  test('what was thrown and is not ours is told as internal, and its message stays here', async () => {
    const error = new Error('a secret of the inside');
    expect(problemDocument(toArchipelError(error), { instance: 'i' })).toMatchObject({ type: '/docs/problems/internal', status: 500, retryable: false });
    expect(JSON.stringify(problemDocument(toArchipelError(error), { instance: 'i' }))).not.toContain('secret');
    const written: Parameters<Log['write']>[] = [];
    const broken = (await startCluster({ log: { write: (...entry) => void written.push(entry) } })).regions[0] as TestRegion;
    await broken.collection('demo');
    Object.assign(broken.table, { get: () => Promise.reject(error) });
    const answer = await broken.get('/v1/c/demo/items/a');
    expect([answer.status, answer.code, answer.text.includes('secret')]).toEqual([500, 'internal', false]);
    const [level, , fields] = written.find(([, event]) => event === 'http.failed') ?? [];
    expect([level, fields?.['requestId'], String(fields?.['error']).includes('secret')]).toEqual(['error', answer.json()['instance'], true]);
    expect(answer.field('request-id')).toBe(answer.json()['instance']);
    expect(JSON.stringify(written)).not.toContain(broken.adminKey.slice(-20));
  });
});

describe('problems: the log', () => {
  test('has each under its request id, in a region and in the edge, without the key or the value that it is about', async () => {
    const written: Parameters<Log['write']>[] = [];
    const log: Log = { write: (...entry) => void written.push(entry) };
    const region = (await startCluster({ log })).regions[0] as TestRegion;
    await region.collection('demo');
    const refused = [await region.get('/v1/c/demo/items/secret-name'), await region.send('PUT', '/v1/c/demo/items/secret-name', { headers: { 'content-type': 'application/json' }, body: '{secret' }), await region.send('GET', '/v1/c/secret-name/scan', { key: null })];
    const logged = written.filter(([, event]) => event === 'http.problem');
    expect(logged.map(([level, , fields]) => [level, fields])).toEqual(refused.map((answer, at) => ['debug', { requestId: answer.json()['instance'], method: ['GET', 'PUT', 'GET'][at], code: answer.code, status: answer.status }]));
    expect(refused.map(({ status }) => status)).toEqual([404, 400, 401]);

    const { app } = createEdgeApp({ topology: eu.region.catalog.topology, clients: new Map(), clock: new ManualClock(), random: seededRandom(1), log, hash: sha256 });
    const answer = await app.fetch(new Request('http://edge/v1/c/secret-name'), { rawTarget: '/v1/c/secret-name' });
    expect(written.at(-1)).toEqual(['debug', 'edge.problem', { requestId: answer.headers.get('request-id'), code: 'no-region-available', status: 503 }]);
    expect(JSON.stringify(written)).not.toContain('secret');
  });
});

describe('problems: the Markdown of the pages', () => {
  const html = (markdown: string): string => renderMarkdown(markdown, (target) => target);

  test('blocks', () => {
    expect(html('# A\n\nb\nc\n\n- d\n  e\n- f\n\n```http\n<g>\n\nh\n```\n\n## I')).toBe('<h1>A</h1>\n<p>b c</p>\n<ul><li>d e</li><li>f</li></ul>\n<pre><code>&lt;g&gt;\n\nh</code></pre>\n<h2>I</h2>');
    expect(html('| a | b |\n|---|---|\n| `c` | [d](e.md) |')).toBe('<div class="wide"><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td><code>c</code></td><td><a href="e.md">d</a></td></tr></tbody></table></div>');
  });

  test('text is text', () => {
    expect(html('<script>"&" **b** `<i> **no**` [x](y)')).toBe('<p>&lt;script&gt;&quot;&amp;&quot; <strong>b</strong> <code>&lt;i&gt; **no**</code> <a href="y">x</a></p>');
  });
});
