import { describe, expect, it } from 'vitest';
import { actorRegion, asRegionId, compareDots, formatDot, isRegionId, makeActor, parseActor, parseDot, sameDot } from '../../src/core/version/dot.ts';
import { A, B, C, dot, EU } from '../contract/make.ts';

describe('dot', () => {
  it('orders by stamp, then by actor', () => {
    const inOrder = [dot(A, 1), dot(B, 1), dot(C, 1), dot(A, 2), dot(C, 3), dot(B, 4)];
    for (const [at, each] of inOrder.entries()) {
      expect(compareDots(each, each)).toBe(0);
      for (const later of inOrder.slice(at + 1)) {
        expect(compareDots(each, later)).toBe(-1);
        expect(compareDots(later, each)).toBe(1);
        expect(sameDot(each, later)).toBe(false);
      }
    }
  });

  it('prints on one line and is read again', () => {
    const one = dot(B, 0x0199_a2b3_0001);
    expect(formatDot(one)).toBe('eu-central-1~b1@00000199a2b3.0001');
    expect(parseDot(formatDot(one))).toEqual(one);
  });

  it.each(['', '@', 'eu-central-1~b1', 'eu-central-1~b1@', 'eu-central-1@00000199a2b3.0001', '~b1@00000199a2b3.0001', 'EU~b1@00000199a2b3.0001', 'eu~b1@00000199a2b3.0001@x'])(
    'does not read %j as a dot',
    (text) => {
      expect(parseDot(text)).toBeUndefined();
    },
  );

  it('an actor is a region and an incarnation', () => {
    expect(actorRegion(makeActor(EU, 'k3'))).toBe(EU);
    expect(parseActor('eu-central-1~k3')).toBe('eu-central-1~k3');
    for (const text of ['eu-central-1', '~k3', 'eu~', 'eu~K3', 'eu~1234567890123', 'eu~k~3', 'eu~k3 ']) expect(parseActor(text), text).toBeUndefined();
    expect(() => makeActor(EU, 'K3')).toThrow(TypeError);
    expect(() => makeActor(EU, '')).toThrow(TypeError);
  });

  it('a region id has at most 32 lower case letters, digits and hyphens', () => {
    expect(isRegionId(`a${'-'.repeat(31)}`)).toBe(true);
    for (const text of [`a${'-'.repeat(32)}`, '', '1a', 'a_b', 'A', 'a~b', 'a\n']) expect(isRegionId(text), JSON.stringify(text)).toBe(false);
    expect(() => asRegionId('eu central')).toThrow(TypeError);
  });
});
