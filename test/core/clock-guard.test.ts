// Every arrow of the drawing in src/core/clock/clock-guard.ts.

import { describe, expect, it } from 'vitest';
import { ClockGuard, WITNESS_MS, type ClockReading, type ClockStatus } from '../../src/core/clock/clock-guard.ts';
import { HybridClock } from '../../src/core/clock/hybrid-clock.ts';
import { CLOCK_DRIFT_MS_MAX } from '../../src/core/limits.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import { makeStamp, stampMs } from '../../src/core/version/stamp.ts';
import { AP, EU, US } from '../contract/make.ts';

const SA = asRegionId('sa-east-1');
const HOUR = 3_600_000;
const NOON = 1_760_000_000_000;

/** A machine: true time passes, and its wall is off by so much. */
class Machine {
  offsetMs: number;
  #trueMs: number;
  readonly #bootMs: number;
  guard: ClockGuard;

  constructor(offsetMs = 0, trueMs = NOON) {
    this.offsetMs = offsetMs;
    this.#trueMs = trueMs;
    this.#bootMs = trueMs - 1_000.25;
    this.guard = new ClockGuard(this.now);
  }

  get now(): ClockReading {
    return { wallMs: this.#trueMs + this.offsetMs, monotonicMs: this.#trueMs - this.#bootMs };
  }

  get trueMs(): number {
    return this.#trueMs;
  }

  pass(ms: number): this {
    this.#trueMs += ms;
    return this;
  }

  restart(): this {
    this.guard = new ClockGuard(this.now);
    return this;
  }

  step(ms: number): this {
    this.offsetMs += ms;
    return this;
  }

  status(hasPeers = true): ClockStatus {
    return this.guard.status(this.now, hasPeers);
  }

  read(): number {
    return this.guard.read(this.now);
  }

  /** A peer whose wall is off by so much answers after `roundTripMs`. */
  hear(peer: RegionId, offsetMs: number, status: ClockStatus = 'safe', roundTripMs = 20): this {
    this.guard.observe(peer, status, this.#trueMs + offsetMs - roundTripMs / 2, roundTripMs, this.now);
    return this;
  }

  finishStart(): this {
    this.guard.finishStart(this.now);
    return this;
  }
}

/** Started beside a peer that agreed, a while ago. */
const safe = (offsetMs = 0): Machine => new Machine(offsetMs, NOON - WITNESS_MS - 1).hear(SA, offsetMs).finishStart().pass(WITNESS_MS + 1);

describe('clock guard: starting', () => {
  it('is starting until every peer was asked', () => {
    const machine = new Machine();
    expect(machine.status()).toBe('starting');
    expect(machine.hear(US, 0).status()).toBe('starting');
    expect(machine.finishStart().status()).toBe('safe');
  });

  it('is safe alone, and with no peer in reach', () => {
    expect(new Machine().finishStart().status(false)).toBe('safe');
    expect(new Machine(HOUR).finishStart().status(true)).toBe('safe');
  });

  it('started alone, it is judged by the first peer that it hears, as at the start', () => {
    const wrong = new Machine(HOUR).finishStart();
    expect(wrong.status()).toBe('safe');
    expect(wrong.hear(US, 0).status()).toBe('unsafe');
    expect(wrong.step(-HOUR).hear(US, 0).status()).toBe('safe');
    const right = new Machine().finishStart().hear(US, 0);
    expect(right.hear(AP, HOUR).status()).toBe('safe');
    const beside = new Machine().finishStart().hear(AP, HOUR, 'unsafe');
    expect(beside.status()).toBe('safe');
  });

  it('stays unsafe when the only peer in reach contradicts, over a restart too', () => {
    const machine = new Machine(HOUR).hear(US, 0).finishStart();
    expect(machine.status()).toBe('unsafe');
    expect(machine.restart().hear(US, 0).finishStart().status()).toBe('unsafe');
  });

  it('a clock that was set wrong while the region was down is found by its peers', () => {
    const machine = safe().hear(US, 0).hear(AP, 0);
    machine.pass(60_000).step(-HOUR).restart().hear(US, 0).hear(AP, 0).finishStart();
    expect(machine.status()).toBe('unsafe');
    expect(machine.step(HOUR).hear(US, 0).status()).toBe('safe');
  });

  it('three start at once, one of them wrong: the two agree and start, the one does not', () => {
    const [good, alsoGood, wrong] = [new Machine(), new Machine(30), new Machine(HOUR)];
    good.hear(US, 30, 'starting').hear(AP, HOUR, 'starting').finishStart();
    alsoGood.hear(EU, 0, 'starting').hear(AP, HOUR, 'starting').finishStart();
    wrong.hear(EU, 0, 'starting').hear(US, 30, 'starting').finishStart();
    expect([good, alsoGood, wrong].map((each) => each.status())).toEqual(['safe', 'safe', 'unsafe']);
  });

  it('a peer that is itself unsafe does not contradict', () => {
    expect(new Machine().hear(US, HOUR, 'unsafe').finishStart().status()).toBe('safe');
  });

  it('a step while it is starting waits for a peer, and does not skip the start', () => {
    const machine = new Machine().step(HOUR);
    expect(machine.status()).toBe('unsafe');
    machine.step(-HOUR);
    expect(machine.status()).toBe('starting');
    machine.step(HOUR).finishStart();
    expect(machine.status()).toBe('unsafe');
    expect(machine.hear(US, HOUR).status()).toBe('safe');
  });

  it('a contradiction is not forgotten for a step that was taken back', () => {
    const machine = new Machine().hear(US, -HOUR).finishStart();
    expect(machine.status()).toBe('unsafe');
    expect(machine.step(HOUR).status()).toBe('unsafe');
    expect(machine.step(-HOUR).status()).toBe('unsafe');
  });
});

describe.each([
  ['forward', HOUR],
  ['back', -HOUR],
])('clock guard: the wall steps one hour %s while running', (_, step) => {
  it('is unsafe at once, and again after a while', () => {
    const machine = safe().pass(10_000).step(step);
    expect(machine.status()).toBe('unsafe');
    expect(machine.pass(HOUR).status()).toBe('unsafe');
  });

  it('peers agree: the new wall is the anchor', () => {
    const machine = safe().pass(10_000).step(step).hear(US, step);
    expect(machine.status()).toBe('safe');
    expect(machine.pass(100_000).status()).toBe('safe');
    expect(machine.step(-step).status()).toBe('unsafe');
  });

  it('peers contradict: stays unsafe until the wall is right', () => {
    const machine = safe().pass(10_000).step(step).hear(US, 0);
    expect(machine.status()).toBe('unsafe');
    expect(machine.pass(100).hear(AP, 0).status()).toBe('unsafe');
    expect(machine.step(-step).hear(US, 0).status()).toBe('safe');
  });

  it('as many agree as contradict: I am one more', () => {
    expect(safe().step(step).hear(US, step).hear(AP, 0).hear(SA, step).status()).toBe('safe');
    expect(safe().step(step).hear(US, 0).hear(AP, step).status()).toBe('safe');
    expect(safe().step(step).hear(US, 0).hear(AP, 0).hear(SA, step).status()).toBe('unsafe');
  });

  it('a peer that is unsafe is no witness beside one that is not', () => {
    expect(safe().step(step).hear(US, 0).hear(AP, step, 'unsafe').hear(SA, step, 'unsafe').status()).toBe('unsafe');
    expect(safe().step(step).hear(US, step).hear(AP, 0, 'unsafe').hear(SA, 0, 'unsafe').status()).toBe('safe');
  });

  it('no peer in reach: unsafe until one is', () => {
    const machine = safe().hear(US, 0).step(step).pass(WITNESS_MS + 1);
    expect(machine.status()).toBe('unsafe');
    expect(machine.pass(24 * HOUR).status()).toBe('unsafe');
    expect(machine.hear(US, step).status()).toBe('safe');
  });

  it('a restart with no peer in reach ends it', () => {
    expect(safe().step(step).restart().finishStart().status()).toBe('safe');
  });

  it('a single region without peers re-anchors at once', () => {
    const machine = safe().step(step);
    expect(machine.status(false)).toBe('safe');
    expect(machine.read()).toBe(machine.now.wallMs);
  });

  it('a step that is taken back is no step any more', () => {
    const machine = safe().step(step);
    expect(machine.status()).toBe('unsafe');
    expect(machine.pass(1_000).step(-step).status()).toBe('safe');
  });
});

describe('clock guard: all at once', () => {
  it('the laptop slept: all regions have stepped, agree, and go on', () => {
    const machines = [safe(), safe(10), safe(-10)];
    const names = [EU, US, AP];
    const heartbeat = (): void => {
      for (const [at, machine] of machines.entries()) {
        for (const [peer, other] of machines.entries()) if (peer !== at) machine.hear(names[peer] as RegionId, other.offsetMs, other.status());
      }
    };
    heartbeat();
    // The monotonic clocks stood still while the wall went on: to each guard a step, and the peers' last words contradict.
    for (const machine of machines) machine.step(HOUR);
    expect(machines.map((each) => each.status())).toEqual(['unsafe', 'unsafe', 'unsafe']);
    heartbeat();
    expect(machines.map((each) => each.status())).toEqual(['safe', 'safe', 'safe']);
  });

  it('two regions contradicted each other at the start: when one is put right, both go on', () => {
    const [right, wrong] = [new Machine(), new Machine(HOUR)];
    right.hear(US, HOUR, 'starting').finishStart();
    wrong.hear(EU, 0, 'starting').finishStart();
    expect([right.status(), wrong.status()]).toEqual(['unsafe', 'unsafe']);
    right.hear(US, HOUR, 'unsafe');
    wrong.hear(EU, 0, 'unsafe');
    expect([right.status(), wrong.status()]).toEqual(['unsafe', 'unsafe']);
    wrong.step(-HOUR).hear(EU, 0, right.status());
    right.hear(US, 0, wrong.status());
    expect([right.status(), wrong.status()]).toEqual(['safe', 'safe']);
  });

  it('all are unsafe and one in reach disagrees: nobody goes on', () => {
    expect(safe().step(HOUR).hear(AP, 0, 'unsafe').hear(US, HOUR, 'unsafe').status()).toBe('unsafe');
  });
});

describe('clock guard: the bound', () => {
  const edge = CLOCK_DRIFT_MS_MAX;

  it('a step of the bound is none, one more is', () => {
    expect(safe().step(edge).status()).toBe('safe');
    expect(safe().step(edge + 1).status()).toBe('unsafe');
    expect(safe().step(-edge).status()).toBe('safe');
    expect(safe().step(-edge - 1).status()).toBe('unsafe');
  });

  it('small steps add up', () => {
    const machine = safe();
    for (let i = 0; i < 5; i++) expect(machine.pass(1_000).step(edge / 5).status()).toBe('safe');
    expect(machine.step(1).status()).toBe('unsafe');
  });

  it('a peer within the bound agrees, one more contradicts', () => {
    const started = (offsetMs: number): ClockStatus => new Machine().hear(US, offsetMs).finishStart().status();
    expect([started(edge), started(-edge)]).toEqual(['safe', 'safe']);
    expect([started(edge + 1), started(-edge - 1)]).toEqual(['unsafe', 'unsafe']);
  });

  it('half the round trip is taken off, and a trip longer than the bound says nothing', () => {
    const started = (offsetMs: number, roundTripMs: number): ClockStatus => new Machine().hear(US, offsetMs, 'safe', roundTripMs).finishStart().status();
    expect(started(HOUR, edge)).toBe('unsafe');
    expect(started(HOUR, edge + 1)).toBe('safe');
    expect(started(edge, edge)).toBe('safe');
    expect(safe().step(HOUR).hear(US, HOUR, 'safe', edge + 1).status()).toBe('unsafe');
  });

  it('what a peer said is carried on for WITNESS_MS, and no longer', () => {
    const heardBefore = (ms: number): ClockStatus => new Machine().hear(US, HOUR).pass(ms).finishStart().status();
    expect(heardBefore(WITNESS_MS)).toBe('unsafe');
    expect(heardBefore(WITNESS_MS + 1)).toBe('safe');
  });
});

describe('clock guard: two ahead of me', () => {
  it('one peer ahead is suspect, two mean that I am wrong', () => {
    const machine = safe().hear(US, HOUR);
    expect(machine.status()).toBe('safe');
    expect(machine.hear(AP, HOUR).status()).toBe('unsafe');
  });

  it('behind me there may be any number: they will say so themselves', () => {
    expect(safe().hear(US, -HOUR).hear(AP, -HOUR).hear(SA, -HOUR).status()).toBe('safe');
  });

  it('stays so though others agree with me, and while they cannot be reached', () => {
    const machine = safe().hear(US, HOUR).hear(AP, HOUR);
    expect(machine.status()).toBe('unsafe');
    expect(machine.hear(SA, 0).status()).toBe('unsafe');
    expect(machine.pass(WITNESS_MS + 1).status()).toBe('unsafe');
  });

  it('is over when my clock was put right, or theirs', () => {
    const mine = safe(-HOUR).hear(US, 0).hear(AP, 0);
    expect(mine.status()).toBe('unsafe');
    expect(mine.step(HOUR).hear(US, 0).hear(AP, 0).status()).toBe('safe');
    const theirs = safe().hear(US, HOUR).hear(AP, HOUR);
    expect(theirs.status()).toBe('unsafe');
    expect(theirs.hear(US, 0).hear(AP, 0).status()).toBe('safe');
  });

  it('an unsafe peer ahead does not count', () => {
    expect(safe().hear(US, HOUR).hear(AP, HOUR, 'unsafe').status()).toBe('safe');
  });

  it('is over when the peers are taken out of the topology', () => {
    const machine = safe().hear(US, HOUR).hear(AP, HOUR);
    expect(machine.status(true)).toBe('unsafe');
    expect(machine.status(false)).toBe('safe');
  });
});

describe('clock guard: physical time', () => {
  it('is the wall, and never less than the monotonic time that has passed', () => {
    const machine = safe();
    expect(machine.read()).toBe(NOON);
    expect(machine.pass(10).read()).toBe(NOON + 10);
    expect(machine.step(-400).pass(10).read()).toBe(NOON + 20);
    expect(machine.step(800).pass(10).read()).toBe(NOON + 430);
  });

  it('does not follow a wall that jumped before it is settled', () => {
    const machine = safe().step(HOUR).pass(10);
    expect(machine.read()).toBe(NOON + 10);
    machine.hear(US, HOUR);
    expect(machine.read()).toBe(NOON + HOUR + 10);
  });

  it('goes on while the wall stands an hour behind, however often it is read', () => {
    const machine = safe().step(-HOUR);
    for (let i = 0; i < 10_000; i++) machine.pass(0.1).read();
    expect(machine.read()).toBeGreaterThanOrEqual(NOON + 999);
    expect(machine.read()).toBeLessThanOrEqual(NOON + 1_000);
  });

  it('is a whole number, as a stamp needs it', () => {
    const machine = safe().pass(0.7);
    expect(Number.isInteger(machine.read())).toBe(true);
    expect(Number.isInteger(machine.step(-HOUR).pass(0.3).read())).toBe(true);
  });

  it('follows the wall again when an hour too much was put right, and only the hybrid clock stays ahead', () => {
    const machine = safe(HOUR);
    const hybrid = new HybridClock();
    const last = hybrid.issue(machine.read());
    machine.pass(1_000).step(-HOUR).hear(US, 0);
    expect(machine.status()).toBe('safe');
    expect(machine.read()).toBe(machine.trueMs);
    expect(hybrid.issue(machine.read())).toBe(last + 1n);
    machine.pass(HOUR + 1);
    expect(stampMs(hybrid.issue(machine.read()))).toBe(machine.trueMs);
  });
});

describe('clock guard: whose stamps to accept while in doubt', () => {
  it('nobody is asked while my clock is safe', () => {
    expect(safe().hear(US, HOUR).guard.trustedPeerMs(safe().now)).toBeUndefined();
  });

  it('a trusted peer, carried on by the monotonic clock', () => {
    const machine = safe().step(-HOUR).hear(US, 0);
    expect(machine.status()).toBe('unsafe');
    expect(machine.guard.trustedPeerMs(machine.now)).toBe(machine.trueMs);
    machine.pass(2_000);
    expect(machine.guard.trustedPeerMs(machine.now)).toBe(machine.trueMs);
    machine.step(-HOUR);
    expect(machine.guard.trustedPeerMs(machine.now)).toBe(machine.trueMs);
    expect(makeStamp(machine.guard.trustedPeerMs(machine.now) as number)).toBeDefined();
  });

  it('not an unsafe one, nor one that was silent for long', () => {
    const machine = safe().step(-HOUR).hear(US, 0, 'unsafe').hear(AP, 300, 'unsafe');
    expect(machine.guard.trustedPeerMs(machine.now)).toBeUndefined();
    machine.hear(US, 0).pass(WITNESS_MS + 1);
    expect(machine.guard.trustedPeerMs(machine.now)).toBeUndefined();
  });

  it('of several not the one that is ahead of all others', () => {
    const machine = safe(-HOUR).hear(US, 0).hear(AP, HOUR);
    expect(machine.status()).toBe('unsafe');
    expect(machine.guard.trustedPeerMs(machine.now)).toBe(machine.trueMs);
    expect(machine.hear(SA, 100).guard.trustedPeerMs(machine.now)).toBe(machine.trueMs + 100);
  });

  it('while starting as well', () => {
    const machine = new Machine(-HOUR).hear(US, 0);
    expect(machine.guard.trustedPeerMs(machine.now)).toBe(machine.trueMs);
  });
});

describe('clock guard: what expiry is judged by for readers', () => {
  const readers = (machine: Machine): number => machine.guard.readersMs(machine.now) - machine.trueMs;

  it('my own time while it is not in doubt, and where nobody was heard', () => {
    expect(readers(safe().hear(EU, HOUR))).toBe(0);
    expect(readers(new Machine(HOUR).finishStart())).toBe(HOUR);
  });

  it('the time of those that contradict, however long ago they said so', () => {
    const ahead = new Machine(HOUR).hear(EU, 0).hear(AP, 0).finishStart();
    expect(ahead.status()).toBe('unsafe');
    expect(readers(ahead)).toBe(0);
    expect(readers(ahead.pass(WITNESS_MS * 100))).toBe(0);
  });

  it('never later than my own: which of two is wrong nobody can tell', () => {
    const right = new Machine().hear(EU, HOUR).finishStart();
    expect(right.status()).toBe('unsafe');
    expect(readers(right)).toBe(0);
    expect(readers(new Machine().hear(EU, HOUR))).toBe(0);
  });

  it('not that of one whose clock is in doubt itself; a whole number', () => {
    expect(readers(new Machine(HOUR).hear(EU, 0).finishStart().hear(EU, 0, 'unsafe'))).toBe(HOUR);
    const odd = new Machine(HOUR).hear(EU, 0, 'safe', 21).hear(AP, 0, 'safe', 21).finishStart().pass(0.3);
    expect(Number.isInteger(odd.guard.readersMs(odd.now))).toBe(true);
  });

  it('my own again when it is put right', () => {
    const machine = new Machine(HOUR).hear(EU, 0).hear(AP, 0).finishStart().step(-HOUR).hear(EU, 0);
    expect(machine.status()).toBe('safe');
    expect(readers(machine)).toBe(0);
  });
});
