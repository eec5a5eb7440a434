// The house rules that a machine can check: who may import whom, what core and engine may not touch, and that no stamp
// ever becomes a JavaScript number.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

function filesBelow(folder: string, ending: string): string[] {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending) && statSync(join(path, name)).isFile())
    .map((name) => join(folder, name))
    .sort();
}

const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const sources = filesBelow('src', '.ts');

/** Without comments and the insides of strings, so that prose about a banned name is not one. Lines stay lines. */
function code(file: string): string {
  const known = codes.get(file) ?? withoutProse(read(file));
  codes.set(file, known);
  return known;
}

const codes = new Map<string, string>();

function withoutProse(text: string): string {
  const scanner = ts.createScanner(ts.ScriptTarget.Latest, false, ts.LanguageVariant.Standard, text);
  let out = '';
  for (let token = scanner.scan(); token !== ts.SyntaxKind.EndOfFileToken; token = scanner.scan()) {
    const piece = scanner.getTokenText();
    const isProse = token === ts.SyntaxKind.SingleLineCommentTrivia || token === ts.SyntaxKind.MultiLineCommentTrivia || token === ts.SyntaxKind.StringLiteral || token === ts.SyntaxKind.NoSubstitutionTemplateLiteral;
    out += isProse ? piece.replaceAll(/[^\n]/g, ' ') : piece;
  }
  return out;
}

const imports = (file: string): string[] => [...read(file).matchAll(/^\s*(?:import|export)\b[^;]*?\bfrom '([^']+)'|\bimport\('([^']+)'\)|^import '([^']+)'/gm)].map(([, a, b, c]) => (a ?? b ?? c) as string);

/** The folder of src that an import leads to, `node` for built-ins, else the package. */
function destination(file: string, target: string): string {
  if (target.startsWith('node:')) return 'node';
  if (!target.startsWith('.')) return `package ${target.startsWith('@') ? target.split('/').slice(0, 2).join('/') : target.split('/')[0]}`;
  const [top, folder] = relative(root, resolve(root, dirname(file), target)).split('/');
  return top === 'src' ? (folder as string) : (top as string);
}

/** Each folder of src and what it may import besides itself. Inward only; composition roots see everything. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  core: [],
  ports: ['core'],
  engine: ['core', 'ports'],
  auth: ['core', 'ports'],
  config: ['core'],
  client: ['core', 'ports', 'node', 'adapters', 'http', 'package @hono/zod-openapi'], // of http the schemas' types only
  http: ['core', 'ports', 'engine', 'auth', 'package hono', 'package @hono/zod-openapi'],
  adapters: ['core', 'ports', 'auth', 'node', 'package classic-level', 'package @aws-sdk/client-dynamodb', 'package @aws-sdk/client-sqs', 'package @smithy/core', 'package @smithy/node-http-handler', 'package @smithy/signature-v4', 'package aws-lambda'],
  testing: ['core', 'ports', 'engine', 'auth', 'adapters', 'http', 'client', 'drill', 'node'],
  local: ['core', 'ports', 'engine', 'auth', 'adapters', 'http', 'config', 'node', 'package @hono/node-server', 'package classic-level'],
  cost: ['core', 'engine', 'adapters', 'config'],
  drill: ['core', 'ports', 'auth', 'adapters', 'config', 'client', 'local', 'node', 'package yaml', 'package zod', 'package uplot'],
  cli: ['core', 'ports', 'engine', 'auth', 'adapters', 'http', 'config', 'cost', 'client', 'drill', 'local', 'testing', 'node', 'package commander'],
};

const folderOf = (file: string): string => file.split('/')[1] as string;

describe('imports point inward', () => {
  for (const folder of [...new Set(sources.map(folderOf))]) {
    it(`src/${folder} imports only what it may`, () => {
      const allowed = MAY[folder];
      expect(allowed, `src/${folder} has no rule in MAY`).toBeDefined();
      const wrong = sources
        .filter((file) => folderOf(file) === folder)
        .flatMap((file) => imports(file).map((target) => ({ file, to: destination(file, target) })))
        .filter(({ to }) => to !== folder && allowed?.includes(to) !== true)
        .map(({ file, to }) => `${file} -> ${to}`);
      expect(wrong).toEqual([]);
    });
  }

  it('nothing in src imports tests, scripts, functions or stacks', () => {
    const outside = sources.flatMap((file) => imports(file).map((target) => ({ file, to: destination(file, target) }))).filter(({ to }) => ['test', 'scripts', 'functions', 'cdk', 'bench', 'examples'].includes(to));
    expect(outside).toEqual([]);
  });
});

/** Time, randomness, timers, the network and the platform are ports there, so that a simulation can own them. */
const BANNED: readonly (readonly [RegExp, string])[] = [
  [/\bDate\.now\b/, 'Date.now'],
  [/\bnew Date\(\s*\)/, 'new Date()'],
  [/\bMath\.random\b/, 'Math.random'],
  [/\bperformance\b/, 'performance'],
  [/\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b/, 'timers'],
  [/\bprocess\b\s*\./, 'process'],
  [/\bBuffer\b/, 'Buffer'],
  [/\bcrypto\b\s*\./, 'crypto'],
  [/\bglobalThis\b/, 'globalThis'],
  [/\bconsole\b/, 'console'],
];
const PURE = ['core', 'ports', 'engine', 'auth', 'http'];

