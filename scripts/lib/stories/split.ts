// Told by the same words on one machine and on an emulated AWS: all links cut, the same keys written in every region,
// healed, and no reconciliation to help.

import { randomUUID } from 'node:crypto';
import { until } from '../http.ts';
import type { Deployed } from '../deployed.ts';
import { inParallel, ms, type Report } from '../report.ts';

const ATTEMPTS_MAX = 5;

export interface SplitSetting {
  readonly keys: number;
  /** Requests under way in one region. */
  readonly width: number;
  readonly convergeMs: number;
  /** Claimed where it can be: how long after healing everybody has shown everything, asked one key after the other. */
  readonly convergedMs?: number;
  /** While all is cut and everything is written. */
  readonly whileCut?: () => Promise<void>;
}

export async function splitAndHeal(stage: Deployed, report: Report, { keys: count, width, convergeMs, convergedMs, whileCut }: SplitSetting): Promise<void> {
  const { regions } = stage;
  const keys = Array.from({ length: count }, (_, i) => `key-${i}`);
  await stage.collection('sib', { conflict: 'siblings' }, convergeMs);
  await stage.collection('win', { conflict: 'lww' }, convergeMs);
  await stage.quiet(); // the collections have reached every region: what is owed from here on is items only

  await stage.cut();
  for (const region of regions) {
    await inParallel(keys, width, async (key) => {
      for (const collection of ['sib', 'win']) {
        await putSurely(stage, region, collection, key, `${key} by ${region}`);
      }
    });
  }
  await whileCut?.();

  await stage.heal();
  const healed = performance.now();
  await stage.quiet(convergeMs);
  const quietMs = performance.now() - healed;
  const tags = new Map<string, Set<string>>();
  const bad: string[] = [];
  await until(
    'siblings everywhere',
    async () => {
      bad.length = 0;
      tags.clear();
      await inParallel(keys, width, async (key) => {
        for (const region of regions) {
          const answer = await stage.get(region, 'sib', key, { accept: 'application/json' });
          const siblings = answer.status === 300 ? answer.json<{ siblings: unknown[] }>().siblings.length : 0;
          if (siblings !== regions.length) bad.push(`${region} ${key}: ${answer.status} ${siblings}`);
          tags.set(key, (tags.get(key) ?? new Set()).add(answer.headers['etag'] ?? ''));
        }
      });
      return bad.length === 0;
    },
    convergeMs,
    100,
  ).catch(() => undefined);
  const tookMs = performance.now() - healed;
  report.check(`siblings: every key answers 300 with exactly ${regions.length}, everywhere`, bad.length === 0, bad[0] ?? '');
  report.check('siblings: equal tags everywhere', [...tags.values()].every((set) => set.size === 1));
  if (convergedMs !== undefined) report.check(`and has so within ${convergedMs / 1_000} s`, bad.length === 0 && tookMs < convergedMs, `${ms(quietMs)} until nothing was owed, ${ms(tookMs)} until all had been read`);

  await until('one winner everywhere', async () => new Set(await Promise.all(regions.map((each) => stage.dump(each, 'win').then((lines) => lines.join('\n'))))).size === 1, convergeMs, 100).catch(() => Number.NaN);
  const values = new Map<string, Set<string>>();
  await inParallel(keys, width, async (key) => {
    for (const region of regions) values.set(key, (values.get(key) ?? new Set()).add((await stage.get(region, 'win', key)).text()));
  });
  report.check('lww: one winner everywhere', [...values.values()].every((set) => set.size === 1));

  const losers = await losersOf(stage, 'win');
  report.check(`lww: exactly ${(regions.length - 1) * count} distinct losers in the union of the ledgers`, losers.size === (regions.length - 1) * count, losers.size);
  await restoreOne(stage, report, losers, convergeMs);
  const dumps = await Promise.all(regions.map((each) => stage.dump(each, 'win').then((lines) => lines.join('\n'))));
  report.check('dumps equal', dumps.every((dump) => dump === dumps[0]));
}

/** A region on AWS may answer that its table was slow; the same write again is the same write. */
async function putSurely(stage: Deployed, region: string, collection: string, key: string, value: string): Promise<void> {
  const operation = randomUUID();
  for (let left = ATTEMPTS_MAX; ; left--) {
    const answer = await stage.put(region, collection, key, value, { 'idempotency-key': operation });
    if (answer.status === 201) return;
    if (left <= 1 || answer.status < 500) throw new Error(`${region} ${key}: ${answer.status} ${answer.text()}`);
  }
}

/** Of a collection, by id, in any region's ledger. */
export async function losersOf(stage: Deployed, collection: string): Promise<Map<string, Record<string, unknown>>> {
  const losers = new Map<string, Record<string, unknown>>();
  for (const region of stage.regions) {
    for (let cursor: string | undefined; ; ) {
      const page = (await stage.ask(region, `/v1/c/${collection}/conflicts?state=lost&limit=1000${cursor === undefined ? '' : `&cursor=${cursor}`}`)).json<{ items: Record<string, unknown>[]; cursor?: string }>();
      for (const item of page.items) losers.set(item['id'] as string, item);
      cursor = page.cursor;
      if (cursor === undefined) break;
    }
  }
  return losers;
}

async function restoreOne(stage: Deployed, report: Report, losers: ReadonlyMap<string, Record<string, unknown>>, convergeMs: number): Promise<void> {
  const { regions } = stage;
  const [loser] = losers.values();
  const [region] = (loser?.['regions'] ?? []) as string[];
  const { pk, id } = loser as { pk: string; id: string };
  const before = (await stage.get(region as string, 'win', pk)).text();
  const restored = await stage.ask(region as string, `/v1/c/win/conflicts/${id}/restore`, { method: 'POST' });
  const lost = Buffer.from((loser?.['loser'] as { valueBase64: string }).valueBase64, 'base64').toString();
  await stage.quiet();
  let after: string[] = [];
  const read = async (): Promise<boolean> => {
    after = await Promise.all(regions.map(async (each) => (await stage.get(each, 'win', pk)).text()));
    return after.every((value) => value === lost);
  };
  const isEverywhere = await until('the restored value is everywhere', read, convergeMs).then(() => true, () => false);
  report.check('lww: a restore brings a loser back, everywhere', restored.status === 200 && before !== lost && isEverywhere, `${before} -> ${after[0]}`);
}
