// One round of reaping, disturbed everywhere: the same seed runs again and again, and each time something happens at another
// step of the round, between any two awaits of any region. What was deleted never returns, what was not deleted stays, and
// in the end everything that can be forgotten is.

import { describe, expect, it } from 'vitest';
import { World } from '../../src/adapters/sim/world.ts';
import { CALM } from '../../src/adapters/sim/network.ts';
import { EMPTY, utf8 } from '../../src/core/bytes.ts';
import { partitionOf, type ItemKey } from '../../src/core/keys/item-key.ts';
import type { RegionState, Topology } from '../../src/core/placement/topology.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import { formatState } from '../../src/core/version/format.ts';
import type { Write } from '../../src/core/version/write.ts';
import { unseal } from '../../src/engine/envelope.ts';
import { SimCluster, type SimRegion } from '../../src/testing/cluster.ts';
import { Reaped } from '../../src/testing/reaped.ts';
import { valueOf } from '../scenarios/archipelago.ts';

const AP = asRegionId('ap-northeast-2');
const EU = asRegionId('eu-central-1');
const US = asRegionId('us-east-1');
const SA = asRegionId('sa-east-1');

const GRACE_MS = 2_000;
const TIMEOUT = { timeout: 300_000 };

/** What happens in the middle of the round. */
type Disturbance = (round: Round) => void;

class Round {
  readonly world: World;
  readonly cluster: SimCluster;
  readonly violations: string[] = [];
  /** Steps at which the first question was asked and the last record went. */
  asked = Number.POSITIVE_INFINITY;
  gone = Number.POSITIVE_INFINITY;
  #reaped = 0;
  /** The message that brought the value which was deleted since. */
  #old: Uint8Array | undefined;

