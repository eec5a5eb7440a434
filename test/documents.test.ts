// The documents say what is so: their links lead somewhere, the commands of the README are there, and its tour works when
// it is pasted.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { buildProgram } from '../src/cli/program.ts';
import { PORT_DEFAULT } from '../src/config/options.ts';
import { programPath } from '../src/local/files.ts';
import type { Command } from 'commander';
import { commandsIn, documents, wordsOf } from './cli/documents.ts';
import { freePorts, start } from './cli/programs.ts';
import { FakeTerminal, until } from './cli/support.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const SECONDS = 1_000;

/** The code blocks for a shell. */
const blocks = (markdown: string): string[] => [...markdown.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block as string);

/** GitHub's names for headings. */
const anchors = (markdown: string): string[] => [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => (heading as string).toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'));

it('links of documents lead to files that are there, and to headings of them', () => {
  const wrong = documents().flatMap((file) => {
    const prose = read(file).replaceAll(/^```[\s\S]*?^```$/gm, '');
    const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string);
    return targets.filter((target) => !/^https?:/.test(target) && !leads(file, target)).map((target) => `${file}: ${target}`);
  });
  expect(wrong).toEqual([]);
});

it('a page says each heading once: a second one is a piece that was left over', () => {
  const twice = documents().filter((file) => file.startsWith('docs/')).flatMap((file) => {
    const names = anchors(read(file).replaceAll(/^```[\s\S]*?^```$/gm, ''));
    return names.filter((name, at) => names.indexOf(name) !== at).map((name) => `${file}: ${name}`);
  });
  expect(twice).toEqual([]);
});

it('the glossary has each word once, in order', () => {
  const words = [...read('docs/glossary.md').matchAll(/^\| ([^|]+) \|/gm)].map(([, word]) => (word as string).toLowerCase()).slice(1);
  expect(words.length).toBeGreaterThan(60);
  expect(words).toEqual([...new Set(words)].sort());
});

function leads(file: string, target: string): boolean {
  const [name = '', anchor] = target.split('#');
  const path = name === '' ? join(root, file) : resolve(root, dirname(file), name);
  return existsSync(path) && (anchor === undefined || anchors(readFileSync(path, 'utf8')).includes(anchor));
}

