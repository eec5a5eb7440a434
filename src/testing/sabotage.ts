// Puts a known bug into the code that a thread is about to load, by changing its source text on the way in. The product
// itself holds no switch for it. A control whose text is no longer found has gone stale, and says so.

import type { LoadHookSync } from 'node:module';
import type { Control, Edit } from './controls.ts';

/** How the error of a control begins whose text is no longer there. */
export const STALE = 'Stale control';

export interface Sabotage {
  readonly hooks: { readonly load: LoadHookSync };
  /** @throws Error when an edit found nothing to change */
  assertDone(): void;
}

const editsOf = ({ edits }: Control, url: string): Edit[] => edits.filter(({ file }) => url.endsWith(`/src/${file}`));

function put(name: string, edits: readonly Edit[], source: string): string {
  return edits.reduce((text, { file, find, replace }) => {
    const parts = text.split(find);
    if (parts.length !== 2) throw new Error(`${STALE} ${name}: ${JSON.stringify(find)} stands ${parts.length - 1} times in ${file}, not once.`);
    return parts.join(replace);
  }, source);
}

/** For Vitest, which loads by itself. */
export const sabotagePlugin = (control: Control) => ({
  name: 'sabotage',
  enforce: 'pre' as const,
  transform: (source: string, id: string): string | undefined => {
    const edits = editsOf(control, id);
    return edits.length === 0 ? undefined : put(control.name, edits, source);
  },
});

export function sabotage(control: Control): Sabotage {
  const left = new Set(control.edits);
  const load: LoadHookSync = (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    const edits = editsOf(control, url);
    if (edits.length === 0) return loaded;
    const source = put(control.name, edits, typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source));
    for (const edit of edits) left.delete(edit);
    return { ...loaded, source };
  };
  return {
    hooks: { load },
    assertDone: () => {
      const [missing] = left;
      if (missing !== undefined) throw new Error(`${STALE} ${control.name}: ${missing.file} was not loaded.`);
    },
  };
}
