// What a region tells about itself.

import { toBase64Url, utf8Text } from '../core/bytes.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Region } from '../engine/region.ts';
import { byField, counter, gauge, type Metric, type Sample } from './openmetrics.ts';

export async function regionMetrics(region: Region): Promise<Metric[]> {
  const lanes = await Promise.all(
    [...region.lanes].map(async ([peer, lane]) => ({ peer, lane, link: region.links.get(peer), unreplicated: await lane.unreplicated(), hints: await lane.hints(), dead: await region.parts.deadLetters(peer).count() })),
  );
  const perPeer = (value: (each: (typeof lanes)[number]) => number): Sample[] => lanes.map((each) => ({ labels: { peer: each.peer }, value: value(each) }));
  return [
    gauge('unreplicated_items', 'Live RPO: items whose newest local change, and rows of the ledger, that the peer has not acknowledged.', perPeer(({ unreplicated }) => unreplicated.items)),
    gauge('unreplicated_oldest_seconds', 'Age of the oldest unreplicated change.', perPeer(({ lane }) => lane.oldestMs() / 1_000)),
    gauge('hints', 'Items waiting for a peer in the durable queue.', perPeer(({ hints }) => hints)),
    gauge('behind_items', 'Changes not even hinted since the last certificate.', perPeer(({ lane }) => lane.behind)),
    gauge('dead_letters', 'Received messages that could not be handled.', perPeer(({ dead }) => dead)),
    gauge('peer_up', '1 while the breaker towards the peer is closed.', perPeer(({ link }) => (link?.isUp() === true ? 1 : 0))),
    gauge('peer_verdict', '1 for the verdict of the observers that this region knows of: alive, suspect, down.', lanes.flatMap(({ peer }) => verdicts(region, peer))),
    gauge('peer_clock_safe', '1 while the peer says that its clock is safe.', lanes.flatMap(({ peer }) => clocks(region, peer))),
    gauge('own_lag_seconds', 'How old the oldest change is that a peer has for this region and that it lacks.', region.health.lagMs() / 1_000),
    gauge('data_path_answers', '1 while a read and a durable write of its own came to an end.', region.health.isSound ? 1 : 0),
    gauge('replication_lag_seconds', 'Commit to acknowledgement.', lanes.flatMap(({ peer, lane }) => [0.5, 0.99].map((q) => ({ labels: { peer, quantile: String(q) }, value: lane.lag.quantile(q) / 1_000 })))),
    counter('replicated_records', 'Records that the peer took.', perPeer(({ lane }) => lane.stats.sent)),
    counter('replicated_bytes', 'Bytes of the messages that carried them.', perPeer(({ lane }) => lane.stats.bytes)),
    counter('peer_failures', 'Questions to the peer without a usable answer.', perPeer(({ link }) => link?.stats.unreachable ?? 0)),
    counter('requests', 'What the coordinator did.', byField('what', region.coordinator.stats)),
    counter('applied', 'What became of received records, and rows of the ledger.', byField('what', region.applier.stats)),
    counter('reaping', 'Tombstones proposed, refused, reaped, spared.', byField('what', region.reaper.stats)),
    counter('late_values', 'Values that came after their partition was reaped: asked about, kept, dropped, to the ledger, held.', byField('what', region.applier.late.stats)),
    counter('restored_values', 'Values from before this region was restored: to the ledger, undecided.', byField('what', region.restored.stats)),
    counter('reconciliations', 'Runs, failures, differing items, certificates.', byField('what', region.reconciler.stats)),
    counter('peer_questions', 'Questions of other regions, and those refused.', byField('what', region.door.stats)),
    counter('clock_refusals', 'Stamps not issued, and received stamps not accepted.', byField('what', region.time.stats)),
    gauge('hot_key_share', 'Of the requests that this region answered lately: the keys that are asked for most, of a sample.', hotKeys(region)),
    gauge('clock_safe', '1 while this region issues stamps.', region.time.status() === 'safe' ? 1 : 0),
    gauge('items', 'Live items per collection.', region.catalog.list().map(({ name }) => ({ labels: { collection: name }, value: region.parts.table.digests?.items(name) ?? 0 }))),
    gauge('certificate_age_seconds', 'Time since the copies of the pair were last proved equal.', [...region.links.keys()].flatMap((peer) => {
      const certificate = region.reconciler.lastCertificate(peer);
      return certificate === undefined ? [] : [{ labels: { peer }, value: (region.time.nowMs() - certificate.atMs) / 1_000 }];
    })),
  ];
}

function verdicts({ health }: Region, peer: RegionId): Sample[] {
  const seen = health.seen(peer);
  return seen === undefined ? [] : (['alive', 'suspect', 'down'] as const).map((verdict) => ({ labels: { peer, verdict }, value: seen.verdict === verdict ? 1 : 0 }));
}

function clocks({ health }: Region, peer: RegionId): Sample[] {
  const clock = health.seen(peer)?.clock;
  return clock === undefined ? [] : [{ labels: { peer }, value: clock === 'safe' ? 1 : 0 }];
}

const HOT_SHOWN = 5;

/** A key that is not text is shown as base64url. */
const hotKeys = ({ coordinator: { hot } }: Region): Sample[] =>
  hot.top(HOT_SHOWN).map(({ value: { collection, pk, sk }, count, error }) => ({
    labels: { collection, pk: utf8Text(pk) ?? toBase64Url(pk), ...(sk.length === 0 ? {} : { sk: utf8Text(sk) ?? toBase64Url(sk) }) },
    value: (count - error) / Math.max(1, hot.total),
  }));
