import { describe, expect, it } from 'vitest';
import { attribute, layerOf } from '../../bench/lib/attribute.ts';
import type { Profile } from '../../bench/lib/observed.ts';

/** One stack below the next, of a hundred microseconds in itself each. */
function profileOf(stacks: readonly (readonly (readonly [name: string, url: string])[])[]): Profile {
  const nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number }; children: number[] }[] = [{ id: 1, callFrame: { functionName: '(root)', url: '', lineNumber: -1 }, children: [] }];
  const samples = stacks.map((stack) => {
    let at = nodes[0] as (typeof nodes)[number];
    for (const [functionName, url] of stack) {
      const child = { id: nodes.length + 1, callFrame: { functionName, url, lineNumber: 0 }, children: [] };
      nodes.push(child);
      at.children.push(child.id);
      at = child;
    }
    return at.id;
  });
  return { nodes, samples, timeDeltas: samples.map(() => 100) };
}

const ours = (path: string): string => `file:///somewhere/${path}`;

describe('a CPU profile by layers', () => {
  it('counts what Node does for whoever of us asked for it, the innermost', () => {
    const { byLayer, busyUs } = attribute(
      profileOf([
        [['#next', ours('src/local/direct-socket.ts')], ['update', ours('src/adapters/level/table.ts')], ['fdatasync', 'node:fs'], ['fdatasync', '']],
        [['#next', ours('src/local/direct-socket.ts')]],
        [['answerBytes', ours('src/local/direct-socket.ts')], ['writeLatin1String', '']],
        [['put', ours('src/engine/coordinate.ts')], ['hmac', ours('src/adapters/node/crypto.ts')], ['oneShotDigest', '']],
        [['processTimers', 'node:internal/timers']],
        [['(garbage collector)', '']],
      ]),
    );
    expect(Object.fromEntries(byLayer)).toEqual({ commit: 100, parse: 100, answer: 100, decide: 100, node: 100, 'collect garbage': 100 });
    expect(busyUs).toBe(600);
  });

  it('leaves out idling, and the profiler itself', () => {
    expect(attribute(profileOf([[['(idle)', '']], [['post', 'node:inspector']]])).busyUs).toBe(0);
  });

  it('names the functions that take most in themselves', () => {
    const apply = [['apply', ours('src/engine/apply.ts')]] as const;
    const { byFunction } = attribute(profileOf([apply, apply, [['match', ours('node_modules/hono/router.js')]]]));
    expect(byFunction).toEqual([{ name: 'apply', where: 'src/engine/apply.ts', layer: 'apply', us: 200 }, { name: 'match', where: 'node_modules/hono/router.js', layer: 'node', us: 100 }]);
  });

  it('has a layer for every file of the engine and of the region', () => {
    expect(['src/engine/coordinate.ts', 'src/engine/lane.ts', 'src/http/direct.ts', 'src/local/region.ts'].map((path) => layerOf(path, 'f'))).toEqual(['decide', 'send', 'route', 'other of ours']);
  });
});
