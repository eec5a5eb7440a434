// P9: two regions of very many small items prove that they are equal, and find a hundred differences, then ten thousand, over
// real HTTP. The region's own counters tell messages and bytes; they are the lengths of the bodies both ways.

import { inParallel } from '../../scripts/lib/report.ts';
import type { Figure } from '../lib/results.ts';
import type { Scenario } from '../lib/scenario.ts';
import { COLLECTION, sleep, Stage } from '../lib/stage.ts';

const REGIONS = ['ap-northeast-2', 'eu-central-1'];
const DIFFERENCES = 100;
const MANY = 10_000;
const BATCH = 100;
/** A difference younger than two seconds is left to replication. */
const OLD_MS = 2_200;

interface Pair {
  readonly differing: number;
  readonly pushed: number;
  readonly pulled: number;
  readonly requests: number;
  readonly bytes: number;
  readonly comparedBytes: number;
  readonly rounds: number;
  readonly equal: boolean;
}

export const comparing: Scenario = {
  rows: ['P9'],
  async measure({ quick }) {
    const count = quick ? 20_000 : 1_000_000;
    const stage = await Stage.start(REGIONS);
    try {
      await inParallel(Array.from({ length: count / BATCH }, (_, at) => at), 16, (at) => batch(stage, at));
      await stage.quiet(300_000);
      const equal = await compare(stage);
      if (!equal.equal) throw new Error('Two quiet regions differ.');
      for (const [from, to] of [[0, 1], [1, 0]] as const) await stage.cluster.ask(stage.id(from), `/v1/replication/${stage.id(to)}/pause`, { method: 'POST' });
      const few = await comparedAfter(stage, count, DIFFERENCES);
      const many = quick ? undefined : await comparedAfter(stage, count, MANY);
      return { P9: [...figuresOf(count, equal, few), ...(many === undefined ? [] : figuresOfMany(many))] };
    } finally {
      await stage.end();
    }
  },
};

interface Timed extends Pair {
  readonly tookMs: number;
}

/** So many items written in one of the two regions each, which then compare. */
async function comparedAfter(stage: Stage, count: number, differences: number): Promise<Timed> {
  const step = Math.floor(count / differences);
  const names = Array.from({ length: differences }, (_, at) => `k${at * step}`);
  for (let at = 0; at < differences; at += BATCH) {
    for (const region of [0, 1]) await put(stage, region, names.slice(at, at + BATCH).filter((_, i) => i % 2 === region), `changed ${differences}`);
  }
  await sleep(OLD_MS);
  const startedMs = performance.now();
  return { ...(await compare(stage)), tookMs: performance.now() - startedMs };
}

const batch = (stage: Stage, at: number): Promise<void> => put(stage, at % 2, Array.from({ length: BATCH }, (_, i) => `k${at * BATCH + i}`), 'value');

async function put(stage: Stage, at: number, pks: readonly string[], text: string): Promise<void> {
  const operations = pks.map((pk) => ({ op: 'put', pk, valueBase64: Buffer.from(`${text} ${pk}`).toString('base64') }));
  const answer = await stage.cluster.ask(stage.id(at), `/v1/c/${COLLECTION}/batch`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ operations }), timeoutMs: 60_000 });
  if (answer.status !== 200) throw new Error(`A batch was answered ${answer.status}: ${answer.text()}`);
}

async function compare(stage: Stage): Promise<Pair> {
  const { pairs } = await stage.cluster.reconcile(stage.id(0), { peers: [stage.id(1)] });
  return pairs[0] as unknown as Pair;
}

function figuresOf(count: number, equal: Pair, differing: Timed): Figure[] {
  const keys = `${count.toLocaleString('en')} keys`;
  // Of 100 differing items each side holds one newer copy or one older: exactly one of the two has to move.
  const moved = Math.max(differing.pushed, differing.pulled) / DIFFERENCES;
  return [
    { name: 'equal, messages', value: equal.requests, unit: '', yardstick: keys, floor: 1, goal: 1, better: 'lower' },
    { name: 'equal, bytes', value: equal.bytes, unit: 'B', floor: 100, goal: 100, better: 'lower' },
    { name: `${DIFFERENCES} differences, KB to name them`, value: differing.comparedBytes / 1_000, unit: 'KB', yardstick: `${differing.differing} found, ${(differing.bytes / 1_000).toFixed(1)} KB with what was moved`, floor: 100, goal: 16, better: 'lower' },
    { name: 'round trips to name them', value: differing.rounds, unit: '', floor: 4, goal: 2, better: 'lower' },
    { name: 'until both are equal', value: differing.tookMs, unit: 'ms', better: 'lower' },
    { name: 'moved over differing', value: moved, unit: 'x', yardstick: `${differing.pushed} sent, ${differing.pulled} fetched`, floor: 1.02, goal: 1.02, better: 'lower' },
  ];
}

const figuresOfMany = ({ differing, comparedBytes, rounds, tookMs }: Timed): Figure[] => [
  { name: `${MANY.toLocaleString('en')} differences, KB to name them`, value: comparedBytes / 1_000, unit: 'KB', yardstick: `${differing.toLocaleString('en')} found, equal after ${Math.round(tookMs)} ms`, goal: 1_500, better: 'lower' },
  { name: 'round trips to name them', value: rounds, unit: '', goal: 3, better: 'lower' },
];
