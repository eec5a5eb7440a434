// Five regions, three replicas: placement, forwarding, and a canary of an EU-only collection that is found nowhere else.

import { spawnSync } from 'node:child_process';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { regionEntry } from '../../src/config/places.ts';
import { groupOf, loads, placePartitions, type PartitionMap } from '../../src/core/placement/placement.ts';
import { asRegionId } from '../../src/core/version/dot.ts';
import { Cluster, until } from '../lib/cluster.ts';
import { inParallel, isQuick, Report } from '../lib/report.ts';

const KEYS = isQuick ? 300 : 1_000;
const IDS = ['ap-northeast-2', 'eu-central-1', 'us-east-1', 'sa-east-1', 'eu-west-1'];
const CANARY = 'canary-7f3a9c1e5b';

const report = new Report('residency: five regions, three replicas');
const cluster = await Cluster.start({ regions: IDS.join(','), replicas: 3 });
try {
  await cluster.collection('wide', { conflict: 'lww' });
  const { groups } = (await cluster.ask(IDS[0] as string, '/v1/topology')).json<{ groups: { id: string; replicas: number; partitions: string[][] }[] }>();
  const { group } = (await cluster.ask(IDS[0] as string, '/v1/c/wide')).json<{ group: string }>();
  const map = groups.find(({ id }) => id === group)?.partitions ?? [];
  const count = IDS.map((id) => map.filter((regions) => regions.includes(id)).length);
  report.check('every partition is on exactly 3 regions', map.length === 256 && map.every((regions) => new Set(regions).size === 3 && regions.length === 3));
  report.check('most over least loaded at most 1.25', Math.max(...count) / Math.min(...count) <= 1.25, count.join(' '));

  // Placement is a function: the same is asked of it for three and four regions.
  const place = (ids: readonly string[]): PartitionMap => {
    const placement = { regions: 'all' as const, replicas: 3 };
    const regions = ids.map((id) => regionEntry(asRegionId(id)));
    return placePartitions(groupOf(placement, sha256), placement, { format: 1, term: 1, epoch: 1, control: asRegionId(ids[0] as string), regions }, sha256);
  };
  const [three, four] = [place(IDS.slice(0, 3)), place(IDS.slice(0, 4))];
  const fresh = four.reduce((sum, regions, at) => sum + regions.filter((id) => !(three[at] as readonly string[]).includes(id)).length, 0);
  report.check('from 3 to 4 regions at most 30 % of the (partition, region) pairs are new', fresh / 768 <= 0.3, `${((100 * fresh) / 768).toFixed(1)} %, loads ${[...loads(four).values()].join(' ')}`);

  // Written where no partition of theirs lives, read everywhere.
  const keys = Array.from({ length: KEYS }, (_, i) => `k${i}`);
  const served = new Map<string, number>();
  await inParallel(keys, 16, async (key) => {
    for (const id of IDS) {
      const refused = await cluster.get(id, 'wide', key, { forward: 'never' });
      if (refused.status !== 421) continue;
      if (refused.headers['location'] === undefined) throw new Error('421 without Location');
      const answer = await cluster.put(id, 'wide', key, `written at ${id}`);
      const region = answer.headers['served-by']?.split(';')[0] ?? '';
      if (answer.status !== 201 || region === id) throw new Error(`${id} ${key}: ${answer.status} ${answer.text()} served by ${region}`);
      served.set(region, (served.get(region) ?? 0) + 1);
      return;
    }
    throw new Error(`every region says that it holds ${key}`);
  });
  await cluster.quiet();
  let readable = 0;
  await inParallel(keys, 16, async (key) => {
    const answers = await Promise.all(IDS.map((id) => cluster.get(id, 'wide', key)));
    if (answers.every(({ status }) => status === 200)) readable++;
  });
  report.check(`${KEYS} keys written at regions that hold none of their partitions are readable from all five`, readable === KEYS, `${readable}; served by ${[...served].map(([id, n]) => `${id} ${n}`).join(', ')}`);

  // Residency.
  const eu = ['eu-central-1', 'eu-west-1'];
  await cluster.collection('private', { conflict: 'siblings', regions: eu, replicas: 2 });
  await inParallel(keys.slice(0, 100), 8, async (key, at) => {
    const from = IDS[at % IDS.length] as string;
    const answer = await cluster.put(from, 'private', `${CANARY}-${key}`, `${CANARY} ${key}`);
    if (answer.status !== 201) throw new Error(`${from}: ${answer.status} ${answer.text()}`);
    await cluster.put(eu[at % 2] as string, 'private', `${CANARY}-${key}`, `${CANARY} again ${key}`);
  });
  await cluster.quiet();
  await cluster.reconcile('eu-central-1');
  const read = await cluster.get('us-east-1', 'private', `${CANARY}-k0`, { accept: 'application/json' });
  report.check('the private collection is answered from every region', read.status === 300, `${read.status}, served by ${read.headers['served-by']}`);
  await until('everything is on disk', () => cluster.quiet().then(() => true));
  const holding: string[] = [];
  await cluster.stop();
  for (const id of IDS) if (spawnSync('grep', ['-rqa', CANARY, `${cluster.folder}/${id}`]).status === 0) holding.push(id);
  report.check('the canary is found in the two regions of the collection only, in no log, hint, ledger or dead letter elsewhere', holding.join() === eu.join(), holding.join(', '));
} finally {
  await cluster.end();
}
report.end();
