// Of a CPU profile: how much of it each layer of a request took. A sample counts for the innermost function of its stack
// that belongs to a layer: what Node, V8 and a library do counts for whoever of us asked for it.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Profile, ProfileNode } from './observed.ts';

export const LAYERS = ['parse', 'route', 'auth', 'decide', 'encode', 'digest', 'commit', 'answer', 'send', 'receive', 'apply', 'reconcile', 'other of ours', 'collect garbage', 'node'] as const;
export type Layer = (typeof LAYERS)[number];

/** The first that fits: of the path below the repository, and of the function. */
const RULES: readonly (readonly [path: RegExp, name: RegExp, layer: Layer | undefined])[] = [
  [/^src\/(core\/bytes|adapters\/node\/crypto)\.ts/, /./, undefined], // whoever asked
  [/^src\/(core\/merkle\/|adapters\/level\/digests)/, /./, 'digest'],
  [/^src\/local\/(direct-socket|direct|end-of-turn)\.ts/, /^(answerBytes|#?send|#?write|statusLine|lastFields|#?answerNow|#?onReply|writeLater|#?goOn|#?wasAnswered)/i, 'answer'],
  [/^src\/local\/end-of-turn\.ts/, /./, 'answer'],
  [/^src\/local\/(direct-socket|direct|shared-read|http-server)\.ts/, /./, 'parse'],
  [/^src\/(engine\/(fan-out|lane|forwarder|hinted|owed|peer-link|hand-over|behind)|adapters\/node\/http-(client|peer)|adapters\/level\/(change-log|queue))\.ts/, /./, 'send'],
  [/^src\/(engine\/(peer-door|envelope)|http\/peer-routes)\.ts/, /./, 'receive'],
  [/^src\/engine\/(apply|late)\.ts/, /./, 'apply'],
  [/^src\/engine\/(reconcil|descent|digest|leaf-sketch|certificate|lease)/, /./, 'reconcile'],
  [/^src\/auth\/(context-tokens|keys)\.ts/, /./, 'auth'],
  [/^src\/auth\/signature\.ts/, /./, 'receive'],
  [/^src\/http\/(reply|answer-fields|representation|written|problem)\.ts/, /./, 'answer'],
  [/^src\/http\//, /./, 'route'],
  [/^src\/core\/(keys|routing|placement)\//, /./, 'route'],
  [/^src\/core\/version\/(codec|format)\.ts/, /./, 'encode'],
  [/^src\/adapters\/level\/(layout|lean-records|indexes)\.ts/, /./, 'encode'],
  [/^src\/adapters\/level\//, /./, 'commit'],
  [/^src\/(core|engine)\//, /./, 'decide'],
  [/^(src|functions)\//, /./, 'other of ours'],
];

export function layerOf(path: string, name: string): Layer | undefined {
  return RULES.find(([inPath, inName]) => inPath.test(path) && inName.test(name === '' ? '(anonymous)' : name))?.[2];
}

export interface Attributed {
  /** Microseconds that the thread was not idle. */
  readonly busyUs: number;
  readonly byLayer: ReadonlyMap<Layer, number>;
  /** Self time by function, with where it is; the largest first. */
  readonly byFunction: readonly { readonly name: string; readonly where: string; readonly layer: Layer; readonly us: number }[];
}

export function attribute(profile: Profile, pathOf: (node: ProfileNode) => string = sourcePath): Attributed {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const layers = new Map<number, Layer>();
  const walk = (node: ProfileNode, above: Layer): void => {
    const { functionName } = node.callFrame;
    const own = functionName === '(garbage collector)' ? 'collect garbage' : layerOf(pathOf(node), functionName);
    layers.set(node.id, own ?? above);
    for (const child of node.children ?? []) walk(byId.get(child) as ProfileNode, own ?? above);
  };
  walk(profile.nodes[0] as ProfileNode, 'node');
  const selfUs = new Map<number, number>();
  for (const [at, id] of profile.samples.entries()) selfUs.set(id, (selfUs.get(id) ?? 0) + (profile.timeDeltas[at] as number));
  const byLayer = new Map<Layer, number>();
  const functions = new Map<string, { name: string; where: string; layer: Layer; us: number }>();
  let busyUs = 0;
  for (const [id, us] of selfUs) {
    const node = byId.get(id) as ProfileNode;
    const name = node.callFrame.functionName || '(anonymous)';
    if (name === '(idle)' || (name === 'post' && node.callFrame.url === 'node:inspector')) continue; // nothing, and the profiler itself
    busyUs += us;
    const layer = layers.get(id) as Layer;
    byLayer.set(layer, (byLayer.get(layer) ?? 0) + us);
    const where = pathOf(node);
    const known = functions.get(`${name} ${where} ${layer}`) ?? { name, where, layer, us: 0 };
    known.us += us;
    functions.set(`${name} ${where} ${layer}`, known);
  }
  return { busyUs, byLayer, byFunction: [...functions.values()].sort((one, other) => other.us - one.us) };
}

// Where a function stands ------------------------------------------------------------------------------------------------------

/** Of a source its path below the repository; of a bundle (`dist`) that of the source that a part of it was made from. */
export function sourcePath({ callFrame: { url, lineNumber } }: ProfileNode): string {
  if (url === '' || url.startsWith('node:')) return url;
  const path = url.startsWith('file:') ? fileURLToPath(url) : url;
  const inPackage = /.*\/(node_modules\/.*)$/.exec(path)?.[1];
  if (inPackage !== undefined) return inPackage;
  const own = /\/((?:src|functions|bench|dist)\/.*)$/.exec(path)?.[1] ?? path;
  return own.startsWith('dist/') ? bundledFrom(path, lineNumber) : own;
}

const parts = new Map<string, readonly (readonly [line: number, path: string])[]>();

/** A line `// src/…` stands before what was made of each source. */
function bundledFrom(file: string, line: number): string {
  let known = parts.get(file);
  if (known === undefined) parts.set(file, (known = readFileSync(file, 'utf8').split('\n').flatMap((text, at) => (/^\/\/ (src|node_modules)\/\S+$/.test(text) ? [[at, text.slice(3)] as const] : []))));
  return known.findLast(([at]) => at <= line)?.[1] ?? file;
}
