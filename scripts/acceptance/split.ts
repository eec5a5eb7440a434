// All links cut, the same keys written in all three regions, healed, reconciliation off. `--hostile`: the same through
// links that deliver every request twice, swap neighbours and lose 5 % of the answers.

import { Cluster, until } from '../lib/cluster.ts';
import { inParallel, isQuick, ms, Report } from '../lib/report.ts';

const hostile = process.argv.includes('--hostile');
const KEYS = isQuick ? 300 : 1_000;
const LINKS = hostile ? { twice: true, swapMs: 20, loseAnswers: 0.05 } : {};

const report = new Report(`split: ${KEYS} keys in three regions, healed${hostile ? ', through hostile links' : ''}, reconciliation off`);
const cluster = await Cluster.start({ proxies: true });
try {
  cluster.links(LINKS);
  await cluster.collection('sib', { conflict: 'siblings' });
  await cluster.collection('win', { conflict: 'lww' });
  await cluster.quiet(); // the collections have reached every region: what is owed from here on is items only
  const keys = Array.from({ length: KEYS }, (_, i) => `key-${i}`);
  const { regions } = cluster;

  cluster.links({ cut: true });
  for (const region of regions) {
    await inParallel(keys, 32, async (key) => {
      for (const collection of ['sib', 'win']) {
        const answer = await cluster.put(region, collection, key, `${key} by ${region}`);
        if (answer.status !== 201) throw new Error(`${region} ${key}: ${answer.status} ${answer.text()}`);
      }
    });
  }
  const owed = await Promise.all(regions.map((region) => cluster.unreplicated(region)));
  report.check('while split, every region owes every item to both peers', owed.every((items) => items === 4 * KEYS), owed.join(', '));

  cluster.links(LINKS);
  const healed = performance.now();
  await cluster.quiet(hostile ? 60_000 : 30_000);
  const tags = new Map<string, Set<string>>();
  const bad: string[] = [];
  const tookMs = await until(
    'siblings everywhere',
    async () => {
      bad.length = 0;
      tags.clear();
      await inParallel(keys, 32, async (key) => {
        for (const region of regions) {
          const answer = await cluster.get(region, 'sib', key, { accept: 'application/json' });
          const count = answer.status === 300 ? answer.json<{ siblings: unknown[] }>().siblings.length : 0;
          if (count !== 3) bad.push(`${region} ${key}: ${answer.status} ${count}`);
          tags.set(key, (tags.get(key) ?? new Set()).add(answer.headers['etag'] ?? ''));
        }
      });
      return bad.length === 0;
    },
    10_000,
    100,
  ).catch(() => Number.NaN);
  report.check('siblings: every key answers 300 with exactly three, everywhere', bad.length === 0, bad[0] ?? `${ms(performance.now() - healed)} after healing`);
  report.check('siblings: equal tags everywhere', [...tags.values()].every((set) => set.size === 1));
  report.check('within 5 s', performance.now() - healed - tookMs < 5_000, ms(performance.now() - healed - tookMs));

  const values = new Map<string, Set<string>>();
  await inParallel(keys, 32, async (key) => {
    for (const region of regions) values.set(key, (values.get(key) ?? new Set()).add((await cluster.get(region, 'win', key)).text()));
  });
  report.check('lww: one winner everywhere', [...values.values()].every((set) => set.size === 1));

  const losers = new Map<string, Record<string, unknown>>();
  for (const region of regions) {
    for (let cursor: string | undefined; ; ) {
      const page = (await cluster.ask(region, `/v1/c/win/conflicts?state=lost&limit=1000${cursor === undefined ? '' : `&cursor=${cursor}`}`)).json<{ items: Record<string, unknown>[]; cursor?: string }>();
      for (const item of page.items) losers.set(item['id'] as string, item);
      cursor = page.cursor;
      if (cursor === undefined) break;
    }
  }
  report.check(`lww: exactly ${2 * KEYS} distinct losers in the union of the ledgers`, losers.size === 2 * KEYS, losers.size);

  const [loser] = losers.values();
  const [region] = (loser?.['regions'] ?? []) as string[];
  const { pk, id } = loser as { pk: string; id: string };
  const before = (await cluster.get(region as string, 'win', pk)).text();
  const restored = await cluster.ask(region as string, `/v1/c/win/conflicts/${id}/restore`, { method: 'POST' });
  await cluster.quiet();
  const after = await Promise.all(regions.map(async (each) => (await cluster.get(each, 'win', pk)).text()));
  const lost = Buffer.from((loser?.['loser'] as { valueBase64: string }).valueBase64, 'base64').toString();
  report.check('lww: a restore brings a loser back, everywhere', restored.status === 200 && before !== lost && after.every((value) => value === lost), `${before} -> ${after[0]}`);

  const dumps = await Promise.all(regions.map((each) => cluster.dump(each, 'win').then((lines) => lines.join('\n'))));
  report.check('dumps equal', dumps.every((dump) => dump === dumps[0]));
  const stats = [...cluster.proxies.values()].reduce((sum, { stats: each }) => ({ requests: sum.requests + each.requests, doubled: sum.doubled + each.doubled, swapped: sum.swapped + each.swapped, lost: sum.lost + each.lost, refused: sum.refused + each.refused }), { requests: 0, doubled: 0, swapped: 0, lost: 0, refused: 0 });
  report.note(`links: ${JSON.stringify(stats)}`);
} finally {
  await cluster.end();
}
report.end();
