// What the holders of each item hold of it.

import type { State } from '../core/version/record.ts';
import { nameOf } from './names.ts';
import type { SimRegion } from './cluster.ts';

/** By item and region, as `shown`; `nothing` where a holder has no record. */
export function copiesOf(regions: readonly SimRegion[], shown: (state: State, collection: string) => string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const all = new Map<string, Map<string, string>>();
  for (const { id, running } of regions) {
    for (const { key, record } of running?.table.everything() ?? []) {
      const holders = running?.region.catalog.holdersOf(key) ?? [];
      if (!holders.includes(id)) continue; // left behind when the topology changed
      const name = nameOf(key);
      const states = all.get(name) ?? new Map<string, string>();
      all.set(name, states.set(id, shown(record.state, key.collection)));
      for (const holder of holders) if (!states.has(holder)) states.set(holder, 'nothing');
    }
  }
  return all;
}

/** Items whose copies differ. `byValue`: a record without values is as good as none, or as one with another context. */
export function differing(copies: ReadonlyMap<string, ReadonlyMap<string, string>>, { byValue }: { readonly byValue: boolean }): string[] {
  const isSame = (states: readonly string[]): boolean => new Set(states.map((state) => (byValue && state === 'nothing' ? '' : state))).size <= 1;
  return [...copies].filter(([, states]) => !isSame([...states.values()])).map(([name, states]) => `${name}: ${[...states].map(([id, state]) => `${id} ${state}`).join(' | ')}`);
}
