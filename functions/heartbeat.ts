// `heartbeat`: once a minute says hello to the other regions, so that clocks are compared and silence is seen where no
// message passes, looks whether the table is still the one that this environment knows, and counts what each peer lacks: so
// that nobody who asks for that count has to read more of the stream than what a minute has brought.

import type { RegionId } from '../src/core/version/dot.ts';
import { hello, openRegion, type RegionOnLambda } from './commons/region.ts';
import { Once } from './commons/once.ts';
import { unreadOf } from './commons/unread.ts';

export interface HeartbeatResult {
  readonly region: string;
  readonly actor: string;
  readonly clock: string;
  readonly topology: string;
  /** False after a restore, until every environment that knows the old table is gone: then dots may be issued twice. */
  readonly sameTable: boolean;
  readonly peers: Readonly<Record<string, 'up' | 'down'>>;
  /** Live RPO towards each peer, in items, at most; not there: it could not be counted. In the log, because a metric for each would cost more than the count. */
  readonly unreplicated?: Readonly<Record<string, number>>;
}

const opened = new Once(() => openRegion({ unread: unreadOf }));

export async function handler(): Promise<HeartbeatResult> {
  const opening = await opened.get();
  const { region, log, invoke, isSameTable, metrics } = opening;
  return invoke(async () => {
    const links = [...region.links.values()];
    const [sameTable, up, unreplicated] = await Promise.all([isSameTable(), Promise.all(links.map((link) => hello(region, link))), owed(opening)]);
    const { term, epoch } = region.catalog.topology;
    const peers = Object.fromEntries(links.map(({ id }, at) => [id, up[at] === true ? ('up' as const) : ('down' as const)]));
    const result: HeartbeatResult = { region: region.id, actor: region.actor, clock: region.time.status(), topology: `${term}.${epoch}`, sameTable, peers, ...unreplicated };
    metrics.region({ ClockUnsafe: result.clock === 'safe' ? 0 : 1, TableReplaced: sameTable ? 0 : 1 });
    for (const [peer, state] of Object.entries(peers)) metrics.peer(peer as RegionId, { PeerDown: state === 'up' ? 0 : 1 });
    log.write(up.every(Boolean) && sameTable && result.clock === 'safe' ? 'info' : 'warn', 'heartbeat', { ...result });
    return result;
  });
}

/** What else a heartbeat is for does not depend on it. */
async function owed({ region, log }: Pick<RegionOnLambda, 'region' | 'log'>): Promise<Pick<HeartbeatResult, 'unreplicated'>> {
  try {
    return { unreplicated: Object.fromEntries(await Promise.all([...region.lanes].map(async ([peer, lane]) => [peer, (await lane.unreplicated()).items] as const))) };
  } catch (error) {
    log.write('warn', 'unreplicated.not-counted', { error: String(error) });
    return {};
  }
}
