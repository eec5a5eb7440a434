// What the edge that a command speaks through thinks of each region: its metrics, read. A region's have none of it.

import type { Session } from '../session.ts';

export interface EdgeView {
  readonly id: string;
  readonly breaker: 'closed' | 'open';
  /** Observers agree that the region is down. */
  readonly down: boolean;
  /** Of the traffic that is the region's own, from 0 to 1. */
  readonly share: number;
}

/** Empty where the front is no edge, or does not answer within `timeoutMs`. */
export const edgeViews = async (session: Session, timeoutMs: number): Promise<readonly EdgeView[]> => viewsIn(await session.front.metrics({ timeoutMs }).catch(() => ''));

export function viewsIn(metrics: string): readonly EdgeView[] {
  const valueOf = (what: string, region: string): number | undefined => numberIn(new RegExp(`^archipel_edge_region_${what}\\{region="${region}"\\} (\\S+)`, 'm').exec(metrics)?.[1]);
  return [...metrics.matchAll(/^archipel_edge_region_up\{region="([a-z0-9-]+)"\}/gm)].map(([, id = '']) => ({
    id,
    breaker: valueOf('up', id) === 0 && valueOf('down', id) !== 1 ? 'open' : 'closed',
    down: valueOf('down', id) === 1,
    share: valueOf('share', id) ?? 1,
  }));
}

const numberIn = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