  constructor(seed: number) {
    this.world = new World(seed);
    this.cluster = new SimCluster(this.world, { regions: 4, network: CALM, store: { syncMs: 1, failedSyncs: 0, relaxed: false }, table: { decisions: 'serial', attempts: true, slowReads: 0, readMs: 1 }, reconcileEveryMs: undefined, directDoor: true, edgeObserves: false, graceMs: GRACE_MS, rare: { faults: [], settings: ['topology'] } });
    const reaped = new Reaped(this.cluster, { damaged: new Set(), worksForMs: () => Number.POSITIVE_INFINITY, violated: (rule, what) => this.violations.push(`${rule}: ${what}`) });
    this.cluster.watch = {
      ...this.cluster.watch,
      committed: (region, { key, record }, kind) => {
        if (kind !== 'reaped') return;
        reaped.note(region, key, record.state);
        if (++this.#reaped === 3) this.gone = this.world.steps;
      },
      asked: (region, method, question) => {
        if (method === 'tombstone') this.asked = Math.min(this.asked, this.world.steps);
        if (method === 'inbox' && region.id === EU) this.#old ??= unseal(question).body;
      },
    };
  }

  at(id: RegionId): SimRegion {
    return this.cluster.region(id);
  }

  async until(what: string, isDone: () => boolean, withinMs = 150_000): Promise<void> {
    if (!(await this.world.run(this.world.nowMs + withinMs, isDone))) throw new Error(`Never: ${what}`);
  }

  async pass(ms: number): Promise<void> {
    await this.world.run(this.world.nowMs + ms);
  }

  async drive<T>(what: string, task: () => Promise<T>): Promise<T> {
    let outcome: { readonly value: T } | undefined;
    this.world.after(0, () => void task().then((value) => (outcome = { value }), (error: unknown) => this.world.fail(error)));
    await this.until(what, () => outcome !== undefined);
    return (outcome as unknown as { readonly value: T }).value;
  }

  key(pk: string): ItemKey {
    const { catalog } = this.running(AP);
    return catalog.key(catalog.require('carts'), utf8(pk), EMPTY);
  }

  running(id: RegionId) {
    const region = this.at(id).running?.region;
    if (region === undefined) throw new Error(`${id} does not run.`);
    return region;
  }

  write(id: RegionId, pk: string, write: Write): Promise<unknown> {
    return this.drive(`${id} writes ${pk}`, () => this.running(id).coordinator.write(this.key(pk), write));
  }

  /** Everybody holds `gone` as a tombstone, and next to it, in the same partition, `stays`. */
  async prepare(): Promise<void> {
    this.cluster.start();
    await this.until('every region is ready', () => this.cluster.regions.every(({ isUp }) => isUp));
    await this.drive('the collection', () => this.running(AP).collections.create('carts', { conflict: 'siblings', regions: 'all', replicas: 4 }));
    await this.pass(500);
    await this.write(EU, 'gone', { value: valueOf('v') });
    await this.write(US, this.neighbour, { value: valueOf('stays') });
    await this.pass(500);
    await this.write(US, 'gone', {});
  }

  get neighbour(): string {
    const partition = partitionOf(this.key('gone').encoded);
    for (let at = 0; ; at++) if (partitionOf(this.key(`n${at}`).encoded) === partition) return `n${at}`;
  }

  /** Runs to exactly this step. */
  async reach(step: number): Promise<void> {
    await this.until(`step ${step}`, () => this.world.steps >= step);
  }

  /** Whatever was disturbed goes on; then the old message arrives once more, everywhere. */
  async finish(): Promise<void> {
    await this.until('every region is ready again', () => this.cluster.regions.every(({ isUp }) => isUp));
    const isGone = (): boolean => this.cluster.regions.every(({ id }) => this.line(id, 'gone') === 'nothing');
    await this.until('all have forgotten it', isGone);
    for (const { id } of this.cluster.regions) if (id !== EU) await this.drive('an old message', () => this.deliver(id));
    expect(this.cluster.regions.map(({ id }) => [id, this.values(id, 'gone')])).toEqual(this.cluster.regions.map(({ id }) => [id, []]));
    await this.until('what the old message left is forgotten too', isGone);
    expect(this.cluster.regions.map(({ id }) => [id, this.values(id, this.neighbour)])).toEqual(this.cluster.regions.map(({ id }) => [id, ['stays']]));
    expect(this.violations).toEqual([]);
  }

  /** By a lane that had it in memory all the time, and asks under the topology of now. */
  async deliver(to: RegionId): Promise<unknown> {
    const link = this.running(EU).links.get(to);
    if (this.#old === undefined || link === undefined) throw new Error(`There is no message for ${to}.`);
    return link.ask('inbox', this.#old);
  }

  #state(id: RegionId, pk: string) {
    const name = String(this.key(pk).encoded);
    return [...(this.at(id).running?.table.everything() ?? [])].find(({ key }) => String(key.encoded) === name)?.record.state;
  }

  line(id: RegionId, pk: string): string {
    const state = this.#state(id, pk);
    return state === undefined ? 'nothing' : formatState(state);
  }

  values(id: RegionId, pk: string): string[] {
    return (this.#state(id, pk)?.values ?? []).map(({ value }) => new TextDecoder().decode(value.bytes));
  }

  // What disturbs ---------------------------------------------------------------------------------------------------------------

  crash(id: RegionId): void {
    this.at(id).kill();
    this.world.after(300, () => this.at(id).start());
  }

  /** The document that says so is shown to one; the others learn of it. */
  show(id: RegionId, states: Readonly<Record<string, RegionState>>): void {
    const before = this.cluster.topology;
    const added = Object.keys(states).map(asRegionId).filter((each) => !before.regions.some((entry) => entry.id === each)).map((each) => this.cluster.entry(each, 'joining'));
    const regions = [...before.regions, ...added].map((entry) => ({ ...entry, state: states[entry.id] ?? entry.state }));
    const document: Topology = { ...before, epoch: before.epoch + 1, regions };
    this.cluster.topology = document;
    this.running(id).topology.offer(document).catch((error: unknown) => this.world.fail(error));
  }

  /** All work on the last document. */
  async known(): Promise<void> {
    const { epoch } = this.cluster.topology;
    await this.until(`document ${epoch} is known`, () => this.cluster.regions.every(({ running }) => running?.region.catalog.version.epoch === epoch));
  }

  beginJoin(shownTo: RegionId): void {
    const joining = this.cluster.add();
    if (joining === undefined) throw new Error('No region is left to join.');
    this.show(shownTo, { [joining.id]: 'joining' });
    joining.start();
  }

  async endJoin(): Promise<void> {
    await this.known();
    await this.until('it is ready', () => this.at(SA).isUp);
    for (const peer of [AP, EU, US]) await this.drive(`it compares with ${peer}`, () => this.#certified(peer));
    this.show(AP, { [SA]: 'active' });
    await this.known();
  }

  async #certified(peer: RegionId): Promise<void> {
    for (;;) {
      const run = this.running(SA).reconciler.run({ peers: [peer] });
      await run.finished;
      if (run.pairs.some(({ certificate }) => certificate !== undefined)) return;
      await this.world.pause(500);
    }
  }
}

async function begun(): Promise<Round> {
  const round = new Round(1);
  await round.prepare();
  return round;
}

/** The steps of a round that nothing disturbs. */
async function stepsOfRound(): Promise<number[]> {
  const round = await begun();
  await round.until('all have forgotten it', () => round.gone < Number.POSITIVE_INFINITY);
  const first = round.asked - 1;
  return Array.from({ length: round.gone + 1 - first }, (_, at) => first + at);
}

async function atEveryStep(disturb: Disturbance, after: (round: Round) => Promise<void> = async () => undefined): Promise<number> {
  const steps = await stepsOfRound();
  for (const step of steps) {
    try {
      const round = await begun();
      await round.reach(step);
      disturb(round);
      await after(round);
      await round.finish();
    } catch (error) {
      throw new Error(`at step ${step} of ${steps[0]} to ${steps.at(-1)}`, { cause: error });
    }
  }
  return steps.length;
}

describe('a round of reaping, disturbed at every step', () => {
  it('the one who proposed dies', TIMEOUT, async () => {
    expect(await atEveryStep((round) => round.crash(AP))).toBeGreaterThan(10);
  });

  it('one who was asked dies', TIMEOUT, async () => {
    expect(await atEveryStep((round) => round.crash(US))).toBeGreaterThan(10);
  });

  it('one who was asked is fenced, and taken back', TIMEOUT, async () => {
    const takeBack = async (round: Round): Promise<void> => {
      await round.known();
      round.show(AP, { [US]: 'active' });
      await round.known();
    };
    expect(await atEveryStep((round) => round.show(AP, { [US]: 'fenced' }), takeBack)).toBeGreaterThan(10);
  });

  for (const [who, id] of [['the one who proposed', AP], ['one who was asked', US]] as const) {
    it(`another region joins, and ${who} learns it first`, TIMEOUT, async () => {
      expect(await atEveryStep((round) => round.beginJoin(id), (round) => round.endJoin())).toBeGreaterThan(10);
    });
  }
});
