// The commands that documents name.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Relative to the repository. */
export const documents = (): string[] => ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md')).map((name) => join('docs', name))].sort();

const BLOCK = /^```.*\n([\s\S]*?)^```/gm;
const COMMAND = /^(?:\$ |\w+=\$\()?(?:npx )?archipel (.*)$/;

/** What stands behind `archipel` in the code of a document, without what a shell does with it; each once, in order. */
export function commandsIn(document: string): string[] {
  const text = readFileSync(join(root, document), 'utf8');
  const lines = [...text.matchAll(BLOCK)].flatMap(([, block = '']) => block.split('\n'));
  const spans = [...text.replaceAll(BLOCK, '').matchAll(/`([^`]+)`/g)].map(([, span = '']) => span);
  const commands = [...lines, ...spans].map((code) => COMMAND.exec(code.replaceAll(/\s+/g, ' ').trim())?.[1]);
  return [...new Set(commands.filter((command) => command !== undefined).map((command) => command.split(/ (?:\||>|&&|#)/)[0]?.trim() ?? ''))];
}

/** `topology promote <another region>`: three words. */
export const wordsOf = (command: string): string[] => command.match(/'[^']*'|"[^"]*"|<[^>]*>|\S+/g) ?? [];