describe('banned outside of adapters', () => {
  for (const folder of PURE) {
    it(`src/${folder} touches no clock, randomness, timer or platform`, () => {
      const found = sources
        .filter((file) => folderOf(file) === folder)
        .flatMap((file) => BANNED.flatMap(([pattern, name]) => (pattern.test(code(file)) ? [`${file}: ${name}`] : [])));
      expect(found).toEqual([]);
    });
  }

  it('core has no promise', () => {
    const found = sources.filter((file) => folderOf(file) === 'core' && /\b(async|await|Promise)\b/.test(code(file)));
    expect(found).toEqual([]);
  });
});

describe('stamps', () => {
  it('no stamp becomes a JavaScript number (2^53 is too small), but for its milliseconds', { timeout: 60_000 }, () => {
    const options: ts.CompilerOptions = { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.NodeNext, strict: true, noEmit: true, allowImportingTsExtensions: true, resolveJsonModule: true, skipLibCheck: true, types: [] };
    const host = ts.createCompilerHost(options);
    // Stamps are made of our own types alone: reading those of all packages takes most of the time.
    host.resolveModuleNameLiterals = (literals, containing) => literals.map(({ text }) => (text.startsWith('.') ? ts.resolveModuleName(text, containing, options, host) : { resolvedModule: undefined }));
    const program = ts.createProgram(sources.map((file) => join(root, file)), options, host);
    const checker = program.getTypeChecker();
    const isBig = (node: ts.Node): boolean => {
      const type = checker.getTypeAtLocation(node);
      const parts = type.isUnionOrIntersection() ? type.types : [type];
      return parts.some((part) => (part.flags & ts.TypeFlags.BigIntLike) !== 0);
    };
    const found: string[] = [];
    const visit = (node: ts.Node, source: ts.SourceFile): void => {
      const isConversion =
        (ts.isCallExpression(node) && /^(Number|parseInt|parseFloat|Number\.parseInt|Number\.parseFloat)$/.test(node.expression.getText(source)) && node.arguments[0] !== undefined && isBig(node.arguments[0])) ||
        (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.PlusToken && isBig(node.operand));
      if (isConversion) found.push(`${relative(root, source.fileName)}: ${node.getText(source)}`);
      ts.forEachChild(node, (child) => visit(child, source));
    };
    for (const source of program.getSourceFiles()) if (source.fileName.startsWith(join(root, 'src'))) visit(source, source);
    expect(found).toEqual(['src/core/version/stamp.ts: Number(BigInt.asUintN(48, stamp >> COUNTER_BITS))']);
  });
});

describe('files', () => {
  const written = [...sources, ...filesBelow('functions', '.ts'), ...filesBelow('cdk', '.ts'), ...filesBelow('scripts', '.ts'), ...filesBelow('bench', '.ts')];

  it('each begins with what it is', () => {
    expect(written.filter((file) => !/^(#!.*\n)?\/\/ /.test(read(file)))).toEqual([]);
  });

  it('none is longer than 400 lines', () => {
    const long = written.map((file) => ({ file, lines: read(file).split('\n').length })).filter(({ lines }) => lines > 400);
    expect(long).toEqual([]);
  });

  it('no mark is left over', () => {
    expect(written.filter((file) => /\b(TODO|FIXME|XXX|HACK)\b/.test(read(file)))).toEqual([]);
  });

  it('a document has one title', () => {
    const documents = [...filesBelow('docs', '.md'), ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].filter((name) => existsSync(join(root, name)))];
    const titles = (file: string): number => (read(file).replaceAll(/```[\s\S]*?```/g, '').match(/^# /gm) ?? []).length;
    expect(documents.filter((file) => titles(file) !== 1)).toEqual([]);
  });
});

describe('vocabulary', () => {
  /** Each has a word of its own in docs/glossary.md. `Shards` is a field of an answer of AWS, `--multi-master` an option of KeyDB. */
  const LOOSE = /\b(master|slave|buckets?|shards?|vnodes?|node state|vector clocks?)\b/i;

  it('no loose words, in code or documents', () => {
    const documents = [...filesBelow('docs', '.md'), 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];
    const files = [...sources, ...['functions', 'cdk', 'scripts', 'bench', 'examples'].flatMap((folder) => filesBelow(folder, '.ts')), ...documents];
    const found = files.flatMap((file) => read(file).split('\n').flatMap((line, at) => (LOOSE.test(line.replaceAll(/\bShards\b|--multi-master\b/g, '')) && !line.includes('(Not "vector clock".)') ? [`${file}:${at + 1}`] : [])));
    expect(found).toEqual([]);
  });
});

describe('tests', () => {
  const tests = filesBelow('test', '.ts').filter((file) => file !== 'test/tidy.test.ts');

  it('none is left out silently: a skip carries its reason', () => {
    const bare = tests.filter((file) => /\b(it|test|describe)\.(only|todo)\b/.test(code(file)) || /\b(it|test|describe)\.skip\((?!`[^`]*\(\$\{[^}]+\}\)`)/.test(read(file)));
    expect(bare).toEqual([]);
  });

  it('none sleeps: time is a port', () => {
    const SPAWNING = /^test\/(cli|adapters|functions|cdk|bench|http)\//;
    expect(tests.filter((file) => !SPAWNING.test(file) && /\b(setTimeout|setInterval)\b/.test(code(file)))).toEqual([]);
  });
});

describe('packages', () => {
  it('every dependency is pinned exactly', () => {
    const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;
    const loose = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) => Object.entries(manifest[kind] ?? {}).filter(([, version]) => !/^(npm:@?[^@]+@)?\d+\.\d+\.\d+$/.test(version)));
    expect(loose).toEqual([]);
  });
});
