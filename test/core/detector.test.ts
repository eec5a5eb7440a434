// The drawing and the numbered rules of src/core/health/detector.ts, one by one; what holds for any network is in
// test/properties/detector.test.ts.

import { describe, expect, it } from 'vitest';
import { Detector } from '../../src/core/health/detector.ts';
import { received, sendable, type Report } from '../../src/core/health/report.ts';
import { CLAIM_MS, FLAP_FORGET_MS, FLAP_HOLD_MS, FLAP_HOLD_MS_MAX, OBSERVERS_AGREE, OBSERVERS_MAX, REPORTED_REGIONS_MAX, SUSPECT_MS, TICK_GAP_MS } from '../../src/core/limits.ts';
import { asRegionId } from '../../src/core/version/dot.ts';

const [AP, EU, US] = [asRegionId('ap-northeast-2'), asRegionId('eu-central-1'), asRegionId('us-east-1')];
const LATER = SUSPECT_MS + 1;

/** EU, watching the others, that has just heard both. */
function atEu(agree = OBSERVERS_AGREE): Detector {
  const detector = new Detector({ observer: EU, life: 1, agree });
  detector.watch([AP, US], 0);
  for (const region of [AP, US]) detector.heard(told(region, 1, 1), 0);
  return detector;
}

const told = (observer: string, life: number, beat: number, sees: Report['sees'] = {}, isSound = true): Report => ({ observer, pulse: { life, beat }, isSound, sees });
const sees = (region: string, life: number, beat: number, isSuspected: boolean): Report['sees'] => ({ [region]: { pulse: { life, beat }, isSuspected } });
const verdict = (detector: Detector, atMs: number, region = US): string | undefined => detector.standing(region, atMs)?.verdict;

