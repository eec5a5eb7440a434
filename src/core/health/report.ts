// What observers tell each other of regions. It rides on every message between regions, and alone between a region and an edge
// or a witness; so it is short, and what does not look like one is taken for none.

import { REPORTED_REGIONS_MAX } from '../limits.ts';
import { isRegionId } from '../version/dot.ts';

/** A sign of life: `life` grows with every start and refutation, `beat` with every message of it. */
export interface Pulse {
  readonly life: number;
  readonly beat: number;
}

export interface Sight {
  /** The newest that the observer knows of, from whomever. */
  readonly pulse: Pulse;
  /** It has not heard the region itself for a while. */
  readonly isSuspected: boolean;
}

export interface Report {
  readonly observer: string;
  /** Of a region. */
  readonly pulse?: Pulse;
  /** Its data path answers: a read and a durable write of its own, a moment ago. */
  readonly isSound: boolean;
  readonly sees: Readonly<Record<string, Sight>>;
}

/** As it travels, without who says it: that is known from the message. `b`: life, beat, sound; `s`: life, beat, suspected. */
export interface SentReport {
  readonly b?: readonly [number, number, 0 | 1];
  readonly s: Readonly<Record<string, readonly [number, number, 0 | 1]>>;
}

export function sendable({ pulse, isSound, sees }: Report): SentReport {
  const s: Record<string, readonly [number, number, 0 | 1]> = {};
  for (const [region, { pulse: seen, isSuspected }] of Object.entries(sees)) s[region] = [seen.life, seen.beat, isSuspected ? 1 : 0];
  return pulse === undefined ? { s } : { b: [pulse.life, pulse.beat, isSound ? 1 : 0], s };
}

/** Undefined for what is none: of an earlier release, or made up. */
export function received(observer: string, sent: unknown): Report | undefined {
  if (typeof sent !== 'object' || sent === null) return undefined;
  const { b, s } = sent as Partial<SentReport>;
  if (typeof s !== 'object' || s === null || (b !== undefined && !isTriple(b))) return undefined;
  const entries = Object.entries(s);
  if (entries.length > REPORTED_REGIONS_MAX) return undefined;
  const sees: Record<string, Sight> = {};
  for (const [region, sight] of entries) {
    if (!isRegionId(region) || !isTriple(sight)) return undefined;
    sees[region] = { pulse: { life: sight[0], beat: sight[1] }, isSuspected: sight[2] === 1 };
  }
  return { observer, ...(b === undefined ? {} : { pulse: { life: b[0], beat: b[1] } }), isSound: b?.[2] !== 0, sees };
}

/** An edge or a witness, as each start of one names itself. */
export const isObserverId = (id: string): boolean => /^(edge|witness)-[a-z0-9]{1,24}$/.test(id);

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isTriple = (value: unknown): boolean => Array.isArray(value) && value.length === 3 && isCount(value[0]) && isCount(value[1]) && isCount(value[2]);
