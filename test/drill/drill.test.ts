// Drill files: what they may say, and that every mistake is named by its place.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeAction, parseDrill, ROLES } from '../../src/drill/drill.ts';

const folder = new URL('../../drills/', import.meta.url);
const shipped = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

const small = (steps: string, more = ''): string => `
drill: small
about: One step.
load: { rate: 10 }
steps:
${steps}
end: 10s
expect: [lost = 0]
control: never-healed
${more}`;

describe('drill files', () => {
  it('those that come with Archipel can be read, and are named like their files', () => {
    expect(shipped.length).toBeGreaterThanOrEqual(10);
    for (const name of shipped) {
      const { name: own, fails } = parseDrill(readFileSync(new URL(name, folder), 'utf8'), name);
      expect([`${own}.yaml`, typeof fails]).toEqual([name, 'string']);
    }
  });

  it('a step is one thing at one time', () => {
    const { steps, load, regions, setsClocks } = parseDrill(small('  - { at: 0s, kill: first }\n  - { at: 1500ms, cut-one-way: [second, third] }\n  - { at: 2s, clock: { region: second, by: -1h } }\n  - { at: 3s, heal: links }'), 'x');
    expect(steps).toEqual([
      { atMs: 0, action: { verb: 'kill', region: 'first' } },
      { atMs: 1_500, action: { verb: 'cut-one-way', from: 'second', to: 'third' } },
      { atMs: 2_000, action: { verb: 'clock', region: 'second', byMs: -3_600_000 } },
      { atMs: 3_000, action: { verb: 'heal' } },
    ]);
    expect(parseDrill(small('  - { at: 1s, rate: 50 }\n  - { at: 2s, slow-link: { between: [first, third], by: 300ms } }'), 'x').steps).toEqual([
      { atMs: 1_000, action: { verb: 'rate', rate: 50 } },
      { atMs: 2_000, action: { verb: 'slow-link', from: 'first', to: 'third', byMs: 300 } },
    ]);
    expect(load).toEqual({ rate: 10, reads: 0.5, keys: 1_000, through: 'edge' });
    expect(regions).toBe(3);
    expect(setsClocks).toBe(true);
    expect(steps.map(({ action }) => describeAction(action, (role) => `R${ROLES.indexOf(role)}`))).toEqual(['kill -9 R0', 'cut R1 > R2', 'clock of R1 back by 3600 s', 'heal all links']);
  });

  it.each([
    ['not YAML', 'a: [', /x is not a drill: /],
    ['two things in one step', small('  - { at: 1s, kill: first, stop: second }'), /steps\.0: a step does one thing/],
    ['nothing in a step', small('  - { at: 1s }'), /steps\.0: a step does one thing/],
    ['an unknown step', small('  - { at: 1s, explode: first }'), /steps\.0/],
    ['an unknown region', small('  - { at: 1s, kill: fourth }'), /steps\.0\.kill/],
    ['a region that there is not', small('  - { at: 1s, kill: third }', 'regions: 2'), /there is no third region of 2/],
    ['steps out of order', small('  - { at: 2s, kill: first }\n  - { at: 1s, start: first }'), /steps\.1: steps are in the order/],
    ['a step behind the end', small('  - { at: 11s, kill: first }'), /none is behind the end/],
    ['a bad time', small('  - { at: soon, kill: first }'), /steps\.0\.at/],
    ['a rate of nothing', small('  - { at: 1s, rate: 0 }'), /steps\.0\.rate/],
    ['a slow link to nowhere', small('  - { at: 1s, slow-link: { between: [first], by: 1s } }'), /steps\.0\.slow-link/],
    ['a link to itself', small('  - { at: 1s, cut: [first, first] }'), /between two regions/],
    ['an unknown field', small('  - { at: 1s, kill: first }', 'colour: red'), /colour/],
    ['an unknown expectation', small('  - { at: 1s, kill: first }').replace('lost = 0', 'all is well'), /Not an expectation: "all is well"/],
    ['a failure of what is not expected', `${small('  - { at: 1s, kill: first }').trimEnd()}\nfails: copies equal`, /fails: "copies equal" is none of its expectations/],
    ['an unknown control', small('  - { at: 1s, kill: first }').replace('never-healed', 'x'), /control/],
  ])('%s is refused', (_, text, message) => {
    expect(() => parseDrill(text, 'x')).toThrow(message);
  });
});
