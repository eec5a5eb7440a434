// The faults of rare.ts, one function each. Answers whether there was something to strike.

import type { SeededRandom } from '../adapters/sim/random.ts';
import type { World } from '../adapters/sim/world.ts';
import { utf8 } from '../core/bytes.ts';
import { isArchipelError } from '../core/errors.ts';
import { encodeState } from '../core/version/codec.ts';
import { decodeReceipts, decodeRecords, encodeRecords, type SentRecord } from '../engine/envelope.ts';
import type { StoredItem } from '../ports/table.ts';
import { nameOf } from './names.ts';
import type { SimCluster, SimRegion } from './cluster.ts';
import type { RareFault } from './rare.ts';

export interface Striker {
  readonly cluster: SimCluster;
  readonly world: World;
  readonly random: SeededRandom;
  /** Not once everything has healed. */
  readonly later: (delayMs: number, task: () => void) => void;
  /** Kills, lets the disk forget, and starts again some time later. False when it must not be now. */
  readonly forget: (region: SimRegion, how: string, lose: () => void, of?: StoredItem['key']) => boolean;
}

type Strike = (striker: Striker, region: SimRegion) => boolean;

/** Longer than any lease (30 s), deadline or visibility. */
const LONG_PAUSES_MS = [35_000, 60_000, 100_000] as const;

const longPause: Strike = ({ world, random }, region) => {
  const { process } = region.machine;
  if (process === undefined || process.isPaused) return false;
  const forMs = random.pick(LONG_PAUSES_MS);
  world.trace(region.id, `frozen for ${forMs} ms`);
  process.stopFor(forMs);
  world.count('pause longer than a lease');
  return true;
};

const slowRegion: Strike = ({ world, random, later }, { id, machine }) => {
  if (machine.lagMs > 0) return false;
  machine.lagMs = random.pick([20, 150, 600]);
  world.trace(id, `everything takes ${machine.lagMs} ms longer`);
  later(random.around(6_000), () => {
    machine.lagMs = 0;
    world.trace(id, 'is quick again');
  });
  return true;
};

const throttle: Strike = ({ world, random, later }, { id, machine }) => {
  if (machine.throttled > 0) return false;
  machine.throttled = random.pick([0.1, 0.5, 0.9]);
  world.trace(id, `its table and queues turn away ${machine.throttled * 100} %`);
  later(random.around(5_000), () => {
    machine.throttled = 0;
    world.trace(id, 'its table and queues take everything');
  });
  return true;
};

/**
 * The disk forgets one key, and nothing tells the region. Only of `lww`: a record of siblings that was forgotten is written
 * again under a context that covers what the peers still hold, and nothing in a region can know it.
 */
const amnesia: Strike = ({ cluster, world, random, forget }, region) => {
  const items = [...(region.running?.table.everything() ?? [])].filter(({ key }) => region.running?.region.catalog.find(key.collection)?.policy.conflict === 'lww' && !cluster.wasChanged.has(key.collection));
  if (items.length === 0) return false;
  const { key } = random.pick(items);
  const done = forget(region, `its disk forgets ${nameOf(key)}`, () => region.machine.disk.forget(key.encoded), key);
  if (done) world.count('one key forgotten');
  return done;
};

/** At the end of what no reader can make sense of. */
const POISON = utf8('poison');

const isPoisoned = ({ state }: SentRecord): boolean => POISON.every((byte, at) => state[state.length - POISON.length + at] === byte);

export const isPoison = (letter: Uint8Array): boolean => decodeRecords(letter).every(isPoisoned);

/** A message that no region made up. */
export const holdsPoison = (records: readonly SentRecord[]): boolean => records.some(isPoisoned);

/** A peer sends bytes that are no state, or lie under no key, with a sound record among them: that one arrives all the same. */
const poison: Strike = ({ cluster, world, random }, region) => {
  const { running } = region;
  const peer = random.pick(cluster.regions.filter((other) => other !== region));
  const link = running?.region.links.get(peer.id);
  const items = [...(running?.table.everything() ?? [])];
  if (running === undefined || link === undefined || items.length === 0) return false;
  const { key, record } = random.pick(items);
  const isHeld = running.region.catalog.holdersOf(key)?.includes(peer.id) === true;
  const bad: SentRecord = random.pick([
    { key: key.encoded, state: new Uint8Array([1, ...POISON]) },
    { key: key.encoded.subarray(0, 9), state: new Uint8Array([0, ...POISON]) },
    { key: key.encoded, state: new Uint8Array([...encodeState(record.state).subarray(0, -1), ...POISON]) },
  ]);
  const records = [bad, ...(isHeld ? [{ key: key.encoded, state: encodeState(record.state) }] : [])];
  world.trace(region.id, `sends poison to ${peer.id} with ${nameOf(key)}`);
  link.ask('inbox', encodeRecords(records)).then(
    (answer) => {
      const [first, second] = decodeReceipts(answer, records.length);
      if (first === 'dead') world.count('poison kept aside');
      if (second === 'dead') world.fail(new Error(`${peer.id} kept a sound record aside with a bad one.`));
    },
    (error: unknown) => {
      if (!isArchipelError(error)) world.fail(error);
    },
  );
  return true;
};

export const RARE_STRIKES: Readonly<Record<RareFault, Strike>> = { 'long-pause': longPause, 'slow-region': slowRegion, throttle, amnesia, poison };
