// `reconcile`: by schedule. Every hour it finishes what was left half done with collections: policies whose creator went
// away in the middle, items that hold several values in a collection that has become `lww`. Every day it also compares this
// region's copy with that of each peer after it (of a pair, the first by id), by scans of both that trust no summary;
// moves what differs; and leaves a certificate. Digests that are kept with the writes, and cost less, come later. Every day
// it also reaps what was deleted, or has expired, for long enough: that takes a look at the whole copy, too. Before anything
// else, a table that was restored from an older copy takes back what its peers hold; until then `api` serves nothing.

import type { Certificate } from '../src/engine/certificate.ts';
import type { GroupId } from '../src/core/keys/item-key.ts';
import type { RegionId } from '../src/core/version/dot.ts';
import { runBody } from '../src/http/runs.ts';
import { names } from '../src/adapters/aws/names.ts';
import { readSecrets } from '../src/adapters/aws/parameters.ts';
import { parameterCalls } from './commons/clients.ts';
import { Once } from './commons/once.ts';
import { openRegion, type RegionOnLambda } from './commons/region.ts';
import { noteRun } from './commons/runs.ts';
import { settingsOf } from './commons/settings.ts';

export interface ReconcileEvent {
  readonly what: 'tidy' | 'deep' | 'reap';
  /** Of a deep check that somebody asks for: with these, whichever is the first of the pair. */
  readonly peers?: readonly RegionId[];
  /** Of these groups alone; that proves nothing of the others. */
  readonly groups?: readonly GroupId[];
  /** Under which its result is noted. */
  readonly run?: string;
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
  /** The table was restored, and not all peers could give what they hold: the rest was left for the next run. */
  readonly isWhole?: false;
  readonly policiesFinished: readonly string[];
  readonly itemsSettled: number;
  readonly pairs: readonly ReconcilePair[];
  /** Tombstones that are gone here and in all other regions that hold them. */
  readonly reaped?: number;
  /** What this region's table consumed for it, in capacity units. */
  readonly units: { readonly read: number; readonly write: number };
  /** Of the last pair that could not be compared. */
  readonly error?: string;
}

/** A day, and as much later as a schedule may begin. */
const PROOF_SECONDS_MAX = 26 * 3_600;
/** A round that begins then has six minutes left. */
const REAP_MS_MAX = 9 * 60_000;

const opened = new Once(() => {
  const { deployment, region } = settingsOf(process.env);
  return openRegion({ secret: readSecrets(parameterCalls(region), [names.secret(deployment)]).then(([secret]) => secret) });
});

export async function handler(event: ReconcileEvent): Promise<ReconcileResult> {
  const { what } = event;
  const opening = await opened.get();
  const { region, mirror, log, meter, invoke } = opening;
  return invoke(async () => {
    meter.begin();
    const isWhole = await opening.takeBack();
    await mirror.everything();
    const policiesFinished: string[] = [];
    let itemsSettled = 0;
    for (const collection of region.catalog.list()) {
      const { name, policy } = collection;
      if (!policy.active && (await region.collections.finish(name))) policiesFinished.push(name);
      if (policy.conflict === 'lww') itemsSettled += await region.collections.collapse(collection);
    }
    const compared = what === 'deep' && isWhole ? await compare(opening, event) : { pairs: [] };
    const reaped = what === 'reap' && isWhole ? { reaped: await reap(opening) } : {};
    await region.reconciler.start(); // certificates that other processes have added to
    proved(opening);
    const result: ReconcileResult = { what, ...(isWhole ? {} : { isWhole }), policiesFinished, itemsSettled, ...compared, ...reaped, units: meter.units };
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
async function compare({ region, clock, log }: Pick<RegionOnLambda, 'region' | 'clock' | 'log'>, { groups, run: id, peers = id === undefined ? comparedBy(region) : [...region.links.keys()] }: ReconcileEvent): Promise<Pick<ReconcileResult, 'pairs' | 'error'>> {
  const startedMs = clock.wallMs();
  await region.reconciler.start(); // certificates that other processes have added to
  const run = region.reconciler.run({ peers, deep: true, ...(groups === undefined ? {} : { groups }) });
  await run.finished;
  // Something was lost on its way, or is late: an operator wants to know, even though it is mended.
  for (const { peer, differing, pushed, pulled } of run.pairs) if (differing > 0) log.write('warn', 'reconcile.differed', { peer, differing, pushed, pulled });
  if (id !== undefined) await noteRun(region.parts.table, { ...runBody(run), id }, startedMs);
  const pairs = run.pairs.map(({ peer, compared, differing, pushed, pulled, corrupt, certificate }): ReconcilePair => ({ peer, compared, differing, pushed, pulled, corrupt: corrupt.length, ...(certificate === undefined ? {} : { certificate }) }));
  return { pairs, ...(run.error === undefined ? {} : { error: run.error }) };
}

/** As much as there is time for; the next day's run goes on. */
async function reap({ region, clock }: Pick<RegionOnLambda, 'region' | 'clock'>): Promise<number> {
  const endMs = clock.monotonicMs() + REAP_MS_MAX;
  let reaped = 0;
  for (let more = true; more && clock.monotonicMs() < endMs; ) {
    const round = await region.reaper.round();
    reaped += round.reaped;
    more = round.more;
  }
  return reaped;
}