describe('README', () => {
  const readme = read('README.md');

  it('its first line says how this differs from DynamoDB global tables, then come the two commands', () => {
    expect(readme.split('\n')[0]).toContain('DynamoDB global tables');
    expect(blocks(readme).slice(0, 2)).toEqual(['npm ci && npm start\n', 'npm ci && npm test\n']);
  });

  it('every script that a document names is there', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = documents().flatMap((file) => [...read(file).matchAll(/npm (?:run )?(?:--silent )?(start|test|(?<=run )[a-z:]+)/g)].map(([, name]) => name as string));
    expect(named.length).toBeGreaterThan(8);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  it('the tour works when it is pasted', { timeout: 600 * SECONDS }, async () => {
    const tour = readme.slice(readme.indexOf('\n## Five minutes'), readme.indexOf('\n## Running it'));
    const folder = mkdtempSync(join(tmpdir(), 'archipel-tour-'));
    const port = await freePorts(4);
    const cluster = start(['up', '--data', join(folder, '.archipel'), '--port', String(port), '--reconcile-every', 'off', '--json']);
    try {
      await Promise.race([until(() => cluster.out(), (out) => out.endsWith('\n'), 20 * SECONDS), cluster.ended.then(({ err }) => Promise.reject(new Error(err)))]);
      const { out, code } = await pasted(blocks(tour).join('').replaceAll(`:${PORT_DEFAULT}/`, `:${port}/`), folder);
      const told = [
        'stored · in ap-northeast-2', // written near Seoul
        'hello', // read near Frankfurt
        'paused ap-northeast-2 ↔ eu-central-1',
        'ap-northeast-2  eu-central-1    paused             1', // the live RPO
        'resumed',
        'as Frankfurt has it', // the newer one stands,
        'title  as Seoul has it', // the ledger has the other,
        'policy lww', // and why is told
        'stored in ', // restored
        'as Seoul has it',
        'sibling · ',
        'exit code 2: more than one value',
        'stored · ', // merged
        'stored · ', // after the crash
        'hello',
        'ap-northeast-2 ↔ eu-central-1  equal',
        'HTTP/1.1 200 OK',
      ];
      let rest = out;
      const missing = told.filter((text) => {
        const at = rest.indexOf(text);
        if (at !== -1) rest = rest.slice(at + text.length);
        return at === -1;
      });
      expect({ code, missing, out: missing.length === 0 ? '' : out }).toEqual({ code: 0, missing: [], out: '' });
      expect(existsSync(join(folder, 'eu.dump'))).toBe(false); // the dumps were the same
    } finally {
      cluster.process.kill('SIGTERM');
      await cluster.ended;
      rmSync(folder, { recursive: true });
    }
  });
});

describe('commands', () => {
  /** What is wrong with a command that a document names; it may leave out what has to be given, and nothing else. */
  function fault(text: string): string | undefined {
    const words = wordsOf(text);
    let command: Command = buildProgram(new FakeTerminal());
    for (let next: Command | undefined; (next = command.commands.find((each) => each.name() === words[0])) !== undefined; words.shift()) command = next;
    if (command.commands.length > 0 && words[0] !== '--help') return `there is no ${words[0] ?? 'such command'}`;
    const given: string[] = [];
    while (words.length > 0) {
      const word = words.shift() as string;
      const option = command.options.find((each) => each.long === word);
      if (option === undefined && word.startsWith('--') && word !== '--help') return `it has no ${word}`;
      if (option?.required === true) words.shift();
      if (!word.startsWith('--')) given.push(word);
    }
    if (given.length > command.registeredArguments.length) return `it takes ${command.registeredArguments.length} arguments`;
    const isNamed = command.parent?.name() === 'drill' && given[0] !== undefined && /^[a-z0-9-]+$/.test(given[0]);
    return isNamed && !existsSync(new URL(`../drills/${given[0]}.yaml`, import.meta.url)) ? 'no such drill comes with Archipel' : undefined;
  }

  it.each(documents().filter((document) => commandsIn(document).length > 0))('the commands in %s are commands', (document) => {
    expect(commandsIn(document).flatMap((command) => (fault(command) === undefined ? [] : [`archipel ${command}: ${fault(command)}`]))).toEqual([]);
  });

  it('each drill that comes with Archipel rehearses a page of the runbooks', () => {
    const rehearsed = commandsIn('docs/operating/failover.md').map((command) => /^drill run (\S+)$/.exec(command)?.[1]);
    expect(readdirSync(new URL('../drills', import.meta.url)).map((name) => name.replace('.yaml', '')).filter((name) => !rehearsed.includes(name))).toEqual([]);
  });
});

/** People are slower than replication: after a command that writes, this waits until what can be sent is sent. */
const NPX = `#!/bin/sh
shift
'${process.execPath}' '${programPath()}' "$@"
code=$?
case "$1" in put | conflicts | replication)
  while '${process.execPath}' '${programPath()}' status --json | grep -q '"state":"up","unreplicatedItems":[1-9]'; do :; done ;;
esac
exit $code
`;

/** Runs a script in bash, with an npx that finds this very program. */
async function pasted(script: string, folder: string): Promise<{ readonly out: string; readonly code: number | null }> {
  const npx = join(folder, 'npx');
  writeFileSync(npx, NPX);
  chmodSync(npx, 0o755);
  const path = [folder, dirname(process.execPath), process.env['PATH']].join(':');
  const shell = spawn('bash', ['-eu', '-c', script], { cwd: folder, env: { ...process.env, PATH: path }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  shell.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  shell.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [code] = (await once(shell, 'close')) as [number | null];
  return { out, code };
}
