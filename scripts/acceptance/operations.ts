// Retries: the same write under the same operation id, in other regions, before and after they have heard of it.

import { Cluster } from '../lib/cluster.ts';
import { inParallel, isQuick, Report } from '../lib/report.ts';

const report = new Report('operations: retries across regions, compare-and-set, contexts');
const cluster = await Cluster.start({ proxies: true });
const ids = { x: 'op-x', y: 'op-y', z: 'op-z' };
try {
  await cluster.collection('win', { conflict: 'lww' });
  await cluster.collection('sib', { conflict: 'siblings' });
  const [a, b, c] = cluster.regions as [string, string, string];
  const put = (where: string, pk: string, value: string, id: string, headers: Record<string, string> = {}): ReturnType<Cluster['put']> => cluster.put(where, 'win', pk, value, { 'idempotency-key': id, ...headers });
  const everywhere = async (pk: string): Promise<string[]> => Promise.all(cluster.regions.map(async (id) => (await cluster.get(id, 'win', pk)).text()));

  // At the same region.
  const first = await put(a, 'same', 'X', ids.x);
  await put(a, 'same', 'Y', ids.y);
  const again = await put(a, 'same', 'X', ids.x);
  report.check('PUT X, PUT Y, X again at the same region is a duplicate with the first tag', again.headers['write-outcome'] === 'duplicate' && again.headers['etag'] === first.headers['etag'], `${again.status} ${again.headers['write-outcome']}`);
  report.check('and Y stands', (await cluster.get(a, 'win', 'same')).text() === 'Y');
  const other = await put(a, 'same', 'not X', ids.y);
  report.check('another payload under a known id is 422', other.status === 422, other.status);

  // At a region that has heard of neither; many times, with and without a third writer.
  const rounds = isQuick ? 40 : 200;
  const bad: string[] = [];
  const outcomes = new Map<string, number>();
  await cluster.quiet();
  cluster.links({ cut: true });
  const pks = Array.from({ length: rounds }, (_, i) => `far${i}`);
  await inParallel(pks, 8, async (pk, at) => {
    await put(a, pk, 'X', ids.x);
    await put(a, pk, 'Y', ids.y);
    const z = (): ReturnType<typeof put> => put(c, pk, 'Z', ids.z);
    if (at % 4 === 1) await z();
    const retry = await put(b, pk, 'X', ids.x);
    if (retry.headers['write-outcome'] !== 'stored') bad.push(`${pk}: retry was ${retry.headers['write-outcome']}`);
    if (at % 4 === 3) await z();
  });
  cluster.links({});
  await cluster.quiet();
  await inParallel(pks, 8, async (pk, at) => {
    const values = await everywhere(pk);
    const stands = values[0] as string;
    outcomes.set(stands, (outcomes.get(stands) ?? 0) + 1);
    if (new Set(values).size !== 1) bad.push(`${pk}: ${values.join(' ')}`);
    else if (stands === 'X' || (at % 2 === 0 && stands !== 'Y')) bad.push(`${pk}: ${stands} stands`);
  });
  report.check('at a region that has heard of neither it is stored, and after healing Y (or a third write Z) stands everywhere, never X', bad.length === 0, bad[0] ?? [...outcomes].map(([value, n]) => `${value} ${n}`).join(', '));

  // If-Match retried elsewhere after the answer was lost: the first attempt was done.
  const base = await put(a, 'cas', 'v1', 'cas-1');
  await cluster.quiet();
  await put(a, 'cas', 'v2', 'cas-2', { 'if-match': base.headers['etag'] as string });
  await cluster.quiet();
  const retried = await put(b, 'cas', 'v2', 'cas-2', { 'if-match': base.headers['etag'] as string });
  report.check('If-Match retried in another region after a lost answer is not 412', retried.status < 300 && retried.headers['write-outcome'] === 'duplicate', `${retried.status} ${retried.headers['write-outcome']}`);
  const stale = await put(b, 'cas', 'v3', 'cas-3', { 'if-match': base.headers['etag'] as string });
  report.check('while a new operation with the old tag is', stale.status === 412, stale.status);

  // 64 clients increment.
  await cluster.put(a, 'win', 'counter', '0');
  const TARGET = isQuick ? 256 : 1_024;
  let successes = 0;
  let conflicts = 0;
  await inParallel(Array.from({ length: 64 }), 64, async () => {
    for (let i = 0; i < TARGET / 64; ) {
      const read = await cluster.get(a, 'win', 'counter');
      const answer = await cluster.put(a, 'win', 'counter', String(Number(read.text()) + 1), { 'if-match': read.headers['etag'] as string });
      if (answer.status < 300) {
        successes++;
        i++;
      } else if (answer.status === 412) conflicts++;
      else throw new Error(`${answer.status} ${answer.text()}`);
    }
  });
  const value = Number((await cluster.get(a, 'win', 'counter')).text());
  report.check('64 clients increment by If-Match in one region: the value is the number of successes', value === successes, `${value}, ${conflicts} times refused`);

  // One item's context on another.
  await cluster.put(a, 'sib', 'one', '1');
  await cluster.put(a, 'sib', 'two', '2');
  const context = (await cluster.get(a, 'sib', 'one')).headers['causal-context'] as string;
  const foreign = await cluster.put(a, 'sib', 'two', 'merged', { 'causal-context': context });
  report.check("one item's context on another item is 400", foreign.status === 400, `${foreign.status} ${foreign.json<{ type: string }>().type}`);
  await cluster.quiet();
  const elsewhere = await cluster.get(b, 'sib', 'one').then(async (answer) => (answer.status === 200 ? cluster.put(c, 'sib', 'one', 'merged', { 'causal-context': answer.headers['causal-context'] as string }) : answer));
  report.check('a context of one region is good in another', elsewhere.status < 300, elsewhere.status);
} finally {
  await cluster.end();
}
report.end();
