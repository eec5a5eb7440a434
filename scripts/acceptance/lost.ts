// A region is lost under load, as clients of the edge see it; and its folder with it, again and again at random moments: what
// the survivors lack then is never more than it said a moment before.
//
//   npx node scripts/acceptance/lost.ts [--quick] [--times N]      (--quick: 10 times, not 200)

import { parseArgs } from 'node:util';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';
import { patientClock } from '../../src/client/node.ts';
import { firstDifference, unaccounted, type View } from '../../src/drill/account.ts';
import { ROLES, type Role } from '../../src/drill/drill.ts';
import { Clients, COLLECTION } from '../../src/drill/load.ts';
import { LocalPlace } from '../../src/drill/local-place.ts';
import { isWithin, judgeLosses } from '../../src/drill/loss.ts';
import { errorRate, type Sample } from '../../src/drill/measure.ts';
import { sleep, until } from '../lib/http.ts';
import { Report } from '../lib/report.ts';

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean' }, times: { type: 'string' } } });
const isQuick = flags.quick === true;
const TIMES = Number(flags.times ?? (isQuick ? 10 : 200));
const VICTIM: Role = 'first'; // the nearest one to the clients
const SURVIVORS: readonly Role[] = ['second', 'third'];
const LOAD = { rate: 500, reads: 0.5, keys: 1_000, through: 'edge' } as const;
const BEFORE_MS = isQuick ? 3_000 : 8_000;
const AFTER_MS = isQuick ? 5_000 : 12_000;
/** Every other time it is killed while its links are slow, so that it owes something. */
const SLOW_MS = 40;

const report = new Report(`lost: a region killed at ${LOAD.rate} requests/s, and wiped ${TIMES} times`);
const place = await LocalPlace.start({ regions: 3, setsClocks: false, fillsDisks: false, horizonMs: undefined, hints: undefined, reconcileEveryMs: undefined });
const victim = place.regions[ROLES.indexOf(VICTIM)] as string;
const operator = place.client(VICTIM);
const load = (name: string, rate: number = LOAD.rate): Clients => new Clients({ setting: { ...LOAD, rate }, clients: [place.client('edge')], clock: patientClock, random: nodeRandom, name });
const views = (roles: readonly Role[]): Promise<readonly View[]> => Promise.all(roles.map((role) => place.view(role, COLLECTION)));
const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;

/** To the end of the first good one that began after the kill and that another region answered. */
const servedAgainMs = (samples: readonly Sample[], killedMs: number, isRead: boolean): number =>
  samples.filter((sample) => sample.isGood && sample.servedBy !== victim && sample.isRead === isRead && sample.atMs >= killedMs).reduce((least, { atMs, tookMs }) => Math.min(least, atMs + tookMs - killedMs), Number.POSITIVE_INFINITY);

try {
  await operator.createCollection(COLLECTION, { conflict: 'lww' });
  await until('everybody knows the collection', () => place.isQuiet());
  await underLoad();
  await wipedAgainAndAgain();
} finally {
  await place.end();
}
report.end();

async function underLoad(): Promise<void> {
  const clients = load('');
  clients.start();
  await sleep(BEFORE_MS);
  const killedMs = clients.nowMs();
  await place.do({ verb: 'kill', region: VICTIM });
  await sleep(AFTER_MS);
  await clients.stop();
  const { samples, writes } = clients;
  const after = samples.filter(({ atMs }) => atMs >= killedMs);
  const late = after.filter(({ atMs, isGood }) => !isGood && atMs > killedMs + 3_000);
  report.note(`${samples.length} requests, ${writes.filter(({ outcome }) => outcome === 'acknowledged').length} writes acknowledged`);
  report.check('client-visible errors under 1 %', errorRate(samples) < 0.01, `${percent(errorRate(samples))}; after the kill ${percent(errorRate(after))}`);
  report.check('none after three seconds', late.length === 0, `${late.length}`);
  for (const isRead of [true, false]) {
    const ms = servedAgainMs(samples, killedMs, isRead);
    report.check(`${isRead ? 'reads' : 'writes'} are served elsewhere within a second`, ms < 1_000, `${ms.toFixed(0)} ms`);
  }
  await place.do({ verb: 'start', region: VICTIM });
  await until('nothing is owed', () => place.isQuiet());
  const all = await views(ROLES);
  const lost = unaccounted(all, writes);
  report.check('no acknowledged write is lost', lost.length === 0, lost[0] === undefined ? '' : `${lost.length}: ${lost[0].pk} = ${lost[0].value}`);
  report.check('the dumps are equal', firstDifference(all, 'records') === undefined, firstDifference(all, 'records') ?? '');
  const difference = await place.reconcile();
  const certificates = (await Promise.all(ROLES.map((role) => place.client(role).certificates()))).flat();
  const newest = new Map(certificates.sort((a, b) => (a.at < b.at ? -1 : 1)).map(({ regions, digest }) => [regions.join('='), digest]));
  report.check('the certificates of all pairs are there, and equal', difference === undefined && newest.size === 3 && new Set(newest.values()).size === 1, difference ?? [...newest.values()].join(', '));
}

async function wipedAgainAndAgain(): Promise<void> {
  let most = 0;
  let owedMost = 0;
  let bad = 0;
  let missing = 0;
  for (let time = 1; time <= TIMES; time++) {
    if (time % 2 === 0) await place.do({ verb: 'slow', region: VICTIM, byMs: SLOW_MS });
    const clients = load(`t${time}-`, 300);
    clients.start();
    await sleep(300 + Math.random() * 900);
    const askedMs = clients.nowMs();
    const owed = await place.owed(VICTIM);
    await place.do({ verb: 'wipe', region: VICTIM });
    await clients.stop();
    await place.do({ verb: 'heal' });
    const { losses, missing: lacking } = judgeLosses([{ region: victim, askedMs, owed }], await views(SURVIVORS), clients.writes);
    if (!losses.every(isWithin)) {
      bad++;
      report.note(`time ${time}: ${losses.map(({ region, live, real, writes }) => `${region} ${real} items (${writes} writes) of ${live}`).join(', ')}; ${lacking[0]?.pk} = ${lacking[0]?.value}`);
    }
    const [{ live = 0, real = 0 } = {}] = losses;
    most = Math.max(most, real);
    owedMost = Math.max(owedMost, live);
    missing += real;
    await place.do({ verb: 'start', region: VICTIM });
    await until('nothing is owed', () => place.isQuiet());
  }
  report.check('what the survivors lack is never more than the live RPO said, and what was acknowledged since', bad === 0, `${missing} items missing in all, at most ${most} at a time; ${owedMost} said at most`);
  await place.reconcile(); // what a region had told one of the others only before it was wiped
  const difference = await place.reconcile();
  report.check('and after a comparison the copies agree', difference === undefined, difference ?? '');
}
