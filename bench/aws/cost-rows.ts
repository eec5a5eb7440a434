// P11: what writes cost at list price, by what the functions really did: capacity units as the emulator counts them,
// messages as they were sent. Beside a global table that keeps the same copies.

import { ASSUMED } from '../../src/cost/estimate.ts';
import { dollarsFor } from '../../src/cost/prices.ts';
import { itemBytes } from '../../src/adapters/aws/units.ts';
import { GATHER_SECONDS } from '../../src/config/options.ts';
import { utf8 } from '../../src/core/bytes.ts';
import type { Figure } from '../lib/results.ts';
import { AP, EU, keyOf, REGIONS, tableOf, US, type Sent, type Stage } from './stage.ts';

interface Load {
  readonly writes: number;
  readonly perSecond: number;
  readonly gatherSeconds: number;
  /** Of the keys, and how unequal: 0 is uniform. */
  readonly keys: number;
  readonly skew: number;
}

const MILLION = 1_000_000;
const GB = 1024 ** 3;
const PEERS = REGIONS.length - 1;
const QUEUE_GB = 0.5;
const VALUE_BYTES = 512;
const KEYS = 100_000;
/** Environments of one machine that is busy, at most. */
const CLOCKS_DIFFER_MS = 100;

export async function costRows(stage: Stage, quick: boolean): Promise<Figure[]> {
  const writes = quick ? 1_000 : 5_000;
  const busy = { writes, perSecond: 1_000, gatherSeconds: GATHER_SECONDS, keys: KEYS, skew: 0 };
  const uniform = await run(stage, 'u', busy);
  const zipfian = await run(stage, 'z', { ...busy, skew: 0.99 });
  const few = { ...busy, writes: quick ? 100 : 400, perSecond: 10 };
  const trickle = await run(stage, 't', few);
  const patient = await run(stage, 'p', { ...few, gatherSeconds: 6 });
  const against = (goal: number): Pick<Figure, 'unit' | 'yardstick' | 'goal' | 'better'> => ({ unit: 'x', yardstick: 'a global table of three regions', goal, better: 'lower' });
  return [
    { name: 'uniform, 1,000 writes/s in one region', value: uniform.ratio, ...against(1.05) },
    { name: 'zipfian 0.99, coalesced', value: zipfian.ratio, ...against(0.85) },
    { name: `trickle of 10 writes/s, window of ${GATHER_SECONDS} s`, value: trickle.ratio, ...against(1.2) },
    { name: 'the same, window of 6 s', value: patient.ratio, unit: 'x', yardstick: 'a global table of three regions', better: 'lower' },
    { name: 'conditions that failed, zipfian', value: zipfian.failed, unit: 'of 100', better: 'lower' },
    { name: 'a message between regions becomes', value: uniform.compressed, unit: 'x', better: 'lower' },
    ...(await itemRows(stage)),
    ...(await conflictRows(stage, quick ? 20 : 100)),
  ];
}

interface Outcome {
  readonly ratio: number;
  readonly failed: number;
  readonly compressed: number;
}

/** All writes of one region, as fast as it goes; when each was made is reckoned from the rate. */
async function run(stage: Stage, name: string, load: Load): Promise<Outcome> {
  stage.meter.reset();
  const next = drawn(load);
  const parts = Array.from({ length: ASSUMED.streamPartitions }, () => new StreamPart(load.gatherSeconds));
  const sent: Sent = { messages: 0, textBytes: 0, requests: 0 };
  let invocations = 0;
  let bytes = 0;
  const send = async (batch: Batch | undefined): Promise<void> => {
    if (batch === undefined) return;
    invocations++;
    await stage.fanOut(EU, batch.records);
    for (const region of [US, AP]) add(sent, await stage.drain(region));
  };
  for (let at = 0; at < load.writes; at++) {
    const pk = `${name}-${next()}`;
    const value = valueOf(pk, at, VALUE_BYTES);
    bytes += 'pk'.length + pk.length + 'value'.length + value.length;
    await stage.put(EU, pk, value);
    const part = parts[(keyOf(pk).encoded[4] ?? 0) % parts.length];
    await send(part?.add(at / load.perSecond, await stage.image(EU, pk)));
  }
  for (const part of parts) await send(part.close());
  const copies = REGIONS.map((region) => stage.meter.of(tableOf(region)));
  const table = copies.reduce((sum, { readUnits, writeUnits }) => sum + dollarsFor(writeUnits, 'writeUnit') + dollarsFor(readUnits, 'readUnit'), 0);
  const computed = ran(invocations, ASSUMED.fanOutMs) + ran(sent.messages, ASSUMED.applyMs + (ASSUMED.applyRecordMs * PEERS * load.writes) / sent.messages);
  const ours = table + computed + dollarsFor(sent.requests, 'queueRequest') + dollarsFor(sent.textBytes / GB, 'transfer');
  const theirs = dollarsFor(REGIONS.length * load.writes * Math.ceil(bytes / load.writes / 1_024), 'writeUnit') + dollarsFor((PEERS * bytes) / GB, 'transfer');
  const here = stage.meter.of(tableOf(EU));
  return { ratio: ours / theirs, failed: (100 * here.failed) / load.writes, compressed: sent.textBytes / (4 / 3) / (PEERS * bytes) };
}

