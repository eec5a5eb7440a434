// The little Markdown that our own pages are written in, as HTML: headings, paragraphs, lists, tables, fenced code, and
// within a line code, bold and links. Everything else is text; all text is escaped.

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** `link` turns what stands in the parentheses of a link into an address. */
export function renderMarkdown(markdown: string, link: (target: string) => string): string {
  const lines = markdown.split('\n');
  const html: string[] = [];
  for (let at = 0; at < lines.length; ) {
    const end = blockEnd(lines, at);
    html.push(renderBlock(lines.slice(at, end), link));
    at = end;
  }
  return html.filter((block) => block !== '').join('\n');
}

const isFence = (line: string): boolean => line.startsWith('```');
const isBlank = (line: string): boolean => line.trim() === '';
const isHeading = (line: string): boolean => /^#{1,4} /.test(line);

function blockEnd(lines: readonly string[], start: number): number {
  const first = lines[start] as string;
  if (isHeading(first) || isBlank(first)) return start + 1;
  const isLast = isFence(first) ? isFence : isBlank;
  let end = start + 1;
  while (end < lines.length && !isLast(lines[end] as string) && (isFence(first) || !isFence(lines[end] as string))) end++;
  return isFence(first) ? end + 1 : end;
}

function renderBlock(lines: readonly string[], link: (target: string) => string): string {
  const [first = ''] = lines;
  const text = (source: string): string => renderText(source, link);
  if (isBlank(first)) return '';
  if (isFence(first)) return `<pre><code>${escaped(lines.slice(1, -1).join('\n'))}</code></pre>`;
  if (isHeading(first)) {
    const level = first.indexOf(' ');
    return `<h${level}>${text(first.slice(level + 1))}</h${level}>`;
  }
  if (first.startsWith('|')) return renderTable(lines, text);
  if (first.startsWith('- ')) return `<ul>${joined(lines, '- ').map((item) => `<li>${text(item)}</li>`).join('')}</ul>`;
  return `<p>${text(lines.join(' '))}</p>`;
}

/** The items of a list, each with the lines that go on with it. */
function joined(lines: readonly string[], mark: string): string[] {
  const items: string[] = [];
  for (const line of lines) {
    if (line.startsWith(mark)) items.push(line.slice(mark.length));
    else items.push(`${items.pop() ?? ''} ${line.trim()}`);
  }
  return items;
}

function renderTable(lines: readonly string[], text: (source: string) => string): string {
  const cells = (line: string): string[] => line.trim().replace(/^\||\|$/g, '').split('|').map((cell) => text(cell.trim()));
  const row = (line: string, tag: string): string => `<tr>${cells(line).map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  const [head = '', , ...body] = lines;
  return `<div class="wide"><table><thead>${row(head, 'th')}</thead><tbody>${body.map((line) => row(line, 'td')).join('')}</tbody></table></div>`;
}

const renderText = (source: string, link: (target: string) => string): string =>
  source
    .split(/(`[^`]*`)/)
    .map((part) => {
      if (part.startsWith('`') && part.length > 1) return `<code>${escaped(part.slice(1, -1))}</code>`;
      return escaped(part)
        .replace(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>')
        .replace(/\[([^\]]*)\]\(([^)\s]+)\)/g, (_, label: string, target: string) => `<a href="${link(target)}">${label}</a>`);
    })
    .join('');
