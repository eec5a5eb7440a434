// `reconcile`: by schedule. Comparing digests needs marks of what was written since, which `apply` and `fan-out` do not
// keep on AWS yet: it says so, and proves nothing. What it does: it finishes policies whose creator went away in the
// middle, and settles items that hold several values in a collection that has become `lww`.

import { openRegion } from './commons/region.ts';
import { Once } from './commons/once.ts';

export interface ReconcileEvent {
  readonly what: 'digests' | 'deep';
}

export interface ReconcileResult {
  readonly what: ReconcileEvent['what'];
  readonly comparison: 'not-built';
  /** No certificate is made, so none is claimed. */
  readonly certificates: 0;
  readonly policiesFinished: readonly string[];
  readonly itemsSettled: number;
}

const opened = new Once(() => openRegion());

export async function handler({ what }: ReconcileEvent): Promise<ReconcileResult> {
  const { region, mirror, log, invoke } = await opened.get();
  return invoke(async () => {
    await mirror.everything();
    const policiesFinished: string[] = [];
    let itemsSettled = 0;
    for (const collection of region.catalog.list()) {
      const { name, policy } = collection;
      if (!policy.active && (await region.collections.finish(name))) policiesFinished.push(name);
      if (policy.conflict === 'lww') itemsSettled += await region.collections.collapse(collection);
    }
    const result: ReconcileResult = { what, comparison: 'not-built', certificates: 0, policiesFinished, itemsSettled };
    log.write('warn', 'reconcile.not-built', { ...result, meaning: 'digests on AWS come later; nothing was compared' });
    return result;
  });
}
