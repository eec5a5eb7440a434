// A witness as a process of its own: it holds no data and answers nobody.

import type { RegionId } from '../core/version/dot.ts';
import type { Log } from '../ports/log.ts';
import { startObserving, type Observing } from './observer.ts';

export interface WitnessOptions {
  readonly regions: ReadonlyMap<RegionId, string>;
  readonly secret: string;
  readonly ca: string | undefined;
  readonly log: Log;
}

/** Longer than any process lives; what a timer can wait. */
const FOR_EVER_MS = 2 ** 31 - 1;

export function startWitness({ regions, secret, ca, log }: WitnessOptions): Observing {
  setInterval(() => undefined, FOR_EVER_MS); // nothing else keeps the process: it listens nowhere
  return startObserving({ kind: 'witness', secret, addresses: regions, ca, log });
}
