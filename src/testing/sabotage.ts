// Puts a known bug into the code that a thread is about to load, by changing its source text on the way in. The product
// itself holds no switch for it. A control whose text is no longer found has gone stale, and says so.

import type { LoadHookSync } from 'node:module';
import type { Control } from './controls.ts';

/** How the error of a control begins whose text is no longer there. */
export const STALE = 'Stale control';

export interface Sabotage {
  readonly hooks: { readonly load: LoadHookSync };
  /** @throws Error when an edit found nothing to change */
  assertDone(): void;
}

export function sabotage(control: Control): Sabotage {
  const left = new Set(control.edits);
  const load: LoadHookSync = (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    const edits = control.edits.filter(({ file }) => url.endsWith(`/src/${file}`));
    if (edits.length === 0) return loaded;
    let source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
    for (const edit of edits) {
      const parts = source.split(edit.find);
      if (parts.length !== 2) throw new Error(`${STALE} ${control.name}: ${JSON.stringify(edit.find)} stands ${parts.length - 1} times in ${edit.file}, not once.`);
      source = parts.join(edit.replace);
      left.delete(edit);
    }
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
