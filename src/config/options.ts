// One place that knows what an option may be, whether it comes from a flag, a file or the deployment's configuration.

import { ArchipelError } from '../core/errors.ts';
import { isRegionId, type RegionId } from '../core/version/dot.ts';
import { KNOWN_REGIONS } from './places.ts';

const wrong = (message: string): ArchipelError => new ArchipelError('bad-request', message);

export const PORT_DEFAULT = 7400;
export const REGIONS_MAX = 20;

/** On AWS: how long fan-out waits for more to send with the first write. Lambda takes up to five minutes. */
export const GATHER_SECONDS = 1;
export const GATHER_SECONDS_MAX = 300;

/** `3`, or `eu-central-1,us-east-1`. */
export function parseRegions(text: string): RegionId[] {
  if (/^[0-9]+$/.test(text)) {
    const count = Number(text);
    if (count < 1 || count > REGIONS_MAX) throw wrong(`--regions takes 1 to ${REGIONS_MAX} regions.`);
    return KNOWN_REGIONS.slice(0, count);
  }
  const ids = text.split(',').map((id) => id.trim());
  const bad = ids.find((id) => !isRegionId(id));
  if (bad !== undefined) throw wrong(`Not a region id: ${JSON.stringify(bad)}. Lower case letters, digits and hyphens, like eu-central-1.`);
  if (new Set(ids).size !== ids.length) throw wrong('--regions names a region twice.');
  if (ids.length > REGIONS_MAX) throw wrong(`--regions takes at most ${REGIONS_MAX} regions.`);
  return ids as RegionId[];
}

export function parseWhole(name: string, text: string, least: number, most: number): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw wrong(`${name} is a whole number from ${least} to ${most}, not ${JSON.stringify(text)}.`);
  return value;
}

/** `127.0.0.1:7401`, `[::1]:7401`. */
export function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-f:]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})$/.exec(text);
  if (match === null) throw wrong(`--listen is host:port, not ${JSON.stringify(text)}.`);
  return { host: (match[1] ?? match[2]) as string, port: parseWhole('The port', match[3] as string, 0, 65_535) };
}

export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\./.test(host);

/** `us-east-1=http://127.0.0.1:7403` */
export function parsePeer(text: string): readonly [RegionId, string] {
  const at = text.indexOf('=');
  const id = text.slice(0, Math.max(at, 0));
  const url = text.slice(at + 1);
  if (!isRegionId(id) || !/^https?:\/\/[^/\s]+\/?$/.test(url)) throw wrong(`Expected region=url, like us-east-1=http://127.0.0.1:7403, not ${JSON.stringify(text)}.`);
  return [id, url.replace(/\/$/, '')];
}

const DAY_MS = 86_400_000;
const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: DAY_MS };

/** Milliseconds of `500ms`, `60s`, `5m`, `2h`, `7d`; undefined for anything else. */
function durationMs(text: string): number | undefined {
  const match = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(text);
  return match === null ? undefined : Number(match[1]) * (UNITS_MS[match[2] as string] as number);
}

/** What a timer can wait: 2^31 - 1 milliseconds. Beyond that it would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** A time like `60s`, at least a millisecond. */
export function parseDuration(name: string, text: string, mostMs = TIMER_MS_MAX): number {
  const ms = durationMs(text);
  if (ms === undefined || ms < 1 || ms > mostMs) throw wrong(`${name} is a time like 500ms, 60s, 5m, 2h or 7d (at most ${Math.floor(mostMs / DAY_MS)}d), not ${JSON.stringify(text)}.`);
  return ms;
}

/** How many observers make a region down; undefined where nothing is said. */
export const parseAgree = (text: string | undefined): number | undefined => (text === undefined ? undefined : parseWhole('--observers-agree', text, 1, REGIONS_MAX));

/** `60s`, `500ms`, `5m`, or `off`. */
export function parseEvery(text: string): number | undefined {
  if (text === 'off') return undefined;
  const ms = durationMs(text);
  if (ms === undefined || ms < 100 || ms > TIMER_MS_MAX) throw wrong(`--reconcile-every is off or a time like 60s (100ms to 24d), not ${JSON.stringify(text)}.`);
  return ms;
}

export function parseDurability(text: string): 'sync' | 'relaxed' {
  if (text !== 'sync' && text !== 'relaxed') throw wrong(`--durability is sync or relaxed, not ${JSON.stringify(text)}.`);
  return text;
}