describe('detector', () => {
  it('alive, suspect by this one alone after so long, down when another one agrees', () => {
    const eu = atEu();
    expect(verdict(eu, SUSPECT_MS)).toBe('alive');
    expect(verdict(eu, LATER)).toBe('suspect');
    expect(eu.standing(US, LATER)?.suspectedBy).toEqual([EU]);
    eu.heard(told(AP, 1, 2, sees(US, 1, 1, true)), LATER);
    expect(verdict(eu, LATER)).toBe('down');
    expect(eu.standing(US, LATER)?.suspectedBy).toEqual([EU, AP]);
  });

  it('how many have to agree is a setting: one, or three', () => {
    expect(verdict(atEu(1), LATER)).toBe('down');
    const three = atEu(3);
    three.heard(told(AP, 1, 2, sees(US, 1, 1, true)), LATER);
    expect(verdict(three, LATER)).toBe('suspect');
    three.heard({ observer: 'witness-1', isSound: true, sees: sees(US, 1, 1, true) }, LATER);
    expect(verdict(three, LATER)).toBe('down');
  });

  it('1: an old pulse is no sign of life, however authentic; one of a new life is', () => {
    const eu = atEu();
    eu.heard(told(US, 1, 5), 100);
    eu.heard(told(US, 1, 5), LATER);
    eu.heard(told(US, 1, 4), LATER);
    expect(verdict(eu, 100 + LATER)).toBe('suspect');
    eu.heard(told(US, 2, 1), LATER + 100);
    expect(verdict(eu, LATER + 100)).toBe('alive');
  });

  it('2: another one that still hears it keeps it from being down here; out of reach is suspect', () => {
    const eu = atEu();
    eu.heard({ observer: 'edge-1', isSound: true, sees: sees(US, 1, 1, true) }, LATER);
    eu.heard(told(AP, 1, 2, sees(US, 1, 9, false)), LATER);
    expect(verdict(eu, LATER)).toBe('suspect');
    expect(eu.standing(US, LATER)?.suspectedBy).toEqual([EU, 'edge-1']);
  });

  it('3: who is suspected begins a new life, and the suspicion is void, also where it was held', () => {
    const us = new Detector({ observer: US, life: 1, agree: 2 });
    us.heard(told(AP, 1, 1, sees(US, 1, 7, true)), 0);
    expect(us.report(true, 0).pulse).toEqual({ life: 2, beat: 1 });
    us.heard(told(AP, 1, 2, sees(US, 1, 7, true)), 0); // about the old one
    expect(us.report(true, 0).pulse).toEqual({ life: 2, beat: 2 });
    const eu = atEu();
    eu.heard(told(AP, 1, 2, sees(US, 1, 1, true)), LATER);
    eu.heard({ observer: 'edge-1', isSound: true, sees: sees(US, 2, 1, false) }, LATER);
    expect(eu.standing(US, LATER)).toMatchObject({ verdict: 'alive', suspectedBy: [] });
  });

  it('3: one that starts with a clock put back is told what life it had', () => {
    const us = new Detector({ observer: US, life: 5, agree: 2 });
    us.heard(told(AP, 1, 1, sees(US, 900, 7, true)), 0);
    expect(us.report(true, 0).pulse?.life).toBe(901);
  });

  it('4: a suspicion that is not told again is forgotten, and taken back when it is', () => {
    const eu = atEu();
    eu.heard(told(AP, 1, 2, sees(US, 1, 1, true)), 0);
    expect(verdict(eu, 0)).toBe('suspect');
    eu.heard(told(US, 1, 2), CLAIM_MS);
    expect([CLAIM_MS, CLAIM_MS + 1].map((ms) => verdict(eu, ms))).toEqual(['suspect', 'alive']);
    eu.heard(told(AP, 1, 3, sees(US, 1, 2, true)), CLAIM_MS + 1);
    eu.heard(told(AP, 1, 4, sees(US, 1, 2, false)), CLAIM_MS + 1);
    expect(verdict(eu, CLAIM_MS + 1)).toBe('alive');
  });

  it('5: after a pause of its own it takes nobody for silent', () => {
    const [eu, held] = [atEu(), atEu()];
    for (const detector of [eu, held]) detector.tick(0);
    for (let ms = 0; ms <= 60_000; ms += TICK_GAP_MS) eu.tick(ms);
    held.tick(60_000);
    expect([verdict(eu, 60_000), verdict(held, 60_000)]).toEqual(['suspect', 'alive']);
  });

  it('6: one that goes down again and again stays suspect for longer each time, up to a limit', () => {
    const eu = atEu(1);
    let nowMs = 0;
    let beat = 1;
    /** Silent until then, and heard from then on. */
    const heldMs = (fromMs: number): number => {
      for (; nowMs < fromMs; nowMs += 500) eu.tick(nowMs);
      expect(verdict(eu, nowMs)).toBe('down');
      const backMs = nowMs;
      for (; ; nowMs += 500) {
        eu.heard(told(US, 1, ++beat), nowMs);
        eu.tick(nowMs);
        if (verdict(eu, nowMs) === 'alive') return nowMs - backMs;
      }
    };
    const held = [5_000, 10_000, 17_000, 25_000, 38_000, 60_000].map(heldMs);
    expect(held).toEqual([0, FLAP_HOLD_MS, 2 * FLAP_HOLD_MS, 4 * FLAP_HOLD_MS, 8 * FLAP_HOLD_MS, FLAP_HOLD_MS_MAX]);
    for (const quietMs = nowMs + FLAP_FORGET_MS; nowMs <= quietMs; nowMs += 500) {
      eu.heard(told(US, 1, ++beat), nowMs);
      eu.tick(nowMs);
    }
    expect(heldMs(nowMs + 5_000)).toBe(0);
  });

  it('7: one whose data path does not answer is not heard, and said to be so', () => {
    const eu = atEu();
    eu.heard(told(US, 1, 2, {}, false), 1_000);
    expect(eu.standing(US, 1_000)).toMatchObject({ verdict: 'suspect', isSound: false, suspectedBy: [] });
    expect(eu.standing(US, LATER)?.suspectedBy).toEqual([EU]);
  });

  it('what is not listed is not watched, and nobody tells about himself', () => {
    const eu = atEu();
    eu.heard(told('sa-east-1', 1, 1, sees(AP, 1, 1, true)), 0);
    eu.watch([US], 0);
    expect(eu.standings(0).map(({ region }) => region)).toEqual([US]);
    eu.heard(told(US, 1, 2, sees(US, 1, 900, true)), 0);
    expect(eu.standing(US, 0)).toMatchObject({ verdict: 'alive' });
    eu.heard(told(US, 1, 3), 0);
    expect(verdict(eu, SUSPECT_MS)).toBe('alive');
  });

  it('no more observers are kept than a limit', () => {
    const eu = atEu();
    for (let at = 0; at < OBSERVERS_MAX + 10; at++) eu.heard({ observer: `edge-${at}`, isSound: true, sees: sees(US, 1, 1, true) }, 0);
    expect(eu.standing(US, 0)?.suspectedBy).toHaveLength(OBSERVERS_MAX);
  });
});

describe('report', () => {
  it('arrives as it was sent', () => {
    const eu = atEu();
    for (const report of [eu.report(true, LATER), eu.report(false, 0), { observer: 'edge-1', isSound: true, sees: {} }]) {
      expect(received(report.observer, JSON.parse(JSON.stringify(sendable(report))))).toEqual(report);
    }
  });

  it('what is none is taken for none', () => {
    const many = Object.fromEntries(Array.from({ length: REPORTED_REGIONS_MAX + 1 }, (_, at) => [`r-${at}`, [1, 1, 0]]));
    for (const sent of [undefined, null, 7, {}, { s: null }, { s: { 'not a region': [1, 1, 0] } }, { s: { [US]: [1, 1] } }, { s: { [US]: [1, -1, 0] } }, { s: { [US]: [1, 1.5, 0] } }, { b: [1, 1], s: {} }, { s: many }]) {
      expect(received(EU, sent)).toBeUndefined();
    }
  });
});
