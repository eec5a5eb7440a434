// Marks: rare states that seeds are for. One that no seed reaches is not tested, whatever the number of seeds.
//
// A mark stands in the product as a comment on a line of its own, where the state is:
//
//   // mark: hint overflow
//   // mark if (surplus > 0): sibling cap
//
// A thread of the simulation turns such a line into a call while it loads the file; everywhere else it is a comment, and
// costs nothing. Which marks there are is what is written there; a test looks that each name stands once.

import { readdirSync, readFileSync } from 'node:fs';
import type { LoadHookSync } from 'node:module';

const LINE = /^( *)\/\/ mark(?: if \((.*)\))?: (.+)$/gm;

const SOURCE = new URL('../', import.meta.url);

/** All names, as often as they stand in the source. */
export const everyMark = (): string[] =>
  readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) => [...readFileSync(new URL(path, SOURCE), 'utf8').matchAll(LINE)].map(([, , , name]) => name as string))
    .sort();

/** Not in reach of the swarm as it is, or of one seed in hundreds, so that any change may lose it; and why. */
export const OUT_OF_REACH: Readonly<Record<string, string>> = {
  'pending collection takes no items': 'one of hundreds of seeds: the collections are there before the clients are, as a rule',
  'late value ledgered': 'a region would have to be restored while what it alone had sent is under way',
  'late value held back, who knows is out of reach': 'a split would have to begin while an old message is under way',
  'value from before the restore ledgered': 'a disk would have to be replaced by one from before something was reaped, and only one in a run is',
  'value from before the restore waits for a peer': 'the same, with a split',
  'reap question met a new write': 'one in twenty of the seeds in which much is reaped, so that 200 may miss it',
  'older certificate not taken': 'two runs of a pair would have to overlap, and end in the wrong order',
};

/** What none of the seeds met that were run. */
export const missingMarks = (reached: ReadonlySet<string>): string[] => everyMark().filter((name) => !reached.has(name) && !(name in OUT_OF_REACH));

export const loadMarks: LoadHookSync = (url, context, nextLoad) => {
  const loaded = nextLoad(url, context);
  if (!url.endsWith('.ts') || !url.includes('/src/') || loaded.source === undefined || loaded.source === null) return loaded;
  const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
  const called = source.replace(LINE, (_, indent: string, condition: string | undefined, name: string) => `${indent}${condition === undefined ? '' : `if (${condition}) `}globalThis.archipelMark(${JSON.stringify(name)});`);
  return { ...loaded, source: called };
};

const place = globalThis as { archipelMark?: (name: string) => void };

/** Those that are reached from now on; in a thread without the hook, none. */
export function collectMarks(): ReadonlySet<string> {
  const reached = new Set<string>();
  place.archipelMark = (name) => void reached.add(name);
  return reached;
}
