// All links cut, the same keys written in all three regions, healed, reconciliation off. `--hostile`: the same through
// links that deliver every request twice, swap neighbours and lose 5 % of the answers.

import { Cluster } from '../lib/cluster.ts';
import { isQuick, Report } from '../lib/report.ts';
import { splitAndHeal } from '../lib/stories/split.ts';

const hostile = process.argv.includes('--hostile');
const KEYS = isQuick ? 300 : 1_000;

const report = new Report(`split: ${KEYS} keys in three regions, healed${hostile ? ', through hostile links' : ''}, reconciliation off`);
const cluster = await Cluster.start({ proxies: true });
try {
  cluster.linksWhole(hostile ? { twice: true, swapMs: 20, loseAnswers: 0.05 } : {});
  const whileCut = async (): Promise<void> => {
    const owed = await Promise.all(cluster.regions.map((region) => cluster.unreplicated(region)));
    report.check('while split, every region owes every item to both peers', owed.every((items) => items === 4 * KEYS), owed.join(', '));
  };
  await splitAndHeal(cluster, report, { keys: KEYS, width: 32, convergeMs: hostile ? 60_000 : 30_000, convergedMs: 5_000, whileCut });
  const stats = [...cluster.proxies.values()].reduce((sum, { stats: each }) => ({ requests: sum.requests + each.requests, doubled: sum.doubled + each.doubled, swapped: sum.swapped + each.swapped, lost: sum.lost + each.lost, refused: sum.refused + each.refused }), { requests: 0, doubled: 0, swapped: 0, lost: 0, refused: 0 });
  report.note(`links: ${JSON.stringify(stats)}`);
} finally {
  await cluster.end();
}
report.end();
