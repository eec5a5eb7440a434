// `reconcile`: by schedule. Every hour it finishes what was left half done with collections: policies whose creator went
// away in the middle, items that hold several values in a collection that has become `lww`. Every day it also compares this
// region's copy with that of each peer after it (of a pair, the first by id), by scans of both that trust no summary;
// moves what differs; and leaves a certificate. Digests that are kept with the writes, and cost less, come later.

import type { Certificate } from '../src/engine/certificate.ts';
import type { RegionId } from '../src/core/version/dot.ts';
import { names } from '../src/adapters/aws/names.ts';
import { readSecrets } from '../src/adapters/aws/parameters.ts';
import { ssmClient } from './commons/clients.ts';
import { Once } from './commons/once.ts';
import { openRegion, type RegionOnLambda } from './commons/region.ts';
import { settingsOf } from './commons/settings.ts';

export interface ReconcileEvent {
  readonly what: 'tidy' | 'deep';
  /** Of a deep check that somebody asks for: with these, whichever is the first of the pair. */
  readonly peers?: readonly RegionId[];
}

export interface ReconcilePair {
  readonly peer: RegionId;
  readonly compared: number;
  readonly differing: number;
  readonly pushed: number;
  readonly pulled: number;
  readonly corrupt: number;
  readonly certificate?: Certificate;
}

export interface ReconcileResult {
  readonly what: ReconcileEvent['what'];
  readonly policiesFinished: readonly string[];
  readonly itemsSettled: number;
  readonly pairs: readonly ReconcilePair[];
  /** Of the last pair that could not be compared. */
  readonly error?: string;
}

/** A day, and as much later as a schedule may begin. */
const PROOF_SECONDS_MAX = 26 * 3_600;

const opened = new Once(() => {
  const { deployment, region } = settingsOf(process.env);
  return openRegion({ secret: readSecrets(ssmClient(region), [names.secret(deployment)]).then(([secret]) => secret) });
});

export async function handler({ what, peers }: ReconcileEvent): Promise<ReconcileResult> {
  const { region, mirror, log, invoke, metrics, clock } = await opened.get();
  return invoke(async () => {
    await mirror.everything();
    const policiesFinished: string[] = [];
    let itemsSettled = 0;
    for (const collection of region.catalog.list()) {
      const { name, policy } = collection;
      if (!policy.active && (await region.collections.finish(name))) policiesFinished.push(name);
      if (policy.conflict === 'lww') itemsSettled += await region.collections.collapse(collection);
    }
    const compared = what === 'deep' ? await compare({ region }, peers ?? comparedBy(region)) : { pairs: [] };
    await region.reconciler.start(); // certificates that other processes have added to
    proved({ region, metrics, clock });
    const result: ReconcileResult = { what, policiesFinished, itemsSettled, ...compared };
    log.write(result.error === undefined ? 'info' : 'warn', 'reconcile', { ...result });
    return result;
  });
}

/** Of a pair, the first by id. */
const comparedBy = (region: RegionOnLambda['region']): RegionId[] => [...region.links.keys()].filter((peer) => region.id < peer);

/** How old the proofs are, of the pairs that this region compares. */
function proved({ region, metrics, clock }: Pick<RegionOnLambda, 'region' | 'metrics' | 'clock'>): void {
  const ages = comparedBy(region).map((peer) => {
    const newest = region.reconciler.lastCertificate(peer);
    const ageSeconds = newest === undefined ? Number.POSITIVE_INFINITY : Math.max(0, Math.round((clock.wallMs() - newest.atMs) / 1_000));
    if (newest !== undefined) metrics.peer(peer, { CertificateAge: ageSeconds });
    return ageSeconds;
  });
  metrics.region({ PairsUnproved: ages.filter((age) => age > PROOF_SECONDS_MAX).length });
}

/** One pair after the other: each holds a whole copy's sums. What a pair cannot do, the next day's run does. */
async function compare({ region }: Pick<RegionOnLambda, 'region'>, peers: readonly RegionId[]): Promise<Pick<ReconcileResult, 'pairs' | 'error'>> {
  await region.reconciler.start(); // certificates that other processes have added to
  const run = region.reconciler.run({ peers, deep: true });
  await run.finished;
  const pairs = run.pairs.map(({ peer, compared, differing, pushed, pulled, corrupt, certificate }): ReconcilePair => ({ peer, compared, differing, pushed, pulled, corrupt: corrupt.length, ...(certificate === undefined ? {} : { certificate }) }));
  return { pairs, ...(run.error === undefined ? {} : { error: run.error }) };
}