const ran = (invocations: number, milliseconds: number): number => dollarsFor(invocations, 'invocation') + dollarsFor((invocations * milliseconds * QUEUE_GB) / 1_000, 'armSecond');

function add(sum: Sent, more: Sent): void {
  sum.messages += more.messages;
  sum.textBytes += more.textBytes;
  sum.requests += more.requests;
}

type Image = Awaited<ReturnType<Stage['image']>>;

interface Batch {
  readonly records: Image[];
}

/** A part of the stream as Lambda reads it: the first record of a batch opens its window. */
class StreamPart {
  readonly #gatherSeconds: number;
  #records: Image[] = [];
  #opened = 0;

  constructor(gatherSeconds: number) {
    this.#gatherSeconds = gatherSeconds;
  }

  /** The batch that was over before this one came. */
  add(atSeconds: number, record: Image): Batch | undefined {
    const isOver = this.#records.length > 0 && (atSeconds - this.#opened > this.#gatherSeconds || this.#records.length === ASSUMED.batchMax);
    const done = isOver ? this.close() : undefined;
    if (this.#records.length === 0) this.#opened = atSeconds;
    this.#records.push(record);
    return done;
  }

  close(): Batch | undefined {
    const records = this.#records;
    this.#records = [];
    return records.length === 0 ? undefined : { records };
  }
}

/** Whole units for each copy up to 880 bytes of key and value, with one operation id; what our fields add to an item. */
async function itemRows(stage: Stage): Promise<Figure[]> {
  const taken: number[] = [];
  for (let size = 780; size <= 880; size += 20) {
    const pk = `k-${'k'.repeat(14)}-${size}`;
    for (const [at, writer] of REGIONS.entries()) {
      stage.meter.reset();
      await stage.put(writer, pk, valueOf(pk, at, size - pk.length), at === 0);
      await stage.fanOut(writer, [await stage.image(writer, pk)]);
      for (const region of REGIONS) await stage.drain(region);
      await new Promise((resolve) => setTimeout(resolve, CLOCKS_DIFFER_MS)); // else the next one may find a larger stamp than its own
      taken.push(...REGIONS.map((region) => stage.meter.of(tableOf(region)).writeUnits));
    }
  }
  await stage.put(EU, 'metadata', valueOf('metadata', 0, 500));
  const metadata = itemBytes(await stage.item(EU, 'metadata')) - 'metadata'.length - 500;
  return [
    { name: 'write units of a region and write, 780 to 880 B', value: Math.max(...taken), unit: '', yardstick: 'written in each of three regions', goal: 1, better: 'lower' },
    { name: 'metadata beside key and value, one operation id', value: metadata, unit: 'B', goal: 96, better: 'lower' },
  ];
}

/** Two regions write one key before they have heard of each other. */
async function conflictRows(stage: Stage, count: number): Promise<Figure[]> {
  stage.meter.reset();
  for (let at = 0; at < count; at++) {
    const pk = `conflict-${at}`;
    for (const region of [EU, US]) await stage.put(region, pk, valueOf(pk, at, VALUE_BYTES));
    for (const region of [EU, US]) await stage.fanOut(region, [await stage.image(region, pk)]);
    for (const region of REGIONS) await stage.drain(region);
  }
  const units = REGIONS.map((region) => stage.meter.of(tableOf(region)));
  const [writes, reads] = [units.reduce((sum, { writeUnits }) => sum + writeUnits, 0), units.reduce((sum, { readUnits }) => sum + readUnits, 0)];
  // Two writes without a conflict are six units.
  const dollars = (MILLION / count) * (dollarsFor(writes, 'writeUnit') + dollarsFor(reads, 'readUnit')) - dollarsFor(6 * MILLION, 'writeUnit');
  return [{ name: 'a million conflicts, with their rows in all ledgers', value: dollars, unit: '$', better: 'lower' }];
}

/** JSON like that of an order, of exactly so many bytes; what differs between two is as random as in life. */
export function valueOf(pk: string, number: number, size: number): Uint8Array {
  let state = [...`${pk}/${number}`].reduce((sum, character) => (Math.imul(sum, 31) + character.charCodeAt(0)) >>> 0, 7);
  const random = (below: number): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % below;
  const lines: object[] = [];
  const text = (): string => JSON.stringify({ customer: `c${random(1_000_000)}`, placed: new Date(1_795_000_000_000 + random(1_000_000_000)).toISOString(), status: ['open', 'paid', 'sent'][random(3)], lines });
  while (text().length < size - 60) lines.push({ sku: `A-${random(100_000)}`, quantity: 1 + random(9), price: random(20_000) / 100 });
  const plain = text();
  return utf8(plain.length > size ? JSON.stringify({ pad: 'x'.repeat(Math.max(0, size - 10)) }) : plain.replace(/\}$/, `,"note":"${'x'.repeat(Math.max(0, size - plain.length - 10))}"}`).slice(0, size));
}

/** Which key is written next, the same in every run. */
function drawn({ keys, skew }: Load): () => number {
  let state = 42;
  const uniform = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  if (skew === 0) return () => Math.floor(uniform() * keys);
  const sums = new Float64Array(keys);
  let sum = 0;
  for (let at = 0; at < keys; at++) sums[at] = sum += (at + 1) ** -skew;
  return () => {
    const wanted = uniform() * sum;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
