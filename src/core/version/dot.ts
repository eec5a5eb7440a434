// A dot is the identity of one write: who issued it and when. It is issued once, ever. An actor is a region and its
// incarnation; a new incarnation is drawn whenever the region may have forgotten what it issued (restore, wipe), because
// a dot issued twice, or a gap in an actor's history, makes replicas drop writes that nobody superseded.

import { formatStamp, parseStamp, type Stamp } from './stamp.ts';

declare const regionBrand: unique symbol;
export type RegionId = string & { readonly [regionBrand]: true };

declare const actorBrand: unique symbol;
/** `<region>~<incarnation>`, ASCII, so that text order is byte order. */
export type ActorId = string & { readonly [actorBrand]: true };

export interface Dot {
  readonly actor: ActorId;
  readonly stamp: Stamp;
}

const REGION = /^[a-z][a-z0-9-]{0,31}$/;
const INCARNATION = /^[0-9a-z]{1,12}$/;

export function asRegionId(text: string): RegionId {
  if (!REGION.test(text)) throw new TypeError(`Not a region id (lower case letters, digits, hyphens, at most 32): ${text}`);
  return text as RegionId;
}

export const isRegionId = (text: string): text is RegionId => REGION.test(text);

export function makeActor(region: RegionId, incarnation: string): ActorId {
  if (!INCARNATION.test(incarnation)) throw new TypeError(`Not an incarnation: ${incarnation}`);
  return `${region}~${incarnation}` as ActorId;
}

/** Actors are few and every stored state names some: those that were parsed are known again. A bound, because text is sent by others. */
const KNOWN_ACTORS_MAX = 1_024;
const known = new Set<string>();

/** Undefined for text that is not an actor. */
export function parseActor(text: string): ActorId | undefined {
  if (known.has(text)) return text as ActorId;
  const at = text.indexOf('~');
  if (at <= 0 || !REGION.test(text.slice(0, at)) || !INCARNATION.test(text.slice(at + 1))) return undefined;
  if (known.size >= KNOWN_ACTORS_MAX) known.clear();
  known.add(text);
  return text as ActorId;
}

export const actorRegion = (actor: ActorId): RegionId => actor.slice(0, actor.indexOf('~')) as RegionId;

/** The order of last-write-wins and nothing else: stamp first, then actor. Total, because a dot is issued once. */
export function compareDots(a: Dot, b: Dot): number {
  if (a.stamp !== b.stamp) return a.stamp < b.stamp ? -1 : 1;
  return a.actor === b.actor ? 0 : a.actor < b.actor ? -1 : 1;
}

export const sameDot = (a: Dot, b: Dot): boolean => a.stamp === b.stamp && a.actor === b.actor;

/** One-line form: `eu-central-1~k3@0199a2b3c4d5.0001`. */
export const formatDot = (dot: Dot): string => `${dot.actor}@${formatStamp(dot.stamp)}`;

export function parseDot(text: string): Dot | undefined {
  const at = text.indexOf('@');
  const actor = parseActor(text.slice(0, Math.max(at, 0)));
  const stamp = parseStamp(text.slice(at + 1));
  return actor === undefined || stamp === undefined ? undefined : { actor, stamp };
}
