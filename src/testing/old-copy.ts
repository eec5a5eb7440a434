// When all is quiet, one disk is replaced by what it was in the middle of the run, and nobody sends anything: comparisons alone
// bring the region back to what the others hold. Nothing was owed by then, so nothing may be lost with the disk.

import type { SeededRandom } from '../adapters/sim/random.ts';
import { ArchipelError } from '../core/errors.ts';
import type { Checker } from './checker.ts';
import type { SimCluster, SimRegion } from './cluster.ts';

export class OldCopy {
  readonly #cluster: SimCluster;
  readonly #random: SeededRandom;
  #kept: { readonly region: SimRegion; readonly copy: ReadonlyMap<string, unknown> } | undefined;

  constructor(cluster: SimCluster, random: SeededRandom) {
    this.#cluster = cluster;
    this.#random = random;
  }

  /** Of a region that is up, somewhere within so long. */
  takeWithin(ms: number): void {
    this.#cluster.world.after(ms * this.#random.unit(), () => {
      const region = this.#random.pick(this.#cluster.regions);
      if (region.isUp) this.#kept = { region, copy: region.machine.disk.copy() };
    });
  }

  /** False where there is no copy, or where a disk has forgotten something before: what may be lost then is not known. */
  putBack(checker: Checker): boolean {
    if (this.#kept === undefined || checker.damaged.size > 0) return false;
    const { region, copy } = this.#kept;
    checker.checkOwesNothing(region);
    this.#silence();
    region.kill();
    const sameMarker = this.#random.chance(0.5);
    this.#cluster.world.trace(region.id, `its disk is replaced by what it was, ${sameMarker ? 'below the files' : 'with another marker'}; nobody sends anything`);
    region.machine.disk.restore(copy, { sameMarker });
    checker.lost(region);
    region.start();
    return true;
  }

  /** Refused at once, not out of reach: breakers stay closed, so that comparisons go on. */
  #silence(): void {
    const { watch } = this.#cluster;
    this.#cluster.watch = {
      ...watch,
      asked: (region, method, question) => {
        if (method === 'inbox') throw new ArchipelError('peer-refused', 'Nothing is sent now.');
        watch.asked(region, method, question);
      },
    };
    this.speak = () => {
      this.#cluster.watch = watch;
      this.#cluster.world.count('an old copy repaired by comparisons');
    };
  }

  /** Everything is sent again. */
  speak: () => void = () => undefined;
}
