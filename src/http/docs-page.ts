// The page that shows the OpenAPI document (Swagger UI from this machine, no request leaves the page), and the pages of the
// problem types under it. The files come from whoever composes the app (on Lambda there are none, and the page says where
// to read instead).

import { renderMarkdown } from './markdown.ts';
import { PROBLEM_BASE, PROBLEM_CODES } from './problem.ts';

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
#docs { max-width: 1200px; margin: 0 auto }
#docs .information-container .info { margin: 30px 0 20px }
#docs .scheme-container { padding: 15px 0; margin: 0 0 10px }
#docs .response:is([data-code^='4'], [data-code^='5']) :is(.response-controls, .model-example) { display: none }
#docs a { color: var(--link) }
html:not(.dark-mode) #docs :is(.btn.cancel, .parameter__name.required span) { color: #a3221b; border-color: #a3221b }
html:not(.dark-mode) #docs :is(.parameter__in, .parameter__name.required::after) { color: #595959 }
html:not(.dark-mode) #docs :is(.markdown, .renderedMarkdown, small) code { color: #5b1a80 }
html.dark-mode #docs .opblock-section-header { background: #2b3135 }
html.dark-mode #docs .btn.cancel { color: #ffb4a8; border-color: #ffb4a8 }
html:not(.dark-mode) #docs .opblock-summary-method { color: #1b1b1b; text-shadow: none }
html:not(.dark-mode) #docs .info .title small { background: #596071 }
html:not(.dark-mode) #docs .info .title small.version-stamp { background: #47700b }
html:not(.dark-mode) #docs .btn.authorize { color: #17694a; border-color: #17694a }
html:not(.dark-mode) #docs .btn.authorize svg { fill: #17694a }
html:not(.dark-mode) #docs .btn.execute { background: #1f5fae; border-color: #1f5fae }
main { max-width: 46rem; margin: 0 auto; padding: 1rem 1rem 4rem; line-height: 1.55 }
main nav { display: flex; gap: 1.5rem; padding-bottom: .75rem; border-bottom: 1px solid var(--line) }
main a { color: var(--link) }
main h1 { line-height: 1.2; overflow-wrap: anywhere }
main code { background: var(--soft); padding: .1em .3em; border-radius: .25em }
main pre { background: var(--soft); padding: 1rem; border-radius: .5rem; overflow-x: auto; line-height: 1.4 }
main pre code { background: none; padding: 0 }
main li { margin: .4em 0 }
main .wide { overflow-x: auto }
main table { border-collapse: collapse }
main th, main td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) }
`;

const page = (title: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
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
export async function docsAnswer(name: string, title: string, files: DocsFiles | undefined): Promise<Response | undefined> {
  if (files === undefined) return name === '' ? answer('The document of this interface is at /openapi.json.\n', 'text/plain; charset=utf-8') : undefined;
  if (name === '') return answer(page(title), 'text/html; charset=utf-8');
  if (name === 'start.js') return answer(START, 'text/javascript; charset=utf-8');
  if (name === 'style.css') return answer(STYLE, 'text/css; charset=utf-8');
  if (name === 'problems' || name.startsWith('problems/')) return problemPage(name.slice('problems/'.length), files);
  const file = DOCS_FILES.includes(name) ? await files.read(name) : undefined;
  return file === undefined ? undefined : answer(file.bytes, file.contentType);
}

const INDEX = 'README';

async function problemPage(code: string, files: DocsFiles): Promise<Response | undefined> {
  const name = code === '' ? INDEX : code;
  const markdown = name === INDEX || PROBLEM_CODES.some((known) => known === name) ? await files.problem(name) : undefined;
  if (markdown === undefined) return undefined;
  const link = (target: string): string => target.replace(/^([a-z-]+|README)\.md$/, (_, other: string) => PROBLEM_BASE + (other === INDEX ? '' : other));
  return answer(article(name === INDEX ? 'Problems' : name, renderMarkdown(markdown, link)), 'text/html; charset=utf-8');
}

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
<main>
<nav><a href="/docs">HTTP interface</a> <a href="${PROBLEM_BASE}">Problems</a></nav>
${content}
</main>
</body>
</html>
`;
