// The page that shows the OpenAPI document (Swagger UI from this machine, no request leaves the page), and the pages of the
// problem types under it. The files come from whoever composes the app. On Lambda there are none: the page says where to
// read instead, and a problem's page has what the registry knows.

import { renderMarkdown } from './markdown.ts';
import type { ErrorCode } from '../core/errors.ts';
import { PROBLEM_BASE, PROBLEM_CODES, statusOf, titleOf } from './problem.ts';

export interface DocsFiles {
  /** One of DOCS_FILES. */
  read(name: string): Promise<{ readonly bytes: Uint8Array; readonly contentType: string } | undefined>;
  /** The Markdown of a page of docs/problems: a code, or README. */
  problem(name: string): Promise<string | undefined>;
}

export const DOCS_FILES: readonly string[] = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

const START = `const media = matchMedia('(prefers-color-scheme: dark)');
const follow = () => document.documentElement.classList.toggle('dark-mode', media.matches);
media.addEventListener('change', follow);
follow();
SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', deepLinking: true, docExpansion: 'list', defaultModelsExpandDepth: 0, persistAuthorization: false, validatorUrl: null, tryItOutEnabled: true });
`;

/** Swagger UI's own colours fall short of a contrast of 4.5; a problem's body is the same everywhere and shown once. */
const STYLE = `:root { color-scheme: light dark; --line: #8885; --soft: #8882; --link: #1a5fb4 }
@media (prefers-color-scheme: dark) { :root { --link: #8ab4f8 } }
body { margin: 0; font-family: system-ui, sans-serif }
html.dark-mode body { background: #1c2022 }
.topbar { display: none }
.top { max-width: 1160px; margin: 0 auto; padding: 1rem 20px 0; display: flex; gap: 1.5rem }
.top a { color: var(--link) }
#docs { max-width: 1200px; margin: 0 auto }
#docs .information-container .info { margin: 30px 0 20px }
#docs .scheme-container { padding: 15px 0; margin: 0 0 10px }
#docs .response:is([data-code^='4'], [data-code^='5']) :is(.response-controls, .model-example) { display: none }
#docs a { color: var(--link) }
#docs .response-col_links { display: none }
#docs .info li { margin: .3em 0 }
html:not(.dark-mode) #docs :is(.btn.cancel, .parameter__name.required span) { color: #a3221b; border-color: #a3221b }
html:not(.dark-mode) #docs .parameter__in { color: #595959 }
html:not(.dark-mode) #docs .parameter__name.required::after { color: #a3221b }
html:not(.dark-mode) #docs :is(.markdown, .renderedMarkdown, small) code { color: #5b1a80 }
html.dark-mode #docs .opblock-section-header { background: #2b3135 }
html.dark-mode #docs .btn.cancel { color: #ffb4a8; border-color: #ffb4a8 }
html:not(.dark-mode) #docs .opblock-summary-method { color: #1b1b1b; text-shadow: none }
html:not(.dark-mode) #docs .info .title small { background: #596071 }
html:not(.dark-mode) #docs .info .title small.version-stamp { background: #47700b }
html:not(.dark-mode) #docs .btn.authorize { color: #17694a; border-color: #17694a }
html:not(.dark-mode) #docs .btn.authorize svg { fill: #17694a }
html:not(.dark-mode) #docs .btn.execute { background: #1f5fae; border-color: #1f5fae }
@media (max-width: 640px) {
  #docs :is(.parameters, .responses-table) :is(thead, .col_header) { display: none }
  #docs :is(.parameters, .responses-table) :is(tbody, tr, td) { display: block; width: auto; min-width: 0; max-width: none }
  #docs :is(.parameters, .responses-table) td { padding: 5px 0 }
  #docs .parameters-col_description :is(input, select, textarea) { width: 100%; max-width: none; box-sizing: border-box }
  .top { padding: 1rem 10px 0 }
  #docs .wrapper { padding: 0 10px }
  #docs .opblock-tag { padding: 10px 0 }
}
.page { max-width: 46rem; margin: 0 auto; padding: 1rem 1rem 4rem; line-height: 1.55 }
.page nav { display: flex; gap: 1.5rem; padding-bottom: .75rem; border-bottom: 1px solid var(--line) }
.page a { color: var(--link) }
.page h1 { line-height: 1.2; overflow-wrap: anywhere }
.page code { background: var(--soft); padding: .1em .3em; border-radius: .25em }
.page pre { background: var(--soft); padding: 1rem; border-radius: .5rem; overflow-x: auto; line-height: 1.4 }
.page pre code { background: none; padding: 0 }
.page li { margin: .4em 0 }
.page .wide { overflow-x: auto }
.page table { border-collapse: collapse }
.page th, .page td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) }
`;

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Archipel: HTTP interface</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<nav class="top"><a href="/docs">HTTP interface</a> <a href="${PROBLEM_BASE}">Problems</a></nav>
<div id="docs"><noscript>This page needs JavaScript. The document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

const SECURITY = {
  'content-security-policy': "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

const answer = (body: string | Uint8Array, contentType: string): Response => new Response(body as Uint8Array<ArrayBuffer>, { headers: { ...SECURITY, 'content-type': contentType } });

/** `name` is what follows `/docs/`; empty for the page itself. */
export async function docsAnswer(name: string, files: DocsFiles | undefined): Promise<Response | undefined> {
  if (name === 'style.css') return answer(STYLE, 'text/css; charset=utf-8');
  if (name === 'problems' || name.startsWith('problems/')) return problemPage(name.slice('problems/'.length), files);
  if (files === undefined) return name === '' ? answer('The document of this interface is at /openapi.json.\n', 'text/plain; charset=utf-8') : undefined;
  if (name === '') return answer(PAGE, 'text/html; charset=utf-8');
  if (name === 'start.js') return answer(START, 'text/javascript; charset=utf-8');
  const file = DOCS_FILES.includes(name) ? await files.read(name) : undefined;
  return file === undefined ? undefined : answer(file.bytes, file.contentType);
}

const INDEX = 'README';

async function problemPage(code: string, files: DocsFiles | undefined): Promise<Response | undefined> {
  const known = PROBLEM_CODES.find((each) => each === code);
  if (known === undefined && code !== '' && code !== INDEX) return undefined;
  const markdown = (await files?.problem(known ?? INDEX)) ?? (known === undefined ? listed() : summary(known));
  const link = (target: string): string => target.replace(/^([a-z-]+|README)\.md$/, (_, other: string) => PROBLEM_BASE + (other === INDEX ? '' : other));
  return answer(article(known ?? 'Problems', renderMarkdown(markdown, link)), 'text/html; charset=utf-8');
}

/** What the registry knows. */
const summary = (code: ErrorCode): string => `# ${code}\n\n**${statusOf(code)}** · ${titleOf(code)}`;

const listed = (): string => `# Problems\n\n${PROBLEM_CODES.map((code) => `- [${code}](${code}.md): ${statusOf(code)}, ${titleOf(code)}`).join('\n')}`;

const article = (title: string, content: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Archipel</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<main class="page">
<nav><a href="/docs">HTTP interface</a> <a href="${PROBLEM_BASE}">Problems</a></nav>
${content}
</main>
</body>
</html>
`;
