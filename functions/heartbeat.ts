// `heartbeat`: once a minute says hello to the other regions, so that clocks are compared and silence is seen where no
// message passes, and looks whether the table is still the one that this environment knows.

import type { RegionId } from '../src/core/version/dot.ts';
import { hello, openRegion } from './commons/region.ts';
import { Once } from './commons/once.ts';

export interface HeartbeatResult {
  readonly region: string;
  readonly actor: string;
  readonly clock: string;
  readonly topology: string;
  /** False after a restore, until every environment that knows the old table is gone: then dots may be issued twice. */
  readonly sameTable: boolean;
  readonly peers: Readonly<Record<string, 'up' | 'down'>>;
}

const opened = new Once(() => openRegion());

export async function handler(): Promise<HeartbeatResult> {
  const { region, log, invoke, isSameTable, metrics } = await opened.get();
  return invoke(async () => {
    const links = [...region.links.values()];
    const [sameTable, up] = await Promise.all([isSameTable(), Promise.all(links.map((link) => hello(region, link)))]);
    const { term, epoch } = region.catalog.topology;
    const peers = Object.fromEntries(links.map(({ id }, at) => [id, up[at] === true ? ('up' as const) : ('down' as const)]));
    const result: HeartbeatResult = { region: region.id, actor: region.actor, clock: region.time.status(), topology: `${term}.${epoch}`, sameTable, peers };
    metrics.region({ ClockUnsafe: result.clock === 'safe' ? 0 : 1, TableReplaced: sameTable ? 0 : 1 });
    for (const [peer, state] of Object.entries(peers)) metrics.peer(peer as RegionId, { PeerDown: state === 'up' ? 0 : 1 });
    log.write(up.every(Boolean) && sameTable && result.clock === 'safe' ? 'info' : 'warn', 'heartbeat', { ...result });
    return result;
  });
}
